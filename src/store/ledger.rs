//! What the writer's transactions do: runs created, moved on, lines appended.
//!
//! The [`Ledger`] keeps the unfinished runs in memory beside the tables, so that a transition costs only its writes.
//! When a transaction fails, that memory is dropped and read again from what was committed.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{self, int, stamp};
use super::schema::{level_code, line_key, stream_code};
use crate::domain::plan::Plan;
use crate::domain::run::{
    Run, RunChange, RunEvent, RunId, RunState, Stream, Tally, Task, TaskState,
};
use crate::domain::structured::Level;

/// A run to be created, its tasks as [`Plan::tasks`] has them.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// What it will do.
    pub plan: Plan,
    /// `user@host` of who starts it.
    pub started_by: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// A step of a run's or a task's state machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The run moves on.
    Run {
        /// Where to.
        state: RunState,
        /// Why, when that is not plain.
        reason: Option<String>,
    },
    /// A task moves on. A running task may move to running again with a higher attempt.
    Task {
        /// Its position in the plan, from 0.
        ordinal: u32,
        /// Where to.
        state: TaskState,
        /// Which attempt, from 1; 0 for a task that never began.
        attempt: u32,
        /// Why, when that is not plain.
        reason: Option<String>,
    },
}

/// What was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The run as it is now.
    pub run: Run,
    /// The tasks that moved, as they are now, in the order of the changes.
    pub tasks: Vec<Task>,
    /// The events that were recorded.
    pub events: Vec<RunEvent>,
}

/// A line on its way into a run's log.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// The run.
    pub run: RunId,
    /// The task by its position in the plan; `None` for the run as a whole.
    pub task: Option<u32>,
    /// Where it came from.
    pub stream: Stream,
    /// When it arrived.
    pub at: Timestamp,
    /// The text without its line break.
    pub text: String,
}

/// A change that the ledger refuses without touching anything.
pub(super) type Refused = String;

#[derive(Debug)]
struct Open {
    run: Run,
    tasks: Vec<Task>,
    events: u64,
    touched: bool,
}

/// Unfinished runs, as they are in the current transaction.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: HashMap<RunId, Open>,
}

