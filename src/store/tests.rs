//! The store as its users see it: written by one handle, read by another connection.

mod lines;
mod opening;

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use tempfile::TempDir;

use super::*;
use crate::domain::action::Risk;
use crate::domain::plan::{Origin, Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{LogLine, RunChange, RunId, RunState, Task, TaskState};
use crate::domain::undo::{Before, Remembered};

fn plan() -> Plan {
    let step = |id: &str, hosts: Option<&[&str]>| PlannedStep {
        step: Step {
            id: id.into(),
            title: id.into(),
            ..Step::default()
        },
        hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
        preview: Vec::new(),
    };
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(
            PlanRequest {
                environment: "lab".into(),
                recipe: "deploy".into(),
                ..PlanRequest::default()
            },
            "Deploy".into(),
            Risk::Change,
            vec![step("install", Some(&["pc1", "pc2"])), step("report", None)],
        )
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(super) fn id(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

pub(super) async fn begin(handle: &Handle, run: RunId) {
    let new = NewRun {
        id: run,
        plan: plan(),
        started_by: "ada@bastion".into(),
        at: at(0),
    };
    handle.create(new).await.unwrap();
    let running = Change::Run {
        state: RunState::Running,
        reason: None,
    };
    handle.commit(run, at(1), vec![running]).await.unwrap();
}

fn task(ordinal: u32, state: TaskState) -> Change {
    Change::Task {
        ordinal,
        state,
        attempt: 1,
        reason: None,
    }
}

pub(super) fn line(
    run: RunId,
    task: Option<u32>,
    stream: Stream,
    text: impl Into<String>,
) -> NewLine {
    NewLine {
        run,
        task,
        stream,
        at: at(2),
        text: text.into(),
    }
}

pub(super) fn open(dir: &TempDir) -> (Writer, Reader) {
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let reader = Reader::open(writer.handle().path()).unwrap();
    (writer, reader)
}

pub(super) fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn a_run_that_takes_up_another_is_found_by_it_and_begins_with_what_it_keeps() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let mut taken_up = plan();
    let origin = Origin::Undo {
        run: id(1),
        force: false,
    };
    taken_up.request.origin = Some(origin);
    let kept = Task {
        state: TaskState::Changed,
        attempts: 2,
        started_at: Some(at(1)),
        ended_at: Some(at(2)),
        reason: Some("done in run 1".into()),
        ..plan().tasks()[1].clone()
    };
    taken_up.kept = vec![kept.clone()];
    let new = NewRun {
        id: id(2),
        plan: taken_up,
        started_by: "ada@bastion".into(),
        at: at(3),
    };
    let run = handle.create(new).await.unwrap();
    assert_eq!(run.origin, Some(origin));
    assert_eq!((run.tally.changed, run.tally.pending), (1, 2));
    assert_eq!(reader.tasks(id(2)).unwrap()[1], kept);
    assert_eq!(reader.descendants(id(1)).unwrap(), [run]);
    assert_eq!(reader.descendants(id(2)).unwrap(), []);
    writer.close().await;
}

#[tokio::test]
async fn a_run_is_read_back_as_it_was_committed() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    handle
        .commit(id(1), at(2), vec![task(0, TaskState::Running)])
        .await
        .unwrap();
    let committed = handle
        .commit(
            id(1),
            at(3),
            vec![task(0, TaskState::Changed), task(1, TaskState::Running)],
        )
        .await
        .unwrap();
    assert_eq!(reader.run(id(1)).unwrap().as_ref(), Some(&committed.run));
    assert_eq!(reader.run_by_number(1).unwrap(), Some(committed.run));
    assert_eq!(reader.tasks(id(1)).unwrap()[..2], committed.tasks[..]);
    assert_eq!(reader.plan(id(1)).unwrap(), Some(plan()));
    let events = reader.events(id(1), 0).unwrap();
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(events[3..], committed.events[..]);
    assert_eq!(reader.run(id(9)).unwrap(), None);
}

#[tokio::test]
async fn a_transition_that_the_state_machine_forbids_is_refused_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let before = reader.run(id(1)).unwrap();
    let changes = vec![task(0, TaskState::Running), task(1, TaskState::Changed)];
    let refusal = handle.commit(id(1), at(2), changes).await.unwrap_err();
    assert!(
        refusal.reason.contains("install@pc2"),
        "names the task: {refusal}"
    );
    assert_eq!(reader.run(id(1)).unwrap(), before);
    assert_eq!(reader.events(id(1), 0).unwrap().len(), 2);
}

#[tokio::test]
async fn runs_are_numbered_from_one_and_listed_newest_first() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    for number in 1..=5 {
        begin(&writer.handle(), id(number)).await;
    }
    let numbers: Vec<i64> = reader
        .runs(3)
        .unwrap()
        .iter()
        .map(|run| run.number)
        .collect();
    assert_eq!(numbers, [5, 4, 3]);
}

