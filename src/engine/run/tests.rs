//! The scheduler with its clock held still, a journal in memory and scripted work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

mod ending;
mod resume;
mod rolling;
mod shape;
mod tasks;
mod told;

use super::*;
use crate::clock::ManualClock;
use crate::domain::action::Risk;
use crate::domain::plan::{PlanRequest, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{RunId, Tally};
use crate::steps::{Outcome, StepError};
use crate::store::{Committed, NewLine};

/// Keeps everything in memory and checks every transition.
#[derive(Default)]
struct Memory {
    inner: Mutex<Option<(Run, Vec<Task>)>>,
    lines: Mutex<Vec<NewLine>>,
    /// The commits with these numbers fail.
    breaks_at: Option<std::ops::Range<usize>>,
    commits: AtomicUsize,
}

#[async_trait]
impl Journal for Memory {
    async fn commit(
        &self,
        _run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Committed, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        if self
            .breaks_at
            .as_ref()
            .is_some_and(|breaks| breaks.contains(&number))
        {
            return Err(StoreError::new("history".as_ref(), "the disk is full"));
        }
        let mut inner = self.inner.lock().unwrap();
        let (run, tasks) = inner.as_mut().unwrap();
        let mut moved = Vec::new();
        for change in changes {
            match change {
                Change::Run { state, reason } => {
                    assert!(run.state.may_become(state), "{} → {state}", run.state);
                    run.state = state;
                    run.reason = reason;
                    run.started_at.get_or_insert(at);
                }
                Change::Task {
                    ordinal,
                    state,
                    attempt,
                    reason,
                } => {
                    let task = &mut tasks[ordinal as usize];
                    let again = task.state == TaskState::Running
                        && state == TaskState::Running
                        && attempt == task.attempts + 1;
                    assert!(
                        again || task.state.may_become(state),
                        "{}: {} → {state}",
                        task.key,
                        task.state
                    );
                    run.tally.shift(task.state, state);
                    task.state = state;
                    task.attempts = attempt;
                    task.reason = reason;
                    moved.push(task.clone());
                }
            }
        }
        Ok(Committed {
            run: run.clone(),
            tasks: moved,
            events: Vec::new(),
        })
    }

    async fn line(&self, line: NewLine) -> Result<(), StoreError> {
        self.lines.lock().unwrap().push(line);
        Ok(())
    }
}

/// What a task does, by attempt; the last entry is for all further ones.
#[derive(Debug, Clone)]
enum Act {
    Ok,
    Changed,
    Skip,
    Fail,
    /// Fails in a way that another attempt may help.
    Stumble,
    Panic,
    /// Works this long, in milliseconds.
    Take(u64),
    /// Never ends, but stops when told.
    Hang,
    /// Never ends and does not stop.
    Deaf,
}

/// Work by script, which notes what overlapped.
#[derive(Default)]
struct Stage {
    script: BTreeMap<(String, Option<String>), Vec<Act>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    attempts: BTreeMap<(String, Option<String>), usize>,
    /// In order: task, and whether it began or ended.
    moves: Vec<((String, Option<String>), bool)>,
}

impl Stage {
    fn with(mut self, step: &str, host: Option<&str>, acts: &[Act]) -> Self {
        self.script
            .insert((step.into(), host.map(Into::into)), acts.to_vec());
        self
    }

    fn attempts(&self, step: &str, host: Option<&str>) -> usize {
        let key = (step.to_owned(), host.map(Into::into));
        self.seen
            .lock()
            .unwrap()
            .attempts
            .get(&key)
            .copied()
            .unwrap_or(0)
    }
}

#[async_trait]
impl Executor for Stage {
    async fn execute(
        &self,
        step: &Step,
        host: Option<&str>,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
    ) -> Result<Outcome, StepError> {
        let key = (step.id.clone(), host.map(ToOwned::to_owned));
        let act = {
            let mut seen = self.seen.lock().unwrap();
            let attempt = seen.attempts.entry(key.clone()).or_default();
            *attempt += 1;
            let number = *attempt;
            seen.moves.push((key.clone(), true));
            let acts = self.script.get(&key).map_or(&[][..], Vec::as_slice);
            acts.get(number - 1)
                .or(acts.last())
                .cloned()
                .unwrap_or(Act::Ok)
        };
        log.line(Stream::Stdout, format!("working on {}", key.0))
            .await;
        tokio::task::yield_now().await;
        let fail = |passing| {
            Err(StepError {
                message: "it did not work".into(),
                passing,
            })
        };
        let result = match act {
            Act::Ok => Ok(Outcome::Ok),
            Act::Changed => Ok(Outcome::Changed),
            Act::Skip => Ok(Outcome::Skipped("not needed".into())),
            Act::Fail => fail(false),
            Act::Stumble => fail(true),
            Act::Take(millis) => {
                sleep(Duration::from_millis(millis)).await;
                Ok(Outcome::Ok)
            }
            Act::Hang => {
                cancel.cancelled().await;
                fail(false)
            }
            Act::Deaf => std::future::pending().await,
            Act::Panic => {
                self.seen.lock().unwrap().moves.push((key, false));
                panic!("the plan was upside down")
            }
        };
        self.seen.lock().unwrap().moves.push((key, false));
        result
    }

    async fn outlast(
        &self,
        step: &Step,
        host: Option<&str>,
        log: &dyn Log,
        _: &CancellationToken,
    ) -> Result<(), StepError> {
        let attempts = self.attempts(&step.id, host);
        log.line(Stream::Note, format!("{attempts} before this one"))
            .await;
        Ok(())
    }
}

fn step(id: &str, needs: &[&str], hosts: Option<&[&str]>) -> PlannedStep {
    PlannedStep {
        step: Step {
            id: id.into(),
            title: id.into(),
            needs: needs.iter().map(ToString::to_string).collect(),
            ..Step::default()
        },
        hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
        preview: Vec::new(),
    }
}

fn plan(steps: Vec<PlannedStep>) -> Plan {
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
            steps,
        )
    }
}

