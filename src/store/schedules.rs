//! What is remembered of schedules from one engine to the next.
//!
//! A due time is settled here before its run begins: whatever happens to the engine then, it never comes twice.

use rusqlite::params;

use super::rows::{self, stamp};
use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::run::{RunId, RunState};
use crate::domain::schedule::{Memory, Outcome};

/// A schedule by its environment and name, with what is remembered of it.
pub type KnownSchedule = (String, String, Memory);

impl Handle {
    /// Remembers a schedule, replacing what was remembered before; returns when it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn keep_schedule(
        &self,
        environment: &str,
        name: &str,
        memory: &Memory,
    ) -> Result<(), StoreError> {
        let (environment, name, memory) = (environment.to_owned(), name.to_owned(), memory.clone());
        self.beside(move |db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO schedules (environment, name, settled, paused_by, last_due, outcome, reason, \
                 last_run, run_state, failures) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                environment,
                name,
                stamp(memory.settled),
                memory.paused_by,
                memory.last_due.map(stamp),
                memory.outcome.map(Outcome::word),
                memory.reason,
                memory.last_run.map(|run| *run.0.as_bytes()),
                memory.run_state.map(RunState::word),
                memory.failures,
            ])?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// Every schedule that is remembered, also those that no file has any more.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn schedules(&self) -> Result<Vec<KnownSchedule>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT environment, name, settled, paused_by, last_due, outcome, reason, last_run, run_state, failures \
                 FROM schedules ORDER BY environment, name",
            )?
            .query_map([], |row| {
                let run: Option<[u8; 16]> = row.get(7)?;
                let memory = Memory {
                    settled: rows::instant(row, 2)?,
                    paused_by: row.get(3)?,
                    last_due: rows::maybe_instant(row, 4)?,
                    outcome: rows::maybe_word(row, 5)?,
                    reason: row.get(6)?,
                    last_run: run.map(|bytes| RunId(uuid::Uuid::from_bytes(bytes))),
                    run_state: rows::maybe_word(row, 8)?,
                    failures: row.get(9)?,
                };
                Ok((row.get(0)?, row.get(1)?, memory))
            })?
            .collect()
        })
    }
}
