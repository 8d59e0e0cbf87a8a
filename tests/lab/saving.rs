//! Snapshots of Consul and Vault: taken, verified, and the oldest dropped.

use quarterdeck::domain::plan::PlanRequest;
use quarterdeck::domain::run::RunState;
use quarterdeck::services::shelf::{self, Shelf};

use super::Cockpit;

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_consul_and_vault_is_saved_and_verified_and_the_oldest_goes() {
    let cockpit = Cockpit::start(0.05).await;
    let shelf = Shelf::of(&cockpit.dir.path().join("state"));
    let services = || -> Vec<String> {
        let (taken, odd) = shelf.list().unwrap();
        assert!(odd.is_empty(), "{odd:?}");
        for snapshot in &taken {
            shelf::inspect(snapshot, None).unwrap();
            assert!(snapshot.state > 0 && snapshot.index > 0, "{snapshot:?}");
        }
        let mut names: Vec<String> = taken.into_iter().map(|one| one.service).collect();
        names.sort();
        names
    };

    let (rehearsal, log) = cockpit.run("snapshot", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert!(services().is_empty(), "a rehearsal saves nothing");

    for _ in 0..2 {
        let (run, log) = cockpit.run("snapshot", false).await;
        assert_eq!(
            (run.state, run.tally.changed),
            (RunState::Succeeded, 0),
            "{log}"
        );
    }
    assert_eq!(
        services(),
        ["consul", "consul", "nomad", "nomad", "vault", "vault"]
    );
    let (run, log) = cockpit
        .carry_out(PlanRequest {
            environment: "lab".into(),
            recipe: "snapshot".into(),
            params: [("keep".to_owned(), 1.into())].into(),
            ..PlanRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(run.state, RunState::Succeeded, "{log}");
    assert_eq!(services(), ["consul", "nomad", "vault"]);

    // A Vault that is sealed gives nothing, nothing is recorded as if it had, and the others are saved all the same.
    cockpit.lab.world().command("seal").unwrap();
    let (run, log) = cockpit.run("snapshot", false).await;
    assert_eq!(run.state, RunState::Failed, "{log}");
    assert!(log.contains("vault: "), "{log}");
    let failures = shelf.all().unwrap().failures;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].service, "vault");
    let vaults = services().iter().filter(|name| *name == "vault").count();
    assert_eq!(vaults, 1, "{log}");
    cockpit.stop().await;
}
