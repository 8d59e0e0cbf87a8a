//! What Grafana watches: rules with conditions on the lab's nodes, and how long each has held.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::lab::services::ids::Ids;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};

/// What a rule watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// A node has no power.
    NodeDown,
    /// The certificate of the ingress ends soon; set by a fault.
    Certificate,
    /// A disk grows slowly; holds from the start, for ever.
    Disk,
}

/// An alert rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub uid: String,
    pub title: &'static str,
    pub group: &'static str,
    pub condition: Condition,
    pub query: &'static str,
    pub severity: &'static str,
    pub summary: &'static str,
    /// How long the condition must hold before it fires.
    pub hold: SignedDuration,
    /// What it holds for, and since when.
    pub instances: Vec<Instance>,
}

/// A thing for which a rule's condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Instance {
    pub node: String,
    pub since: Timestamp,
}

/// How a rule or an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    Inactive,
    Pending,
    Firing,
}

impl Rule {
    /// How the instance is at `now`.
    pub(crate) fn alarm(&self, instance: &Instance, now: Timestamp) -> Alarm {
        if now.duration_since(instance.since) >= self.hold {
            Alarm::Firing
        } else {
            Alarm::Pending
        }
    }

    /// The worst of its instances.
    pub(crate) fn worst(&self, now: Timestamp) -> Alarm {
        self.instances
            .iter()
            .map(|instance| self.alarm(instance, now))
            .max()
            .unwrap_or(Alarm::Inactive)
    }
}

/// An instance of Grafana.
pub(crate) struct Grafana {
    pub rules: Vec<Rule>,
    pub ids: Ids,
    pub born: Timestamp,
    certificate_ends: bool,
    nodes: Vec<String>,
    revision: u64,
}

impl Grafana {
    /// Rules over all nodes.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        let ids = around.ids;
        let rule = |title, group, condition, query, severity, summary, hold| Rule {
            uid: ids.word(&format!("grafana/rule/{title}"), 14),
            title,
            group,
            condition,
            query,
            severity,
            summary,
            hold,
            instances: Vec::new(),
        };
        let mut grafana = Self {
            rules: vec![
                rule(
                    "NodeDown",
                    "nodes",
                    Condition::NodeDown,
                    "up{job=\"node\"} == 0",
                    "critical",
                    "A node does not answer its scrapes",
                    around.pace.node_grace,
                ),
                rule(
                    "DiskFillingUp",
                    "nodes",
                    Condition::Disk,
                    "predict_linear(node_filesystem_avail_bytes[6h], 14*24*3600) < 0",
                    "warning",
                    "The disk will be full within two weeks at this pace",
                    // Longer than anybody practises: it stays pending.
                    SignedDuration::from_hours(24 * 7),
                ),
                rule(
                    "CertificateExpiring",
                    "ingress",
                    Condition::Certificate,
                    "(traefik_tls_certs_not_after - time()) / 86400 < 14",
                    "warning",
                    "The certificate of the ingress ends within two weeks",
                    SignedDuration::ZERO,
                ),
            ],
            ids,
            born: now,
            certificate_ends: false,
            nodes: around
                .cluster
                .nodes()
                .into_iter()
                .map(|host| host.name)
                .collect(),
            revision: 0,
        };
        grafana.advance(around, now);
        grafana
    }

    /// Lets the ingress' certificate end soon, or renews it.
    pub(crate) fn set_certificate_ends(&mut self, ends: bool) {
        self.certificate_ends = ends;
        self.revision += 1;
    }

    /// `/api/datasources`.
    pub(crate) fn data_sources(&self) -> Vec<Value> {
        let source = |id: u32, name: &str, kind: &str, url: &str, default: bool| {
            json!({
                "id": id,
                "uid": self.ids.word(&format!("grafana/source/{kind}"), 14),
                "orgId": 1,
                "name": name,
                "type": kind,
                "typeName": name,
                "typeLogoUrl": format!("public/app/plugins/datasource/{kind}/img/{kind}_logo.svg"),
                "access": "proxy",
                "url": url,
                "user": "",
                "database": "",
                "basicAuth": false,
                "isDefault": default,
                "jsonData": {},
                "readOnly": true,
            })
        };
        vec![
            source(2, "Loki", "loki", "http://127.0.0.1:3100", false),
            source(1, "Prometheus", "prometheus", "http://127.0.0.1:9090", true),
        ]
    }

    /// `/api/search`: folders and dashboards.
    pub(crate) fn dashboards(&self) -> Vec<Value> {
        let folder = self.ids.word("grafana/folder", 14);
        let mut entries = vec![json!({
            "id": 10,
            "orgId": 1,
            "uid": folder,
            "title": "Cluster",
            "uri": "db/cluster",
            "url": format!("/dashboards/f/{folder}/cluster"),
            "slug": "",
            "type": "dash-folder",
            "tags": [],
            "isStarred": false,
            "sortMeta": 0,
            "isDeleted": false,
        })];
        for (id, title, slug, tag) in [
            (11, "Ceph", "ceph", "storage"),
            (12, "Ingress", "ingress", "network"),
            (13, "Nodes", "nodes", "hardware"),
        ] {
            let uid = self.ids.word(&format!("grafana/dashboard/{slug}"), 14);
            entries.push(json!({
                "id": id,
                "orgId": 1,
                "uid": uid,
                "title": title,
                "uri": format!("db/{slug}"),
                "url": format!("/d/{uid}/{slug}"),
                "slug": "",
                "type": "dash-db",
                "tags": [tag],
                "isStarred": false,
                "folderId": 10,
                "folderUid": folder,
                "folderTitle": "Cluster",
                "folderUrl": format!("/dashboards/f/{folder}/cluster"),
                "sortMeta": 0,
                "isDeleted": false,
            }));
        }
        entries
    }
}

impl Machine for Grafana {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let last = self.nodes.last().cloned();
        for rule in &mut self.rules {
            let holding: Vec<&String> = match rule.condition {
                Condition::NodeDown => self
                    .nodes
                    .iter()
                    .filter(|node| !around.cluster.node_up(node))
                    .collect(),
                Condition::Certificate if !self.certificate_ends => Vec::new(),
                Condition::Certificate | Condition::Disk => last.iter().collect(),
            };
            let before = rule.instances.len();
            rule.instances
                .retain(|instance| holding.contains(&&instance.node));
            let mut changed = rule.instances.len() != before;
            for node in holding {
                if !rule.instances.iter().any(|instance| instance.node == *node) {
                    rule.instances.push(Instance {
                        node: node.clone(),
                        since: now,
                    });
                    changed = true;
                }
            }
            self.revision += u64::from(changed);
        }
        // Nobody waits for Grafana: its alarms follow from the clock when somebody looks.
        Outlook::Settled
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
