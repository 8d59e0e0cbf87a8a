//! Ceph 19 (Squid) as the REST API of its dashboard shows it: <https://docs.ceph.com/en/squid/mgr/ceph_api/>.
//!
//! Managers run beside the monitors. One of them is active and answers; the others redirect to it. Every request must name a
//! version of its endpoint in `Accept`.

mod health;
mod osd;
mod shapes;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::http::{self, with};
use super::sim::Sim;
pub(crate) use state::Ceph;

/// The version that the simulation follows.
const VERSION: &str =
    "ceph version 19.2.3 (c92aebb279828e9c3c1f5d24613efca272649e62) squid (stable)";
/// The dashboard's login name.
pub(crate) const ADMIN: &str = "admin";

/// The dashboard of one manager.
#[derive(Clone)]
struct Server {
    sim: Arc<Sim<Ceph>>,
    node: Arc<str>,
    urls: Arc<BTreeMap<String, String>>,
    password: Arc<str>,
}

/// The dashboard's API on `node`; `urls` says where the other managers are.
pub(crate) fn router(
    sim: Arc<Sim<Ceph>>,
    node: &str,
    urls: Arc<BTreeMap<String, String>>,
    password: &str,
) -> Router {
    let server = Server {
        sim,
        node: node.into(),
        urls,
        password: password.into(),
    };
    Router::new()
        .route("/api/summary", get(summary))
        .route("/api/health/minimal", get(minimal))
        .route("/api/osd", get(osds))
        .route("/api/monitor", get(monitors))
        .route("/api/pool", get(pools))
        .route("/api/host", get(hosts))
        .layer(middleware::from_fn_with_state(server.clone(), authorise))
        .route("/api/auth", post(login))
        .layer(middleware::from_fn(version))
        .layer(middleware::from_fn_with_state(server.clone(), standby))
        .fallback(missing)
        .with_state(server)
}

fn refuse(status: u16, reason: &str, detail: &str) -> Response {
    let body = json!({ "status": format!("{status} {reason}"), "detail": detail });
    http::json(status, &body)
}

async fn missing() -> Response {
    refuse(404, "Not Found", "The path was not found.")
}

/// A standby sends its clients to the active manager.
async fn standby(State(server): State<Server>, request: Request, next: Next) -> Response {
    let active = server
        .sim
        .with(|ceph, _| ceph.active_manager().map(ToOwned::to_owned));
    match active {
        Some(active) if *active == *server.node => next.run(request).await,
        Some(active) => match server.urls.get(&active) {
            Some(url) => with(
                http::empty(303),
                "location",
                format!("{url}{}", request.uri()),
            ),
            None => refuse(503, "Service Unavailable", "No active manager"),
        },
        None => refuse(503, "Service Unavailable", "Keep on looking"),
    }
}

/// `Accept: application/vnd.ceph.api.v1.0+json`: every endpoint here has a version 1.x, and clients may ask for 1.0.
async fn version(headers: HeaderMap, request: Request, next: Next) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let asked = accept
        .strip_prefix("application/vnd.ceph.api.v")
        .and_then(|rest| rest.strip_suffix("+json"))
        .and_then(|version| version.split_once('.'))
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    let offered = offered(request.uri().path());
    match asked {
        Some((1, minor)) if minor <= offered => {
            let answer = next.run(request).await;
            if answer.status().is_success() {
                let kind = format!("application/vnd.ceph.api.v1.{offered}+json");
                return with(answer, "content-type", kind);
            }
            answer
        }
        Some((major, minor)) => refuse(
            415,
            "Unsupported Media Type",
            &format!(
                "Incorrect version: endpoint is '1.{offered}', client requested '{major}.{minor}'"
            ),
        ),
        None => refuse(
            415,
            "Unsupported Media Type",
            "Unable to find version in request header",
        ),
    }
}

/// The minor version of the endpoint in Squid.
fn offered(path: &str) -> u32 {
    match path {
        "/api/osd" => 1,
        "/api/host" => 3,
        _ => 0,
    }
}

async fn authorise(
    State(server): State<Server>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let token = http::bearer(&headers).unwrap_or_default().to_owned();
    let valid = server.sim.with(|ceph, now| ceph.knows(&token, now));
    if valid {
        next.run(request).await
    } else {
        refuse(
            401,
            "Unauthorized",
            "You are not authorized to access that resource",
        )
    }
}

/// `POST /api/auth`: user and password for a token that lasts eight hours.
async fn login(State(server): State<Server>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    if request["username"] != ADMIN || request["password"] != *server.password {
        let body = json!({
            "detail": "Invalid credentials",
            "code": "invalid_credentials",
            "component": "auth",
        });
        return http::json(400, &body);
    }
    let token = server.sim.with(state::Ceph::issue);
    let all = json!(["create", "delete", "read", "update"]);
    let scopes = [
        "cephfs",
        "config-opt",
        "grafana",
        "hosts",
        "log",
        "manager",
        "monitor",
        "osd",
        "pool",
        "prometheus",
        "rbd-image",
        "rgw",
        "user",
    ];
    let permissions: serde_json::Map<String, Value> = scopes
        .into_iter()
        .map(|scope| (scope.to_owned(), all.clone()))
        .collect();
    let body = json!({
        "token": token,
        "username": ADMIN,
        "permissions": permissions,
        "pwdExpirationDate": null,
        "sso": false,
        "pwdUpdateRequired": false,
    });
    http::json(201, &body)
}

async fn summary(State(server): State<Server>) -> Response {
    http::json(
        200,
        &server.sim.with(|ceph, now| shapes::summary(ceph, now)),
    )
}

async fn minimal(State(server): State<Server>) -> Response {
    http::json(
        200,
        &server.sim.with(|ceph, now| shapes::minimal(ceph, now)),
    )
}

async fn osds(State(server): State<Server>) -> Response {
    let osds = server.sim.with(|ceph, _| shapes::osds(ceph));
    let total = osds.len().to_string();
    with(http::json(200, &osds), "x-total-count", total)
}

async fn monitors(State(server): State<Server>) -> Response {
    http::json(200, &server.sim.with(|ceph, _| shapes::monitors(ceph)))
}

async fn pools(State(server): State<Server>) -> Response {
    http::json(200, &server.sim.with(|ceph, now| shapes::pools(ceph, now)))
}

async fn hosts(State(server): State<Server>) -> Response {
    let hosts = server.sim.with(|ceph, _| shapes::hosts(ceph));
    let total = hosts.len().to_string();
    with(http::json(200, &hosts), "x-total-count", total)
}
