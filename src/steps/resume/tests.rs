use serde_json::json;

use super::*;
use crate::domain::recipe::{Param, RunCommand, Selector};
use crate::domain::run::{RunId, RunState};
use crate::steps::testing::staging;

fn step(id: &str, needs: &[&str], once: bool) -> Step {
    Step {
        id: id.into(),
        title: id.into(),
        needs: needs.iter().map(ToString::to_string).collect(),
        on: Some(Selector::default()),
        once,
        run: Some(RunCommand {
            detached: false,
            elsewhere: Vec::new(),
            distinct: false,
            argv: vec!["do".into(), id.into()],
            changes: true,
            check: None,
            otherwise: None,
            expect: None,
        }),
        ..Step::default()
    }
}

fn recipe() -> Recipe {
    Recipe {
        name: "build".into(),
        title: "Build".into(),
        description: String::new(),
        risk: Risk::Change,
        offer_on: Vec::new(),
        kinds: Vec::new(),
        params: vec![Param {
            name: "size".into(),
            help: "how big".into(),
            default: Some(json!(1)),
        }],
        handlers: Vec::new(),
        steps: vec![
            step("install", &[], false),
            step("init", &["install"], true),
            step("join", &["init"], false),
        ],
    }
}

/// Run 7 of the recipe on pc1 and pc2, whose tasks ended like this, in the order of the plan.
fn earlier(ended: &[(TaskState, u32)]) -> Earlier {
    let request = PlanRequest {
        environment: "staging".into(),
        recipe: "build".into(),
        nodes: vec!["pc1".into(), "pc2".into()],
        ..PlanRequest::default()
    };
    let plan = plan(&recipe(), &staging(), request).unwrap();
    let tasks: Vec<Task> = plan
        .tasks()
        .into_iter()
        .zip(ended)
        .map(|(task, (state, attempts))| Task {
            state: *state,
            attempts: *attempts,
            ..task
        })
        .collect();
    assert_eq!(tasks.len(), 6);
    Earlier {
        owed: Vec::new(),
        run: Run {
            recipe: "build".into(),
            title: "Build".into(),
            environment: "staging".into(),
            plan_hash: plan.hash.clone(),
            ..Run::sample(7, RunState::Failed)
        },
        plan,
        tasks,
    }
}

fn wanted(failed_hosts: bool, current_recipe: bool) -> PlanRequest {
    PlanRequest {
        origin: Some(Origin::Resume {
            run: RunId(uuid::Uuid::from_u128(7)),
            failed_hosts,
            current_recipe,
        }),
        ..PlanRequest::default()
    }
}

fn resumed(earlier: &Earlier, request: &PlanRequest) -> Result<Plan, PlanError> {
    resume(earlier, &staging(), Some(&recipe()), request)
}

fn kept(plan: &Plan) -> Vec<String> {
    plan.kept.iter().map(|task| task.key.to_string()).collect()
}

const OK: (TaskState, u32) = (TaskState::Ok, 1);
const CHANGED: (TaskState, u32) = (TaskState::Changed, 1);
const FAILED: (TaskState, u32) = (TaskState::Failed, 1);
const CUT: (TaskState, u32) = (TaskState::Cancelled, 1);
const BARRED: (TaskState, u32) = (TaskState::Skipped, 0);
const UNWANTED: (TaskState, u32) = (TaskState::Skipped, 1);

#[test]
fn what_ended_well_is_kept_with_the_run_that_did_it_and_the_rest_is_carried_out() {
    let earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let plan = resumed(&earlier, &wanted(false, false)).unwrap();
    assert_eq!(kept(&plan), ["install@pc1"]);
    assert_eq!(plan.kept[0].reason.as_deref(), Some("done in run 7"));
    assert_eq!(plan.undecided, []);
    assert_eq!(
        plan.cautions,
        ["begun in run 7 and not ended well, may be half done, carried out again: install@pc2"]
    );
    let pending = plan
        .tasks()
        .iter()
        .filter(|task| task.attempts == 0)
        .count();
    assert_eq!(pending, 5);
    assert_ne!(plan.hash, earlier.plan.hash);
}

#[test]
fn a_once_step_is_kept_when_done_run_when_never_begun_and_asked_about_in_between() {
    let earlier = earlier(&[OK, UNWANTED, CHANGED, CUT, BARRED, BARRED]);
    let open = resumed(&earlier, &wanted(false, false)).unwrap();
    assert_eq!(kept(&open), ["install@pc1", "install@pc2", "init@pc1"]);
    let names: Vec<String> = open.undecided.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["init@pc2"]);

    let mut answered = wanted(false, false);
    answered.once.insert("init@pc2".into(), OnceAnswer::Done);
    let done = resumed(&earlier, &answered).unwrap();
    assert_eq!(done.undecided, []);
    assert_eq!(kept(&done).len(), 4);
    assert!(done.kept[3].reason.as_ref().unwrap().contains("word"));

    answered.once.insert("init@pc2".into(), OnceAnswer::Repeat);
    let repeat = resumed(&earlier, &answered).unwrap();
    assert_eq!(repeat.undecided, []);
    assert_eq!(kept(&repeat).len(), 3);
    assert_ne!(repeat.hash, done.hash);
}

