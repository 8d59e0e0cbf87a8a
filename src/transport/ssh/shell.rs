//! A terminal over one session channel (RFC 4254, sections 6.2, 6.5 and 6.7).
//!
//! Nothing here is marked or elevated as commands are: a terminal belongs to the person before it. Closing the channel is
//! how it ends when nobody sits there any more; an SSH server then hangs the terminal up, which sends HUP to what runs in it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Opened};
use super::exec;
use super::slots::Slot;
use super::stop::in_background;
use crate::transport::terminal::{TerminalInput, TerminalOutput, TerminalSpec};
use crate::transport::{Exit, ReachError, quote};

/// The longest wait for the terminal and the program in it to begin.
const START: Duration = Duration::from_secs(20);
/// The largest piece of output handed on at once, bytes: small enough that a key gets in between.
const PIECE: usize = 8 * 1024;

/// Runs a terminal over `opened` until its program ends, or nobody types and reads any more.
pub(super) async fn run(
    connection: &Arc<Connection>,
    opened: Opened,
    hop: &str,
    spec: &TerminalSpec,
    mut input: mpsc::Receiver<TerminalInput>,
    output: mpsc::Sender<TerminalOutput>,
    cancel: &CancellationToken,
) -> Result<Exit, ReachError> {
    let Opened { channel, slot } = opened;
    let (mut read, write) = channel.split();
    // Every way out closes the channel, also when the caller just drops us.
    let open = Open {
        write: Some(write),
        slot: Some(slot),
    };
    let begun = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(ReachError::Cancelled { hop: hop.to_owned() }),
        begun = timeout(START, begin(&mut read, open.write(), spec)) => begun,
    };
    match begun {
        Err(_) => {
            return Err(ReachError::Timeout {
                hop: hop.to_owned(),
                what: "opening a terminal".into(),
                limit: START,
            });
        }
        Ok(Err(Refused::Ended)) => return Err(connection.lost().await),
        Ok(Err(Refused::Said(what))) => {
            return Err(ReachError::Refused {
                hop: hop.to_owned(),
                reason: what.into(),
            });
        }
        Ok(Ok(())) => {}
    }
    let gone = || ReachError::Cancelled {
        hop: hop.to_owned(),
    };
    if output.send(TerminalOutput::Opened).await.is_err() {
        return Err(gone());
    }
    let ended = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(gone()),
        () = typing(open.write(), &mut input) => return Err(gone()),
        ended = showing(&mut read, &output) => ended,
    };
    match ended {
        Shown::Ended(exit) => Ok(exit),
        Shown::Unread => Err(gone()),
        Shown::Cut if connection.is_alive() => Err(ReachError::Lost {
            hop: hop.to_owned(),
            reason: "the host closed the terminal without saying how its program ended".into(),
        }),
        Shown::Cut => Err(connection.lost().await),
    }
}

/// Why there is no terminal.
enum Refused {
    Said(&'static str),
    Ended,
}

async fn begin(
    read: &mut ChannelReadHalf,
    write: &ChannelWriteHalf<Msg>,
    spec: &TerminalSpec,
) -> Result<(), Refused> {
    let (columns, rows) = (u32::from(spec.size.columns), u32::from(spec.size.rows));
    write
        .request_pty(true, &spec.term, columns, rows, 0, 0, &[])
        .await
        .map_err(|_| Refused::Ended)?;
    answer(read, "the host gives this login no terminal").await?;
    let asked = if spec.argv.is_empty() {
        write.request_shell(true).await
    } else {
        write.exec(true, quote(&spec.argv)).await
    };
    asked.map_err(|_| Refused::Ended)?;
    answer(read, "the host lets this login run no programs").await
}

async fn answer(read: &mut ChannelReadHalf, no: &'static str) -> Result<(), Refused> {
    loop {
        match read.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => return Err(Refused::Said(no)),
            Some(ChannelMsg::Close) | None => return Err(Refused::Ended),
            Some(_) => {}
        }
    }
}

/// Sends what is typed; returns when nobody will type any more because he has gone.
async fn typing(write: &ChannelWriteHalf<Msg>, input: &mut mpsc::Receiver<TerminalInput>) {
    while let Some(typed) = input.recv().await {
        // A channel that has ended is noticed by its other half, which knows how.
        let _ = match typed {
            TerminalInput::Bytes(bytes) => write.data_bytes(bytes).await,
            TerminalInput::Size(size) => {
                let (columns, rows) = (u32::from(size.columns), u32::from(size.rows));
                write.window_change(columns, rows, 0, 0).await
            }
            TerminalInput::End => write.eof().await,
        };
    }
}

enum Shown {
    Ended(Exit),
    /// Nobody reads the output any more.
    Unread,
    /// The channel ended without saying how the program did.
    Cut,
}

async fn showing(read: &mut ChannelReadHalf, output: &mpsc::Sender<TerminalOutput>) -> Shown {
    let mut exit = None;
    loop {
        match read.wait().await {
            Some(ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, ext: 1 }) => {
                let mut rest: Bytes = data;
                while !rest.is_empty() {
                    let piece = rest.split_to(rest.len().min(PIECE));
                    if output.send(TerminalOutput::Bytes(piece)).await.is_err() {
                        return Shown::Unread;
                    }
                }
            }
            Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                exit = Some(Exit::Signal(exec::name(&signal_name)));
            }
            Some(ChannelMsg::Close) | None => return exit.map_or(Shown::Cut, Shown::Ended),
            Some(_) => {}
        }
    }
}

/// A channel that is closed when this is dropped.
struct Open {
    write: Option<ChannelWriteHalf<Msg>>,
    slot: Option<Slot>,
}

impl Open {
    fn write(&self) -> &ChannelWriteHalf<Msg> {
        self.write.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (Some(write), slot) = (self.write.take(), self.slot.take()) else {
            return;
        };
        in_background(async move {
            let _ = write.close().await;
            drop(slot);
        });
    }
}
