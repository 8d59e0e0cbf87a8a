//! What the engine writes into the audit: one function per kind of act, called before the act is carried out.
//!
//! Whoever adds a kind of request adds its function here. Texts are redacted; when the record cannot be stored, the act
//! does not happen.

use sha2::{Digest as _, Sha256};

use crate::client::{Refusal, Workspace};
use crate::clock::SharedClock;
use crate::domain::approval::{Approval, Decision, Waiting};
use crate::domain::audit::{Act, Entry};
use crate::domain::hex;
use crate::domain::live::Lock;
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::domain::retention::Kept;
use crate::domain::run::Run;
use crate::store::{Handle, Redactor};

/// Runs that are named in one record.
const NAMED: usize = 100;

/// The engine's pen; clones write into the same book.
#[derive(Clone)]
pub(super) struct Audit {
    store: Handle,
    redactor: Redactor,
    clock: SharedClock,
}

impl Audit {
    pub(super) const fn new(store: Handle, redactor: Redactor, clock: SharedClock) -> Self {
        Self {
            store,
            redactor,
            clock,
        }
    }

    /// Stores an entry; returns when it is on the disk.
    ///
    /// # Errors
    /// [`Refusal`] when it could not be stored: then what it tells of must not happen.
    pub(super) async fn write(&self, mut entry: Entry) -> Result<(), Refusal> {
        entry.detail = entry.detail.map(|detail| self.redactor.cleaned(detail));
        self.store
            .audit(self.clock.now(), entry)
            .await
            .map(drop)
            .map_err(|error| Refusal::new(format!("the audit cannot be written: {error}")))
    }

    /// As [`Audit::write`], for what has happened already.
    async fn note(&self, entry: Entry) {
        if let Err(refusal) = self.write(entry).await {
            tracing::error!(%refusal, "something is missing in the audit");
        }
    }

    /// An engine took over.
    pub(super) async fn engine_started(&self, workspace: &Workspace) {
        let entry = Entry::new(Act::EngineStarted, "done").saying(format!(
            "Quarterdeck {}, process {}, workspace {} with hash {}",
            env!("CARGO_PKG_VERSION"),
            std::process::id(),
            workspace.name,
            workspace_hash(workspace)
        ));
        self.note(entry).await;
    }

    /// The engine ends in good order.
    pub(super) async fn engine_stopped(&self) {
        self.note(Entry::new(Act::EngineStopped, "done")).await;
    }

    /// A plan was not started: the gate, a lock, or something that moved.
    pub(super) async fn run_refused(
        &self,
        who: &Operator,
        plan: Option<&Plan>,
        hash: &str,
        why: &Refusal,
    ) {
        let mut entry = Entry::new(Act::RunStarted, "refused")
            .by(who)
            .under(hash)
            .saying(match plan {
                Some(plan) => format!("{}: {}", plan.title, why.message),
                None => why.message.clone(),
            });
        entry.environment = plan.map(|plan| plan.request.environment.clone());
        self.note(entry).await;
    }

