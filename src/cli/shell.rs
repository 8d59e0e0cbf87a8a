//! `quarterdeck shell`: a terminal on a node, in the terminal that this program runs in.
//!
//! The own terminal is put into raw mode for as long as it lasts and is as before on every way out. The session goes over
//! the engine's kept connection, through the same jump hosts; it ends when this program does.

use std::io::{IsTerminal as _, Read as _};

use bytes::Bytes;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::exit::{Ended, Exit};
use super::follow::consent;
use super::session::{Endings, Session};
use super::{Global, output};
use crate::client::conversation::{
    Conversation, Down, Ending, Opening, PIECE, ShellOpening, Up, WAITING,
};
use crate::domain::action::{Gate, Risk};
use crate::domain::terminal::TerminalSize;

/// The exit status when it is not known how the program on the node ended, as ssh(1) has it.
const LOST: u8 = 255;
/// What the escapes are, for those who ask.
const ESCAPES: &str = "Escapes, at the beginning of a line:\r\n  \
    ~.  hang up\r\n  ~~  send a ~\r\n  ~?  this help\r\n";

/// Flags of `quarterdeck shell`.
#[derive(Debug, Args)]
#[command(after_help = "\
At the beginning of a line ~. hangs up, ~? lists the escapes. The exit status is that of the program on the node; 255 when \
the terminal was lost, 128 and the signal's number when a signal ended it.")]
pub(super) struct ShellArgs {
    /// The node
    node: String,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Say yes where the environment asks for a confirmation
    #[arg(long, short)]
    yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Program and arguments; default: the login shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Opens a terminal on a node and carries it to its end.
///
/// # Errors
/// [`Exit::Refused`] when the gate stays shut; [`LOST`] when the terminal could not be opened or was lost.
pub(super) async fn shell(global: &Global, args: ShellArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "shell").await?;
    let outcome = open(global, &session, args).await;
    session.close().await;
    outcome
}

async fn open(global: &Global, session: &Session, args: ShellArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    let gate = Gate::of(Risk::Change, environment.protection, global.read_only).alone();
    let consent = consent(gate, &environment.name, args.yes, args.confirm)?;
    let opening = ShellOpening {
        environment: environment.name.clone(),
        node: args.node,
        argv: args.command,
        term: std::env::var("TERM")
            .ok()
            .filter(|term| !term.is_empty() && term != "dumb")
            .unwrap_or_else(|| "vt100".into()),
        size: size(),
        consent,
    };
    let conversation = session
        .client()
        .open(Opening::Shell(opening))
        .await
        .map_err(Ended::refused)?;
    let raw = Raw::begin()?;
    let ended = talk(conversation, raw.is_some()).await;
    drop(raw);
    match ended {
        Over::Ended(Ending::Status(status)) => {
            Ok(Exit::Passed(u8::try_from(status).unwrap_or(LOST)))
        }
        Over::Ended(Ending::Signal(name)) => {
            output::remark(&format!("ended by signal {}", output::plain(&name)));
            Ok(Exit::Passed(
                number(&name).map_or(LOST, |number| 128 + number),
            ))
        }
        Over::Ended(Ending::Failed(reason)) => {
            Err(Ended::new(Exit::Passed(LOST), output::plain(&reason)).into())
        }
        Over::HungUp => {
            output::remark("hung up");
            Ok(Exit::Passed(LOST))
        }
        Over::Asked => Ok(Exit::Cancelled),
    }
}

/// How it came to its end.
enum Over {
    Ended(Ending),
    /// By `~.`.
    HungUp,
    /// The system, or a lost terminal of ours, wants this program to end.
    Asked,
}

async fn talk(conversation: Conversation, typed: bool) -> Over {
    let Conversation { up, mut down } = conversation;
    let mut keys = keyboard();
    let mut escapes = Escapes::new(typed);
    let mut windows = signal(SignalKind::window_change()).ok();
    let mut endings = Endings::listen();
    let mut reading = true;
    loop {
        tokio::select! {
            said = down.recv() => match said {
                Some(Down::Output(bytes)) => {
                    // Nobody reads it any more: whatever is typed now would be typed blindly.
                    if !output::write(&bytes).unwrap_or(false) {
                        return Over::Asked;
                    }
                }
                Some(Down::Ended(ending)) => return Over::Ended(ending),
                Some(_) => {}
                None => return Over::Ended(Ending::Failed("lost the engine".into())),
            },
            typed = keys.recv(), if reading => {
                let Some(typed) = typed else {
                    reading = false;
                    let _ = up.send(Up::End).await;
                    continue;
                };
                let taken = escapes.take(&typed);
                if !taken.send.is_empty() {
                    // An engine that is gone says so on the way down.
                    let _ = up.send(Up::Input(taken.send.into())).await;
                }
                match taken.wish {
                    Some(Wish::HangUp) => return Over::HungUp,
                    Some(Wish::Help) => output::hint(ESCAPES),
                    None => {}
                }
            }
            () = window(&mut windows) => {
                let _ = up.send(Up::Size(size())).await;
            }
            _ = endings.next() => return Over::Asked,
        }
    }
}

