//! Prometheus over its HTTP API v1 (<https://prometheus.io/docs/prometheus/latest/querying/api/>).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Endpoint, Until, first};
use super::{Service, ServiceError, ViewSpec, gather};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// The lists of a Prometheus server.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "targets",
        title: "Targets",
    },
    ViewSpec {
        id: "alerts",
        title: "Alerts",
    },
];

/// See the module.
pub(super) struct Prometheus {
    endpoints: Vec<Endpoint>,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
struct Wrapped<T> {
    data: T,
}

/// `/api/v1/status/buildinfo`.
#[derive(Deserialize)]
struct Build {
    version: String,
}

/// `/api/v1/status/runtimeinfo`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    #[serde(default = "yes")]
    reload_config_success: bool,
}

const fn yes() -> bool {
    true
}

/// `/api/v1/targets`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    scrape_url: String,
    /// `up`, `down`, or `unknown` before the first scrape.
    health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    last_scrape: String,
}

impl Target {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The node that the recipe wrote beside it, or where it is.
    fn place(&self) -> &str {
        match self.label("node") {
            "" => self.label("instance"),
            node => node,
        }
    }
}

/// `/api/v1/alerts`.
#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    state: String,
    #[serde(default)]
    active_at: String,
}

impl Alert {
    fn name(&self) -> &str {
        self.labels
            .get("alertname")
            .map_or("unnamed", String::as_str)
    }

    fn summary(&self) -> String {
        let annotations = &self.annotations;
        let text = annotations
            .get("summary")
            .or_else(|| annotations.get("description"));
        super::brief(text.map_or("", String::as_str))
    }

    /// By what it is told from the others: all its labels.
    fn id(&self) -> String {
        let labels = self.labels.iter();
        let pairs: Vec<String> = labels
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join(",")
    }
}

impl Prometheus {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }
}

async fn get<T: DeserializeOwned>(
    endpoint: &Endpoint,
    path: &str,
    until: Until,
) -> Result<T, ServiceError> {
    let wrapped: Wrapped<T> = endpoint.get(path, until).await?;
    Ok(wrapped.data)
}

async fn targets(endpoint: &Endpoint, until: Until) -> Result<Vec<Target>, ServiceError> {
    let targets: Targets = get(endpoint, "/api/v1/targets?state=active", until).await?;
    Ok(targets.active_targets)
}

async fn alerts(endpoint: &Endpoint, until: Until) -> Result<Vec<Alert>, ServiceError> {
    let alerts: Alerts = get(endpoint, "/api/v1/alerts", until).await?;
    Ok(alerts.alerts)
}

#[async_trait]
impl Service for Prometheus {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let endpoint = first(&self.endpoints)?;
        let build: Build = get(endpoint, "/api/v1/status/buildinfo", until).await?;
        let latency_ms = super::millis(started);
        let (runtime, targets, alerts) = tokio::join!(
            get::<Runtime>(endpoint, "/api/v1/status/runtimeinfo", until),
            targets(endpoint, until),
            alerts(endpoint, until),
        );
        let mut problems = Vec::new();
        let runtime = gather(runtime, "runtime", &mut problems);
        if runtime.is_some_and(|runtime| !runtime.reload_config_success) {
            problems.push(Problem {
                key: "configuration".into(),
                health: Health::Warn,
                text: "it could not read its configuration when it was told to, and goes on with the one before".into(),
            });
        }
        let targets = gather(targets, "targets", &mut problems).unwrap_or_default();
        for target in targets.iter().filter(|target| target.health == "down") {
            problems.push(Problem {
                key: format!("target:{}:{}", target.place(), target.label("job")),
                health: Health::Warn,
                text: format!(
                    "target {} of {} does not answer: {}",
                    target.label("job"),
                    target.place(),
                    super::brief(&target.last_error)
                ),
            });
        }
        let health = super::worst(&problems);
        let alerts = gather(alerts, "alerts", &mut problems).unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert.state == "firing");
        // An alert is about something else: it makes a finding, not a sick Prometheus.
        problems.extend(firing.clone().map(|alert| Problem {
            key: format!("alert:{}", alert.id()),
            health: Health::Warn,
            text: format!("alert {} is firing: {}", alert.name(), alert.summary()),
        }));
        let up = targets
            .iter()
            .filter(|target| target.health == "up")
            .count();
        Ok(ServiceReport {
            health,
            version: Some(build.version),
            leader: None,
            members: Some(Members {
                well: super::count(up),
                total: super::count(targets.len()),
            }),
            summary: format!(
                "{up} of {} targets answer, {} alerts firing",
                targets.len(),
                firing.count()
            ),
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
            "targets" => {
                let columns = ["JOB", "NODE", "STATE", "LAST SCRAPE", "URL", "ERROR"];
                let mut table = Table::new("Targets", columns, "nothing is scraped");
                for target in targets(endpoint, until).await? {
                    let tone = match target.health.as_str() {
                        "up" => Tone::Good,
                        "down" => Tone::Bad,
                        _ => Tone::Warn,
                    };
                    table.push(
                        format!("{}:{}", target.label("job"), target.label("instance")),
                        [
                            target.label("job").into(),
                            target.place().into(),
                            Cell::new(target.health.as_str(), tone),
                            moment(&target.last_scrape).into(),
                            target.scrape_url.as_str().into(),
                            super::brief(&target.last_error).into(),
                        ],
                    );
                }
                Ok(table)
            }
            "alerts" => {
                let columns = ["ALERT", "STATE", "SEVERITY", "SINCE", "SUMMARY"];
                let mut table = Table::new("Alerts", columns, "no alert is pending or firing");
                for alert in alerts(endpoint, until).await? {
                    let tone = if alert.state == "firing" {
                        Tone::Bad
                    } else {
                        Tone::Warn
                    };
                    let severity = alert.labels.get("severity").map_or("-", String::as_str);
                    table.push(
                        alert.id(),
                        [
                            alert.name().into(),
                            Cell::new(alert.state.as_str(), tone),
                            severity.into(),
                            moment(&alert.active_at).into(),
                            alert.summary().into(),
                        ],
                    );
                }
                Ok(table)
            }
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

/// A moment to the second; Go's zero time means never.
fn moment(text: &str) -> String {
    if text.is_empty() || text.starts_with("0001-") {
        return "-".into();
    }
    text.chars().take(19).collect()
}
