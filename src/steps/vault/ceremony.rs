//! The table at which a step and operators meet: the step shows how it stands, operators say their words.

use std::any::Any;

use tokio::sync::{mpsc, oneshot};

use super::super::StepError;
use crate::domain::seal::{CeremonyKind, NewKeys, NodeSeal, Standing, Wants, Word};

/// Where ceremonies are held: the engine.
pub trait Ceremonies: Send + Sync {
    /// Opens one about `service`. It is over when the chair is dropped.
    fn open(&self, service: &str, kind: CeremonyKind) -> Chair;
}

/// What an operator said, and where he waits for what is made of it.
pub struct Spoken {
    /// What.
    pub word: Word,
    /// Who.
    pub by: String,
    /// Told what became of it; a sentence when it was not taken.
    pub reply: oneshot::Sender<Result<Heard, String>>,
}

/// What became of a word.
#[derive(Debug)]
pub enum Heard {
    /// It was taken.
    Taken,
    /// The new keys.
    Keys(NewKeys),
}

/// The step's place at the table.
pub struct Chair {
    words: mpsc::Receiver<Spoken>,
    show: Box<dyn Fn(&Standing) + Send + Sync>,
    standing: Standing,
    _seat: Box<dyn Any + Send + Sync>,
}

impl Chair {
    /// A chair that hears `words`; `show` is told of every change, and `seat` dropped at the end.
    pub fn new(
        words: mpsc::Receiver<Spoken>,
        show: impl Fn(&Standing) + Send + Sync + 'static,
        seat: impl Any + Send + Sync,
    ) -> Self {
        Self {
            words,
            show: Box::new(show),
            standing: Standing::quiet(),
            _seat: Box::new(seat),
        }
    }

    /// How it stands as was shown last.
    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Changes how it stands, and shows that when it is news.
    pub(super) fn stand(&mut self, change: impl FnOnce(&mut Standing)) {
        let before = self.standing.clone();
        change(&mut self.standing);
        if self.standing != before {
            self.standing.revision = before.revision + 1;
            (self.show)(&self.standing);
        }
    }

    pub(super) fn see(&mut self, nodes: &[NodeSeal]) {
        self.stand(|standing| standing.nodes = nodes.to_vec());
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.stand(|standing| standing.said = text.into());
    }

    pub(super) fn want(&mut self, wants: Wants) {
        self.stand(|standing| standing.wants = wants);
    }

    /// The next word.
    pub(super) async fn next(&mut self) -> Result<Spoken, StepError> {
        let gone = || StepError::lasting("the engine ended the ceremony");
        self.words.recv().await.ok_or_else(gone)
    }
}

/// Refuses a word that does not fit.
pub(super) fn out_of_turn(spoken: Spoken, reason: &str) {
    // Whoever asked may have gone meanwhile.
    let _ = spoken.reply.send(Err(reason.to_owned()));
}
