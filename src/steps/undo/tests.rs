use std::sync::Arc;

use jiff::Timestamp;

use super::super::testing::{request, staging};
use super::super::tests::context;
use super::*;
use crate::domain::plan::Origin;
use crate::domain::recipe::{RunCommand, Selector, Step, StepUndo};
use crate::domain::resource::{CommandSpec, FileSpec, PackageManager, Presence, Resource};
use crate::domain::run::{Run, RunId, RunState, Task};
use crate::domain::undo::{Before, FileBefore, Owned, PackageBefore, Remembered, Was};
use crate::resources::testing::TempHost;
use crate::steps::{Context, Outcome};

fn command(argv: &[&str]) -> RunCommand {
    RunCommand {
        detached: false,
        elsewhere: Vec::new(),
        distinct: false,
        argv: argv.iter().map(|&word| word.into()).collect(),
        changes: true,
        expect: None,
        check: None,
        otherwise: None,
    }
}

fn planned(id: &str, needs: &[&str], hosts: &[&str]) -> PlannedStep {
    PlannedStep {
        step: Step {
            id: id.into(),
            title: format!("Do {id}"),
            needs: needs.iter().map(|&need| need.into()).collect(),
            on: Some(Selector::default()),
            ensure: Some(vec![
                Resource::Command(CommandSpec {
                    detached: false,
                    argv: vec!["true".into()],
                    unless: Vec::new(),
                    creates: Some("/x".into()),
                })
                .into(),
            ]),
            ..Step::default()
        },
        hosts: Some(hosts.iter().map(|&host| host.into()).collect()),
        preview: vec![format!("preview of {id}")],
    }
}

fn running(planned: PlannedStep, undo: Option<StepUndo>) -> PlannedStep {
    PlannedStep {
        step: Step {
            ensure: None,
            run: Some(command(&["do-it"])),
            undo,
            ..planned.step
        },
        ..planned
    }
}

