//! Taking up an earlier run: what the store knows of it, whether it may be taken up, and the plan for the rest.

use std::sync::Arc;

use serde_json::Value;

use super::core::Core;
use super::left_behind::Detached;
use crate::client::Refusal;
use crate::domain::plan::{Origin, Plan, PlanRequest};
use crate::domain::run::{Run, RunId, RunState, TaskState};
use crate::steps::{self, Earlier, PlanError};
use crate::store::REDACTED;

impl Core {
    /// Plans the rest of the run that `request` names; `itself` is the run that this plan became, when it is looked at
    /// again.
    ///
    /// # Errors
    /// [`Refusal`] when that run is not known, is not of the kind that can be taken up, or needs something said first.
    pub(super) async fn plan_resume(
        &self,
        run: RunId,
        request: PlanRequest,
        itself: Option<RunId>,
    ) -> Result<Plan, Refusal> {
        let earlier = self.earlier(run).await?;
        let others = self.recall(move |history| history.descendants(run)).await?;
        may_resume(
            &earlier,
            others.iter().filter(|other| Some(other.id) != itself),
        )?;
        let look = self.left_behind(&earlier).await;
        look.refuse("resume", &self.redactor)?;
        let environment = Arc::new(self.marked(&self.room(&earlier.run.environment)?.environment));
        let recipe = self.recipe(&earlier.run.recipe).cloned();
        let planned = tokio::task::spawn_blocking(move || {
            let mut plan = steps::resume(&earlier, &environment, recipe.as_ref(), &request)?;
            if look.unknown.is_empty() && look.detached.is_empty() {
                return Ok(plan);
            }
            plan.cautions
                .extend(look.detached.iter().map(Detached::caution));
            plan.cautions.extend(look.doubts());
            Ok::<_, PlanError>(steps::seal(plan, &environment))
        });
        let plan = planned
            .await
            .map_err(|error| Refusal::new(format!("planning stopped: {error}")))?
            .map_err(|error| Refusal::new(error.to_string()))?;
        refuse_redacted(&plan)?;
        Ok(plan)
    }

    /// What the store has of a run.
    pub(super) async fn earlier(&self, run: RunId) -> Result<Earlier, Refusal> {
        self.recall(move |history| {
            let (Some(found), Some(plan)) = (history.run(run)?, history.plan(run)?) else {
                return Ok(None);
            };
            Ok(Some(Earlier {
                tasks: history.tasks(run)?,
                owed: history.owed(run, &plan)?,
                run: found,
                plan,
            }))
        })
        .await?
        .ok_or_else(|| Refusal::new(format!("there is no run {run}")))
    }
}

/// Whether `earlier`, which `others` took up since, may be taken up now.
fn may_resume<'a>(earlier: &Earlier, others: impl Iterator<Item = &'a Run>) -> Result<(), Refusal> {
    let run = &earlier.run;
    let number = run.number;
    let refuse = |why: String| Err(Refusal::new(why));
    if !run.state.is_final() {
        return refuse(format!(
            "run {number} is {}: it has not ended yet",
            run.state
        ));
    }
    if run.dry_run {
        return refuse(format!(
            "run {number} was a dry run: it changed nothing, so nothing is half done; run {} again",
            run.recipe
        ));
    }
    if let Some(Origin::Undo { .. }) = run.origin {
        return refuse(format!(
            "run {number} takes back what another run did; ask for that again, what is taken back already stays so"
        ));
    }
    for other in others {
        match other.origin {
            Some(Origin::Resume { .. }) => {
                return refuse(format!(
                    "run {number} was taken up by run {} already, which is {}; resume that one",
                    other.number, other.state
                ));
            }
            Some(Origin::Undo { .. }) if !other.dry_run && other.started_at.is_some() => {
                return refuse(format!(
                    "run {number} was undone by run {}; run {} anew",
                    other.number, run.recipe
                ));
            }
            _ => {}
        }
    }
    let left_out = earlier
        .tasks
        .iter()
        .any(|task| task.state == TaskState::Skipped && task.attempts == 0);
    if run.state == RunState::Succeeded && !left_out {
        return refuse(format!("run {number} succeeded: nothing is left to do"));
    }
    Ok(())
}

/// A secret that was given as a parameter is not in the store: it must be given again, or the steps would work with the
/// mark that stands in its place.
fn refuse_redacted(plan: &Plan) -> Result<(), Refusal> {
    let missing: Vec<&str> = plan
        .request
        .params
        .iter()
        .filter(|(_, value)| has_mark(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::new(format!(
            "a secret was given for {}, and secrets are not kept: give it again (--param NAME=VALUE)",
            missing.join(", ")
        )));
    }
    let marked = plan
        .steps
        .iter()
        .find(|planned| serde_json::to_value(&planned.step).is_ok_and(|step| has_mark(&step)));
    match marked {
        None => Ok(()),
        Some(planned) => Err(Refusal::new(format!(
            "step {} was recorded without the secret in it: resume with the recipe as it is now (--current-recipe)",
            planned.step.id
        ))),
    }
}

/// Whether a secret was taken out of it.
pub(super) fn has_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(REDACTED),
        Value::Array(items) => items.iter().any(has_mark),
        Value::Object(fields) => fields.values().any(has_mark),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}
