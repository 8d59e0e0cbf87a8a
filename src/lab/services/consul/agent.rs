//! Endpoints about the agent, its peers and Raft:
//! [agent](https://developer.hashicorp.com/consul/api-docs/agent),
//! [status](https://developer.hashicorp.com/consul/api-docs/status),
//! [operator](https://developer.hashicorp.com/consul/api-docs/operator),
//! [token self](https://developer.hashicorp.com/consul/api-docs/acl/tokens).

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;

use super::answer::{Caller, Management, Refusal, Server};
use super::shapes::{
    AgentConfig, AgentSelf, AutopilotHealth, Coordinate, Member, PolicyLink, RaftConfiguration,
    RaftServer, ServerHealth, Token,
};
use super::state::{Agent, Consul};
use super::{REVISION, VERSION};
use crate::lab::services::http::{self, Params};
use crate::lab::services::ids::Ids;

/// `GET /v1/status/leader`: no rights needed, `""` when nobody leads.
pub(crate) async fn leader(State(server): State<Server>) -> Response {
    let leader = server
        .sim
        .with(|consul, _| consul.leader().map(rpc_address))
        .unwrap_or_default();
    http::json(200, &leader)
}

/// `GET /v1/status/peers`.
pub(crate) async fn peers(State(server): State<Server>) -> Response {
    let peers: Vec<String> = server
        .sim
        .with(|consul, _| servers(consul).map(rpc_address).collect());
    http::json(200, &peers)
}

/// `GET /v1/agent/members`: what gossip knows; without rights, nothing.
pub(crate) async fn members(State(server): State<Server>, caller: Caller) -> Response {
    let members: Vec<Member> = server.sim.with(|consul, _| {
        consul
            .members()
            .filter(|_| caller == Caller::Management)
            .map(|agent| member(consul, agent, &server.datacenter))
            .collect()
    });
    http::json(200, &members)
}

/// `GET /v1/agent/self`.
pub(crate) async fn agent_self(State(server): State<Server>, _: Management) -> Response {
    let answer = server.sim.with(|consul, now| {
        let agent = consul.agent(&server.node)?;
        Some(about_self(consul, agent, &server.datacenter, now))
    });
    match answer {
        Some(answer) => http::json(200, &answer),
        None => Refusal(500, "this node runs no agent".into()).into(),
    }
}

/// `PUT /v1/agent/force-leave/:node`, always as with `?prune`.
pub(crate) async fn force_leave(
    State(server): State<Server>,
    Path(node): Path<String>,
    _: Management,
) -> Response {
    if server.sim.with(|consul, _| consul.forget(&node)) {
        http::json(200, &())
    } else {
        let words = format!("agent: No node found with name '{node}'");
        Refusal(500, words).into()
    }
}

/// `GET /v1/operator/raft/configuration`.
pub(crate) async fn raft(State(server): State<Server>, _: Management, params: Params) -> Response {
    let answer = server.sim.with(|consul, _| {
        server.reach(consul, &params)?;
        Ok(RaftConfiguration {
            servers: servers(consul)
                .map(|agent| RaftServer {
                    id: agent.id.clone(),
                    node: agent.host.name.clone(),
                    address: rpc_address(agent),
                    leader: consul.quorum.leader() == Some(&agent.host.name),
                    protocol_version: "3",
                    voter: true,
                })
                .collect(),
            index: 0,
        })
    });
    match answer {
        Ok(answer) => http::json(200, &answer),
        Err(refusal) => Refusal::into(refusal),
    }
}

/// `GET /v1/operator/autopilot/health`: 429 with the same body when a server is unhealthy.
pub(crate) async fn autopilot(State(server): State<Server>, _: Management) -> Response {
    let answer = server.sim.with(|consul, now| {
        server.reach(consul, &Params::default())?;
        let servers: Vec<ServerHealth> = servers(consul)
            .map(|agent| server_health(consul, agent, now))
            .collect();
        Ok(AutopilotHealth {
            healthy: servers.iter().all(|server| server.healthy),
            failure_tolerance: consul.failure_tolerance(),
            servers,
        })
    });
    match answer {
        Ok(answer) => http::json(if answer.healthy { 200 } else { 429 }, &answer),
        Err(refusal) => Refusal::into(refusal),
    }
}