fn id(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

/// A run whose tasks ended in this order: step, host, state.
fn past(
    number: u32,
    steps: Vec<PlannedStep>,
    ended: &[(&str, &str, TaskState)],
    records: Vec<Remembered>,
) -> Past {
    let plan = Plan::new(request("deploy"), "Deploy".into(), Risk::Change, steps);
    let tasks: Vec<Task> = plan
        .steps
        .iter()
        .flat_map(PlannedStep::tasks)
        .map(|key| {
            let mut task = Task::pending(key);
            let found = ended.iter().zip(1..).find(|((step, host, _), _)| {
                task.key.step == *step && task.key.host.as_deref() == Some(*host)
            });
            if let Some(((.., state), second)) = found {
                task.state = *state;
                task.attempts = 1;
                task.ended_at = Some(Timestamp::from_second(second).unwrap());
            }
            task
        })
        .collect();
    let run = Run {
        environment: "staging".into(),
        ..Run::sample(number, RunState::Succeeded)
    };
    Past {
        earlier: Earlier {
            run,
            plan,
            tasks,
            owed: Vec::new(),
        },
        records,
    }
}

fn file(ordinal: u32, position: u32, path: &str) -> Remembered {
    Remembered {
        ordinal,
        position,
        before: Before::File(FileBefore {
            path: path.into(),
            was: Was::Absent { made: Vec::new() },
            left: "a".repeat(64),
            left_owned: Owned {
                mode: 0o644,
                user: "root".into(),
                group: "root".into(),
            },
        }),
    }
}

fn take(past: &[Past], nodes: &[&str]) -> Result<Plan, PlanError> {
    let request = PlanRequest {
        origin: Some(Origin::Undo {
            run: id(7),
            force: false,
        }),
        nodes: nodes.iter().map(|&node| node.into()).collect(),
        ..PlanRequest::default()
    };
    plan_undo(past, &staging(), request)
}

/// Each step with what it needs and its hosts.
fn outline(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().map(|planned| {
        format!(
            "{} after [{}] on {}",
            planned.step.id,
            planned.step.needs.join(" "),
            planned.hosts.as_ref().unwrap().join(" ")
        )
    });
    steps.collect()
}

use TaskState::{Cancelled, Changed, Failed, Ok as Same, Undone};

#[test]
fn what_changed_is_taken_back_in_reverse_order_of_its_ending_and_nothing_else() {
    let steps = vec![
        planned("base", &[], &["pc1", "pc2"]),
        planned("side", &[], &["pc1"]),
        planned("wait", &["base"], &["pc1"]),
        planned("top", &["wait"], &["pc1", "pc2"]),
    ];
    // `side` needs nobody and ended after `top` did on pc1.
    let ended = [
        ("base", "pc1", Changed),
        ("base", "pc2", Same),
        ("wait", "pc1", Same),
        ("top", "pc1", Changed),
        ("side", "pc1", Changed),
        ("top", "pc2", Same),
    ];
    let records = vec![file(0, 0, "/base"), file(2, 0, "/side"), file(4, 0, "/top")];
    let plan = take(&[past(7, steps, &ended, records)], &[]).unwrap();
    assert_eq!(
        outline(&plan),
        [
            "side after [] on pc1",
            "top after [side] on pc1",
            "base after [top] on pc1"
        ]
    );
    assert_eq!(plan.title, "Undo run 7: Deploy");
    assert_eq!(plan.risk, Risk::Change);
    assert_eq!(plan.steps[0].preview, ["file /side: removed"]);
    assert_eq!(plan.cautions, [] as [&str; 0]);
}

#[test]
fn a_clock_that_jumped_back_does_not_turn_the_order_of_needs_round() {
    let steps = vec![
        planned("base", &[], &["pc1"]),
        planned("top", &["base"], &["pc1"]),
    ];
    let ended = [("top", "pc1", Changed), ("base", "pc1", Changed)];
    let records = vec![file(0, 0, "/base"), file(1, 0, "/top")];
    let plan = take(&[past(7, steps, &ended, records)], &[]).unwrap();
    assert_eq!(
        outline(&plan),
        ["top after [] on pc1", "base after [top] on pc1"]
    );
}

#[test]
fn what_failed_or_was_stopped_half_way_is_taken_back_as_far_as_it_came() {
    let steps = vec![planned("base", &[], &["pc1", "pc2", "pc3"])];
    let ended = [
        ("base", "pc1", Failed),
        ("base", "pc2", Cancelled),
        ("base", "pc3", Undone),
    ];
    let records = vec![file(0, 0, "/a"), file(1, 0, "/b"), file(2, 0, "/c")];
    let plan = take(&[past(7, steps, &ended, records)], &[]).unwrap();
    assert_eq!(outline(&plan), ["base after [] on pc1 pc2"]);
    assert_eq!(
        plan.steps[0].preview,
        ["pc1: file /a: removed", "pc2: file /b: removed"]
    );
}

#[test]
fn what_cannot_be_undone_is_said_beforehand_with_the_hosts_it_stays_on() {
    let steps = vec![
        running(planned("restart", &[], &["pc1", "pc2"]), None),
        planned("install", &[], &["pc1"]),
        planned("gone", &[], &["pc9"]),
    ];
    let ended = [
        ("restart", "pc1", Changed),
        ("restart", "pc2", Changed),
        ("install", "pc1", Changed),
        ("gone", "pc9", Changed),
    ];
    let record = |position, before| Remembered {
        ordinal: 2,
        position,
        before,
    };
    let package = Before::Package(PackageBefore {
        name: "consul".into(),
        was: None,
        left: None,
        fetched: false,
        manager: PackageManager::Apt,
        was_held: None,
        was_on: None,
        left_state: Presence::Present,
    });
    let made = Before::Command {
        label: "command mkfs /dev/sdb".into(),
    };
    let records = vec![record(0, package), record(1, made), file(3, 0, "/x")];
    let plan = take(&[past(7, steps, &ended, records)], &[]).unwrap();
    assert_eq!(outline(&plan), ["install after [] on pc1"]);
    insta::assert_snapshot!(plan.cautions.join("\n"), @r"
    pc1, pc2: restart cannot be undone: the step has no `undo` (preview of restart)
    pc1: install: command mkfs /dev/sdb: what a command did is not known
    pc1: install: package consul: its configuration files stay (`dpkg --purge consul` on the node removes them)
    pc9: gone: environment staging no longer has this node, so what was done there stays
    ");
}

#[test]
fn a_command_is_taken_back_by_the_undo_of_its_step() {
    let undo = StepUndo::Run(command(&["undo-it", "{{ node.name }}"]));
    let steps = vec![running(planned("join", &[], &["pc1", "pc2"]), Some(undo))];
    let ended = [("join", "pc1", Changed), ("join", "pc2", Same)];
    let plan = take(&[past(7, steps, &ended, Vec::new())], &[]).unwrap();
    assert_eq!(outline(&plan), ["join after [] on pc1"]);
    assert_eq!(plan.steps[0].preview, ["run: undo-it pc1"]);
    assert_eq!(plan.cautions, [] as [&str; 0]);
}

#[test]
fn a_run_that_took_up_another_is_taken_back_together_with_it() {
    let step = || vec![planned("base", &[], &["pc1", "pc2"])];
    let first = past(
        6,
        step(),
        &[("base", "pc1", Changed), ("base", "pc2", Failed)],
        vec![file(0, 0, "/one"), file(1, 0, "/half")],
    );
    let mut second = past(
        7,
        step(),
        &[("base", "pc1", Changed), ("base", "pc2", Changed)],
        vec![file(1, 1, "/rest")],
    );
    second.earlier.plan.kept = vec![second.earlier.tasks[0].clone()];
    let both = [second, first];
    let plan = take(&both, &[]).unwrap();
    assert_eq!(
        plan.steps[0].preview,
        [
            "pc1: file /one: removed",
            "pc2: file /rest: removed",
            "pc2: file /half: removed"
        ]
    );
    // Both runs' tasks are marked, the one that was taken over as well.
    let marked: Vec<(RunId, u32)> = traces(&both)
        .into_values()
        .flatten()
        .map(|trace| (trace.run, trace.ordinal))
        .collect();
    assert_eq!(marked, [(id(7), 0), (id(6), 0), (id(7), 1), (id(6), 1)]);
}

#[test]
fn an_undo_can_be_limited_to_some_nodes() {
    let steps = vec![planned("base", &[], &["pc1", "pc2"])];
    let ended = [("base", "pc1", Changed), ("base", "pc2", Changed)];
    let records = vec![file(0, 0, "/a"), file(1, 0, "/a")];
    let plan = take(&[past(7, steps, &ended, records)], &["pc2"]).unwrap();
    assert_eq!(outline(&plan), ["base after [] on pc2"]);
}

#[test]
fn a_run_that_left_nothing_is_refused_with_the_reason() {
    let step = || vec![planned("base", &[], &["pc1"])];
    let message = |state| {
        let past = past(7, step(), &[("base", "pc1", state)], Vec::new());
        take(&[past], &[]).unwrap_err().to_string()
    };
    assert_eq!(
        message(Same),
        "run 7 changed nothing, so there is nothing to take back"
    );
    assert_eq!(
        message(Undone),
        "run 7 was undone already: nothing is left to take back"
    );
    assert_eq!(
        message(Failed),
        "run 7 put nothing on record, so there is nothing to take back"
    );
}

fn trace(records: Vec<Before>) -> Trace {
    Trace {
        run: id(7),
        ordinal: 0,
        attempts: 1,
        state: Changed,
        own: true,
        ended_at: None,
        records,
    }
}

#[tokio::test]
async fn the_undo_of_a_step_is_carried_out_and_only_named_in_a_dry_run() {
    let host = Arc::new(TempHost::new());
    host.put("/joined", "x");
    let undo = StepUndo::Run(command(&["rm", "/joined"]));
    let step = running(planned("join", &[], &["pc1"]), Some(undo)).step;
    let traces = [trace(Vec::new())];
    let rehearsal = Context {
        dry_run: true,
        ..context(&host)
    };
    for (context, there) in [(rehearsal, true), (context(&host), false)] {
        let outcome = take_back(&step, Some("pc1"), &traces, false, &context).await;
        assert_eq!(outcome.unwrap(), Outcome::Changed);
        assert_eq!(host.path("/joined").exists(), there);
    }
}

#[tokio::test]
async fn what_is_refused_fails_the_task_and_the_rest_is_taken_back_all_the_same() {
    let host = Arc::new(TempHost::new());
    let context = context(&host);
    let declared = |path: &str| {
        Resource::File(FileSpec {
            path: path.into(),
            content: "new".into(),
            mode: "0644".into(),
            owner: "root".into(),
            group: "root".into(),
        })
    };
    let step = Step {
        id: "files".into(),
        on: Some(Selector::default()),
        ensure: Some(vec![declared("/edited").into(), declared("/kept").into()]),
        ..Step::default()
    };
    super::super::execute(&step, Some("pc1"), &context)
        .await
        .unwrap();
    host.put("/edited", "by hand");
    let mut records = host.records().all();
    records.reverse();
    let traces = [trace(records)];
    let error = take_back(&step, Some("pc1"), &traces, false, &context)
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .starts_with("file /edited: its content was changed since"),
        "{error}"
    );
    assert!(host.path("/edited").exists() && !host.path("/kept").exists());
    let outcome = take_back(&step, Some("pc1"), &traces, true, &context).await;
    assert_eq!(outcome.unwrap(), Outcome::Changed);
    assert!(!host.path("/edited").exists());
}
