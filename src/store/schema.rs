//! The tables, and how an older file is brought up to date.
//!
//! Log lines are by far the most rows, so they are kept small and in order: one integer key (run number and position,
//! see [`line_key`]), the task as its position in the plan, the stream as a digit. A window of a log is a range of keys.
//! Plans are kept apart from their runs because a run's row is rewritten at every transition.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;
use super::open::explain;
use crate::domain::run::Stream;
use crate::domain::structured::Level;

/// Marks the file as ours (`PRAGMA application_id`): "QDEC".
const APPLICATION_ID: i64 = 0x5144_4543;

/// One script per version, oldest first. A script that was released is never edited.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB    NOT NULL UNIQUE,
    recipe      TEXT    NOT NULL,
    title       TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    dry_run     INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    started_by  TEXT    NOT NULL,
    plan_hash   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    reason      TEXT,
    tally       TEXT    NOT NULL,
    lines       INTEGER NOT NULL,
    events      INTEGER NOT NULL
) STRICT;

CREATE INDEX runs_unfinished ON runs (number)
    WHERE state IN ('queued', 'running', 'waiting-approval');

CREATE TABLE plans (
    run  INTEGER PRIMARY KEY REFERENCES runs (number) ON DELETE CASCADE,
    plan TEXT NOT NULL
) STRICT;

CREATE TABLE tasks (
    run        INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    ordinal    INTEGER NOT NULL,
    step       TEXT    NOT NULL,
    host       TEXT,
    state      TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    reason     TEXT,
    PRIMARY KEY (run, ordinal)
) STRICT, WITHOUT ROWID;

