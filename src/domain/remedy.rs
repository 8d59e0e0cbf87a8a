//! What may repair a finding: a recipe, where it runs and what it is told.
//!
//! A remedy is an offer. It goes the way of every action: plan, gate, run; the finding goes when what it is about has been seen
//! to be well again, and not because a run ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::environment::Environment;
use super::finding::Subject;
use super::node::{Node, Role};
use super::plan::{Limits, PlanRequest};
use super::service::{ServiceKind, ServiceSpec};

/// The label with the hardware address of a node's network card, by which it can be woken.
const MAC: &str = "mac";

/// A recipe that may repair something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Remedy {
    /// Name of the recipe.
    pub recipe: String,
    /// The nodes it runs on; none where the recipe says where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Its parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Only these of its steps; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
}

impl Remedy {
    /// A recipe as it stands.
    pub fn recipe(name: &str) -> Self {
        Self {
            recipe: name.into(),
            ..Self::default()
        }
    }

    /// The same, on this node too.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.nodes.push(node.into());
        self
    }

    /// The same, with a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// The same, limited to this step too.
    #[must_use]
    pub fn only(mut self, step: &str) -> Self {
        self.steps.push(step.into());
        self
    }

    /// The plan to ask for.
    pub fn request(&self, environment: &str) -> PlanRequest {
        PlanRequest {
            environment: environment.into(),
            recipe: self.recipe.clone(),
            params: self.params.clone(),
            nodes: self.nodes.clone(),
            limits: Limits {
                steps: self.steps.clone(),
                ..Limits::default()
            },
            ..PlanRequest::default()
        }
    }

    /// What may repair the finding `key` of `subject`; `None` when no recipe does.
    pub fn of(environment: &Environment, subject: &Subject, key: &str) -> Option<Self> {
        let (kind, detail) = key.split_once(':').unwrap_or((key, ""));
        match subject {
            Subject::Environment => None,
            Subject::Node(name) => of_node(environment.node(name)?, kind, detail),
            Subject::Service(name) => {
                of_service(environment, environment.service(name)?, kind, detail)
            }
        }
    }
}

impl std::fmt::Display for Remedy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.recipe)?;
        for (name, value) in &self.params {
            match value {
                Value::String(text) => write!(f, " {name}={text}")?,
                other => write!(f, " {name}={other}")?,
            }
        }
        if !self.steps.is_empty() {
            write!(f, ", only {}", self.steps.join(", "))?;
        }
        if !self.nodes.is_empty() {
            write!(f, " on {}", self.nodes.join(", "))?;
        }
        Ok(())
    }
}

fn of_node(node: &Node, kind: &str, detail: &str) -> Option<Remedy> {
    let remedy = match kind {
        "unit" => Remedy::recipe("restart-unit").with("unit", detail),
        "reboot" => Remedy::recipe("reboot"),
        "disk" if detail.is_empty() => Remedy::recipe("free-space"),
        // Caches and journals are below /var; nothing is known of what other file systems can do without.
        "disk" if detail == "/var" || detail.starts_with("/var/") => {
            Remedy::recipe("free-space").with("mount", detail)
        }
        "clock" | "clock-off" => Remedy::recipe("sync-clock"),
        "unreachable" if node.labels.contains_key(MAC) => Remedy::recipe("power-on"),
        _ => return None,
    };
    Some(remedy.on(&node.name))
}

fn of_service(
    environment: &Environment,
    spec: &ServiceSpec,
    kind: &str,
    detail: &str,
) -> Option<Remedy> {
    let restart = |unit: &str| {
        let node = environment.node(detail)?;
        let remedy = Remedy::recipe("restart-unit").with("unit", unit);
        Some(remedy.on(&node.name))
    };
    match (spec.kind, kind) {
        (ServiceKind::Vault, "no-active") if detail == "sealed" => {
            Some(Remedy::recipe("unseal").with("service", &spec.name))
        }
        (ServiceKind::Vault, "sealed") => {
            Some(Remedy::recipe("unseal").with("service", &spec.name))
        }
        // One new node beside others belongs to their Vault: it joins when it is unsealed.
        (ServiceKind::Vault, "uninitialized") if !detail.is_empty() => {
            Some(Remedy::recipe("unseal").with("service", &spec.name))
        }
        (ServiceKind::Vault, "uninitialized") => {
            Some(Remedy::recipe("vault-init").with("service", &spec.name))
        }
        (ServiceKind::Consul, "member") => restart("consul.service"),
        (ServiceKind::Nomad, "server" | "client") => restart("nomad.service"),
        (ServiceKind::Kubernetes, "node") => {
            let is_server = environment
                .node(detail)?
                .roles
                .contains(&Role::KubernetesServer);
            restart(if is_server {
                "k3s.service"
            } else {
                "k3s-agent.service"
            })
        }
        (ServiceKind::Kubernetes, "deployment") => Some(
            Remedy::recipe("restart-deployment")
                .with("deployment", detail)
                .with("service", &spec.name),
        ),
        (ServiceKind::Kubernetes, "pod") => Some(
            Remedy::recipe("replace-pod")
                .with("pod", detail)
                .with("service", &spec.name),
        ),
        (ServiceKind::Etcd, "alarm") if detail.starts_with("NOSPACE") => {
            Some(Remedy::recipe("etcd-reclaim").with("service", &spec.name))
        }
        (ServiceKind::Ceph, "check") if detail == "MON_CLOCK_SKEW" && !spec.nodes.is_empty() => {
            let clock = Remedy::recipe("sync-clock");
            Some(spec.nodes.iter().fold(clock, |clock, node| clock.on(node)))
        }
        // Deploying again brings every node to its declared state, and starts what does not run.
        (
            _,
            "unreachable" | "endpoint" | "no-leader" | "no-tolerance" | "no-active" | "no-nodes"
            | "configuration" | "target",
        ) if is_deployed(environment, spec.kind) => Some(Remedy::recipe("deploy")),
        _ => None,
    }
}

