//! Reading history: read-only connections, a window at a time.
//!
//! Lines are read and searched as [`super::scan`] does it: a window is a range of the primary key, never an offset.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use super::audit::{self, AuditFilter, Verdict};
use super::erase;
use super::rows::{self, int};
use super::scan::{self, Hit, Slice, Window};
use super::{BadPattern, LineFilter, Pattern, StoreError, open, owed, undo};
use crate::domain::answers::{Answers, Group};
use crate::domain::audit::Record;
use crate::domain::handler::Owed;
use crate::domain::plan::Plan;
use crate::domain::retention::Kept;
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

    /// The handlers that the run still owes, because of what it changed itself or took over with its plan.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn owed(&self, id: RunId, plan: &Plan) -> Result<Vec<Owed>, StoreError> {
        let on_record = self.with(|db| match rows::number_of(db, id)? {
            Some(number) => owed::select(db, number),
            None => Ok(Vec::new()),
        })?;
        let taken_over = plan.owed.iter();
        let taken_over =
            taken_over.filter(|owed| on_record.iter().all(|(known, _)| known != *owed));
        let open = on_record.iter().filter(|(_, settled)| !settled);
        Ok(open
            .map(|(owed, _)| owed)
            .chain(taken_over)
            .cloned()
            .collect())
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

    /// What a run's commands said, grouped by identical answers: see [`Answers`].
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn answers(&self, id: RunId) -> Result<Vec<Group>, StoreError> {
        const WINDOW: usize = 2_000;
        let mut answers = Answers::default();
        let mut next = 0;
        loop {
            let window = self.lines(id, next, WINDOW, &LineFilter::default())?;
            for line in &window {
                answers.take(line);
            }
            next = window.last().map_or(next, |line| line.seq + 1);
            if window.len() < WINDOW {
                return Ok(answers.grouped(&self.tasks(id)?));
            }
        }
    }

    /// At most `limit` lines that match, with `seq >= from`, in order, however far apart they are.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read, or the filter's expression is none.
    pub fn lines(
        &self,
        id: RunId,
        from: u64,
        limit: usize,
        filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        self.slice(&Window::forward(id, from, limit), filter)
            .map(|slice| slice.found)
    }

    /// The last `limit` lines that match, with `seq < before` when given, in order, however far apart they are.
    ///
    /// # Errors
    /// As [`Reader::lines`].
    pub fn lines_before(
        &self,
        id: RunId,
        before: Option<u64>,
        limit: usize,
        filter: &LineFilter,
    ) -> Result<Vec<LogLine>, StoreError> {
        let before = before.unwrap_or(u64::MAX);
        self.slice(&Window::backward(id, before, limit), filter)
            .map(|slice| slice.found)
    }

    /// The lines of a window that match, and how far it was looked at.
    ///
    /// # Errors
    /// As [`Reader::lines`].
    pub fn slice(
        &self,
        window: &Window,
        filter: &LineFilter,
    ) -> Result<Slice<LogLine>, StoreError> {
        let patterns = scan::compile(filter, None).map_err(|bad| self.bad(&bad))?;
        self.with(|db| scan::slice(db, window, filter, &patterns))
    }

    /// The lines of a window that match and that `pattern` finds, each with `context` lines around it. What the filter
    /// says of texts does not hold for those: they are what one reads to understand the match.
    ///
    /// # Errors
    /// As [`Reader::lines`].
    pub fn search(
        &self,
        window: &Window,
        filter: &LineFilter,
        pattern: &Pattern,
        context: usize,
    ) -> Result<Slice<Hit>, StoreError> {
        let patterns = scan::compile(filter, Some(pattern)).map_err(|bad| self.bad(&bad))?;
        self.with(|db| {
            let slice = scan::slice(db, window, filter, &patterns)?;
            let found = slice
                .found
                .into_iter()
                .map(|line| scan::around(db, window.run, line, filter, context))
                .collect::<rusqlite::Result<_>>()?;
            Ok(Slice {
                found,
                reached: slice.reached,
                done: slice.done,
            })
        })
    }

    fn bad(&self, bad: &BadPattern) -> StoreError {
        StoreError::new(&self.pool.path, format!("cannot search for this: {bad}"))
    }

    /// Every run with what it takes, about, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        self.with(erase::kept)
    }

    /// Numbers of runs that are gone and whose lines are not.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn half_erased(&self) -> Result<Vec<i64>, StoreError> {
        self.with(erase::unfinished)
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

    pub(super) fn with<T>(
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
