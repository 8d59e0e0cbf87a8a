//! What follows from what: a node that cannot be reached takes members, endpoints and checks along, and whoever is called at
//! night should read of one thing that is wrong, and not of a dozen.

use super::{Finding, Subject};
use crate::domain::node::Node;
use crate::domain::service::{ServiceKind, ServiceSpec};

/// The node that a service's finding `key` is about; `None` when it is about something else.
pub(super) fn node_of<'n>(spec: &ServiceSpec, key: &str, nodes: &'n [Node]) -> Option<&'n str> {
    let (kind, detail) = key.split_once(':')?;
    let of_node = match spec.kind {
        ServiceKind::Consul => matches!(kind, "endpoint" | "member" | "check"),
        ServiceKind::Vault => matches!(kind, "endpoint" | "sealed" | "cut-off"),
        ServiceKind::Nomad => matches!(kind, "endpoint" | "server" | "client"),
        ServiceKind::Kubernetes => kind == "node",
        ServiceKind::Traefik if kind == "server" => return serving(detail, nodes),
        ServiceKind::Prometheus => matches!(kind, "endpoint" | "target"),
        ServiceKind::Ceph
        | ServiceKind::Harbor
        | ServiceKind::Traefik
        | ServiceKind::Grafana
        | ServiceKind::Etcd => kind == "endpoint",
    };
    if !of_node {
        return None;
    }
    // `NODE`, `NODE:CHECK`, and Nomad's servers as `NODE.REGION`; a node's own name may have dots.
    let meant = nodes.iter().map(|node| node.name.as_str()).filter(|node| {
        let rest = detail.strip_prefix(node);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
    });
    meant.max_by_key(|node| node.len())
}

/// The node that one of Traefik's servers is on, told as `SERVICE:URL`.
fn serving<'n>(detail: &str, nodes: &'n [Node]) -> Option<&'n str> {
    let (_, server) = detail.rsplit_once("://")?;
    let host = match server.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next()?,
        None => server.split([':', '/']).next()?,
    };
    let is_here = |node: &&Node| {
        let lan = node.labels.get("lan").map(String::as_str);
        [Some(node.name.as_str()), Some(&node.address), lan].contains(&Some(host))
    };
    let mut here = nodes.iter().filter(is_here);
    let first = here.next()?;
    // Boards of a lab share their address: then nobody knows whose it is.
    here.next().is_none().then_some(first.name.as_str())
}

/// Brings findings into their order: worst first, then oldest first, and what follows from another one directly below it.
pub fn rank(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| {
        (a.severity, a.since, &a.subject, &a.key).cmp(&(b.severity, b.since, &b.subject, &b.key))
    });
    let (mut following, heads): (Vec<Finding>, Vec<Finding>) = std::mem::take(findings)
        .into_iter()
        .partition(|finding| finding.because.is_some());
    for head in heads {
        let below = following.extract_if(.., |finding| is_below(finding, &head));
        let below: Vec<Finding> = below.collect();
        findings.push(head);
        findings.extend(below);
    }
    // A cause that is not listed leaves what followed from it, which is wrong all the same.
    findings.append(&mut following);
}

fn is_below(finding: &Finding, head: &Finding) -> bool {
    head.key == super::UNREACHABLE && finding.because.as_ref() == Some(&head.subject)
}

/// The findings that follow from no other one.
pub fn heads(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.because.is_none())
}

/// How many findings follow from what is wrong with `subject`.
pub fn following(findings: &[Finding], subject: &Subject) -> usize {
    let from_it = |finding: &&Finding| finding.because.as_ref() == Some(subject);
    findings.iter().filter(from_it).count()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;

    use super::*;
    use crate::domain::finding::Severity;
    use crate::domain::node::SshAccess;
    use crate::domain::platform::{Arch, Platform};

    fn spec(kind: ServiceKind) -> ServiceSpec {
        ServiceSpec {
            name: kind.to_string(),
            kind,
            urls: Vec::new(),
            nodes: Vec::new(),
            user: None,
            secret: None,
            ca: None,
        }
    }

    fn node(name: &str, address: &str) -> Node {
        Node {
            name: name.into(),
            address: address.into(),
            platform: Platform::Generic,
            arch: Arch::Amd64,
            roles: BTreeSet::new(),
            labels: BTreeMap::new(),
            ssh: SshAccess::default(),
        }
    }

    #[test]
    fn a_key_leads_to_its_node_and_only_where_it_is_about_one() {
        let nodes = [
            node("pc1", "10.0.0.1"),
            node("pc1.lan", "10.0.0.4"),
            node("pc2", "10.0.0.2"),
        ];
        for (kind, key, node) in [
            (ServiceKind::Consul, "member:pc2", Some("pc2")),
            (ServiceKind::Consul, "check:pc2:web", Some("pc2")),
            (ServiceKind::Consul, "member:pc22", None),
            (ServiceKind::Consul, "no-leader", None),
            (ServiceKind::Nomad, "server:pc2.global", Some("pc2")),
            (ServiceKind::Nomad, "server:pc1.lan.global", Some("pc1.lan")),
            (ServiceKind::Nomad, "job:pc2", None),
            (
                ServiceKind::Traefik,
                "server:web@consul:http://10.0.0.2:80",
                Some("pc2"),
            ),
            (
                ServiceKind::Traefik,
                "server:web@consul:http://10.0.0.22/a",
                None,
            ),
            (ServiceKind::Traefik, "server:pc2:pc2:80", None),
            (ServiceKind::Kubernetes, "node:pc1", Some("pc1")),
        ] {
            assert_eq!(node_of(&spec(kind), key, &nodes), node, "{kind} {key}");
        }
    }

    #[test]
    fn what_follows_stands_below_its_cause_and_is_not_lost_without_it() {
        let finding = |subject: &str, key: &str, severity, because: Option<&str>| Finding {
            key: key.into(),
            severity,
            subject: Subject::Node(subject.into()),
            text: String::new(),
            evidence: String::new(),
            since: Timestamp::UNIX_EPOCH,
            remedy: None,
            because: because.map(|node| Subject::Node(node.into())),
        };
        let mut findings = vec![
            finding("consul", "member:pc2", Severity::Warning, Some("pc2")),
            finding("pc3", "disk", Severity::Warning, None),
            finding("pc2", "unreachable", Severity::Critical, None),
            finding("nomad", "client:pc9", Severity::Critical, Some("pc9")),
            finding("vault", "no-active", Severity::Critical, None),
        ];
        rank(&mut findings);
        let keys: Vec<&str> = findings
            .iter()
            .map(|finding| finding.key.as_str())
            .collect();
        assert_eq!(
            keys,
            [
                "unreachable",
                "member:pc2",
                "no-active",
                "disk",
                "client:pc9"
            ]
        );
        assert_eq!(heads(&findings).count(), 3);
        assert_eq!(following(&findings, &Subject::Node("pc2".into())), 1);
    }
}
