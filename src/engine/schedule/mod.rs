//! Schedules: runs that nobody is there to start.
//!
//! One task looks at the clock once a second (a machine that slept, or whose clock was set, is noticed that way) and asks
//! [`decide`] what is due. A due time is settled in the store *before* its run begins, so no crash brings it back. A run
//! goes the way of every other one: plan, gate, start.
//!
//! What stands in the way is told and remembered: the schedule's own previous run, another run that changes the
//! environment, a read-only engine. Where the policy is `run-once`, a due time that met a locked environment is tried
//! once more when the lock is free; that is forgotten when the engine ends or the next due time comes.

mod decide;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use self::decide::{Step, decide};
use super::core::Core;
use crate::client::{Event, Refusal};
use crate::domain::action::{Consent, Gate, Risk};
use crate::domain::finding::{Finding, Severity, Subject};
use crate::domain::operator::Operator;
use crate::domain::remedy::Remedy;
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::schedule::{
    Memory, Missed, Outcome, Schedule, ScheduleStatus, shut_to_schedules,
};
use crate::store::{KnownSchedule, Reader, StoreError};

/// From one look at the clock to the next.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 10 } else { 1000 });
/// Failures in a row from which on they are a finding.
const FAILURES: u32 = 2;
/// Due times that are shown.
const SHOWN: usize = 3;

/// Every schedule of the workspace.
pub(super) struct Schedules {
    entries: Mutex<Vec<Entry>>,
    /// Held from the first look to the last note of a start, so that one schedule is not started twice at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Entry {
    schedule: Arc<Schedule>,
    memory: Memory,
    /// The number of the newest run.
    number: Option<i64>,
    /// The first due time after what is settled; before it there is nothing to decide.
    next: Option<Timestamp>,
    /// A due time that waits for the environment's lock.
    waiting: Option<Timestamp>,
}

impl Entry {
    fn is(&self, environment: &str, name: &str) -> bool {
        self.schedule.environment == environment && self.schedule.name == name
    }

    fn is_on(&self) -> bool {
        self.schedule.enabled && self.memory.paused_by.is_none()
    }

    fn status(&self, now: Timestamp) -> ScheduleStatus {
        let schedule = &self.schedule;
        let from = now.max(self.memory.settled);
        ScheduleStatus {
            environment: schedule.environment.clone(),
            name: schedule.name.clone(),
            recipe: schedule.recipe.clone(),
            cron: schedule.timing.text().to_owned(),
            timezone: schedule.timing.zone().to_owned(),
            missed: schedule.missed,
            enabled: schedule.enabled,
            next: if self.is_on() {
                schedule.timing.upcoming(from, SHOWN)
            } else {
                Vec::new()
            },
            last_run_number: self.number,
            memory: self.memory.clone(),
        }
    }
}

