//! Harbor as a client sees it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Harbor;
use crate::lab::services::testing::{Stage, read};
use crate::lab::services::units;

async fn get(stage: &Stage, path: &str) -> (u16, Value) {
    stage.json(Harbor, "pc4", &format!("/api/v2.0{path}")).await
}

async fn guest(stage: &Stage, path: &str) -> (u16, Value) {
    let request = stage.bare(Method::GET, Harbor, "pc4", &format!("/api/v2.0{path}"));
    read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn health_and_ping_are_open() {
    let stage = Stage::set().await;
    let (status, health) = guest(&stage, "/health").await;
    assert_eq!((status, &health["status"]), (200, &json!("healthy")));
    let ping = stage.bare(Method::GET, Harbor, "pc4", "/api/v2.0/ping");
    assert_eq!(ping.send().await.unwrap().text().await.unwrap(), "Pong");
}

#[tokio::test]
async fn a_guest_sees_public_projects_only() {
    let stage = Stage::set().await;
    let (_, projects) = guest(&stage, "/projects").await;
    assert_eq!(projects.as_array().unwrap().len(), 1);
    let (status, refused) = guest(&stage, "/quotas").await;
    assert_eq!(
        (status, &refused["errors"][0]["code"]),
        (401, &json!("UNAUTHORIZED"))
    );
    let (status, _) = guest(&stage, "/projects/apps/repositories").await;
    assert_eq!(status, 401);
    let wrong = stage
        .bare(Method::GET, Harbor, "pc4", "/api/v2.0/quotas")
        .basic_auth("admin", Some("wrong"));
    assert_eq!(wrong.send().await.unwrap().status(), 401);
    let (_, projects) = get(&stage, "/projects").await;
    assert_eq!(projects.as_array().unwrap().len(), 2);
    let (_, info) = get(&stage, "/systeminfo").await;
    assert_eq!(info["read_only"], false);
    let (_, info) = guest(&stage, "/systeminfo").await;
    assert_eq!(info.get("read_only"), None);
}

#[tokio::test]
async fn names_with_slashes_are_encoded_twice() {
    let stage = Stage::set().await;
    let twice = "/projects/apps/repositories/shop%252Ffrontend/artifacts?with_scan_overview=true";
    let (status, artifacts) = get(&stage, twice).await;
    assert_eq!(status, 200);
    assert_eq!(artifacts[0]["tags"][0]["name"], "1.4.2");
    let report = "application/vnd.security.vulnerability.report; version=1.1";
    assert_eq!(
        artifacts[0]["scan_overview"][report]["severity"],
        "Critical"
    );
    let (status, _) = get(
        &stage,
        "/projects/apps/repositories/shop%2Ffrontend/artifacts",
    )
    .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn pages_end_and_are_bounded() {
    let stage = Stage::set().await;
    let path = "/api/v2.0/projects?page=1&page_size=1";
    let first = stage.get(Harbor, "pc4", path).await;
    assert_eq!(first.headers()["x-total-count"], "2");
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    assert_eq!(
        link,
        "</api/v2.0/projects?page=2&page_size=1>; rel=\"next\""
    );
    let last = stage
        .get(Harbor, "pc4", "/api/v2.0/projects?page=2&page_size=1")
        .await;
    assert!(!last.headers()["link"].to_str().unwrap().contains("next"));
    let (_, beyond) = get(&stage, "/projects?page=3&page_size=1").await;
    assert_eq!(beyond, json!([]));
    let (status, _) = get(&stage, "/projects?page_size=101").await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn unknown_projects_are_not_found() {
    let stage = Stage::set().await;
    let (status, error) = get(&stage, "/projects/nosuch/repositories").await;
    assert_eq!(status, 404);
    assert_eq!(error["errors"][0]["message"], "project nosuch not found");
}

#[tokio::test]
async fn a_stopped_registry_breaks_connections() {
    let stage = Stage::set().await;
    stage.puppets.stop("pc4", units::HARBOR);
    let dead = stage
        .bare(Method::GET, Harbor, "pc4", "/api/v2.0/ping")
        .send()
        .await;
    assert!(dead.is_err(), "{dead:?}");
}
