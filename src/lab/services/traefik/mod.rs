//! Traefik 3.5 as its API shows it: <https://doc.traefik.io/traefik/operations/api/>.
//!
//! The proxy routes to services of the lab's nodes and checks their health, so a server is `DOWN` when its node or unit is. The
//! API is open (`api.insecure`), as it is in most small clusters; it is read through a jump host.

mod pages;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::http::{self, Params};
use super::sim::Sim;
pub(crate) use state::Traefik;

/// The version that the simulation follows.
const VERSION: &str = "3.5.3";
const CODENAME: &str = "chabichou";

type Shared = Arc<Sim<Traefik>>;

/// The API on the entry point `traefik`.
pub(crate) fn router(sim: Shared) -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/api/version", get(version))
        .route("/api/overview", get(overview))
        .route("/api/rawdata", get(raw_data))
        .route("/api/entrypoints", get(entry_points))
        .route("/api/http/{kind}", get(list))
        .route("/api/http/{kind}/{name}", get(item))
        .route("/api/tcp/{kind}", get(nothing))
        .route("/api/udp/{kind}", get(nothing))
        .fallback(missing)
        .with_state(sim)
}

async fn ping() -> Response {
    http::text(200, "OK")
}

async fn missing() -> Response {
    http::text(404, "404 page not found\n")
}

async fn version(State(sim): State<Shared>) -> Response {
    let started = sim.with(|traefik, _| traefik.started());
    http::json(
        200,
        &json!({ "Version": VERSION, "Codename": CODENAME, "startDate": started.to_string() }),
    )
}

/// `GET /api/overview`: `errors` counts what is disabled.
async fn overview(State(sim): State<Shared>) -> Response {
    let section = |entries: &[Value]| {
        let count = |status: &str| {
            entries
                .iter()
                .filter(|entry| entry["status"] == status)
                .count()
        };
        json!({ "total": entries.len(), "warnings": count("warning"), "errors": count("disabled") })
    };
    let answer = sim.with(|traefik, _| {
        json!({
            "http": {
                "routers": section(&traefik.routers()),
                "services": section(&traefik.services()),
                "middlewares": section(&traefik.middlewares()),
            },
            "tcp": { "routers": section(&[]), "services": section(&[]), "middlewares": section(&[]) },
            "udp": { "routers": section(&[]), "services": section(&[]) },
            "features": { "tracing": "", "metrics": "Prometheus", "accessLog": true },
            "providers": ["File"],
        })
    });
    http::json(200, &answer)
}

async fn raw_data(State(sim): State<Shared>) -> Response {
    let by_name = |entries: Vec<Value>| -> serde_json::Map<String, Value> {
        entries
            .into_iter()
            .filter_map(|mut entry| {
                let fields = entry.as_object_mut()?;
                let name = fields.remove("name")?.as_str()?.to_owned();
                fields.remove("provider");
                fields.remove("type");
                Some((name, entry))
            })
            .collect()
    };
    let answer = sim.with(|traefik, _| {
        json!({
            "routers": by_name(traefik.routers()),
            "middlewares": by_name(traefik.middlewares()),
            "services": by_name(traefik.services()),
        })
    });
    http::json(200, &answer)
}

async fn entry_points(params: Params) -> Response {
    pages::answer(&state::entry_points(), &params)
}

async fn nothing(Path(kind): Path<String>, params: Params) -> Response {
    match kind.as_str() {
        "routers" | "services" | "middlewares" => pages::answer(&[], &params),
        _ => missing().await,
    }
}

fn entries(traefik: &Traefik, kind: &str) -> Option<Vec<Value>> {
    Some(match kind {
        "routers" => traefik.routers(),
        "services" => traefik.services(),
        "middlewares" => traefik.middlewares(),
        _ => return None,
    })
}

/// `GET /api/http/{routers,services,middlewares}`, with `?search=` and `?status=`.
async fn list(State(sim): State<Shared>, Path(kind): Path<String>, params: Params) -> Response {
    let Some(entries) = sim.with(|traefik, _| entries(traefik, &kind)) else {
        return missing().await;
    };
    let search = params.get("search").unwrap_or_default().to_lowercase();
    let status = params.get("status").unwrap_or_default();
    let kept: Vec<Value> = entries
        .into_iter()
        .filter(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_lowercase();
            (status.is_empty()
                || entry["status"]
                    .as_str()
                    .is_some_and(|own| own.eq_ignore_ascii_case(status)))
                && (text("name").contains(&search) || text("rule").contains(&search))
        })
        .collect();
    pages::answer(&kept, &params)
}

async fn item(State(sim): State<Shared>, Path((kind, name)): Path<(String, String)>) -> Response {
    let Some(entries) = sim.with(|traefik, _| entries(traefik, &kind)) else {
        return missing().await;
    };
    match entries
        .into_iter()
        .find(|entry| entry["name"] == name.as_str())
    {
        Some(entry) => http::json(200, &entry),
        None => pages::error(
            404,
            &format!("{} not found: {name}", kind.trim_end_matches('s')),
        ),
    }
}
