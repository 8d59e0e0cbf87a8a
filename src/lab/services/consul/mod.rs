//! Consul 1.8 (the version that Debian packages) as its HTTP API v1 shows it: <https://developer.hashicorp.com/consul/api-docs>.
//! Fields and headers that came with later versions are left out on purpose.
//!
//! Every agent has an endpoint of its own, and all of them show the same datacenter. ACLs are on, and what has no token may do
//! nothing.

mod agent;
mod answer;
mod catalog;
mod kv;
mod shapes;
mod snapshot;
mod state;
mod store_api;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, put};

use super::sim::Sim;
pub(crate) use answer::Server;
pub(crate) use state::{Consul, Serf};

/// The version that the simulation follows.
pub(crate) const VERSION: &str = "1.8.7";
const REVISION: &str = "";
/// The name of the datacenter.
pub(crate) const DATACENTER: &str = "lab";

/// The API of the agent on `node`.
pub(crate) fn router(sim: Arc<Sim<Consul>>, node: &str, token: &str) -> Router {
    Router::new()
        .route("/v1/status/leader", get(agent::leader))
        .route("/v1/status/peers", get(agent::peers))
        .route("/v1/agent/self", get(agent::agent_self))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/agent/force-leave/{node}", put(agent::force_leave))
        .route("/v1/operator/raft/configuration", get(agent::raft))
        .route("/v1/operator/autopilot/health", get(agent::autopilot))
        .route("/v1/snapshot", get(snapshot::take).put(snapshot::restore))
        .route("/v1/acl/token/self", get(agent::token_self))
        .route("/v1/catalog/services", get(catalog::services))
        .route("/v1/catalog/nodes", get(catalog::nodes))
        .route("/v1/health/state/{state}", get(catalog::state))
        .route("/v1/health/node/{node}", get(catalog::node_checks))
        .route("/v1/health/service/{service}", get(catalog::service))
        .route("/v1/kv/", any(store_api::root))
        .route("/v1/kv/{*key}", any(store_api::key))
        .with_state(Server {
            sim,
            node: node.into(),
            token: token.into(),
            datacenter: DATACENTER.into(),
        })
}
