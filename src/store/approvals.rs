//! Decisions of operators about runs.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::rows::{self, stamp};
use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::approval::Approval;
use crate::domain::run::RunId;

impl Handle {
    /// Stores a decision; returns when it is on the disk. What it allows must not happen before.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn approval(&self, run: RunId, mut approval: Approval) -> Result<(), StoreError> {
        approval.at = rows::whole(approval.at);
        self.beside(move |db| insert(db, run, &approval)).await
    }
}

impl Reader {
    /// The decisions about a run, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn approvals(&self, id: RunId) -> Result<Vec<Approval>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT step, hash, decision, by, uid, key, note, at, fate FROM approvals \
                 WHERE run = (SELECT number FROM runs WHERE id = ?1) ORDER BY id",
            )?
            .query_map([id.0.as_bytes()], read)?
            .collect()
        })
    }
}

fn insert(db: &Connection, run: RunId, approval: &Approval) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO approvals (run, step, hash, decision, by, uid, key, note, at, fate) \
         SELECT number, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM runs WHERE id = ?1",
    )?
    .execute(params![
        run.0.as_bytes(),
        approval.step,
        approval.hash,
        approval.decision.word(),
        approval.by,
        approval.uid,
        approval.key,
        approval.note,
        stamp(approval.at),
        approval.fate.word(),
    ])?;
    Ok(())
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Approval> {
    let at: Timestamp = rows::instant(row, 7)?;
    Ok(Approval {
        step: row.get(0)?,
        hash: row.get(1)?,
        decision: rows::word(row, 2)?,
        by: row.get(3)?,
        uid: row.get(4)?,
        key: row.get(5)?,
        note: row.get(6)?,
        at,
        fate: rows::word(row, 8)?,
    })
}
