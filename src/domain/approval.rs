//! Approvals: an operator's word on exactly one plan, good for one run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::RunId;
use super::words;

words! {
    /// What an operator decides.
    pub enum Decision {
        /// It may go on.
        Approve = "approve",
        /// It may not.
        Refuse = "refuse",
    }
}

words! {
    /// Who may approve.
    pub enum Approver {
        /// Any operator, also the one who started the run.
        Anyone = "anyone",
        /// Another operator than the one who started the run, in a session of his own.
        Second = "second",
    }
}

words! {
    /// What became of a decision.
    pub enum Fate {
        /// It counted.
        Used = "used",
        /// It did not count: what the plan was made from had moved.
        Void = "void",
    }
}

/// A decision that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The step that asked; `None` for the run as a whole.
    pub step: Option<String>,
    /// Hash of the plan that it is for.
    pub hash: String,
    /// What was decided.
    pub decision: Decision,
    /// `user@host` of who decided.
    pub by: String,
    /// His user id, as the kernel gives it.
    pub uid: u32,
    /// Fingerprint of the SSH key of his session, where that is told.
    pub key: Option<String>,
    /// What he said.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// Something that waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// The environment's name.
    pub environment: String,
    /// The step that asks; `None` when the run has not begun and asks as a whole.
    pub step: Option<String>,
    /// What is asked.
    pub text: String,
    /// What it is about, line by line, where that is more than the run's plan: the changes that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// Who may approve.
    pub approver: Approver,
    /// `user@host` of who started the run.
    pub asked_by: String,
    /// Hash of the run's plan.
    pub plan: String,
    /// Hash of the plan and of what is asked about besides, where there is such; an approval names it.
    pub hash: String,
    /// Since when it waits.
    pub since: Timestamp,
}
