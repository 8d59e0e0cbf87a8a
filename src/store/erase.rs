//! Removing runs, a little at a time: the run with its plan, tasks and events at once, its lines in small transactions
//! between those of the runs that go on. What a crash leaves half done is in the table `erased`, and is gone on with.
//!
//! Numbers of runs are never used again, so lines without a run belong to nobody else.

use rusqlite::{Connection, OptionalExtension, params};

use super::rows;
use super::schema::line_key;
use crate::domain::retention::Kept;
use crate::domain::run::RunId;

/// Lines removed in one transaction: some milliseconds.
const LINES: i64 = 5_000;
/// Pages given back to the file system at a time: 2 MiB.
const PAGES: i64 = 512;
/// What a run takes beside its lines, about, bytes: its plan, tasks and events.
const FRAME: u64 = 8 * 1024;

/// How far the removal of a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// There is more to remove: ask again.
    Partly,
    /// Nothing of it is left.
    Wholly,
}

/// The runs with what they take, oldest first.
pub(super) fn kept(db: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let number = |sql: &str| db.query_row(sql, [], |row| rows::count(row, 0));
    let used = number("PRAGMA page_count")?.saturating_sub(number("PRAGMA freelist_count")?)
        * number("PRAGMA page_size")?;
    let lines = number("SELECT coalesce(sum(lines), 0) FROM runs")?.max(1);
    db.prepare(
        "SELECT number, id, environment, state, ended_at, created_at, lines, origin_run FROM runs ORDER BY number",
    )?
    .query_map([], |row| {
        let state: crate::domain::run::RunState = rows::word(row, 3)?;
        let ended = match row.get::<_, Option<i64>>(4)? {
            Some(_) => rows::instant(row, 4)?,
            None => rows::instant(row, 5)?,
        };
        let own = rows::count(row, 6)?;
        // Lines share what is used by their number: to weigh every line would read the whole file.
        let share = u128::from(used) * u128::from(own) / u128::from(lines);
        Ok(Kept {
            number: row.get(0)?,
            id: rows::id(row, 1)?,
            environment: row.get(2)?,
            ended_at: state.is_final().then_some(ended),
            lines: own,
            bytes: u64::try_from(share).unwrap_or(u64::MAX).saturating_add(FRAME),
            origin: row
                .get::<_, Option<[u8; 16]>>(7)?
                .map(|id| RunId(uuid::Uuid::from_bytes(id))),
        })
    })?
    .collect()
}

/// Runs whose removal was begun and not finished.
pub(super) fn unfinished(db: &Connection) -> rusqlite::Result<Vec<i64>> {
    db.prepare("SELECT run FROM erased ORDER BY run")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// One step of the removal of the run called `number`, within the current transaction.
///
/// The inner error is a refusal: the run goes on, or one that goes on builds upon it.
pub(super) fn step(db: &Connection, number: i64) -> rusqlite::Result<Result<Erased, String>> {
    let state: Option<crate::domain::run::RunState> = db
        .query_row(
            "SELECT state FROM runs WHERE number = ?1",
            [number],
            |row| rows::word(row, 0),
        )
        .optional()?;
    if let Some(state) = state {
        if !state.is_final() {
            return Ok(Err(format!("run {number} is {state}")));
        }
        let builder: Option<i64> = db
            .query_row(
                "SELECT number FROM runs WHERE origin_run = (SELECT id FROM runs WHERE number = ?1) \
                 AND state IN ('queued', 'running', 'waiting-approval')",
                [number],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(builder) = builder {
            return Ok(Err(format!("run {builder} builds upon run {number}")));
        }
        db.execute("INSERT INTO erased (run) VALUES (?1)", [number])?;
        db.execute("DELETE FROM runs WHERE number = ?1", [number])?;
        return Ok(Ok(Erased::Partly));
    }
    let removed = db
        .prepare_cached(
            "DELETE FROM lines WHERE key IN \
             (SELECT key FROM lines WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3)",
        )?
        .execute(params![line_key(number, 0), line_key(number + 1, 0), LINES])?;
    if rows::int(removed) < LINES {
        db.execute("DELETE FROM erased WHERE run = ?1", [number])?;
        return Ok(Ok(Erased::Wholly));
    }
    Ok(Ok(Erased::Partly))
}

/// Gives some free pages back to the file system; whether there are more. Outside of transactions.
///
/// Does nothing to a file that was created without `auto_vacuum`: there, free pages are used again.
pub(super) fn give_back(db: &Connection) -> rusqlite::Result<bool> {
    let free = || db.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    let before = free()?;
    if before == 0 {
        return Ok(false);
    }
    // The pragma answers with a row for each page, and stops when it is no longer asked.
    let mut statement = db.prepare(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let after = free()?;
    Ok(after > 0 && after < before)
}

#[cfg(test)]
mod tests;
