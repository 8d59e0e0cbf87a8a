//! Following a node over one channel of real OpenSSH: its facts, a server that allows one session, and what is left behind.

use std::time::Duration;

use quarterdeck::transport::{Command, Reach as _, ReachError};
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::sshd::{Yard, pool};
use super::{Kept, says};

/// How long anything may take before a test fails; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn facts_and_samples_come_over_one_session_even_where_no_more_is_allowed() {
    let yard = Yard::new();
    let sshd = yard.sshd_with("pc1", &["ed25519"], "MaxSessions 1\n");
    let place = Place::new();
    let node = sshd.node(|_| {});
    place.write(
        "environments/here.yaml",
        &format!(
            "environment: {{name: here, protection: open}}\nssh: {{config: none}}\nnodes:\n- name: pc1\n  address: 127.0.0.1\n  \
             platform: generic\n  arch: amd64\n  ssh: {{port: {}, user: {}, identities: [{}], known_hosts: {}}}\n",
            sshd.port,
            node.ssh.user.as_deref().unwrap(),
            yard.id().display(),
            yard.known_hosts().display(),
        ),
    );
    place.write(
        "recipes/ask.yaml",
        "name: ask\ntitle: Ask\nrisk: read\nsteps:\n- {id: ask, title: Ask, on: {}, run: {argv: [echo, well], changes: false}}\n",
    );
    let facts = place.json(&["facts", "pc1", "--env", "here", "--json"]);
    let seen = &facts[0]["value"];
    assert!(seen["facts"]["cpus"].as_u64().unwrap() > 0, "{seen}");
    assert!(
        !seen["facts"]["kernel"].as_str().unwrap().is_empty(),
        "{seen}"
    );
    assert!(seen["sample"]["disk_total"].as_u64().unwrap() > 0, "{seen}");
    // A run's command gets the only session, although the node is being followed.
    place.expect(&["run", "ask", "--env", "here"], 0);
    // And the node is followed again: rates need two samples over one channel.
    let sampled = tokio::time::timeout(PATIENCE, async {
        loop {
            let facts = place.json(&["facts", "--env", "here", "--json", "--history"]);
            if facts[0]["value"]["sample"]["cpu_percent"].is_number() {
                return facts;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    let facts = sampled.await.unwrap();
    assert!(facts[0]["history"].as_array().unwrap().len() > 1, "{facts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_command_that_gives_way_does_so_when_the_only_session_is_wanted_and_is_ended() {
    let yard = Yard::new();
    let sshd = yard.sshd_with("one", &["ed25519"], "MaxSessions 1\n");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("one").unwrap();
    let pid = yard.path("pid");
    let script = format!(
        "echo $$ > {}; echo begun; while sleep 1; do echo more || exit; done",
        pid.display()
    );
    let steady = Command::new(["sh", "-c", &script]).giving_way();
    let mut kept = Kept::default();
    let seen = kept.clone();
    let never = CancellationToken::new();
    let other = async {
        seen.line().await;
        says(&host, &["echo", "well"]).await
    };
    let (ended, said) = tokio::join!(host.stream(&steady, &mut kept, &never), other);
    assert!(
        matches!(ended, Err(ReachError::GaveWay { .. })),
        "{ended:?}"
    );
    assert_eq!(said.unwrap(), "well");
    let pid = std::fs::read_to_string(pid).unwrap();
    let gone = tokio::time::timeout(PATIENCE, async {
        while std::path::Path::new(&format!("/proc/{}/cmdline", pid.trim())).exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    gone.await.expect("nothing is left behind");
}
