//! Harbor 2.14 as its API v2.0 shows it: <https://goharbor.io/docs/2.14.0/build-customize-contribute/configure-swagger/>.
//!
//! Health and ping are open. Who comes without a valid login is a guest and sees public projects only.

mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use super::http::{self, Params, with};
use super::ids::unhex;
use super::sim::Sim;
pub(crate) use state::Harbor;

/// The version that the simulation follows.
const VERSION: &str = "v2.14.0";
/// The administrator's login name.
pub(crate) const ADMIN: &str = "admin";
const PAGE_SIZE: u64 = 10;
const PAGE_SIZE_MAX: u64 = 100;

/// The server of the only instance.
#[derive(Clone)]
struct Server {
    sim: Arc<Sim<Harbor>>,
    password: Arc<str>,
}

/// The API below `/api/v2.0`.
pub(crate) fn router(sim: Arc<Sim<Harbor>>, password: &str) -> Router {
    Router::new()
        .route("/api/v2.0/health", get(health))
        .route("/api/v2.0/ping", get(ping))
        .route("/api/v2.0/systeminfo", get(system_info))
        .route("/api/v2.0/statistics", get(statistics))
        .route("/api/v2.0/projects", get(projects))
        .route("/api/v2.0/projects/{project}", get(project))
        .route(
            "/api/v2.0/projects/{project}/repositories",
            get(repositories),
        )
        .route(
            "/api/v2.0/projects/{project}/repositories/{repository}/artifacts",
            get(artifacts),
        )
        .route("/api/v2.0/quotas", get(quotas))
        .fallback(missing)
        .with_state(Server {
            sim,
            password: password.into(),
        })
}

/// Why a request was refused: status, code and sentence.
struct Refusal(u16, &'static str, String);

impl From<Refusal> for Response {
    fn from(Refusal(status, code, message): Refusal) -> Self {
        http::json(
            status,
            &json!({ "errors": [{ "code": code, "message": message }] }),
        )
    }
}

async fn missing() -> Response {
    let refusal = Refusal(404, "NOT_FOUND", "The resource is not found".into());
    refusal.into()
}

impl Server {
    fn administrator(&self, headers: &HeaderMap) -> bool {
        http::basic(headers)
            .is_some_and(|(user, password)| user == ADMIN && password == *self.password)
    }

    fn require(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.administrator(headers) {
            Ok(())
        } else {
            Err(Refusal(401, "UNAUTHORIZED", "unauthorized".into()))
        }
    }
}

/// `GET /health`: 200 whatever the components say.
async fn health(State(server): State<Server>) -> Response {
    http::json(200, &server.sim.with(|harbor, _| harbor.health()))
}

async fn ping() -> Response {
    http::text(200, "Pong")
}

async fn system_info(State(server): State<Server>, headers: HeaderMap) -> Response {
    let mut info = json!({
        "auth_mode": "db_auth",
        "banner_message": "",
        "harbor_version": VERSION,
        "oidc_provider_name": "",
        "primary_auth_mode": false,
        "self_registration": false,
    });
    if server.administrator(&headers) {
        let now = server.sim.with(|_, now| now);
        for (key, value) in [
            ("current_time", json!(now.to_string())),
            ("external_url", json!("https://harbor.lab.internal")),
            ("has_ca_root", json!(false)),
            ("notification_enable", json!(true)),
            ("project_creation_restriction", json!("adminonly")),
            ("read_only", json!(false)),
            ("registry_storage_provider_name", json!("filesystem")),
            ("registry_url", json!("harbor.lab.internal")),
        ] {
            info[key] = value;
        }
    }
    http::json(200, &info)
}

async fn statistics(State(server): State<Server>, headers: HeaderMap) -> Response {
    match server.require(&headers) {
        Ok(()) => http::json(200, &server.sim.with(|harbor, _| harbor.statistics())),
        Err(refusal) => refusal.into(),
    }
}

async fn projects(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
    uri: Uri,
) -> Response {
    let all = server.administrator(&headers);
    let projects = server.sim.with(|harbor, _| harbor.projects(all));
    let name = params.get("name").unwrap_or_default();
    let kept = projects
        .into_iter()
        .filter(|project| {
            project["name"]
                .as_str()
                .is_some_and(|own| own.contains(name))
        })
        .collect();
    page(kept, &params, &uri).unwrap_or_else(Refusal::into)
}

async fn project(
    State(server): State<Server>,
    Path(project): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = server.sim.with(|harbor, _| {
        let visible = readable(&server, harbor, &headers, &project)?;
        Ok(harbor.shown(visible))
    });
    match found {
        Ok(found) => http::json(200, &found),
        Err(refusal) => Refusal::into(refusal),
    }
}

async fn repositories(
    State(server): State<Server>,
    Path(project): Path<String>,
    headers: HeaderMap,
    params: Params,
    uri: Uri,
) -> Response {
    let found = server.sim.with(|harbor, _| {
        let project = readable(&server, harbor, &headers, &project)?;
        Ok(harbor.repositories(project))
    });
    found
        .and_then(|found| page(found, &params, &uri))
        .unwrap_or_else(Refusal::into)
}

/// The repository's name comes encoded twice, because it may contain slashes.
async fn artifacts(
    State(server): State<Server>,
    Path((project, repository)): Path<(String, String)>,
    headers: HeaderMap,
    params: Params,
    uri: Uri,
) -> Response {
    let found = server.sim.with(|harbor, _| {
        let project = readable(&server, harbor, &headers, &project)?;
        let name = format!("{project}/{}", percent_decode(&repository));
        let scans = params.get("with_scan_overview") == Some("true");
        // A slash at this point was encoded only once; the real router then finds no such route.
        let known = !repository.contains('/');
        harbor
            .artifacts(&name, scans)
            .filter(|_| known)
            .ok_or_else(|| Refusal(404, "NOT_FOUND", format!("repository {name} not found")))
    });
    found
        .and_then(|found| page(found, &params, &uri))
        .unwrap_or_else(Refusal::into)
}

async fn quotas(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
    uri: Uri,
) -> Response {
    if let Err(refusal) = server.require(&headers) {
        return refusal.into();
    }
    let quotas = server.sim.with(|harbor, _| harbor.quotas());
    page(quotas, &params, &uri).unwrap_or_else(Refusal::into)
}

/// The project's name, when the caller may see it.
fn readable<'a>(
    server: &Server,
    harbor: &'a Harbor,
    headers: &HeaderMap,
    project: &str,
) -> Result<&'a str, Refusal> {
    let guest = !server.administrator(headers);
    match harbor.project(project) {
        Some((_, public)) if guest && !public => {
            Err(Refusal(401, "UNAUTHORIZED", "unauthorized".into()))
        }
        Some((name, _)) => Ok(name),
        None if guest => Err(Refusal(401, "UNAUTHORIZED", "unauthorized".into())),
        None => Err(Refusal(
            404,
            "NOT_FOUND",
            format!("project {project} not found"),
        )),
    }
}

