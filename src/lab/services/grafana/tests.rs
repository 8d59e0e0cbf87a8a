//! Grafana as a client sees it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Grafana;
use crate::lab::services::testing::{Stage, read};
use crate::lab::world::FaultTarget as _;

const ALERTS: &str = "/api/alertmanager/grafana/api/v2/alerts";
const RULES: &str = "/api/prometheus/grafana/api/v1/rules";

async fn get(stage: &Stage, path: &str) -> Value {
    stage.json(Grafana, "pc5", path).await.1
}

#[tokio::test]
async fn health_is_open_and_the_rest_needs_the_token() {
    let stage = Stage::set().await;
    let bare = |path: &'static str| stage.bare(Method::GET, Grafana, "pc5", path).send();
    let (status, health) = read(bare("/api/health").await.unwrap()).await;
    assert_eq!((status, &health["database"]), (200, &json!("ok")));
    let (status, refused) = read(bare("/api/datasources").await.unwrap()).await;
    assert_eq!(
        (status, &refused["messageId"]),
        (401, &json!("auth.unauthorized"))
    );
    let wrong = stage
        .bare(Method::GET, Grafana, "pc5", "/api/search")
        .bearer_auth("glsa_wrong");
    let (status, refused) = read(wrong.send().await.unwrap()).await;
    assert_eq!(
        (status, &refused["message"]),
        (401, &json!("Invalid API key"))
    );
}

#[tokio::test]
async fn one_rule_is_pending_and_nothing_fires_at_the_start() {
    let stage = Stage::set().await;
    assert_eq!(get(&stage, ALERTS).await, json!([]));
    let totals = get(&stage, RULES).await["data"]["totals"].clone();
    assert_eq!(totals, json!({ "firing": 0, "inactive": 2, "pending": 1 }));
    let rules = get(&stage, "/api/v1/provisioning/alert-rules").await;
    assert_eq!(rules[1]["for"], "1w");
}

#[tokio::test]
async fn a_dead_node_is_pending_and_then_fires_until_it_is_back() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc2");
    stage.pass(5);
    assert_eq!(get(&stage, ALERTS).await, json!([]));
    stage.pass(5);
    let alerts = get(&stage, ALERTS).await;
    assert_eq!(alerts[0]["labels"]["alertname"], "NodeDown");
    assert_eq!(alerts[0]["labels"]["instance"], "pc2");
    assert_eq!(alerts[0]["status"]["state"], "active");
    stage.puppets.revive("pc2");
    assert_eq!(get(&stage, ALERTS).await, json!([]));
}

#[tokio::test]
async fn an_ending_certificate_fires() {
    let stage = Stage::set().await;
    stage
        .services
        .machines
        .fault("cert", &["expiring"])
        .unwrap();
    let alerts = get(&stage, ALERTS).await;
    assert_eq!(alerts[0]["labels"]["alertname"], "CertificateExpiring");
    stage.services.machines.fault("cert", &["ok"]).unwrap();
    assert_eq!(get(&stage, ALERTS).await, json!([]));
}

#[tokio::test]
async fn dashboards_are_found_by_type_and_title() {
    let stage = Stage::set().await;
    let all = get(&stage, "/api/search").await;
    assert_eq!(all.as_array().unwrap().len(), 4);
    let found = get(&stage, "/api/search?type=dash-db&query=node").await;
    assert_eq!(found[0]["title"], "Nodes");
    assert_eq!(found.as_array().unwrap().len(), 1);
}
