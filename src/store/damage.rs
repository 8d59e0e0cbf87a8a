//! Damaged files: found when the store is opened, kept aside, never replaced by themselves.
//!
//! An engine that ends in good order empties its lock file. One that finds a process id there knows that the last one did
//! not, and has SQLite look through the file; so does one that finds the file shorter than it says it is. Files larger than
//! [`WHOLE`] are looked through without their log lines, so that starting takes seconds and not minutes; `quarterdeck store
//! check` looks at everything.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

/// Files up to this size are looked through whole, bytes.
const WHOLE: u64 = 256 * 1024 * 1024;
/// Tables that must be whole for an engine to work, and are small.
const VITAL: [&str; 6] = ["meta", "runs", "plans", "tasks", "events", "audit"];

/// Whether the file is shorter than its own header says (<https://www.sqlite.org/fileformat2.html>, offsets 16 and 28).
pub(super) fn is_cut(path: &Path) -> io::Result<bool> {
    let mut header = [0; 100];
    let mut file = fs::File::open(path)?;
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        // Empty, or no database: SQLite says so itself.
        return Ok(false);
    }
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes([header[28], header[29], header[30], header[31]]);
    Ok(file.metadata()?.len() < page * u64::from(pages))
}

/// The first thing that is wrong with the file, if anything.
pub(super) fn look(db: &Connection, path: &Path, all: bool) -> rusqlite::Result<Option<String>> {
    let size = fs::metadata(path).map_or(0, |file| file.len());
    if all {
        return first(db, "PRAGMA integrity_check(1)");
    }
    if size <= WHOLE {
        return first(db, "PRAGMA quick_check(1)");
    }
    for table in VITAL {
        let known: bool = db.query_row(
            "SELECT count(*) > 0 FROM sqlite_schema WHERE name = ?1",
            [table],
            |row| row.get(0),
        )?;
        if known && let Some(finding) = first(db, &format!("PRAGMA quick_check('{table}')"))? {
            return Ok(Some(finding));
        }
    }
    Ok(None)
}

fn first(db: &Connection, sql: &str) -> rusqlite::Result<Option<String>> {
    match db.query_row(sql, [], |row| row.get::<_, String>(0)) {
        Ok(said) if said == "ok" => Ok(None),
        Ok(said) => Ok(Some(said)),
        Err(error) if is_damage(&error) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Whether an error means that the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

/// Copies the file and its write-ahead log aside, once for each state of the file.
pub(super) fn keep_copy(path: &Path) -> io::Result<PathBuf> {
    let file = fs::metadata(path)?;
    let changed = file
        .modified()?
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let copy = path.with_file_name(format!("damaged-{}-{}.db", changed.as_secs(), file.len()));
    if !copy.exists() {
        fs::copy(path, &copy)?;
        let wal = super::open::wal_of(path);
        if wal.metadata().is_ok_and(|wal| wal.len() > 0) {
            fs::copy(wal, super::open::wal_of(&copy))?;
        }
    }
    Ok(copy)
}

#[cfg(test)]
mod tests;
