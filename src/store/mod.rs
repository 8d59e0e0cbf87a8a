//! The store: runs, tasks, events and log lines in SQLite (WAL). One [`Writer`], owned by the engine; any number of
//! [`Reader`]s.
//!
//! The store is the truth: a transition is committed here before anybody acts on it or hears of it. Readers open the file
//! themselves, read-only, and take a window at a time, so a log of ten million lines costs as much to look at as one of
//! ten. Text is redacted ([`Redactor`]) before it comes here.

mod approvals;
mod audit;
mod damage;
mod drift;
mod erase;
mod ledger;
mod marks;
mod matrices;
mod mistake;
mod notices;
mod open;
mod owed;
mod pattern;
mod reader;
mod recover;
mod redact;
mod rows;
mod salvage;
mod scan;
mod schedules;
mod schema;
#[cfg(test)]
mod tests;
mod undo;
mod writer;

use std::path::{Path, PathBuf};

pub use audit::{AuditFilter, Verdict};
pub use erase::Erased;
pub use ledger::{Change, Committed, NewLine, NewRun};
pub use marks::KnownMarks;
pub use mistake::{mistake, never_tell};
pub use open::{database_path, upgrade};
pub use pattern::{BadPattern, Matcher, Pattern};
pub use reader::Reader;
pub use recover::{Recovered, check, recover};
pub use redact::{MARK as REDACTED, Redactor, TooShort};
pub use salvage::Saved;
pub use scan::{Hit, Slice, Window};
pub use schedules::KnownSchedule;
pub use writer::{CONTINUED, Handle, LINE_LIMIT, Writer};

use jiff::Timestamp;

use crate::domain::run::Stream;
use crate::domain::structured::Level;

/// Why the store could not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct StoreError {
    /// The database file.
    pub path: PathBuf,
    /// What happened and what to do.
    pub reason: String,
    /// Whether another engine uses the state directory, which is all that is wrong.
    pub is_taken: bool,
}

impl StoreError {
    /// That `reason` happened to the file at `path`.
    pub fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            is_taken: false,
        }
    }
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
    /// Only lines that say they matter so much, or more.
    pub level: Option<Level>,
    /// Only lines that arrived then or later …
    pub since: Option<Timestamp>,
    /// … and before then.
    pub until: Option<Timestamp>,
    /// Only lines that this finds.
    pub text: Option<Pattern>,
}
