//! Nodes that vanish in the middle of a change and come back: one by a power cut, one whose cable is pulled while its command
//! goes on. The run says what happened where; nothing is begun a second time while the first is still at work, what must not be
//! repeated is asked about, and `resume` brings everything to its end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use quarterdeck::domain::plan::{OnceAnswer, Origin, PlanRequest};
use quarterdeck::domain::recipe::Recipe;
use quarterdeck::domain::run::{Run, RunState, Stream};
use quarterdeck::steps::Library;

use crate::nodes::{Cockpit, Nodes};

const THREE: [&str; 3] = ["n1", "n2", "n3"];

/// The recipe, whose command must not be repeated, or may be so many times.
fn recipe(once: bool, retries: u32) -> Vec<Recipe> {
    let recipes = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/real_nodes/vanish/recipes");
    let library = Library::load(Some(&recipes));
    assert_eq!(library.problems(), []);
    let mut recipes: Vec<Recipe> = library.recipes().cloned().collect();
    let vanish = recipes.iter_mut().find(|recipe| recipe.name == "vanish");
    let work = vanish
        .unwrap()
        .steps
        .iter_mut()
        .find(|step| step.id == "work");
    let work = work.unwrap();
    (work.once, work.retries) = (once, retries);
    recipes
}

fn vanish() -> PlanRequest {
    PlanRequest {
        environment: "real".into(),
        recipe: "vanish".into(),
        ..PlanRequest::default()
    }
}

fn rest_of(run: &Run) -> PlanRequest {
    PlanRequest {
        origin: Some(Origin::Resume {
            run: run.id,
            failed_hosts: false,
            current_recipe: false,
        }),
        ..vanish()
    }
}

/// What the command did on a node: a letter each time that it began (`b`) and ended (`d`).
fn deeds(nodes: &Nodes, node: &str) -> String {
    let deeds = nodes.exec(node, &["cat", "/srv/vanish/deeds"]);
    let deeds = deeds.unwrap_or_default();
    deeds.lines().map(|deed| &deed[..1]).collect()
}

fn let_go(nodes: &Nodes, node: &str) {
    nodes.exec(node, &["touch", "/srv/vanish/go"]).unwrap();
}

async fn until_deeds(nodes: &Nodes, node: &str, wanted: &str) {
    let seen = tokio::time::timeout(Duration::from_secs(60), async {
        while deeds(nodes, node) != wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    seen.await
        .unwrap_or_else(|_| panic!("{node}: {} and not {wanted}", deeds(nodes, node)));
}

fn clean_up(nodes: &Nodes) {
    for node in THREE {
        nodes.exec(node, &["rm", "-rf", "/srv/vanish"]).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real nodes: run tests/run nodes"]
async fn nodes_that_vanish_in_the_middle_and_return_are_brought_to_the_end_with_nothing_done_twice()
{
    let nodes = Nodes::from_environment();
    let state = tempfile::tempdir().unwrap();
    let cockpit = Cockpit::of(nodes.environment(&THREE), recipe(true, 0), state).await;

    // One loses its power and one its cable, while all three are at work; the first goes on as if nothing were.
    let running = cockpit.start_run(vanish()).await;
    for node in THREE {
        until_deeds(&nodes, node, "b").await;
    }
    nodes.power("kill", "n2");
    nodes.power("cut", "n3");
    let_go(&nodes, "n1");
    let failed = cockpit.end(running).await;
    assert_eq!(failed.run.state, RunState::Failed, "{failed}");
    assert_eq!(failed.changed("mark"), 3, "{failed}");
    assert_eq!(failed.changed("work"), 1, "{failed}");
    let reason = failed.run.reason.clone().unwrap();
    assert!(
        reason.contains("n2") || reason.contains("n3"),
        "{reason}\n{failed}"
    );
    assert!(reason.contains("no sign of life"), "{reason}\n{failed}");

    // They come back. What goes on where only the cable was pulled is neither begun anew nor taken back.
    nodes.power("start", "n2");
    nodes.power("heal", "n3");
    let refused = cockpit.refused(rest_of(&failed.run)).await;
    assert!(
        refused.starts_with("n3: a command of work@n3 is still running since "),
        "{refused}"
    );
    assert!(
        refused.ends_with("wait until it has ended, or end it, and resume then"),
        "{refused}"
    );
    let back = PlanRequest {
        origin: Some(Origin::Undo {
            run: failed.run.id,
            force: false,
        }),
        ..vanish()
    };
    let refused = cockpit.refused(back).await;
    assert!(refused.ends_with("and undo then"), "{refused}");
    let_go(&nodes, "n3");
    until_deeds(&nodes, "n3", "bd").await;

    // It must not be repeated, and nobody here knows how far it came: somebody looks and says so.
    let open = cockpit.plan(rest_of(&failed.run)).await;
    let undecided: Vec<String> = open.undecided.iter().map(ToString::to_string).collect();
    assert_eq!(undecided, ["work@n2", "work@n3"]);
    let answered = PlanRequest {
        once: BTreeMap::from([
            ("work@n2".to_owned(), OnceAnswer::Repeat),
            ("work@n3".to_owned(), OnceAnswer::Done),
        ]),
        ..rest_of(&failed.run)
    };
    nodes.exec("n2", &["rmdir", "/srv/vanish/busy"]).unwrap();
    let_go(&nodes, "n2");
    let finished = cockpit.carry_out(answered).await;
    assert_eq!(finished.run.state, RunState::Succeeded, "{finished}");
    assert_eq!(finished.changed("last"), 3, "{finished}");
    assert_eq!(THREE.map(|node| deeds(&nodes, node)), ["bd", "bbd", "bd"]);
    clean_up(&nodes);

    // What may be repeated is tried again by itself, but not beside the attempt that is still at work there.
    let cockpit = cockpit
        .instead(nodes.environment(&THREE), recipe(false, 9))
        .await;
    let running = cockpit.start_run(vanish()).await;
    for node in THREE {
        until_deeds(&nodes, node, "b").await;
    }
    nodes.power("cut", "n3");
    for node in ["n1", "n2"] {
        let_go(&nodes, node);
    }
    cockpit
        .until_says(&running, "attempt 2 of 10 follows")
        .await;
    nodes.power("heal", "n3");
    cockpit
        .until_says(&running, "another attempt waits for its end")
        .await;
    let_go(&nodes, "n3");
    let finished = cockpit.end(running).await;
    assert_eq!(finished.run.state, RunState::Succeeded, "{finished}");
    assert_eq!(THREE.map(|node| deeds(&nodes, node)), ["bd", "bd", "bdbd"]);
    for node in THREE {
        let trouble = nodes.exec(node, &["cat", "/srv/vanish/trouble"]);
        assert_eq!(trouble, None, "{node}: two were at work at once");
    }
    assert!(
        finished.says(Stream::Note, "n3: a command of work@n3 is still running"),
        "{finished}"
    );

    cockpit.stop(Duration::from_secs(10)).await;
    clean_up(&nodes);
}
