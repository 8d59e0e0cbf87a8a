//! Stores that break off, lie or lose their leader: nothing of that is ever kept.

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::services::intake::{Filed, IntakeError};
use crate::services::sealing::Recipients;
use crate::transport::local::LocalHost;

fn spec(kind: StoreKind, urls: Vec<String>) -> StoreSpec {
    StoreSpec {
        name: "store".into(),
        kind,
        urls,
        nodes: Vec::new(),
        user: None,
        secret: None,
        ca: None,
        directory: None,
        via: None,
    }
}

async fn answers(server: &MockServer, verb: &str, at: &str, answer: ResponseTemplate) {
    Mock::given(method(verb))
        .and(path(at))
        .respond_with(answer)
        .mount(server)
        .await;
}

/// Takes one; what became of it, and how many files are left in its directory.
async fn taken(spec: &StoreSpec) -> (Result<Filed, String>, usize) {
    // Another test of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let store = open(spec, None, Arc::new(LocalHost::new("here"))).unwrap();
    let mut intake =
        Intake::begin(spec.kind, folder.path(), Recipients::default(), |_| {}).unwrap();
    let given = store.take(&mut intake, &CancellationToken::new()).await;
    let filed = match given {
        Ok(_) => intake
            .finish()
            .await
            .map_err(|error: IntakeError| error.to_string()),
        Err(error) => {
            drop(intake);
            Err(error.to_string())
        }
    };
    // A writer that was given up removes its file on its own time.
    for _ in 0..200 {
        if filed.is_ok() || std::fs::read_dir(folder.path()).unwrap().count() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    (filed, left)
}

#[tokio::test]
async fn an_empty_answer_with_status_200_is_no_snapshot() {
    let server = MockServer::start().await;
    let leader = ResponseTemplate::new(200).set_body_json("127.0.0.1:8300");
    answers(&server, "GET", "/v1/status/leader", leader).await;
    answers(&server, "GET", "/v1/snapshot", ResponseTemplate::new(200)).await;
    let (filed, left) = taken(&spec(StoreKind::Consul, vec![server.uri()])).await;
    let error = filed.unwrap_err();
    assert!(error.ends_with("it is empty"), "{error}");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn without_a_leader_nobody_is_asked() {
    let server = MockServer::start().await;
    let leader = ResponseTemplate::new(200).set_body_json("");
    answers(&server, "GET", "/v1/status/leader", leader).await;
    let (filed, left) = taken(&spec(StoreKind::Consul, vec![server.uri()])).await;
    let error = filed.unwrap_err();
    assert!(error.contains("no leader"), "{error}");
    assert_eq!(left, 0);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_vault_of_standbys_gives_nothing() {
    let server = MockServer::start().await;
    answers(&server, "GET", "/v1/sys/health", ResponseTemplate::new(429)).await;
    let (filed, _) = taken(&spec(StoreKind::Vault, vec![server.uri()])).await;
    let error = filed.unwrap_err();
    assert!(error.contains("the active one"), "{error}");
}

#[tokio::test]
async fn an_etcd_that_loses_its_leader_in_the_middle_leaves_nothing() {
    let server = MockServer::start().await;
    let status = serde_json::json!({ "header": { "member_id": "7" }, "leader": "7" });
    let status = ResponseTemplate::new(200).set_body_json(status);
    answers(&server, "POST", "/v3/maintenance/status", status).await;
    let body = "{\"result\":{\"remaining_bytes\":\"9\",\"blob\":\"AAAA\"}}\n\
                {\"error\":{\"grpc_code\":14,\"message\":\"etcdserver: leader changed\"}}\n";
    let snapshot = ResponseTemplate::new(200).set_body_string(body);
    answers(&server, "POST", "/v3/maintenance/snapshot", snapshot).await;
    let (filed, left) = taken(&spec(StoreKind::Etcd, vec![server.uri()])).await;
    let error = filed.unwrap_err();
    assert!(error.ends_with("leader changed"), "{error}");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_program_that_fails_is_told_by_its_last_words() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let spec = StoreSpec {
        directory: Some(gone),
        ..spec(StoreKind::Terraform, Vec::new())
    };
    let (filed, left) = taken(&spec).await;
    let error = filed.unwrap_err();
    assert!(error.starts_with("terraform: "), "{error}");
    assert_eq!(left, 0);
}