-- task: ordinal of the task that moved, NULL when the run itself did
CREATE TABLE events (
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    task    INTEGER,
    state   TEXT    NOT NULL,
    attempt INTEGER NOT NULL,
    reason  TEXT,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- key: run number and position in the run's log
CREATE TABLE lines (
    key    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    task   INTEGER,
    stream INTEGER NOT NULL,
    text   TEXT    NOT NULL
) STRICT;
",
    "
-- origin: why this run takes up an earlier one, as JSON; origin_run: that run's id
ALTER TABLE runs ADD COLUMN origin TEXT;
ALTER TABLE runs ADD COLUMN origin_run BLOB;
CREATE INDEX runs_by_origin ON runs (origin_run) WHERE origin_run IS NOT NULL;
",
    "
-- hash: over all other columns (see audit/chain.rs); user is NULL for the engine itself
CREATE TABLE audit (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    user        TEXT,
    host        TEXT,
    uid         INTEGER,
    key         TEXT,
    act         TEXT    NOT NULL,
    environment TEXT,
    run         INTEGER,
    plan_hash   TEXT,
    outcome     TEXT    NOT NULL,
    detail      TEXT,
    prev        BLOB    NOT NULL,
    hash        BLOB    NOT NULL
) STRICT;

CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

-- Also keeps INSERT OR REPLACE out, which fires no DELETE trigger.
CREATE TRIGGER audit_has_no_gaps BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
",
    "
-- what was there before a resource was changed; before: JSON
CREATE TABLE undo (
    run      INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    ordinal  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    before   TEXT    NOT NULL,
    PRIMARY KEY (run, ordinal, position)
) STRICT, WITHOUT ROWID;
",
    "
-- 0: the line does not say
ALTER TABLE lines ADD COLUMN level INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE schedules (
    environment TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    settled     INTEGER NOT NULL,
    paused_by   TEXT,
    last_due    INTEGER,
    outcome     TEXT,
    reason      TEXT,
    last_run    BLOB,
    run_state   TEXT,
    failures    INTEGER NOT NULL,
    PRIMARY KEY (environment, name)
) STRICT, WITHOUT ROWID;
",
    "
-- step: NULL when it is about the run as a whole; fate: whether it counted
CREATE TABLE approvals (
    id       INTEGER PRIMARY KEY,
    run      INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    step     TEXT,
    hash     TEXT    NOT NULL,
    decision TEXT    NOT NULL,
    by       TEXT    NOT NULL,
    uid      INTEGER NOT NULL,
    key      TEXT,
    note     TEXT,
    at       INTEGER NOT NULL,
    fate     TEXT    NOT NULL
) STRICT;

CREATE INDEX approvals_by_run ON approvals (run);
",
    "
-- notices on their way to a channel; notice: JSON
CREATE TABLE notices (
    id      BLOB PRIMARY KEY,
    channel TEXT NOT NULL,
    notice  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- findings that were told and are not resolved; notice: JSON
CREATE TABLE incidents (
    key    TEXT PRIMARY KEY,
    notice TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- runs that are gone while their lines are still being removed
CREATE TABLE erased (run INTEGER PRIMARY KEY) STRICT;
",
    "
-- handlers that a run owes a host ('' where the engine is) because of what it changed, and whether they were carried out
CREATE TABLE owed (
    run     INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    handler TEXT    NOT NULL,
    host    TEXT    NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (run, handler, host)
) STRICT, WITHOUT ROWID;
",
    "
-- what operators have put on nodes; marks: JSON
CREATE TABLE node_marks (
    environment TEXT NOT NULL,
    node        TEXT NOT NULL,
    marks       TEXT NOT NULL,
    PRIMARY KEY (environment, node)
) STRICT, WITHOUT ROWID;
",
    "
-- what the program of a task works on, as it was last shown; matrix: JSON
CREATE TABLE matrices (
    run    INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    task   TEXT    NOT NULL,
    matrix TEXT    NOT NULL,
    PRIMARY KEY (run, task)
) STRICT;
",
    "
-- where what is there differs from what is declared; body: JSON; a row without resolved_at is open
CREATE TABLE drift (
    environment TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    object      TEXT    NOT NULL,
    field       TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    body        TEXT    NOT NULL,
    first_seen  INTEGER NOT NULL,
    last_seen   INTEGER NOT NULL,
    resolved_at INTEGER,
    PRIMARY KEY (environment, source, object, field)
) STRICT;
-- when each part of a source was looked at, when that last told something, and why the last look did not
CREATE TABLE drift_looks (
    environment TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    looked_at   INTEGER NOT NULL,
    known_at    INTEGER,
    trouble     TEXT,
    PRIMARY KEY (environment, source, scope)
) STRICT, WITHOUT ROWID;
",
];

/// Bits of a line's key that hold its position: 68 thousand million lines a run, 134 million runs.
const SEQ_BITS: u32 = 36;

/// The key of line `seq` of the run called `number`.
pub(super) fn line_key(number: i64, seq: u64) -> i64 {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX).min(1 << SEQ_BITS);
    (number << SEQ_BITS) + seq
}

/// The position within its run of the line with this key.
pub(super) fn line_seq(key: i64) -> u64 {
    (key & ((1 << SEQ_BITS) - 1)).unsigned_abs()
}

/// A stream as it is stored. The numbers are for ever.
pub(super) const fn stream_code(stream: Stream) -> i64 {
    match stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Note => 3,
        Stream::Diff => 4,
    }
}

/// The stream with this number; what a newer version may have invented reads as a note.
pub(super) const fn stream_of(code: i64) -> Stream {
    match code {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        4 => Stream::Diff,
        _ => Stream::Note,
    }
}

/// A level as it is stored: the more, the worse. The numbers are for ever.
pub(super) const fn level_code(level: Option<Level>) -> i64 {
    match level {
        None => 0,
        Some(Level::Debug) => 10,
        Some(Level::Info) => 20,
        Some(Level::Warn) => 30,
        Some(Level::Error) => 40,
    }
}

/// The level with this number.
pub(super) const fn level_of(code: i64) -> Option<Level> {
    match code {
        10..20 => Some(Level::Debug),
        20..30 => Some(Level::Info),
        30..40 => Some(Level::Warn),
        40.. => Some(Level::Error),
        _ => None,
    }
}

