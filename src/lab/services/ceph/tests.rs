//! The Ceph dashboard as a client sees it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Ceph;
use crate::lab::services::testing::{Stage, read};
use crate::lab::world::FaultTarget as _;

const V1: &str = "application/vnd.ceph.api.v1.0+json";

async fn login(stage: &Stage, node: &str) -> String {
    let answer = stage
        .bare(Method::POST, Ceph, node, "/api/auth")
        .header("Accept", V1)
        .json(&json!({ "username": "admin", "password": stage.secret(Ceph) }))
        .send()
        .await
        .unwrap();
    let (status, body) = read(answer).await;
    assert_eq!(status, 201);
    body["token"].as_str().unwrap().to_owned()
}

async fn get(stage: &Stage, node: &str, path: &str) -> Value {
    let token = login(stage, node).await;
    let request = stage.bare(Method::GET, Ceph, node, path);
    let answer = request
        .header("Accept", V1)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let (status, body) = read(answer).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn health(stage: &Stage, node: &str) -> (String, Vec<String>) {
    let minimal = get(stage, node, "/api/health/minimal").await;
    let checks = minimal["health"]["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| check["type"].as_str().unwrap().to_owned());
    let status = minimal["health"]["status"].as_str().unwrap();
    (status.to_owned(), checks.collect())
}

#[tokio::test]
async fn every_request_names_a_version_and_carries_a_token() {
    let stage = Stage::set().await;
    let get = |path: &'static str| stage.bare(Method::GET, Ceph, "pc1", path);
    let (status, body) = read(get("/api/summary").send().await.unwrap()).await;
    assert_eq!(status, 415);
    assert_eq!(body["detail"], "Unable to find version in request header");
    let other = get("/api/summary").header("Accept", "application/vnd.ceph.api.v2.0+json");
    assert_eq!(other.send().await.unwrap().status(), 415);
    let bare = get("/api/summary").header("Accept", V1);
    assert_eq!(bare.send().await.unwrap().status(), 401);
    let wrong = stage
        .bare(Method::POST, Ceph, "pc1", "/api/auth")
        .header("Accept", V1)
        .json(&json!({ "username": "admin", "password": "wrong" }));
    let (status, body) = read(wrong.send().await.unwrap()).await;
    assert_eq!(
        (status, &body["code"]),
        (400, &json!("invalid_credentials"))
    );
}

#[tokio::test]
async fn tokens_expire() {
    let stage = Stage::set().await;
    let token = login(&stage, "pc1").await;
    stage.pass(8 * 3600);
    let request = stage.bare(Method::GET, Ceph, "pc1", "/api/summary");
    let late = request
        .header("Accept", V1)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(late.status(), 401);
}

#[tokio::test]
async fn at_the_start_the_cluster_is_healthy() {
    let stage = Stage::set().await;
    assert_eq!(health(&stage, "pc1").await, ("HEALTH_OK".into(), vec![]));
    let osds = get(&stage, "pc1", "/api/osd").await;
    assert_eq!(osds.as_array().unwrap().len(), 3);
    let monitors = get(&stage, "pc1", "/api/monitor").await;
    assert_eq!(monitors["in_quorum"].as_array().unwrap().len(), 3);
    let pools = get(&stage, "pc1", "/api/pool").await;
    assert_eq!(pools[1]["pg_status"], json!({ "active+clean": 32 }));
    let hosts = get(&stage, "pc1", "/api/host").await;
    assert_eq!(hosts[2]["services"][2], json!({ "type": "osd", "id": "2" }));
}

#[tokio::test]
async fn a_standby_manager_points_to_the_active_one() {
    let stage = Stage::set().await;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = stage.url(Ceph, "pc2", "/api/summary");
    let answer = client.get(url).header("Accept", V1).send().await.unwrap();
    assert_eq!(answer.status(), 303);
    let target = answer.headers()["location"].to_str().unwrap();
    assert_eq!(target, stage.url(Ceph, "pc1", "/api/summary"));
}

#[tokio::test]
async fn a_dead_node_degrades_the_cluster_and_recovers_when_it_returns() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc1");
    stage.pass(3);
    let (status, checks) = health(&stage, "pc2").await;
    assert_eq!(status, "HEALTH_WARN");
    assert_eq!(checks, ["MON_DOWN"]);
    stage.pass(2);
    let (_, checks) = health(&stage, "pc2").await;
    assert_eq!(
        checks,
        ["MON_DOWN", "OSD_DOWN", "OSD_HOST_DOWN", "PG_DEGRADED"]
    );

    stage.puppets.revive("pc1");
    stage.pass(10);
    let minimal = get(&stage, "pc2", "/api/health/minimal").await;
    let half = minimal["pg_info"]["object_stats"]["num_objects_degraded"]
        .as_u64()
        .unwrap();
    assert_eq!(half, 12_480 / 2);
    assert_eq!(
        minimal["pg_info"]["statuses"]["active+recovering+degraded"],
        1
    );
    stage.pass(10);
    assert_eq!(health(&stage, "pc2").await, ("HEALTH_OK".into(), vec![]));
}

#[tokio::test]
async fn osds_go_down_and_out_on_request() {
    let stage = Stage::set().await;
    let fault = |arguments: &[&str]| stage.services.machines.fault("osd", arguments);
    fault(&["1", "down"]).unwrap();
    stage.pass(5);
    let osds = get(&stage, "pc1", "/api/osd").await;
    assert_eq!((&osds[1]["up"], &osds[1]["in"]), (&json!(0), &json!(1)));
    fault(&["out", "1"]).unwrap();
    let (_, checks) = health(&stage, "pc1").await;
    assert_eq!(checks, ["PG_DEGRADED"]);
    fault(&["1", "up"]).unwrap();
    fault(&["1", "in"]).unwrap();
    stage.pass(20);
    assert_eq!(health(&stage, "pc1").await.0, "HEALTH_OK");
    assert!(fault(&["9", "down"]).is_err());
    assert!(fault(&["one", "down"]).is_err());
}

#[tokio::test]
async fn two_dead_osds_make_data_unavailable() {
    let stage = Stage::set().await;
    for id in ["1", "2"] {
        stage.services.machines.fault("osd", &[id, "down"]).unwrap();
    }
    stage.pass(5);
    let (_, checks) = health(&stage, "pc1").await;
    assert!(checks.contains(&"PG_AVAILABILITY".to_owned()), "{checks:?}");
}
