//! What the tasks of past runs left behind: how they ended, and what they put on record before they changed it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::recipe::{Step, Work};
use crate::domain::run::{RunId, TaskKey, TaskState};
use crate::domain::undo::{Before, Remembered};
use crate::steps::resume::Earlier;

/// A run that is to be taken back.
#[derive(Debug, Clone)]
pub struct Past {
    /// The run, its plan and its tasks.
    pub earlier: Earlier,
    /// What its tasks put on record.
    pub records: Vec<Remembered>,
}

/// What one task of one run left behind.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The run.
    pub run: RunId,
    /// The task by its position in the run's plan, from 0.
    pub ordinal: u32,
    /// How many times it was begun.
    pub attempts: u32,
    /// How it ended.
    pub state: TaskState,
    /// Whether this run carried it out itself, and did not take it over from an earlier one.
    pub own: bool,
    pub(super) ended_at: Option<Timestamp>,
    /// What it put on record, the last change first.
    pub(super) records: Vec<Before>,
}

/// What each task left behind that was not taken back yet, the newest run's first.
pub fn traces(past: &[Past]) -> BTreeMap<TaskKey, Vec<Trace>> {
    let mut traces: BTreeMap<TaskKey, Vec<Trace>> = BTreeMap::new();
    for Past { earlier, records } in past {
        let mut recorded: BTreeMap<u32, Vec<Before>> = BTreeMap::new();
        for record in records.iter().rev() {
            let of_task = recorded.entry(record.ordinal).or_default();
            of_task.push(record.before.clone());
        }
        let kept: BTreeSet<&TaskKey> = earlier.plan.kept.iter().map(|task| &task.key).collect();
        for (task, ordinal) in earlier.tasks.iter().zip(0..) {
            if task.attempts == 0 || !task.state.may_become(TaskState::Undone) {
                continue;
            }
            traces.entry(task.key.clone()).or_default().push(Trace {
                run: earlier.run.id,
                ordinal,
                attempts: task.attempts,
                state: task.state,
                own: !kept.contains(&task.key),
                ended_at: task.ended_at,
                records: recorded.remove(&ordinal).unwrap_or_default(),
            });
        }
    }
    traces
}

/// Whether what the step's command did is taken back by the step's own `undo`.
pub(super) fn uses_undo(step: &Step, traces: &[Trace]) -> bool {
    step.undo.is_some() && runs_commands(step, traces)
}

/// Whether a command was run that changes something nobody can see.
pub(super) fn runs_commands(step: &Step, traces: &[Trace]) -> bool {
    let recorded = traces
        .iter()
        .flat_map(|trace| &trace.records)
        .any(|before| matches!(before, Before::Command { .. }));
    let changes = match step.work() {
        Ok(Work::Run(command) | Work::Local(command)) => command.changes,
        Ok(work @ (Work::Terraform(_) | Work::Ansible(_))) => !work.is_read_only(),
        _ => false,
    };
    let ran = changes && traces.iter().any(|trace| trace.own);
    recorded || ran
}
