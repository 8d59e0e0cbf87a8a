//! One command over one session channel (RFC 4254, section 6.5).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Opened};
use super::elevate::Rise;
use super::gate::{Gate, Heard};
use super::stop::{Mark, Remote};
use crate::transport::{Chunk, ChunkSink, Exit, OUTPUT_LIMIT, Progress, ReachError, quote};

/// How long a command's output is waited for once it has ended, when something it left behind keeps the channel open.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Standard input goes out in pieces of this many bytes.
const PIECE: usize = 32 * 1024;

/// What a command reads.
#[derive(Clone)]
pub(super) enum Input<'a> {
    /// Nothing: its standard input is empty.
    Empty,
    /// Bytes.
    Bytes(Bytes),
    /// A file here, its size, and who wants to know how far it is.
    File(PathBuf, u64, Progress<'a>),
}

/// What is sent and how long it may take.
pub(super) struct Job<'a> {
    /// The node's name.
    pub(super) hop: &'a str,
    /// Program and arguments.
    pub(super) argv: &'a [String],
    /// How it becomes root's.
    pub(super) rise: &'a Rise,
    /// Its standard input.
    pub(super) input: Input<'a>,
    /// Counted from when the channel is open.
    pub(super) limit: Duration,
    /// Whether it ends when another waits for its place.
    pub(super) gives_way: bool,
}

/// Runs `job` over `opened` to its end.
pub(super) async fn run(
    connection: &Arc<Connection>,
    opened: Opened,
    job: Job<'_>,
    sink: &mut dyn ChunkSink,
    cancel: &CancellationToken,
) -> Result<Ended, ReachError> {
    let Job {
        hop,
        argv,
        rise,
        input,
        limit,
        gives_way,
    } = job;
    let mark = Mark::new(rise.clone());
    let gate = mark.gate();
    let line = mark.line(argv);
    // Every way out that is not the command's own end drops `remote`, which stops it; also when the caller just drops us.
    let (mut read, mut remote) = Remote::new(Arc::clone(connection), opened, mark);
    let work = converse(&mut read, remote.write(), &line, gate, input, sink);
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => {
            return Err(ReachError::Cancelled { hop: hop.to_owned() });
        }
        () = remote.wanted(), if gives_way => {
            return Err(ReachError::GaveWay { hop: hop.to_owned() });
        }
        ended = timeout(limit, work) => ended,
    };
    match ended {
        Err(_) => Err(ReachError::Timeout {
            hop: hop.to_owned(),
            what: shorten(&quote(argv)),
            limit,
        }),
        Ok(Ok((ended, closed))) => {
            remote.finish(closed);
            Ok(ended)
        }
        Ok(Err(Broken::Refused)) => Err(ReachError::Refused {
            hop: hop.to_owned(),
            reason: "the host lets this login run no commands".into(),
        }),
        Ok(Err(Broken::Input(path, reason))) => Err(ReachError::File {
            hop: hop.to_owned(),
            path,
            reason,
        }),
        Ok(Err(Broken::Cut)) => {
            remote.finish(true);
            Err(if connection.is_alive() {
                ReachError::Lost {
                    hop: hop.to_owned(),
                    reason: "the host closed the channel without saying how the command ended"
                        .into(),
                }
            } else {
                connection.lost().await
            })
        }
    }
}

/// How a command came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exit(Exit),
    /// It was not begun: whoever should have made it root's said this.
    NotBegun(String),
}

/// Why a conversation came to no end of its own.
enum Broken {
    /// The host does not run commands.
    Refused,
    /// The channel ended without saying how the command did.
    Cut,
    /// A file here could not be read.
    Input(String, String),
}

