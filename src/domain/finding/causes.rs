//! What follows from what: a node that cannot be reached takes members, endpoints and checks along, and whoever is called at
//! night should read of one thing that is wrong, and not of a dozen.

use super::{Finding, Subject};
use crate::domain::service::{ServiceKind, ServiceSpec};

/// The node that a service's finding `key` is about; `None` when it is about something else.
pub(super) fn node_of<'n>(
    spec: &ServiceSpec,
    key: &str,
    nodes: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let (kind, detail) = key.split_once(':')?;
    let of_node = match spec.kind {
        ServiceKind::Consul => matches!(kind, "endpoint" | "member" | "check"),
        ServiceKind::Vault => matches!(kind, "endpoint" | "sealed" | "cut-off"),
        ServiceKind::Nomad => matches!(kind, "endpoint" | "server" | "client"),
        ServiceKind::Kubernetes => kind == "node",
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
    let mut nodes = nodes.filter(|node| {
        let rest = detail.strip_prefix(node);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.']))
    });
    let first = nodes.next()?;
    Some(nodes.fold(first, |longest, node| {
        if node.len() > longest.len() {
            node
        } else {
            longest
        }
    }))
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
    use jiff::Timestamp;

    use super::*;
    use crate::domain::finding::Severity;

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

    #[test]
    fn a_key_leads_to_its_node_and_only_where_it_is_about_one() {
        let nodes = ["pc1", "pc1.lan", "pc2"];
        for (kind, key, node) in [
            (ServiceKind::Consul, "member:pc2", Some("pc2")),
            (ServiceKind::Consul, "check:pc2:web", Some("pc2")),
            (ServiceKind::Consul, "member:pc22", None),
            (ServiceKind::Consul, "no-leader", None),
            (ServiceKind::Nomad, "server:pc2.global", Some("pc2")),
            (ServiceKind::Nomad, "server:pc1.lan.global", Some("pc1.lan")),
            (ServiceKind::Nomad, "job:pc2", None),
            (ServiceKind::Traefik, "server:pc2:http://10.0.0.2", None),
            (ServiceKind::Kubernetes, "node:pc1", Some("pc1")),
        ] {
            assert_eq!(
                node_of(&spec(kind), key, nodes.into_iter()),
                node,
                "{kind} {key}"
            );
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
