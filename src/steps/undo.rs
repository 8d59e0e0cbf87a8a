//! Taking a run back: a plan of its own with what changed, in reverse order of its ending, and what carries it out.
//!
//! Resources are taken back from what the tasks put on record before they changed them ([`crate::domain::undo`]); nothing
//! of that is rendered again, so a recipe or an environment that has moved since does not matter. What commands did is
//! taken back by their step's `undo`, or not at all, and then the plan says so beforehand. A run that took up an earlier
//! one is taken back together with it.

mod reverse;
mod survey;
mod take_back;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::{BTreeMap, BTreeSet};

pub use take_back::take_back;
pub use traces::{Past, Trace, traces};

use super::plan::{PlanError, seal};
use super::resume::Earlier;
use super::template::Templates;
use crate::domain::action::Risk;
use crate::domain::environment::Environment;
use crate::domain::plan::{Plan, PlanRequest, PlannedStep};
use crate::domain::run::{TaskKey, TaskState};
use reverse::{handlers_after, in_reverse};
use survey::Survey;

/// Plans to take back the newest of `past`, together with the runs it took up, which follow it.
///
/// Of `request` the origin, the nodes, the parameters (which replace recorded ones of the same name) and whether it is a
/// dry run count.
///
/// # Errors
/// [`PlanError`] when nothing is left to take back, or something must be said first.
pub fn plan_undo(
    past: &[Past],
    environment: &Environment,
    request: PlanRequest,
) -> Result<Plan, PlanError> {
    let Some(newest) = past.first().map(|past| &past.earlier) else {
        return Err(PlanError::NothingToDo(
            "there is no run to take back".into(),
        ));
    };
    let request = PlanRequest {
        nodes: super::plan::chosen_nodes(environment, &request.nodes)?,
        ..request
    };
    let params = super::resume::params(newest, &request.params)?;
    let mut survey = Survey {
        environment,
        templates: Templates::new(environment, &params),
        only: &request.nodes,
        cautions: Vec::new(),
    };
    let traces = traces(past);
    let mut seen = BTreeSet::new();
    let recorded: Vec<&PlannedStep> = past
        .iter()
        .flat_map(|past| &past.earlier.plan.steps)
        .filter(|planned| seen.insert(planned.step.id.as_str()))
        .collect();
    let mut found = Vec::with_capacity(recorded.len());
    for planned in &recorded {
        found.push(survey.step(planned, &traces)?);
    }
    let steps = in_reverse(&recorded, found)?;
    let (handlers, owed) = handlers_after(&steps, newest, &survey)?;
    let steps: Vec<PlannedStep> = steps.into_iter().chain(handlers).collect();
    let cautions = survey.cautions();
    if steps.is_empty() {
        return Err(PlanError::NothingToDo(nothing(newest, &traces, &cautions)));
    }
    let risk = if request.dry_run {
        Risk::Read
    } else {
        newest.plan.risk
    };
    let title = format!("Undo run {}: {}", newest.run.number, newest.plan.title);
    let request = PlanRequest {
        environment: newest.plan.request.environment.clone(),
        recipe: newest.plan.request.recipe.clone(),
        params,
        once: BTreeMap::new(),
        ..request
    };
    let plan = Plan {
        owed,
        cautions,
        ..Plan::new(request, title, risk, steps)
    };
    Ok(seal(plan, environment))
}

fn nothing(
    newest: &Earlier,
    traces: &BTreeMap<TaskKey, Vec<Trace>>,
    cautions: &[String],
) -> String {
    let number = newest.run.number;
    let undone = newest
        .tasks
        .iter()
        .any(|task| task.state == TaskState::Undone);
    if !cautions.is_empty() {
        format!(
            "nothing of run {number} can be taken back: {}",
            cautions.join("; ")
        )
    } else if undone {
        format!("run {number} was undone already: nothing is left to take back")
    } else if traces.is_empty() {
        format!("run {number} changed nothing, so there is nothing to take back")
    } else {
        format!("run {number} put nothing on record, so there is nothing to take back")
    }
}
