//! Ceph over the manager's dashboard REST API (<https://docs.ceph.com/en/latest/mgr/ceph_api/>).
//!
//! Every call must name the API version it was written for in `Accept`, or the dashboard answers 415. Fields of the health
//! report are missing where the user lacks the scope for them: absent means "may not be read", never 0.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::api::{Auth, Endpoint, Until};
use super::{Service, ServiceError, ViewSpec};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// The media type of version 1.0, which every call used here has.
const ACCEPT: &str = "application/vnd.ceph.api.v1.0+json";

/// See the module.
pub(super) struct Ceph {
    endpoints: Vec<Endpoint>,
    user: Option<String>,
    password: Option<SecretString>,
    /// The endpoint that serves (only the active manager does) and its token; a login per poll would fill the audit log.
    session: Mutex<Option<Endpoint>>,
}

/// The lists of a Ceph cluster.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "osds",
        title: "OSDs",
    },
    ViewSpec {
        id: "monitors",
        title: "Monitors",
    },
    ViewSpec {
        id: "pools",
        title: "Pools",
    },
    ViewSpec {
        id: "hosts",
        title: "Hosts",
    },
];

impl Ceph {
    pub(super) fn new(
        endpoints: Vec<Endpoint>,
        user: Option<String>,
        password: Option<SecretString>,
    ) -> Self {
        Self {
            endpoints,
            user,
            password,
            session: Mutex::new(None),
        }
    }

    /// Asks with the kept token, and once more after a new login when the token is no longer good.
    async fn get<T: DeserializeOwned>(&self, path: &str, until: Until) -> Result<T, ServiceError> {
        let mut session = self.session.lock().await;
        if let Some(endpoint) = session.as_ref() {
            match endpoint.get(path, until).await {
                Err(
                    ServiceError::Denied { status: 401, .. } | ServiceError::Unreachable { .. },
                ) => *session = None,
                other => return other,
            }
        }
        let endpoint = session.insert(self.log_in(until).await?);
        endpoint.get(path, until).await
    }

    async fn log_in(&self, until: Until) -> Result<Endpoint, ServiceError> {
        #[derive(Deserialize)]
        struct Token {
            token: SecretString,
        }
        let (Some(user), Some(password)) = (&self.user, &self.password) else {
            return Err(ServiceError::Setup(
                "the Ceph dashboard asks for `user:` and `secret:`".into(),
            ));
        };
        let body = json!({ "username": user, "password": password.expose_secret() });
        let mut first_error = None;
        for endpoint in &self.endpoints {
            let open = endpoint.with(Auth::None, ACCEPT);
            let answer = async {
                open.post("/api/auth", &body, until)
                    .await?
                    .success()?
                    .json::<Token>()
            };
            match answer.await {
                Ok(token) => return Ok(endpoint.with(Auth::Bearer(token.token), ACCEPT)),
                // A standby manager redirects or refuses: the next endpoint may be the active one.
                Err(error) => _ = first_error.get_or_insert(error),
            }
        }
        Err(first_error.unwrap_or_else(|| ServiceError::Setup("no endpoint".into())))
    }
}

/// `/api/health/minimal`, as far as it is used.
#[derive(Deserialize)]
struct Minimal {
    health: HealthPart,
    mon_status: Option<MonStatus>,
    osd_map: Option<OsdMap>,
    df: Option<Df>,
    pg_info: Option<Value>,
}

#[derive(Deserialize)]
struct HealthPart {
    status: String,
    #[serde(default)]
    checks: Value,
}

#[derive(Deserialize)]
struct MonStatus {
    quorum: Vec<u32>,
    monmap: MonMap,
}

#[derive(Deserialize)]
struct MonMap {
    mons: Vec<Value>,
}

#[derive(Deserialize)]
struct OsdMap {
    osds: Vec<OsdState>,
}

#[derive(Deserialize)]
struct OsdState {
    up: u8,
    #[serde(rename = "in")]
    is_in: u8,
}

#[derive(Deserialize)]
struct Df {
    stats: DfStats,
}

#[derive(Deserialize)]
struct DfStats {
    total_bytes: u64,
    total_used_raw_bytes: u64,
}

/// A health check: in a list under `type` (minimal report), or in a map from its name (newer reports).
fn checks(value: &Value) -> Vec<(String, Health, String)> {
    let one = |name: &str, check: &Value| {
        let health = if check["severity"] == "HEALTH_ERR" {
            Health::Down
        } else {
            Health::Warn
        };
        let text = check["summary"]["message"].as_str().unwrap_or(name);
        (name.to_owned(), health, super::brief(text))
    };
    match value {
        Value::Array(list) => list
            .iter()
            .map(|check| one(check["type"].as_str().unwrap_or("unnamed"), check))
            .collect(),
        Value::Object(map) => map.iter().map(|(name, check)| one(name, check)).collect(),
        _ => Vec::new(),
    }
}