/// `GET /v1/acl/token/self`.
pub(crate) async fn token_self(State(server): State<Server>, caller: Caller) -> Response {
    let ids = server.sim.around().ids;
    let token = match caller {
        Caller::Management => Token {
            create_index: 11,
            modify_index: 11,
            accessor_id: ids.uuid("consul/accessor"),
            secret_id: server.token.to_string(),
            description: "Bootstrap Token (Global Management)",
            policies: vec![PolicyLink {
                id: "00000000-0000-0000-0000-000000000001",
                name: "global-management",
            }],
            local: false,
            create_time: born(&server).to_string(),
            hash: http::base64(&ids.bytes("consul/token-hash")),
        },
        Caller::Anonymous => Token {
            create_index: 5,
            modify_index: 5,
            accessor_id: "00000000-0000-0000-0000-000000000002".into(),
            secret_id: "anonymous".into(),
            description: "Anonymous Token",
            policies: Vec::new(),
            local: false,
            create_time: born(&server).to_string(),
            hash: http::base64(&ids.bytes("consul/anonymous-hash")),
        },
    };
    http::json(200, &token)
}

fn born(server: &Server) -> Timestamp {
    server.sim.with(|consul, now| {
        consul
            .members()
            .map(|agent| agent.pulse.since())
            .min()
            .unwrap_or(now)
    })
}

fn servers(consul: &Consul) -> impl Iterator<Item = &Agent> {
    // Raft has forgotten a server that left in good order.
    consul.registered().filter(|agent| agent.server)
}

fn rpc_address(agent: &Agent) -> String {
    format!("{}:8300", agent.host.address)
}

fn server_health(consul: &Consul, agent: &Agent, now: Timestamp) -> ServerHealth {
    let leader = consul.quorum.leader() == Some(&agent.host.name);
    let silent = agent.silent(now);
    let last_contact = if leader {
        "0s".to_owned()
    } else if silent.is_zero() {
        let tenths = 200 + Ids::new(consul.index).below(&agent.host.name, 600);
        format!("{}.{}ms", tenths / 10, tenths % 10)
    } else {
        format!("{}s", silent.as_secs())
    };
    ServerHealth {
        id: agent.id.clone(),
        name: agent.host.name.clone(),
        address: rpc_address(agent),
        serf_status: agent.serf.word(),
        version: VERSION,
        leader,
        last_contact,
        last_term: consul.quorum.term(),
        last_index: consul.index,
        healthy: consul.healthy(agent),
        voter: true,
        stable_since: agent.pulse.since().to_string(),
    }
}

