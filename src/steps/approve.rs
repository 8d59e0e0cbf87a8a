//! `approve`: waits until an operator has decided.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Context, Outcome, StepError, terraform};
use crate::domain::approval::Approver;
use crate::domain::recipe::{Approve, Step};

/// Asks the operators of the run's environment.
#[async_trait]
pub trait AskOperator: Send + Sync {
    /// Waits for a decision about `step`; what was said with the approval. Giving up the wait withdraws the question.
    ///
    /// # Errors
    /// Who refused, and why; or what has moved, when that made an approval void.
    async fn ask(&self, step: &str, question: Question) -> Result<String, String>;
}

/// What operators are asked.
#[derive(Clone)]
pub struct Question {
    /// In a sentence.
    pub text: String,
    /// Who may decide.
    pub approver: Approver,
    /// What the decision is about besides the run's plan.
    pub bound: Option<Arc<dyn Bound>>,
}

/// Something that an approval is for. It is void when that has moved before the approval counts.
#[async_trait]
pub trait Bound: Send + Sync {
    /// One value for all of it.
    fn hash(&self) -> String;

    /// What is shown to whoever decides, line by line.
    fn details(&self) -> Vec<String>;

    /// What has moved since; `None` when nothing has.
    async fn moved(&self) -> Option<String>;
}

/// Waits as long as the step's `timeout` allows: without one, for ever.
pub(super) async fn execute(
    approve: &Approve,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
    let mut question = Question {
        text: approve.text.clone(),
        approver: approve.by,
        bound: None,
    };
    if let Some(of) = &approve.of {
        let Some((bound, approver, sentence)) = terraform::bound_to(of, approve.by, context)?
        else {
            return Ok(Outcome::Skipped("the plan changes nothing".into()));
        };
        question = Question {
            text: format!("{} {sentence}", approve.text),
            approver,
            bound: Some(bound),
        };
    }
    if context.dry_run {
        context.note(format!("would ask: {}", question.text)).await;
        return Ok(Outcome::Ok);
    }
    context.note(format!("asks: {}", question.text)).await;
    let asked = context.operators.ask(&step.id, question);
    match context.cancel.run_until_cancelled(asked).await {
        None => Err(StepError::cancelled()),
        Some(Ok(said)) => {
            context.note(said).await;
            Ok(Outcome::Ok)
        }
        Some(Err(why)) => Err(StepError::lasting(why)),
    }
}
