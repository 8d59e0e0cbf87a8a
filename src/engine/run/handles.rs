//! What others hold of a run under way: its tasks to look at, its open questions to add to, its brake.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::plan::Plan;
use crate::domain::run::Task;

/// The tasks of a run in the order of its plan, as they were last committed.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Tasks {
    /// The tasks of a run of this plan before it begins.
    pub(in crate::engine) fn of(plan: &Plan) -> Self {
        Self(Arc::new(Mutex::new(plan.tasks())))
    }

    /// All of them, copied.
    pub(in crate::engine) fn snapshot(&self) -> Vec<Task> {
        self.with(|tasks| tasks.clone())
    }

    /// Looks at them, or changes them as they were committed.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Vec<Task>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a run waits for; clones are of the same run.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Questions(Arc<watch::Sender<Vec<String>>>);

impl Questions {
    /// The run waits for the answer to this question until the guard is dropped.
    pub(in crate::engine) fn wait(&self, question: String) -> Waits {
        self.0.send_modify(|open| open.push(question.clone()));
        Waits {
            questions: self.clone(),
            question,
        }
    }

    /// The oldest question that is open.
    pub(super) fn first(&self) -> Option<String> {
        self.0.borrow().first().cloned()
    }

    /// Wakes whenever a question is put or answered.
    pub(super) fn subscribe(&self) -> watch::Receiver<Vec<String>> {
        self.0.subscribe()
    }
}

/// One open question.
pub(in crate::engine) struct Waits {
    questions: Questions,
    question: String,
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.questions.0.send_modify(|open| {
            if let Some(at) = open.iter().position(|question| *question == self.question) {
                open.remove(at);
            }
        });
    }
}

/// Stops a run, for one of two causes.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Stop {
    /// Fires for either cause.
    token: CancellationToken,
    /// The engine is ending: the run is interrupted rather than cancelled.
    engine: CancellationToken,
    /// Who stopped it and how.
    cause: Arc<OnceLock<String>>,
}

impl Stop {
    /// An operator wants it; `cause` says how and who, such as `cancelled by ada@bastion`. The first cause counts.
    pub(in crate::engine) fn cancel(&self, cause: String) {
        self.cause.get_or_init(|| cause);
        self.token.cancel();
    }

    /// The engine ends.
    pub(in crate::engine) fn interrupt(&self) {
        self.engine.cancel();
        self.token.cancel();
    }

    /// Whether the run shall stop, for either cause.
    pub(in crate::engine) fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Whether it stops because the engine ends.
    pub(super) fn is_engine(&self) -> bool {
        self.engine.is_cancelled()
    }

    /// Who stopped it and how.
    pub(super) fn cause(&self) -> &str {
        self.cause.get().map_or("cancelled", String::as_str)
    }

    /// Fires for either cause.
    pub(super) const fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Fires when the engine ends.
    pub(super) const fn engine(&self) -> &CancellationToken {
        &self.engine
    }
}
