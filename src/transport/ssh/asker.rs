//! Asking the operator in the middle of an attempt to connect.

use std::sync::Arc;

use super::SshSettings;
use super::patience::Patience;
use crate::domain::question::{Question, QuestionAnswer};
use crate::transport::ask::{Operators, Unanswered, is_attended};

/// Who can be asked during one attempt, and the time that this takes.
pub(super) struct Asker {
    operators: Option<Arc<dyn Operators>>,
    /// Whether the attempt is made on somebody's behalf. Noted here, because parts of it run in tasks of the SSH library.
    attended: bool,
    /// Time that people take to answer does not count.
    pub(super) patience: Patience,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker")
            .field("attended", &self.attended)
            .finish_non_exhaustive()
    }
}

impl Asker {
    /// For the attempt that is being made now.
    pub(super) fn of(settings: &SshSettings) -> Self {
        Self {
            operators: settings.operators.clone(),
            attended: is_attended(),
            patience: Patience::default(),
        }
    }

    /// Asks; the clock of the attempt stands still meanwhile.
    ///
    /// # Errors
    /// [`Unanswered`]; at once when nobody can or may be asked.
    pub(super) async fn ask(&self, question: Question) -> Result<QuestionAnswer, Unanswered> {
        self.may_ask()?;
        let Some(operators) = &self.operators else {
            return Err(Unanswered::Nobody);
        };
        self.patience.asking(operators.ask(question)).await
    }

    /// Whether asking makes any sense.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn may_ask(&self) -> Result<(), Unanswered> {
        match (self.attended, &self.operators) {
            (_, None) => Err(Unanswered::Nobody),
            (false, _) => Err(Unanswered::Unattended),
            (true, Some(_)) => Ok(()),
        }
    }
}
