//! What is asked of an API server, and what its answers mean.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::domain::service::{ServiceKind, ServiceSpec};

/// An adapter for an API server that the test plays.
fn adapter(server: &MockServer) -> Kubernetes {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let spec = ServiceSpec {
        name: "kubernetes".into(),
        kind: ServiceKind::Kubernetes,
        urls: vec![server.uri()],
        nodes: Vec::new(),
        user: None,
        secret: None,
        ca: None,
    };
    Kubernetes::new(&spec, None).unwrap()
}

/// A stateful pod that ends when it was asked for and seen once more, and comes back under its name.
#[derive(Default)]
struct Stateful {
    /// How many of its name there were before.
    before: usize,
    ending: bool,
    /// What was evicted, by `uid`.
    evicted: Vec<String>,
}

impl Stateful {
    fn uid(&self) -> String {
        format!("pod-{}", self.before)
    }

    fn read(&mut self) -> ResponseTemplate {
        let uid = self.uid();
        if self.ending {
            self.ending = false;
            self.before += 1;
        }
        ResponseTemplate::new(200).set_body_json(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "database-0", "namespace": "shop", "uid": uid, "ownerReferences": [
                { "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "database", "uid": "set", "controller": true },
            ] },
        }))
    }

    fn evict(&mut self, request: &Request) -> ResponseTemplate {
        let order: Value = request.body_json().unwrap();
        let wanted = order["deleteOptions"]["preconditions"]["uid"].as_str();
        if wanted.is_some_and(|wanted| wanted != self.uid()) {
            return status(409, "the UID in the precondition does not match");
        }
        self.evicted.push(self.uid());
        self.ending = true;
        status(201, "")
    }
}

fn status(code: u16, message: &str) -> ResponseTemplate {
    let word = if code < 400 { "Success" } else { "Failure" };
    ResponseTemplate::new(code).set_body_json(json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": word, "message": message, "code": code,
    }))
}

#[tokio::test]
async fn the_stateful_pod_that_comes_back_under_the_name_of_an_evicted_one_is_left_alone() {
    let server = MockServer::start().await;
    let pod: Arc<Mutex<Stateful>> = Arc::default();
    let (read, evicted) = (Arc::clone(&pod), Arc::clone(&pod));
    Mock::given(method("GET"))
        .and(path("/api/v1/namespaces/shop/pods/database-0"))
        .respond_with(move |_: &Request| read.lock().unwrap().read())
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/api/v1/namespaces/shop/pods/database-0/eviction"))
        .respond_with(move |request: &Request| evicted.lock().unwrap().evict(request))
        .mount(&server)
        .await;
    let cluster = adapter(&server);
    let cancel = CancellationToken::new();
    let acted = evict(&cluster, "shop/database-0", "1m", &|_| {}, &cancel).await;
    let Acted::Changed(words) = acted.unwrap() else {
        panic!("it was there");
    };
    assert_eq!(
        words,
        "shop/database-0 is gone, and StatefulSet database makes another"
    );
    assert_eq!(pod.lock().unwrap().evicted, ["pod-0"]);
}

#[tokio::test]
async fn a_paused_deployment_is_not_restarted() {
    let server = MockServer::start().await;
    let paused = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop", "generation": 3 },
        "spec": { "paused": true, "selector": {}, "template": {} }, "status": { "observedGeneration": 3 },
    });
    Mock::given(path("/apis/apps/v1/namespaces/shop/deployments/web"))
        .respond_with(ResponseTemplate::new(200).set_body_json(paused))
        .mount(&server)
        .await;
    let cluster = adapter(&server);
    let cancel = CancellationToken::new();
    let refused = restart(&cluster, "shop/web", "0s", &|_| {}, &cancel).await;
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("kubectl rollout resume"), "{said}");
    let asked = server.received_requests().await.unwrap();
    assert!(asked.iter().all(|one| one.method.as_str() == "GET"));
}

fn deployment(status: &Value) -> Deployment {
    let text =
        json!({ "spec": { "replicas": 2, "selector": {}, "template": {} }, "status": status });
    serde_json::from_value(text).unwrap()
}

#[test]
fn a_restart_is_over_when_the_controller_has_seen_it_and_no_old_pod_is_left() {
    for (observed, updated, available, all, over, words) in [
        (1, 2, 2, 2, false, "waiting for the controller"),
        (
            2,
            1,
            2,
            3,
            false,
            "1 of 2 pods are new, 2 available, 2 of the old ones left",
        ),
        (
            2,
            2,
            2,
            3,
            false,
            "2 of 2 pods are new, 2 available, 1 of the old ones left",
        ),
        (2, 2, 1, 2, false, "2 of 2 pods are new, 1 available"),
        (2, 2, 2, 2, true, "2 of 2 pods are new, 2 available"),
    ] {
        let rollout = Rollout::of(
            &deployment(&json!({
                "observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available, "replicas": all,
            })),
            2,
        );
        assert_eq!(
            (rollout.is_over(), rollout.to_string().as_str()),
            (over, words)
        );
    }
}

#[test]
fn a_rollout_whose_progress_deadline_has_passed_is_given_up_with_what_kubernetes_says() {
    let of = |observed: i64| {
        let status = json!({ "observedGeneration": observed, "updatedReplicas": 1, "replicas": 3, "conditions": [
            { "type": "Available", "status": "True", "reason": "MinimumReplicasAvailable" },
            { "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                "message": "ReplicaSet \"web-5d7f9\" has timed out progressing." },
        ] });
        Rollout::of(&deployment(&status), 2).stuck
    };
    let why = of(2);
    assert_eq!(
        why.as_deref(),
        Some("ReplicaSet \"web-5d7f9\" has timed out progressing.")
    );
    assert_eq!(of(1), None, "that was the rollout before");
}
