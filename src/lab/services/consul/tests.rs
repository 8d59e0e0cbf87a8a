//! Consul as a client sees it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Consul;
use crate::lab::services::testing::{Stage, read};
use crate::lab::services::units;

fn statuses(members: &Value) -> Vec<(String, u64)> {
    let members = members.as_array().unwrap().iter();
    members
        .map(|member| {
            let name = member["Name"].as_str().unwrap().to_owned();
            (name, member["Status"].as_u64().unwrap())
        })
        .collect()
}

fn member(name: &str, status: u64) -> (String, u64) {
    (name.to_owned(), status)
}

#[tokio::test]
async fn at_the_start_three_servers_are_alive_and_follow_the_first() {
    let stage = Stage::set().await;
    let (status, leader) = stage.json(Consul, "pc2", "/v1/status/leader").await;
    assert_eq!((status, leader), (200, json!("10.42.0.11:8300")));
    let (_, members) = stage.json(Consul, "pc3", "/v1/agent/members").await;
    let alive = [member("pc1", 1), member("pc2", 1), member("pc3", 1)];
    assert_eq!(statuses(&members), alive);
    let (status, health) = stage
        .json(Consul, "pc1", "/v1/operator/autopilot/health")
        .await;
    assert_eq!(status, 200);
    assert_eq!(health["FailureTolerance"], 1);
    let (_, raft) = stage
        .json(Consul, "pc1", "/v1/operator/raft/configuration")
        .await;
    assert_eq!(raft["Servers"][0]["Leader"], true);
    assert_eq!(raft["Servers"][1]["Leader"], false);
}

#[tokio::test]
async fn what_comes_without_a_token_is_refused_or_sees_nothing() {
    let stage = Stage::set().await;
    let bare = |path: &str| stage.bare(Method::GET, Consul, "pc1", path).send();
    let refused = bare("/v1/agent/self").await.unwrap();
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.text().await.unwrap(), "Permission denied");
    let members = bare("/v1/agent/members").await.unwrap();
    assert_eq!(read(members).await, (200, json!([])));
    let services = bare("/v1/catalog/services").await.unwrap();
    assert_eq!(read(services).await, (200, json!({})));
    let wrong = stage
        .bare(Method::GET, Consul, "pc1", "/v1/catalog/nodes")
        .header("X-Consul-Token", "11111111-1111-1111-1111-111111111111")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 403);
    assert_eq!(wrong.text().await.unwrap(), "ACL not found");
}

#[tokio::test]
async fn a_killed_server_fails_after_the_gossip_delay_and_its_port_breaks() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc1");
    let dead = stage
        .request(Method::GET, Consul, "pc1", "/v1/status/leader")
        .send()
        .await;
    assert!(dead.is_err(), "{dead:?}");
    let (_, leader) = stage.json(Consul, "pc2", "/v1/status/leader").await;
    assert_eq!(leader, "");
    let (_, members) = stage.json(Consul, "pc2", "/v1/agent/members").await;
    assert_eq!(statuses(&members)[0], member("pc1", 1));

    stage.pass(3);
    let (_, members) = stage.json(Consul, "pc2", "/v1/agent/members").await;
    assert_eq!(statuses(&members)[0], member("pc1", 4));
    let (_, leader) = stage.json(Consul, "pc2", "/v1/status/leader").await;
    assert_eq!(leader, "10.42.0.12:8300");
    let (status, health) = stage
        .json(Consul, "pc2", "/v1/operator/autopilot/health")
        .await;
    assert_eq!(status, 429);
    assert_eq!(health["Healthy"], false);
    assert_eq!(health["FailureTolerance"], 0);
    assert_eq!(health["Servers"][0]["SerfStatus"], "failed");
    let (_, checks) = stage.json(Consul, "pc2", "/v1/health/state/critical").await;
    assert_eq!(checks[0]["CheckID"], "serfHealth");
    assert_eq!(checks[0]["Node"], "pc1");

    stage.puppets.revive("pc1");
    let (_, members) = stage.json(Consul, "pc1", "/v1/agent/members").await;
    assert_eq!(statuses(&members)[0], member("pc1", 1));
}

#[tokio::test]
async fn without_a_quorum_there_is_no_leader_and_queries_fail() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc1");
    stage.puppets.kill("pc2");
    stage.pass(60);
    let (status, leader) = stage.json(Consul, "pc3", "/v1/status/leader").await;
    assert_eq!((status, leader), (200, json!("")));
    let refused = stage.get(Consul, "pc3", "/v1/catalog/services").await;
    assert_eq!(refused.status(), 500);
    assert_eq!(refused.text().await.unwrap(), "No cluster leader");
    let stale = stage.get(Consul, "pc3", "/v1/catalog/services?stale").await;
    assert_eq!(stale.status(), 200);
    assert_eq!(stale.headers()["x-consul-knownleader"], "false");
}

