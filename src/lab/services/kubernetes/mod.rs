//! A K3s 1.33 cluster as the Kubernetes API shows it: <https://kubernetes.io/docs/reference/using-api/api-concepts/>.
//!
//! Controllers are simulated as far as nodes matter: a kubelet that is silent makes its node `NotReady`, its pods are evicted
//! after a while, and what manages them makes others elsewhere. Nodes can be cordoned and deleted, pods evicted, deployments
//! restarted and config maps applied; everything else can only be read. The API speaks plain HTTP and checks the bearer token. As in K3s, anonymous requests are refused everywhere.

mod api;
mod change;
mod discovery;
mod objects;
mod selector;
mod state;
mod status;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;

use super::http;
use super::sim::Sim;
pub(crate) use state::Kubernetes;

/// The version that the simulation follows.
const VERSION: &str = "v1.33.5+k3s1";

/// The API server.
#[derive(Clone)]
struct Server {
    sim: Arc<Sim<Kubernetes>>,
    token: Arc<str>,
}

/// The API for holders of `token`.
pub(crate) fn router(sim: Arc<Sim<Kubernetes>>, token: &str) -> Router {
    let server = Server {
        sim,
        token: token.into(),
    };
    Router::new()
        .route("/version", get(discovery::version))
        .route("/healthz", get(fine))
        .route("/livez", get(fine))
        .route("/readyz", get(fine))
        .route("/api", get(discovery::versions))
        .route("/apis", get(discovery::groups))
        .fallback(api::serve)
        .layer(middleware::from_fn_with_state(server.clone(), authorise))
        .with_state(server)
}

async fn fine() -> Response {
    http::text(200, "ok")
}

async fn authorise(
    State(server): State<Server>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    if http::bearer(&headers) == Some(&*server.token) {
        next.run(request).await
    } else {
        status::Failure::unauthorized().into()
    }
}
