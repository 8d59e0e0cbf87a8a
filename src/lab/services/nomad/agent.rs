//! Endpoints about servers: [agent](https://developer.hashicorp.com/nomad/api-docs/agent),
//! [status](https://developer.hashicorp.com/nomad/api-docs/status),
//! [operator](https://developer.hashicorp.com/nomad/api-docs/operator).

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::json;

use super::answer::{Management, Refusal, Server};
use super::shapes::{
    AutopilotHealth, Member, Members, RaftConfiguration, RaftServer, ServerHealth,
};
use super::state::{Agent, Nomad};
use super::{DATACENTER, REGION, VERSION};
use crate::lab::services::http::{self, Params};

/// `GET /v1/status/leader`: unlike Consul's, this one fails when nobody leads.
pub(crate) async fn leader(State(server): State<Server>, params: Params) -> Response {
    let leader = server.sim.with(|nomad, _| {
        server.reach(nomad, &params)?;
        Ok(nomad.leader().map(rpc_address).unwrap_or_default())
    });
    match leader {
        Ok(leader) => http::json(200, &leader),
        Err(refusal) => Refusal::into(refusal),
    }
}

/// `GET /v1/status/peers`.
pub(crate) async fn peers(State(server): State<Server>, params: Params) -> Response {
    let peers = server.sim.with(|nomad, _| {
        server.reach(nomad, &params)?;
        Ok(nomad.servers.values().map(rpc_address).collect::<Vec<_>>())
    });
    match peers {
        Ok(peers) => http::json(200, &peers),
        Err(refusal) => Refusal::into(refusal),
    }
}

/// `GET /v1/agent/members`: the servers, which alone take part in gossip.
pub(crate) async fn members(State(server): State<Server>, _: Management) -> Response {
    let members = server.sim.with(|nomad, _| Members {
        server_name: server.node.to_string(),
        server_region: REGION,
        server_dc: DATACENTER,
        members: nomad
            .servers
            .values()
            .filter(|agent| agent.joined)
            .map(|agent| member(nomad, agent))
            .collect(),
    });
    http::json(200, &members)
}

/// `GET /v1/agent/self`.
pub(crate) async fn agent_self(State(server): State<Server>, _: Management) -> Response {
    let answer = server.sim.with(|nomad, _| {
        let own = nomad.servers.get(&*server.node);
        let client = nomad.clients.get(&*server.node);
        let member = own.map(|agent| member(nomad, agent));
        json!({
            "config": {
                "ACL": { "Enabled": true },
                "Client": { "Enabled": client.is_some() },
                "Datacenter": DATACENTER,
                "NodeName": &*server.node,
                "Region": REGION,
                "Server": {
                    "BootstrapExpect": nomad.quorum.voters().len(),
                    "Enabled": own.is_some(),
                },
                "Version": {
                    "Revision": "521b5f0b6c8e4b6b8d3a0d1f7e2f3a9b7c6d5e4f",
                    "Version": VERSION,
                    "VersionMetadata": "",
                    "VersionPrerelease": "",
                },
            },
            "member": member,
            "stats": {
                "nomad": {
                    "leader": (nomad.quorum.leader() == Some(&*server.node)).to_string(),
                    "leader_addr": nomad.leader().map(rpc_address).unwrap_or_default(),
                    "server": own.is_some().to_string(),
                },
            },
        })
    });
    http::json(200, &answer)
}

/// `GET /v1/operator/raft/configuration`.
pub(crate) async fn raft(State(server): State<Server>, _: Management, params: Params) -> Response {
    let answer = server.sim.with(|nomad, _| {
        server.reach(nomad, &params)?;
        Ok(RaftConfiguration {
            servers: nomad
                .servers
                .values()
                .map(|agent| RaftServer {
                    id: agent.id.clone(),
                    node: gossip_name(agent),
                    address: rpc_address(agent),
                    leader: nomad.quorum.leader() == Some(&agent.host.name),
                    voter: true,
                    raft_protocol: "3",
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
    let answer = server.sim.with(|nomad, now| {
        server.reach(nomad, &Params::default())?;
        let servers: Vec<ServerHealth> = nomad
            .servers
            .values()
            .map(|agent| server_health(nomad, agent, now))
            .collect();
        let healthy = servers.iter().filter(|server| server.healthy).count();
        Ok(AutopilotHealth {
            healthy: healthy == servers.len(),
            failure_tolerance: healthy.saturating_sub(nomad.quorum.majority()),
            servers,
            leader: nomad
                .leader()
                .map(|agent| agent.id.clone())
                .unwrap_or_default(),
            voters: nomad
                .servers
                .values()
                .map(|agent| agent.id.clone())
                .collect(),
        })
    });
    match answer {
        Ok(answer) => http::json(if answer.healthy { 200 } else { 429 }, &answer),
        Err(refusal) => Refusal::into(refusal),
    }
}

fn rpc_address(agent: &Agent) -> String {
    format!("{}:4647", agent.host.address)
}

fn gossip_name(agent: &Agent) -> String {
    format!("{}.{REGION}", agent.host.name)
}

fn serf_status(agent: &Agent) -> &'static str {
    if agent.failed { "failed" } else { "alive" }
}

fn member(nomad: &Nomad, agent: &Agent) -> Member {
    let tags = BTreeMap::from([
        ("build", VERSION.to_owned()),
        ("dc", DATACENTER.to_owned()),
        ("expect", nomad.quorum.voters().len().to_string()),
        ("id", agent.id.clone()),
        ("port", "4647".to_owned()),
        ("raft_vsn", "3".to_owned()),
        ("region", REGION.to_owned()),
        ("role", "nomad".to_owned()),
        ("rpc_addr", agent.host.address.clone()),
        ("vsn", "1".to_owned()),
    ]);
    Member {
        name: gossip_name(agent),
        addr: agent.host.address.clone(),
        port: 4648,
        tags,
        status: serf_status(agent),
        protocol_min: 1,
        protocol_max: 5,
        protocol_cur: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate_cur: 4,
    }
}

fn server_health(nomad: &Nomad, agent: &Agent, now: Timestamp) -> ServerHealth {
    let leader = nomad.quorum.leader() == Some(&agent.host.name);
    let alive = agent.pulse.alive();
    let last_contact = if leader {
        "0s".to_owned()
    } else if alive {
        "21.5ms".to_owned()
    } else {
        format!("{}s", now.duration_since(agent.pulse.since()).as_secs())
    };
    ServerHealth {
        id: agent.id.clone(),
        name: gossip_name(agent),
        address: rpc_address(agent),
        serf_status: serf_status(agent),
        version: VERSION,
        leader,
        last_contact,
        last_term: nomad.quorum.term(),
        last_index: nomad.index,
        healthy: alive,
        voter: true,
        stable_since: agent.pulse.since().to_string(),
    }
}
