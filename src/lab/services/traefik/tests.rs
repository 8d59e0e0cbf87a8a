//! Traefik as a client sees it.

use serde_json::Value;

use crate::domain::service::ServiceKind::Traefik;
use crate::lab::services::testing::{Stage, read};
use crate::lab::services::units;
use crate::lab::world::FaultTarget as _;

async fn get(stage: &Stage, path: &str) -> (u16, Value) {
    stage.json(Traefik, "pc5", path).await
}

#[tokio::test]
async fn at_the_start_everything_is_enabled_and_up() {
    let stage = Stage::set().await;
    let (_, overview) = get(&stage, "/api/overview").await;
    assert_eq!(overview["http"]["routers"]["errors"], 0);
    assert!(overview["http"]["routers"]["total"].as_u64() > Some(4));
    let (_, services) = get(&stage, "/api/http/services").await;
    let servers = services
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|service| service["serverStatus"].as_object())
        .flat_map(|status| status.values());
    assert!(servers.clone().count() > 5);
    assert!(servers.clone().all(|status| status == "UP"));
    let ping = stage.get(Traefik, "pc5", "/ping").await;
    assert_eq!(ping.text().await.unwrap(), "OK");
}

#[tokio::test]
async fn a_server_is_down_when_its_unit_stops() {
    let stage = Stage::set().await;
    stage.puppets.stop("pc5", units::GRAFANA);
    let (_, service) = get(&stage, "/api/http/services/grafana@file").await;
    assert_eq!(service["serverStatus"]["http://10.42.0.15:3000"], "DOWN");
    assert_eq!(service["status"], "enabled");
}

#[tokio::test]
async fn a_router_without_a_service_is_disabled_and_counted() {
    let stage = Stage::set().await;
    stage
        .services
        .machines
        .fault("traefik", &["error"])
        .unwrap();
    let (_, overview) = get(&stage, "/api/overview").await;
    assert_eq!(overview["http"]["routers"]["errors"], 1);
    let (_, disabled) = get(&stage, "/api/http/routers?status=disabled").await;
    assert_eq!(disabled[0]["name"], "shop@file");
    stage.services.machines.fault("traefik", &["ok"]).unwrap();
    let (_, overview) = get(&stage, "/api/overview").await;
    assert_eq!(overview["http"]["routers"]["errors"], 0);
}

#[tokio::test]
async fn the_last_page_points_to_the_first_and_beyond_is_an_error() {
    let stage = Stage::set().await;
    let (mut page, mut seen) = (1, 0);
    loop {
        let path = format!("/api/http/routers?page={page}&per_page=3");
        let answer = stage.get(Traefik, "pc5", &path).await;
        let next: u32 = answer.headers()["x-next-page"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        seen += read(answer).await.1.as_array().unwrap().len();
        if next == 1 {
            break;
        }
        page = next;
    }
    let (_, all) = get(&stage, "/api/http/routers").await;
    assert_eq!(seen, all.as_array().unwrap().len());
    let (status, error) = get(&stage, "/api/http/routers?page=9").await;
    assert_eq!(status, 400);
    assert_eq!(error["message"], "invalid request: page: 9, per_page: 100");
    let (status, _) = get(&stage, "/api/http/routers/nosuch@file").await;
    assert_eq!(status, 404);
}
