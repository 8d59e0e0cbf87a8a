//! The handlers that runs owe because of what they changed, and which of them were carried out.

use rusqlite::{Connection, params};

use super::{Handle, StoreError, rows};
use crate::domain::handler::Owed;
use crate::domain::run::RunId;

impl Handle {
    /// Takes down that a run owes these handlers, or with `settled` that they were carried out; returns when it is on the
    /// disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn owe(&self, run: RunId, owed: Vec<Owed>, settled: bool) -> Result<(), StoreError> {
        self.beside(move |db| {
            // A run that was erased meanwhile owes nothing.
            let Some(number) = rows::number_of(db, run)? else {
                return Ok(());
            };
            let mut insert = db.prepare_cached(
                "INSERT INTO owed (run, handler, host, settled) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET settled = excluded.settled",
            )?;
            for owed in &owed {
                let host = owed.host.as_deref().unwrap_or_default();
                insert.execute(params![number, owed.handler, host, settled])?;
            }
            Ok(())
        })
        .await
    }
}

/// What is on record of a run, and whether it is settled.
pub(super) fn select(db: &Connection, number: i64) -> rusqlite::Result<Vec<(Owed, bool)>> {
    db.prepare_cached(
        "SELECT handler, host, settled FROM owed WHERE run = ?1 ORDER BY handler, host",
    )?
    .query_map([number], |row| {
        let host: String = row.get(1)?;
        let owed = Owed {
            handler: row.get(0)?,
            host: (!host.is_empty()).then_some(host),
        };
        Ok((owed, row.get(2)?))
    })?
    .collect()
}
