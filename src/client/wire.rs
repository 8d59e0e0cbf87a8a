//! What goes over the engine's Unix socket: one JSON object per line, in both directions.
//!
//! ```text
//! client                                   engine
//!   {"hello": {"protocol": 1, …}}  ──►
//!                                  ◄──  {"welcome": {"protocol": 1, "running": 0, …}}
//!   {"call": {"id": 1, "request": …}} ─►
//!                                  ◄──  {"answer": {"id": 1, "result": {"Ok": …}}}
//!                                  ◄──  {"event": …}            as they happen
//!   {"open": …}                    ──►                          makes the connection a conversation's own
//!                                  ◄──  {"opened": {"Ok": null}}
//!   {"up": …}                      ──►
//!                                  ◄──  {"down": …}
//!   {"stop": {"force": false}}     ──►                          any time, any version
//!                                  ◄──  {"bye": {"reason": …}}  the engine ends
//! ```
//!
//! `hello`, `welcome`, `stop`, `bye` and `sorry` are the same in every version, so that a program can always ask an older or
//! newer engine how it is and whether it would end. Everything else is only said between equal [`PROTOCOL`]s.

use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{FramedRead, FramedWrite, LinesCodec};

use super::conversation::{Down, Opening, Up};
use super::{Event, Refusal, Request, Response};

/// Raised whenever a request, response or event changes its meaning.
pub const PROTOCOL: u32 = 8;
/// The longest line a client may send, bytes.
pub const LONGEST_ASKED: usize = 4 * 1024 * 1024;
/// The longest line the engine may send, bytes: the live state of thousands of nodes.
pub const LONGEST_TOLD: usize = 256 * 1024 * 1024;

/// From a client to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// The first line of every connection.
    Hello(Hello),
    /// A request, to be answered under the same number.
    Call {
        /// Chosen by the client, unique within the connection.
        id: u64,
        /// What is wanted.
        request: Request,
    },
    /// From here on this connection carries a conversation, and nothing else.
    Open(Opening),
    /// A piece of the conversation.
    Up(Up),
    /// The engine shall end; while runs are under way only by force, which interrupts them.
    Stop {
        /// Interrupt runs that are under way.
        force: bool,
        /// Whether another engine follows at once, so that clients shall connect again.
        restart: bool,
    },
}

/// From the engine to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// To [`Asked::Hello`].
    Welcome(Welcome),
    /// To [`Asked::Call`].
    Answer {
        /// Of the call.
        id: u64,
        /// What became of it.
        result: Result<Response, Refusal>,
    },
    /// Something changed.
    Event(Event),
    /// To [`Asked::Open`].
    Opened(Result<(), Refusal>),
    /// A piece of the conversation.
    Down(Down),
    /// What was said last cannot be done; the connection goes on unless it closes.
    Sorry {
        /// What is wrong and what to do.
        message: String,
    },
    /// The engine ends.
    Bye {
        /// Why, as a sentence.
        reason: String,
        /// Whether another engine follows at once.
        restart: bool,
    },
}

/// How a client introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// [`PROTOCOL`] of the client.
    pub protocol: u32,
    /// The client's version, for people.
    pub version: String,
    /// What it is, such as `screens`, `run`; for the list of clients.
    pub role: String,
    /// Refuse everything that changes anything on this connection.
    pub read_only: bool,
    /// Whether it wants events.
    pub events: bool,
}

/// How an engine introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`] of the engine.
    pub protocol: u32,
    /// The engine's version, for people.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// How many runs are under way.
    pub running: u32,
    /// What it was started from: changes when a file of the workspace changes.
    #[serde(default)]
    pub fingerprint: String,
    /// Whether it pins unknown SSH host keys on first contact.
    #[serde(default)]
    pub accepts_new_host_keys: bool,
}

/// Why nothing more can be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    /// The other end closed it.
    #[error("the connection was closed")]
    Closed,
    /// A line is longer than allowed.
    #[error("a line is longer than is allowed")]
    TooLong,
    /// A line is not what belongs here.
    #[error("a line cannot be understood: {0}")]
    NotUnderstood(#[from] serde_json::Error),
}

impl From<tokio_util::codec::LinesCodecError> for WireError {
    fn from(error: tokio_util::codec::LinesCodecError) -> Self {
        use tokio_util::codec::LinesCodecError as Broken;
        match error {
            Broken::MaxLineLengthExceeded => Self::TooLong,
            Broken::Io(error) => Self::Io(error),
        }
    }
}