pub(super) fn member(consul: &Consul, agent: &Agent, datacenter: &str) -> Member {
    let mut tags: BTreeMap<&'static str, String> = [
        ("segment", ""),
        ("vsn", "2"),
        ("vsn_max", "3"),
        ("vsn_min", "2"),
    ]
    .into_iter()
    .map(|(key, value)| (key, value.to_owned()))
    .collect();
    tags.insert("build", format!("{VERSION}:{REVISION}"));
    tags.insert("dc", datacenter.to_owned());
    tags.insert("id", agent.id.clone());
    tags.insert("role", if agent.server { "consul" } else { "node" }.into());
    if agent.server {
        tags.insert("acls", "1".into());
        tags.insert("expect", consul.quorum.voters().len().to_string());
        for (key, value) in [
            ("ft_fs", "1"),
            ("ft_si", "1"),
            ("port", "8300"),
            ("raft_vsn", "3"),
            ("wan_join_port", "8302"),
        ] {
            tags.insert(key, value.into());
        }
    }
    Member {
        name: agent.host.name.clone(),
        addr: agent.host.address.clone(),
        port: 8301,
        tags,
        status: agent.serf.number(),
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

fn about_self(consul: &Consul, agent: &Agent, datacenter: &str, now: Timestamp) -> AgentSelf {
    let name = &agent.host.name;
    let leads = consul.quorum.leader() == Some(name);
    let known = consul.members().count();
    let text = |pairs: Vec<(&'static str, String)>| pairs.into_iter().collect();
    let mut stats = BTreeMap::from([
        (
            "agent",
            text(vec![
                ("check_monitors", "0".into()),
                ("check_ttls", "0".into()),
                ("checks", services_of(consul, name).to_string()),
                ("services", services_of(consul, name).to_string()),
            ]),
        ),
        (
            "build",
            text(vec![
                ("prerelease", String::new()),
                ("revision", REVISION.into()),
                ("version", VERSION.into()),
                ("version_metadata", String::new()),
            ]),
        ),
        (
            "serf_lan",
            text(vec![
                ("encrypted", "true".into()),
                ("members", known.to_string()),
                ("failed", failed(consul).to_string()),
                ("left", "0".into()),
                ("health_score", "0".into()),
                ("member_time", consul.index.to_string()),
            ]),
        ),
        (
            "runtime",
            text(vec![
                ("arch", agent.host.arch.to_string()),
                ("os", "linux".into()),
                ("cpu_count", "4".into()),
            ]),
        ),
    ]);
    if agent.server {
        stats.insert(
            "consul",
            text(vec![
                ("acl", "enabled".into()),
                ("bootstrap", "false".into()),
                ("known_datacenters", "1".into()),
                ("leader", leads.to_string()),
                (
                    "leader_addr",
                    consul.leader().map(rpc_address).unwrap_or_default(),
                ),
                ("server", "true".into()),
            ]),
        );
        let role = match (leads, consul.quorum.leader()) {
            (true, _) => "Leader",
            (false, Some(_)) => "Follower",
            (false, None) => "Candidate",
        };
        stats.insert(
            "raft",
            text(vec![
                ("applied_index", consul.index.to_string()),
                ("commit_index", consul.index.to_string()),
                ("last_contact", "0".into()),
                ("last_log_index", consul.index.to_string()),
                ("last_log_term", consul.quorum.term().to_string()),
                (
                    "num_peers",
                    consul.quorum.voters().len().saturating_sub(1).to_string(),
                ),
                ("protocol_version", "3".into()),
                ("state", role.into()),
                ("term", consul.quorum.term().to_string()),
            ]),
        );
    } else {
        stats.insert(
            "consul",
            text(vec![
                ("acl", "enabled".into()),
                ("known_servers", servers(consul).count().to_string()),
                ("server", "false".into()),
            ]),
        );
    }
    let drift = now.as_second().rem_euclid(7) as f64 / 10_000.0;
    AgentSelf {
        config: AgentConfig {
            datacenter: datacenter.to_owned(),
            primary_datacenter: datacenter.to_owned(),
            node_name: name.clone(),
            node_id: agent.id.clone(),
            revision: REVISION,
            server: agent.server,
            version: VERSION,
        },
        coord: Coordinate {
            vec: [drift; 8],
            error: 0.25,
            adjustment: 0.0,
            height: 1e-5,
        },
        member: member(consul, agent, datacenter),
        meta: BTreeMap::from([("consul-network-segment", String::new())]),
        stats,
    }
}

/// The services that the agent has registered, each with one check.
fn services_of(consul: &Consul, node: &str) -> usize {
    let own = |instance: &&super::state::Instance| instance.node == node && instance.unit.is_some();
    consul.instances.iter().filter(own).count()
}

fn failed(consul: &Consul) -> usize {
    consul
        .members()
        .filter(|agent| agent.serf == super::state::Serf::Failed)
        .count()
}
