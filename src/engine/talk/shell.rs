//! A terminal on a node, for one client.
//!
//! It can change anything, so it is gated as a change is, except that it never waits for a second operator: it is what is
//! left when recipes do not help. It is on record who opened it where, when, and how it ended; what is typed and shown in it
//! never is. It takes no lock: an operator may have to look into what a run is doing.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::mpsc;

use super::super::core::{Core, Counter};
use crate::client::Refusal;
use crate::client::conversation::{
    Conversation, Counterpart, Down, Ending, ShellOpening, Up, WAITING, pair,
};
use crate::domain::action::{Gate, READ_ONLY, Risk};
use crate::domain::operator::Operator;
use crate::transport::ask::attended;
use crate::transport::terminal::{TerminalInput, TerminalOutput, TerminalSpec};
use crate::transport::{Exit, Host, ReachError};

/// The longest name of a terminal's type; terminfo's are much shorter.
const TERM_LIMIT: usize = 64;

pub(super) async fn open(caller: &Counter, opening: ShellOpening) -> Result<Conversation, Refusal> {
    let core = Arc::clone(&caller.core);
    let who = caller.operator.clone();
    let what = if opening.argv.is_empty() {
        opening.node.clone()
    } else {
        // Its arguments may hold secrets; the audit names the program alone.
        format!("{}: {}", opening.node, opening.argv[0])
    };
    let place = opening.environment.clone();
    let host = match allow(caller, &opening) {
        Ok(host) => host,
        Err(refusal) => {
            core.audit
                .shell_refused(&who, &place, &what, &refusal)
                .await;
            return Err(refusal);
        }
    };
    core.audit.shell_opened(&who, &place, &what).await?;
    let (ours, theirs) = pair();
    let session = Session {
        core: Arc::clone(&core),
        who,
        environment: place,
        what,
        host,
    };
    // Whoever sits there can be asked what the host wants to know.
    core.spawn(attended(session.carry(opening, theirs)));
    Ok(ours)
}

/// The host, when this client may have a terminal there.
fn allow(caller: &Counter, opening: &ShellOpening) -> Result<Arc<dyn Host>, Refusal> {
    if caller.read_only {
        return Err(Refusal::new(READ_ONLY));
    }
    let room = caller.core.room(&opening.environment)?;
    Gate::of(Risk::Change, room.environment.protection, false)
        .alone()
        .check(&opening.consent, &opening.environment)
        .map_err(Refusal::new)?;
    let plain = |c: char| c.is_ascii_graphic();
    if opening.term.is_empty()
        || opening.term.len() > TERM_LIMIT
        || !opening.term.chars().all(plain)
    {
        return Err(Refusal::new(format!(
            "{:?} is not a terminal's type; set TERM to what your terminal is, such as xterm-256color",
            opening.term
        )));
    }
    room.reach
        .host(&opening.node)
        .map_err(|error| Refusal::new(error.to_string()))
}

struct Session {
    core: Arc<Core>,
    who: Operator,
    environment: String,
    what: String,
    host: Arc<dyn Host>,
}

impl Session {
    async fn carry(self, opening: ShellOpening, theirs: Counterpart) {
        let begun = self.core.now();
        let Counterpart { up, down } = theirs;
        let spec = TerminalSpec {
            term: opening.term,
            size: opening.size,
            argv: opening.argv,
        };
        let (typed, input) = mpsc::channel(WAITING);
        let (output, shown) = mpsc::channel(WAITING);
        let terminal = self.host.terminal(&spec, input, output, &self.core.stopped);
        let ended = {
            let typing = typing(up, typed);
            let showing = showing(shown, &down);
            tokio::pin!(terminal, typing, showing);
            let mut shows = true;
            loop {
                tokio::select! {
                    ended = &mut terminal => {
                        if shows {
                            // What it said last is still between it and the client.
                            showing.await;
                        }
                        break Some(ended);
                    }
                    () = &mut typing => break None,
                    () = &mut showing, if shows => {
                        shows = false;
                        if down.is_closed() {
                            break None;
                        }
                    }
                }
            }
        };
        let outcome = match &ended {
            Some(Ok(Exit::Code(status))) => Ending::Status(*status),
            Some(Ok(Exit::Signal(name))) => Ending::Signal(name.clone()),
            Some(Err(ReachError::Cancelled { .. })) if self.core.stopped.is_cancelled() => {
                Ending::Failed("the engine ended".into())
            }
            Some(Err(error)) => Ending::Failed(error.to_string()),
            None => Ending::Failed("its client left".into()),
        };
        let _ = down.send(Down::Ended(outcome.clone())).await;
        let word = match outcome {
            Ending::Failed(_) if ended.is_some() => "failed",
            _ => "done",
        };
        let took = self.core.now().duration_since(begun);
        let took = SignedDuration::from_secs(took.as_secs());
        self.core
            .audit
            .shell_ended(
                &self.who,
                &self.environment,
                word,
                format!("{}: {outcome} after {took:#}", self.what),
            )
            .await;
    }
}

/// Hands on what the client types; returns when it has gone.
async fn typing(mut up: mpsc::Receiver<Up>, to: mpsc::Sender<TerminalInput>) {
    while let Some(said) = up.recv().await {
        let typed = match said {
            Up::Input(bytes) => TerminalInput::Bytes(bytes),
            Up::Size(size) => TerminalInput::Size(size),
            Up::End => TerminalInput::End,
        };
        // Nobody takes it once the terminal has ended, which is heard from the terminal itself.
        let _ = to.send(typed).await;
    }
}

/// Hands on what the terminal shows; returns when there is no more, or nobody to show it to.
async fn showing(mut shown: mpsc::Receiver<TerminalOutput>, down: &mpsc::Sender<Down>) {
    while let Some(piece) = shown.recv().await {
        let said = match piece {
            TerminalOutput::Opened => Down::Opened,
            TerminalOutput::Bytes(bytes) => Down::Output(bytes),
        };
        if down.send(said).await.is_err() {
            return;
        }
    }
}
