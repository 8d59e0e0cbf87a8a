//! Reading history: read-only connections, a window at a time.
//!
//! Steps, hosts and streams are filtered by SQLite. Text is compared here, row by row as SQLite hands them out, because
//! SQLite's own `LIKE` ignores letter case only for ASCII. A window is a range of the primary key, never an offset.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::audit::{self, AuditFilter, Verdict};
use super::rows::{self, int};
use super::schema::{line_key, line_seq, stream_code, stream_of};
use super::{LineFilter, StoreError, open, undo};
use crate::domain::audit::Record;
use crate::domain::plan::Plan;
use crate::domain::run::{LogLine, Run, RunChange, RunEvent, RunId, Task, TaskKey};
use crate::domain::undo::Remembered;

/// Connections kept for the next caller.
const IDLE: usize = 4;

/// Reads history; cheap to clone, opens its own read-only connections.
///
/// All reading is synchronous: from async code call it in a blocking task.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Reader {
    /// A reader of the database at `path`, which must exist.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open::for_reading(path)?;
        Ok(Self {
            pool: Arc::new(Pool {
                path: path.to_owned(),
                idle: Mutex::new(vec![connection]),
            }),
        })
    }

    /// The newest runs, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn runs(&self, limit: usize) -> Result<Vec<Run>, StoreError> {
        self.with(|db| {
            db.prepare_cached(&format!(
                "SELECT {} FROM runs ORDER BY number DESC LIMIT ?1",
                rows::RUN_COLUMNS
            ))?
            .query_map([int(limit)], rows::run)?
            .collect()
        })
    }

    /// The run with this id.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.with(|db| {
            db.prepare_cached(&format!(
                "SELECT {} FROM runs WHERE id = ?1",
                rows::RUN_COLUMNS
            ))?
            .query_row([id.0.as_bytes()], rows::run)
            .optional()
        })
    }

    /// The run with this number.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn run_by_number(&self, number: i64) -> Result<Option<Run>, StoreError> {
        self.with(|db| {
            db.prepare_cached(&format!(
                "SELECT {} FROM runs WHERE number = ?1",
                rows::RUN_COLUMNS
            ))?
            .query_row([number], rows::run)
            .optional()
        })
    }

    /// The runs that took this one up, by resuming or undoing it, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn descendants(&self, id: RunId) -> Result<Vec<Run>, StoreError> {
        self.with(|db| {
            db.prepare_cached(&format!(
                "SELECT {} FROM runs WHERE origin_run = ?1 ORDER BY number",
                rows::RUN_COLUMNS
            ))?
            .query_map([id.0.as_bytes()], rows::run)?
            .collect()
        })
    }

    /// The plan the run was started from.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn plan(&self, id: RunId) -> Result<Option<Plan>, StoreError> {
        let text: Option<String> = self.with(|db| {
            db.prepare_cached(
                "SELECT plan FROM plans WHERE run = (SELECT number FROM runs WHERE id = ?1)",
            )?
            .query_row([id.0.as_bytes()], |row| row.get(0))
            .optional()
        })?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| {
                StoreError::new(
                    &self.pool.path,
                    format!("the plan of run {id} cannot be read: {error}"),
                )
            })
    }

    /// The run's tasks in the order of its plan.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn tasks(&self, id: RunId) -> Result<Vec<Task>, StoreError> {
        self.with(|db| match rows::number_of(db, id)? {
            Some(number) => rows::tasks(db, number),
            None => Ok(Vec::new()),
        })
    }

    /// What the run recorded before each of its changes, in the order of its plan.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn remembered(&self, id: RunId) -> Result<Vec<Remembered>, StoreError> {
        self.with(|db| match rows::number_of(db, id)? {
            Some(number) => undo::select(db, number),
            None => Ok(Vec::new()),
        })
    }

    /// The run's events from `from` on.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn events(&self, id: RunId, from: u64) -> Result<Vec<RunEvent>, StoreError> {
        self.with(|db| {
            let Some(number) = rows::number_of(db, id)? else {
                return Ok(Vec::new());
            };
            db.prepare_cached(
                "SELECT e.seq, e.at, e.state, e.attempt, e.reason, e.task, t.step, t.host \
                 FROM events e LEFT JOIN tasks t ON t.run = e.run AND t.ordinal = e.task \
                 WHERE e.run = ?1 AND e.seq >= ?2 ORDER BY e.seq",
            )?
            .query_map(params![number, int(from)], event)?
            .collect()
        })
    }

    /// At most `limit` lines that match, with `seq >= from`, in order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn lines(
        &self,
        id: RunId,
        from: u64,
        limit: usize,
        filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        self.window(id, from, u64::MAX, Order::Forward, limit, filter)
    }

    /// The last `limit` lines that match, with `seq < before` when given, in order.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn lines_before(
        &self,
        id: RunId,
        before: Option<u64>,
        limit: usize,
        filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        let before = before.unwrap_or(u64::MAX);
        let mut lines = self.window(id, 0, before, Order::Backward, limit, filter)?;
        lines.reverse();
        Ok(lines)
    }

    /// The records of the audit that match, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn audit(&self, filter: &AuditFilter) -> Result<Vec<Record>, StoreError> {
        self.with(|db| audit::list(db, filter))
    }

    /// Checks the whole audit, record by record, and its head.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn verify_audit(&self) -> Result<Verdict, StoreError> {
        self.with(|db| audit::verify(db, &self.pool.path))
    }

    fn window(
        &self,
        id: RunId,
        from: u64,
        before: u64,
        order: Order,
        limit: usize,
        filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        let pattern = filter
            .text
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(ignoring_case)
            .transpose()
            .map_err(|reason| StoreError::new(&self.pool.path, reason))?;
        self.with(|db| {
            let Some(number) = rows::number_of(db, id)? else {
                return Ok(Vec::new());
            };
            let mut conditions = String::new();
            if filter.step.is_some() || filter.host.is_some() {
                let ordinals: Vec<i64> = db
                    .prepare_cached(
                        "SELECT ordinal FROM tasks WHERE run = ?1 AND (?2 IS NULL OR step = ?2) \
                         AND (?3 IS NULL OR host = ?3) ORDER BY ordinal",
                    )?
                    .query_map(params![number, filter.step, filter.host], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                conditions = format!(" AND task IN ({})", join(ordinals));
            }
            if !filter.streams.is_empty() {
                let codes = filter.streams.iter().map(|stream| stream_code(*stream));
                conditions = format!("{conditions} AND stream IN ({})", join(codes));
            }
            let direction = match order {
                Order::Forward => "ASC",
                Order::Backward => "DESC",
            };
            // Only numbers of our own are put into the text.
            let sql = format!(
                "SELECT key, at, task, stream, text FROM lines WHERE key >= ?1 AND key < ?2{conditions} \
                 ORDER BY key {direction}"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let mut found =
                statement.query([line_key(number, from), line_key(number, before)])?;
            let mut names = Names::new(db, number);
            let mut lines = Vec::with_capacity(limit.min(1024));
            while lines.len() < limit {
                let Some(row) = found.next()? else { break };
                let text = match row.get_ref(4)? {
                    ValueRef::Text(bytes) => String::from_utf8_lossy(bytes),
                    _ => continue,
                };
                if pattern
                    .as_ref()
                    .is_some_and(|pattern| !pattern.is_match(&text))
                {
                    continue;
                }
                lines.push(LogLine {
                    seq: line_seq(row.get(0)?),
                    at: rows::instant(row, 1)?,
                    task: names.of(row.get(2)?)?,
                    stream: stream_of(row.get(3)?),
                    text: text.into_owned(),
                });
            }
            Ok(lines)
        })
    }

    fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let kept = self.pool.idle().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => open::for_reading(&self.pool.path)?,
        };
        let result = read(&connection);
        let mut idle = self.pool.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        result.map_err(|error| open::explain(&self.pool.path, &error))
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum Order {
    Forward,
    Backward,
}

/// The names of a run's tasks, looked up when first needed: a window shows few of them.
struct Names<'a> {
    db: &'a Connection,
    number: i64,
    known: HashMap<u32, TaskKey>,
}

