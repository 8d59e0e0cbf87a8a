//! Schedules: recipes that an environment runs by itself at set times.
//!
//! A schedule is consent given in advance, in a file that people review. It goes only as far as a yes goes: where an
//! environment asks for its name to be typed or for a second operator, a schedule may look but not change.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::{Gate, Risk};
use super::environment::Protection;
use super::plan::PlanRequest;
use super::run::{RunId, RunState};
use super::timing::Timing;
use super::words;

words! {
    /// What is done about due times that passed while the engine was not there.
    pub enum Missed {
        /// One run for all of them, as soon as possible.
        RunOnce = "run-once",
        /// Nothing but a note.
        Skip = "skip",
    }
}

words! {
    /// What became of a due time.
    pub enum Outcome {
        /// Noted before the run begins; what remains of it when the engine died right then.
        Starting = "starting",
        /// A run was started.
        Started = "started",
        /// No run: something stood in the way, or it was missed.
        Skipped = "skipped",
        /// The run could not be planned or started.
        Refused = "refused",
    }
}

/// A recipe with its parameters, and when it is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The environment's name.
    pub environment: String,
    /// Unique within the environment.
    pub name: String,
    /// The recipe's name.
    pub recipe: String,
    /// Values for the recipe's parameters.
    pub params: BTreeMap<String, Value>,
    /// Only these nodes; empty means all that the recipe selects.
    pub nodes: Vec<String>,
    /// When.
    pub timing: Timing,
    /// What is done about missed times.
    pub missed: Missed,
    /// Whether the file switches it on.
    pub enabled: bool,
}

impl Schedule {
    /// What is asked for when it is due.
    pub fn request(&self) -> PlanRequest {
        PlanRequest {
            environment: self.environment.clone(),
            recipe: self.recipe.clone(),
            params: self.params.clone(),
            nodes: self.nodes.clone(),
            ..PlanRequest::default()
        }
    }
}

/// The gate that a schedule cannot pass by itself, if that is what an action of `risk` finds in an environment of
/// `protection`.
pub fn shut_to_schedules(risk: Risk, protection: Protection, read_only: bool) -> Option<Gate> {
    match Gate::of(risk, protection, read_only) {
        Gate::Open | Gate::Confirm => None,
        gate => Some(gate),
    }
}

/// What is remembered of a schedule from one engine to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Every due time up to here has been dealt with.
    pub settled: Timestamp,
    /// Who paused it (`user@host`), if somebody did.
    pub paused_by: Option<String>,
    /// The newest due time that something became of.
    pub last_due: Option<Timestamp>,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Why, when that is not plain.
    pub reason: Option<String>,
    /// The newest run.
    pub last_run: Option<RunId>,
    /// How that run stands, or ended.
    pub run_state: Option<RunState>,
    /// Runs that failed, or due times that were refused, since one last went well.
    pub failures: u32,
}

impl Memory {
    /// A schedule that is seen for the first time at `now`: nothing before that is owed.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            settled: now,
            paused_by: None,
            last_due: None,
            outcome: None,
            reason: None,
            last_run: None,
            run_state: None,
            failures: 0,
        }
    }
}

/// A schedule as clients see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// The environment's name.
    pub environment: String,
    /// Unique within the environment.
    pub name: String,
    /// The recipe's name.
    pub recipe: String,
    /// When, as it is written.
    pub cron: String,
    /// In which time zone.
    pub timezone: String,
    /// What is done about missed times.
    pub missed: Missed,
    /// Whether the file switches it on.
    pub enabled: bool,
    /// The next three due times; empty while it is switched off or paused.
    pub next: Vec<Timestamp>,
    /// The number of the newest run.
    pub last_run_number: Option<i64>,
    /// What is remembered.
    #[serde(flatten)]
    pub memory: Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_passes_where_a_yes_passes_and_nowhere_else() {
        use Protection::{Confirm, Open, TwoPerson, Typed};
        for (risk, protection, passes) in [
            (Risk::Read, TwoPerson, true),
            (Risk::Change, Open, true),
            (Risk::Change, Confirm, true),
            (Risk::Destroy, Open, true),
            (Risk::Destroy, Confirm, false),
            (Risk::Change, Typed, false),
            (Risk::Change, TwoPerson, false),
        ] {
            assert_eq!(
                shut_to_schedules(risk, protection, false).is_none(),
                passes,
                "{risk} {protection}"
            );
        }
        assert!(shut_to_schedules(Risk::Change, Open, true).is_some());
        assert!(shut_to_schedules(Risk::Read, Open, true).is_none());
    }
}
