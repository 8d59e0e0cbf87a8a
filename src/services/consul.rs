//! Consul over its HTTP API v1 (<https://developer.hashicorp.com/consul/api-docs>).

mod act;
mod token;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::join_all;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::api::{Auth, Endpoint, Until};
use super::{Acted, Service, ServiceError, Tell, ViewSpec, gather, not_mine};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service_action::ServiceAction;
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Consul {
    endpoints: Vec<Endpoint>,
}

/// The lists of a Consul datacenter.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "members",
        title: "Members",
    },
    ViewSpec {
        id: "services",
        title: "Services",
    },
    ViewSpec {
        id: "checks",
        title: "Checks",
    },
    ViewSpec {
        id: "raft",
        title: "Raft",
    },
    ViewSpec {
        id: "kv",
        title: "KV",
    },
];

/// The header that carries an ACL token.
pub(super) const TOKEN: &str = "x-consul-token";

impl Consul {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    /// Asks every endpoint who leads; the first that answers is asked everything else.
    ///
    /// `/v1/status/leader` needs no token and answers even without a leader (with an empty string, or with 500 on newer
    /// versions), so that it tells a dead agent from a leaderless cluster.
    async fn front(&self, until: Until) -> Result<Front<'_>, ServiceError> {
        let asked = join_all(self.endpoints.iter().map(async |endpoint| {
            let answer = endpoint.ask("/v1/status/leader", until).await?;
            if answer.status() == 500 && answer.words().contains("No cluster leader") {
                return Ok(String::new());
            }
            answer.success()?.json::<String>()
        }))
        .await;
        let mut problems = Vec::new();
        let mut chosen: Option<(&Endpoint, String)> = None;
        let mut first_error = None;
        for (endpoint, answer) in self.endpoints.iter().zip(asked) {
            match answer {
                // An agent that knows the leader is a better source than one that is cut off.
                Ok(leader)
                    if chosen
                        .as_ref()
                        .is_none_or(|(_, known)| known.is_empty() && !leader.is_empty()) =>
                {
                    chosen = Some((endpoint, leader));
                }
                Ok(_) => {}
                Err(error) => {
                    problems.push(Problem {
                        key: format!("endpoint:{}", endpoint.name),
                        health: Health::Warn,
                        text: format!("agent on {} does not answer: {error}", endpoint.name),
                    });
                    first_error.get_or_insert(error);
                }
            }
        }
        match (chosen, first_error) {
            (Some((endpoint, leader)), _) => Ok(Front {
                endpoint,
                leader,
                problems,
            }),
            (None, Some(error)) => Err(error),
            (None, None) => Err(ServiceError::Setup("no endpoint".into())),
        }
    }
}

/// The agent that answers for the datacenter.
struct Front<'a> {
    endpoint: &'a Endpoint,
    /// `address:port` of the leader; empty when there is none.
    leader: String,
    problems: Vec<Problem>,
}

/// `/v1/agent/members`: the agent's own gossip view.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// Serf's numbers: 0 none, 1 alive, 2 leaving, 3 left, 4 failed.
    status: u8,
}

impl Member {
    fn is_server(&self) -> bool {
        self.tags.get("role").is_some_and(|role| role == "consul")
    }

    fn version(&self) -> Option<&str> {
        // "1.8.7:abcdef" or "1.8.7+dfsg1:".
        self.tags
            .get("build")?
            .split(':')
            .next()
            .filter(|version| !version.is_empty())
    }

    fn state(&self) -> Cell {
        match self.status {
            1 => Cell::new("alive", Tone::Good),
            2 => Cell::new("leaving", Tone::Warn),
            3 => Cell::new("left", Tone::Muted),
            4 => Cell::new("failed", Tone::Bad),
            _ => Cell::new("unknown", Tone::Muted),
        }
    }
}

/// `/v1/operator/autopilot/health`; 429 carries the same body as 200.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Autopilot {
    failure_tolerance: i64,
    /// `null` for the first seconds of a cluster.
    servers: Option<Vec<AutopilotServer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AutopilotServer {
    name: String,
    healthy: bool,
}

/// `/v1/health/state/:state`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    node: String,
    #[serde(rename = "CheckID")]
    check_id: String,
    name: String,
    status: String,
    #[serde(default)]
    output: String,
    #[serde(default)]
    service_name: String,
}

/// `/v1/operator/raft/configuration`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raft {
    servers: Vec<RaftServer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RaftServer {
    node: String,
    address: String,
    leader: bool,
    voter: bool,
    #[serde(default)]
    protocol_version: String,
}

