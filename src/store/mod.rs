//! The store: runs, tasks, events and log lines in SQLite (WAL). One [`Writer`], owned by the engine; any number of
//! [`Reader`]s.

use std::path::{Path, PathBuf};

use crate::domain::run::{LogLine, Run, RunEvent, RunId, Stream, Task};

/// The only thing that writes.
pub struct Writer {
    _path: PathBuf,
}

/// Reads history; cheap to clone, opens its own read-only connections.
#[derive(Debug, Clone)]
pub struct Reader {
    _path: PathBuf,
}

/// Why the store could not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct StoreError {
    /// The database file.
    pub path: PathBuf,
    /// What happened and what to do.
    pub reason: String,
}

/// Which log lines are wanted; all parts must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineFilter {
    /// Only of this step.
    pub step: Option<String>,
    /// Only of this host.
    pub host: Option<String>,
    /// Only from these streams; empty means all.
    pub streams: Vec<Stream>,
    /// Only lines that contain this text, letter case ignored.
    pub text: Option<String>,
}

// The signatures below are the contract with the rooms above; all reading is synchronous and meant for a blocking task.
impl Reader {
    /// A reader of the database at `path`, which must exist.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            _path: path.to_owned(),
        })
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn runs(&self, _limit: usize) -> Result<Vec<Run>, StoreError> {
        Ok(Vec::new())
    }

    /// The run with this id.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn run(&self, _id: RunId) -> Result<Option<Run>, StoreError> {
        Ok(None)
    }

    /// The run with this number.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn run_by_number(&self, _number: i64) -> Result<Option<Run>, StoreError> {
        Ok(None)
    }

    /// The plan the run was started from.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn plan(&self, _id: RunId) -> Result<Option<crate::domain::plan::Plan>, StoreError> {
        Ok(None)
    }

    /// The run's tasks in the order of its plan.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn tasks(&self, _id: RunId) -> Result<Vec<Task>, StoreError> {
        Ok(Vec::new())
    }

    /// The run's events from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn events(&self, _id: RunId, _from: u64) -> Result<Vec<RunEvent>, StoreError> {
        Ok(Vec::new())
    }

    /// At most `limit` lines that match, with `seq >= from`, in order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn lines(
        &self,
        _id: RunId,
        _from: u64,
        _limit: usize,
        _filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        Ok(Vec::new())
    }

    /// The last `limit` lines that match, with `seq < before` when given, in order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn lines_before(
        &self,
        _id: RunId,
        _before: Option<u64>,
        _limit: usize,
        _filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        Ok(Vec::new())
    }
}