/// Starts the command and talks with it to its end: how that was, and whether the host has closed the channel.
async fn converse(
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    line: &str,
    gate: Option<Gate>,
    input: Input<'_>,
    sink: &mut dyn ChunkSink,
) -> Result<(Ended, bool), Broken> {
    write.exec(true, line).await.map_err(|_| Broken::Cut)?;
    if let Some(gate) = gate
        && let Some(words) = pass(read, write, gate, sink).await?
    {
        // The channel is closed, and with it whatever asks.
        return Ok((Ended::NotBegun(words), false));
    }
    let feeding = feed(write, input);
    tokio::pin!(feeding);
    let mut fed = false;
    let mut exit: Option<Exit> = None;
    let mut whole = false;
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            // Its end is known: what is still on its way is taken, but nothing waits for ever on a child it left.
            () = tokio::time::sleep(AFTERMATH), if exit.is_some() => {
                return exit.map(|exit| (Ended::Exit(exit), false)).ok_or(Broken::Cut);
            }
            result = &mut feeding, if !fed => {
                fed = true;
                result?;
                continue;
            }
        };
        match message {
            Some(ChannelMsg::Data { data }) => sink.chunk(Chunk::Stdout(data)).await,
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                sink.chunk(Chunk::Stderr(data)).await;
            }
            Some(ChannelMsg::Failure) => return Err(Broken::Refused),
            Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                exit = Some(Exit::Signal(name(&signal_name)));
            }
            Some(ChannelMsg::Eof) => whole = true,
            // The status may overtake output (RFC 4254, section 6.10): of a connection that is lost between the two, the
            // rest is lost as well.
            None if !whole => return Err(Broken::Cut),
            Some(ChannelMsg::Close) | None => {
                return exit
                    .map(|exit| (Ended::Exit(exit), true))
                    .ok_or(Broken::Cut);
            }
            Some(_) => {}
        }
    }
}

/// Answers what is asked before the command runs; what was said instead, when it does not.
async fn pass(
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    mut gate: Gate,
    sink: &mut dyn ChunkSink,
) -> Result<Option<String>, Broken> {
    let mut over = false;
    // Standard output that overtook the word that the command runs.
    let mut early = BytesMut::new();
    loop {
        let message = tokio::select! {
            message = read.wait() => message,
            () = tokio::time::sleep(AFTERMATH), if over => return Ok(Some(gate.words())),
        };
        let data = match message {
            Some(ChannelMsg::Data { data }) => {
                if gate.asks_on_stdout(&data) {
                    let sent = write.data_bytes(gate.answer()).await;
                    sent.map_err(|_| Broken::Cut)?;
                } else if early.len() + data.len() > OUTPUT_LIMIT {
                    return Ok(Some(
                        "it says too much before it asks for a password".into(),
                    ));
                } else {
                    early.extend_from_slice(&data);
                }
                continue;
            }
            Some(ChannelMsg::ExtendedData { data, ext: 1 }) => data,
            Some(ChannelMsg::Failure) => return Err(Broken::Refused),
            Some(ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. }) => {
                over = true;
                continue;
            }
            Some(ChannelMsg::Close) => return Ok(Some(gate.words())),
            None if over => return Ok(Some(gate.words())),
            None => return Err(Broken::Cut),
            Some(_) => continue,
        };
        match gate.hear(&data) {
            Heard::Wait => {}
            Heard::Send => {
                let sent = write.data_bytes(gate.answer()).await;
                sent.map_err(|_| Broken::Cut)?;
            }
            Heard::Wrong => return Ok(Some("wrong password".into())),
            Heard::Runs(rest) => {
                if !early.is_empty() {
                    sink.chunk(Chunk::Stdout(early.freeze())).await;
                }
                if !rest.is_empty() {
                    sink.chunk(Chunk::Stderr(rest)).await;
                }
                return Ok(None);
            }
        }
    }
}

/// Sends the input and says that it was all. A command that ends without reading it is no failure of ours.
async fn feed(write: &ChannelWriteHalf<Msg>, input: Input<'_>) -> Result<(), Broken> {
    match input {
        Input::Empty => {}
        Input::Bytes(bytes) => {
            let _ = write.data_bytes(bytes).await;
        }
        Input::File(path, total, progress) => {
            let unreadable = |error: std::io::Error| {
                Broken::Input(path.display().to_string(), error.to_string())
            };
            let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
            let mut done = 0;
            loop {
                let mut piece = BytesMut::with_capacity(PIECE);
                if file.read_buf(&mut piece).await.map_err(unreadable)? == 0 {
                    break;
                }
                done += piece.len() as u64;
                if write.data_bytes(piece.freeze()).await.is_err() {
                    return Ok(());
                }
                progress(done, total.max(done));
            }
        }
    }
    let _ = write.eof().await;
    Ok(())
}

pub(super) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => super::tame(name),
        known => format!("{known:?}"),
    }
}

/// The beginning of a command line, for messages.
fn shorten(line: &str) -> String {
    const MOST: usize = 80;
    let line = super::tame(line);
    if line.chars().count() <= MOST {
        line
    } else {
        let start: String = line.chars().take(MOST).collect();
        format!("{start}…")
    }
}

#[cfg(test)]
mod tests;
