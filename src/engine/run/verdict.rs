//! How a run ended and why, in one sentence; and how one is ended that cannot go on.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::handles::Stop;
use crate::domain::plan::Plan;
use crate::domain::run::{Run, RunState, Task, TaskState, first_failure};
use crate::store::Change;

/// The end of a run whose tasks have all ended, at `now`.
pub(super) fn verdict(
    run: &Run,
    plan: &Plan,
    tasks: &[Task],
    stop: &Stop,
    now: Timestamp,
) -> (RunState, String) {
    if stop.is_stopped() && run.tally.cancelled > 0 {
        return stopped(run, tasks, stop);
    }
    if let Some(failure) = first_failure(tasks) {
        return (RunState::Failed, failed(failure, plan, tasks));
    }
    let tally = run.tally;
    let took = run.started_at.map_or(SignedDuration::ZERO, |started| {
        now.duration_since(started).max(SignedDuration::ZERO)
    });
    let account = format!(
        "{} {} in {} s: {} {}, {} as they should be, {} skipped",
        tally.total(),
        if tally.total() == 1 { "task" } else { "tasks" },
        took.as_secs(),
        tally.changed,
        run.changed_word(),
        tally.ok,
        tally.skipped
    );
    (RunState::Succeeded, account)
}

/// What was done, what was in progress and what had not begun when it was stopped.
fn stopped(run: &Run, tasks: &[Task], stop: &Stop) -> (RunState, String) {
    let tally = run.tally;
    let (half, waiting): (Vec<&Task>, Vec<&Task>) = tasks
        .iter()
        .filter(|task| task.state == TaskState::Cancelled)
        .partition(|task| task.attempts > 0);
    let half: Vec<String> = half.iter().map(|task| task.key.to_string()).collect();
    let half = if half.is_empty() {
        "nothing was in progress".into()
    } else {
        format!("stopped while in progress: {}", half.join(", "))
    };
    let (state, word) = if stop.is_engine() {
        (RunState::Interrupted, "the engine was ended")
    } else {
        (RunState::Cancelled, stop.cause())
    };
    let account = format!(
        "{word}: {} of {} tasks done, {half}, {} not started",
        tally.total() - tally.cancelled,
        tally.total(),
        waiting.len()
    );
    (state, account)
}

/// The failure, and what was left undone because of it.
fn failed(failure: String, plan: &Plan, tasks: &[Task]) -> String {
    let mut account = failure;
    let barred = tasks
        .iter()
        .filter(|task| task.state == TaskState::Skipped && task.attempts == 0)
        .filter(|task| plan.kept.iter().all(|kept| kept.key != task.key))
        .count();
    if barred > 0 {
        account = format!("{account}; {barred} not started because of it");
    }
    let untouched = untouched(tasks);
    if !untouched.is_empty() {
        account = format!("{account}; hosts not begun: {untouched}");
    }
    account
}

/// Ends a run in whose middle Quarterdeck itself failed, so that it does not stay "running".
pub(in crate::engine) fn given_up(tasks: &[Task], reason: String) -> Vec<Change> {
    let unfinished = tasks
        .iter()
        .zip(0u32..)
        .filter(|(task, _)| !task.state.is_final());
    let mut changes: Vec<Change> = unfinished
        .map(|(task, ordinal)| {
            let (state, reason) = if task.state == TaskState::Running {
                let unknown =
                    "the run was given up while this was in progress; how far it came is not known";
                (TaskState::Failed, unknown)
            } else {
                (TaskState::Cancelled, "the run was given up before its turn")
            };
            Change::Task {
                ordinal,
                state,
                attempt: task.attempts,
                reason: Some(reason.into()),
            }
        })
        .collect();
    changes.push(Change::Run {
        state: RunState::Failed,
        reason: Some(reason),
    });
    changes
}

/// The hosts on which nothing was begun in a run that failed elsewhere, as far as they fit into a sentence.
fn untouched(tasks: &[Task]) -> String {
    /// More names than that are not read.
    const NAMED: usize = 8;
    let mut begun = BTreeSet::new();
    let mut barred = Vec::new();
    for task in tasks {
        let Some(host) = task.key.host.as_deref() else {
            continue;
        };
        if task.attempts > 0 && task.state != TaskState::Skipped {
            begun.insert(host);
        } else if task.state == TaskState::Skipped && !barred.contains(&host) {
            barred.push(host);
        }
    }
    barred.retain(|host| !begun.contains(host));
    let more = barred.len().saturating_sub(NAMED);
    let names = barred[..barred.len() - more].join(", ");
    if more == 0 {
        names
    } else {
        format!("{names} and {more} more")
    }
}
