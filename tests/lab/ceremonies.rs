//! Ceremonies: a sealed Vault is opened by several operators, and one that is cancelled takes back what it gave.

use std::time::Duration;

use quarterdeck::client::{Client, Request, Response};
use quarterdeck::domain::operator::Operator;
use quarterdeck::domain::run::RunState;
use quarterdeck::domain::seal::{Ceremony, Wants, Word};
use quarterdeck::domain::secret::Secret;

use super::{Cockpit, PATIENCE};

/// The shares of the practice Vault, as the lab leaves them to its operators.
fn practice_shares(cockpit: &Cockpit) -> Vec<String> {
    let path = cockpit.lab.workspace().join("secrets/vault-unseal-shares");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// Waits until the ceremony of a run wants a share, so many having been given.
async fn wants_share(client: &Client, given: usize) -> Ceremony {
    let wanted = async {
        loop {
            let Response::Ceremonies(held) = client.call(Request::Ceremonies).await.unwrap() else {
                panic!("no ceremonies");
            };
            let wanted = held.into_iter().find(|one| {
                one.standing.wants == Wants::Share && one.standing.givers.len() == given
            });
            if let Some(ceremony) = wanted {
                return ceremony;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wanted).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_vault_is_opened_by_several_operators_and_the_wrong_share_is_told() {
    let cockpit = Cockpit::start(0.05).await;
    let shares = practice_shares(&cockpit);
    let mut wrong = shares[1].clone();
    wrong.replace_range(0..1, if wrong.starts_with('0') { "1" } else { "0" });
    cockpit.lab.world().command("seal").unwrap();
    let ada = cockpit.engine.client(Operator::new("ada", "jump", 1000));
    let bob = cockpit.engine.client(Operator::new("bob", "desk", 1001));

    let give = async |client: &Client, run, share: &str| {
        let word = Word::Share(Secret::new(share.to_owned()));
        client.call(Request::Ceremony { run, word }).await
    };
    let operators = async {
        let run = wants_share(&ada, 0).await.run;
        give(&ada, run, &shares[0]).await.unwrap();
        let board = wants_share(&bob, 1).await.standing;
        assert!(
            board.nodes.iter().all(|node| node.progress == 1),
            "{board:?}"
        );
        let twice = give(&bob, run, &shares[0]).await.unwrap_err();
        assert_eq!(twice.message, "this share was given already, by ada@jump");
        give(&bob, run, &wrong).await.unwrap();
        give(&ada, run, &shares[2]).await.unwrap();
        let doubtful = wants_share(&ada, 3).await.standing;
        assert!(doubtful.said.contains("open nothing"), "{doubtful:?}");
        give(&bob, run, &shares[3]).await.unwrap();
    };
    let ((run, log), ()) = tokio::join!(cockpit.run("unseal", false), operators);
    assert_eq!(run.state, RunState::Succeeded, "{log}");
    assert!(
        log.contains("the share that was wrong is number 2 (given by bob@desk)"),
        "{log}"
    );

    // A second time there is nothing to do, and nobody is asked.
    let (run, log) = cockpit.run("unseal", false).await;
    assert_eq!(
        (run.state, run.tally.changed),
        (RunState::Succeeded, 0),
        "{log}"
    );

    let mut files = vec![cockpit.dir.path().join("state")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        for share in shares.iter().chain([&wrong]) {
            let found = bytes
                .windows(40)
                .any(|window| window == &share.as_bytes()[..40]);
            assert!(!found, "a share is in {}", path.display());
        }
    }
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceremony_that_is_cancelled_takes_back_what_it_gave() {
    let cockpit = Cockpit::start(0.05).await;
    let shares = practice_shares(&cockpit);
    cockpit.lab.world().command("seal").unwrap();
    let operator = async {
        let run = wants_share(&cockpit.client, 0).await.run;
        let word = Word::Share(Secret::new(shares[0].clone()));
        let given = Request::Ceremony { run, word };
        cockpit.client.call(given).await.unwrap();
        wants_share(&cockpit.client, 1).await;
        cockpit.client.call(Request::Cancel { run }).await.unwrap();
    };
    let ((run, log), ()) = tokio::join!(cockpit.run("unseal", false), operator);
    assert_eq!(run.state, RunState::Cancelled, "{log}");
    let request = Request::Seals {
        environment: "lab".into(),
    };
    let Response::Seals(boards) = cockpit.client.call(request).await.unwrap() else {
        panic!("no seals");
    };
    assert!(
        boards[0].nodes.iter().all(|node| node.progress == 0),
        "{boards:?}\n{log}"
    );
    cockpit.stop().await;
}