#[async_trait]
impl Service for Ceph {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let minimal: Minimal = self.get("/api/health/minimal", until).await?;
        let latency_ms = super::millis(started);
        // "ceph version 16.2.15 (hash) pacific (stable)"; a user without the scope still gets a report without it.
        let version = self
            .get::<Value>("/api/summary", until)
            .await
            .ok()
            .and_then(|summary| {
                summary["version"]
                    .as_str()
                    .and_then(|text| text.split(' ').nth(2).map(str::to_owned))
            });
        let mut problems: Vec<Problem> = checks(&minimal.health.checks)
            .into_iter()
            .map(|(name, health, text)| Problem {
                key: format!("check:{name}"),
                health,
                text: format!("{name}: {text}"),
            })
            .collect();
        problems.sort_by_key(|problem| problem.health != Health::Down);
        let health = match minimal.health.status.as_str() {
            "HEALTH_OK" => Health::Ok,
            "HEALTH_WARN" => Health::Warn,
            "HEALTH_ERR" => Health::Down,
            _ => Health::Unknown,
        };
        let mut parts = Vec::new();
        if let Some(map) = &minimal.osd_map {
            let up = map.osds.iter().filter(|osd| osd.up == 1).count();
            let inside = map.osds.iter().filter(|osd| osd.is_in == 1).count();
            parts.push(format!("{up} up, {inside} in of {} OSDs", map.osds.len()));
        }
        if let Some(df) = &minimal.df
            && df.stats.total_bytes > 0
        {
            let percent =
                df.stats.total_used_raw_bytes as f64 / df.stats.total_bytes as f64 * 100.0;
            parts.push(format!("{percent:.0} % used"));
        }
        if let Some(states) = minimal
            .pg_info
            .as_ref()
            .and_then(|info| info["statuses"].as_object())
        {
            let unclean: u64 = states
                .iter()
                .filter(|(state, _)| state.as_str() != "active+clean")
                .filter_map(|(_, number)| number.as_u64())
                .sum();
            if unclean > 0 {
                parts.push(format!("{unclean} PGs not clean"));
            }
        }
        Ok(ServiceReport {
            health,
            version,
            leader: None,
            members: minimal.mon_status.map(|mons| Members {
                well: super::count(mons.quorum.len()),
                total: super::count(mons.monmap.mons.len()),
            }),
            summary: if parts.is_empty() {
                minimal.health.status
            } else {
                parts.join(", ")
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
        match view {
            "osds" => Ok(osds(&self.get::<Vec<Value>>("/api/osd", until).await?)),
            "monitors" => Ok(monitors(&self.get::<Value>("/api/monitor", until).await?)),
            "pools" => Ok(pools(&self.get::<Vec<Value>>("/api/pool", until).await?)),
            "hosts" => Ok(hosts(&self.get::<Vec<Value>>("/api/host", until).await?)),
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

/// A JSON scalar as text, `-` where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => "-".into(),
    }
}

fn yes_no(value: &Value, good: &str, bad: &str) -> Cell {
    match value.as_i64() {
        Some(1) => Cell::new(good, Tone::Good),
        Some(_) => Cell::new(bad, Tone::Bad),
        None => Cell::new("-", Tone::Muted),
    }
}

fn osds(list: &[Value]) -> Table {
    let mut table = Table::new(
        "OSDs",
        [
            "OSD", "STATE", "PLACED", "HOST", "CLASS", "WEIGHT", "PGS", "USED",
        ],
        "there are no OSDs",
    );
    for osd in list {
        let id = text(&osd["osd"]);
        let stats = &osd["osd_stats"];
        let used = match (stats["kb_used"].as_u64(), stats["kb"].as_u64()) {
            (Some(used), Some(all)) if all > 0 => {
                format!("{:.0} %", used as f64 / all as f64 * 100.0)
            }
            _ => "-".into(),
        };
        table.push(
            id.clone(),
            [
                format!("osd.{id}").into(),
                yes_no(&osd["up"], "up", "down"),
                yes_no(&osd["in"], "in", "out"),
                text(&osd["host"]["name"]).into(),
                text(&osd["tree"]["device_class"]).into(),
                osd["weight"]
                    .as_f64()
                    .map_or_else(|| "-".into(), |weight| format!("{weight:.2}"))
                    .into(),
                text(&stats["num_pgs"]).into(),
                used.into(),
            ],
        );
    }
    table
}

fn monitors(value: &Value) -> Table {
    let mut table = Table::new(
        "Monitors",
        ["MONITOR", "STATE", "RANK", "ADDRESS"],
        "there are no monitors",
    );
    let groups = [
        ("in_quorum", Cell::new("in quorum", Tone::Good)),
        ("out_quorum", Cell::new("out of quorum", Tone::Bad)),
    ];
    for (group, state) in groups {
        for monitor in value[group].as_array().into_iter().flatten() {
            let name = text(&monitor["name"]);
            let cells = [
                name.clone().into(),
                state.clone(),
                text(&monitor["rank"]).into(),
                text(&monitor["addr"]).into(),
            ];
            table.push(name, cells);
        }
    }
    table
}

fn pools(list: &[Value]) -> Table {
    let mut table = Table::new(
        "Pools",
        ["POOL", "TYPE", "SIZE", "MIN", "PGS", "APPLICATION"],
        "there are no pools",
    );
    for pool in list {
        let name = text(&pool["pool_name"]);
        let applications: Vec<String> = match &pool["application_metadata"] {
            Value::Array(names) => names.iter().map(text).collect(),
            Value::Object(map) => map.keys().cloned().collect(),
            _ => Vec::new(),
        };
        table.push(
            name.clone(),
            [
                name.into(),
                text(&pool["type"]).into(),
                text(&pool["size"]).into(),
                text(&pool["min_size"]).into(),
                text(&pool["pg_num"]).into(),
                applications.join(" ").into(),
            ],
        );
    }
    table
}

fn hosts(list: &[Value]) -> Table {
    let mut table = Table::new(
        "Hosts",
        ["HOST", "SERVICES", "VERSION"],
        "there are no hosts",
    );
    for host in list {
        let name = text(&host["hostname"]);
        let services: Vec<String> = host["services"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|service| format!("{}.{}", text(&service["type"]), text(&service["id"])))
            .collect();
        let version = text(&host["ceph_version"]);
        table.push(
            name.clone(),
            [name.into(), services.join(" ").into(), version.into()],
        );
    }
    table
}
