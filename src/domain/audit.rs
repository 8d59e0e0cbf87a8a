//! The audit: who did what, where, to which plan, and how it came out. Records are only ever added.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operator::Operator;
use super::run::Run;
use super::words;

words! {
    /// What was done, or tried.
    pub enum Act {
        /// An engine took the state directory over; the detail is the hash of its workspace.
        EngineStarted = "engine-started",
        /// An engine ended in good order.
        EngineStopped = "engine-stopped",
        /// A run was accepted, or refused at the gate.
        RunStarted = "run-started",
        /// An operator asked a run to stop.
        RunCancelled = "run-cancelled",
        /// A run came to its end; the outcome is its last state.
        RunEnded = "run-ended",
        /// A run was taken up again.
        RunResumed = "run-resumed",
        /// A plan or a step was approved.
        Approved = "approved",
        /// A plan or a step was refused its approval.
        Refused = "refused",
        /// The lock of an environment was broken.
        LockBroken = "lock-broken",
        /// An operator opened a terminal on a node, or was refused one. What is typed in it is never recorded.
        ShellOpened = "shell-opened",
        /// A terminal came to its end; the outcome is how.
        ShellEnded = "shell-ended",
        /// Something was put on a node, or taken off: a cordon, a label.
        NodeMarked = "node-marked",
        /// A rule was written that drift is meant.
        DriftIgnored = "drift-ignored",
        /// A schedule's time came.
        ScheduleFired = "schedule-fired",
        /// A question was answered: about a host key, or with something secret, which is not recorded.
        Answered = "answered",
        /// Old runs were removed.
        Pruned = "pruned",
        /// The audit and its head did not agree when the store was opened.
        AuditBroken = "audit-broken",
    }
}

/// Something to be recorded.
///
/// ```
/// # use quarterdeck::domain::{audit::{Act, Entry}, operator::Operator};
/// let ada = Operator::new("ada", "bastion", 1000);
/// let entry = Entry::new(Act::LockBroken, "done").by(&ada).on("production").saying("its owner is on leave");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Who; `None` for the engine itself.
    pub who: Option<Operator>,
    /// What.
    pub act: Act,
    /// Where.
    pub environment: Option<String>,
    /// The run's number.
    pub run: Option<i64>,
    /// Hash of the plan it is about.
    pub plan_hash: Option<String>,
    /// How it came out, in a word: `accepted`, `refused`, `done`, `failed`, or the state of a run.
    pub outcome: String,
    /// What else there is to know.
    pub detail: Option<String>,
}

impl Entry {
    /// Something that the engine did by itself, without a place.
    pub fn new(act: Act, outcome: impl Into<String>) -> Self {
        Self {
            who: None,
            act,
            environment: None,
            run: None,
            plan_hash: None,
            outcome: outcome.into(),
            detail: None,
        }
    }

    /// … that this operator did.
    #[must_use]
    pub fn by(mut self, who: &Operator) -> Self {
        self.who = Some(who.clone());
        self
    }

    /// … to this environment.
    #[must_use]
    pub fn on(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// … under the plan with this hash.
    #[must_use]
    pub fn under(mut self, plan_hash: impl Into<String>) -> Self {
        self.plan_hash = Some(plan_hash.into());
        self
    }

    /// … to this run, its environment and its plan.
    #[must_use]
    pub fn of(mut self, run: &Run) -> Self {
        self.run = Some(run.number);
        self.on(&run.environment).under(&run.plan_hash)
    }

    /// … with this to add.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// An entry in its place in the chain.
///
/// `act` is a text, not an [`Act`]: the audit is shown as it is, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Position, from 1 without gaps.
    pub seq: u64,
    /// When, by the engine's clock; order is told by `seq` alone.
    pub at: Timestamp,
    /// Who; `None` for the engine itself.
    pub who: Option<Operator>,
    /// What: the word of an [`Act`].
    pub act: String,
    /// Where.
    pub environment: Option<String>,
    /// The run's number.
    pub run: Option<i64>,
    /// Hash of the plan it is about.
    pub plan_hash: Option<String>,
    /// How it came out.
    pub outcome: String,
    /// What else there is to know.
    pub detail: Option<String>,
    /// Hash of the record before this one, 64 hexadecimal digits; zeros for the first.
    pub prev: String,
    /// Hash of everything above, 64 hexadecimal digits.
    pub hash: String,
}
