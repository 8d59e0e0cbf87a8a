//! Saving what can be read of a damaged file into a new one, row by row.
//!
//! A table is read from its beginning up to the first place that cannot be read, then from its end backwards. What lies
//! between the first and the last damage of a table is lost, and the audit will say so.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use serde::Serialize;

use super::{StoreError, damage, open, schema};

/// Rows in one transaction.
const BATCH: usize = 20_000;

/// What was saved of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Saved {
    /// The table.
    pub table: String,
    /// Rows that were saved.
    pub rows: u64,
    /// Why there may have been more.
    pub lost: Option<String>,
}

/// Saves what can be read of the damaged database in `from` into a new one in `to`.
///
/// # Errors
/// [`StoreError`] when nothing at all can be read, or the new file cannot be written.
pub(super) fn salvage(from: &Path, to: &Path) -> Result<Vec<Saved>, StoreError> {
    let bad = |error: rusqlite::Error| open::explain(from, &error);
    let writing = |error: rusqlite::Error| open::explain(to, &error);
    let source =
        Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(bad)?;
    // Without it, SQLite reads nothing at all of a file that is shorter than its header says.
    source
        .execute_batch("PRAGMA writable_schema = ON")
        .map_err(bad)?;
    let mut target = Connection::open(to).map_err(writing)?;
    target
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA synchronous = NORMAL;")
        .map_err(writing)?;
    schema::migrate(&mut target, to)?;
    // Rows come as they were, also with gaps; the triggers guard what comes later.
    let triggers = triggers(&target).map_err(writing)?;
    for (name, _) in &triggers {
        target
            .execute_batch(&format!("DROP TRIGGER \"{name}\""))
            .map_err(writing)?;
    }
    let mut saved = Vec::new();
    for table in tables(&target).map_err(writing)? {
        saved.push(copy(&source, &mut target, &table).map_err(writing)?);
    }
    for (_, sql) in &triggers {
        target.execute_batch(sql).map_err(writing)?;
    }
    if saved.iter().all(|table| table.rows == 0) {
        return Err(StoreError::new(from, "nothing can be read of this file"));
    }
    Ok(saved)
}

fn triggers(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Runs first: the rows of other tables refer to them.
fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' \
         ORDER BY name <> 'runs', name",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// The names of a table's columns, and of those that order it.
fn columns(db: &Connection, table: &str) -> rusqlite::Result<(Vec<String>, Vec<String>)> {
    let mut key = Vec::new();
    let mut all = Vec::new();
    let mut statement = db.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let mut rows = statement.query([table])?;
    while let Some(row) = rows.next()? {
        let (name, place): (String, i64) = (row.get(0)?, row.get(1)?);
        if place > 0 {
            key.push((place, name.clone()));
        }
        all.push(name);
    }
    key.sort();
    Ok((all, key.into_iter().map(|(_, name)| name).collect()))
}

/// Errors of the target end it; those of the source are what is expected.
fn copy(source: &Connection, target: &mut Connection, table: &str) -> rusqlite::Result<Saved> {
    let mut saved = Saved {
        table: table.to_owned(),
        rows: 0,
        lost: None,
    };
    // Columns that the old file has as well: it may be of an older version.
    let (wanted, key) = columns(target, table)?;
    let known = match columns(source, table) {
        Ok((known, _)) => known,
        Err(error) => {
            saved.lost = Some(error.to_string());
            return Ok(saved);
        }
    };
    let names: Vec<String> = wanted
        .into_iter()
        .filter(|name| known.contains(name))
        .collect();
    if names.is_empty() {
        return Ok(saved);
    }
    let list = names.join(", ");
    let marks = vec!["?"; names.len()].join(", ");
    let insert = format!("INSERT OR IGNORE INTO \"{table}\" ({list}) VALUES ({marks})");
    for direction in ["ASC", "DESC"] {
        let order = key
            .iter()
            .map(|name| format!("{name} {direction}"))
            .collect::<Vec<_>>()
            .join(", ");
        let select = format!("SELECT {list} FROM \"{table}\" ORDER BY {order}");
        match pass(
            source,
            target,
            &select,
            &insert,
            names.len(),
            &mut saved.rows,
        )? {
            None => break,
            Some(reason) => saved.lost = Some(reason),
        }
    }
    Ok(saved)
}

/// Copies rows until the end, an unreadable place (which is returned), or a row that is there already.
fn pass(
    source: &Connection,
    target: &mut Connection,
    select: &str,
    insert: &str,
    width: usize,
    count: &mut u64,
) -> rusqlite::Result<Option<String>> {
    let unreadable = |error: rusqlite::Error| Some(error.to_string());
    let mut statement = match source.prepare(select) {
        Ok(statement) => statement,
        Err(error) => return Ok(unreadable(error)),
    };
    let mut rows = match statement.query([]) {
        Ok(rows) => rows,
        Err(error) => return Ok(unreadable(error)),
    };
    loop {
        let transaction = target.transaction()?;
        let mut ended = None;
        {
            let mut insert = transaction.prepare_cached(insert)?;
            for _ in 0..BATCH {
                let values = match rows.next() {
                    Ok(Some(row)) => (0..width).map(|at| row.get(at)).collect(),
                    Ok(None) => {
                        ended = Some(None);
                        break;
                    }
                    Err(error) => Err(error),
                };
                let values: Vec<Value> = match values {
                    Ok(values) => values,
                    Err(error) => {
                        ended = Some(unreadable(error));
                        break;
                    }
                };
                match insert.execute(params_from_iter(values)) {
                    // Saved by the pass before: the damage lies behind.
                    Ok(0) => {
                        ended = Some(None);
                        break;
                    }
                    Ok(_) => *count += 1,
                    // A row whose bytes are no longer what the table demands is one of the lost.
                    Err(error)
                        if error.sqlite_error_code()
                            == Some(rusqlite::ErrorCode::ConstraintViolation) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        transaction.commit()?;
        if let Some(ended) = ended {
            return Ok(ended);
        }
    }
}

/// Looks at everything in the file; the first thing that is wrong, if anything.
pub(super) fn check(path: &Path) -> Result<Option<String>, StoreError> {
    let cut = damage::is_cut(path).map_err(|error| StoreError::new(path, error.to_string()))?;
    let db = match open::for_reading(path) {
        Ok(db) => db,
        Err(error) => return Ok(Some(error.reason)),
    };
    let finding = damage::look(&db, path, true).map_err(|error| open::explain(path, &error))?;
    Ok(finding.or_else(|| cut.then(|| "the file is shorter than its header says".into())))
}
