//! Harbor over its API v2.0 (<https://goharbor.io/docs/latest/working-with-projects/using-api-explorer/>).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Endpoint, Until, first};
use super::{Service, ServiceError, ViewSpec};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Harbor {
    endpoints: Vec<Endpoint>,
}

/// The lists of a Harbor registry.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "components",
        title: "Components",
    },
    ViewSpec {
        id: "projects",
        title: "Projects",
    },
    ViewSpec {
        id: "quotas",
        title: "Quotas",
    },
];

/// `/api/v2.0/health`: 200 even when a component is unhealthy.
#[derive(Deserialize)]
struct HealthAnswer {
    status: String,
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    name: String,
    status: String,
    #[serde(default)]
    error: String,
}

/// `/api/v2.0/systeminfo`, as far as it is told to anybody.
#[derive(Deserialize)]
struct SystemInfo {
    harbor_version: Option<String>,
}

#[derive(Deserialize)]
struct Project {
    name: String,
    #[serde(default)]
    repo_count: u64,
    #[serde(default)]
    creation_time: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
struct Metadata {
    public: Option<String>,
}

#[derive(Deserialize)]
struct Quota {
    id: i64,
    #[serde(rename = "ref")]
    reference: Option<QuotaRef>,
    hard: Storage,
    used: Storage,
}

#[derive(Deserialize)]
struct QuotaRef {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Storage {
    storage: i64,
}

impl Harbor {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    async fn health(&self, until: Until) -> Result<HealthAnswer, ServiceError> {
        first(&self.endpoints)?.get("/api/v2.0/health", until).await
    }

    /// Reads all pages of a list; `X-Total-Count` says when it is complete.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Until,
    ) -> Result<Vec<T>, ServiceError> {
        const PAGE: usize = 100;
        const PAGES: usize = 50;
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let answer = first(&self.endpoints)?
                .ask(&format!("{path}?page={page}&page_size={PAGE}"), until)
                .await?
                .success()?;
            let batch: Vec<T> = answer.json()?;
            let received = batch.len();
            all.extend(batch);
            let total = answer
                .header("x-total-count")
                .and_then(|total| total.parse::<usize>().ok());
            if received < PAGE || total.is_some_and(|total| all.len() >= total) {
                break;
            }
        }
        Ok(all)
    }
}

#[async_trait]
impl Service for Harbor {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let answer = self.health(until).await?;
        let latency_ms = super::millis(started);
        let version = first(&self.endpoints)?
            .get::<SystemInfo>("/api/v2.0/systeminfo", until)
            .await
            .ok();
        let sick = |component: &&Component| component.status != "healthy";
        let problems: Vec<Problem> = answer
            .components
            .iter()
            .filter(sick)
            .map(|component| Problem {
                key: format!("component:{}", component.name),
                // Without one of these three nothing can be pulled.
                health: if matches!(component.name.as_str(), "core" | "database" | "registry") {
                    Health::Down
                } else {
                    Health::Warn
                },
                text: format!(
                    "{} is unhealthy: {}",
                    component.name,
                    super::brief(&component.error)
                ),
            })
            .collect();
        let total = answer.components.len();
        let well = total - problems.len();
        let health = match answer.status.as_str() {
            "healthy" => Health::Ok,
            _ => super::worst(&problems).max(Health::Warn),
        };
        Ok(ServiceReport {
            health,
            version: version
                .and_then(|info| info.harbor_version)
                // "v2.10.0-6abb4eab"
                .map(|version| {
                    version
                        .trim_start_matches('v')
                        .split('-')
                        .next()
                        .unwrap_or_default()
                        .to_owned()
                }),
            leader: None,
            members: Some(Members {
                well: super::count(well),
                total: super::count(total),
            }),
            summary: format!("{}, {well} of {total} components healthy", answer.status),
            problems,
            latency_ms,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        VIEWS
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        let until = Until::after(deadline);
        match view {
            "components" => {
                let mut table = Table::new(
                    "Components",
                    ["COMPONENT", "STATE", "ERROR"],
                    "Harbor lists no component",
                );
                for component in self.health(until).await?.components {
                    let tone = if component.status == "healthy" {
                        Tone::Good
                    } else {
                        Tone::Bad
                    };
                    let error = super::brief(&component.error);
                    table.push(
                        component.name.clone(),
                        [
                            component.name.into(),
                            Cell::new(component.status, tone),
                            error.into(),
                        ],
                    );
                }
                Ok(table)
            }
            "projects" => {
                let mut table = Table::new(
                    "Projects",
                    ["PROJECT", "ACCESS", "REPOSITORIES", "CREATED"],
                    "there are no projects",
                );
                for project in self.list::<Project>("/api/v2.0/projects", until).await? {
                    let public = project.metadata.public.as_deref() == Some("true");
                    let access = if public {
                        Cell::new("public", Tone::Warn)
                    } else {
                        Cell::plain("private")
                    };
                    let created = project.creation_time.chars().take(10).collect::<String>();
                    table.push(
                        project.name.clone(),
                        [
                            project.name.into(),
                            access,
                            project.repo_count.to_string().into(),
                            created.into(),
                        ],
                    );
                }
                Ok(table)
            }
            "quotas" => {
                let mut table = Table::new(
                    "Quotas",
                    ["PROJECT", "USED", "LIMIT", "USE"],
                    "there are no quotas",
                );
                for quota in self.list::<Quota>("/api/v2.0/quotas", until).await? {
                    let name = quota
                        .reference
                        .map(|reference| reference.name)
                        .unwrap_or_default();
                    let (used, hard) = (quota.used.storage, quota.hard.storage);
                    // -1 means no limit.
                    let (limit, share) = if hard > 0 {
                        let percent = used as f64 / hard as f64 * 100.0;
                        let tone = if percent >= 90.0 {
                            Tone::Bad
                        } else {
                            Tone::Plain
                        };
                        (bytes(hard), Cell::new(format!("{percent:.0} %"), tone))
                    } else {
                        ("none".into(), Cell::new("-", Tone::Muted))
                    };
                    table.push(
                        quota.id.to_string(),
                        [name.into(), bytes(used).into(), limit.into(), share],
                    );
                }
                Ok(table)
            }
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

/// Bytes in the largest binary unit that leaves at least one digit before the point.
fn bytes(number: i64) -> String {
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" {
                format!("{value:.0} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
