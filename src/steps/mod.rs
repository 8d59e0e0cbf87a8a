//! Recipes made ready and carried out: reading them, rendering their templates, planning, and one executor per kind of
//! step.
//!
//! ```text
//! assets/recipes/*.yaml ─┐
//!                        ├─ library ── Recipe ─┐
//! workspace recipes/ ────┘                     ├─ plan ── Plan ── (engine: order, hosts, retries) ── execute
//!                                 Environment ─┘
//! ```
//!
//! The engine decides when a task runs, how often it is tried again and when its time is up; [`execute`] decides what the
//! task does, including whether its `when` holds. In a dry run, [`execute`] looks and tells but changes nothing: `ensure`
//! shows its differences, commands that change are named and not run, waits look once.

mod ansible;
mod approve;
mod check;
mod copy;
mod drift;
mod ensure;
mod handlers;
mod http;
pub mod library;
mod machine;
mod order;
pub mod plan;
mod preview;
mod program;
mod report;
mod resume;
mod run;
mod service;
mod snapshot;
mod sources;
mod tcp;
pub mod template;
mod terraform;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod undo;
mod vault;
mod wait;
mod workshop;

pub use approve::{AskOperator, Bound, Question};
pub use drift::{DriftBook, NoDriftBook};
pub use handlers::{Debts, NoDebts};
pub use library::Library;
pub use plan::{PlanError, plan, seal};
pub use resume::{Earlier, resume};
pub use sources::{Needs, Sources, needs, sources};
pub use undo::{Past, Trace, plan_undo, take_back, traces};
pub use vault::{Ceremonies, Chair, Heard, Spoken};
pub use workshop::{Matrices, Secrets, Workshop};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::domain::environment::Environment;
use crate::domain::handler::handler_of;
use crate::domain::live::ServiceReport;
use crate::domain::quorum::Voter;
use crate::domain::recipe::{RunCommand, Step, Work};
use crate::domain::run::{Stream, Task};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::Table;
use crate::resources::Log;
use crate::resources::undo::Records;
use crate::services::desired::Compare;
use crate::services::sealing::Identity;
use crate::services::shelf::Shelf;
use crate::services::stores::Store;
use crate::services::{Acted, Seals, Tell};
use crate::transport::{Host, Reach, ReachError};

use self::template::{Scope, SecretSource, TemplateError, Templates};

/// Everything a task may use.
#[derive(Clone)]
pub struct Context {
    /// The environment as it was when the plan was made.
    pub environment: Arc<Environment>,
    /// Its hosts.
    pub reach: Arc<dyn Reach>,
    /// Its services.
    pub services: Arc<dyn AskService>,
    /// The operators who may be asked.
    pub operators: Arc<dyn AskOperator>,
    /// The tasks of the run.
    pub tasks: Arc<dyn SeeTasks>,
    /// Parameters, defaults filled in.
    pub params: Arc<BTreeMap<String, Value>>,
    /// Only say what would change.
    pub dry_run: bool,
    /// Where downloads are kept, by checksum.
    pub cache: PathBuf,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Where snapshots are kept.
    pub snapshots: Shelf,
    /// What steps need that let other programs work.
    pub workshop: Workshop,
    /// Where new keys are kept that are encrypted for others.
    pub keys: PathBuf,
    /// Where operators give shares and take new keys.
    pub ceremonies: Arc<dyn Ceremonies>,
    /// The secrets that templates may have.
    pub secrets: Arc<dyn SecretSource>,
    /// Where the task's lines go.
    pub log: Arc<dyn Log>,
    /// Stops the task.
    pub cancel: CancellationToken,
    /// Takes down what was there before each change of the task.
    pub records: Arc<dyn Records>,
    /// The handlers that the run owes its hosts.
    pub debts: Arc<dyn Debts>,
    /// Where it is kept what differs from what is declared.
    pub drift: Arc<dyn DriftBook>,
}

/// Asks a service of the environment how it is, by name.
#[async_trait]
pub trait AskService: Send + Sync {
    /// A fresh report.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    async fn ask(&self, service: &str, deadline: Duration) -> Result<ServiceReport, String>;

