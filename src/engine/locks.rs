//! Breaking the lock of an environment: its run is stopped, and what was left half done is told.

use std::collections::BTreeMap;
use std::time::Duration;

use super::core::Core;
use crate::client::{Event, Refusal, Response};
use crate::domain::action::{Consent, Gate, Risk};
use crate::domain::live::{EnvironmentLive, Lock};
use crate::domain::operator::Operator;
use crate::domain::run::{Run, TaskKey, TaskState};

/// How long a run may take to stop: longer than a task that does not listen is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

impl Core {
    /// The live view with the locks in it, which the desk has.
    pub(super) fn with_locks(
        &self,
        mut live: BTreeMap<String, EnvironmentLive>,
    ) -> BTreeMap<String, EnvironmentLive> {
        for (name, environment) in &mut live {
            environment.lock = self.desk.lock_of(name);
        }
        live
    }

    /// Takes the lock of `environment` from the run that holds it.
    ///
    /// # Errors
    /// [`Refusal`] when the gate stays shut, nothing is locked, or (unless forced) tasks are in progress.
    pub(super) async fn break_lock(
        &self,
        environment: &str,
        consent: &Consent,
        force: bool,
        by: &Operator,
    ) -> Result<Response, Refusal> {
        let room = self.room(environment)?;
        let protection = room.environment.protection;
        // A second operator may be just what is missing.
        Gate::of(Risk::Destroy, protection, false)
            .alone()
            .check(consent, environment)
            .map_err(Refusal::new)?;
        let lock = self.desk.lock_of(environment).ok_or_else(|| {
            Refusal::new(format!(
                "{environment} is not locked: no run is changing it"
            ))
        })?;
        let run = lock.run;
        let tasks = self.recall(move |history| history.tasks(run)).await?;
        let half_done: Vec<TaskKey> = tasks
            .into_iter()
            .filter(|task| task.state == TaskState::Running)
            .map(|task| task.key)
            .collect();
        if !half_done.is_empty() && !force {
            let names: Vec<String> = half_done.iter().map(ToString::to_string).collect();
            return Err(Refusal::new(format!(
                "run {} is at work ({}) and would be stopped in the middle; wait, or break the lock by force",
                lock.number,
                names.join(", ")
            )));
        }
        self.audit.lock_broken(by, environment, &lock).await?;
        let run = self.stop_and_wait(&lock, by).await?;
        Ok(Response::Unlocked {
            run: Box::new(run),
            half_done,
        })
    }

    /// Stops the run that holds `lock`; the run as it ended.
    async fn stop_and_wait(&self, lock: &Lock, by: &Operator) -> Result<Run, Refusal> {
        let mut events = self.bus.subscribe();
        self.desk.stop(lock.run, format!("lock broken by {by}"));
        let id = lock.run;
        let ended = tokio::time::timeout(PATIENCE, async {
            loop {
                match events.next().await {
                    Some(Event::Run(run)) if run.id == id && run.state.is_final() => break,
                    Some(Event::Missed(_)) | None => break,
                    Some(_) => {}
                }
            }
        });
        let in_time = ended.await.is_ok();
        let run = self.recall(move |history| history.run(id)).await?;
        match run {
            Some(run) if run.state.is_final() => Ok(run),
            // Its last task is deaf, or the store is. The lock stays: two runs at a time are worse than none.
            _ => Err(Refusal::new(format!(
                "run {} was told to stop but has not ended{}; the lock stays until it has",
                lock.number,
                if in_time {
                    String::new()
                } else {
                    format!(" within {} s", PATIENCE.as_secs())
                }
            ))),
        }
    }
}
