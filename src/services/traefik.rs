//! Traefik v3 over its read-only API (<https://doc.traefik.io/traefik/operations/api/>).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::api::{Endpoint, Until, first};
use super::{Service, ServiceError, ViewSpec, gather};
use crate::domain::live::{Health, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Traefik {
    endpoints: Vec<Endpoint>,
}

/// The lists of a Traefik proxy.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "routers",
        title: "Routers",
    },
    ViewSpec {
        id: "services",
        title: "Services",
    },
    ViewSpec {
        id: "middlewares",
        title: "Middlewares",
    },
    ViewSpec {
        id: "entrypoints",
        title: "Entry points",
    },
];

/// `/api/overview`, as far as it is used.
#[derive(Deserialize)]
struct Overview {
    http: Section,
    #[serde(default)]
    tcp: Section,
    #[serde(default)]
    udp: Section,
}

#[derive(Deserialize, Default)]
struct Section {
    #[serde(default)]
    routers: Counts,
    #[serde(default)]
    services: Counts,
    #[serde(default)]
    middlewares: Counts,
}

/// `errors` counts what is disabled.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(default)]
struct Counts {
    total: u32,
    warnings: u32,
    errors: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Router {
    name: String,
    #[serde(default)]
    rule: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    entry_points: Vec<String>,
    status: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    error: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Backend {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    server_status: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Middleware {
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    provider: String,
}

#[derive(Deserialize)]
struct EntryPoint {
    name: String,
    address: String,
}

impl Traefik {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    /// Reads all pages of a list. `X-Next-Page` is 1 on the last one.
    async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Until,
    ) -> Result<Vec<T>, ServiceError> {
        let mut all = Vec::new();
        let mut page = 1_u32;
        loop {
            let answer = first(&self.endpoints)?
                .ask(&format!("{path}?page={page}&per_page=100"), until)
                .await?
                .success()?;
            all.extend(answer.json::<Vec<T>>()?);
            match answer
                .header("x-next-page")
                .and_then(|next| next.parse::<u32>().ok())
            {
                Some(next) if next > page => page = next,
                _ => return Ok(all),
            }
        }
    }
}

#[async_trait]
impl Service for Traefik {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "Version", alias = "version")]
            version: String,
        }
        let started = Instant::now();
        let until = Until::after(deadline);
        let endpoint = first(&self.endpoints)?;
        let overview: Overview = endpoint.get("/api/overview", until).await?;
        let latency_ms = super::millis(started);
        let (version, backends) = tokio::join!(
            endpoint.get::<Version>("/api/version", until),
            self.list::<Backend>("/api/http/services", until),
        );
        let mut problems = Vec::new();
        for (protocol, section) in [
            ("HTTP", &overview.http),
            ("TCP", &overview.tcp),
            ("UDP", &overview.udp),
        ] {
            for (what, counts) in [
                ("routers", section.routers),
                ("services", section.services),
                ("middlewares", section.middlewares),
            ] {
                for (number, state) in [
                    (counts.errors, "disabled by an error"),
                    (counts.warnings, "running with warnings"),
                ] {
                    if number > 0 {
                        problems.push(Problem {
                            key: format!("{protocol}:{what}:{state}"),
                            health: Health::Warn,
                            text: format!("{number} {protocol} {what} {state}"),
                        });
                    }
                }
            }
        }
        for backend in gather(backends, "services", &mut problems).unwrap_or_default() {
            for (server, _) in backend
                .server_status
                .iter()
                .filter(|(_, status)| *status != "UP")
            {
                problems.push(Problem {
                    key: format!("server:{}:{server}", backend.name),
                    health: Health::Warn,
                    text: format!("{}: server {server} is down", backend.name),
                });
            }
        }
        let version = gather(version, "version", &mut problems).map(|version| version.version);
        let http = &overview.http;
        Ok(ServiceReport {
            health: super::worst(&problems),
            version,
            leader: None,
            members: None,
            summary: format!(
                "{} routers, {} services, {} middlewares",
                http.routers.total, http.services.total, http.middlewares.total
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
        match view {
            "routers" => Ok(routers(self.list("/api/http/routers", until).await?)),
            "services" => Ok(backends(self.list("/api/http/services", until).await?)),
            "middlewares" => {
                let mut table = Table::new(
                    "Middlewares",
                    ["MIDDLEWARE", "STATE", "TYPE", "PROVIDER"],
                    "there are no middlewares",
                );
                for item in self
                    .list::<Middleware>("/api/http/middlewares", until)
                    .await?
                {
                    table.push(
                        item.name.clone(),
                        [
                            item.name.into(),
                            state(&item.status),
                            item.kind.into(),
                            item.provider.into(),
                        ],
                    );
                }
                Ok(table)
            }
            "entrypoints" => {
                let mut table = Table::new(
                    "Entry points",
                    ["ENTRY POINT", "ADDRESS"],
                    "there are no entry points",
                );
                for point in self.list::<EntryPoint>("/api/entrypoints", until).await? {
                    table.push(
                        point.name.clone(),
                        [point.name.into(), point.address.into()],
                    );
                }
                Ok(table)
            }
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

fn state(status: &str) -> Cell {
    Cell::new(
        status,
        match status {
            "enabled" => Tone::Good,
            "warning" => Tone::Warn,
            "disabled" => Tone::Bad,
            _ => Tone::Muted,
        },
    )
}

/// What is wrong comes first.
fn rank(status: &str) -> usize {
    ["disabled", "warning", "enabled"]
        .iter()
        .position(|known| *known == status)
        .unwrap_or(0)
}

fn routers(mut list: Vec<Router>) -> Table {
    list.sort_by(|a, b| (rank(&a.status), &a.name).cmp(&(rank(&b.status), &b.name)));
    let columns = [
        "ROUTER",
        "STATE",
        "RULE",
        "SERVICE",
        "ENTRY POINTS",
        "PROVIDER",
        "ERROR",
    ];
    let mut table = Table::new("Routers", columns, "no router is configured");
    for router in list {
        table.push(
            router.name.clone(),
            [
                router.name.into(),
                state(&router.status),
                router.rule.into(),
                router.service.into(),
                router.entry_points.join(" ").into(),
                router.provider.into(),
                super::brief(&router.error.join("; ")).into(),
            ],
        );
    }
    table
}

fn backends(mut list: Vec<Backend>) -> Table {
    list.sort_by(|a, b| (rank(&a.status), &a.name).cmp(&(rank(&b.status), &b.name)));
    let mut table = Table::new(
        "Services",
        ["SERVICE", "STATE", "SERVERS UP", "TYPE", "PROVIDER"],
        "no service is configured",
    );
    for backend in list {
        let total = backend.server_status.len();
        let up = backend
            .server_status
            .values()
            .filter(|status| *status == "UP")
            .count();
        let servers = if total == 0 {
            Cell::new("-", Tone::Muted)
        } else {
            Cell::new(
                format!("{up}/{total}"),
                if up == total { Tone::Good } else { Tone::Bad },
            )
        };
        table.push(
            backend.name.clone(),
            [
                backend.name.into(),
                state(&backend.status),
                servers,
                backend.kind.into(),
                backend.provider.into(),
            ],
        );
    }
    table
}