    /// The store of that name, for snapshots.
    ///
    /// # Errors
    /// A sentence that says why it cannot be spoken to.
    async fn store(&self, name: &str) -> Result<OpenStore, String>;

    /// The secret key that reads encrypted snapshots; `None` where the environment does not say where it is.
    ///
    /// # Errors
    /// A sentence that says why it cannot be read.
    async fn identity(&self) -> Result<Option<Identity>, String>;

    /// The rows of one of its lists, asked where it does not run on the node `without`.
    ///
    /// # Errors
    /// A sentence that says why there are none.
    async fn table(
        &self,
        service: &str,
        view: &str,
        without: Option<&str>,
        deadline: Duration,
    ) -> Result<Table, String>;

    /// Tells a service to do something, and returns when it says that it is done.
    ///
    /// # Errors
    /// A sentence that says why it is not.
    async fn act(
        &self,
        service: &str,
        action: &ServiceAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, String>;

    /// Who votes in a service, as it says; `None` for a service without votes.
    ///
    /// # Errors
    /// A sentence that says why that cannot be learned.
    async fn voters(&self, service: &str, deadline: Duration)
    -> Result<Option<Vec<Voter>>, String>;

    /// The service, to compare what is declared of it.
    ///
    /// # Errors
    /// A sentence that says why it cannot be spoken to.
    async fn compared(&self, service: &str) -> Result<Box<dyn Compare>, String> {
        Err(format!("nothing can be declared of {service}"))
    }

    /// Its seal.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    async fn seals(&self, service: &str) -> Result<Arc<dyn Seals>, String> {
        Err(format!("{service} has no seal"))
    }
}

/// A store that can be spoken to.
pub struct OpenStore {
    /// It itself.
    pub store: Box<dyn Store>,
    /// What lets one in, for a scratch instance with the same users.
    pub secret: Option<SecretString>,
}

/// Sees how the tasks of the run stand, for its report.
pub trait SeeTasks: Send + Sync {
    /// Every task in the order of the plan, as it is now.
    fn tasks(&self) -> Vec<Task>;
}

/// How a task ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing had to change.
    Ok,
    /// Something changed, or would in a dry run.
    Changed,
    /// It was not needed, and why.
    Skipped(String),
}

/// Why a task failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What happened and what to do.
    pub message: String,
    /// Whether trying again may help.
    pub passing: bool,
}

impl StepError {
    /// An error that trying again does not help.
    fn lasting(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            passing: false,
        }
    }

    fn cancelled() -> Self {
        Self::lasting("cancelled")
    }
}

impl From<ReachError> for StepError {
    fn from(error: ReachError) -> Self {
        Self {
            passing: error.is_passing(),
            message: error.to_string(),
        }
    }
}

impl From<TemplateError> for StepError {
    fn from(error: TemplateError) -> Self {
        Self::lasting(error.to_string())
    }
}

impl Context {
    async fn note(&self, text: impl Into<String>) {
        self.log.line(Stream::Note, text.into()).await;
    }

    /// A change on `host` is about to be made which these handlers are for; in a dry run it would be.
    async fn owe(&self, handlers: &[String], host: Option<&str>) -> Result<(), StepError> {
        if handlers.is_empty() {
            return Ok(());
        }
        let owed = self.debts.owe(handlers, host).await;
        owed.map_err(|reason| StepError {
            message: format!(
                "not changed, because it could not be stored that {} must follow: {reason}",
                handlers.join(", ")
            ),
            passing: true,
        })
    }
}

/// Carries out one task: `step` on `host`, or once for `None`.
///
/// A step whose `when` is false is [`Outcome::Skipped`]. The limit of time is the caller's to keep (cancel, then drop);
/// waits end by themselves a little earlier, to say what they last saw.
///
/// # Errors
/// [`StepError`] when it failed; the reason is one sentence, details are in the log.
pub async fn execute(
    step: &Step,
    host: Option<&str>,
    context: &Context,
) -> Result<Outcome, StepError> {
    let templates = Templates::with_secrets(
        &context.environment,
        &context.params,
        Arc::clone(&context.secrets),
    );
    let scope = templates.scope(host);
    if let Some(when) = &step.when
        && !scope.holds(when)?
    {
        return Ok(Outcome::Skipped(format!("not the case that {when}")));
    }
    let work = step.work().map_err(StepError::lasting)?;
    let Some(handler) = handler_of(&step.id) else {
        return carry_out(step, &work, host, &scope, context).await;
    };
    if !context.debts.owes(handler, host) {
        return Ok(Outcome::Skipped(
            "nothing changed that it is for".to_owned(),
        ));
    }
    let outcome = carry_out(step, &work, host, &scope, context).await?;
    context
        .debts
        .settle(handler, host)
        .await
        .map_err(|reason| StepError {
            message: format!("done, but that could not be stored: {reason}"),
            passing: true,
        })?;
    Ok(outcome)
}