#[tokio::test]
async fn a_client_agent_appears_when_its_unit_starts_and_leaves_when_it_stops() {
    let stage = Stage::set().await;
    let closed = stage
        .request(Method::GET, Consul, "pc4", "/v1/agent/self")
        .send()
        .await;
    assert!(closed.is_err(), "{closed:?}");
    stage.puppets.start("pc4", units::CONSUL);
    let (_, own) = stage.json(Consul, "pc4", "/v1/agent/self").await;
    assert_eq!(own["Config"]["Server"], false);
    assert_eq!(own["Member"]["Tags"]["role"], "node");
    let (_, services) = stage.json(Consul, "pc1", "/v1/catalog/services").await;
    assert_eq!(services["harbor"], json!(["https"]));

    stage.puppets.stop("pc4", units::CONSUL);
    let (_, members) = stage.json(Consul, "pc1", "/v1/agent/members").await;
    assert_eq!(statuses(&members)[3], member("pc4", 3));
    let (_, nodes) = stage.json(Consul, "pc1", "/v1/catalog/nodes").await;
    assert_eq!(nodes.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_stopped_service_turns_its_check_critical() {
    let stage = Stage::set().await;
    stage.puppets.stop("pc2", units::VAULT);
    let (_, all) = stage.json(Consul, "pc1", "/v1/health/service/vault").await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!(all[1]["Checks"][1]["Status"], "critical");
    let (_, passing) = stage
        .json(Consul, "pc1", "/v1/health/service/vault?passing")
        .await;
    assert_eq!(passing.as_array().unwrap().len(), 2);
    let (_, unknown) = stage.json(Consul, "pc1", "/v1/health/service/nosuch").await;
    assert_eq!(unknown, json!([]));
}

#[tokio::test]
async fn keys_are_written_read_compared_and_deleted() {
    let stage = Stage::set().await;
    let put = |path: &'static str, value: &'static str| {
        stage
            .request(Method::PUT, Consul, "pc1", path)
            .body(value)
            .send()
    };
    let written = put("/v1/kv/app/mode?flags=42", "calm").await.unwrap();
    assert_eq!(read(written).await, (200, json!(true)));
    let (_, pairs) = stage.json(Consul, "pc2", "/v1/kv/app/mode").await;
    assert_eq!(pairs[0]["Value"], "Y2FsbQ==");
    assert_eq!(pairs[0]["Flags"], 42);
    let created = put("/v1/kv/app/mode?cas=0", "storm").await.unwrap();
    assert_eq!(read(created).await, (200, json!(false)));
    let raw = stage.get(Consul, "pc1", "/v1/kv/app/mode?raw").await;
    assert_eq!(raw.text().await.unwrap(), "calm");
    let (_, keys) = stage.json(Consul, "pc1", "/v1/kv/?keys&separator=/").await;
    assert_eq!(keys, json!(["app/", "config/", "deploy/"]));
    let deleted = stage
        .request(Method::DELETE, Consul, "pc1", "/v1/kv/app/?recurse")
        .send()
        .await
        .unwrap();
    assert_eq!(read(deleted).await, (200, json!(true)));
    let gone = stage.get(Consul, "pc1", "/v1/kv/app/mode").await;
    assert_eq!(gone.status(), 404);
    assert!(gone.headers().contains_key("x-consul-index"));
    let large = put("/v1/kv/app/large", "").await.unwrap();
    assert_eq!(large.status(), 200);
    let (_, pairs) = stage.json(Consul, "pc1", "/v1/kv/app/large").await;
    assert_eq!(pairs[0]["Value"], Value::Null);
}

#[tokio::test]
async fn a_value_above_the_limit_is_refused() {
    let stage = Stage::set().await;
    let large = stage
        .request(Method::PUT, Consul, "pc1", "/v1/kv/large")
        .body(vec![0_u8; super::kv::VALUE_MAX + 1])
        .send()
        .await
        .unwrap();
    assert_eq!(large.status(), 413);
}

#[tokio::test]
async fn a_blocking_query_returns_when_what_it_reads_changes() {
    let stage = Stage::set().await;
    let first = stage.get(Consul, "pc1", "/v1/kv/config/?recurse").await;
    let index = first.headers()["x-consul-index"]
        .to_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/kv/config/?recurse&index={index}&wait=5m");
    let waiting = stage.get(Consul, "pc2", &path);
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    // A change elsewhere wakes the query, but does not answer it.
    stage
        .request(Method::PUT, Consul, "pc1", "/v1/kv/deploy/other")
        .body("x")
        .send()
        .await
        .unwrap();
    assert!(futures::poll!(&mut waiting).is_pending());
    stage
        .request(Method::PUT, Consul, "pc1", "/v1/kv/config/new")
        .body("x")
        .send()
        .await
        .unwrap();
    let answer = waiting.await;
    let later: u64 = answer.headers()["x-consul-index"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(later > index.parse().unwrap());
    let (_, pairs) = read(answer).await;
    assert!(
        pairs
            .as_array()
            .unwrap()
            .iter()
            .any(|pair| pair["Key"] == "config/new")
    );
}

#[tokio::test]
async fn a_blocking_query_returns_unchanged_after_its_wait() {
    let stage = Stage::set().await;
    let first = stage.get(Consul, "pc1", "/v1/catalog/nodes").await;
    let index = first.headers()["x-consul-index"]
        .to_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/catalog/nodes?index={index}&wait=30ms");
    let answer = stage.get(Consul, "pc1", &path).await;
    assert_eq!(answer.headers()["x-consul-index"], index.as_str());
    let bad = stage
        .get(Consul, "pc1", "/v1/catalog/nodes?wait=soon")
        .await;
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_death_wakes_those_who_wait_for_the_catalog() {
    let stage = Stage::set().await;
    let first = stage.get(Consul, "pc1", "/v1/health/state/any").await;
    let index = first.headers()["x-consul-index"]
        .to_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/health/state/critical?index={index}");
    let waiting = stage.get(Consul, "pc1", &path);
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    stage.puppets.kill("pc3");
    stage.pass(3);
    let (_, checks) = read(waiting.await).await;
    assert_eq!(checks[0]["Node"], "pc3");
}

#[tokio::test]
async fn the_token_knows_itself() {
    let stage = Stage::set().await;
    let (_, token) = stage.json(Consul, "pc1", "/v1/acl/token/self").await;
    assert_eq!(token["SecretID"], stage.secret(Consul));
    assert_eq!(token["Policies"][0]["Name"], "global-management");
}
