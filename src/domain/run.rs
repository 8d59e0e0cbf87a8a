//! Runs and tasks: their identities, state machines, events and log lines.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plan::Origin;
use super::structured::Level;
use super::words;

/// Identifies a run for ever, on every machine; ordered by time (UUID version 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// Where a run stands.
    pub enum RunState {
        /// Accepted and stored; nothing has happened.
        Queued = "queued",
        /// Tasks are being worked on.
        Running = "running",
        /// An operator must approve before it goes on.
        WaitingApproval = "waiting-approval",
        /// Every task ended well.
        Succeeded = "succeeded",
        /// At least one task failed.
        Failed = "failed",
        /// Stopped by an operator.
        Cancelled = "cancelled",
        /// Its engine died.
        Interrupted = "interrupted",
    }
}

impl RunState {
    /// Whether nothing more will happen by itself.
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Interrupted
        )
    }

    /// Whether the state machine allows this step.
    pub const fn may_become(self, next: Self) -> bool {
        use RunState::{
            Cancelled, Failed, Interrupted, Queued, Running, Succeeded, WaitingApproval,
        };
        match self {
            Queued => matches!(
                next,
                Running | WaitingApproval | Cancelled | Interrupted | Failed
            ),
            Running => matches!(
                next,
                WaitingApproval | Succeeded | Failed | Cancelled | Interrupted
            ),
            WaitingApproval => matches!(next, Running | Failed | Cancelled | Interrupted),
            Succeeded | Failed | Cancelled | Interrupted => false,
        }
    }
}

words! {
    /// Where a task stands.
    pub enum TaskState {
        /// Waits for its turn.
        Pending = "pending",
        /// Being worked on.
        Running = "running",
        /// Ended well; nothing had to change.
        Ok = "ok",
        /// Ended well; something was changed (in a dry run: would be).
        Changed = "changed",
        /// Not needed, or not possible because something before it failed.
        Skipped = "skipped",
        /// Ended badly.
        Failed = "failed",
        /// Stopped by an operator.
        Cancelled = "cancelled",
        /// Taken back.
        Undone = "undone",
    }
}

impl TaskState {
    /// Whether the task has ended.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Whether tasks that need this one may begin.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::Changed | Self::Skipped)
    }

    /// Whether the state machine allows this step.
    pub const fn may_become(self, next: Self) -> bool {
        use TaskState::{Cancelled, Changed, Failed, Ok, Pending, Running, Skipped, Undone};
        matches!(
            (self, next),
            (Pending, Running | Skipped | Cancelled)
                | (Running, Ok | Changed | Skipped | Failed | Cancelled)
                | (Changed | Failed | Cancelled, Undone)
        )
    }
}

/// A task: a step, on a host or (with `host: None`) once where the engine runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The step's id within its recipe.
    pub step: String,
    /// The node's name.
    pub host: Option<String>,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => write!(f, "{}@{host}", self.step),
            None => f.write_str(&self.step),
        }
    }
}

/// A task and how it fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Which one.
    pub key: TaskKey,
    /// Where it stands.
    pub state: TaskState,
    /// How many times it was begun; 0 while pending.
    pub attempts: u32,
    /// When it was first begun.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it is in this state, when that is not plain: the error, or the reason for skipping.
    pub reason: Option<String>,
}

impl Task {
    /// A task that waits for its turn.
    pub const fn pending(key: TaskKey) -> Self {
        Self {
            key,
            state: TaskState::Pending,
            attempts: 0,
            started_at: None,
            ended_at: None,
            reason: None,
        }
    }
}

/// The first task that failed and why, and how many more did; `None` when none did.
pub fn first_failure(tasks: &[Task]) -> Option<String> {
    let mut failed = tasks.iter().filter(|task| task.state == TaskState::Failed);
    let first = failed.next()?;
    let why = first.reason.as_deref().unwrap_or("no reason given");
    Some(match failed.count() {
        0 => format!("{} failed: {why}", first.key),
        more => format!("{} failed: {why}; {more} more failed", first.key),
    })
}

/// One execution of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// For ever.
    pub id: RunId,
    /// Counted from 1 in this store; what people say aloud.
    pub number: i64,
    /// The recipe's name.
    pub recipe: String,
    /// The recipe's title.
    pub title: String,
    /// The environment's name.
    pub environment: String,
    /// Whether it only says what it would change.
    pub dry_run: bool,
    /// Where it stands.
    pub state: RunState,
    /// `user@host` of who started it.
    pub started_by: String,
    /// Hash of the plan that was agreed to.
    pub plan_hash: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first task began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended so, in one sentence.
    pub reason: Option<String>,
    /// Tasks by state.
    pub tally: Tally,
    /// Log lines stored so far.
    pub lines: u64,
    /// The earlier run that this one takes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

#[cfg(test)]
impl Run {
    /// Run `number`, for tests: a deployment of the lab that ada began at the beginning of time, without tasks or lines.
    pub(crate) fn sample(number: u32, state: RunState) -> Self {
        Self {
            id: RunId(Uuid::from_u128(number.into())),
            number: number.into(),
            recipe: "deploy".into(),
            title: "Deploy".into(),
            environment: "lab".into(),
            dry_run: false,
            state,
            started_by: "ada@bastion".into(),
            plan_hash: String::new(),
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            reason: None,
            tally: Tally::default(),
            lines: 0,
            origin: None,
        }
    }
}

