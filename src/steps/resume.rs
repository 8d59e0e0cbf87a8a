//! Taking up an earlier run where it stopped: a plan of its own that keeps what is done and begins at the first task that
//! is not.
//!
//! The steps are those that were recorded with the earlier run unless the operator asks for the recipe as it is now. What
//! ended well is kept and counts as ended. A step marked `once` is never repeated by itself: when it was begun and its end
//! is not known to be good, the operator must say whether to repeat it or to take it as done.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::plan::{PlanError, plan, preview_of, seal};
use super::template::Templates;
use crate::domain::action::Risk;
use crate::domain::environment::Environment;
use crate::domain::handler::{Owed, handler_of};
use crate::domain::plan::{OnceAnswer, Origin, Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::{Recipe, Step};
use crate::domain::run::{Run, Task, TaskKey, TaskState};

/// The run that is taken up, as the store has it.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The run.
    pub run: Run,
    /// Its plan.
    pub plan: Plan,
    /// Its tasks as they ended.
    pub tasks: Vec<Task>,
    /// The handlers that it left owing.
    pub owed: Vec<Owed>,
}

/// Plans the rest of `earlier`.
///
/// Of `request` the origin, the parameters (which replace recorded ones of the same name) and the answers about `once`
/// tasks count; the rest comes from the earlier run. `recipe` is the recipe as it is now, when there still is one.
///
/// # Errors
/// [`PlanError`] for what the operator must do instead or say first.
pub fn resume(
    earlier: &Earlier,
    environment: &Environment,
    recipe: Option<&Recipe>,
    request: &PlanRequest,
) -> Result<Plan, PlanError> {
    let number = earlier.run.number;
    let Some(Origin::Resume {
        failed_hosts,
        current_recipe,
        ..
    }) = request.origin
    else {
        return Err(PlanError::Resume(format!(
            "nobody asked to resume run {number}"
        )));
    };
    let params = params(earlier, &request.params)?;
    let fresh = fresh_plan(earlier, environment, recipe, &params);
    let mut cautions = Vec::new();
    let mut edited = false;
    let (steps, risk, title) = if current_recipe {
        let fresh = fresh?;
        (fresh.steps, fresh.risk, fresh.title)
    } else {
        let moved = recipe_moved(earlier, fresh.as_ref());
        // What cannot be planned is nothing to choose.
        edited = moved.is_some() && fresh.is_ok();
        cautions.extend(moved);
        let recorded = &earlier.plan;
        (
            recorded.steps.clone(),
            recorded.risk,
            recorded.title.clone(),
        )
    };
    if environment_moved(earlier, environment) {
        cautions.push(format!(
            "environment {} has changed since run {number}: what is left is carried out with what it says now",
            environment.name
        ));
    }
    cautions.extend(owing(earlier));
    let mut sorted = Sorting::new(earlier, &steps, &request.once);
    if failed_hosts {
        sorted.leave_out_other_hosts(earlier)?;
    }
    sorted.check_answers(&request.once)?;
    // Where all that was left is taken as done, that word is what the new run puts on record.
    if sorted.to_do.is_empty() && sorted.answered.is_empty() {
        return Err(PlanError::NothingToDo(format!(
            "nothing is left to do of run {number}"
        )));
    }
    cautions.extend(sorted.cautions(number));
    let steps = fitted(steps, environment, &params, number)?;
    let plan = Plan {
        kept: sorted.kept,
        undecided: sorted.undecided,
        owed: earlier.owed.clone(),
        edited,
        cautions,
        ..Plan::new(
            PlanRequest {
                environment: earlier.plan.request.environment.clone(),
                recipe: earlier.plan.request.recipe.clone(),
                params,
                nodes: earlier.plan.request.nodes.clone(),
                dry_run: earlier.plan.request.dry_run,
                limits: earlier.plan.request.limits.clone(),
                origin: request.origin,
                once: request.once.clone(),
            },
            title,
            if earlier.plan.request.dry_run {
                Risk::Read
            } else {
                risk
            },
            steps,
        )
    };
    Ok(seal(plan, environment))
}

