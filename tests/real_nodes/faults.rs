//! Faults in the middle of a change on five real nodes: one node's disk is full. The others go on, the run says where and why,
//! and it is finished by `resume`, also when somebody edited the recipe meanwhile, or taken back by `undo`.

use std::path::PathBuf;
use std::time::Duration;

use quarterdeck::domain::plan::{Origin, PlanRequest};
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::RunState;
use quarterdeck::steps::Library;
use serde_json::json;

use crate::nodes::{Cockpit, Nodes};

const FIVE: [&str; 5] = ["n1", "n2", "n3", "n4", "n5"];

fn library() -> Vec<Recipe> {
    let recipes = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real_nodes/faults/recipes");
    let library = Library::load(Some(&recipes));
    assert_eq!(library.problems(), []);
    library.recipes().cloned().collect()
}

/// The same, after somebody edited what the last step writes.
fn edited() -> Vec<Recipe> {
    let mut recipes = library();
    let fill = recipes.iter_mut().find(|recipe| recipe.name == "fill");
    let last = fill.unwrap().steps.last_mut().unwrap();
    last.title = "Last of all".into();
    recipes
}

fn fill(letter: &str) -> PlanRequest {
    PlanRequest {
        environment: "real".into(),
        recipe: "fill".into(),
        params: serde_json::from_value(json!({ "letter": letter })).unwrap(),
        ..PlanRequest::default()
    }
}

/// The letters that the large files begin with, node by node; a dash where there is none.
fn letters(nodes: &Nodes) -> String {
    let first = "head -c 1 /srv/faults/disk/data 2>/dev/null || printf -";
    let of = |node: &&str| nodes.exec(node, &["sh", "-c", first]).unwrap();
    FIVE.iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn a_full_disk_on_one_of_five_nodes_is_told_and_the_run_is_finished_or_taken_back() {
    let nodes = Nodes::from_environment();
    for node in ["n4", "n5"] {
        nodes.power("start", node);
    }
    let disk = |options: &str| {
        let script = format!(
            "mkdir -p /srv/faults/disk && mount -t tmpfs -o {options} tmpfs /srv/faults/disk"
        );
        nodes.exec("n2", &["sh", "-c", &script]).unwrap();
    };
    disk("size=64k");
    let state = tempfile::tempdir().unwrap();
    let cockpit = Cockpit::of(nodes.environment(&FIVE), library(), state).await;

    // Four have it, and nothing half is left on the fifth.
    let failed = cockpit.carry_out(fill("a")).await;
    assert_eq!(failed.run.state, RunState::Failed, "{failed}");
    assert_eq!(failed.changed("mark"), 5, "{failed}");
    assert_eq!(failed.changed("data"), 4, "{failed}");
    assert_eq!(failed.changed("last"), 0, "{failed}");
    let account = failed.to_string();
    assert!(account.contains("No space left on device"), "{failed}");
    assert!(
        failed.run.reason.as_deref().unwrap().contains("n2"),
        "{failed}"
    );
    assert_eq!(letters(&nodes), "a-aaa");

    // The recipe is edited before somebody takes the run up: he is told, and the recorded steps are what is carried out.
    let cockpit = cockpit.instead(nodes.environment(&FIVE), edited()).await;
    disk("remount,size=4m");
    let rest = PlanRequest {
        origin: Some(Origin::Resume {
            run: failed.run.id,
            failed_hosts: false,
            current_recipe: false,
        }),
        ..fill("a")
    };
    let plan = cockpit.plan(rest.clone()).await;
    assert!(
        plan.cautions
            .iter()
            .any(|caution| caution.contains("changed: last")),
        "{:?}",
        plan.cautions
    );
    let finished = cockpit.carry_out(rest).await;
    assert_eq!(finished.run.state, RunState::Succeeded, "{finished}");
    assert_eq!(finished.changed("last"), 5, "{finished}");
    assert_eq!(letters(&nodes), "aaaaa");

    // Full again in the middle of the next change: this time all of it is taken back.
    disk("remount,size=320k");
    let failed = cockpit.carry_out(fill("b")).await;
    assert_eq!(failed.run.state, RunState::Failed, "{failed}");
    assert_eq!(
        letters(&nodes),
        "babbb",
        "the old file stays where the new one has no room"
    );
    let undone = cockpit.undo(&failed.run, false).await;
    assert_eq!(undone.run.state, RunState::Succeeded, "{undone}");
    assert_eq!(letters(&nodes), "aaaaa");

    cockpit.stop(Duration::from_secs(10)).await;
    nodes.exec("n2", &["umount", "/srv/faults/disk"]).unwrap();
    for node in FIVE {
        nodes.exec(node, &["rm", "-rf", "/srv/faults"]).unwrap();
    }
    for node in ["n4", "n5"] {
        nodes.power("stop", node);
        nodes.power("wipe", node);
        assert!(!nodes.has_network(node), "{node} left its network behind");
    }
}
