//! Nomad as a client sees it.

use base64::Engine as _;
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Nomad;
use crate::lab::services::testing::{Stage, read};

fn count(list: &Value, field: &str, value: &str) -> usize {
    let list = list.as_array().unwrap().iter();
    list.filter(|entry| entry[field] == value).count()
}

#[tokio::test]
async fn at_the_start_all_servers_clients_and_jobs_are_well() {
    let stage = Stage::set().await;
    let (_, leader) = stage.json(Nomad, "pc2", "/v1/status/leader").await;
    assert_eq!(leader, "10.42.0.11:4647");
    let (_, members) = stage.json(Nomad, "pc1", "/v1/agent/members").await;
    assert_eq!(members["Members"][2]["Name"], "pc3.global");
    assert_eq!(count(&members["Members"], "Status", "alive"), 3);
    let (_, nodes) = stage.json(Nomad, "pc4", "/v1/nodes").await;
    assert_eq!(count(&nodes, "Status", "ready"), 2);
    let (_, jobs) = stage.json(Nomad, "pc1", "/v1/jobs?namespace=*").await;
    assert_eq!(jobs[2]["JobSummary"]["Summary"]["web"]["Running"], 3);
    let (_, deployments) = stage.json(Nomad, "pc1", "/v1/deployments").await;
    assert_eq!(count(&deployments, "Status", "successful"), 2);
    let (status, health) = stage
        .json(Nomad, "pc1", "/v1/operator/autopilot/health")
        .await;
    assert_eq!((status, &health["FailureTolerance"]), (200, &json!(1)));
}

#[tokio::test]
async fn what_comes_without_a_token_is_refused() {
    let stage = Stage::set().await;
    let bare = stage
        .bare(Method::GET, Nomad, "pc1", "/v1/jobs")
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 403);
    assert_eq!(bare.text().await.unwrap(), "Permission denied");
    let wrong = stage.bare(Method::GET, Nomad, "pc1", "/v1/jobs");
    let wrong = wrong
        .header("X-Nomad-Token", "nonsense")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 403);
    let open = stage.bare(Method::GET, Nomad, "pc1", "/v1/status/leader");
    assert_eq!(open.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_killed_client_loses_its_allocations_and_others_are_placed() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc4");
    stage.pass(3);
    let (_, nodes) = stage.json(Nomad, "pc1", "/v1/nodes").await;
    assert_eq!(count(&nodes, "Status", "down"), 1);
    let (_, allocations) = stage.json(Nomad, "pc1", "/v1/allocations").await;
    let lost = count(&allocations, "ClientStatus", "lost");
    assert!(lost > 0);
    assert_eq!(count(&allocations, "NodeName", "pc4"), lost);
    stage.pass(5);
    stage.pass(1);
    let (_, jobs) = stage.json(Nomad, "pc1", "/v1/jobs").await;
    assert_eq!(jobs[0]["JobSummary"]["Summary"]["api"]["Running"], 2);
    assert_eq!(jobs[2]["JobSummary"]["Summary"]["web"]["Running"], 3);
    let (_, allocations) = stage.json(Nomad, "pc1", "/v1/job/web/allocations").await;
    let list = allocations.as_array().unwrap();
    let old = list
        .iter()
        .find(|entry| entry["ClientStatus"] == "lost")
        .unwrap();
    let next = list
        .iter()
        .find(|entry| entry["ID"] == old["NextAllocation"])
        .unwrap();
    assert_eq!(next["ClientStatus"], "running");
    assert_eq!(next["Name"], old["Name"]);
}

#[tokio::test]
async fn without_a_quorum_there_is_no_leader_and_lists_fail() {
    let stage = Stage::set().await;
    stage.puppets.kill("pc2");
    stage.puppets.kill("pc3");
    stage.pass(30);
    let leader = stage.get(Nomad, "pc1", "/v1/status/leader").await;
    assert_eq!(leader.status(), 500);
    assert_eq!(leader.text().await.unwrap(), "No cluster leader");
    let stale = stage.get(Nomad, "pc1", "/v1/jobs?stale").await;
    assert_eq!(stale.headers()["x-nomad-knownleader"], "false");
}

#[tokio::test]
async fn pages_end() {
    let stage = Stage::set().await;
    let (mut token, mut seen, mut pages) = (String::new(), 0, 0);
    loop {
        let path = format!("/v1/jobs?per_page=2&next_token={token}");
        let answer = stage.get(Nomad, "pc1", &path).await;
        let next = answer.headers().get("x-nomad-nexttoken").cloned();
        seen += read(answer).await.1.as_array().unwrap().len();
        pages += 1;
        match next {
            Some(next) => token = next.to_str().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!((seen, pages), (3, 2));
}

#[tokio::test]
async fn a_followed_log_is_a_stream_of_frames_with_heartbeats() {
    let stage = Stage::set().await;
    stage.pass(61);
    let (_, allocations) = stage.json(Nomad, "pc1", "/v1/job/web/allocations").await;
    let id = allocations[0]["ID"].as_str().unwrap();
    let path = format!("/v1/client/fs/logs/{id}?task=nginx&type=stdout&follow=true");
    let mut body = stage.get(Nomad, "pc1", &path).await.bytes_stream();
    let frame: Value = serde_json::from_slice(&body.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(frame["File"], "alloc/logs/nginx.stdout.0");
    let data = frame["Data"].as_str().unwrap();
    let text = base64::engine::general_purpose::STANDARD
        .decode(data)
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 30);
    assert!(text.contains("web.web[0]"), "{text}");
    let beat: Value = serde_json::from_slice(&body.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(beat, json!({}));
    stage.pass(2);
    let more: Value = serde_json::from_slice(&body.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(more["Offset"], text.len());

    let path =
        format!("/v1/client/fs/logs/{id}?task=nginx&type=stdout&plain=true&origin=end&offset=10");
    let tail = stage.get(Nomad, "pc1", &path).await.text().await.unwrap();
    assert_eq!(tail.len(), 10);
}

#[tokio::test]
async fn logs_are_refused_for_unknown_tasks_and_types() {
    let stage = Stage::set().await;
    let (_, allocations) = stage.json(Nomad, "pc1", "/v1/job/web/allocations").await;
    let id = allocations[0]["ID"].as_str().unwrap();
    for (query, status) in [
        ("type=stdout", 400),
        ("task=nginx", 400),
        ("task=nginx&type=stdout&origin=middle", 400),
        ("task=nosuch&type=stdout", 404),
    ] {
        let path = format!("/v1/client/fs/logs/{id}?{query}");
        assert_eq!(
            stage.get(Nomad, "pc1", &path).await.status(),
            status,
            "{query}"
        );
    }
    let path = "/v1/client/fs/logs/00000000-0000-0000-0000-000000000000?task=nginx&type=stdout";
    assert_eq!(stage.get(Nomad, "pc1", path).await.status(), 404);
}
