//! Endpoints about nodes, services and checks:
//! [catalog](https://developer.hashicorp.com/consul/api-docs/catalog),
//! [health](https://developer.hashicorp.com/consul/api-docs/health).
//!
//! Without rights these do not refuse: they leave out what the caller may not see, which is everything here.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::Response;

use super::answer::{Caller, Found, Refusal, Server};
use super::shapes::{Check, Node, Nothing, Proxy, Service, ServiceEntry, Weights};
use super::state::{Agent, Consul, Health, Instance, Serf};
use crate::lab::services::http::Params;

/// `GET /v1/catalog/services`: names with their tags.
pub(crate) async fn services(
    State(server): State<Server>,
    caller: Caller,
    params: Params,
) -> Response {
    server
        .query(&params, |consul, _| {
            let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for instance in visible(caller, consul.instances.iter()) {
                let tags = services.entry(instance.name).or_default();
                for tag in &instance.tags {
                    if !tags.contains(tag) {
                        tags.push(tag);
                    }
                }
            }
            Ok(found(consul, services))
        })
        .await
}

/// `GET /v1/catalog/nodes`.
pub(crate) async fn nodes(
    State(server): State<Server>,
    caller: Caller,
    params: Params,
) -> Response {
    server
        .query(&params, |consul, _| {
            let nodes: Vec<Node> = visible(caller, consul.registered())
                .map(|agent| node(agent, &server.datacenter))
                .collect();
            Ok(found(consul, nodes))
        })
        .await
}

/// `GET /v1/health/state/:state`.
pub(crate) async fn state(
    State(server): State<Server>,
    Path(wanted): Path<String>,
    caller: Caller,
    params: Params,
) -> Response {
    server
        .query(&params, |consul, _| {
            let checks: Vec<Check> = visible(caller, consul.registered())
                .flat_map(|agent| checks_of(consul, agent))
                .filter(|check| wanted == "any" || check.status == wanted)
                .collect();
            Ok(found(consul, checks))
        })
        .await
}

/// `GET /v1/health/node/:node`.
pub(crate) async fn node_checks(
    State(server): State<Server>,
    Path(name): Path<String>,
    caller: Caller,
    params: Params,
) -> Response {
    server
        .query(&params, |consul, _| {
            let checks: Vec<Check> = visible(caller, consul.registered())
                .filter(|agent| agent.host.name == name)
                .flat_map(|agent| checks_of(consul, agent))
                .collect();
            Ok(found(consul, checks))
        })
        .await
}

/// `GET /v1/health/service/:service`; `?passing` leaves out instances with a failing check.
pub(crate) async fn service(
    State(server): State<Server>,
    Path(name): Path<String>,
    caller: Caller,
    params: Params,
) -> Response {
    let passing = match params.get("passing") {
        Some("" | "1" | "t" | "T" | "TRUE" | "true" | "True") => true,
        None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
        Some(_) => {
            return Refusal(400, "Invalid value for ?passing".into()).into();
        }
    };
    server
        .query(&params, |consul, _| {
            let entries: Vec<ServiceEntry> = visible(caller, consul.instances.iter())
                .filter(|instance| instance.name == name)
                .filter_map(|instance| {
                    let agent = consul.agent(&instance.node)?;
                    let mut checks = vec![serf_check(agent)];
                    checks.extend(service_check(instance));
                    Some(ServiceEntry {
                        node: node(agent, &server.datacenter),
                        service: shown(instance),
                        checks,
                    })
                })
                .filter(|entry| {
                    !passing || entry.checks.iter().all(|check| check.status == "passing")
                })
                .collect();
            Ok(found(consul, entries))
        })
        .await
}

fn visible<T>(caller: Caller, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    all.filter(move |_| caller == Caller::Management)
}

fn found<T>(consul: &Consul, value: T) -> Found<T> {
    Found {
        index: consul.catalog_index,
        value: Some(value),
    }
}

fn node(agent: &Agent, datacenter: &str) -> Node {
    let address = &agent.host.address;
    Node {
        id: agent.id.clone(),
        node: agent.host.name.clone(),
        address: address.clone(),
        datacenter: datacenter.to_owned(),
        tagged_addresses: ["lan", "lan_ipv4", "wan", "wan_ipv4"]
            .into_iter()
            .map(|kind| (kind, address.clone()))
            .collect(),
        meta: BTreeMap::from([("consul-network-segment", String::new())]),
        create_index: agent.created,
        modify_index: agent.modified,
    }
}

fn shown(instance: &Instance) -> Service {
    Service {
        id: instance_id(instance),
        service: instance.name.into(),
        tags: instance.tags.clone(),
        address: String::new(),
        meta: None,
        port: instance.port,
        weights: Weights {
            passing: 1,
            warning: 1,
        },
        enable_tag_override: false,
        proxy: Proxy::default(),
        connect: Nothing {},
        create_index: instance.created,
        modify_index: instance.modified,
    }
}

fn instance_id(instance: &Instance) -> String {
    match instance.unit {
        None => instance.name.into(),
        Some(_) => format!("{}-{}", instance.name, instance.node),
    }
}

fn checks_of<'a>(consul: &'a Consul, agent: &'a Agent) -> impl Iterator<Item = Check> + 'a {
    let own = consul
        .instances
        .iter()
        .filter(|instance| instance.node == agent.host.name)
        .filter_map(service_check);
    std::iter::once(serf_check(agent)).chain(own)
}

fn serf_check(agent: &Agent) -> Check {
    let alive = agent.serf == Serf::Alive;
    let output = if alive {
        "Agent alive and reachable"
    } else {
        "Agent not live or unreachable"
    };
    Check {
        node: agent.host.name.clone(),
        check_id: "serfHealth".into(),
        name: "Serf Health Status".into(),
        status: if alive { "passing" } else { "critical" },
        notes: "",
        output: output.into(),
        service_id: String::new(),
        service_name: String::new(),
        service_tags: Vec::new(),
        kind: "",
        definition: Nothing {},
        create_index: agent.created,
        modify_index: agent.modified,
    }
}

fn service_check(instance: &Instance) -> Option<Check> {
    instance.unit?;
    let id = instance_id(instance);
    let port = instance.port;
    let output = match instance.health {
        Health::Passing => format!("TCP connect 127.0.0.1:{port}: Success"),
        Health::Critical => {
            format!("dial tcp 127.0.0.1:{port}: connect: connection refused")
        }
    };
    Some(Check {
        node: instance.node.clone(),
        check_id: format!("service:{id}"),
        name: format!("Service '{}' check", instance.name),
        status: instance.health.word(),
        notes: "",
        output,
        service_id: id,
        service_name: instance.name.into(),
        service_tags: instance.tags.clone(),
        kind: "tcp",
        definition: Nothing {},
        create_index: instance.created,
        modify_index: instance.modified,
    })
}
