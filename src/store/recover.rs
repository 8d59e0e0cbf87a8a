//! After something went wrong: a damaged file is recovered when an operator says so, and runs whose engine died are accounted
//! for.
//!
//! What is done with runs whose engine died: they become *interrupted*, with an account of what was done. A run whose last task
//! had ended already lacks nothing but its own end, which is put on record as the engine would have done.
//!
//! Only called with the engine's lock held, so an unfinished run cannot belong to a living engine.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::Serialize;

use super::ledger::{Change, Ledger};
use super::salvage::Saved;
use super::{StoreError, damage, open, rows, salvage};
use crate::domain::run::{RunId, RunState, Task, TaskState, first_failure};

/// What became of a damaged store.
#[derive(Debug, Clone, Serialize)]
pub struct Recovered {
    /// What was saved, table by table.
    pub saved: Vec<Saved>,
    /// The damaged file, as it was.
    pub kept: PathBuf,
}

/// Looks through the whole store at `path`: the first thing that is wrong, if anything. Reads every page.
///
/// # Errors
/// [`StoreError`] when there is none, or it cannot be read at all.
pub fn check(path: &Path) -> Result<Option<String>, StoreError> {
    salvage::check(path)
}

/// Saves what can be read of the store in `state_dir` into a new file and puts that in its place; the old one is kept beside
/// it, with its write-ahead log.
///
/// # Errors
/// [`StoreError`] when an engine uses the store, nothing can be read, or the new file cannot be written. The old one is
/// untouched then.
pub fn recover(state_dir: &Path) -> Result<Recovered, StoreError> {
    let path = open::database_path(state_dir);
    if !path.exists() {
        return Err(StoreError::new(
            &path,
            "there is no history here to be recovered",
        ));
    }
    let (lock, _) = open::lock(&state_dir.join(open::LOCK))?;
    let failed = |error: std::io::Error| StoreError::new(&path, error.to_string());
    let next = path.with_extension("next");
    // What an earlier attempt left.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)
        .map_err(failed)?;
    let saved = salvage::salvage(&path, &next)?;
    let kept = damage::keep_copy(&path).map_err(failed)?;
    fs::File::open(&next)
        .and_then(|file| file.sync_all())
        .map_err(failed)?;
    let wal = open::wal_of(&path);
    if wal.exists() {
        fs::remove_file(&wal).map_err(failed)?;
    }
    fs::rename(&next, &path).map_err(failed)?;
    open::release(&lock);
    Ok(Recovered { saved, kept })
}

/// Ends every unfinished run, interrupted or as its tasks ended; returns their ids.
pub(super) fn interrupt(db: &mut Connection, now: Timestamp) -> rusqlite::Result<Vec<RunId>> {
    let transaction = db.transaction()?;
    let unfinished: Vec<RunId> = transaction
        .prepare(
            "SELECT id FROM runs WHERE state IN ('queued', 'running', 'waiting-approval') ORDER BY number",
        )?
        .query_map([], |row| {
            Ok(RunId(uuid::Uuid::from_bytes(row.get::<_, [u8; 16]>(0)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut ledger = Ledger::default();
    for id in &unfinished {
        let tasks = match rows::number_of(&transaction, *id)? {
            Some(number) => rows::tasks(&transaction, number)?,
            None => continue,
        };
        let mut changes: Vec<Change> = tasks
            .iter()
            .zip(0u32..)
            .filter_map(|(task, ordinal)| {
                let (state, reason) = match task.state {
                    TaskState::Running => (
                        TaskState::Failed,
                        "the engine ended while this was in progress; how far it came is not known",
                    ),
                    TaskState::Pending => {
                        (TaskState::Cancelled, "the engine ended before its turn")
                    }
                    _ => return None,
                };
                Some(Change::Task {
                    ordinal,
                    state,
                    attempt: task.attempts,
                    reason: Some(reason.into()),
                })
            })
            .collect();
        changes.push(match verdict(&tasks) {
            Some((state, reason)) => Change::Run {
                state,
                reason: Some(reason),
            },
            None => Change::Run {
                state: RunState::Interrupted,
                reason: Some(account(&tasks)),
            },
        });
        if let Err(refused) = ledger.apply(&transaction, *id, now, &changes)? {
            tracing::error!(run = %id, %refused, "an unfinished run could not be marked interrupted");
        }
    }
    ledger.settle(&transaction)?;
    transaction.commit()?;
    Ok(unfinished)
}

/// How a run ended of which every task had ended by itself; `None` when something of it is left to do.
fn verdict(tasks: &[Task]) -> Option<(RunState, String)> {
    let left = |task: &Task| !task.state.is_final() || task.state == TaskState::Cancelled;
    if tasks.is_empty() || tasks.iter().any(left) {
        return None;
    }
    let late = format!("all {} tasks had ended when the engine did", tasks.len());
    Some(match first_failure(tasks) {
        None => (RunState::Succeeded, late),
        Some(failure) => (RunState::Failed, format!("{failure}; {late}")),
    })
}

/// One sentence on how far the tasks came.
fn account(tasks: &[Task]) -> String {
    let done = tasks.iter().filter(|task| task.state.is_final()).count();
    let waiting = tasks
        .iter()
        .filter(|task| task.state == TaskState::Pending)
        .count();
    let flying: Vec<String> = tasks
        .iter()
        .filter(|task| task.state == TaskState::Running)
        .map(|task| task.key.to_string())
        .collect();
    let flying = if flying.is_empty() {
        "none in progress".into()
    } else {
        format!("in progress: {}", flying.join(", "))
    };
    format!(
        "the engine ended during this run: {done} of {} tasks done, {flying}, {waiting} not started",
        tasks.len()
    )
}
