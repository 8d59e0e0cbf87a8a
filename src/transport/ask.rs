//! Asking the operator from within the transport: who can be asked, on whose behalf, and what he has told for how long.
//!
//! Work that an operator has begun himself, a run or a request of a client, may ask him: it is *attended* ([`attended`]).
//! What goes on by itself, such as polls, never asks: it fails with what it would have asked, and the node's row says so.
//! The mark travels with the task that does the work, as the name of a job does ([`super::job`]). With it goes a
//! [`Wallet`]: passwords for becoming root, asked for once per host and wiped when the run or the request is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::question::{Question, QuestionAnswer};
use crate::domain::secret::Secret;

/// Somebody who answers questions.
#[async_trait]
pub trait Operators: Send + Sync {
    /// The answer to `question`; dropping the future takes the question back.
    ///
    /// # Errors
    /// [`Unanswered`] when there is none.
    async fn ask(&self, question: Question) -> Result<QuestionAnswer, Unanswered>;
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// What goes on by itself asks nobody.
    #[error("nobody was asked yet; ! on the node asks")]
    Unattended,
    /// Nobody is there.
    #[error("there is nobody to ask: no screen and no command on a terminal is connected")]
    Nobody,
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    Late,
    /// Whoever was asked said no.
    #[error("the question was dismissed")]
    Dismissed,
}

/// Passwords that were given for one run or request, by host. Wiped when the last holder drops it.
#[derive(Default)]
pub struct Wallet(Mutex<BTreeMap<String, Pocket>>);

/// The password for one host. Held while it is asked for: ten tasks on a host make one question, not ten.
pub(crate) type Pocket = Arc<tokio::sync::Mutex<Option<Secret>>>;

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wallet")
    }
}

impl Wallet {
    /// Where the password for `host` is kept.
    pub(crate) fn pocket(&self, host: &str) -> Pocket {
        // Entries are added whole: a panic elsewhere cannot have left one half made.
        let mut pockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pockets.entry(host.to_owned()).or_default())
    }
}

tokio::task_local! {
    static WALLET: Arc<Wallet>;
}

/// Does `work` on behalf of an operator who can be asked; what he tells is forgotten at its end.
pub async fn attended<F: Future>(work: F) -> F::Output {
    attended_with(Arc::default(), work).await
}

/// The same for work in several parts, which share what was told in `wallet`.
pub async fn attended_with<F: Future>(wallet: Arc<Wallet>, work: F) -> F::Output {
    WALLET.scope(wallet, work).await
}

/// Does `work` as attended or not, as it was found out before a task of its own was begun.
pub(crate) async fn as_attended<F: Future>(attended_work: bool, work: F) -> F::Output {
    if attended_work {
        attended(work).await
    } else {
        work.await
    }
}

/// Whether the work under way may ask.
pub fn is_attended() -> bool {
    wallet().is_some()
}

/// What was told on behalf of the work under way.
pub(crate) fn wallet() -> Option<Arc<Wallet>> {
    WALLET.try_with(Arc::clone).ok()
}
