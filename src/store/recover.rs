//! What is done with runs whose engine died: they become *interrupted*, with an account of what was done.
//!
//! Only called with the engine's lock held, so an unfinished run cannot belong to a living engine.

use jiff::Timestamp;
use rusqlite::Connection;

use super::ledger::{Change, Ledger};
use super::rows;
use crate::domain::run::{RunId, RunState, Task, TaskState};

/// Ends every unfinished run; returns their ids.
pub(super) fn interrupt(db: &mut Connection, now: Timestamp) -> rusqlite::Result<Vec<RunId>> {
    let transaction = db.transaction()?;
    let unfinished: Vec<RunId> = transaction
        .prepare(
            "SELECT id FROM runs WHERE state IN ('queued', 'running', 'waiting-approval') ORDER BY number",
        )?
        .query_map([], |row| {
            Ok(RunId(uuid::Uuid::from_bytes(row.get::<_, [u8; 16]>(0)?)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut ledger = Ledger::default();
    for id in &unfinished {
        let tasks = match rows::number_of(&transaction, *id)? {
            Some(number) => rows::tasks(&transaction, number)?,
            None => continue,
        };
        let mut changes: Vec<Change> = tasks
            .iter()
            .zip(0u32..)
            .filter_map(|(task, ordinal)| {
                let (state, reason) = match task.state {
                    TaskState::Running => (
                        TaskState::Failed,
                        "the engine ended while this was in progress; how far it came is not known",
                    ),
                    TaskState::Pending => {
                        (TaskState::Cancelled, "the engine ended before its turn")
                    }
                    _ => return None,
                };
                Some(Change::Task {
                    ordinal,
                    state,
                    attempt: task.attempts,
                    reason: Some(reason.into()),
                })
            })
            .collect();
        changes.push(Change::Run {
            state: RunState::Interrupted,
            reason: Some(account(&tasks)),
        });
        if let Err(refused) = ledger.apply(&transaction, *id, now, &changes)? {
            tracing::error!(run = %id, %refused, "an unfinished run could not be marked interrupted");
        }
    }
    ledger.settle(&transaction)?;
    transaction.commit()?;
    Ok(unfinished)
}

/// One sentence on how far the tasks came.
fn account(tasks: &[Task]) -> String {
    let done = tasks.iter().filter(|task| task.state.is_final()).count();
    let waiting = tasks
        .iter()
        .filter(|task| task.state == TaskState::Pending)
        .count();
    let flying: Vec<String> = tasks
        .iter()
        .filter(|task| task.state == TaskState::Running)
        .map(|task| task.key.to_string())
        .collect();
    let flying = if flying.is_empty() {
        "none in progress".into()
    } else {
        format!("in progress: {}", flying.join(", "))
    };
    format!(
        "the engine ended during this run: {done} of {} tasks done, {flying}, {waiting} not started",
        tasks.len()
    )
}
