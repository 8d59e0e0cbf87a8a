//! What was there before each change of a run, so that the run can be taken back.

use rusqlite::{Connection, params};

use super::ledger::Refused;
use super::rows;
use crate::domain::run::RunId;
use crate::domain::undo::Remembered;

/// Stores a record. One that is there already stays: what was there before the first attempt is what counts.
pub(super) fn insert(
    db: &Connection,
    run: RunId,
    record: &Remembered,
) -> rusqlite::Result<Result<(), Refused>> {
    let Some(number) = rows::number_of(db, run)? else {
        return Ok(Err(format!("there is no run {run}")));
    };
    let before = serde_json::to_string(&record.before)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached(
        "INSERT INTO undo (run, ordinal, position, before) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
    )?
    .execute(params![number, record.ordinal, record.position, before])?;
    Ok(Ok(()))
}

/// The records of a run in the order of its plan.
pub(super) fn select(db: &Connection, number: i64) -> rusqlite::Result<Vec<Remembered>> {
    db.prepare_cached(
        "SELECT ordinal, position, before FROM undo WHERE run = ?1 ORDER BY ordinal, position",
    )?
    .query_map([number], |row| {
        let text: String = row.get(2)?;
        let before = serde_json::from_str(&text).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                2,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?;
        Ok(Remembered {
            ordinal: row.get(0)?,
            position: row.get(1)?,
            before,
        })
    })?
    .collect()
}