#[tokio::test]
async fn an_unfinished_run_is_interrupted_with_an_exact_account() {
    let dir = TempDir::new().unwrap();
    let (writer, _) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let changes = vec![task(0, TaskState::Running), task(1, TaskState::Running)];
    handle.commit(id(1), at(2), changes).await.unwrap();
    handle
        .commit(id(1), at(3), vec![task(0, TaskState::Ok)])
        .await
        .unwrap();
    writer.close().await;

    let writer = Writer::open(dir.path(), at(60)).unwrap();
    assert_eq!(writer.unfinished, [id(1)]);
    let reader = Reader::open(writer.handle().path()).unwrap();
    let run = reader.run(id(1)).unwrap().unwrap();
    assert_eq!(run.state, RunState::Interrupted);
    assert_eq!(run.ended_at, Some(at(60)));
    assert_eq!(
        run.reason.as_deref(),
        Some(
            "the engine ended during this run: 1 of 3 tasks done, in progress: install@pc2, 1 not started"
        )
    );
    let states: Vec<TaskState> = reader
        .tasks(id(1))
        .unwrap()
        .iter()
        .map(|task| task.state)
        .collect();
    assert_eq!(
        states,
        [TaskState::Ok, TaskState::Failed, TaskState::Cancelled]
    );
    let last = reader.events(id(1), 0).unwrap().pop().unwrap();
    assert!(matches!(
        last.change,
        RunChange::Run {
            state: RunState::Interrupted,
            ..
        }
    ));
    writer.close().await;
    let again = Writer::open(dir.path(), at(90)).unwrap();
    assert_eq!(again.unfinished, []);
}

#[tokio::test]
async fn a_run_whose_last_task_had_ended_ends_as_its_tasks_did() {
    for (last, state, account) in [
        (
            TaskState::Changed,
            RunState::Succeeded,
            "all 3 tasks had ended when the engine did",
        ),
        (
            TaskState::Failed,
            RunState::Failed,
            "report failed: no reason given; all 3 tasks had ended when the engine did",
        ),
    ] {
        let dir = TempDir::new().unwrap();
        let (writer, _) = open(&dir);
        let handle = writer.handle();
        begin(&handle, id(1)).await;
        for (ordinal, state) in [(0, TaskState::Ok), (1, TaskState::Ok), (2, last)] {
            let changes = vec![task(ordinal, TaskState::Running)];
            handle.commit(id(1), at(2), changes).await.unwrap();
            let changes = vec![task(ordinal, state)];
            handle.commit(id(1), at(3), changes).await.unwrap();
        }
        writer.close().await;

        let writer = Writer::open(dir.path(), at(60)).unwrap();
        assert_eq!(writer.unfinished, [id(1)]);
        let reader = Reader::open(writer.handle().path()).unwrap();
        let run = reader.run(id(1)).unwrap().unwrap();
        assert_eq!((run.state, run.ended_at), (state, Some(at(60))));
        assert_eq!(run.reason.as_deref(), Some(account));
        writer.close().await;
    }
}

#[tokio::test]
async fn the_first_record_of_a_resource_stays_and_is_read_back_in_the_order_of_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let store = writer.handle();
    begin(&store, id(1)).await;
    let record = |ordinal, position, label: &str| Remembered {
        ordinal,
        position,
        before: Before::Command {
            label: label.into(),
        },
    };
    let first = [record(0, 1, "b"), record(0, 0, "a"), record(1, 0, "c")];
    for record in first.iter().cloned().chain([record(0, 0, "again")]) {
        store.remember(id(1), record).await.unwrap();
    }
    assert!(store.remember(id(99), record(0, 0, "x")).await.is_err());
    let reader = Reader::open(store.path()).unwrap();
    let read = reader.remembered(id(1)).unwrap();
    assert_eq!(read, [first[1].clone(), first[0].clone(), first[2].clone()]);
    writer.close().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_the_order_and_makes_nothing_end_before_it_began() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let steps = [
        (100, vec![task(0, TaskState::Running)]),
        (20, vec![task(0, TaskState::Ok)]),
    ];
    for (second, changes) in steps {
        handle.commit(id(1), at(second), changes).await.unwrap();
    }
    let ended = Change::Run {
        state: RunState::Failed,
        reason: None,
    };
    handle.commit(id(1), at(-50), vec![ended]).await.unwrap();
    let run = reader.run(id(1)).unwrap().unwrap();
    assert!(run.ended_at >= run.started_at, "{run:?}");
    let first = &reader.tasks(id(1)).unwrap()[0];
    assert_eq!(
        (first.started_at, first.ended_at),
        (Some(at(100)), Some(at(100)))
    );
    let events = reader.events(id(1), 0).unwrap();
    let order: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}