impl Ledger {
    /// Forgets everything; it is read again when needed.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    fn open(&mut self, db: &Connection, id: RunId) -> rusqlite::Result<Option<&mut Open>> {
        use std::collections::hash_map::Entry;
        let vacant = match self.open.entry(id) {
            Entry::Occupied(open) => return Ok(Some(open.into_mut())),
            Entry::Vacant(vacant) => vacant,
        };
        let found = db
            .prepare_cached(&format!(
                "SELECT {}, events FROM runs WHERE id = ?1",
                rows::RUN_COLUMNS
            ))?
            .query_row([id.0.as_bytes()], |row| {
                Ok((rows::run(row)?, rows::count(row, 16)?))
            })
            .optional()?;
        let Some((run, events)) = found else {
            return Ok(None);
        };
        let tasks = rows::tasks(db, run.number)?;
        Ok(Some(vacant.insert(Open {
            run,
            tasks,
            events,
            touched: false,
        })))
    }

    /// Stores a run with its plan and tasks.
    pub(super) fn create(&mut self, db: &Connection, new: &NewRun) -> rusqlite::Result<Run> {
        let tasks = new.plan.tasks();
        let mut tally = Tally::default();
        for task in &tasks {
            tally.add(task.state);
        }
        let request = &new.plan.request;
        db.prepare_cached(
            "INSERT INTO runs (id, recipe, title, environment, dry_run, state, started_by, plan_hash, created_at, tally, \
             lines, events, origin, origin_run) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, ?11, ?12)",
        )?
        .execute(params![
            new.id.0.as_bytes(),
            request.recipe,
            new.plan.title,
            request.environment,
            request.dry_run,
            RunState::Queued.word(),
            new.started_by,
            new.plan.hash,
            stamp(new.at),
            json(&tally)?,
            request.origin.as_ref().map(json).transpose()?,
            request.origin.map(|origin| *origin.run().0.as_bytes()),
        ])?;
        let number = db.last_insert_rowid();
        db.prepare_cached("INSERT INTO plans (run, plan) VALUES (?1, ?2)")?
            .execute(params![number, json(&new.plan)?])?;
        let mut insert = db.prepare_cached(
            "INSERT INTO tasks (run, ordinal, step, host, state, attempts, started_at, ended_at, reason) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for (ordinal, task) in tasks.iter().enumerate() {
            insert.execute(params![
                number,
                int(ordinal),
                task.key.step,
                task.key.host,
                task.state.word(),
                task.attempts,
                task.started_at.map(stamp),
                task.ended_at.map(stamp),
                task.reason,
            ])?;
        }
        let run = Run {
            id: new.id,
            number,
            recipe: request.recipe.clone(),
            title: new.plan.title.clone(),
            environment: request.environment.clone(),
            dry_run: request.dry_run,
            state: RunState::Queued,
            started_by: new.started_by.clone(),
            plan_hash: new.plan.hash.clone(),
            created_at: new.at,
            started_at: None,
            ended_at: None,
            reason: None,
            tally,
            lines: 0,
            origin: request.origin,
        };
        let mut open = Open {
            run: run.clone(),
            tasks,
            events: 0,
            touched: true,
        };
        let change = RunChange::Run {
            state: RunState::Queued,
            reason: None,
        };
        open.record(db, new.at, None, change)?;
        self.open.insert(new.id, open);
        Ok(run)
    }

    /// Moves a run and its tasks on, all of it or (when one change is not allowed) nothing.
    pub(super) fn apply(
        &mut self,
        db: &Connection,
        id: RunId,
        at: Timestamp,
        changes: &[Change],
    ) -> rusqlite::Result<Result<Committed, Refused>> {
        let Some(open) = self.open(db, id)? else {
            return Ok(Err(format!("there is no run {id}")));
        };
        if let Err(refused) = open.allows(changes) {
            return Ok(Err(refused));
        }
        open.touched = true;
        let mut committed = Committed {
            run: open.run.clone(),
            tasks: Vec::new(),
            events: Vec::with_capacity(changes.len()),
        };
        for change in changes {
            let event = match change {
                Change::Run { state, reason } => open.move_run(db, at, *state, reason.as_ref())?,
                Change::Task {
                    ordinal,
                    state,
                    attempt,
                    reason,
                } => {
                    let event =
                        open.move_task(db, at, *ordinal, *state, *attempt, reason.as_ref())?;
                    committed.tasks.push(open.tasks[*ordinal as usize].clone());
                    event
                }
            };
            committed.events.push(event);
        }
        committed.run = open.run.clone();
        Ok(Ok(committed))
    }

    /// Appends a line and says how many the run has now; `None` when there is no such run.
    pub(super) fn line(
        &mut self,
        db: &Connection,
        insert: &mut rusqlite::CachedStatement<'_>,
        line: &NewLine,
        level: Option<Level>,
    ) -> rusqlite::Result<Option<u64>> {
        let Some(open) = self.open(db, line.run)? else {
            return Ok(None);
        };
        insert.execute(params![
            line_key(open.run.number, open.run.lines),
            stamp(line.at),
            line.task,
            stream_code(line.stream),
            line.text,
            level_code(level),
        ])?;
        open.run.lines += 1;
        open.touched = true;
        Ok(Some(open.run.lines))
    }

    /// Writes the rows of the runs that were touched; the last thing before a commit.
    pub(super) fn settle(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut update = db.prepare_cached(
            "UPDATE runs SET state = ?2, started_at = ?3, ended_at = ?4, reason = ?5, tally = ?6, lines = ?7, events = ?8 \
             WHERE number = ?1",
        )?;
        for open in self.open.values_mut().filter(|open| open.touched) {
            let run = &open.run;
            update.execute(params![
                run.number,
                run.state.word(),
                run.started_at.map(stamp),
                run.ended_at.map(stamp),
                run.reason,
                json(&run.tally)?,
                int(run.lines),
                int(open.events),
            ])?;
            open.touched = false;
        }
        Ok(())
    }

    /// Lets go of finished runs; the first thing after a commit.
    pub(super) fn close_finished(&mut self) {
        self.open.retain(|_, open| !open.run.state.is_final());
    }
}