impl Run {
    /// What its tasks that are [`TaskState::Changed`] did: a dry run changes nothing.
    pub const fn changed_word(&self) -> &'static str {
        if self.dry_run {
            "would change"
        } else {
            "changed"
        }
    }

    /// Whether what is left of it can be asked for, or what it did be taken back: it has ended, and was neither a rehearsal
    /// nor the undoing of another.
    pub const fn can_be_taken_up(&self) -> bool {
        let undoes = matches!(self.origin, Some(Origin::Undo { .. }));
        self.state.is_final() && !self.dry_run && !undoes
    }

    /// What this run has to do with `others`, such as `undoes run 7` or `resumed by run 9`, as far as they are known.
    pub fn kinship(&self, others: &[Self]) -> Vec<String> {
        let verb = |origin: &Origin| match origin {
            Origin::Resume { .. } => ("resumes", "resumed"),
            Origin::Undo { .. } => ("undoes", "undone"),
        };
        // Nothing is undone before that has ended, and not by a run that failed.
        let done = |other: &Self, verb: &str| match other.state {
            RunState::Succeeded => format!("{verb} by run {}", other.number),
            state if state.is_final() => {
                format!("to be {verb} by run {}, which {state}", other.number)
            }
            _ => format!("being {verb} by run {}", other.number),
        };
        let own = self.origin.iter().map(|origin| {
            let earlier = others.iter().find(|other| other.id == origin.run());
            let earlier = earlier.map_or_else(
                || "an older run".into(),
                |other| format!("run {}", other.number),
            );
            format!("{} {earlier}", verb(origin).0)
        });
        let later = others.iter().filter_map(|other| {
            let origin = other.origin.filter(|origin| origin.run() == self.id)?;
            (!other.dry_run).then(|| done(other, verb(&origin).1))
        });
        own.chain(later).collect()
    }
}

/// How many tasks are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Waiting.
    pub pending: u32,
    /// Being worked on.
    pub running: u32,
    /// Nothing had to change.
    pub ok: u32,
    /// Something was changed.
    pub changed: u32,
    /// Not needed or not possible.
    pub skipped: u32,
    /// Failed.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
    /// Taken back.
    pub undone: u32,
}

impl Tally {
    /// Counts one task.
    pub fn add(&mut self, state: TaskState) {
        *self.slot(state) += 1;
    }

    /// Moves one task from a state to another.
    pub fn shift(&mut self, from: TaskState, to: TaskState) {
        let slot = self.slot(from);
        *slot = slot.saturating_sub(1);
        self.add(to);
    }

    /// All tasks.
    pub const fn total(&self) -> u32 {
        self.pending + self.running + self.done()
    }

    /// Tasks that have ended.
    pub const fn done(&self) -> u32 {
        self.ok + self.changed + self.skipped + self.failed + self.cancelled + self.undone
    }

    /// Tasks that were carried out and ended as they should.
    pub const fn well(&self) -> u32 {
        self.ok + self.changed + self.undone
    }

    fn slot(&mut self, state: TaskState) -> &mut u32 {
        match state {
            TaskState::Pending => &mut self.pending,
            TaskState::Running => &mut self.running,
            TaskState::Ok => &mut self.ok,
            TaskState::Changed => &mut self.changed,
            TaskState::Skipped => &mut self.skipped,
            TaskState::Failed => &mut self.failed,
            TaskState::Cancelled => &mut self.cancelled,
            TaskState::Undone => &mut self.undone,
        }
    }
}

words! {
    /// Where a log line came from.
    pub enum Stream {
        /// Standard output of a command.
        Stdout = "stdout",
        /// Standard error of a command.
        Stderr = "stderr",
        /// Quarterdeck itself: what it is about to do and what it found.
        Note = "note",
        /// A line of a unified diff between desired and actual.
        Diff = "diff",
    }
}

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Position in the run's log, from 0 without gaps.
    pub seq: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// The task that wrote it; `None` for the run as a whole.
    pub task: Option<TaskKey>,
    /// Where it came from.
    pub stream: Stream,
    /// How much it matters, when it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The text without its line break.
    pub text: String,
}

/// A transition that was committed to the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvent {
    /// Position among the run's events, from 0 without gaps.
    pub seq: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// What happened.
    pub change: RunChange,
}

/// What a run's event says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum RunChange {
    /// The run moved on.
    Run {
        /// Where to.
        state: RunState,
        /// Why, when that is not plain.
        reason: Option<String>,
    },
    /// A task moved on.
    Task {
        /// Which one.
        key: TaskKey,
        /// Where to.
        state: TaskState,
        /// Which attempt, from 1; 0 for a task that never began.
        attempt: u32,
        /// Why, when that is not plain.
        reason: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_run_state_leads_nowhere() {
        for from in RunState::ALL.iter().filter(|state| state.is_final()) {
            for to in RunState::ALL {
                assert!(!from.may_become(*to), "{from} → {to}");
            }
        }
    }

    #[test]
    fn every_unfinished_task_can_still_end() {
        for from in TaskState::ALL.iter().filter(|state| !state.is_final()) {
            assert!(
                TaskState::ALL
                    .iter()
                    .any(|to| to.is_final() && from.may_become(*to)),
                "{from}"
            );
        }
    }

    #[test]
    fn a_tally_keeps_its_total_while_tasks_move() {
        let mut tally = Tally::default();
        tally.add(TaskState::Pending);
        tally.add(TaskState::Pending);
        tally.shift(TaskState::Pending, TaskState::Running);
        tally.shift(TaskState::Running, TaskState::Changed);
        assert_eq!((tally.total(), tally.done(), tally.changed), (2, 1, 1));
    }
}
