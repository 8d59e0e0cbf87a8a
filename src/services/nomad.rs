//! Nomad over its HTTP API v1 (<https://developer.hashicorp.com/nomad/api-docs>).

mod act;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::api::{Auth, Endpoint, Until};
use super::{Acted, Service, ServiceError, Tell, ViewSpec, gather, not_mine};
use crate::domain::live::{Health, Members, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service_action::ServiceAction;
use crate::domain::table::{Cell, Table, Tone};

/// See the module.
pub(super) struct Nomad {
    endpoints: Vec<Endpoint>,
}

/// The lists of a Nomad region.
pub(super) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "jobs",
        title: "Jobs",
    },
    ViewSpec {
        id: "nodes",
        title: "Clients",
    },
    ViewSpec {
        id: "servers",
        title: "Servers",
    },
    ViewSpec {
        id: "allocations",
        title: "Allocations",
    },
    ViewSpec {
        id: "deployments",
        title: "Deployments",
    },
];

/// How Nomad is told who asks.
pub(super) fn auth(secret: Option<SecretString>) -> Auth {
    secret.map_or(Auth::None, |secret| Auth::Header("x-nomad-token", secret))
}

/// `/v1/agent/members`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MemberList {
    members: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    addr: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// `/v1/nodes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    datacenter: String,
    status: String,
    #[serde(default)]
    drain: bool,
    scheduling_eligibility: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    address: String,
}

/// `/v1/jobs`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Type")]
    kind: String,
    status: String,
    #[serde(default)]
    priority: i64,
    job_summary: Option<JobSummary>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct JobSummary {
    summary: Option<BTreeMap<String, GroupSummary>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GroupSummary {
    queued: u32,
    failed: u32,
    running: u32,
    starting: u32,
    lost: u32,
}

/// `/v1/allocations`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Allocation {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "JobID")]
    job_id: String,
    task_group: String,
    #[serde(default)]
    node_name: String,
    client_status: String,
    desired_status: String,
}

/// `/v1/deployments`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Deployment {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "JobID")]
    job_id: String,
    job_version: u64,
    status: String,
    #[serde(default)]
    status_description: String,
}

impl Nomad {
    pub(super) fn new(endpoints: Vec<Endpoint>) -> Self {
        Self { endpoints }
    }