/// Whether the environment's stack installs this kind of service.
fn is_deployed(environment: &Environment, kind: ServiceKind) -> bool {
    let name = kind.to_string();
    let software = environment.software().into_iter();
    software
        .map(|software| software.to_string())
        .any(|software| software == name || (software == "k3s" && kind == ServiceKind::Kubernetes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::backup::Backups;
    use crate::domain::environment::Protection;
    use crate::domain::node::SshAccess;
    use crate::domain::platform::{Arch, Platform};
    use crate::domain::stack::Stack;

    fn environment() -> Environment {
        let node = |name: &str, labels| Node {
            name: name.into(),
            address: "192.0.2.1".into(),
            platform: Platform::Generic,
            arch: Arch::Arm64,
            roles: BTreeSet::new(),
            labels,
            ssh: SshAccess::default(),
        };
        let mac = BTreeMap::from([(MAC.to_owned(), "dc:a6:32:00:00:01".to_owned())]);
        let service = |name: &str, kind| ServiceSpec {
            name: name.into(),
            kind,
            urls: Vec::new(),
            nodes: Vec::new(),
            user: None,
            secret: None,
            ca: None,
        };
        Environment {
            name: "home".into(),
            protection: Protection::Open,
            marking: None,
            stack: Stack::Consul,
            versions: BTreeMap::new(),
            nodes: vec![node("pc1", BTreeMap::new()), node("pc2", mac)],
            services: vec![
                service("consul", ServiceKind::Consul),
                service("harbor", ServiceKind::Harbor),
                service("kubernetes", ServiceKind::Kubernetes),
                service("vault", ServiceKind::Vault),
            ],
            artifacts: BTreeMap::new(),
            variables: BTreeMap::new(),
            backups: Backups::default(),
            desired: Vec::new(),
        }
    }

    fn on_node(node: &str, key: &str) -> Option<String> {
        let subject = Subject::Node(node.into());
        Remedy::of(&environment(), &subject, key).map(|remedy| remedy.to_string())
    }

    #[test]
    fn each_thing_wrong_with_a_node_leads_to_the_recipe_that_mends_it_there() {
        for (key, remedy) in [
            (
                "unit:nginx.service",
                "restart-unit unit=nginx.service on pc1",
            ),
            ("reboot", "reboot on pc1"),
            ("disk", "free-space on pc1"),
            ("disk:/var/log", "free-space mount=/var/log on pc1"),
            ("clock", "sync-clock on pc1"),
        ] {
            assert_eq!(on_node("pc1", key).as_deref(), Some(remedy));
        }
        assert_eq!(on_node("pc1", "hot"), None, "no recipe cools a board");
        let own = on_node("pc1", "disk:/srv");
        assert_eq!(own, None, "what is there belongs to somebody");
    }

    #[test]
    fn a_node_is_woken_only_where_it_is_known_how() {
        assert_eq!(on_node("pc1", "unreachable"), None);
        let woken = on_node("pc2", "unreachable");
        assert_eq!(woken.as_deref(), Some("power-on on pc2"));
    }

    #[test]
    fn a_service_is_mended_by_what_installs_it_or_where_its_member_is() {
        let of = |service: &str, key: &str| {
            let subject = Subject::Service(service.into());
            Remedy::of(&environment(), &subject, key).map(|remedy| remedy.to_string())
        };
        for gone in ["unreachable", "endpoint:pc2", "no-leader"] {
            assert_eq!(of("consul", gone).as_deref(), Some("deploy"));
        }
        assert_eq!(of("harbor", "unreachable"), None, "the stack has no Harbor");
        assert_eq!(
            of("consul", "member:pc2").as_deref(),
            Some("restart-unit unit=consul.service on pc2")
        );
        assert_eq!(of("consul", "member:stranger"), None);
        assert_eq!(
            of("kubernetes", "node:pc2").as_deref(),
            Some("restart-unit unit=k3s-agent.service on pc2")
        );
        for (key, remedy) in [
            ("uninitialized", "vault-init service=vault"),
            ("uninitialized:pc2", "unseal service=vault"),
            ("no-active:sealed", "unseal service=vault"),
        ] {
            assert_eq!(of("vault", key).as_deref(), Some(remedy));
        }
        assert_eq!(
            of("kubernetes", "deployment:shop/orders").as_deref(),
            Some("restart-deployment deployment=shop/orders service=kubernetes")
        );
        assert_eq!(
            of("kubernetes", "pod:shop/orders-1").as_deref(),
            Some("replace-pod pod=shop/orders-1 service=kubernetes")
        );
    }
}