/// `?page=` of `?page_size=` items, with the total in a header.
fn page(items: Vec<Value>, params: &Params, uri: &Uri) -> Result<Response, Refusal> {
    let refuse = |message: String| Refusal(422, "UNPROCESSABLE_ENTITY", message);
    let number = |name: &str, default| {
        params
            .number(name, default)
            .map_err(|value| refuse(format!("{name} in query must be of type int64: {value:?}")))
    };
    let (page, size) = (number("page", 1)?.max(1), number("page_size", PAGE_SIZE)?);
    if size > PAGE_SIZE_MAX {
        return Err(refuse(format!(
            "page_size in query should be less than or equal to {PAGE_SIZE_MAX}"
        )));
    }
    let size = if size == 0 { PAGE_SIZE } else { size };
    let total = items.len();
    let skip = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
    let take = usize::try_from(size).unwrap_or(usize::MAX);
    let shown: Vec<Value> = items.into_iter().skip(skip).take(take).collect();
    let more = skip.saturating_add(take) < total;
    let response = with(http::json(200, &shown), "x-total-count", total.to_string());
    let mut links = Vec::new();
    let link = |page: u64, rel: &str| {
        format!(
            "<{}?page={page}&page_size={size}>; rel=\"{rel}\"",
            uri.path()
        )
    };
    if page > 1 {
        links.push(link(page - 1, "prev"));
    }
    if more {
        links.push(link(page + 1, "next"));
    }
    if links.is_empty() {
        return Ok(response);
    }
    Ok(with(response, "link", links.join(" , ")))
}

/// Replaces `%XX`; what is not a valid escape stays.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(unhex);
        if let Some(decoded) = escape {
            bytes.extend(decoded);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