async fn window(windows: &mut Option<tokio::signal::unix::Signal>) {
    match windows {
        Some(windows) => drop(windows.recv().await),
        None => std::future::pending().await,
    }
}

fn size() -> TerminalSize {
    crossterm::terminal::size().map_or_else(
        |_| TerminalSize::default(),
        |(columns, rows)| TerminalSize::new(columns, rows),
    )
}

/// What is typed, piece by piece, until there is no more.
///
/// On a thread of its own that is never joined: a read of a terminal cannot be broken off, and the program shall not wait for
/// one more key before it ends.
fn keyboard() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; PIECE];
        loop {
            match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => {
                    let piece = Bytes::copy_from_slice(&buffer[..count]);
                    if sender.blocking_send(piece).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    });
    receiver
}

/// The own terminal in raw mode; as it was when dropped.
struct Raw;

impl Raw {
    /// `None` when nobody sits there: input comes from a file or a pipe.
    fn begin() -> color_eyre::Result<Option<Self>> {
        if !std::io::stdin().is_terminal() {
            return Ok(None);
        }
        crossterm::terminal::enable_raw_mode().map_err(Ended::unusable)?;
        Ok(Some(Self))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = crossterm::terminal::disable_raw_mode();
    }
}

/// What an escape asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    HangUp,
    Help,
}

/// What became of typed bytes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken {
    send: Vec<u8>,
    /// The first escape; what was typed after `~.` is dropped.
    wish: Option<Wish>,
}

/// Recognises `~` at the beginning of a line, as ssh(1) does.
#[derive(Debug)]
struct Escapes {
    /// Whether a person types; what comes from a file is sent as it is.
    on: bool,
    at_start: bool,
    tilde: bool,
}

impl Escapes {
    const fn new(on: bool) -> Self {
        Self {
            on,
            at_start: true,
            tilde: false,
        }
    }

    fn take(&mut self, typed: &[u8]) -> Taken {
        let mut taken = Taken::default();
        if !self.on {
            taken.send.extend_from_slice(typed);
            return taken;
        }
        for &byte in typed {
            if std::mem::take(&mut self.tilde) {
                match byte {
                    b'.' => {
                        taken.wish = Some(Wish::HangUp);
                        return taken;
                    }
                    b'?' => {
                        taken.wish = Some(Wish::Help);
                        self.at_start = true;
                        continue;
                    }
                    b'~' => {}
                    _ => taken.send.push(b'~'),
                }
            } else if byte == b'~' && self.at_start {
                self.tilde = true;
                continue;
            }
            taken.send.push(byte);
            self.at_start = matches!(byte, b'\r' | b'\n');
        }
        taken
    }
}

/// The number of a signal that ends programs (signal(7), the same on every architecture Linux runs on).
fn number(name: &str) -> Option<u8> {
    Some(match name.trim_start_matches("SIG") {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ILL" => 4,
        "ABRT" => 6,
        "FPE" => 8,
        "KILL" => 9,
        "SEGV" => 11,
        "PIPE" => 13,
        "ALRM" => 14,
        "TERM" => 15,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&str]) -> (String, Option<Wish>) {
        let mut escapes = Escapes::new(true);
        let mut sent = Vec::new();
        let mut wish = None;
        for piece in pieces {
            let taken = escapes.take(piece.as_bytes());
            sent.extend(taken.send);
            wish = wish.or(taken.wish);
        }
        (String::from_utf8(sent).unwrap(), wish)
    }

    #[test]
    fn a_tilde_and_a_dot_at_the_beginning_of_a_line_hang_up() {
        assert_eq!(typed(&["~", "."]), (String::new(), Some(Wish::HangUp)));
        assert_eq!(typed(&["ls\r~.rm"]), ("ls\r".into(), Some(Wish::HangUp)));
    }

    #[test]
    fn a_tilde_within_a_line_is_typed() {
        assert_eq!(typed(&["cd ~.\r"]), ("cd ~.\r".into(), None));
        assert_eq!(typed(&["~/bin/x\r"]), ("~/bin/x\r".into(), None));
    }

    #[test]
    fn two_tildes_send_one() {
        assert_eq!(typed(&["~~.\r"]), ("~.\r".into(), None));
    }

    #[test]
    fn help_does_not_leave_the_beginning_of_the_line() {
        assert_eq!(typed(&["~?"]), (String::new(), Some(Wish::Help)));
        assert_eq!(typed(&["~?~."]).0, "");
    }

    #[test]
    fn a_script_is_sent_as_it_is() {
        let taken = Escapes::new(false).take(b"~.\n");
        assert_eq!((taken.send.as_slice(), taken.wish), (&b"~.\n"[..], None));
    }
}