    /// A run was accepted.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn run_started(&self, who: &Operator, run: &Run) -> Result<(), Refusal> {
        let dry = if run.dry_run { " (dry run)" } else { "" };
        let entry = Entry::new(Act::RunStarted, "accepted")
            .by(who)
            .of(run)
            .saying(format!("{}{dry}", run.title));
        self.write(entry).await
    }

    /// An operator wants a run to stop.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn run_cancelled(
        &self,
        who: &Operator,
        environment: String,
        number: Option<i64>,
    ) -> Result<(), Refusal> {
        let mut entry = Entry::new(Act::RunCancelled, "accepted")
            .by(who)
            .on(environment);
        entry.run = number;
        self.write(entry).await
    }

    /// An operator decided about something that waits.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn decided(
        &self,
        who: &Operator,
        waiting: &Waiting,
        approval: &Approval,
    ) -> Result<(), Refusal> {
        let act = match approval.decision {
            Decision::Approve => Act::Approved,
            Decision::Refuse => Act::Refused,
        };
        let what = waiting.step.as_deref().unwrap_or("the run");
        let note = approval.note.as_deref().unwrap_or("no note");
        let mut entry = Entry::new(act, approval.fate.word())
            .by(who)
            .on(&waiting.environment)
            .under(&approval.hash)
            .saying(format!("{what}: {note}"));
        entry.run = Some(waiting.number);
        self.write(entry).await
    }

    /// An operator takes an environment from the run that is changing it.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn lock_broken(
        &self,
        who: &Operator,
        environment: &str,
        lock: &Lock,
    ) -> Result<(), Refusal> {
        let mut entry = Entry::new(Act::LockBroken, "accepted")
            .by(who)
            .on(environment)
            .saying(format!("{} of {}", lock.title, lock.by));
        entry.run = Some(lock.number);
        self.write(entry).await
    }

    /// An operator puts something on a node, or takes it off.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn node_marked(
        &self,
        who: &Operator,
        environment: &str,
        what: &str,
    ) -> Result<(), Refusal> {
        let entry = Entry::new(Act::NodeMarked, "accepted")
            .by(who)
            .on(environment)
            .saying(what);
        self.write(entry).await
    }

    /// A rule is about to be written that drift is meant.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn drift_ignored(
        &self,
        who: &Operator,
        environment: &str,
        what: &str,
    ) -> Result<(), Refusal> {
        let entry = Entry::new(Act::DriftIgnored, "accepted")
            .by(who)
            .on(environment)
            .saying(what);
        self.write(entry).await
    }

    /// A terminal is about to be opened on a node.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn shell_opened(
        &self,
        who: &Operator,
        environment: &str,
        what: &str,
    ) -> Result<(), Refusal> {
        let entry = Entry::new(Act::ShellOpened, "accepted")
            .by(who)
            .on(environment)
            .saying(what);
        self.write(entry).await
    }

    /// A terminal was not opened.
    pub(super) async fn shell_refused(
        &self,
        who: &Operator,
        environment: &str,
        what: &str,
        why: &Refusal,
    ) {
        let entry = Entry::new(Act::ShellOpened, "refused")
            .by(who)
            .on(environment)
            .saying(format!("{what}: {why}"));
        self.note(entry).await;
    }

    /// A terminal came to its end.
    pub(super) async fn shell_ended(
        &self,
        who: &Operator,
        environment: &str,
        outcome: &str,
        what: String,
    ) {
        let entry = Entry::new(Act::ShellEnded, outcome)
            .by(who)
            .on(environment)
            .saying(what);
        self.note(entry).await;
    }

    /// Runs are about to be removed; `who` is `None` when the workspace's rule says so.
    ///
    /// # Errors
    /// As [`Audit::write`].
    pub(super) async fn pruned(
        &self,
        who: Option<&Operator>,
        runs: &[Kept],
    ) -> Result<(), Refusal> {
        let numbers: Vec<String> = runs
            .iter()
            .take(NAMED)
            .map(|run| run.number.to_string())
            .collect();
        let mut detail = format!("{} runs: {}", runs.len(), numbers.join(", "));
        if runs.len() > NAMED {
            detail.push_str(", …");
        }
        let mut entry = Entry::new(Act::Pruned, "accepted").saying(detail);
        entry.who = who.cloned();
        self.write(entry).await
    }

    /// A run came to its end.
    pub(super) async fn run_ended(&self, run: &Run) {
        let mut entry = Entry::new(Act::RunEnded, run.state.word()).of(run);
        entry.detail.clone_from(&run.reason);
        self.note(entry).await;
    }
}

/// SHA-256 over everything that the engine was given of the workspace: environments and recipes.
fn workspace_hash(workspace: &Workspace) -> String {
    match serde_json::to_vec(workspace) {
        Ok(bytes) => hex(&Sha256::digest(bytes)),
        Err(error) => format!("unknown ({error})"),
    }
}
