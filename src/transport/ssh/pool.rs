//! The hosts of one environment, by the names of its nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::atlas::{Atlas, Stop};
use super::host::SshHost;
use super::{SshSettings, explain};
use crate::domain::environment::Environment;
use crate::domain::node::Jump;
use crate::domain::reach::Way;
use crate::transport::{Host, Reach, ReachError};

/// Reaches the nodes of an environment over SSH, each by one kept connection.
///
/// Making it costs nothing and touches no network. Dropping it, and every host it gave out, ends the connections.
#[derive(Debug)]
pub struct Pool {
    atlas: Arc<Atlas>,
    hosts: Mutex<BTreeMap<String, Arc<SshHost>>>,
}

impl Pool {
    /// A pool for `environment`.
    pub fn new(environment: Arc<Environment>, settings: SshSettings) -> Self {
        Self {
            atlas: Atlas::new(environment, settings),
            hosts: Mutex::default(),
        }
    }

    /// Whether the nodes that lead to `name` are there and come to an end, as far as the workspace says.
    fn check(&self, name: &str) -> Result<(), ReachError> {
        let (mut at, mut way) = (name.to_owned(), Vec::new());
        loop {
            let node = self.atlas.environment().node(&at);
            let node = node.ok_or_else(|| ReachError::UnknownNode(at.clone()))?;
            let circle = way.contains(&at);
            way.push(at.clone());
            if circle {
                return Err(ReachError::Refused {
                    hop: name.to_owned(),
                    reason: format!("its jump hosts lead in a circle: {}", way.join(" → ")),
                });
            }
            match &node.ssh.jump {
                Some(Jump::Through(next)) => at.clone_from(next),
                Some(Jump::Direct) | None => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Reach for Pool {
    async fn way(&self, name: &str, test: bool) -> Way {
        explain::explain(&self.atlas, name, test).await
    }

    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError> {
        // Entries are added whole: a panic elsewhere cannot have left one half made.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(name) {
            return Ok(Arc::clone(host) as Arc<dyn Host>);
        }
        self.check(name)?;
        let link = self.atlas.link(&Stop::Node(name.to_owned()));
        let host = Arc::new(SshHost::new(link));
        hosts.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::node::SshAccess;
    use crate::transport::ssh::testing;

    fn pool(nodes: &[(&str, Option<&str>)]) -> Pool {
        let nodes = nodes.iter().map(|(name, jump)| {
            let jump = jump.map(|jump| Jump::Through(jump.into()));
            let access = SshAccess {
                jump,
                ..SshAccess::default()
            };
            (*name, access)
        });
        testing::pool(nodes, SshSettings::default())
    }

    #[test]
    fn a_node_has_one_host_however_often_it_is_asked_for() {
        let pool = pool(&[("a", None), ("b", Some("a"))]);
        let first = pool.host("b").unwrap();
        let second = pool.host("b").unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn jump_hosts_in_a_circle_are_refused_and_the_circle_is_shown() {
        let pool = pool(&[("a", Some("b")), ("b", Some("c")), ("c", Some("b"))]);
        let error = pool.host("a").unwrap_err();
        assert!(error.to_string().contains("a → b → c → b"), "{error}");
        assert!(!error.is_passing());
    }

    #[test]
    fn a_node_that_is_not_there_is_named() {
        let pool = pool(&[("a", Some("bastion"))]);
        for name in ["x", "a"] {
            let error = pool.host(name).unwrap_err();
            assert!(matches!(error, ReachError::UnknownNode(_)), "{error}");
        }
    }
}
