//! What steps get that let other programs work: secrets that are read when they are used, a private directory for each run,
//! and matrices that are stored and published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use secrecy::SecretString;

use super::bus::Bus;
use super::secrets;
use crate::client::Event;
use crate::domain::matrix::{Matrix, TaskMatrix};
use crate::domain::plan::{Plan, PlannedStep};
use crate::domain::run::{RunId, TaskKey};
use crate::domain::service::SecretRef;
use crate::steps::{Matrices, Secrets, Workshop};
use crate::store::{Handle, Redactor};

/// Where the private directories of runs are within an engine's state directory.
const RUNS: &str = "work";
/// Where programs keep what they need from run to run.
const TOOLS: &str = "tools";

/// The workshop of one run; clones are the same.
#[derive(Clone)]
pub(super) struct RunWorkshop(Arc<Inner>);

struct Inner {
    run: RunId,
    root: Option<PathBuf>,
    state_dir: PathBuf,
    store: Handle,
    bus: Bus,
    redactor: Redactor,
    /// The tasks in the order of the plan.
    order: Vec<TaskKey>,
    shown: Mutex<BTreeMap<TaskKey, Matrix>>,
}

impl RunWorkshop {
    /// The workshop of `run`, which carries `plan` out.
    pub(super) fn new(
        run: RunId,
        plan: &Plan,
        root: Option<PathBuf>,
        state_dir: &Path,
        store: Handle,
        bus: Bus,
        redactor: Redactor,
    ) -> Self {
        Self(Arc::new(Inner {
            run,
            root,
            state_dir: state_dir.to_owned(),
            store,
            bus,
            redactor,
            order: plan.steps.iter().flat_map(PlannedStep::tasks).collect(),
            shown: Mutex::default(),
        }))
    }

    /// As the task `key` sees it.
    pub(super) fn of_task(&self, key: TaskKey) -> Workshop {
        let inner = &self.0;
        Workshop {
            root: inner.root.clone(),
            run: inner.state_dir.join(RUNS).join(inner.run.to_string()),
            tools: inner.state_dir.join(TOOLS),
            secrets: Arc::new(EngineSecrets(inner.redactor.clone())),
            matrices: Arc::new(TaskMatrices {
                run: self.clone(),
                task: key,
            }),
        }
    }

    /// Removes the run's private directory.
    pub(super) async fn clear(&self) {
        let path = self.0.state_dir.join(RUNS).join(self.0.run.to_string());
        remove(path).await;
    }
}

/// Removes the private directories of runs that no engine carries out any more: called before the first run begins.
pub(super) async fn clear_all(state_dir: &Path) {
    remove(state_dir.join(RUNS)).await;
}

async fn remove(path: PathBuf) {
    match tokio::fs::remove_dir_all(&path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "what a run left cannot be removed");
        }
        _ => {}
    }
}

struct EngineSecrets(Redactor);

#[async_trait]
impl Secrets for EngineSecrets {
    async fn read(&self, reference: &SecretRef) -> Result<SecretString, String> {
        let read = secrets::resolve(reference, &self.0).await;
        read.map_err(|error| error.to_string())
    }

    fn hide(&self, value: &str) {
        // What is too short to be hidden would tear every text apart, and says little.
        let _ = self.0.learn(&SecretString::from(value.to_owned()));
    }

    fn clean(&self, text: String) -> String {
        self.0.cleaned(text)
    }
}

struct TaskMatrices {
    run: RunWorkshop,
    task: TaskKey,
}

#[async_trait]
impl Matrices for TaskMatrices {
    async fn show(&self, mut matrix: Matrix) {
        let inner = &self.run.0;
        let clean = |text: &mut String| *text = inner.redactor.cleaned(std::mem::take(text));
        clean(&mut matrix.title);
        for row in &mut matrix.rows {
            clean(&mut row.name);
            clean(&mut row.note);
        }
        matrix.summary.iter_mut().for_each(clean);
        let shown = TaskMatrix {
            task: self.task.clone(),
            matrix,
        };
        inner
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.task.clone(), shown.matrix.clone());
        if let Err(error) = inner.store.matrix(inner.run, shown.clone()).await {
            // The run itself will fail at its next transition and say so.
            tracing::error!(run = %inner.run, %error, "a matrix could not be stored");
        }
        inner.bus.publish(Event::Matrix {
            run: inner.run,
            shown: Box::new(shown),
        });
    }

    fn shown(&self) -> Vec<TaskMatrix> {
        let inner = &self.run.0;
        let shown = inner.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |task: &TaskKey| {
            shown.get(task).map(|matrix| TaskMatrix {
                task: task.clone(),
                matrix: matrix.clone(),
            })
        };
        inner.order.iter().filter_map(of).collect()
    }
}
