//! Making room, against three members that the test plays and that take down what they were told.

use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

use super::*;
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::service_action::ServiceAction;
use crate::services::{Service, connect};

/// Bytes of a full database.
const MIB: u64 = 1024 * 1024;
/// For how many defragmentations a token is good.
const TOKEN_LIFE: usize = 2;

/// A cluster whose first member leads and whose second is full.
#[derive(Default)]
struct Cluster {
    /// What was changed, in order.
    done: Vec<String>,
    /// Members whose database stays as large as it is, by number.
    stubborn: Vec<u64>,
    /// Whether it takes nobody without a token.
    guarded: bool,
    /// Stopped by the first defragmentation, which then takes an hour.
    stop: Option<CancellationToken>,
}

impl Cluster {
    fn defragmented(&self) -> usize {
        let words = self.done.iter();
        words.filter(|one| one.starts_with("defragment")).count()
    }

    fn lets_in(&self, request: &Request) -> bool {
        let header = request.headers.get("authorization");
        let issued = header
            .and_then(|token| token.to_str().ok()?.parse::<usize>().ok())
            .filter(|issued| self.defragmented() - issued < TOKEN_LIFE);
        !self.guarded || issued.is_some()
    }

    fn answer(&mut self, member: u64, request: &Request) -> ResponseTemplate {
        let asked: Value = request.body_json().unwrap();
        let path = request.url.path();
        if path == "/v3/auth/authenticate" {
            assert_eq!(asked, json!({ "name": "root", "password": "open sesame" }));
            return said(&json!({ "token": self.defragmented().to_string() }));
        }
        if !self.lets_in(request) {
            return ResponseTemplate::new(401)
                .set_body_json(json!({ "message": "etcdserver: invalid auth token" }));
        }
        match path {
            "/v3/maintenance/status" => {
                let small = self.done.contains(&format!("defragment {member}"));
                let size = if small && !self.stubborn.contains(&member) {
                    MIB
                } else {
                    8 * MIB
                };
                said(
                    &json!({ "header": { "member_id": member.to_string() }, "leader": "1", "dbSize": size.to_string() }),
                )
            }
            "/v3/cluster/member/list" => {
                let members =
                    [1, 2, 3].map(|id| json!({ "ID": id.to_string(), "name": format!("m{id}") }));
                said(&json!({ "members": members }))
            }
            "/v3/kv/range" => said(&json!({ "header": { "revision": "70" } })),
            "/v3/kv/compaction" => {
                self.done.push(format!(
                    "compaction {}",
                    asked["revision"].as_str().unwrap()
                ));
                said(&json!({}))
            }
            "/v3/maintenance/defragment" => {
                self.done.push(format!("defragment {member}"));
                let Some(stop) = &self.stop else {
                    return said(&json!({}));
                };
                stop.cancel();
                said(&json!({})).set_delay(Duration::from_secs(3600))
            }
            "/v3/maintenance/alarm" if asked["action"] == "GET" => {
                said(&json!({ "alarms": [{ "memberID": "2", "alarm": FULL }] }))
            }
            "/v3/maintenance/alarm" => {
                self.done
                    .push(format!("disarm {}", asked["memberID"].as_str().unwrap()));
                said(&json!({}))
            }
            other => panic!("nobody asks for {other}"),
        }
    }
}

fn said(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// Makes room in `cluster`, of which the environment names the first `known` members: what came of it, and what was done.
async fn reclaim(cluster: Cluster, known: u64) -> (Result<Acted, String>, Vec<String>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cancel = cluster.stop.clone().unwrap_or_default();
    let secret = cluster.guarded.then(|| SecretString::from("open sesame"));
    let cluster = Arc::new(Mutex::new(cluster));
    let mut servers = Vec::new();
    for member in 1..=known {
        let server = MockServer::start().await;
        let cluster = Arc::clone(&cluster);
        Mock::given(matchers::any())
            .respond_with(move |request: &Request| cluster.lock().unwrap().answer(member, request))
            .mount(&server)
            .await;
        servers.push(server);
    }
    let spec = ServiceSpec {
        name: "etcd".into(),
        kind: ServiceKind::Etcd,
        urls: servers.iter().map(MockServer::uri).collect(),
        nodes: (1..=known).map(|member| format!("pc{member}")).collect(),
        user: secret.is_some().then(|| "root".into()),
        secret: None,
        ca: None,
    };
    let etcd: Box<dyn Service> = connect(&spec, secret).unwrap();
    let action = ServiceAction::Etcd(EtcdAction::Reclaim {});
    let acted = etcd.act(&action, &|_| {}, &cancel).await;
    let done = std::mem::take(&mut cluster.lock().unwrap().done);
    (acted.map_err(|error| error.to_string()), done)
}

#[tokio::test]
async fn members_make_room_one_after_the_other_and_the_leader_last() {
    let (acted, done) = reclaim(Cluster::default(), 3).await;
    let words = "21504 KiB were won, and the alarm is disarmed";
    assert_eq!(acted, Ok(Acted::Changed(words.into())));
    assert_eq!(
        done,
        [
            "compaction 70",
            "defragment 2",
            "defragment 3",
            "defragment 1",
            "disarm 2"
        ]
    );
}

#[tokio::test]
async fn nothing_is_done_where_a_member_has_no_endpoint_that_could_be_told_to_make_room() {
    let (acted, done) = reclaim(Cluster::default(), 2).await;
    let said = acted.unwrap_err();
    assert!(said.contains("no URL of the member m3"), "{said}");
    assert!(done.is_empty(), "{done:?}");
}

#[tokio::test]
async fn a_full_member_that_wins_nothing_is_a_failure_however_much_the_others_win() {
    let cluster = Cluster {
        stubborn: vec![2],
        ..Cluster::default()
    };
    let (acted, done) = reclaim(cluster, 3).await;
    let said = acted.unwrap_err();
    assert!(said.contains("pc2 won only 0 KiB"), "{said}");
    assert_eq!(done.last().unwrap(), "disarm 2");
    // One that was not full has nothing to win.
    let cluster = Cluster {
        stubborn: vec![3],
        ..Cluster::default()
    };
    assert!(reclaim(cluster, 3).await.0.is_ok());
}

#[tokio::test]
async fn a_token_that_runs_out_meanwhile_does_not_leave_the_alarm_on() {
    let cluster = Cluster {
        guarded: true,
        ..Cluster::default()
    };
    let (acted, done) = reclaim(cluster, 3).await;
    assert!(matches!(acted, Ok(Acted::Changed(_))), "{acted:?}");
    assert_eq!(done.last().unwrap(), "disarm 2");
}

#[tokio::test]
async fn who_stops_it_does_not_wait_for_a_database_to_be_written_anew() {
    let cluster = Cluster {
        stop: Some(CancellationToken::new()),
        ..Cluster::default()
    };
    let (acted, done) = reclaim(cluster, 3).await;
    assert_eq!(
        acted.unwrap_err(),
        "stopped: pc2 is still at it, the alarm is still on, and nothing can be written"
    );
    assert_eq!(done, ["compaction 70", "defragment 2"]);
}
