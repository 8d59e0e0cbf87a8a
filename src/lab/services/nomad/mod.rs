//! Nomad 1.10 as its HTTP API v1 shows it: <https://developer.hashicorp.com/nomad/api-docs>.
//!
//! Servers elect a leader and keep the state; clients run allocations. A client that is gone takes its allocations with it:
//! they are lost, and the scheduler places others on the clients that are left. ACLs are on.

mod act;
mod agent;
mod answer;
mod cluster;
mod logs;
mod register;
mod shapes;
mod snapshot;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use super::sim::Sim;
use answer::Server;
pub(crate) use state::Nomad;

/// The version that the simulation follows.
pub(crate) const VERSION: &str = "1.10.5";
/// The only region.
const REGION: &str = "global";
/// The only datacenter.
const DATACENTER: &str = "dc1";

/// The API of the agent on `node`.
pub(crate) fn router(sim: Arc<Sim<Nomad>>, node: &str, token: &str) -> Router {
    Router::new()
        .route("/v1/status/leader", get(agent::leader))
        .route("/v1/status/peers", get(agent::peers))
        .route("/v1/agent/self", get(agent::agent_self))
        .route("/v1/agent/members", get(agent::members))
        .route("/v1/operator/raft/configuration", get(agent::raft))
        .route("/v1/operator/autopilot/health", get(agent::autopilot))
        .route(
            "/v1/operator/snapshot",
            get(snapshot::take).put(snapshot::restore),
        )
        .route("/v1/nodes", get(cluster::nodes))
        .route("/v1/node/{id}/allocations", get(cluster::node_allocations))
        .route("/v1/node/{id}/drain", post(act::drain))
        .route("/v1/node/{id}/eligibility", post(act::eligibility))
        .route("/v1/node/{id}/purge", post(act::purge))
        .route("/v1/agent/force-leave", put(act::force_leave))
        .route("/v1/jobs", get(cluster::jobs).post(register::register))
        .route("/v1/job/{job}/plan", post(register::plan))
        .route("/v1/allocations", get(cluster::allocations))
        .route("/v1/job/{job}/allocations", get(cluster::job_allocations))
        .route("/v1/deployments", get(cluster::deployments))
        .route("/v1/client/fs/logs/{allocation}", get(logs::follow))
        .with_state(Server {
            sim,
            node: node.into(),
            token: token.into(),
        })
}
