//! Undo, as far as the engine is concerned: what tasks are about to change is put on record, and runs are taken back.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::plan::{Plan, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{RunId, TaskKey};
use crate::domain::undo::{Before, Remembered};
use crate::resources::undo::{NoRecords, Records};
use crate::store::{Handle, Redactor};

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
