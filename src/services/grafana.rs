//! Grafana over its HTTP API (<https://grafana.com/docs/grafana/latest/developers/http_api/>).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;

use super::api::{Endpoint, Until, first};
use super::{Service, ServiceError, ViewSpec, gather};
use crate::domain::live::{Health, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Grafana {
    endpoints: Vec<Endpoint>,
}

/// The lists of a Grafana server.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "alerts",
        title: "Alerts",
    },
    ViewSpec {
        id: "rules",
        title: "Alert rules",
    },
    ViewSpec {
        id: "datasources",
        title: "Data sources",
    },
    ViewSpec {
        id: "dashboards",
        title: "Dashboards",
    },
];

/// `/api/health`, which needs no token; 503 when the database fails.
#[derive(Deserialize)]
struct HealthAnswer {
    database: String,
    #[serde(default)]
    version: String,
}

/// `/api/alertmanager/grafana/api/v2/alerts`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    fingerprint: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    status: AlertStatus,
}

#[derive(Deserialize)]
struct AlertStatus {
    state: String,
}

impl Alert {
    fn name(&self) -> &str {
        self.labels
            .get("alertname")
            .map_or("unnamed", String::as_str)
    }

    fn summary(&self) -> String {
        let text = self
            .annotations
            .get("summary")
            .or_else(|| self.annotations.get("description"));
        super::brief(text.map_or("", String::as_str))
    }
}

/// `/api/v1/provisioning/alert-rules`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    uid: String,
    title: String,
    #[serde(default)]
    rule_group: String,
    #[serde(default)]
    is_paused: bool,
    #[serde(default)]
    provenance: String,
    #[serde(rename = "for", default)]
    pending: String,
}

/// `/api/datasources`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataSource {
    uid: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    is_default: bool,
}

/// `/api/search?type=dash-db`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dashboard {
    uid: String,
    title: String,
    #[serde(default)]
    folder_title: String,
    #[serde(default)]
    tags: Vec<String>,
}

const ALERTS: &str = "/api/alertmanager/grafana/api/v2/alerts";

impl Grafana {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }
}

#[async_trait]
impl Service for Grafana {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let endpoint = first(&self.endpoints)?;
        let answer = endpoint.ask("/api/health", until).await?;
        let latency_ms = super::millis(started);
        let answer = if answer.status() == 503 {
            answer
        } else {
            answer.success()?
        };
        let health: HealthAnswer = answer.json()?;
        let mut problems = Vec::new();
        if health.database != "ok" {
            problems.push(Problem {
                key: "database".into(),
                health: Health::Down,
                text: format!("the database is {}", super::brief(&health.database)),
            });
        }
        let alerts = gather(
            endpoint.get::<Vec<Alert>>(ALERTS, until).await,
            "alerts",
            &mut problems,
        );
        let firing: Vec<&Alert> = alerts
            .iter()
            .flatten()
            .filter(|alert| alert.status.state == "active")
            .collect();
        for alert in &firing {
            problems.push(Problem {
                key: format!("alert:{}", alert.fingerprint),
                health: Health::Warn,
                text: format!("alert {} is firing: {}", alert.name(), alert.summary()),
            });
        }
        Ok(ServiceReport {
            // An alert is about something else: it makes a finding, not a sick Grafana.
            health: if health.database == "ok" {
                Health::Ok
            } else {
                Health::Down
            },
            version: (!health.version.is_empty()).then_some(health.version),
            leader: None,
            members: None,
            summary: match alerts {
                Some(_) => format!(
                    "database {}, {} alerts firing",
                    health.database,
                    firing.len()
                ),
                None => format!("database {}", health.database),
            },
            problems,
            latency_ms,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        VIEWS
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        let until = Until::after(deadline);
        let endpoint = first(&self.endpoints)?;
        match view {
            "alerts" => {
                let mut table = Table::new(
                    "Alerts",
                    ["ALERT", "STATE", "SEVERITY", "SINCE", "SUMMARY"],
                    "no alert is firing",
                );
                for alert in endpoint.get::<Vec<Alert>>(ALERTS, until).await? {
                    let active = alert.status.state == "active";
                    let state = if active {
                        Cell::new("firing", Tone::Bad)
                    } else {
                        Cell::new(alert.status.state.as_str(), Tone::Warn)
                    };
                    let severity = alert.labels.get("severity").map_or("-", String::as_str);
                    let cells = [
                        alert.name().into(),
                        state,
                        severity.into(),
                        alert.starts_at.chars().take(19).collect::<String>().into(),
                        alert.summary().into(),
                    ];
                    table.push(alert.fingerprint.clone(), cells);
                }
                Ok(table)
            }
            "rules" => {
                let mut table = Table::new(
                    "Alert rules",
                    ["RULE", "STATE", "GROUP", "FOR", "MANAGED BY"],
                    "there are no alert rules",
                );
                for rule in endpoint
                    .get::<Vec<Rule>>("/api/v1/provisioning/alert-rules", until)
                    .await?
                {
                    let state = if rule.is_paused {
                        Cell::new("paused", Tone::Warn)
                    } else {
                        Cell::new("active", Tone::Good)
                    };
                    let manager = if rule.provenance.is_empty() {
                        "people".into()
                    } else {
                        rule.provenance
                    };
                    table.push(
                        rule.uid,
                        [
                            rule.title.into(),
                            state,
                            rule.rule_group.into(),
                            rule.pending.into(),
                            manager.into(),
                        ],
                    );
                }
                Ok(table)
            }
            "datasources" => {
                let mut table = Table::new(
                    "Data sources",
                    ["NAME", "TYPE", "DEFAULT", "URL"],
                    "there are no data sources",
                );
                for source in endpoint
                    .get::<Vec<DataSource>>("/api/datasources", until)
                    .await?
                {
                    let default = if source.is_default {
                        Cell::new("default", Tone::Accent)
                    } else {
                        Cell::new("-", Tone::Muted)
                    };
                    table.push(
                        source.uid,
                        [
                            source.name.into(),
                            source.kind.into(),
                            default,
                            source.url.into(),
                        ],
                    );
                }
                Ok(table)
            }
            "dashboards" => {
                let mut table = Table::new(
                    "Dashboards",
                    ["DASHBOARD", "FOLDER", "TAGS"],
                    "there are no dashboards",
                );
                for dashboard in endpoint
                    .get::<Vec<Dashboard>>("/api/search?type=dash-db&limit=5000", until)
                    .await?
                {
                    table.push(
                        dashboard.uid,
                        [
                            dashboard.title.into(),
                            dashboard.folder_title.into(),
                            dashboard.tags.join(" ").into(),
                        ],
                    );
                }
                Ok(table)
            }
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}