impl<'a> Names<'a> {
    fn new(db: &'a Connection, number: i64) -> Self {
        Self {
            db,
            number,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, ordinal: Option<u32>) -> rusqlite::Result<Option<TaskKey>> {
        let Some(ordinal) = ordinal else {
            return Ok(None);
        };
        if let Some(key) = self.known.get(&ordinal) {
            return Ok(Some(key.clone()));
        }
        let key = self
            .db
            .prepare_cached("SELECT step, host FROM tasks WHERE run = ?1 AND ordinal = ?2")?
            .query_row(params![self.number, ordinal], |row| {
                Ok(TaskKey {
                    step: row.get(0)?,
                    host: row.get(1)?,
                })
            })
            .optional()?;
        if let Some(key) = &key {
            self.known.insert(ordinal, key.clone());
        }
        Ok(key)
    }
}

fn event(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunEvent> {
    let reason = row.get(4)?;
    let task: Option<i64> = row.get(5)?;
    let change = if task.is_some() {
        RunChange::Task {
            key: TaskKey {
                step: row.get(6)?,
                host: row.get(7)?,
            },
            state: rows::word(row, 2)?,
            attempt: row.get(3)?,
            reason,
        }
    } else {
        RunChange::Run {
            state: rows::word(row, 2)?,
            reason,
        }
    };
    Ok(RunEvent {
        seq: rows::count(row, 0)?,
        at: rows::instant(row, 1)?,
        change,
    })
}

fn ignoring_case(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(&regex::escape(text))
        .case_insensitive(true)
        .build()
        .map_err(|error| format!("cannot search for this text: {error}"))
}

fn join(numbers: impl IntoIterator<Item = i64>) -> String {
    numbers
        .into_iter()
        .map(|number| number.to_string())
        .collect::<Vec<_>>()
        .join(",")
}
