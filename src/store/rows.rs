//! Rows to values and back.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::domain::run::{Run, RunId, Task, TaskKey};

/// Columns that [`run`] reads, in its order.
pub(super) const RUN_COLUMNS: &str = "number, id, recipe, title, environment, dry_run, state, started_by, plan_hash, \
                                      created_at, started_at, ended_at, reason, tally, lines, origin";

/// Columns that [`task`] reads, in its order.
pub(super) const TASK_COLUMNS: &str = "step, host, state, attempts, started_at, ended_at, reason";

/// An instant as it is stored: microseconds since 1970.
pub(super) fn stamp(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// The instant as it will be read back, so that what is told now and what is read later are the same.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(stamp(at)).unwrap_or(at)
}

/// An instant from its stored form.
pub(super) fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    Timestamp::from_microsecond(micros).map_err(|error| bad(column, error))
}

/// As [`instant`], where there may be none.
pub(super) fn maybe_instant(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    if row.get_ref(column)?.data_type() == Type::Null {
        Ok(None)
    } else {
        instant(row, column).map(Some)
    }
}

/// A word of a closed set.
pub(super) fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err = crate::domain::UnknownWord>,
{
    row.get_ref(column)?
        .as_str()?
        .parse()
        .map_err(|error| bad(column, error))
}

/// As [`word`], where there may be none.
pub(super) fn maybe_word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>>
where
    T: std::str::FromStr<Err = crate::domain::UnknownWord>,
{
    if row.get_ref(column)?.data_type() == Type::Null {
        Ok(None)
    } else {
        word(row, column).map(Some)
    }
}

/// A count, as far as it fits.
pub(super) fn int(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// A count that cannot be negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.max(0).unsigned_abs())
}

fn bad(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// The id of a run.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<RunId> {
    row.get(column).map(|id| RunId(uuid::Uuid::from_bytes(id)))
}

/// A run from [`RUN_COLUMNS`].
pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let id: [u8; 16] = row.get(1)?;
    Ok(Run {
        number: row.get(0)?,
        id: RunId(uuid::Uuid::from_bytes(id)),
        recipe: row.get(2)?,
        title: row.get(3)?,
        environment: row.get(4)?,
        dry_run: row.get(5)?,
        state: word(row, 6)?,
        started_by: row.get(7)?,
        plan_hash: row.get(8)?,
        created_at: instant(row, 9)?,
        started_at: maybe_instant(row, 10)?,
        ended_at: maybe_instant(row, 11)?,
        reason: row.get(12)?,
        tally: serde_json::from_str(row.get_ref(13)?.as_str()?).map_err(|error| bad(13, error))?,
        lines: count(row, 14)?,
        origin: row
            .get_ref(15)?
            .as_str_or_null()?
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| bad(15, error))?,
    })
}

/// A task from [`TASK_COLUMNS`].
pub(super) fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        key: TaskKey {
            step: row.get(0)?,
            host: row.get(1)?,
        },
        state: word(row, 2)?,
        attempts: row.get(3)?,
        started_at: maybe_instant(row, 4)?,
        ended_at: maybe_instant(row, 5)?,
        reason: row.get(6)?,
    })
}

/// The number of the run with this id.
pub(super) fn number_of(connection: &Connection, id: RunId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM runs WHERE id = ?1")?
        .query_row([id.0.as_bytes()], |row| row.get(0))
        .optional()
}

/// The tasks of a run in the order of its plan.
pub(super) fn tasks(connection: &Connection, number: i64) -> rusqlite::Result<Vec<Task>> {
    connection
        .prepare_cached(&format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE run = ?1 ORDER BY ordinal"
        ))?
        .query_map([number], task)?
        .collect()
}
