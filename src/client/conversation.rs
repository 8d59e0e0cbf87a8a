//! Conversations: what goes on for a while in both directions, such as a terminal on a node.
//!
//! A request has one answer and an event is for everybody; a conversation belongs to one client. Over the socket it has a
//! connection of its own, so that it holds up nothing else, and nothing else it: a client that stops listening stops the
//! other end once the bounded buffers in between are full. Dropping a [`Conversation`] ends it on both sides.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::domain::action::Consent;
use crate::domain::structured::Level;
use crate::domain::terminal::TerminalSize;

/// Pieces that may wait in one direction before whoever sends has to.
pub const WAITING: usize = 32;
/// The largest piece that is typed or pasted at once, bytes; more is several pieces.
pub const PIECE: usize = 32 * 1024;

/// What a client wants to talk with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "open", content = "with")]
pub enum Opening {
    /// A terminal on a node.
    Shell(ShellOpening),
    /// The journals, or a file, of several nodes as one stream.
    Follow(FollowOpening),
}

/// The journals, or a file, of several nodes as one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowOpening {
    /// The environment's name.
    pub environment: String,
    /// The nodes.
    pub nodes: Vec<String>,
    /// What of them.
    pub source: Source,
    /// Lines of history to begin with, of each node.
    pub tail: u32,
}

/// What of a node is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Its journal.
    Journal {
        /// Only of these units; empty for all of it.
        units: Vec<String>,
    },
    /// A file.
    File {
        /// Absolute path.
        path: String,
    },
}

/// A line of a node that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The node.
    pub node: String,
    /// When it was said, by the node's clock; `None` when it does not say.
    pub at: Option<Timestamp>,
    /// When it arrived, by the engine's clock.
    pub arrived: Timestamp,
    /// Who said it, where the journal tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// How much it matters, where that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The text, as the node said it: control characters and all.
    pub text: String,
}

/// How the following of a node stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// The node.
    pub node: String,
    /// How it stands.
    pub word: SourceWord,
    /// Why, where there is a reason.
    pub reason: Option<String>,
}

crate::domain::words! {
    /// How the following of a node stands.
    pub enum SourceWord {
        /// Being attached to.
        Attaching = "attaching",
        /// Attached: what is said there arrives.
        Following = "following",
        /// The connection was lost; it is attached to again, where it stopped.
        Lost = "lost",
        /// There is nothing to follow there, or not any more.
        Over = "over",
    }
}

/// A terminal on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShellOpening {
    /// The environment's name.
    pub environment: String,
    /// The node's name.
    pub node: String,
    /// Program and arguments; empty for the login shell.
    pub argv: Vec<String>,
    /// The terminal's type as terminfo calls it, such as `xterm-256color`.
    pub term: String,
    /// How large it is to begin with.
    pub size: TerminalSize,
    /// What was given at the gate.
    pub consent: Consent,
}

/// From the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Up {
    /// What was typed.
    Input(#[serde(with = "base64_text")] Bytes),
    /// The terminal has this size now.
    Size(TerminalSize),
    /// Nothing more will be typed.
    End,
}

/// From the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Down {
    /// It has begun.
    Opened,
    /// What the other side writes.
    Output(#[serde(with = "base64_text")] Bytes),
    /// Lines of nodes that are followed, in the order in which to show them.
    Lines(Vec<Followed>),
    /// The following of a node stands otherwise now.
    Source(SourceState),
    /// The last word: it came to its end.
    Ended(Ending),
}

/// How a conversation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The program ended with this status.
    Status(u32),
    /// The program was ended by this signal, such as `KILL`.
    Signal(String),
    /// It could not be begun, or not be gone on with.
    Failed(String),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(0) => f.write_str("ended"),
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Signal(name) => write!(f, "ended by signal {name}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// A client's end of a conversation.
#[derive(Debug)]
pub struct Conversation {
    /// To the engine; waits while the other side is slow.
    pub up: mpsc::Sender<Up>,
    /// From the engine; after [`Down::Ended`], or when the connection is lost, nothing more.
    pub down: mpsc::Receiver<Down>,
}

/// The engine's end of a conversation.
#[derive(Debug)]
pub struct Counterpart {
    /// From the client; nothing more once it has gone.
    pub up: mpsc::Receiver<Up>,
    /// To the client.
    pub down: mpsc::Sender<Down>,
}

/// Both ends of a new conversation.
pub fn pair() -> (Conversation, Counterpart) {
    let (up, from_client) = mpsc::channel(WAITING);
    let (to_client, down) = mpsc::channel(WAITING);
    (
        Conversation { up, down },
        Counterpart {
            up: from_client,
            down: to_client,
        },
    )
}

/// Bytes as base64, since JSON has only text.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_go_through_json_unchanged() {
        let all: Vec<u8> = (0..=255).collect();
        let said = Down::Output(Bytes::from(all));
        let line = serde_json::to_string(&said).unwrap();
        assert_eq!(serde_json::from_str::<Down>(&line).unwrap(), said);
    }

    #[test]
    fn bytes_that_are_no_base64_are_refused() {
        assert!(serde_json::from_str::<Up>(r#"{"input":"%"}"#).is_err());
    }
}