/// The handlers that are still to come for what was changed before, as a sentence.
fn owing(earlier: &Earlier) -> Option<String> {
    let owed: Vec<String> = earlier
        .owed
        .iter()
        .map(|owed| match &owed.host {
            Some(host) => format!("{} on {host}", owed.handler),
            None => owed.handler.clone(),
        })
        .collect();
    (!owed.is_empty()).then(|| {
        format!(
            "run {} changed something and did not come to what must follow: {}",
            earlier.run.number,
            owed.join(", ")
        )
    })
}

/// The recorded parameters, with those that are given again in their place.
pub(super) fn params(
    earlier: &Earlier,
    given: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, PlanError> {
    let mut params = earlier.plan.request.params.clone();
    for (name, value) in given {
        match params.get_mut(name) {
            Some(recorded) => recorded.clone_from(value),
            None => {
                return Err(PlanError::Resume(format!(
                    "run {} was started without a parameter {name:?}; only parameters it had can be given again",
                    earlier.run.number
                )));
            }
        }
    }
    Ok(params)
}

/// The plan that the recipe as it is now would give.
fn fresh_plan(
    earlier: &Earlier,
    environment: &Environment,
    recipe: Option<&Recipe>,
    params: &BTreeMap<String, Value>,
) -> Result<Plan, PlanError> {
    let name = &earlier.plan.request.recipe;
    let recipe = recipe
        .ok_or_else(|| PlanError::Resume(format!("there is no recipe called {name:?} any more")))?;
    let known: BTreeSet<&str> = recipe
        .params
        .iter()
        .map(|param| param.name.as_str())
        .collect();
    let request = PlanRequest {
        params: params
            .iter()
            .filter(|(name, _)| known.contains(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        origin: None,
        once: BTreeMap::new(),
        ..earlier.plan.request.clone()
    };
    plan(recipe, environment, request)
}

/// What the operator should know when the recipe is not what it was.
fn recipe_moved(earlier: &Earlier, fresh: Result<&Plan, &PlanError>) -> Option<String> {
    let (name, number) = (&earlier.plan.request.recipe, earlier.run.number);
    let fresh = match fresh {
        Ok(fresh) => by_id(&fresh.steps),
        Err(reason) => {
            return Some(format!(
                "the recorded steps of run {number} are carried out; recipe {name} as it is now cannot be planned: {reason}"
            ));
        }
    };
    let recorded = by_id(&earlier.plan.steps);
    let listed = |word: &str, ids: Vec<&str>| {
        (!ids.is_empty()).then(|| format!("{word}: {}", ids.join(", ")))
    };
    let differences: Vec<String> = [
        listed(
            "changed",
            recorded
                .iter()
                .filter(|(id, step)| fresh.get(*id).is_some_and(|now| now != *step))
                .map(|(id, _)| *id)
                .collect(),
        ),
        listed(
            "new",
            fresh
                .keys()
                .filter(|id| !recorded.contains_key(*id))
                .copied()
                .collect(),
        ),
        listed(
            "gone",
            recorded
                .keys()
                .filter(|id| !fresh.contains_key(*id))
                .copied()
                .collect(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!differences.is_empty()).then(|| {
        format!(
            "recipe {name} has changed since run {number} ({}): the recorded steps are carried out, not the new ones",
            differences.join("; ")
        )
    })
}

fn by_id(steps: &[PlannedStep]) -> BTreeMap<&str, &Step> {
    steps
        .iter()
        .map(|planned| (planned.step.id.as_str(), &planned.step))
        .collect()
}

fn environment_moved(earlier: &Earlier, environment: &Environment) -> bool {
    let recorded = &earlier.plan.environment_hash;
    !recorded.is_empty() && *recorded != super::plan::digest(environment)
}

/// The steps with previews of what they do now; hosts that are gone and templates that no longer fit are found here.
fn fitted(
    mut steps: Vec<PlannedStep>,
    environment: &Environment,
    params: &BTreeMap<String, Value>,
    number: i64,
) -> Result<Vec<PlannedStep>, PlanError> {
    let templates = Templates::new(environment, params);
    for planned in &mut steps {
        let hosts = planned.hosts.as_deref();
        if let Some(gone) = hosts
            .unwrap_or_default()
            .iter()
            .find(|host| environment.node(host).is_none())
        {
            return Err(PlanError::Resume(format!(
                "run {number} worked on {gone}, which environment {} no longer has; plan the recipe anew",
                environment.name
            )));
        }
        let work = planned.step.work().map_err(PlanError::Resume)?;
        planned.preview = preview_of(&planned.step, &work, hosts, &templates)?;
    }
    Ok(steps)
}

/// The tasks of the new plan, sorted by what is to become of them.
struct Sorting {
    kept: Vec<Task>,
    undecided: Vec<TaskKey>,
    to_do: Vec<TaskKey>,
    /// Of those to do: begun before, end unknown or bad.
    half: Vec<Task>,
    /// `once` tasks that were asked about and answered.
    answered: BTreeSet<String>,
    /// `once` tasks that are done although the step is not what it was.
    moved: Vec<TaskKey>,
    number: i64,
}

impl Sorting {
    fn new(
        earlier: &Earlier,
        steps: &[PlannedStep],
        answers: &BTreeMap<String, OnceAnswer>,
    ) -> Self {
        let number = earlier.run.number;
        let before: BTreeMap<&TaskKey, &Task> =
            earlier.tasks.iter().map(|task| (&task.key, task)).collect();
        let recorded = by_id(&earlier.plan.steps);
        let mut sorting = Self {
            kept: Vec::new(),
            undecided: Vec::new(),
            to_do: Vec::new(),
            half: Vec::new(),
            answered: BTreeSet::new(),
            moved: Vec::new(),
            number,
        };
        for planned in steps {
            let step = &planned.step;
            let same = recorded
                .get(step.id.as_str())
                .is_some_and(|was| *was == step);
            // Whether it must not be repeated is decided by what it was when it was carried out, or is now.
            let once = step.once || recorded.get(step.id.as_str()).is_some_and(|was| was.once);
            for key in planned.tasks() {
                let Some(task) = before.get(&key).filter(|task| task.attempts > 0) else {
                    sorting.to_do.push(key);
                    continue;
                };
                if handler_of(&step.id).is_some() && task.state.is_success() {
                    if sorting.may_be_owed(&key, steps, &earlier.owed) {
                        sorting.to_do.push(key);
                    } else {
                        sorting.keep(task, earlier);
                    }
                    continue;
                }
                if task.state.is_success() {
                    if once && !same {
                        sorting.moved.push(key.clone());
                    }
                    // An approval was given for another plan.
                    if step.approve.is_none() && (same || once) {
                        sorting.keep(task, earlier);
                    } else {
                        sorting.to_do.push(key);
                    }
                    continue;
                }
                let name = key.to_string();
                match answers.get(&name) {
                    _ if !once => {}
                    None => sorting.undecided.push(key.clone()),
                    Some(OnceAnswer::Repeat) => {
                        sorting.answered.insert(name);
                    }
                    Some(OnceAnswer::Done) => {
                        sorting.answered.insert(name);
                        sorting.kept.push(Task {
                            state: TaskState::Ok,
                            reason: Some(format!(
                                "begun in run {number}, taken as done by the operator's word"
                            )),
                            ..Task::clone(task)
                        });
                        continue;
                    }
                }
                sorting.half.push(Task::clone(task));
                sorting.to_do.push(key);
            }
        }
        sorting.plan_anew(steps);
        sorting
    }

    /// What is to be applied is planned and shown again: the plan of the earlier run is gone with it, and what it was made
    /// from may have moved.
    fn plan_anew(&mut self, steps: &[PlannedStep]) {
        let open: BTreeSet<&str> = self.to_do.iter().map(|key| key.step.as_str()).collect();
        let applies = |planned: &&PlannedStep| open.contains(planned.step.id.as_str());
        let plans: BTreeSet<&str> = steps
            .iter()
            .filter(applies)
            .filter_map(|planned| planned.step.terraform.as_ref()?.of.as_deref())
            .collect();
        let (again, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|task| plans.contains(task.key.step.as_str()));
        self.kept = kept;
        self.to_do
            .extend(again.into_iter().map(|task: Task| task.key));
    }

    /// Whether a handler that was carried out, or not needed, may have to be again: it is owed still, or something is to be
    /// done that may notify it. Handlers stand behind what notifies them, so that is sorted already.
    fn may_be_owed(&self, key: &TaskKey, steps: &[PlannedStep], owed: &[Owed]) -> bool {
        let handler = handler_of(&key.step).unwrap_or_default();
        let of_key = |owed: &Owed| owed.handler == handler && owed.host == key.host;
        let here = |host: &Option<String>| key.host.is_none() || *host == key.host;
        let notifies = |id: &str| {
            let step = steps.iter().find(|planned| planned.step.id == id);
            step.is_some_and(|planned| planned.step.may_notify(handler))
        };
        owed.iter().any(of_key)
            || self
                .to_do
                .iter()
                .any(|to_do| here(&to_do.host) && notifies(&to_do.step))
    }

    /// Takes a task over as it ended; one that was itself taken over keeps its own account.
    fn keep(&mut self, task: &Task, earlier: &Earlier) {
        let taken_over = earlier.plan.kept.iter().any(|kept| kept.key == task.key);
        let done = format!("done in run {}", self.number);
        self.kept.push(Task {
            reason: Some(match &task.reason {
                Some(reason) if taken_over => reason.clone(),
                Some(reason) => format!("{done}: {reason}"),
                None => done,
            }),
            ..task.clone()
        });
    }

    /// Leaves what is to be done on hosts that did not fail to a later run.
    fn leave_out_other_hosts(&mut self, earlier: &Earlier) -> Result<(), PlanError> {
        let failed: BTreeSet<&str> = earlier
            .tasks
            .iter()
            .filter(|task| {
                task.attempts > 0 && matches!(task.state, TaskState::Failed | TaskState::Cancelled)
            })
            .filter_map(|task| task.key.host.as_deref())
            .collect();
        if failed.is_empty() {
            return Err(PlanError::Resume(format!(
                "no host failed or was cut off in run {}; resume it without restricting the hosts",
                self.number
            )));
        }
        let (stay, leave) = std::mem::take(&mut self.to_do)
            .into_iter()
            .partition(|key| key.host.as_deref().is_none_or(|host| failed.contains(host)));
        self.to_do = stay;
        self.kept.extend(leave.into_iter().map(|key: TaskKey| Task {
            state: TaskState::Skipped,
            reason: Some("left out: only the hosts that failed are taken up".into()),
            ..Task::pending(key)
        }));
        Ok(())
    }

    fn check_answers(&self, answers: &BTreeMap<String, OnceAnswer>) -> Result<(), PlanError> {
        match answers.keys().find(|name| !self.answered.contains(*name)) {
            None => Ok(()),
            Some(name) => {
                let open: Vec<String> = self
                    .undecided
                    .iter()
                    .map(ToString::to_string)
                    .chain(self.answered.iter().cloned())
                    .collect();
                let open = if open.is_empty() {
                    "there are none in this run".into()
                } else {
                    format!("there is {}", open.join(", "))
                };
                Err(PlanError::Resume(format!(
                    "{name} is no task that must not be repeated and of which it is not known how far it came; {open}"
                )))
            }
        }
    }

    fn cautions(&self, number: i64) -> Vec<String> {
        let names = |keys: Vec<String>| keys.join(", ");
        let mut cautions = Vec::new();
        let half: Vec<String> = self
            .half
            .iter()
            .filter(|task| !self.undecided.contains(&task.key))
            .map(|task| task.key.to_string())
            .collect();
        if !half.is_empty() {
            cautions.push(format!(
                "begun in run {number} and not ended well, may be half done, carried out again: {}",
                names(half)
            ));
        }
        if !self.undecided.is_empty() {
            cautions.push(format!(
                "must not be repeated, and it is not known how far it came in run {number}: {}",
                names(self.undecided.iter().map(ToString::to_string).collect())
            ));
        }
        if !self.moved.is_empty() {
            cautions.push(format!(
                "done in run {number} and not repeated, although the recipe says something else now: {}",
                names(self.moved.iter().map(ToString::to_string).collect())
            ));
        }
        cautions
    }
}

#[cfg(test)]
mod tests;