/// The receiving half of a connection.
pub struct Ear(FramedRead<OwnedReadHalf, LinesCodec>);

/// The sending half of a connection.
pub struct Mouth(FramedWrite<OwnedWriteHalf, LinesCodec>);

/// Takes a connection apart; lines longer than `longest` bytes are refused.
pub fn halves(stream: UnixStream, longest: usize) -> (Ear, Mouth) {
    let (read, write) = stream.into_split();
    (
        Ear(FramedRead::new(
            read,
            LinesCodec::new_with_max_length(longest),
        )),
        Mouth(FramedWrite::new(write, LinesCodec::new())),
    )
}

impl Ear {
    /// The next line. May be dropped while it waits: nothing that has arrived is lost.
    ///
    /// # Errors
    /// [`WireError`]; after [`WireError::NotUnderstood`] the next line can still be read.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, WireError> {
        hear(&mut self.0).await
    }
}

impl Mouth {
    /// Sends a line. Must not be dropped while it waits: half a line may be on its way.
    ///
    /// # Errors
    /// [`WireError`] when the other end is gone.
    pub async fn say<T: Serialize + Sync>(&mut self, what: &T) -> Result<(), WireError> {
        say(&mut self.0, what).await
    }
}

async fn hear<T, S>(lines: &mut S) -> Result<T, WireError>
where
    T: DeserializeOwned,
    S: Stream<Item = Result<String, tokio_util::codec::LinesCodecError>> + Unpin,
{
    match lines.next().await {
        Some(line) => Ok(serde_json::from_str(&line?)?),
        None => Err(WireError::Closed),
    }
}

async fn say<T, S>(lines: &mut S, what: &T) -> Result<(), WireError>
where
    T: Serialize,
    S: Sink<String, Error = tokio_util::codec::LinesCodecError> + Unpin,
{
    lines.send(serde_json::to_string(what)?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(longest: usize) -> ((Ear, Mouth), (Ear, Mouth)) {
        let (one, other) = UnixStream::pair().unwrap();
        (halves(one, longest), halves(other, longest))
    }

    #[tokio::test]
    async fn what_is_said_is_heard() {
        let ((_, mut mouth), (mut ear, _)) = pair(1024);
        let hello = Asked::Hello(Hello {
            protocol: PROTOCOL,
            role: "screens\nof ada".into(),
            ..Hello::default()
        });
        mouth.say(&hello).await.unwrap();
        assert_eq!(ear.hear::<Asked>().await.unwrap(), hello);
        drop(mouth);
        assert!(matches!(
            ear.hear::<Asked>().await,
            Err(WireError::Io(_) | WireError::Closed)
        ));
    }

    #[tokio::test]
    async fn the_first_words_are_understood_from_any_version() {
        let older = r#"{"hello":{"protocol":1,"colour":"green"}}"#;
        let Asked::Hello(hello) = serde_json::from_str(older).unwrap() else {
            panic!("not a hello");
        };
        assert_eq!((hello.protocol, hello.read_only), (1, false));
        let stop = r#"{"stop":{"force":true,"restart":false}}"#;
        assert_eq!(
            serde_json::from_str::<Asked>(stop).unwrap(),
            Asked::Stop {
                force: true,
                restart: false
            }
        );
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        use tokio::io::AsyncWriteExt as _;
        let (mut raw, other) = UnixStream::pair().unwrap();
        let (mut ear, _mouth) = halves(other, 1024);
        let writing = tokio::spawn(async move {
            let _ = raw.write_all(&[b'a'; 8192]).await;
            raw
        });
        assert!(matches!(ear.hear::<Asked>().await, Err(WireError::TooLong)));
        drop(writing);
    }

    #[tokio::test]
    async fn after_a_line_of_nonsense_the_next_one_is_heard() {
        use tokio::io::AsyncWriteExt as _;
        let (mut raw, other) = UnixStream::pair().unwrap();
        let (mut ear, _mouth) = halves(other, 1024);
        raw.write_all(b"nonsense\n{\"stop\":{\"force\":false,\"restart\":false}}\n")
            .await
            .unwrap();
        assert!(matches!(
            ear.hear::<Asked>().await,
            Err(WireError::NotUnderstood(_))
        ));
        assert!(matches!(ear.hear::<Asked>().await, Ok(Asked::Stop { .. })));
    }
}