/// Whose file this is, and which version.
pub(super) struct Identity {
    version: usize,
    ours: bool,
    empty: bool,
}

/// Looks at the file's identity without changing anything.
pub(super) fn identify(connection: &Connection) -> rusqlite::Result<Identity> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok(Identity {
        ours: number("PRAGMA application_id")? == APPLICATION_ID,
        version: usize::try_from(number("PRAGMA user_version")?).unwrap_or(usize::MAX),
        empty: number("SELECT count(*) FROM sqlite_schema")? == 0,
    })
}

impl Identity {
    /// Refuses files of other programs and of newer versions.
    pub(super) fn check(&self, path: &Path) -> Result<(), StoreError> {
        let reason = if !self.ours && !self.empty {
            "this is a SQLite database of another program; name another state directory".to_owned()
        } else if self.version > MIGRATIONS.len() {
            format!(
                "written by a newer Quarterdeck (schema {}, this program knows up to {}); use that version, or another \
                 state directory",
                self.version,
                MIGRATIONS.len()
            )
        } else {
            return Ok(());
        };
        Err(StoreError::new(path, reason))
    }

    /// Whether a writer has to work on the file before it can be read.
    pub(super) fn is_outdated(&self) -> bool {
        self.version < MIGRATIONS.len()
    }
}

/// Creates the tables, or brings those of an older version up to date; all of it or nothing.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    migrate_with(connection, path, MIGRATIONS)
}

fn migrate_with(
    connection: &mut Connection,
    path: &Path,
    scripts: &[&str],
) -> Result<(), StoreError> {
    let mut run = || -> rusqlite::Result<()> {
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let version = identify(&transaction)?.version;
        for script in scripts.iter().skip(version) {
            transaction.execute_batch(script)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(
            None,
            "user_version",
            i64::try_from(scripts.len()).unwrap_or(i64::MAX),
        )?;
        transaction.commit()
    };
    run().map_err(|error| explain(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_keys_keep_runs_apart_and_lines_in_order() {
        assert!(line_key(1, 0) < line_key(1, 1));
        assert!(line_key(1, (1 << SEQ_BITS) - 1) < line_key(2, 0));
        assert_eq!(line_seq(line_key(7, 123_456)), 123_456);
    }

    #[test]
    fn every_stream_survives_its_code() {
        for stream in Stream::ALL {
            assert_eq!(stream_of(stream_code(*stream)), *stream);
        }
    }

    #[test]
    fn every_level_survives_its_code() {
        assert_eq!(level_of(level_code(None)), None);
        for level in Level::ALL {
            assert_eq!(level_of(level_code(Some(*level))), Some(*level));
        }
    }

    #[test]
    fn an_older_file_is_brought_up_to_date_and_keeps_its_rows() {
        let path = Path::new("test.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path).unwrap();
        connection
            .execute("INSERT INTO meta VALUES ('colour', 'green')", [])
            .unwrap();
        let newer = [
            MIGRATIONS,
            &["ALTER TABLE meta ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"],
        ]
        .concat();
        migrate_with(&mut connection, path, &newer).unwrap();
        let row: (String, String) = connection
            .query_row("SELECT value, note FROM meta", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(row, ("green".into(), "none".into()));
        assert_eq!(identify(&connection).unwrap().version, MIGRATIONS.len() + 1);
        assert!(identify(&connection).unwrap().check(path).is_err());
    }

    #[test]
    fn a_failing_migration_leaves_the_file_as_it_was() {
        let path = Path::new("test.db");
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, path).unwrap();
        let broken = [
            MIGRATIONS,
            &["CREATE TABLE half (x INTEGER); CREATE TABLE meta (again TEXT)"],
        ]
        .concat();
        assert!(migrate_with(&mut connection, path, &broken).is_err());
        assert_eq!(identify(&connection).unwrap().version, MIGRATIONS.len());
        assert!(connection.prepare("SELECT x FROM half").is_err());
    }
}
