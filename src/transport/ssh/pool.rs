//! The hosts of one environment, by the names of its nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::SshSettings;
use super::connection::Target;
use super::host::SshHost;
use super::identities::KeyRing;
use super::link::Link;
use crate::domain::environment::Environment;
use crate::transport::{Host, Reach, ReachError};

/// Reaches the nodes of an environment over SSH, each by one kept connection.
///
/// Making it costs nothing and touches no network. Dropping it, and every host it gave out, ends the connections.
#[derive(Debug)]
pub struct Pool {
    environment: Arc<Environment>,
    settings: Arc<SshSettings>,
    keys: Arc<KeyRing>,
    hosts: Mutex<BTreeMap<String, Arc<SshHost>>>,
}

impl Pool {
    /// A pool for `environment`.
    pub fn new(environment: Arc<Environment>, settings: SshSettings) -> Self {
        Self {
            environment,
            settings: Arc::new(settings),
            keys: Arc::default(),
            hosts: Mutex::default(),
        }
    }

    /// The link of `name`, made together with those of its jump hosts; `way` are the nodes that lead here.
    fn link(
        &self,
        hosts: &mut BTreeMap<String, Arc<SshHost>>,
        name: &str,
        way: &mut Vec<String>,
    ) -> Result<Arc<SshHost>, ReachError> {
        if let Some(host) = hosts.get(name) {
            return Ok(Arc::clone(host));
        }
        let node = self
            .environment
            .node(name)
            .ok_or_else(|| ReachError::UnknownNode(name.to_owned()))?;
        let circle = way.iter().any(|passed| passed == name);
        way.push(name.to_owned());
        if circle {
            return Err(ReachError::Refused {
                hop: way[0].clone(),
                reason: format!("its jump hosts lead in a circle: {}", way.join(" → ")),
            });
        }
        let jump = match &node.ssh.jump {
            None => None,
            Some(jump) => Some(self.link(hosts, jump, way)?.link()),
        };
        let link = Link::new(
            Target::from(node),
            jump,
            Arc::clone(&self.settings),
            Arc::clone(&self.keys),
        );
        let host = Arc::new(SshHost::new(Arc::new(link)));
        hosts.insert(name.to_owned(), Arc::clone(&host));
        Ok(host)
    }
}

impl Reach for Pool {
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError> {
        // Entries are added whole: a panic elsewhere cannot have left one half made.
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = self.link(&mut hosts, name, &mut Vec::new())?;
        Ok(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::environment::Protection;
    use crate::domain::node::{Node, SshAccess};
    use crate::domain::platform::{Arch, Platform};
    use crate::domain::stack::Stack;

    fn pool(nodes: &[(&str, Option<&str>)]) -> Pool {
        let nodes = nodes.iter().map(|(name, jump)| Node {
            name: (*name).into(),
            address: "127.0.0.1".into(),
            platform: Platform::Generic,
            arch: Arch::Amd64,
            roles: [].into(),
            labels: [].into(),
            ssh: SshAccess {
                jump: jump.map(Into::into),
                ..SshAccess::default()
            },
        });
        let environment = Environment {
            name: "test".into(),
            protection: Protection::Open,
            marking: None,
            stack: Stack::Consul,
            versions: [].into(),
            nodes: nodes.collect(),
            services: vec![],
            artifacts: [].into(),
            variables: [].into(),
        };
        Pool::new(Arc::new(environment), SshSettings::default())
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
