//! The tasks of a run as a matrix: a row per step, a column per host.

use crate::domain::plan::Plan;
use crate::domain::run::{Task, TaskState};

/// A step and how it stands over all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepRow {
    pub id: String,
    pub title: String,
    pub state: TaskState,
    /// The most attempts any host needed.
    pub attempts: u32,
}

/// The steps in the order of the plan; in the order of the tasks while the plan is not known.
pub(crate) fn rows(plan: Option<&Plan>, tasks: &[Task]) -> Vec<StepRow> {
    let mut ids: Vec<(&str, &str)> = plan
        .map(|plan| {
            plan.steps
                .iter()
                .map(|planned| (planned.step.id.as_str(), planned.step.title.as_str()))
                .collect()
        })
        .unwrap_or_default();
    for task in tasks {
        if !ids.iter().any(|(id, _)| *id == task.key.step) {
            ids.push((&task.key.step, &task.key.step));
        }
    }
    ids.into_iter()
        .map(|(id, title)| {
            let of_step: Vec<&Task> = tasks.iter().filter(|task| task.key.step == id).collect();
            let states: Vec<TaskState> = of_step.iter().map(|task| task.state).collect();
            // The tasks of a run are known from its beginning: a step without any has no node to wait for.
            let state = if states.is_empty() && !tasks.is_empty() {
                TaskState::Skipped
            } else {
                combined(&states)
            };
            StepRow {
                id: id.to_owned(),
                title: title.to_owned(),
                state,
                attempts: of_step.iter().map(|task| task.attempts).max().unwrap_or(0),
            }
        })
        .collect()
}

/// The hosts in the order of the plan, then of the tasks.
pub(crate) fn hosts(plan: Option<&Plan>, tasks: &[Task]) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    let planned = plan
        .into_iter()
        .flat_map(|plan| plan.steps.iter())
        .flat_map(|planned| planned.hosts.iter().flatten());
    let working = tasks.iter().filter_map(|task| task.key.host.as_ref());
    for host in planned.chain(working) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// What several tasks come to: the worst of those that ended, unless something still goes on.
fn combined(states: &[TaskState]) -> TaskState {
    use TaskState::{Cancelled, Changed, Failed, Ok, Pending, Running, Skipped, Undone};
    let any = |state: TaskState| states.contains(&state);
    if any(Failed) {
        Failed
    } else if any(Running) || (any(Pending) && states.iter().any(|state| state.is_final())) {
        Running
    } else {
        [Pending, Cancelled, Undone, Changed, Ok, Skipped]
            .into_iter()
            .find(|state| any(*state))
            .unwrap_or(Pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_no_node_has_is_skipped_and_waits_for_nothing() {
        let plan = crate::tui::sample::plan();
        let mut tasks = crate::tui::sample::tasks(crate::domain::run::RunState::Succeeded);
        let last = plan.steps.last().unwrap().step.id.clone();
        tasks.retain(|task| task.key.step != last);
        let shown = rows(Some(&plan), &tasks);
        assert_eq!(shown.last().unwrap().state, TaskState::Skipped);
        assert_eq!(rows(Some(&plan), &[])[0].state, TaskState::Pending);
    }

    #[test]
    fn a_step_is_as_bad_as_its_worst_host() {
        use TaskState::{Changed, Failed, Ok, Pending, Running, Skipped};
        assert_eq!(combined(&[Ok, Failed, Running]), Failed);
        assert_eq!(combined(&[Ok, Pending]), Running);
        assert_eq!(combined(&[Ok, Changed, Skipped]), Changed);
        assert_eq!(combined(&[Skipped, Skipped]), Skipped);
        assert_eq!(combined(&[]), Pending);
    }
}
