//! Grafana 12 as its HTTP API shows it: <https://grafana.com/docs/grafana/latest/developers/http_api/>.
//!
//! Its alert rules watch the lab's nodes: a rule is pending from the moment its condition holds and fires when it has held long
//! enough. One rule is pending from the start, so that there is something to look at.

mod shapes;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::http::{self, Params};
use super::sim::Sim;
pub(crate) use state::Grafana;

/// The version that the simulation follows.
const VERSION: &str = "12.2.0";

/// The server of the only instance.
#[derive(Clone)]
struct Server {
    sim: Arc<Sim<Grafana>>,
    token: Arc<str>,
}

/// The API; everything but `/api/health` needs the service account's token.
pub(crate) fn router(sim: Arc<Sim<Grafana>>, token: &str) -> Router {
    let server = Server {
        sim,
        token: token.into(),
    };
    Router::new()
        .route("/api/datasources", get(data_sources))
        .route("/api/search", get(search))
        .route("/api/alertmanager/grafana/api/v2/alerts", get(alerts))
        .route("/api/prometheus/grafana/api/v1/rules", get(rules))
        .route("/api/v1/provisioning/alert-rules", get(provisioned))
        .fallback(missing)
        .layer(middleware::from_fn_with_state(server.clone(), authorise))
        .route("/api/health", get(health))
        .with_state(server)
}

async fn authorise(
    State(server): State<Server>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    match http::bearer(&headers) {
        Some(token) if token == &*server.token => next.run(request).await,
        Some(_) => refuse(401, "Invalid API key", "api-key.invalid"),
        None => refuse(401, "Unauthorized", "auth.unauthorized"),
    }
}

fn refuse(status: u16, message: &str, id: &str) -> Response {
    let body = json!({
        "extra": null,
        "message": message,
        "messageId": id,
        "statusCode": status,
        "traceID": "",
    });
    http::json(status, &body)
}

async fn missing() -> Response {
    http::json(404, &json!({ "message": "Not found" }))
}

async fn health(State(server): State<Server>) -> Response {
    let commit = server.sim.around().ids.hex("grafana/commit", 40);
    let body = json!({ "database": "ok", "version": VERSION, "commit": commit });
    http::json(200, &body)
}

async fn data_sources(State(server): State<Server>) -> Response {
    let sources = server.sim.with(|grafana, _| grafana.data_sources());
    http::json(200, &sources)
}

/// `GET /api/search`, with `?type=` and `?query=`.
async fn search(State(server): State<Server>, params: Params) -> Response {
    let query = params.get("query").unwrap_or_default().to_lowercase();
    let kind = params.get("type").unwrap_or_default();
    let found: Vec<Value> = server
        .sim
        .with(|grafana, _| grafana.dashboards())
        .into_iter()
        .filter(|entry| kind.is_empty() || entry["type"] == kind)
        .filter(|entry| {
            let title = entry["title"].as_str().unwrap_or_default();
            title.to_lowercase().contains(&query)
        })
        .collect();
    http::json(200, &found)
}

async fn alerts(State(server): State<Server>) -> Response {
    let alerts = server.sim.with(|grafana, now| shapes::alerts(grafana, now));
    http::json(200, &alerts)
}

async fn rules(State(server): State<Server>) -> Response {
    let rules = server.sim.with(|grafana, now| shapes::rules(grafana, now));
    http::json(200, &rules)
}

async fn provisioned(State(server): State<Server>) -> Response {
    let rules = server.sim.with(|grafana, _| shapes::provisioned(grafana));
    http::json(200, &rules)
}