async fn carry_out(
    step: &Step,
    work: &Work<'_>,
    host: Option<&str>,
    scope: &Scope<'_>,
    context: &Context,
) -> Result<Outcome, StepError> {
    match work {
        Work::Ensure(resources) => {
            let resources = scope.render(&resources.to_vec())?;
            let node = node(step, host, context)?;
            ensure::execute(&resources, step, host, &*node, context).await
        }
        Work::Run(command) => {
            let command = scope.render(*command)?;
            let node = node(step, host, context)?;
            owe_for(&command, step, host, context).await?;
            run::execute(&command, step, &*node, scope, context).await
        }
        Work::Local(command) => {
            let command = scope.render(*command)?;
            owe_for(&command, step, host, context).await?;
            run::execute_here(&command, host, scope, context).await
        }
        Work::Terraform(asked) => {
            let asked = scope.render(*asked)?;
            owe_unless_looking(asked.action.is_read_only(), step, context).await?;
            terraform::execute(&asked, step, context).await
        }
        Work::Ansible(asked) => {
            let asked = scope.render(*asked)?;
            owe_unless_looking(asked.action.is_read_only(), step, context).await?;
            ansible::execute(&asked, step, context).await
        }
        Work::Http(wait) => http::execute(&scope.render(*wait)?, step, context).await,
        Work::Tcp(wait) => tcp::execute(&scope.render(*wait)?, step, context).await,
        Work::Service(wait) => service::execute(&scope.render(*wait)?, step, host, context).await,
        Work::Snapshot(take) => snapshot::execute(&scope.render(*take)?, context).await,
        Work::Vault(step) => vault::execute(&scope.render(*step)?, context).await,
        Work::Drift(asked) => {
            let asked = scope.render(*asked)?;
            drift::execute(&asked, step, host, context).await
        }
        Work::Approve(question) => approve::execute(&scope.render(*question)?, step, context).await,
        Work::Upload(files) => {
            let files = scope.render(*files)?;
            copy::upload(&files, &*node(step, host, context)?, context).await
        }
        Work::Fetch(files) => {
            let files = scope.render(*files)?;
            copy::fetch(&files, &*node(step, host, context)?, context).await
        }
        Work::Machine(machine) => {
            machine::execute(*machine, step, &*node(step, host, context)?, context).await
        }
        Work::Report(text) => Ok(report::execute(&scope.render(*text)?, context).await),
        Work::Recipe(_) => Err(StepError::lasting(
            "a call of a recipe is planned as the steps it carries out",
        )),
        Work::Flush(_) => Err(StepError::lasting(
            "a flush is planned as the handlers it carries out",
        )),
    }
}

/// What a command changes, nobody sees: whoever is to be notified of it is, before it begins.
async fn owe_for(
    command: &RunCommand,
    step: &Step,
    host: Option<&str>,
    context: &Context,
) -> Result<(), StepError> {
    if command.changes {
        context.owe(&step.notify, host).await?;
    }
    Ok(())
}

/// The same for programs that change several hosts at once.
async fn owe_unless_looking(looks: bool, step: &Step, context: &Context) -> Result<(), StepError> {
    if looks {
        return Ok(());
    }
    context.owe(&step.notify, None).await
}

fn node(step: &Step, host: Option<&str>, context: &Context) -> Result<Arc<dyn Host>, StepError> {
    let name = host.ok_or_else(|| {
        StepError::lasting(format!(
            "step {:?} works on nodes, so it needs `on`",
            step.id
        ))
    })?;
    Ok(context.reach.host(name)?)
}
