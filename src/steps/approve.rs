//! `approve`: waits until an operator has decided.

use async_trait::async_trait;

use super::{Context, Outcome, StepError};
use crate::domain::approval::Approver;
use crate::domain::recipe::{Approve, Step};

/// Asks the operators of the run's environment.
#[async_trait]
pub trait AskOperator: Send + Sync {
    /// Waits for a decision about `step`; what was said with the approval. Giving up the wait withdraws the question.
    ///
    /// # Errors
    /// Who refused, and why.
    async fn ask(&self, step: &str, text: &str, approver: Approver) -> Result<String, String>;
}

/// Waits as long as the step's `timeout` allows: without one, for ever.
pub(super) async fn execute(
    approve: &Approve,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    if context.dry_run {
        context.note(format!("would ask: {}", approve.text)).await;
        return Ok(Outcome::Ok);
    }
    context.note(format!("asks: {}", approve.text)).await;
    let asked = context.operators.ask(&step.id, &approve.text, approve.by);
    match context.cancel.run_until_cancelled(asked).await {
        None => Err(StepError::cancelled()),
        Some(Ok(said)) => {
            context.note(said).await;
            Ok(Outcome::Ok)
        }
        Some(Err(why)) => Err(StepError::lasting(why)),
    }
}
