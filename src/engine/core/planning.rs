//! Plans: made by the kind of request, and sealed by what they were made from.

use std::sync::Arc;

use super::Core;
use crate::client::Refusal;
use crate::domain::plan::{Origin, Plan, PlanRequest};
use crate::domain::run::RunId;
use crate::engine::directory::Directory;
use crate::steps;

impl Core {
    pub(in crate::engine) async fn plan(&self, request: PlanRequest) -> Result<Plan, Refusal> {
        self.plan_as(request, None).await
    }

    /// As [`Core::plan`], for a plan that has become the run `itself` already.
    pub(in crate::engine) async fn plan_as(
        &self,
        request: PlanRequest,
        itself: Option<RunId>,
    ) -> Result<Plan, Refusal> {
        let plan = match request.origin {
            Some(Origin::Resume { run, .. }) => self.plan_resume(run, request, itself).await,
            Some(Origin::Undo { run, .. }) => self.plan_undo(run, request).await,
            None => self.plan_recipe(request).await,
        }?;
        let plan = self.bound_to_snapshots(plan).await?;
        self.told_of_edits(plan).await
    }

    /// The plan, with a word of caution when the workspace's files are others than the engine was started from: what is
    /// planned is still what was read then. The word is part of the plan's hash, so what was agreed to before an edit, and
    /// not begun, is void after it.
    async fn told_of_edits(&self, mut plan: Plan) -> Result<Plan, Refusal> {
        let look = Arc::clone(&self.birth.fingerprint_now);
        let now = tokio::task::spawn_blocking(move || look())
            .await
            .map_err(|error| Refusal::new(format!("looking at the workspace stopped: {error}")))?;
        if now == self.birth.fingerprint {
            return Ok(plan);
        }
        let environment = Arc::clone(&self.room(&plan.request.environment)?.environment);
        plan.cautions.push(format!(
            "the workspace was edited since the engine read it ({:.0}): this is planned from what it was; `:restart engine` or \
             `quarterdeck engine restart` reads it again (now {:.12})",
            self.birth.at, now
        ));
        Ok(steps::seal(plan, &environment))
    }

    async fn plan_recipe(&self, request: PlanRequest) -> Result<Plan, Refusal> {
        let environment = Arc::new(self.marked(&self.room(&request.environment)?.environment));
        let recipe = self.recipe(&request.recipe).cloned().ok_or_else(|| {
            let known = self
                .workspace
                .recipes
                .iter()
                .map(|recipe| recipe.name.as_str());
            let hint = steps::template::did_you_mean(&request.recipe, known);
            Refusal::new(format!(
                "there is no recipe called {:?}{hint}",
                request.recipe
            ))
        })?;
        // Renders every template for every host: not for a thread that others wait for.
        let place = Arc::clone(&environment);
        let plan = tokio::task::spawn_blocking(move || steps::plan(&recipe, &place, request))
            .await
            .map_err(|error| Refusal::new(format!("planning stopped: {error}")))?
            .map_err(|error| Refusal::new(error.to_string()))?;
        let plan = self.respect_cordons(plan, &environment)?;
        let plan = self.bound_to_cache(plan, &environment).await?;
        self.guard_quorum(plan, &environment).await
    }

    /// The services of an environment.
    pub(in crate::engine) fn directory_of(
        &self,
        environment: &str,
    ) -> Result<Arc<Directory>, Refusal> {
        Ok(Arc::clone(&self.room(environment)?.directory))
    }

    /// The plan as it may be kept and seen: a secret that somebody gave as a parameter is not in it. The run itself works
    /// with what was given.
    pub(super) fn shown(&self, plan: &Plan) -> Result<Plan, Refusal> {
        let broken =
            |error: serde_json::Error| Refusal::new(format!("the plan cannot be stored: {error}"));
        let text = serde_json::to_string(plan).map_err(broken)?;
        serde_json::from_str(&self.redactor.clean(&text)).map_err(broken)
    }
}
