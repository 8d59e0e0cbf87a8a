//! Vault 1.20 with integrated storage, as its HTTP API v1 shows it: <https://developer.hashicorp.com/vault/api-docs>.
//!
//! Every member has an endpoint of its own and is sealed or not by itself; a restart seals it. One of those that are unsealed
//! is active, provided they are a majority; the others are standbys that pass requests on to it. Where no node runs it when
//! the lab begins, it is new: somebody has to initialise it.

mod answer;
mod logical;
mod rekey;
mod seal;
mod secrets;
mod shamir;
mod shapes;
mod snapshot;
mod state;
mod sys;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;

use super::sim::Sim;
pub(crate) use seal::{Seal, USUAL};
pub(crate) use state::Vault;

/// The version that the simulation follows.
pub(crate) const VERSION: &str = "1.20.4";
const BUILD_DATE: &str = "2025-09-23T13:22:38Z";

/// One member's HTTP server.
#[derive(Clone)]
pub(crate) struct Server {
    sim: Arc<Sim<Vault>>,
    node: Arc<str>,
}

/// The API of the member on `node`.
pub(crate) fn router(sim: Arc<Sim<Vault>>, node: &str) -> Router {
    // Vault knows the method LIST and finds its backends by prefix, so one handler takes everything.
    Router::new().fallback(logical::route).with_state(Server {
        sim,
        node: node.into(),
    })
}
