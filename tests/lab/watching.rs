//! What is wrong is seen, and goes when it is right again: findings and drift.

use quarterdeck::client::{Event, Request, Response};
use quarterdeck::domain::drift::board::{DriftBoard, DriftRow};
use quarterdeck::domain::finding::Subject;
use quarterdeck::domain::run::RunState;

use super::{Cockpit, PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_becomes_a_finding_and_goes_with_the_power() {
    let cockpit = Cockpit::start(0.05).await;
    let mut events = cockpit.client.subscribe();
    let pc3 = Subject::Node("pc3".into());
    cockpit.lab.world().command("kill pc3").unwrap();
    let mut there = false;
    let seen = tokio::time::timeout(PATIENCE, async {
        while let Some(event) = events.next().await {
            let Event::Findings { findings, .. } = event else {
                continue;
            };
            let now = findings.iter().any(|finding| finding.subject == pc3);
            if now && !there {
                cockpit.lab.world().command("start pc3").unwrap();
            }
            if !now && there {
                return true;
            }
            there = now;
        }
        false
    });
    assert!(seen.await.unwrap());
    cockpit.stop().await;
}

/// The drift board as it is now.
async fn drift_board(cockpit: &Cockpit) -> DriftBoard {
    let request = Request::Drift {
        environment: "lab".into(),
    };
    let Response::Drift(board) = cockpit.client.call(request).await.unwrap() else {
        panic!("no board");
    };
    *board
}

fn open_keys(board: &DriftBoard) -> Vec<String> {
    let key = |row: &DriftRow| row.known.drifted.key.to_string();
    board.open().map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_behind_everyones_back_is_on_the_board_until_it_is_brought_back() {
    let cockpit = Cockpit::start(0.0).await;
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Succeeded, "{log}");
    let board = drift_board(&cockpit).await;
    assert_eq!(open_keys(&board), Vec::<String>::new(), "{log}");
    assert!(board.looks.len() > 10, "{board:?}");

    for fault in ["drift pc2", "meddle"] {
        cockpit.lab.world().command(fault).unwrap();
    }
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Succeeded, "{log}");
    assert_eq!(checked.tally.changed, 0, "{log}");
    let board = drift_board(&cockpit).await;
    let keys = open_keys(&board);
    for begins in [
        "consul:consul/kv/config/web/motd#value",
        "nodes:pc2/file /etc/consul",
        "nomad:nomad/job/web#Priority",
        "vault:vault/policy/metrics#policy",
        "kubernetes:kubernetes/ConfigMap/default/shop#data.colour",
    ] {
        assert!(
            keys.iter().any(|key| key.starts_with(begins)),
            "{begins}: {keys:?}\n{log}"
        );
    }
    // Looking has changed nothing: a second look sees the same, first seen when the first did.
    cockpit.run("drift", false).await;
    let again = drift_board(&cockpit).await;
    let ages = |board: &DriftBoard| -> Vec<_> {
        let rows = board.open();
        rows.map(|row| (row.known.drifted.clone(), row.known.first_seen))
            .collect()
    };
    assert_eq!(ages(&again), ages(&board));

    // A rule hides one row, and is in the workspace's file with its reason.
    let rule = Request::IgnoreDrift {
        environment: "lab".into(),
        matches: "consul:*motd*".into(),
        reason: "the shop tries it out".into(),
        days: Some(3),
    };
    cockpit.client.call(rule).await.unwrap();
    let board = drift_board(&cockpit).await;
    assert!(!open_keys(&board).iter().any(|key| key.contains("motd")));
    let file = cockpit.lab.workspace().join("drift-ignore.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("the shop tries it out"), "{text}");

    // Each row's own run brings it back, and nothing else is left.
    for row in &board.rows {
        let drifted = &row.known.drifted;
        let remedy = drifted.reconcile.as_ref().unwrap();
        let (run, log) = cockpit.carry_out(remedy.request("lab")).await.unwrap();
        assert_eq!(run.state, RunState::Succeeded, "{}\n{log}", drifted.key);
    }
    let board = drift_board(&cockpit).await;
    assert!(board.rows.is_empty(), "{:?}", board.rows);
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_not_known_and_never_well() {
    let cockpit = Cockpit::start(0.0).await;
    cockpit.run("drift", false).await;
    cockpit.lab.world().command("kill pc3").unwrap();
    let (checked, log) = cockpit.run("drift", false).await;
    assert_eq!(checked.state, RunState::Failed, "{log}");
    let board = drift_board(&cockpit).await;
    let blind: Vec<_> = board.unknown().collect();
    assert!(
        blind.iter().any(|look| look.scope.starts_with("pc3/")),
        "{blind:?}\n{log}"
    );
    for look in blind {
        assert!(!look.trouble.as_deref().unwrap().is_empty());
        assert!(look.known_at.is_none_or(|known| known < look.looked_at));
    }
    cockpit.stop().await;
}
