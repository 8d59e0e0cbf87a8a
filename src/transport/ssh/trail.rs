//! What was tried on the way to a host, for whoever wants the way explained.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::reach::{Stage, StageName, StageOutcome};
use crate::transport::ReachError;

/// Notes of one attempt, stage after stage.
#[derive(Debug)]
pub(super) struct Trail(Mutex<Notes>);

#[derive(Debug)]
struct Notes {
    stages: Vec<Stage>,
    since: Instant,
}

impl Trail {
    /// Notes that begin now.
    pub(super) fn begin() -> Self {
        Self(Mutex::new(Notes {
            stages: Vec::new(),
            since: Instant::now(),
        }))
    }

    /// A stage went well.
    pub(super) fn done(&self, name: StageName, detail: impl Into<String>) {
        self.note(name, StageOutcome::Ok, detail.into());
    }

    /// A stage went well enough, but something is to be known.
    pub(super) fn warn(&self, name: StageName, detail: impl Into<String>) {
        self.note(name, StageOutcome::Warn, detail.into());
    }

    /// A stage failed.
    pub(super) fn failed(&self, name: StageName, error: &ReachError) {
        self.note(name, StageOutcome::Failed, error.to_string());
    }

    fn note(&self, name: StageName, outcome: StageOutcome, detail: String) {
        // Notes are added whole: a panic elsewhere cannot have left them half made.
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = |span: Duration| u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let stage = Stage {
            name,
            outcome,
            detail,
            ms: ms(notes.since.elapsed()),
        };
        notes.stages.push(stage);
        notes.since = Instant::now();
    }

    /// The notes so far.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.stages.clone()
    }
}