impl Open {
    fn allows(&self, changes: &[Change]) -> Result<(), Refused> {
        let mut run = self.run.state;
        for (index, change) in changes.iter().enumerate() {
            match change {
                Change::Run { state, .. } => {
                    if !run.may_become(*state) {
                        return Err(format!("a run that is {run} cannot become {state}"));
                    }
                    run = *state;
                }
                Change::Task {
                    ordinal,
                    state,
                    attempt,
                    ..
                } => {
                    let Some(task) = self.tasks.get(*ordinal as usize) else {
                        return Err(format!("the run has no task {ordinal}"));
                    };
                    // The same task twice in one commit is allowed; the later change counts from the earlier one.
                    let from = changes[..index]
                        .iter()
                        .rev()
                        .find_map(|earlier| match earlier {
                            Change::Task {
                                ordinal: other,
                                state,
                                ..
                            } if other == ordinal => Some(*state),
                            _ => None,
                        })
                        .unwrap_or(task.state);
                    let again = from == TaskState::Running
                        && *state == TaskState::Running
                        && *attempt > task.attempts;
                    if !again && !from.may_become(*state) {
                        return Err(format!(
                            "task {} that is {from} cannot become {state}",
                            task.key
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn move_run(
        &mut self,
        db: &Connection,
        at: Timestamp,
        state: RunState,
        reason: Option<&String>,
    ) -> rusqlite::Result<RunEvent> {
        let run = &mut self.run;
        run.state = state;
        run.reason = reason.cloned();
        if state == RunState::Running && run.started_at.is_none() {
            run.started_at = Some(at);
        }
        if state.is_final() {
            // A clock that was set back must not make a run end before it began.
            run.ended_at = Some(run.started_at.map_or(at, |began| at.max(began)));
        }
        let change = RunChange::Run {
            state,
            reason: reason.cloned(),
        };
        self.record(db, at, None, change)
    }

    fn move_task(
        &mut self,
        db: &Connection,
        at: Timestamp,
        ordinal: u32,
        state: TaskState,
        attempt: u32,
        reason: Option<&String>,
    ) -> rusqlite::Result<RunEvent> {
        let task = &mut self.tasks[ordinal as usize];
        self.run.tally.shift(task.state, state);
        task.state = state;
        task.attempts = attempt;
        task.reason = reason.cloned();
        if state == TaskState::Running && task.started_at.is_none() {
            task.started_at = Some(at);
        }
        // A task that is taken back keeps the time of its end, by which others are taken back in order.
        if state.is_final() && state != TaskState::Undone {
            task.ended_at = Some(task.started_at.map_or(at, |began| at.max(began)));
        }
        db.prepare_cached(
            "UPDATE tasks SET state = ?3, attempts = ?4, started_at = ?5, ended_at = ?6, reason = ?7 \
             WHERE run = ?1 AND ordinal = ?2",
        )?
        .execute(params![
            self.run.number,
            ordinal,
            state.word(),
            attempt,
            task.started_at.map(stamp),
            task.ended_at.map(stamp),
            task.reason,
        ])?;
        let change = RunChange::Task {
            key: task.key.clone(),
            state,
            attempt,
            reason: reason.cloned(),
        };
        self.record(db, at, Some(ordinal), change)
    }

    fn record(
        &mut self,
        db: &Connection,
        at: Timestamp,
        task: Option<u32>,
        change: RunChange,
    ) -> rusqlite::Result<RunEvent> {
        let (state, attempt, reason) = match &change {
            RunChange::Run { state, reason } => (state.word(), 0, reason),
            RunChange::Task {
                state,
                attempt,
                reason,
                ..
            } => (state.word(), *attempt, reason),
        };
        db.prepare_cached(
            "INSERT INTO events (run, seq, at, task, state, attempt, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            self.run.number,
            int(self.events),
            stamp(at),
            task,
            state,
            attempt,
            reason
        ])?;
        let event = RunEvent {
            seq: self.events,
            at,
            change,
        };
        self.events += 1;
        Ok(event)
    }
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
