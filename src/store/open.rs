//! Opening the database file: permissions, the lock of the one engine, and errors that say what to do.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{StoreError, damage, schema};

/// The database's name within the state directory.
const FILE: &str = "quarterdeck.db";
/// The lock's name within the state directory. Holds the process id of the engine that has it.
pub(super) const LOCK: &str = "engine.lock";
/// How long SQLite waits for another connection before it says "busy".
const BUSY: Duration = Duration::from_secs(5);

/// Where the database is within the state directory.
pub fn database_path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// Opens the database for writing; creates directory (0700), file (0600) and tables where there are none.
pub(super) fn for_writing(state_dir: &Path) -> Result<(Connection, File), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state_dir)
        .map_err(|error| io(state_dir, &error))?;
    let (lock, was_cut_off) = lock(&state_dir.join(LOCK))?;
    let path = database_path(state_dir);
    // Made here and not by SQLite so that it is never readable by others; its -wal and -shm take over the mode.
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| io(&path, &error))?;
    let sqlite = |error: rusqlite::Error| explain(&path, &error);
    let mut connection = Connection::open_with_flags(
        &path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(sqlite)?;
    connection.busy_timeout(BUSY).map_err(sqlite)?;
    look_for_damage(&connection, &path, was_cut_off)?;
    schema::identify(&connection)
        .map_err(sqlite)?
        .check(&path)?;
    connection
        .execute_batch(
            // The first only takes hold of a file without tables: what is removed later can be given back in small pieces.
            "PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(sqlite)?;
    schema::migrate(&mut connection, &path)?;
    Ok((connection, lock))
}

/// Brings the tables of the database at `path` up to date without touching their rows: for copies that nobody writes to.
///
/// # Errors
/// [`StoreError`] when it is damaged, foreign, or cannot be written.
pub fn upgrade(path: &Path) -> Result<(), StoreError> {
    let mut connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(|error| explain(path, &error))?;
    schema::identify(&connection)
        .map_err(|error| explain(path, &error))?
        .check(path)?;
    schema::migrate(&mut connection, path)
}

/// Opens the database for reading only.
pub(super) fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let look = |connection: Connection| -> rusqlite::Result<(Connection, schema::Identity)> {
        connection.busy_timeout(BUSY)?;
        let identity = schema::identify(&connection)?;
        Ok((connection, identity))
    };
    if !path.exists() {
        return Err(StoreError::new(
            path,
            "there is no history here yet; it begins with the first engine that is started",
        ));
    }
    let (connection, identity) = Connection::open_with_flags(path, flags)
        .and_then(look)
        .or_else(|error| {
            // Even a reader of a WAL database wants to create its -shm file. In a directory that it must not write to,
            // the file can still be read as it lies, as long as no log of unmerged changes lies beside it.
            if wal_of(path).exists() || !is_access(&error) {
                return Err(error);
            }
            let uri = format!("file:{}?immutable=1", percent(path));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).and_then(look)
        })
        .map_err(|error| explain(path, &error))?;
    identity.check(path)?;
    if identity.is_outdated() {
        return Err(StoreError::new(
            path,
            "written by an older Quarterdeck; start the engine once, it brings the file up to date",
        ));
    }
    Ok(connection)
}

pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn percent(path: &Path) -> String {
    let mut out = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                out.push(char::from(*byte));
            }
            other => {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

/// Takes the advisory lock of the state directory; the returned file holds it until it is closed. Also says whether the
/// last one to hold it ended without [`release`].
pub(super) fn lock(path: &Path) -> Result<(File, bool), StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| io(path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Only decorates the message; the lock itself is what counts.
            let _ = file.read_to_string(&mut owner);
            let owner = owner.trim();
            let owner = if owner.is_empty() { "unknown" } else { owner };
            let reason = format!(
                "another engine (process {owner}) is using this state directory; end it first, or name another directory"
            );
            return Err(StoreError {
                is_taken: true,
                ..StoreError::new(path, reason)
            });
        }
        Err(TryLockError::Error(error)) => return Err(io(path, &error)),
    }
    let was_cut_off = file.metadata().is_ok_and(|file| file.len() > 0);
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| io(path, &error))?;
    Ok((file, was_cut_off))
}

/// Gives the lock up in good order: the next one need not look for damage.
pub(super) fn release(lock: &File) {
    if let Err(error) = lock.set_len(0) {
        tracing::warn!(%error, "the lock file cannot be emptied; the store will be looked through when it is opened next");
    }
}

/// After an end that was not in good order, or when the file is too short: looks through it, and keeps a copy of one that is
/// damaged.
fn look_for_damage(
    connection: &Connection,
    path: &Path,
    was_cut_off: bool,
) -> Result<(), StoreError> {
    // With a write-ahead log beside it, the file itself may lag behind.
    let cut = !wal_of(path).exists() && damage::is_cut(path).map_err(|error| io(path, &error))?;
    if !was_cut_off && !cut {
        return Ok(());
    }
    let finding = damage::look(connection, path, false).map_err(|error| explain(path, &error))?;
    let finding = finding.or_else(|| cut.then(|| "it is shorter than its header says".into()));
    let Some(finding) = finding else {
        return Ok(());
    };
    let kept = match damage::keep_copy(path) {
        Ok(copy) => format!("a copy is kept as {}", copy.display()),
        Err(error) => format!("no copy could be made of it: {error}"),
    };
    Err(StoreError::new(
        path,
        format!(
            "the file is damaged: {finding}; {kept}. `quarterdeck store recover` saves what can be read and begins anew with \
             that; nothing is changed until then"
        ),
    ))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; Quarterdeck must be able to write here, or name another state directory"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room and try again",
        _ => "",
    };
    StoreError::new(path, format!("{error}{advice}"))
}

fn code(error: &rusqlite::Error) -> Option<ErrorCode> {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => Some(failure.code),
        _ => None,
    }
}

fn is_access(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied)
    )
}

/// Whether the same write may succeed when it is tried again a little later.
pub(super) fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(
        code(error),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
        )
    )
}

/// SQLite's error with what it means here and what to do.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let advice = match code(error) {
        Some(ErrorCode::NotADatabase) => {
            "this is not a Quarterdeck store, or it was overwritten; it is left as it is: move it away to begin with an \
             empty history"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "the file is damaged; it is left as it is: `quarterdeck store recover` saves what can be read and begins anew with \
             that"
        }
        Some(ErrorCode::DiskFull) => "the disk is full; make room and try again",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "the file or its directory cannot be written; correct the permissions, or name another state directory"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the file locked; end it and try again"
        }
        _ => "",
    };
    let reason = if advice.is_empty() {
        error.to_string()
    } else {
        format!("{advice} ({error})")
    };
    StoreError::new(path, reason)
}