#[async_trait]
impl Service for Consul {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        // All are asked who leads, and the dead use up their time; as much is left for the rest.
        let Front {
            endpoint,
            leader,
            mut problems,
        } = self.front(Until::after(deadline / 2)).await?;
        let until = Until::after(deadline / 2);
        let latency_ms = super::millis(started);
        let (members, critical, autopilot) = tokio::join!(
            endpoint.get::<Vec<Member>>("/v1/agent/members", until),
            endpoint.get::<Vec<Check>>("/v1/health/state/critical?stale", until),
            async {
                let answer = endpoint.ask("/v1/operator/autopilot/health", until).await?;
                if answer.status() == 429 {
                    answer.json::<Autopilot>()
                } else {
                    answer.success()?.json()
                }
            },
        );
        if leader.is_empty() {
            problems.insert(
                0,
                Problem {
                    key: "no-leader".into(),
                    health: Health::Down,
                    text: "no leader: writes fail until a majority of the servers is back".into(),
                },
            );
        }
        let members = gather(members, "members", &mut problems).unwrap_or_default();
        for member in members.iter().filter(|member| member.status == 4) {
            problems.push(Problem {
                key: format!("member:{}", member.name),
                health: Health::Warn,
                text: format!("member {} ({}) has failed", member.name, member.addr),
            });
        }
        // The other lists need a leader; without one their errors would only repeat what is known.
        if !leader.is_empty() {
            for check in gather(critical, "checks", &mut problems).unwrap_or_default() {
                // serfHealth repeats what the member list says.
                if check.check_id != "serfHealth" {
                    problems.push(Problem {
                        key: format!("check:{}:{}", check.node, check.check_id),
                        health: Health::Warn,
                        text: format!(
                            "check {} on {} is critical: {}",
                            check.name,
                            check.node,
                            super::brief(&check.output)
                        ),
                    });
                }
            }
            if let Some(autopilot) = gather(autopilot, "autopilot", &mut problems) {
                let servers = autopilot.servers.unwrap_or_default();
                for server in servers.iter().filter(|server| !server.healthy) {
                    let key = format!("member:{}", server.name);
                    if !problems.iter().any(|problem| problem.key == key) {
                        let text = format!("server {} is unhealthy", server.name);
                        problems.push(Problem {
                            key,
                            health: Health::Warn,
                            text,
                        });
                    }
                }
                if servers.len() > 1 && autopilot.failure_tolerance == 0 {
                    problems.push(Problem {
                        key: "no-tolerance".into(),
                        health: Health::Warn,
                        text: "no further server may fail without losing the quorum".into(),
                    });
                }
            }
        }
        let present: Vec<&Member> = members.iter().filter(|member| member.status != 3).collect();
        let alive = present.iter().filter(|member| member.status == 1).count();
        let servers = present.iter().filter(|member| member.is_server()).count();
        let leader_name = members
            .iter()
            .find(|member| {
                !leader.is_empty()
                    && leader.starts_with(&format!("{}:", member.addr))
                    && member.is_server()
                    && matches_port(member, &leader)
            })
            .map_or_else(|| leader.clone(), |member| member.name.clone());
        Ok(ServiceReport {
            health: super::worst(&problems),
            version: members
                .iter()
                .filter(|member| member.is_server())
                .find_map(Member::version)
                .map(str::to_owned),
            leader: (!leader_name.is_empty()).then_some(leader_name),
            members: Some(Members {
                well: super::count(alive),
                total: super::count(present.len()),
            }),
            summary: format!(
                "{servers} servers, {} clients, {alive} alive",
                present.len() - servers
            ),
            problems,
            latency_ms,
        })
    }

    fn views(&self) -> &'static [ViewSpec] {
        VIEWS
    }

    async fn act(
        &self,
        action: &ServiceAction,
        _: Tell<'_>,
        _: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            ServiceAction::Consul(action) => self.carry_out(action).await,
            other => Err(not_mine(other)),
        }
    }

    async fn voters(&self, deadline: Duration) -> Result<Option<Vec<Voter>>, ServiceError> {
        self.who_votes(deadline).await.map(Some)
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        let front = self.front(Until::after(deadline / 2)).await?;
        let until = Until::after(deadline / 2);
        match view {
            "members" => members(&front, until).await,
            "services" => services(front.endpoint, until).await,
            "checks" => checks(front.endpoint, until).await,
            "raft" => raft(front.endpoint, until).await,
            "kv" => kv(front.endpoint, until).await,
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

/// Whether the leader's port is this server's; several servers can share an address with ports of their own.
fn matches_port(member: &Member, leader: &str) -> bool {
    let port = leader.rsplit(':').next();
    member
        .tags
        .get("port")
        .is_none_or(|own| Some(own.as_str()) == port)
}

async fn members(front: &Front<'_>, until: Until) -> Result<Table, ServiceError> {
    let mut members: Vec<Member> = front.endpoint.get("/v1/agent/members", until).await?;
    members.sort_by(|a, b| (!a.is_server(), &a.name).cmp(&(!b.is_server(), &b.name)));
    let mut table = Table::new(
        "Members",
        ["NAME", "STATE", "TYPE", "ADDRESS", "VERSION"],
        "the agent sees no members, not even itself",
    );
    for member in &members {
        let leads = member.is_server()
            && front.leader.starts_with(&format!("{}:", member.addr))
            && matches_port(member, &front.leader);
        let kind = match (member.is_server(), leads) {
            (true, true) => Cell::new("leader", Tone::Accent),
            (true, false) => Cell::plain("server"),
            (false, _) => Cell::new("client", Tone::Muted),
        };
        table.push(
            member.name.as_str(),
            [
                member.name.as_str().into(),
                member.state(),
                kind,
                member.addr.as_str().into(),
                member.version().unwrap_or("-").into(),
            ],
        );
    }
    Ok(table)
}

async fn services(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let (catalog, checks) = tokio::join!(
        endpoint.get::<BTreeMap<String, Vec<String>>>("/v1/catalog/services?stale", until),
        endpoint.get::<Vec<Check>>("/v1/health/state/any?stale", until),
    );
    let (catalog, checks) = (catalog?, checks?);
    let mut table = Table::new(
        "Services",
        ["SERVICE", "CHECKS", "PASSING", "TAGS"],
        "no service is registered",
    );
    for (name, tags) in &catalog {
        let own: Vec<&Check> = checks
            .iter()
            .filter(|check| check.service_name == *name)
            .collect();
        let passing = own.iter().filter(|check| check.status == "passing").count();
        let worst = if own.iter().any(|check| check.status == "critical") {
            Cell::new("critical", Tone::Bad)
        } else if passing < own.len() {
            Cell::new("warning", Tone::Warn)
        } else if own.is_empty() {
            Cell::new("none", Tone::Muted)
        } else {
            Cell::new("passing", Tone::Good)
        };
        let ratio = if own.is_empty() {
            "-".into()
        } else {
            format!("{passing}/{}", own.len())
        };
        table.push(
            name.as_str(),
            [
                name.as_str().into(),
                worst,
                ratio.into(),
                tags.join(" ").into(),
            ],
        );
    }
    Ok(table)
}

async fn checks(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let mut checks: Vec<Check> = endpoint.get("/v1/health/state/any?stale", until).await?;
    let rank = |status: &str| {
        ["critical", "warning", "passing"]
            .iter()
            .position(|known| *known == status)
    };
    checks.sort_by(|a, b| {
        (rank(&a.status), &a.node, &a.name).cmp(&(rank(&b.status), &b.node, &b.name))
    });
    let mut table = Table::new(
        "Checks",
        ["STATE", "NODE", "SERVICE", "CHECK", "OUTPUT"],
        "no check is registered",
    );
    for check in &checks {
        let tone = match check.status.as_str() {
            "passing" => Tone::Good,
            "warning" => Tone::Warn,
            "critical" => Tone::Bad,
            _ => Tone::Muted,
        };
        let service = if check.service_name.is_empty() {
            "-"
        } else {
            &check.service_name
        };
        table.push(
            format!("{}/{}", check.node, check.check_id),
            [
                Cell::new(check.status.as_str(), tone),
                check.node.as_str().into(),
                service.into(),
                check.name.as_str().into(),
                super::brief(&check.output).into(),
            ],
        );
    }
    Ok(table)
}

async fn raft(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let raft: Raft = endpoint
        .get("/v1/operator/raft/configuration", until)
        .await?;
    let mut table = Table::new(
        "Raft",
        ["NODE", "STATE", "VOTER", "ADDRESS", "PROTOCOL"],
        "no server is part of Raft",
    );
    for server in &raft.servers {
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
            server.address.as_str(),
            [
                server.node.as_str().into(),
                state,
                voter,
                server.address.as_str().into(),
                server.protocol_version.as_str().into(),
            ],
        );
    }
    Ok(table)
}

/// The keys of the KV store, without their values: those may be secret.
async fn kv(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let answer = endpoint.ask("/v1/kv/?keys&stale", until).await?;
    // A store without keys is a 404.
    let keys: Vec<String> = if answer.status() == 404 {
        Vec::new()
    } else {
        answer.success()?.json()?
    };
    let mut table = Table::new("KV", ["KEY"], "the KV store is empty");
    for key in &keys {
        table.push(key.as_str(), [key.as_str().into()]);
    }
    Ok(table)
}

/// How Consul is told who asks.
pub(super) fn auth(secret: Option<secrecy::SecretString>) -> Auth {
    secret.map_or(Auth::None, |secret| Auth::Header(TOKEN, secret))
}