#[test]
fn an_answer_about_a_task_that_nobody_asked_about_is_refused() {
    let earlier = earlier(&[OK, OK, CHANGED, FAILED, BARRED, BARRED]);
    for name in ["init@pc1", "install@pc1", "dance"] {
        let mut request = wanted(false, false);
        request.once.insert(name.into(), OnceAnswer::Repeat);
        let error = resumed(&earlier, &request).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("init@pc2"),
            "{error}"
        );
    }
}

#[test]
fn only_the_hosts_that_failed_are_taken_up_when_asked_for() {
    let earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let plan = resumed(&earlier, &wanted(true, false)).unwrap();
    assert_eq!(kept(&plan), ["install@pc1", "init@pc1", "join@pc1"]);
    let left_out = &plan.kept[1];
    assert_eq!((left_out.state, left_out.attempts), (TaskState::Skipped, 0));
    assert!(left_out.reason.as_ref().unwrap().contains("left out"));
}

#[test]
fn a_run_in_which_no_host_failed_has_no_failed_hosts() {
    let earlier = earlier(&[OK, OK, BARRED, BARRED, BARRED, BARRED]);
    let error = resumed(&earlier, &wanted(true, false)).unwrap_err();
    assert!(error.to_string().contains("no host failed"), "{error}");
}

#[test]
fn a_run_that_did_everything_has_nothing_left() {
    let error = resumed(&earlier(&[OK; 6]), &wanted(false, false)).unwrap_err();
    assert_eq!(error.to_string(), "nothing is left to do of run 7");
}

#[test]
fn the_recorded_steps_count_and_the_difference_to_the_recipe_is_told() {
    let earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let mut moved = recipe();
    moved.steps[2]
        .run
        .as_mut()
        .unwrap()
        .argv
        .push("--new".into());
    moved.steps.push(step("verify", &["join"], false));
    let request = wanted(false, false);
    let plan = resume(&earlier, &staging(), Some(&moved), &request).unwrap();
    assert_eq!(plan.steps.len(), 3);
    assert!(
        plan.cautions[0].contains("changed: join; new: verify"),
        "{:?}",
        plan.cautions
    );
    assert!(plan.edited, "there is something to choose");
    let gone = resume(&earlier, &staging(), None, &request).unwrap();
    assert!(!gone.edited);
    assert!(gone.cautions[0].contains("no recipe called \"build\""));
}

#[test]
fn the_current_recipe_repeats_steps_that_changed_but_never_a_once_step_that_is_done() {
    let earlier = earlier(&[OK, OK, CHANGED, CHANGED, FAILED, OK]);
    let mut moved = recipe();
    for step in &mut moved.steps {
        step.run.as_mut().unwrap().argv.push("--new".into());
        // Not even when the recipe forgot that it must not be repeated.
        step.once = false;
    }
    let plan = resume(&earlier, &staging(), Some(&moved), &wanted(false, true)).unwrap();
    assert!(!plan.edited, "it was chosen");
    assert_eq!(kept(&plan), ["init@pc1", "init@pc2"]);
    assert!(
        plan.cautions
            .iter()
            .any(|caution| caution.contains("not repeated, although")),
        "{:?}",
        plan.cautions
    );
}

#[test]
fn a_change_of_the_environment_is_told_and_a_host_that_is_gone_refused() {
    let earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let request = wanted(false, false);
    let mut environment = staging();
    environment.variables.insert("motd".into(), json!("bye"));
    let plan = resume(&earlier, &environment, Some(&recipe()), &request).unwrap();
    assert!(plan.cautions[0].contains("environment staging has changed"));
    environment.nodes.retain(|node| node.name != "pc2");
    let error = resume(&earlier, &environment, Some(&recipe()), &request).unwrap_err();
    assert!(error.to_string().contains("worked on pc2"), "{error}");
}

#[test]
fn a_parameter_can_be_given_again_but_not_invented() {
    let earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let mut request = wanted(false, false);
    request.params.insert("size".into(), json!(2));
    let plan = resumed(&earlier, &request).unwrap();
    assert_eq!(plan.request.params["size"], json!(2));
    request.params.insert("colour".into(), json!("green"));
    assert!(
        resumed(&earlier, &request)
            .unwrap_err()
            .to_string()
            .contains("colour")
    );
}

#[test]
fn what_was_kept_before_keeps_its_own_account() {
    let mut earlier = earlier(&[OK, FAILED, BARRED, BARRED, BARRED, BARRED]);
    let mut first = earlier.tasks[0].clone();
    first.reason = Some("done in run 3".into());
    earlier.tasks[0] = first.clone();
    earlier.plan.kept = vec![first];
    let plan = resumed(&earlier, &wanted(false, false)).unwrap();
    assert_eq!(plan.kept[0].reason.as_deref(), Some("done in run 3"));
}
