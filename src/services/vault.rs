//! Vault and OpenBao over their HTTP API (<https://developer.hashicorp.com/vault/api-docs/system>).
//!
//! Seal state is per node: every endpoint is asked on its own, never one for all.

pub(super) mod seals;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Auth, Endpoint, UNSEAL, Until};
use super::{Service, ServiceError, ViewSpec};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Vault {
    endpoints: Vec<Endpoint>,
    /// The authority of its certificates, which nodes that join must know too.
    ca: Option<PathBuf>,
}

/// The key of the problem that every node is sealed.
pub(crate) const SEALED: &str = "sealed";

/// The lists of a Vault cluster.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "seal",
        title: "Seal",
    },
    ViewSpec {
        id: "raft",
        title: "Raft",
    },
    ViewSpec {
        id: "mounts",
        title: "Mounts",
    },
    ViewSpec {
        id: "auth",
        title: "Auth methods",
    },
    ViewSpec {
        id: "policies",
        title: "Policies",
    },
];

/// How Vault is told who asks.
pub(super) fn auth(secret: Option<SecretString>) -> Auth {
    secret.map_or(Auth::None, |secret| Auth::Header("x-vault-token", secret))
}

/// `/v1/sys/seal-status`, which needs no token. `t` of `n` shares are wanted, `progress` have been given.
#[derive(Debug, Deserialize)]
struct SealStatus {
    #[serde(rename = "type")]
    kind: String,
    initialized: bool,
    sealed: bool,
    t: u32,
    n: u32,
    progress: u32,
    #[serde(default)]
    nonce: String,
    version: String,
    storage_type: Option<String>,
    cluster_name: Option<String>,
}

/// One node as its own endpoint tells.
struct Seen<'a> {
    endpoint: &'a Endpoint,
    state: Result<(u16, SealStatus), ServiceError>,
}

impl Seen<'_> {
    fn is_active(&self) -> bool {
        matches!(self.state, Ok((200, ref seal)) if !seal.sealed)
    }

    /// What `/v1/sys/health`'s status means.
    fn role(status: u16, seal: &SealStatus) -> Cell {
        match status {
            _ if !seal.initialized => Cell::new("not initialized", Tone::Bad),
            _ if seal.sealed => Cell::new("sealed", Tone::Bad),
            200 => Cell::new("active", Tone::Accent),
            429 => Cell::new("standby", Tone::Good),
            472 => Cell::new("DR secondary", Tone::Good),
            473 => Cell::new("performance standby", Tone::Good),
            474 => Cell::new("standby, active node out of reach", Tone::Warn),
            530 => Cell::new("removed from the cluster", Tone::Bad),
            other => Cell::new(format!("unknown ({other})"), Tone::Warn),
        }
    }
}

impl Vault {
    pub(super) fn new(endpoints: Vec<Endpoint>, ca: Option<PathBuf>) -> Self {
        Self { endpoints, ca }
    }

    async fn look(&self, until: Until) -> Vec<Seen<'_>> {
        join_all(self.endpoints.iter().map(async |endpoint| {
            let state = async {
                // Every status of this call is a state, not an error; the seal status has the same fields on all of them.
                let health = endpoint.ask("/v1/sys/health", until).await?;
                let seal = endpoint
                    .get::<SealStatus>("/v1/sys/seal-status", until)
                    .await?;
                Ok((health.status(), seal))
            };
            Seen {
                endpoint,
                state: state.await,
            }
        }))
        .await
    }

    /// The node that can be asked for lists: the active one, else any that is unsealed.
    async fn front(&self, until: Until) -> Result<&Endpoint, ServiceError> {
        let seen = self.look(until).await;
        if let Some(active) = seen.iter().find(|node| node.is_active()) {
            return Ok(active.endpoint);
        }
        let unsealed = seen
            .iter()
            .find(|node| matches!(&node.state, Ok((_, seal)) if !seal.sealed && seal.initialized));
        if let Some(unsealed) = unsealed {
            return Ok(unsealed.endpoint);
        }
        let url = self
            .endpoints
            .first()
            .map(|endpoint| endpoint.base.clone())
            .unwrap_or_default();
        // That one can be unsealed says more than that another does not answer.
        let is_sealed = |node: &Seen<'_>| matches!(&node.state, Ok((_, seal)) if seal.sealed);
        if seen.iter().any(is_sealed) {
            return Err(ServiceError::Status {
                url,
                status: 503,
                reason: format!("every node that answers is sealed: {UNSEAL}"),
            });
        }
        let reason = seen.into_iter().find_map(|node| node.state.err());
        Err(reason.unwrap_or_else(|| ServiceError::Setup("it has no endpoint".into())))
    }
}

