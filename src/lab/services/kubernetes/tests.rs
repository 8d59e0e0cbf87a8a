//! The Kubernetes API as a client sees it.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Kubernetes;
use crate::lab::services::testing::{Stage, read};

async fn get(stage: &Stage, path: &str) -> (u16, Value) {
    stage.json(Kubernetes, "pc1", path).await
}

/// The status of a node's condition `Ready`.
fn ready(node: &Value) -> &str {
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let condition = conditions.iter().find(|entry| entry["type"] == "Ready");
    condition.unwrap()["status"].as_str().unwrap()
}

async fn pods(stage: &Stage, query: &str) -> Vec<Value> {
    let (_, list) = get(stage, &format!("/api/v1/pods?{query}")).await;
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_comes_without_the_token_is_refused() {
    let stage = Stage::set().await;
    for path in ["/api/v1/nodes", "/version", "/readyz"] {
        let request = stage.bare(Method::GET, Kubernetes, "pc1", path);
        let (status, body) = read(request.send().await.unwrap()).await;
        assert_eq!(
            (status, &body["reason"]),
            (401, &json!("Unauthorized")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_usual_client_reads_version_and_lists() {
    let stage = Stage::set().await;
    let endpoint = stage.endpoint(Kubernetes);
    let mut config = kube::Config::new(endpoint.urls[0].parse().unwrap());
    let token = endpoint.secret.as_ref().unwrap().expose_secret().to_owned();
    config.auth_info.token = Some(token.into());
    let client = kube::Client::try_from(config).unwrap();
    let version = client.apiserver_version().await.unwrap();
    assert_eq!(version.git_version, super::VERSION);
    let pods: Api<Pod> = Api::all(client);
    let all = pods.list(&ListParams::default()).await.unwrap().items.len();
    let (mut seen, mut token) = (0, None::<String>);
    loop {
        let mut params = ListParams::default().limit(3);
        params.continue_token = token;
        let page = pods.list(&params).await.unwrap();
        seen += page.items.len();
        token = page.metadata.continue_.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test]
async fn at_the_start_every_node_is_ready_and_every_pod_runs() {
    let stage = Stage::set().await;
    let (_, nodes) = get(&stage, "/api/v1/nodes").await;
    assert_eq!(nodes["kind"], "NodeList");
    let items = nodes["items"].as_array().unwrap();
    assert_eq!(items.len(), 5);
    assert!(items.iter().all(|node| ready(node) == "True"));
    assert_eq!(items[0].get("kind"), None);
    assert_eq!(
        pods(&stage, "fieldSelector=status.phase!=Running").await,
        Vec::<Value>::new()
    );
    let (_, deployment) = get(&stage, "/apis/apps/v1/namespaces/shop/deployments/frontend").await;
    assert_eq!(deployment["kind"], "Deployment");
    assert_eq!(deployment["status"]["readyReplicas"], 2);
    let (_, claims) = get(&stage, "/api/v1/persistentvolumeclaims").await;
    assert_eq!(claims["items"][0]["status"]["phase"], "Bound");
    let (_, classes) = get(&stage, "/apis/storage.k8s.io/v1/storageclasses").await;
    assert_eq!(classes["items"][0]["metadata"]["name"], "local-path");
}

#[tokio::test]
async fn a_silent_node_is_not_ready_and_its_pods_move() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc5");
    stage.pass(9);
    let (_, node) = get(&stage, "/api/v1/nodes/pc5").await;
    assert_eq!(ready(&node), "True");
    stage.pass(1);
    let (_, node) = get(&stage, "/api/v1/nodes/pc5").await;
    assert_eq!(ready(&node), "Unknown");
    assert_eq!(
        node["spec"]["taints"][0]["key"],
        "node.kubernetes.io/unreachable"
    );
    let (_, events) = get(&stage, "/api/v1/events?fieldSelector=reason=NodeNotReady").await;
    assert_eq!(events["items"][0]["involvedObject"]["name"], "pc5");

    let before = pods(&stage, "fieldSelector=spec.nodeName=pc5").await.len();
    assert!(before > 1);
    stage.pass(30);
    stage.pass(2);
    let left = pods(&stage, "fieldSelector=spec.nodeName=pc5").await;
    assert_eq!(left.len(), before);
    let ending = left
        .iter()
        .filter(|pod| pod["metadata"].get("deletionTimestamp").is_some());
    assert_eq!(ending.count(), before - 1, "all but the daemon");
    for name in ["frontend", "orders"] {
        let path = format!("/apis/apps/v1/namespaces/shop/deployments/{name}");
        assert_eq!(
            get(&stage, &path).await.1["status"]["readyReplicas"],
            2,
            "{name}"
        );
    }

    stage.puppets.revive("pc5");
    stage.pass(1);
    let (_, node) = get(&stage, "/api/v1/nodes/pc5").await;
    assert_eq!(ready(&node), "True");
    assert_eq!(
        pods(&stage, "fieldSelector=spec.nodeName=pc5").await.len(),
        1
    );
}

#[tokio::test]
async fn a_watch_shows_what_is_there_and_then_every_change() {
    let stage = Stage::set().await;
    let path = "/api/v1/nodes?watch=true&labelSelector=kubernetes.io/hostname=pc5";
    let mut lines = stage.get(Kubernetes, "pc1", path).await.bytes_stream();
    let first: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(first["type"], "ADDED");
    stage.puppets.kill("pc5");
    stage.pass(10);
    let second: Value = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(second["type"], "MODIFIED");
    assert_eq!(ready(&second["object"]), "Unknown");
    assert_eq!(second["object"]["kind"], "Node");
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_says_so_and_ends() {
    let stage = Stage::set().await;
    let path = "/api/v1/pods?watch=1&resourceVersion=5";
    let body = stage
        .get(Kubernetes, "pc1", path)
        .await
        .text()
        .await
        .unwrap();
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
}

#[tokio::test]
async fn a_watch_ends_after_its_time() {
    let stage = Stage::set().await;
    let (_, list) = get(&stage, "/api/v1/pods").await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("/api/v1/pods?watch=1&resourceVersion={version}&timeoutSeconds=0");
    let body = stage
        .get(Kubernetes, "pc1", &path)
        .await
        .text()
        .await
        .unwrap();
    assert_eq!(body, "");
}

#[tokio::test]
async fn failures_are_objects_of_kind_status() {
    let stage = Stage::set().await;
    let (status, body) = get(&stage, "/api/v1/nodes/nosuch").await;
    assert_eq!(status, 404);
    assert_eq!(body["message"], "nodes \"nosuch\" not found");
    assert_eq!(
        body["details"],
        json!({ "name": "nosuch", "kind": "nodes" })
    );
    let (status, body) = get(&stage, "/api/v1/gadgets").await;
    assert_eq!((status, &body["kind"]), (404, &json!("Status")));
    let (status, _) = get(&stage, "/api/v1/pods?continue=nonsense").await;
    assert_eq!(status, 400);
    let delete = stage.request(Method::DELETE, Kubernetes, "pc1", "/api/v1/namespaces/shop");
    assert_eq!(delete.send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn discovery_lists_groups_and_resources() {
    let stage = Stage::set().await;
    let (_, groups) = get(&stage, "/apis").await;
    assert_eq!(groups["groups"][0]["name"], "apps");
    let (_, core) = get(&stage, "/api/v1").await;
    assert_eq!(core["resources"][0]["name"], "nodes");
    let ready = stage.get(Kubernetes, "pc1", "/readyz").await;
    assert_eq!(ready.text().await.unwrap(), "ok");
}
