//! Deploying, taking back, and nodes that come and go: on boards with something and on bare ones.

use std::sync::Arc;

use quarterdeck::domain::plan::PlanRequest;
use quarterdeck::domain::run::RunState;
use quarterdeck::domain::stack::Stack;

use super::Cockpit;

#[tokio::test(flavor = "multi_thread")]
async fn deploy_brings_the_missing_agents_and_a_second_one_changes_nothing() {
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    assert!(!world.unit_active("pc4", "consul.service"));

    let (rehearsal, log) = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert_eq!(
        world.file("pc4", "/usr/bin/consul"),
        None,
        "a rehearsal changes nothing"
    );

    let (first, log) = cockpit.run("deploy", false).await;
    assert_eq!(first.state, RunState::Succeeded, "{log}");
    assert!(first.tally.changed > 0, "{log}");
    for node in ["pc1", "pc2", "pc3", "pc4", "pc5"] {
        assert!(world.unit_active(node, "consul.service"), "{node}\n{log}");
    }

    let (second, log) = cockpit.run("deploy", false).await;
    assert_eq!(second.state, RunState::Succeeded, "{log}");
    assert_eq!(second.tally.changed, 0, "{log}");

    world
        .command("drift pc4 /etc/consul.d/quarterdeck.json")
        .unwrap();
    let (third, log) = cockpit.run("deploy", false).await;
    assert_eq!(third.state, RunState::Succeeded, "{log}");
    assert!(third.tally.changed > 0, "{log}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_leaves_the_nodes_as_they_were_before_and_a_second_one_finds_nothing() {
    const NODES: [&str; 5] = ["pc1", "pc2", "pc3", "pc4", "pc5"];
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    let state = || {
        NODES.map(|node| {
            let file = |path| world.file(node, path);
            (
                file("/usr/bin/consul"),
                file("/etc/consul.d/quarterdeck.json"),
                file("/etc/systemd/system/consul.service"),
                file("/var/cache/quarterdeck/consul.deb"),
                world.unit_active(node, "consul.service"),
            )
        })
    };
    let before = state();
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let after = state();
    assert_ne!(before, after);

    let (rehearsal, log) = cockpit.undo(&deployed, true, false).await.unwrap();
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    assert!(
        log.contains("file /etc/consul.d/quarterdeck.json: "),
        "{log}"
    );
    assert!(
        log.contains("--- /etc/consul.d/quarterdeck.json (now)"),
        "{log}"
    );
    assert_eq!(state(), after, "a rehearsal changes nothing");

    // Somebody edits a file that the run left: that one is refused, and so the run fails.
    world
        .command("drift pc4 /etc/consul.d/quarterdeck.json")
        .unwrap();
    let (refused, log) = cockpit.undo(&deployed, false, false).await.unwrap();
    assert_eq!(refused.state, RunState::Failed, "{log}");
    assert!(log.contains("its content was changed since"), "{log}");
    assert!(
        world
            .file("pc4", "/etc/consul.d/quarterdeck.json")
            .is_some()
    );

    // Asked for again, with force: only what is left is taken back.
    let (undone, log) = cockpit.undo(&deployed, false, true).await.unwrap();
    assert_eq!(undone.state, RunState::Succeeded, "{log}");
    assert_eq!(state(), before, "{log}");

    let runs = cockpit.client.history.runs(10).unwrap();
    let deployed = runs.iter().find(|run| run.id == deployed.id).unwrap();
    assert_eq!(deployed.tally.changed, 0);
    assert!(deployed.tally.undone > 0);
    assert!(
        deployed
            .kinship(&runs)
            .contains(&format!("undone by run {}", undone.number)),
        "{:?}",
        deployed.kinship(&runs)
    );
    let nothing = cockpit.undo(deployed, false, false).await.unwrap_err();
    assert!(nothing.contains("was undone already"), "{nothing}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_drained_removed_and_joins_again_as_others_see_it() {
    let cockpit = Cockpit::start(0.05).await;
    let world = Arc::clone(cockpit.lab.world());
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    let on_pc5 = async |recipe: &str| {
        let request = PlanRequest {
            environment: "lab".into(),
            recipe: recipe.into(),
            nodes: vec!["pc5".into()],
            ..PlanRequest::default()
        };
        cockpit.carry_out(request).await.unwrap()
    };
    let (early, log) = on_pc5("remove").await;
    assert_eq!(early.state, RunState::Failed, "it is alive: {log}");

    let (drained, log) = on_pc5("drain").await;
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains(", as seen by pc1"), "{log}");
    assert!(!world.unit_active("pc5", "consul.service"));
    let (again, log) = on_pc5("drain").await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");

    let (removed, log) = on_pc5("remove").await;
    assert_eq!(removed.state, RunState::Succeeded, "{log}");

    let (joined, log) = on_pc5("join").await;
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(world.unit_active("pc5", "consul.service"));
    assert!(log.contains("alive"), "{log}");
    cockpit.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_provisioning_can_be_practised_and_taken_back() {
    let cockpit = Cockpit::start(0.0).await;
    let (looked, log) = cockpit.run("provision", true).await;
    assert_eq!(looked.state, RunState::Succeeded, "{log}");
    assert!(log.contains("user ada: does not exist → added"), "{log}");
    assert!(log.contains("+UMASK 027"), "{log}");

    let (made, log) = cockpit.run("provision", false).await;
    assert_eq!(made.state, RunState::Succeeded, "{log}");
    assert_eq!(made.tally.changed, looked.tally.changed, "{log}");
    let (again, log) = cockpit.run("provision", false).await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");
    assert_eq!(again.tally.changed, 0, "{log}");

    let (undone, log) = cockpit.undo(&made, false, false).await.unwrap();
    assert_eq!(undone.state, RunState::Succeeded, "{log}");
    let (fresh, log) = cockpit.run("provision", true).await;
    assert_eq!(fresh.tally.changed, looked.tally.changed, "{log}");
    cockpit.stop().await;
}

/// Deploys `stack` on bare boards, twice: the second run finds nothing to do.
async fn deploy_twice(stack: Stack) -> Cockpit {
    let cockpit = Cockpit::bare(stack).await;
    let (rehearsal, log) = cockpit.run("deploy", true).await;
    assert_eq!(rehearsal.state, RunState::Succeeded, "{log}");
    let (deployed, log) = cockpit.run("deploy", false).await;
    assert_eq!(deployed.state, RunState::Succeeded, "{log}");
    assert!(deployed.tally.changed > 0, "{log}");
    let (again, log) = cockpit.run("deploy", false).await;
    assert_eq!(again.state, RunState::Succeeded, "{log}");
    assert_eq!(again.tally.changed, 0, "{log}");
    cockpit
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nomad_stack_is_deployed_on_bare_boards_and_a_client_goes_and_comes_back() {
    let cockpit = deploy_twice(Stack::Nomad).await;

    // Two of three servers at once: refused before anything runs, with the sum.
    let refused = cockpit.run_on("power-off", &["pc2", "pc3"]).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.contains("consul would lose its quorum: it has 3 voters, 3 of them alive; 1 would be left alive, and 2 are"),
        "{refused}"
    );
    assert!(refused.contains("nomad would lose its quorum"), "{refused}");

    let (drained, log) = cockpit.run_on("drain", &["pc5"]).await.unwrap();
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains("POST /v1/node/ID/drain"), "{log}");
    assert!(
        log.contains("pc5 is drained and takes nothing new"),
        "{log}"
    );
    let (removed, log) = cockpit.run_on("remove", &["pc5"]).await.unwrap();
    assert_eq!(removed.state, RunState::Succeeded, "{log}");
    let (joined, log) = cockpit.run_on("join", &["pc5"]).await.unwrap();
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(log.contains("lists pc5 ready"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubernetes_stack_is_deployed_on_bare_boards_and_an_agent_is_drained() {
    let cockpit = deploy_twice(Stack::Kubernetes).await;
    let (paused, log) = cockpit.run_on("pause-node", &["pc5"]).await.unwrap();
    assert_eq!(paused.state, RunState::Succeeded, "{log}");
    assert_eq!(paused.tally.changed, 1, "{log}");
    let (drained, log) = cockpit.run_on("drain", &["pc5"]).await.unwrap();
    assert_eq!(drained.state, RunState::Succeeded, "{log}");
    assert!(log.contains("pc5 is drained"), "{log}");
    let (joined, log) = cockpit.run_on("join", &["pc5"]).await.unwrap();
    assert_eq!(joined.state, RunState::Succeeded, "{log}");
    assert!(log.contains("pc5 takes pods again"), "{log}");
}