impl Schedules {
    /// The schedules of the files with what is remembered of them; one that is new at `now` owes nothing from before.
    pub(super) fn new(
        schedules: Vec<Schedule>,
        remembered: Vec<KnownSchedule>,
        now: Timestamp,
    ) -> Self {
        let mut remembered: std::collections::BTreeMap<_, _> = remembered
            .into_iter()
            .map(|(environment, name, memory)| ((environment, name), memory))
            .collect();
        let entries = schedules.into_iter().map(|schedule| {
            let key = (schedule.environment.clone(), schedule.name.clone());
            let memory = remembered.remove(&key).unwrap_or_else(|| Memory::new(now));
            Entry {
                next: schedule.timing.next_after(memory.settled),
                schedule: Arc::new(schedule),
                memory,
                number: None,
                waiting: None,
            }
        });
        Self {
            entries: Mutex::new(entries.collect()),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Whether any will be due some day: an engine with one must not end by itself.
    pub(super) fn any_is_on(&self) -> bool {
        self.lock().iter().any(Entry::is_on)
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn all(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    fn find(&self, environment: &str, name: &str) -> Result<Entry, Refusal> {
        let entries = self.lock();
        if let Some(entry) = entries.iter().find(|entry| entry.is(environment, name)) {
            return Ok(entry.clone());
        }
        let here = entries
            .iter()
            .filter(|entry| entry.schedule.environment == environment)
            .map(|entry| entry.schedule.name.as_str());
        let known: Vec<&str> = here.collect();
        Err(Refusal::new(if known.is_empty() {
            format!("environment {environment:?} has no schedules")
        } else {
            format!(
                "environment {environment:?} has no schedule called {name:?}; there is {}",
                known.join(", ")
            )
        }))
    }

    /// Changes one entry and returns what it is then.
    fn change(&self, key: &Schedule, change: impl FnOnce(&mut Entry)) -> Option<Entry> {
        let mut entries = self.lock();
        let entry = entries
            .iter_mut()
            .find(|entry| entry.is(&key.environment, &key.name))?;
        change(entry);
        Some(entry.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps all schedules until the engine stops.
pub(super) async fn keep(core: Arc<Core>, history: Reader) {
    if core.schedules.is_empty() {
        return;
    }
    let mut events = core.bus.subscribe();
    core.catch_up(&history).await;
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = core.stopped.cancelled() => return,
            event = events.next() => match event {
                Some(Event::Run(run)) => core.run_moved(&run).await,
                Some(Event::Missed(_)) => core.catch_up(&history).await,
                Some(_) => {}
                None => return,
            },
            _ = ticks.tick() => core.look_at_the_clock().await,
        }
    }
}

impl Core {
    /// What clients see.
    pub(super) fn schedule_list(&self) -> Vec<ScheduleStatus> {
        let now = self.clock.now();
        let entries = self.schedules.all();
        entries.iter().map(|entry| entry.status(now)).collect()
    }

    /// Lets a schedule rest, or go on from now.
    pub(super) async fn pause_schedule(
        &self,
        environment: &str,
        name: &str,
        paused: bool,
        by: &Operator,
    ) -> Result<(), Refusal> {
        let _turn = self.schedules.turn.lock().await;
        let entry = self.schedules.find(environment, name)?;
        let mut memory = entry.memory;
        if paused == memory.paused_by.is_some() {
            return Ok(());
        }
        memory.paused_by = paused.then(|| by.to_string());
        if !paused {
            memory.settled = memory.settled.max(self.clock.now());
        }
        self.remember(&entry.schedule, memory)
            .await
            .map_err(|error| Refusal::new(error.to_string()))
    }

    /// Runs a schedule now, in the name of the operator who asks for it.
    pub(super) async fn run_schedule(
        &self,
        environment: &str,
        name: &str,
        by: &Operator,
    ) -> Result<Run, Refusal> {
        let _turn = self.schedules.turn.lock().await;
        let entry = self.schedules.find(environment, name)?;
        if let Some(run) = self.own_run(&entry) {
            return Err(Refusal::new(format!(
                "{run} of this schedule is still going; wait for it or cancel it"
            )));
        }
        let run = self.set_off(&entry.schedule, by).await?;
        let memory = Memory {
            outcome: Some(Outcome::Started),
            reason: Some(format!("out of turn, by {by}")),
            last_run: Some(run.id),
            run_state: Some(run.state),
            ..entry.memory
        };
        self.schedules
            .change(&entry.schedule, |entry| entry.number = Some(run.number));
        if let Err(error) = self.remember(&entry.schedule, memory).await {
            tracing::error!(%error, schedule = name, "what a schedule did could not be stored");
        }
        Ok(run)
    }

    async fn look_at_the_clock(&self) {
        let _turn = self.schedules.turn.lock().await;
        for entry in self.schedules.all() {
            let now = self.clock.now();
            // Far from its time, and the clock where it was: nothing to decide.
            let early = entry.next.is_none_or(|next| now < next);
            let step = if early && now >= entry.memory.settled {
                Step::Wait
            } else {
                decide(&entry.schedule, &entry.memory, now)
            };
            let done = match step {
                Step::Wait => self.try_again(&entry).await,
                Step::Run(due) => self.due(&entry, due).await,
                Step::Skip(due, reason) => self.skip(&entry, due, reason).await,
                Step::Pass(due) => {
                    let memory = Memory {
                        settled: due,
                        ..entry.memory
                    };
                    self.remember(&entry.schedule, memory).await
                }
                Step::Anew(reason) => {
                    tracing::warn!(schedule = entry.schedule.name, "{reason}");
                    let memory = Memory {
                        settled: now,
                        reason: Some(reason),
                        ..entry.memory
                    };
                    self.remember(&entry.schedule, memory).await
                }
            };
            if let Err(error) = done {
                // Not settled, so not run: it is looked at again at the next tick.
                tracing::error!(%error, schedule = entry.schedule.name, "a due time could not be stored");
            }
        }
    }

    /// A due time that waits for the environment's lock gets its second chance when the lock is free.
    async fn try_again(&self, entry: &Entry) -> Result<(), StoreError> {
        match entry.waiting {
            Some(due) if entry.is_on() && !self.desk.is_changing(&entry.schedule.environment) => {
                self.schedules
                    .change(&entry.schedule, |entry| entry.waiting = None);
                self.due(entry, due).await
            }
            _ => Ok(()),
        }
    }

    async fn due(&self, entry: &Entry, due: Timestamp) -> Result<(), StoreError> {
        let schedule = &entry.schedule;
        if let Some(run) = self.own_run(entry) {
            let reason = format!("{run} of this schedule was still going");
            return self.skip(entry, due, reason).await;
        }
        let first_try = entry.waiting.is_none();
        if self.changes(schedule) && self.desk.is_changing(&schedule.environment) {
            return self.locked_out(entry, due, first_try).await;
        }
        let settled = Memory {
            settled: entry.memory.settled.max(due),
            last_due: Some(due),
            outcome: Some(Outcome::Starting),
            reason: None,
            ..entry.memory.clone()
        };
        self.remember(schedule, settled.clone()).await?;
        let operator = nobody(schedule);
        let memory = match self.set_off(schedule, &operator).await {
            Ok(run) => {
                self.schedules
                    .change(schedule, |entry| entry.number = Some(run.number));
                Memory {
                    outcome: Some(Outcome::Started),
                    last_run: Some(run.id),
                    run_state: Some(run.state),
                    ..settled
                }
            }
            // Somebody was quicker by a moment.
            Err(_) if self.changes(schedule) && self.desk.is_changing(&schedule.environment) => {
                return self.locked_out(entry, due, first_try).await;
            }
            Err(refusal) => {
                let gate = self.gate_of(schedule);
                let read_only = gate == Some(Gate::ReadOnly);
                Memory {
                    outcome: Some(if read_only {
                        Outcome::Skipped
                    } else {
                        Outcome::Refused
                    }),
                    reason: Some(refusal.message),
                    failures: settled.failures + u32::from(!read_only),
                    ..settled
                }
            }
        };
        self.remember(schedule, memory).await
    }

    async fn locked_out(
        &self,
        entry: &Entry,
        due: Timestamp,
        first_try: bool,
    ) -> Result<(), StoreError> {
        let schedule = &entry.schedule;
        let again = first_try && schedule.missed == Missed::RunOnce;
        let reason = format!(
            "{} was being changed by another run{}",
            schedule.environment,
            if again {
                "; tried again once that has ended"
            } else {
                ""
            },
        );
        self.skip(entry, due, reason).await?;
        if again {
            self.schedules
                .change(schedule, |entry| entry.waiting = Some(due));
        }
        Ok(())
    }

    async fn skip(&self, entry: &Entry, due: Timestamp, reason: String) -> Result<(), StoreError> {
        let memory = Memory {
            settled: entry.memory.settled.max(due),
            last_due: Some(due),
            outcome: Some(Outcome::Skipped),
            reason: Some(reason),
            ..entry.memory.clone()
        };
        self.schedules
            .change(&entry.schedule, |entry| entry.waiting = None);
        self.remember(&entry.schedule, memory).await
    }

    /// Plan, gate, start: the way of every run.
    async fn set_off(&self, schedule: &Schedule, by: &Operator) -> Result<Run, Refusal> {
        let plan = Arc::new(self.plan(schedule.request()).await?);
        if let Some(environment) = self.environment(&schedule.environment)
            && let Some(gate) =
                shut_to_schedules(plan.risk, environment.protection, self.is_read_only())
        {
            return Err(Refusal::new(match gate {
                Gate::ReadOnly => "this engine is read-only, and the recipe is not".to_owned(),
                _ => format!(
                    "{} asks for more than the yes that a schedule is",
                    environment.name
                ),
            }));
        }
        self.start(plan, &Consent::Yes, by, self.is_read_only())
            .await
    }

    /// The newest run of the schedule, if it is still under way: as people call it.
    fn own_run(&self, entry: &Entry) -> Option<String> {
        let id = entry
            .memory
            .last_run
            .filter(|id| self.desk.is_active(*id))?;
        Some(
            entry
                .number
                .map_or_else(|| format!("run {id}"), |number| format!("run {number}")),
        )
    }

    fn risk(&self, schedule: &Schedule) -> Option<Risk> {
        let recipe = self.recipe(&schedule.recipe)?;
        Some(recipe.risk)
    }

    fn changes(&self, schedule: &Schedule) -> bool {
        self.risk(schedule).is_some_and(|risk| risk != Risk::Read)
    }

    fn gate_of(&self, schedule: &Schedule) -> Option<Gate> {
        let environment = self.environment(&schedule.environment)?;
        shut_to_schedules(
            self.risk(schedule)?,
            environment.protection,
            self.is_read_only(),
        )
    }

    /// Stores what is remembered, then shows it: to clients, and as a finding when it keeps failing.
    async fn remember(&self, schedule: &Schedule, memory: Memory) -> Result<(), StoreError> {
        self.store
            .keep_schedule(&schedule.environment, &schedule.name, &memory)
            .await?;
        let entry = self.schedules.change(schedule, |entry| {
            entry.next = schedule.timing.next_after(memory.settled);
            entry.memory = memory;
        });
        if let Some(entry) = entry {
            self.show(&entry);
        }
        Ok(())
    }

    fn show(&self, entry: &Entry) {
        let now = self.clock.now();
        self.bus
            .publish(Event::Schedule(Box::new(entry.status(now))));
        let Some(environment) = self.environment(&entry.schedule.environment) else {
            return;
        };
        let (name, memory) = (&entry.schedule.name, &entry.memory);
        let key = format!("schedule:{name}");
        let finding = (memory.failures >= FAILURES).then(|| Finding {
            key: key.clone(),
            severity: Severity::Warning,
            subject: Subject::Environment,
            text: format!("schedule {name} failed {} times in a row", memory.failures),
            evidence: match (&memory.reason, entry.number, memory.run_state) {
                (Some(reason), ..) if memory.outcome == Some(Outcome::Refused) => reason.clone(),
                (_, Some(number), Some(state)) => format!("run {number} {state}"),
                _ => format!("recipe {}", entry.schedule.recipe),
            },
            since: now,
            remedy: Some(Remedy::recipe(&entry.schedule.recipe)),
            because: None,
        });
        self.live.own(&environment, &key, finding);
    }

    /// A run moved on; if it is the newest of a schedule, that is remembered.
    async fn run_moved(&self, run: &Run) {
        let _turn = self.schedules.turn.lock().await;
        let entries = self.schedules.all();
        let entry = entries.iter().find(|entry| {
            entry.memory.last_run == Some(run.id) && entry.memory.run_state != Some(run.state)
        });
        if let Some(entry) = entry {
            self.settle_run(entry, run).await;
        }
    }

    async fn settle_run(&self, entry: &Entry, run: &Run) {
        let failures = entry.memory.failures;
        let memory = Memory {
            run_state: Some(run.state),
            failures: match run.state {
                RunState::Succeeded => 0,
                RunState::Failed | RunState::Interrupted => failures + 1,
                _ => failures,
            },
            ..entry.memory.clone()
        };
        self.schedules
            .change(&entry.schedule, |entry| entry.number = Some(run.number));
        if let Err(error) = self.remember(&entry.schedule, memory).await {
            tracing::error!(%error, schedule = entry.schedule.name, "how a run ended could not be stored");
        }
    }

    /// Reads what became of the newest runs, after a start of the engine or after missed events.
    async fn catch_up(&self, history: &Reader) {
        let _turn = self.schedules.turn.lock().await;
        for entry in self.schedules.all() {
            if let Some(id) = entry.memory.last_run {
                match look_up(history.clone(), id).await {
                    Ok(Some(run)) if entry.memory.run_state != Some(run.state) => {
                        self.settle_run(&entry, &run).await;
                        continue;
                    }
                    Ok(Some(run)) => {
                        self.schedules
                            .change(&entry.schedule, |entry| entry.number = Some(run.number));
                    }
                    Ok(None) => {}
                    Err(error) => tracing::error!(%error, "a scheduled run could not be read"),
                }
            }
            // Also stores one that is new: what is due from now on is owed from now on.
            if let Err(error) = self.remember(&entry.schedule, entry.memory).await {
                tracing::error!(%error, schedule = entry.schedule.name, "a schedule could not be stored");
            }
        }
    }
}

async fn look_up(history: Reader, id: RunId) -> Result<Option<Run>, StoreError> {
    tokio::task::spawn_blocking(move || history.run(id))
        .await
        .unwrap_or(Ok(None))
}

/// The operator of a run that nobody started.
fn nobody(schedule: &Schedule) -> Operator {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let uid = rustix::process::getuid().as_raw();
    Operator::new(format!("schedule {}", schedule.name), host, uid)
}
