//! Conversations that the screens are in: what is said goes out in order, what is heard comes back as answers.

use std::collections::HashMap;

use tokio::sync::mpsc;

use super::super::message::Answer;
use crate::client::Client;
use crate::client::conversation::{Conversation, Down, Ending, Opening, Up};

/// Pieces that may wait to be said: more than a person types and most pastes.
const WAITING: usize = 1024;

/// Where to say things, by conversation.
#[derive(Default)]
pub(super) struct Talks(HashMap<u64, mpsc::Sender<Up>>);

impl Talks {
    /// Begins a conversation; the future carries it to its end.
    pub(super) fn begin(
        &mut self,
        id: u64,
        client: Client,
        opening: Opening,
        answers: mpsc::Sender<Answer>,
    ) -> impl Future<Output = ()> + use<> {
        let (sender, said) = mpsc::channel(WAITING);
        self.0.retain(|_, sender| !sender.is_closed());
        self.0.insert(id, sender);
        carry(id, client, opening, said, answers)
    }

    /// Says something; it is dropped, and the operator told, when too much waits already.
    pub(super) fn say(&mut self, id: u64, up: Up, answers: &mpsc::Sender<Answer>) {
        let Some(sender) = self.0.get(&id) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(up) {
            let reason = "what is typed is not taken: the node does not read it".to_owned();
            // A full channel of answers has something to show already.
            let _ = answers.try_send(Answer::Trouble(reason));
        }
    }

    /// Ends a conversation.
    pub(super) fn end(&mut self, id: u64) {
        self.0.remove(&id);
    }
}

async fn carry(
    id: u64,
    client: Client,
    opening: Opening,
    mut said: mpsc::Receiver<Up>,
    answers: mpsc::Sender<Answer>,
) {
    let mut early = Vec::new();
    let opened = tokio::select! {
        opened = client.open(opening) => opened,
        () = hung_up(&mut said, &mut early) => return,
    };
    let Conversation { up, mut down } = match opened {
        Ok(conversation) => conversation,
        Err(refusal) => {
            let down = Down::Ended(Ending::Failed(refusal.message));
            let _ = answers.send(Answer::Heard { id, down }).await;
            return;
        }
    };
    let saying = async {
        for piece in early {
            let _ = up.send(piece).await;
        }
        while let Some(piece) = said.recv().await {
            if up.send(piece).await.is_err() {
                // Its end is on its way down.
                return std::future::pending().await;
            }
        }
    };
    let hearing = async {
        while let Some(piece) = down.recv().await {
            let last = matches!(piece, Down::Ended(_));
            let heard = Answer::Heard { id, down: piece };
            if answers.send(heard).await.is_err() || last {
                return;
            }
        }
        let down = Down::Ended(Ending::Failed("lost the engine".into()));
        let _ = answers.send(Answer::Heard { id, down }).await;
    };
    tokio::select! {
        () = saying => {}
        () = hearing => {}
    }
}

/// Waits until nobody wants the conversation any more; what is said before it has begun is kept for then.
async fn hung_up(said: &mut mpsc::Receiver<Up>, early: &mut Vec<Up>) {
    while let Some(piece) = said.recv().await {
        if early.len() < WAITING {
            early.push(piece);
        }
    }
}
