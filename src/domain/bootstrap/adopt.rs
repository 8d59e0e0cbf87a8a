//! Adopting what runs: the members that a service tells of become hosts with the roles that they have there.

use super::answers::{Adopted, Answers, HostAnswer};
use crate::domain::node::Role;
use crate::domain::service::{Authority, ServiceKind, ServiceSpec};
use crate::domain::table::Table;

/// The kinds of services that can be adopted by a URL and a token; those that tell of members come first.
pub const ADOPTED: [ServiceKind; 8] = [
    ServiceKind::Consul,
    ServiceKind::Nomad,
    ServiceKind::Kubernetes,
    ServiceKind::Vault,
    ServiceKind::Traefik,
    ServiceKind::Grafana,
    ServiceKind::Prometheus,
    ServiceKind::Etcd,
];

/// The environment variable in which the program of a service itself looks for a token.
pub const fn usual_variable(kind: ServiceKind) -> Option<&'static str> {
    match kind {
        ServiceKind::Consul => Some("CONSUL_HTTP_TOKEN"),
        ServiceKind::Nomad => Some("NOMAD_TOKEN"),
        ServiceKind::Vault => Some("VAULT_TOKEN"),
        _ => None,
    }
}

impl Adopted {
    /// As the service of an environment.
    pub fn spec(&self, kind: ServiceKind) -> ServiceSpec {
        ServiceSpec {
            name: kind.word().into(),
            kind,
            urls: vec![self.url.trim_end_matches('/').to_owned()],
            nodes: Vec::new(),
            user: None,
            secret: self.secret.clone(),
            ca: self.ca.clone().map(Authority::File),
        }
    }
}

/// The view of a service that lists its members; `None` for those that have none.
pub const fn view_of(kind: ServiceKind) -> Option<&'static str> {
    match kind {
        ServiceKind::Consul => Some("members"),
        ServiceKind::Nomad | ServiceKind::Kubernetes => Some("nodes"),
        _ => None,
    }
}

/// Takes the members of a service in among the hosts; how many are new. What is known already gets its roles added.
pub fn taken_in(answers: &mut Answers, kind: ServiceKind, members: &Table) -> usize {
    let column = |names: &[&str]| {
        members
            .columns
            .iter()
            .position(|column| names.contains(&column.as_str()))
    };
    let (Some(name), Some(address)) = (column(&["NAME", "NODE"]), column(&["ADDRESS"])) else {
        return 0;
    };
    let part = column(&["TYPE", "ROLE"]);
    let mut new = 0;
    for row in &members.rows {
        let text = |at: usize| row.cells.get(at).map(|cell| cell.text.clone());
        let (Some(name), Some(address)) = (text(name), text(address)) else {
            continue;
        };
        if address.is_empty() || address == "-" {
            continue;
        }
        let part = part.and_then(text).unwrap_or_default();
        let role = match (kind, part.as_str()) {
            (ServiceKind::Consul, "client") => Role::ConsulClient,
            (ServiceKind::Consul, _) => Role::ConsulServer,
            (ServiceKind::Nomad, _) => Role::NomadClient,
            (ServiceKind::Kubernetes, "control plane") => Role::KubernetesServer,
            _ => Role::KubernetesAgent,
        };
        if let Some(known) = answers.hosts.iter_mut().find(|one| one.address == address) {
            let roles = known.roles.get_or_insert_with(Vec::new);
            if !roles.contains(&role) {
                roles.push(role);
            }
            continue;
        }
        new += 1;
        answers.hosts.push(HostAnswer {
            address,
            name: Some(name),
            port: None,
            roles: Some(vec![role]),
        });
    }
    new
}
