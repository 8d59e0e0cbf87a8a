//! Runs that fetch nothing (`run --offline`): what is not at hand is refused in the plan, each with how to get it, and not when
//! half of the nodes have theirs.
//!
//! What an environment brings (`artifacts`) comes from a file here or from the engine's cache, where every earlier run has put
//! what it fetched, by its checksum. Somebody who has it on a stick puts it there himself.

use std::sync::Arc;

use super::core::Core;
use crate::client::Refusal;
use crate::domain::environment::Environment;
use crate::domain::plan::Plan;
use crate::resources;
use crate::steps;
use crate::transport::http::public;

impl Core {
    /// The plan, when all that it brings is at hand; with a word about what nodes get for themselves.
    ///
    /// # Errors
    /// [`Refusal`] that names what is missing.
    pub(super) async fn bound_to_cache(
        &self,
        plan: Plan,
        environment: &Arc<Environment>,
    ) -> Result<Plan, Refusal> {
        if !plan.request.limits.offline {
            return Ok(plan);
        }
        let place = Arc::clone(environment);
        let (mut plan, sources) = tokio::task::spawn_blocking(move || {
            let sources = steps::sources(&plan, &place);
            (plan, sources)
        })
        .await
        .map_err(|error| Refusal::new(format!("planning stopped: {error}")))?;
        let sources = sources.map_err(|error| Refusal::new(error.to_string()))?;
        let mut missing = Vec::new();
        for (source, sha256) in &sources.brought {
            if resources::is_at_hand(source, sha256, &self.cache).await {
                continue;
            }
            missing.push(if resources::is_url(source) {
                let url = public(source);
                let kept = resources::kept(&self.cache, sha256);
                format!("{url} (it is kept as {})", kept.display())
            } else {
                format!("{source} (no such file, or another checksum than {sha256})")
            });
        }
        if !missing.is_empty() {
            return Err(Refusal::new(format!(
                "this run fetches nothing, and these are not at hand; where there is a way to them, `quarterdeck cache fill` \
                 fetches them, or put each where it is kept: {}",
                missing.join("; ")
            )));
        }
        if sources.by_nodes.is_empty() {
            return Ok(plan);
        }
        let by_nodes: Vec<String> = sources.by_nodes.into_iter().collect();
        plan.cautions.push(format!(
            "the cache has no part in what nodes get for themselves, and they need a way to it: {}",
            by_nodes.join(", ")
        ));
        Ok(steps::seal(plan, environment))
    }
}
