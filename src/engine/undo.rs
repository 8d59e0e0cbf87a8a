//! Undo, as far as the engine is concerned: what tasks are about to change is put on record, and runs are taken back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::bus::Bus;
use super::core::Core;
use super::resume::has_mark;
use super::run::Executor;
use super::world::Steps;
use crate::client::{Event, Refusal};
use crate::clock::SharedClock;
use crate::domain::handler;
use crate::domain::plan::{Origin, Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{Run, RunId, TaskKey, TaskState};
use crate::domain::undo::{Before, Remembered};
use crate::resources::Log;
use crate::resources::undo::{NoRecords, Records};
use crate::steps::{self, Earlier, Outcome, Past, PlanError, StepError, Trace};
use crate::store::{Change, Handle, Redactor, StoreError};
use crate::transport::ask::attended_with;
use crate::transport::job;

/// The records of one run; clones are the same records.
#[derive(Clone)]
pub(super) struct RunRecords(Arc<Inner>);

struct Inner {
    run: RunId,
    ordinals: HashMap<TaskKey, u32>,
    store: Handle,
    redactor: Redactor,
    /// What is on record already, by task and position.
    done: Mutex<BTreeSet<(u32, u32)>>,
}

impl RunRecords {
    /// The records of `run`, which carries `plan` out and has none yet.
    pub(super) fn new(run: RunId, plan: &Plan, store: Handle, redactor: Redactor) -> Self {
        let tasks = plan.steps.iter().flat_map(PlannedStep::tasks);
        Self(Arc::new(Inner {
            run,
            ordinals: tasks.zip(0..).collect(),
            store,
            redactor,
            done: Mutex::default(),
        }))
    }

    /// Those of the task that is `step` on `host`.
    pub(super) fn of_task(&self, step: &Step, host: Option<&str>) -> Arc<dyn Records> {
        let key = TaskKey {
            step: step.id.clone(),
            host: host.map(Into::into),
        };
        match self.0.ordinals.get(&key) {
            Some(ordinal) => Arc::new(TaskRecords {
                run: Arc::clone(&self.0),
                ordinal: *ordinal,
            }),
            None => Arc::new(NoRecords),
        }
    }
}

struct TaskRecords {
    run: Arc<Inner>,
    ordinal: u32,
}

impl TaskRecords {
    fn done(&self) -> std::sync::MutexGuard<'_, BTreeSet<(u32, u32)>> {
        self.run.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Records for TaskRecords {
    async fn name(&self, position: u32) -> Option<String> {
        let recorded = self.done().contains(&(self.ordinal, position));
        (!recorded).then(|| format!("{}/{}-{position}", self.run.run, self.ordinal))
    }

    async fn record(&self, position: u32, before: &Before) -> Result<(), String> {
        let record = Remembered {
            ordinal: self.ordinal,
            position,
            before: self.clean(before)?,
        };
        self.run
            .store
            .remember(self.run.run, record)
            .await
            .map_err(|error| error.to_string())?;
        self.done().insert((self.ordinal, position));
        Ok(())
    }
}

impl TaskRecords {
    /// A secret may stand in a command's words or in a link's target; the store never has it.
    fn clean(&self, before: &Before) -> Result<Before, String> {
        let broken = |error: serde_json::Error| format!("the record cannot be stored: {error}");
        let text = serde_json::to_string(before).map_err(broken)?;
        serde_json::from_str(&self.run.redactor.clean(&text)).map_err(broken)
    }
}

impl Core {
    /// Plans to take a run back.
    ///
    /// # Errors
    /// [`Refusal`] when that run is not known, cannot be taken back, or a secret must be given first.
    pub(super) async fn plan_undo(
        &self,
        run: RunId,
        request: PlanRequest,
    ) -> Result<Plan, Refusal> {
        let past = self.past(run).await?;
        let others = self.recall(move |history| history.descendants(run)).await?;
        let Some(newest) = past.first() else {
            return Err(Refusal::new(format!("there is no run {run}")));
        };
        may_undo(&newest.earlier, &others)?;
        let look = self.left_behind(&newest.earlier).await;
        look.refuse("undo", &self.redactor)?;
        let environment =
            Arc::new(self.marked(&self.room(&newest.earlier.run.environment)?.environment));
        let planned = tokio::task::spawn_blocking(move || {
            let mut plan = steps::plan_undo(&past, &environment, request)?;
            if look.unknown.is_empty() {
                return Ok(plan);
            }
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

    /// What the store has of a run and of those that it took up, the newest first.
    pub(super) async fn past(&self, run: RunId) -> Result<Vec<Past>, Refusal> {
        let mut past: Vec<Past> = Vec::new();
        let mut next = Some(run);
        while let Some(run) = next {
            let earlier = self.earlier(run).await?;
            let records = self.recall(move |history| history.remembered(run)).await?;
            next = match earlier.run.origin {
                Some(Origin::Resume { run, .. }) => Some(run),
                Some(Origin::Undo { .. }) | None => None,
            };
            past.push(Past { earlier, records });
        }
        Ok(past)
    }
}

/// Whether `earlier`, which `others` took up since, may be taken back now.
fn may_undo(earlier: &Earlier, others: &[Run]) -> Result<(), Refusal> {
    let run = &earlier.run;
    let number = run.number;
    let refuse = |why: String| Err(Refusal::new(why));
    if !run.state.is_final() {
        return refuse(format!(
            "run {number} is {}: it has not ended yet; cancel it first",
            run.state
        ));
    }
    if run.dry_run {
        return refuse(format!(
            "run {number} was a dry run: it changed nothing, so there is nothing to take back"
        ));
    }
    if let Some(Origin::Undo { .. }) = run.origin {
        return refuse(format!(
            "run {number} took another run back itself; run {} anew to have its changes again",
            run.recipe
        ));
    }
    let by = |other: &&Run| matches!(other.origin, Some(Origin::Resume { .. }));
    if let Some(other) = others.iter().find(by) {
        return refuse(format!(
            "run {number} was taken up by run {}: undo that one, which takes back both",
            other.number
        ));
    }
    Ok(())
}

/// A secret is not in the store: where the `undo` of a step needs one, it must be given again.
fn refuse_redacted(plan: &Plan) -> Result<(), Refusal> {
    let undos = || {
        plan.steps
            .iter()
            .filter(|planned| planned.step.undo.is_some())
    };
    let marked = undos()
        .find(|planned| serde_json::to_value(&planned.step.undo).is_ok_and(|undo| has_mark(&undo)));
    if let Some(planned) = marked {
        return Err(Refusal::new(format!(
            "the `undo` of step {} was recorded without the secret in it: take that step back by hand, and leave its nodes \
             out (--on)",
            planned.step.id
        )));
    }
    let missing: Vec<&str> = plan
        .request
        .params
        .iter()
        .filter(|(_, value)| has_mark(value))
        .map(|(name, _)| name.as_str())
        .collect();
    if missing.is_empty() || undos().next().is_none() {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "a secret was given for {}, and secrets are not kept: give it again (--param NAME=VALUE)",
        missing.join(", ")
    )))
}

/// Carries out a plan that takes a run back, and marks there what is taken back.
pub(super) struct TakeBack {
    steps: Steps,
    traces: BTreeMap<TaskKey, Vec<Trace>>,
    force: bool,
    /// Of the run that takes back.
    number: i64,
    store: Handle,
    bus: Bus,
    clock: SharedClock,
}

#[async_trait]
impl Executor for TakeBack {
    async fn execute(
        &self,
        step: &Step,
        host: Option<&str>,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
    ) -> Result<Outcome, StepError> {
        let key = TaskKey {
            step: step.id.clone(),
            host: host.map(Into::into),
        };
        let traces = self.traces.get(&key).map_or(&[][..], Vec::as_slice);
        if handler::is_undone(&step.id) {
            return self.steps.execute(step, host, log, cancel).await;
        }
        // What is taken back is not put on record in turn: to have it again, the recipe is run again.
        let task = TaskKey {
            step: step.id.clone(),
            host: host.map(Into::into),
        };
        let context = self
            .steps
            .context(task.clone(), log, cancel, Arc::new(NoRecords));
        let work = attended_with(
            Arc::clone(&self.steps.wallet),
            steps::take_back(step, host, traces, self.force, &context),
        );
        let run = self.steps.run.to_string();
        let outcome = job::within(&run, &run, &task.to_string(), Box::pin(work)).await?;
        if !context.dry_run {
            for trace in traces {
                self.mark(trace).await.map_err(|error| StepError {
                    message: format!("taken back, but that could not be stored: {error}"),
                    passing: false,
                })?;
            }
        }
        Ok(outcome)
    }

    async fn outlast(
        &self,
        step: &Step,
        host: Option<&str>,
        log: &dyn Log,
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        self.steps.outlast(step, host, log, cancel).await
    }
}

impl TakeBack {
    /// What carries `plan` out, which takes `past` back in the run called `number`.
    pub(super) fn new(core: &Core, past: &[Past], number: i64, plan: &Plan, steps: Steps) -> Self {
        Self {
            steps,
            traces: steps::traces(past),
            force: matches!(plan.request.origin, Some(Origin::Undo { force: true, .. })),
            number,
            store: core.store.clone(),
            bus: core.bus.clone(),
            clock: Arc::clone(&core.clock),
        }
    }

    /// Marks the task in the run that carried it out.
    async fn mark(&self, trace: &Trace) -> Result<(), StoreError> {
        let undone = Change::Task {
            ordinal: trace.ordinal,
            state: TaskState::Undone,
            attempt: trace.attempts,
            reason: Some(format!("undone by run {}", self.number)),
        };
        let committed = self
            .store
            .commit(trace.run, self.clock.now(), vec![undone])
            .await?;
        for task in committed.tasks {
            self.bus.publish(Event::Task {
                run: trace.run,
                task: Box::new(task),
            });
        }
        self.bus.publish(Event::Run(Box::new(committed.run)));
        Ok(())
    }
}