struct Scene {
    stop: Stop,
    tasks: Tasks,
    journal: Arc<Memory>,
    stage: Arc<Stage>,
    redactor: Redactor,
    bus: Bus,
    drive: Option<Drive>,
}

impl Scene {
    fn new(plan: Plan, stage: Stage) -> Self {
        Self::with_journal(plan, stage, Memory::default())
    }

    fn with_journal(plan: Plan, stage: Stage, journal: Memory) -> Self {
        let tasks = Tasks::of(&plan);
        let mut tally = Tally::default();
        for task in tasks.snapshot() {
            tally.add(task.state);
        }
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let run = Run {
            plan_hash: plan.hash.clone(),
            created_at: start,
            tally,
            ..Run::sample(1, RunState::Queued)
        };
        *journal.inner.lock().unwrap() = Some((run.clone(), tasks.snapshot()));
        let (journal, stage) = (Arc::new(journal), Arc::new(stage));
        let (stop, redactor) = (Stop::default(), Redactor::default());
        let bus = Bus::new();
        let drive = Drive {
            run,
            plan: Arc::new(plan),
            tasks: tasks.clone(),
            executor: stage.clone(),
            journal: journal.clone(),
            bus: bus.clone(),
            clock: Arc::new(ManualClock::new(start)),
            redactor: redactor.clone(),
            concurrency: 4,
            stop: stop.clone(),
            questions: Questions::default(),
            consent: None,
            seat: None,
        };
        Self {
            stop,
            tasks,
            journal,
            stage,
            redactor,
            bus,
            drive: Some(drive),
        }
    }

    async fn play(&mut self) -> Run {
        self.drive.take().unwrap().carry_out().await
    }

    fn state(&self, step: &str, host: Option<&str>) -> (TaskState, Option<String>) {
        self.tasks
            .snapshot()
            .into_iter()
            .find(|task| task.key.step == step && task.key.host.as_deref() == host)
            .map(|task| (task.state, task.reason))
            .unwrap()
    }
}
