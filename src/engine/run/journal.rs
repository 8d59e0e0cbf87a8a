//! Where a run is written down: the store, behind a trait so that the scheduler can be tested with time held still.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::SharedClock;
use crate::domain::run::{RunId, Stream};
use crate::resources::Log;
use crate::store::{Change, Committed, Handle, NewLine, Redactor, StoreError};

/// Takes transitions and log lines.
#[async_trait]
pub(in crate::engine) trait Journal: Send + Sync {
    /// Stores transitions, all or none; returns when they are durable.
    async fn commit(
        &self,
        run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Committed, StoreError>;

    /// Appends a log line; waits while the journal cannot keep up.
    async fn line(&self, line: NewLine) -> Result<(), StoreError>;
}

#[async_trait]
impl Journal for Handle {
    async fn commit(
        &self,
        run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Committed, StoreError> {
        Handle::commit(self, run, at, changes).await
    }

    async fn line(&self, line: NewLine) -> Result<(), StoreError> {
        Handle::line(self, line).await
    }
}

/// The log of one task: redacted, stamped, stored.
pub(super) struct TaskLog {
    pub(super) journal: std::sync::Arc<dyn Journal>,
    pub(super) redactor: Redactor,
    pub(super) clock: SharedClock,
    pub(super) run: RunId,
    /// `None` for the run as a whole.
    pub(super) task: Option<u32>,
}

#[async_trait]
impl Log for TaskLog {
    async fn line(&self, stream: Stream, text: String) {
        let line = NewLine {
            run: self.run,
            task: self.task,
            stream,
            at: self.clock.now(),
            text: self.redactor.cleaned(text),
        };
        if let Err(error) = self.journal.line(line).await {
            // The run itself will fail at its next transition and say so.
            tracing::error!(run = %self.run, %error, "a log line is lost");
        }
    }
}
