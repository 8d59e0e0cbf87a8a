//! What is said of a Vault whose nodes are in different states, each played by the test.

use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::domain::service::{ServiceKind, ServiceSpec};

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    New,
    Sealed,
    Standby,
    Silent,
}

/// The keys of what is wrong with a Vault of these nodes, and the first in words.
async fn problems(nodes: &[Node]) -> (Vec<String>, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut servers = Vec::new();
    for node in nodes {
        let server = MockServer::start().await;
        let (status, initialized, sealed) = match node {
            Node::New => (501, false, true),
            Node::Sealed => (503, true, true),
            Node::Standby | Node::Silent => (429, true, false),
        };
        let seal = json!({
            "type": "shamir", "initialized": initialized, "sealed": sealed, "t": 3, "n": 5, "progress": 0,
            "version": "1.18.3", "storage_type": "raft",
        });
        if *node != Node::Silent {
            for (at, status) in [("/v1/sys/health", status), ("/v1/sys/seal-status", 200)] {
                Mock::given(path(at))
                    .respond_with(ResponseTemplate::new(status).set_body_json(&seal))
                    .mount(&server)
                    .await;
            }
        }
        servers.push(server);
    }
    let spec = ServiceSpec {
        name: "vault".into(),
        kind: ServiceKind::Vault,
        urls: servers.iter().map(MockServer::uri).collect(),
        nodes: (1..=nodes.len()).map(|at| format!("pc{at}")).collect(),
        user: None,
        secret: None,
        ca: None,
    };
    let vault = crate::services::connect(&spec, None).unwrap();
    let report = vault.report(Duration::from_secs(10)).await.unwrap();
    let first = report.problems[0].text.clone();
    let keys = report.problems.into_iter().map(|problem| problem.key);
    (keys.collect(), first)
}

#[tokio::test]
async fn a_vault_is_new_only_when_every_node_of_it_says_so() {
    use Node::{New, Silent};
    let (keys, _) = problems(&[New, New]).await;
    assert_eq!(keys, ["uninitialized"]);
    // What does not answer may have all the keys and all the data.
    let (keys, first) = problems(&[New, Silent, Silent]).await;
    assert_eq!(
        keys,
        [
            "no-active",
            "uninitialized:pc1",
            "endpoint:pc2",
            "endpoint:pc3"
        ]
    );
    assert!(!first.contains("keeps nothing"), "{first}");
}

#[tokio::test]
async fn unsealing_is_called_for_only_where_a_node_has_keys() {
    use Node::{New, Sealed, Standby};
    let (keys, _) = problems(&[Sealed, New]).await;
    assert_eq!(keys, ["sealed", "sealed:pc1", "uninitialized:pc2"]);
    let (keys, _) = problems(&[Standby, Sealed]).await;
    assert_eq!(keys, ["no-active:sealed", "sealed:pc2"]);
    let (keys, _) = problems(&[Standby, New]).await;
    assert_eq!(keys, ["no-active", "uninitialized:pc2"]);
}