    /// The first endpoint that answers who leads, and the answer (empty when nobody does).
    async fn front(
        &self,
        until: Until,
        problems: &mut Vec<Problem>,
    ) -> Result<(&Endpoint, String), ServiceError> {
        let mut first_error = None;
        for endpoint in &self.endpoints {
            let answer = async {
                let answer = endpoint.ask("/v1/status/leader", until).await?;
                if answer.status() == 500 && answer.words().contains("No cluster leader") {
                    return Ok(String::new());
                }
                answer.success()?.json::<String>()
            };
            match answer.await {
                Ok(leader) => return Ok((endpoint, leader)),
                Err(error) => {
                    problems.push(Problem {
                        key: format!("endpoint:{}", endpoint.name),
                        health: Health::Warn,
                        text: format!("{} does not answer: {error}", endpoint.name),
                    });
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| ServiceError::Setup("no endpoint".into())))
    }
}

/// Reads a list to its end: pages are chained by `X-Nomad-NextToken`.
async fn list<T: DeserializeOwned>(
    endpoint: &Endpoint,
    path: &str,
    until: Until,
) -> Result<Vec<T>, ServiceError> {
    // Enough for 20,000 objects; a server that never ends its pages must not hold the poller for ever.
    const PAGES: usize = 40;
    let mut all = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let join = if path.contains('?') { '&' } else { '?' };
        let page = match &token {
            None => format!("{path}{join}per_page=500"),
            Some(token) => format!("{path}{join}per_page=500&next_token={token}"),
        };
        let answer = endpoint.ask(&page, until).await?.success()?;
        all.extend(answer.json::<Vec<T>>()?);
        token = answer
            .header("x-nomad-nexttoken")
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    Ok(all)
}

#[async_trait]
impl Service for Nomad {
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError> {
        let started = Instant::now();
        let until = Until::after(deadline);
        let mut problems = Vec::new();
        let (endpoint, leader) = self.front(until, &mut problems).await?;
        let latency_ms = super::millis(started);
        let (members, nodes, jobs) = tokio::join!(
            endpoint.get::<MemberList>("/v1/agent/members", until),
            list::<Client>(endpoint, "/v1/nodes", until),
            list::<Job>(endpoint, "/v1/jobs?namespace=*", until),
        );
        let servers = gather(members, "servers", &mut problems)
            .map(|list| list.members)
            .unwrap_or_default();
        for server in servers.iter().filter(|server| server.status == "failed") {
            problems.push(Problem {
                key: format!("server:{}", server.name),
                health: Health::Warn,
                text: format!("server {} ({}) has failed", server.name, server.addr),
            });
        }
        let (mut nodes_ready, mut nodes_total, mut running) = (0, 0, 0);
        if leader.is_empty() {
            problems.insert(0, Problem {
                key: "no-leader".into(),
                health: Health::Down,
                text: "no leader: nothing can be scheduled until a majority of the servers is back".into(),
            });
        } else {
            let nodes = gather(nodes, "clients", &mut problems).unwrap_or_default();
            nodes_total = nodes.len();
            nodes_ready = nodes.iter().filter(|node| node.status == "ready").count();
            for node in nodes
                .iter()
                .filter(|node| node.status == "down" || node.status == "disconnected")
            {
                problems.push(Problem {
                    key: format!("client:{}", node.name),
                    health: Health::Warn,
                    text: format!("client {} is {}", node.name, node.status),
                });
            }
            for job in gather(jobs, "jobs", &mut problems).unwrap_or_default() {
                running += usize::from(job.status == "running");
                let groups = job
                    .job_summary
                    .and_then(|summary| summary.summary)
                    .unwrap_or_default();
                let queued: u32 = groups.values().map(|group| group.queued).sum();
                if queued > 0 && job.status != "dead" {
                    problems.push(Problem {
                        key: format!("job:{}", job.id),
                        health: Health::Warn,
                        text: format!("job {}: {queued} allocations find no place", job.id),
                    });
                }
            }
        }
        let version = servers
            .iter()
            .find_map(|server| server.tags.get("build").cloned());
        let alive = servers
            .iter()
            .filter(|server| server.status == "alive")
            .count();
        let leader_name = servers
            .iter()
            .find(|server| !leader.is_empty() && is_leader(server, &leader))
            .map_or_else(|| leader.clone(), |server| server.name.clone());
        Ok(ServiceReport {
            health: super::worst(&problems),
            version,
            leader: (!leader_name.is_empty()).then_some(leader_name),
            members: Some(Members {
                well: super::count(alive),
                total: super::count(servers.len()),
            }),
            summary: format!(
                "{running} jobs running, {nodes_ready} of {nodes_total} clients ready"
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
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            ServiceAction::Nomad(action) => self.carry_out(action, tell, cancel).await,
            other => Err(not_mine(other)),
        }
    }

    async fn voters(&self, deadline: Duration) -> Result<Option<Vec<Voter>>, ServiceError> {
        self.who_votes(deadline).await.map(Some)
    }

    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError> {
        let until = Until::after(deadline);
        let (endpoint, leader) = self.front(until, &mut Vec::new()).await?;
        match view {
            "jobs" => jobs(endpoint, until).await,
            "nodes" => clients(endpoint, until).await,
            "servers" => servers(endpoint, &leader, until).await,
            "allocations" => allocations(endpoint, until).await,
            "deployments" => deployments(endpoint, until).await,
            other => Err(ServiceError::NoSuchView(other.into())),
        }
    }
}

/// Whether the leader's RPC address is this server's.
fn is_leader(server: &Member, leader: &str) -> bool {
    let host = leader.rsplit_once(':');
    host.is_some_and(|(host, port)| {
        host == server.addr && server.tags.get("port").is_none_or(|own| own == port)
    })
}

/// The tone of the states Nomad uses for jobs, allocations and deployments.
fn tone(status: &str) -> Tone {
    match status {
        "running" | "ready" | "alive" | "successful" | "complete" => Tone::Good,
        "pending" | "initializing" | "paused" | "blocked" | "unknown" => Tone::Warn,
        "failed" | "lost" | "down" | "disconnected" => Tone::Bad,
        _ => Tone::Muted,
    }
}

async fn jobs(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let jobs: Vec<Job> = list(endpoint, "/v1/jobs?namespace=*", until).await?;
    let columns = [
        "JOB", "STATE", "TYPE", "PRIORITY", "RUNNING", "STARTING", "QUEUED", "FAILED", "LOST",
    ];
    let mut table = Table::new("Jobs", columns, "no job is registered");
    for job in jobs {
        let groups = job
            .job_summary
            .and_then(|summary| summary.summary)
            .unwrap_or_default();
        let sum = |of: fn(&GroupSummary) -> u32| groups.values().map(of).sum::<u32>();
        let bad = |number: u32| {
            Cell::new(
                number.to_string(),
                if number > 0 { Tone::Bad } else { Tone::Muted },
            )
        };
        table.push(
            job.id.clone(),
            [
                job.id.into(),
                Cell::new(job.status.as_str(), tone(&job.status)),
                job.kind.into(),
                job.priority.to_string().into(),
                sum(|group| group.running).to_string().into(),
                sum(|group| group.starting).to_string().into(),
                bad(sum(|group| group.queued)),
                bad(sum(|group| group.failed)),
                bad(sum(|group| group.lost)),
            ],
        );
    }
    Ok(table)
}

async fn clients(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let clients: Vec<Client> = list(endpoint, "/v1/nodes", until).await?;
    let columns = [
        "NODE",
        "STATE",
        "ELIGIBLE",
        "DRAIN",
        "DATACENTER",
        "ADDRESS",
        "VERSION",
    ];
    let mut table = Table::new("Clients", columns, "no client has registered");
    for client in clients {
        let eligible = client.scheduling_eligibility == "eligible";
        table.push(
            client.id,
            [
                client.name.into(),
                Cell::new(client.status.as_str(), tone(&client.status)),
                Cell::new(
                    if eligible { "yes" } else { "no" },
                    if eligible { Tone::Good } else { Tone::Warn },
                ),
                Cell::new(
                    if client.drain { "draining" } else { "-" },
                    if client.drain {
                        Tone::Warn
                    } else {
                        Tone::Muted
                    },
                ),
                client.datacenter.into(),
                client.address.into(),
                client.version.into(),
            ],
        );
    }
    Ok(table)
}

async fn servers(endpoint: &Endpoint, leader: &str, until: Until) -> Result<Table, ServiceError> {
    let list: MemberList = endpoint.get("/v1/agent/members", until).await?;
    let mut table = Table::new(
        "Servers",
        ["NAME", "STATE", "ROLE", "ADDRESS", "VERSION"],
        "no server is known",
    );
    for server in list.members {
        let role = if is_leader(&server, leader) {
            Cell::new("leader", Tone::Accent)
        } else {
            Cell::plain("follower")
        };
        let version = server
            .tags
            .get("build")
            .cloned()
            .unwrap_or_else(|| "-".into());
        table.push(
            server.name.clone(),
            [
                server.name.into(),
                Cell::new(server.status.as_str(), tone(&server.status)),
                role,
                server.addr.into(),
                version.into(),
            ],
        );
    }
    Ok(table)
}

async fn allocations(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let allocations: Vec<Allocation> = list(endpoint, "/v1/allocations?namespace=*", until).await?;
    let columns = ["ALLOCATION", "STATE", "WANTED", "JOB", "GROUP", "NODE"];
    let mut table = Table::new("Allocations", columns, "nothing has been placed");
    for allocation in allocations {
        table.push(
            allocation.id.clone(),
            [
                allocation.id.chars().take(8).collect::<String>().into(),
                Cell::new(
                    allocation.client_status.as_str(),
                    tone(&allocation.client_status),
                ),
                allocation.desired_status.into(),
                allocation.job_id.into(),
                allocation.task_group.into(),
                allocation.node_name.into(),
            ],
        );
    }
    Ok(table)
}

async fn deployments(endpoint: &Endpoint, until: Until) -> Result<Table, ServiceError> {
    let deployments: Vec<Deployment> = list(endpoint, "/v1/deployments?namespace=*", until).await?;
    let columns = ["DEPLOYMENT", "STATE", "JOB", "VERSION", "DESCRIPTION"];
    let mut table = Table::new("Deployments", columns, "nothing has been deployed");
    for deployment in deployments {
        table.push(
            deployment.id.clone(),
            [
                deployment.id.chars().take(8).collect::<String>().into(),
                Cell::new(deployment.status.as_str(), tone(&deployment.status)),
                deployment.job_id.into(),
                deployment.job_version.to_string().into(),
                super::brief(&deployment.status_description).into(),
            ],
        );
    }
    Ok(table)
}
