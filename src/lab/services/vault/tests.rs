//! Vault as a client sees it.

use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::domain::service::ServiceKind::Vault;
use crate::lab::services::testing::{Stage, read};
use crate::lab::services::units;
use crate::lab::world::FaultTarget as _;

async fn health(stage: &Stage, node: &str) -> u16 {
    let request = stage.bare(Method::GET, Vault, node, "/v1/sys/health");
    request.send().await.unwrap().status().as_u16()
}

async fn give(stage: &Stage, node: &str, key: &str) -> (u16, Value) {
    let request = stage.bare(Method::PUT, Vault, node, "/v1/sys/unseal");
    read(request.json(&json!({ "key": key })).send().await.unwrap()).await
}

fn share(stage: &Stage, number: usize) -> String {
    stage.services.unseal_shares()[number]
        .expose_secret()
        .to_owned()
}

#[tokio::test]
async fn health_tells_the_active_node_from_the_standbys_by_its_code() {
    let stage = Stage::set().await;
    assert_eq!(health(&stage, "pc1").await, 200);
    assert_eq!(health(&stage, "pc2").await, 429);
    let lenient = stage
        .bare(Method::HEAD, Vault, "pc2", "/v1/sys/health?standbyok=true")
        .send()
        .await
        .unwrap();
    assert_eq!(lenient.status(), 200);
    let bad = stage
        .bare(
            Method::GET,
            Vault,
            "pc2",
            "/v1/sys/health?standbycode=teapot",
        )
        .send()
        .await
        .unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_sealed_cluster_is_unsealed_node_by_node_with_three_shares_each() {
    let stage = Stage::set().await;
    stage.services.machines.fault("seal", &[]).unwrap();
    let (status, body) = read(
        stage
            .bare(Method::GET, Vault, "pc1", "/v1/sys/health")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(status, 503);
    assert_eq!(body["sealed"], true);
    assert_eq!(body.get("cluster_name"), None);
    let (status, errors) = stage.json(Vault, "pc1", "/v1/sys/mounts").await;
    assert_eq!(
        (status, errors),
        (503, json!({ "errors": ["Vault is sealed"] }))
    );

    let (_, first) = give(&stage, "pc1", &share(&stage, 4)).await;
    assert_eq!(first["progress"], 1);
    let (_, again) = give(&stage, "pc1", &share(&stage, 4)).await;
    assert_eq!(again["progress"], 1);
    assert_eq!(again["nonce"], first["nonce"]);
    let (_, other_node) = stage.json(Vault, "pc2", "/v1/sys/seal-status").await;
    assert_eq!(other_node["progress"], 0);
    give(&stage, "pc1", &share(&stage, 0)).await;
    let (status, last) = give(&stage, "pc1", &share(&stage, 2)).await;
    assert_eq!(status, 200);
    assert_eq!(last["sealed"], false);
    assert_eq!(last["progress"], 0);

    // One of three is no majority yet.
    assert_eq!(health(&stage, "pc1").await, 429);
    let (status, _) = stage.json(Vault, "pc1", "/v1/sys/mounts").await;
    assert_eq!(status, 500);
    for number in [1, 2, 3] {
        give(&stage, "pc2", &share(&stage, number)).await;
    }
    stage.pass(2);
    let codes = [health(&stage, "pc1").await, health(&stage, "pc2").await];
    assert!(codes.contains(&200) && codes.contains(&429), "{codes:?}");
    assert_eq!(health(&stage, "pc3").await, 503);
}

#[tokio::test]
async fn a_wrong_share_spoils_the_attempt_when_it_is_complete() {
    let stage = Stage::set().await;
    stage.services.machines.fault("seal", &[]).unwrap();
    give(&stage, "pc3", &share(&stage, 0)).await;
    let mut wrong = share(&stage, 1);
    let flipped = if wrong.starts_with('0') { "1" } else { "0" };
    wrong.replace_range(0..1, flipped);
    let (status, body) = give(&stage, "pc3", &wrong).await;
    assert_eq!((status, &body["progress"]), (200, &json!(2)));
    let (status, body) = give(&stage, "pc3", &share(&stage, 2)).await;
    assert_eq!(status, 400);
    assert!(body["errors"][0].as_str().unwrap().contains("invalid key"));
    let (_, after) = stage.json(Vault, "pc3", "/v1/sys/seal-status").await;
    assert_eq!(after["progress"], 0);
    assert_eq!(after["sealed"], true);
}

#[tokio::test]
async fn shares_come_in_hexadecimal_or_base64_and_nonsense_is_refused() {
    let stage = Stage::set().await;
    stage.services.machines.fault("seal", &[]).unwrap();
    let raw = crate::lab::services::ids::unhex(&share(&stage, 0)).unwrap();
    let (_, body) = give(&stage, "pc1", &crate::lab::services::http::base64(&raw)).await;
    assert_eq!(body["progress"], 1);
    let (status, _) = give(&stage, "pc1", "not a key!").await;
    assert_eq!(status, 400);
    let (status, body) = give(&stage, "pc1", "c2hvcnQ=").await;
    assert_eq!(status, 400);
    assert_eq!(
        body["errors"][0],
        "invalid key: key is shorter than minimum 16 bytes"
    );
    let (status, body) = give(&stage, "pc1", "").await;
    assert_eq!(status, 400);
    assert!(
        body["errors"][0]
            .as_str()
            .unwrap()
            .starts_with("'key' must be specified")
    );
    let reset = stage
        .bare(Method::PUT, Vault, "pc1", "/v1/sys/unseal")
        .json(&json!({ "reset": true, "key": share(&stage, 1) }))
        .send()
        .await
        .unwrap();
    assert_eq!(read(reset).await.1["progress"], 0);
}

#[tokio::test]
async fn a_restart_seals_and_another_node_takes_over() {
    let stage = Stage::set().await;
    stage.puppets.start("pc1", units::VAULT);
    assert_eq!(health(&stage, "pc1").await, 503);
    assert_eq!(health(&stage, "pc2").await, 474);
    stage.pass(2);
    assert_eq!(health(&stage, "pc2").await, 200);
    assert_eq!(health(&stage, "pc3").await, 429);
    let (_, leader) = stage.json(Vault, "pc3", "/v1/sys/leader").await;
    assert_eq!(leader["leader_address"], stage.url(Vault, "pc2", ""));
    assert_eq!(leader["is_self"], false);

    stage.puppets.kill("pc3");
    stage.puppets.revive("pc3");
    assert_eq!(health(&stage, "pc3").await, 503);
}

#[tokio::test]
async fn tokens_are_checked() {
    let stage = Stage::set().await;
    let path = "/v1/auth/token/lookup-self";
    let missing = stage
        .bare(Method::GET, Vault, "pc1", path)
        .send()
        .await
        .unwrap();
    let expected = json!({ "errors": ["permission denied"] });
    assert_eq!(read(missing).await, (403, expected));
    let wrong = stage
        .bare(Method::GET, Vault, "pc1", path)
        .header("X-Vault-Token", "hvs.wrong")
        .send()
        .await
        .unwrap();
    let (status, body) = read(wrong).await;
    assert_eq!(status, 403);
    assert!(
        body["errors"][0]
            .as_str()
            .unwrap()
            .contains("invalid token")
    );
    let (status, own) = stage.json(Vault, "pc2", path).await;
    assert_eq!(status, 200);
    assert_eq!(own["data"]["policies"], json!(["root"]));
    let bearer = stage
        .bare(Method::GET, Vault, "pc1", path)
        .bearer_auth(stage.secret(Vault))
        .send()
        .await
        .unwrap();
    assert_eq!(bearer.status(), 200);
}

#[tokio::test]
async fn the_system_backend_lists_peers_mounts_and_policies() {
    let stage = Stage::set().await;
    let (_, raft) = stage
        .json(Vault, "pc3", "/v1/sys/storage/raft/configuration")
        .await;
    assert_eq!(raft["data"]["config"]["servers"][0]["node_id"], "pc1");
    assert_eq!(raft["data"]["config"]["servers"][0]["leader"], true);
    let (_, mounts) = stage.json(Vault, "pc1", "/v1/sys/mounts").await;
    assert_eq!(mounts["secret/"]["options"]["version"], "2");
    assert_eq!(mounts["data"]["secret/"], mounts["secret/"]);
    let (_, ha) = stage.json(Vault, "pc2", "/v1/sys/ha-status").await;
    assert_eq!(ha["data"]["nodes"][0]["active_node"], true);
    let list = Method::from_bytes(b"LIST").unwrap();
    let policies = stage
        .request(list, Vault, "pc1", "/v1/sys/policies/acl")
        .send()
        .await
        .unwrap();
    assert_eq!(read(policies).await.1["data"]["keys"][0], "default");
}

#[tokio::test]
async fn secrets_are_listed_read_and_versioned() {
    let stage = Stage::set().await;
    let (_, top) = stage
        .json(Vault, "pc1", "/v1/secret/metadata/?list=true")
        .await;
    assert_eq!(
        top["data"]["keys"],
        json!(["apps/", "harbor/", "terraform/"])
    );
    let written = stage
        .request(Method::POST, Vault, "pc2", "/v1/secret/data/harbor/robot")
        .json(&json!({ "data": { "secret": "second" } }))
        .send()
        .await
        .unwrap();
    assert_eq!(read(written).await.1["data"]["version"], 2);
    let (_, now) = stage
        .json(Vault, "pc1", "/v1/secret/data/harbor/robot")
        .await;
    assert_eq!(now["data"]["data"]["secret"], "second");
    let (_, old) = stage
        .json(Vault, "pc1", "/v1/secret/data/harbor/robot?version=1")
        .await;
    assert_eq!(old["data"]["data"]["secret"], "practice-only");
    let (status, nothing) = stage.json(Vault, "pc1", "/v1/secret/data/nowhere").await;
    assert_eq!((status, nothing), (404, json!({ "errors": [] })));
}

#[tokio::test]
async fn only_the_active_node_can_be_sealed_by_request() {
    let stage = Stage::set().await;
    let seal = |node: &'static str| {
        stage
            .request(Method::PUT, Vault, node, "/v1/sys/seal")
            .send()
    };
    assert_eq!(seal("pc2").await.unwrap().status(), 500);
    assert_eq!(seal("pc1").await.unwrap().status(), 204);
    assert_eq!(health(&stage, "pc1").await, 503);
    stage.pass(2);
    assert_eq!(health(&stage, "pc2").await, 200);
}

async fn put(stage: &Stage, node: &str, path: &str, body: Value) -> (u16, Value) {
    let request = stage.bare(Method::PUT, Vault, node, path);
    read(request.json(&body).send().await.unwrap()).await
}

fn keys(body: &Value) -> Vec<String> {
    let keys = body["keys"].as_array().unwrap().iter();
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_new_vault_is_initialised_once_and_the_others_are_taken_in_when_they_are_unsealed() {
    let stage = Stage::without(&[units::VAULT]).await;
    assert!(stage.services.unseal_shares().is_empty());
    for node in ["pc1", "pc2", "pc3"] {
        stage.puppets.start(node, units::VAULT);
    }
    stage.pass(3);
    assert_eq!(health(&stage, "pc1").await, 501);
    let (_, status) = stage.json(Vault, "pc1", "/v1/sys/seal-status").await;
    assert_eq!(
        (&status["initialized"], &status["t"]),
        (&json!(false), &json!(0))
    );
    let (status, body) = give(&stage, "pc1", &"ab".repeat(33)).await;
    assert_eq!(
        (status, &body["errors"][0]),
        (400, &json!("Vault is not initialized"))
    );
    let (status, body) = put(
        &stage,
        "pc1",
        "/v1/sys/init",
        json!({ "secret_shares": 3, "secret_threshold": 5 }),
    )
    .await;
    assert_eq!(status, 400);
    let words = body["errors"][0].as_str().unwrap();
    assert!(
        words.ends_with("threshold cannot be larger than shares"),
        "{words}"
    );

    let two_of_three = json!({ "secret_shares": 3, "secret_threshold": 2 });
    let (status, made) = put(&stage, "pc2", "/v1/sys/init", two_of_three.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(made["root_token"], stage.secret(Vault));
    let shares = keys(&made);
    assert_eq!(shares.len(), 3);
    let (status, _) = put(&stage, "pc1", "/v1/sys/init", two_of_three).await;
    assert_eq!(status, 400);

    // Nobody who is sealed can take others in.
    let (status, _) = put(&stage, "pc1", "/v1/sys/storage/raft/join", json!({})).await;
    assert_eq!(status, 500);
    give(&stage, "pc2", &shares[2]).await;
    give(&stage, "pc2", &shares[0]).await;
    stage.pass(3);
    assert_eq!(health(&stage, "pc2").await, 200);
    let (_, raft) = stage
        .json(Vault, "pc2", "/v1/sys/storage/raft/configuration")
        .await;
    assert_eq!(raft["data"]["config"]["servers"][0]["node_id"], "pc1");
    let (_, joined) = put(&stage, "pc1", "/v1/sys/storage/raft/join", json!({})).await;
    assert_eq!(joined["joined"], true);
    assert_eq!(health(&stage, "pc1").await, 503);
    give(&stage, "pc1", &shares[1]).await;
    give(&stage, "pc1", &shares[0]).await;
    stage.pass(3);
    assert_eq!(health(&stage, "pc1").await, 429);
}

#[tokio::test]
async fn new_shares_are_in_force_when_enough_of_them_were_shown() {
    let stage = Stage::set().await;
    let wanted = json!({ "secret_shares": 2, "secret_threshold": 2, "require_verification": true });
    let (_, begun) = put(&stage, "pc1", "/v1/sys/rekey/init", wanted.clone()).await;
    assert_eq!(
        (&begun["started"], &begun["required"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(
        put(&stage, "pc2", "/v1/sys/rekey/init", wanted).await.0,
        400
    );
    let nonce = &begun["nonce"];
    let update = |key: String, nonce: Value| {
        put(
            &stage,
            "pc1",
            "/v1/sys/rekey/update",
            json!({ "key": key, "nonce": nonce }),
        )
    };
    assert_eq!(update(share(&stage, 0), json!("another")).await.0, 400);
    update(share(&stage, 0), nonce.clone()).await;
    assert_eq!(update(share(&stage, 0), nonce.clone()).await.0, 400);
    let (_, two) = update(share(&stage, 1), nonce.clone()).await;
    assert_eq!(two["progress"], 2);
    let (_, made) = update(share(&stage, 4), nonce.clone()).await;
    assert_eq!(made["complete"], true);
    let new = keys(&made);

    // Until they are shown, the old ones open it.
    let verify = |key: String| {
        put(
            &stage,
            "pc1",
            "/v1/sys/rekey/verify",
            json!({ "key": key, "nonce": made["verification_nonce"] }),
        )
    };
    assert_eq!(verify(new[0].clone()).await.1["progress"], 1);
    let (_, shown) = verify(new[1].clone()).await;
    assert_eq!(shown["complete"], true);
    stage.puppets.start("pc3", units::VAULT);
    for number in 0..2 {
        give(&stage, "pc3", &share(&stage, number)).await;
    }
    assert_eq!(health(&stage, "pc3").await, 503);
    give(&stage, "pc3", &new[0]).await;
    give(&stage, "pc3", &new[1]).await;
    assert_eq!(health(&stage, "pc3").await, 429);
}
