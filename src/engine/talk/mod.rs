//! The engine's side of conversations ([`crate::client::conversation`]): each is a task of its own that ends with its
//! client, with what it talks with, or with the engine.

mod follow;
mod shell;

use super::core::Counter;
use crate::client::Refusal;
use crate::client::conversation::{Conversation, Opening};

/// Enters into a conversation.
///
/// # Errors
/// [`Refusal`] when what is wanted is not there, or not allowed to this client.
pub(super) async fn open(caller: &Counter, opening: Opening) -> Result<Conversation, Refusal> {
    match opening {
        Opening::Shell(opening) => shell::open(caller, opening).await,
        Opening::Follow(opening) => follow::open(caller, &opening),
    }
}