#[async_trait]
impl Service for Vault {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let seen = self.look(Until::after(deadline)).await;
        let latency_ms = super::millis(started);
        let total = seen.len();
        let mut problems = Vec::new();
        let mut unsealed = 0;
        let mut version = None;
        let mut cluster = None;
        for node in &seen {
            let name = &node.endpoint.name;
            match &node.state {
                Ok((status, seal)) => {
                    version.get_or_insert_with(|| seal.version.clone());
                    if let Some(own) = &seal.cluster_name {
                        cluster.get_or_insert_with(|| own.clone());
                    }
                    let (key, health, text) = if !seal.initialized {
                        (
                            "uninitialized",
                            Health::Down,
                            format!("{name} is not initialized"),
                        )
                    } else if seal.sealed {
                        let (progress, t, n) = (seal.progress, seal.t, seal.n);
                        (
                            "sealed",
                            Health::Warn,
                            format!("{name} is sealed: {progress} of {t} shares given ({n} exist)"),
                        )
                    } else if *status == 474 {
                        unsealed += 1;
                        (
                            "cut-off",
                            Health::Warn,
                            format!("{name} cannot reach the active node"),
                        )
                    } else if *status == 530 {
                        (
                            "removed",
                            Health::Warn,
                            format!("{name} was removed from the cluster"),
                        )
                    } else {
                        unsealed += 1;
                        continue;
                    };
                    problems.push(Problem {
                        key: format!("{key}:{name}"),
                        health,
                        text,
                    });
                }
                Err(error) => problems.push(Problem {
                    key: format!("endpoint:{name}"),
                    health: Health::Warn,
                    text: format!("{name} does not answer: {error}"),
                }),
            }
        }
        let active = seen
            .iter()
            .find(|node| node.is_active())
            .map(|node| node.endpoint.name.clone());
        let of = |meant: fn(&SealStatus) -> bool| {
            let seals = seen.iter().filter_map(|node| node.state.as_ref().ok());
            seals.filter(|(_, seal)| meant(seal)).count()
        };
        let new = of(|seal| !seal.initialized);
        // A node without keys calls itself sealed as well, but no share opens it.
        let sealed = of(|seal| seal.initialized && seal.sealed);
        if seen.iter().all(|node| node.state.is_err())
            && let Some(error) = seen.into_iter().find_map(|node| node.state.err())
        {
            return Err(error);
        }
        if new > 0 && new == total {
            // One thing is wrong, and not one with each node.
            problems.retain(|problem| !problem.key.starts_with("uninitialized:"));
            problems.insert(
                0,
                Problem {
                    key: "uninitialized".into(),
                    health: Health::Down,
                    text: "it has not been initialized: it has no keys yet and keeps nothing"
                        .into(),
                },
            );
        } else if unsealed == 0 && sealed == 0 {
            // Those that are silent may have the keys and the data: nobody is to make others.
            problems.insert(
                0,
                Problem {
                    key: "no-active".into(),
                    health: Health::Down,
                    text:
                        "no node that has been initialized answers: nothing can be read or written"
                            .into(),
                },
            );
        } else if unsealed == 0 {
            problems.insert(
                0,
                Problem {
                    key: SEALED.into(),
                    health: Health::Down,
                    text: "every node is sealed: nothing can be read or written".into(),
                },
            );
        } else if active.is_none() {
            problems.insert(
                0,
                Problem {
                    // Those that are open may be too few to elect one.
                    key: if sealed > 0 {
                        "no-active:sealed"
                    } else {
                        "no-active"
                    }
                    .into(),
                    health: Health::Down,
                    text: "no node is active".into(),
                },
            );
        }
        Ok(ServiceReport {
            health: super::worst(&problems),
            version,
            leader: active,
            members: Some(Members {
                well: unsealed,
                total: super::count(total),
            }),
            summary: match cluster {
                Some(cluster) => format!("{unsealed} of {total} unsealed, {cluster}"),
                None => format!("{unsealed} of {total} unsealed"),
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
            "seal" => Ok(seal(&self.look(until).await)),
            "raft" => raft(self.front(until).await?, until).await,
            "mounts" => mounts(self.front(until).await?, "Mounts", "/v1/sys/mounts", until).await,
            "auth" => {
                mounts(
                    self.front(until).await?,
                    "Auth methods",
                    "/v1/sys/auth",
                    until,
                )
                .await
            }
            "policies" => policies(self.front(until).await?, until).await,
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }

    fn seals(self: Arc<Self>) -> Option<Arc<dyn seals::Seals>> {
        Some(self)
    }
}

fn seal(seen: &[Seen<'_>]) -> Table {
    let columns = ["NODE", "STATE", "SHARES", "SEAL", "STORAGE", "VERSION"];
    let mut table = Table::new("Seal", columns, "the environment names no endpoint");
    for node in seen {
        let name = node.endpoint.name.as_str();
        match &node.state {
            Ok((status, seal)) => {
                let shares = if seal.sealed && seal.initialized {
                    Cell::new(
                        format!("{} of {} given, {} exist", seal.progress, seal.t, seal.n),
                        Tone::Warn,
                    )
                } else {
                    Cell::new(format!("{} of {}", seal.t, seal.n), Tone::Muted)
                };
                table.push(
                    name,
                    [
                        name.into(),
                        Seen::role(*status, seal),
                        shares,
                        seal.kind.as_str().into(),
                        seal.storage_type.as_deref().unwrap_or("-").into(),
                        seal.version.as_str().into(),
                    ],
                );
            }
            Err(error) => {
                let dash = || Cell::new("-", Tone::Muted);
                let state = Cell::new(format!("no answer: {error}"), Tone::Bad);
                table.push(name, [name.into(), state, dash(), dash(), dash(), dash()]);
            }
        }
    }
    table
}

/// `/v1/sys/storage/raft/configuration`.
async fn raft(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    #[derive(Deserialize)]
    struct Answer {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        config: Config,
    }
    #[derive(Deserialize)]
    struct Config {
        servers: Vec<Server>,
    }
    #[derive(Deserialize)]
    struct Server {
        node_id: String,
        address: String,
        leader: bool,
        voter: bool,
    }
    let answer: Answer = endpoint
        .get("/v1/sys/storage/raft/configuration", until)
        .await?;
    let mut table = Table::new(
        "Raft",
        ["NODE", "STATE", "VOTER", "ADDRESS"],
        "no server is part of Raft",
    );
    for server in answer.data.config.servers {
        let state = if server.leader {
            Cell::new("leader", Tone::Accent)
        } else {
            Cell::plain("follower")
        };
        let voter = if server.voter {
            Cell::new("yes", Tone::Good)
        } else {
            Cell::new("no", Tone::Muted)
        };
        table.push(
            server.node_id.clone(),
            [server.node_id.into(), state, voter, server.address.into()],
        );
    }
    Ok(table)
}

/// `/v1/sys/mounts` and `/v1/sys/auth`: a map from path to description, under `data` and, on older versions, at the top.
async fn mounts(
    endpoint: &Endpoint,
    title: &str,
    path: &str,
    until: Until,
) -> Result<Table, ServiceError> {
    #[derive(Deserialize)]
    struct Mount {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        description: String,
        #[serde(default)]
        options: Option<BTreeMap<String, String>>,
    }
    let answer: Value = endpoint.get(path, until).await?;
    let mounts: BTreeMap<String, Mount> =
        serde_json::from_value(answer["data"].clone()).map_err(|error| {
            ServiceError::Malformed {
                url: format!("{}{path}", endpoint.base),
                reason: format!("data: {error}"),
            }
        })?;
    let mut table = Table::new(
        title,
        ["PATH", "TYPE", "VERSION", "DESCRIPTION"],
        "nothing is mounted",
    );
    for (path, mount) in &mounts {
        let version = mount
            .options
            .as_ref()
            .and_then(|options| options.get("version"))
            .map_or("-", String::as_str);
        table.push(
            path.as_str(),
            [
                path.as_str().into(),
                mount.kind.as_str().into(),
                version.into(),
                super::brief(&mount.description).into(),
            ],
        );
    }
    Ok(table)
}

async fn policies(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    #[derive(Deserialize)]
    struct Answer {
        data: Keys,
    }
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<String>,
    }
    let answer: Answer = endpoint
        .get("/v1/sys/policies/acl?list=true", until)
        .await?;
    let mut table = Table::new("Policies", ["POLICY"], "there are no policies");
    for key in answer.data.keys {
        table.push(key.clone(), [key.into()]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests;
