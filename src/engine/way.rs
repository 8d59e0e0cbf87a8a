//! The way to a node, told and tried for a client.

use super::core::Core;
use crate::client::{Refusal, Response};
use crate::domain::reach::Way;

impl Core {
    /// Explains the way to `node`; with `test` it is tried, beside the connections that polls and runs use.
    pub(super) async fn way(
        &self,
        environment: &str,
        node: &str,
        test: bool,
    ) -> Result<Response, Refusal> {
        let room = self.room(environment)?;
        if room.environment.node(node).is_none() {
            return Err(Refusal::new(format!(
                "environment {environment} has no node called {node:?}"
            )));
        }
        let mut way = room.reach.way(node, test).await;
        self.clean(&mut way);
        Ok(Response::Way(Box::new(way)))
    }

    /// Takes out what is secret: a host may repeat anything in its words.
    fn clean(&self, way: &mut Way) {
        let stages = way.hops.iter_mut().flat_map(|hop| &mut hop.stages);
        let words = stages.map(|stage| &mut stage.detail);
        for words in words.chain(&mut way.trouble) {
            *words = self.redactor.cleaned(std::mem::take(words));
        }
    }
}
