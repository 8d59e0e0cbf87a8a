//! Long work on a node that survives a lost connection: the command runs there by itself, and we follow its spool.
//!
//! ```text
//! start ──► keeper (own session) ── PROGRAM ──► spool: out, err, exit
//! follow from byte N ──► the same bytes over a channel ──✂ lost ── connect again ──► follow from byte N+k
//! ```
//!
//! The script (`detached.sh`) begins a command only once, whoever asks and however often: making the spool's directory is the
//! one step that only one can succeed in. So after a lost connection, and after a crash of the engine, the same [`run`]
//! attaches again to what is running or has ended. Offsets are bytes that have arrived here, so there is no gap and no
//! repetition.
//!
//! What it does not survive: a reboot of the node (told as lost), and a login manager that ends what a login leaves behind
//! (`KillUserProcesses=yes` of logind.conf(5); root's commands are not affected).

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Chunk, ChunkSink, Command, Exit, Host, Output, ReachError};

/// See its own beginning.
const SCRIPT: &str = include_str!("detached.sh");
/// How long a question that is answered at once may take.
const QUESTION: Duration = Duration::from_secs(30);
/// How long what is stopped may clean up before it is killed, seconds.
const GRACE_SECONDS: &str = "5";
/// How long stopping may take in all; the engine's own patience ends a little later.
const STOPPING: Duration = Duration::from_secs(9);
/// Pauses between attempts to connect again: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Takes what a detached command says, and what becomes of it.
#[async_trait]
pub trait Listener: ChunkSink {
    /// Takes one sentence about the connection or the command.
    async fn note(&mut self, text: String);
}

/// Runs `command` detached under `name` and hands its output on from its beginning to its end. When a command of that name
/// is running already, or has ended, that one is followed instead.
///
/// A lost connection is made again until `cancel` fires; cancelling ends the command and everything it began (TERM, then
/// KILL). The spool of a command that failed is removed at once; that of one that succeeded stays until [`forget`], so that
/// an end which is not on record yet can be learnt again.
///
/// # Errors
/// [`ReachError`] when it could not be begun, was cancelled, or was lost on the node.
pub async fn run(
    host: &dyn Host,
    command: &Command,
    name: &str,
    listener: &mut dyn Listener,
    cancel: &CancellationToken,
) -> Result<Exit, ReachError> {
    let work = Work {
        host,
        command,
        name,
    };
    let mut heard = Heard {
        listener,
        out: 0,
        err: 0,
        frames: Frames::default(),
    };
    let ended = work.to_its_end(&mut heard, cancel).await;
    if let Err(ReachError::Cancelled { .. }) = ended {
        match work.stop().await {
            Ok(()) => drop_spool(host, command, name).await,
            Err(error) => {
                let note = format!(
                    "could not be reached to stop it, it may still run there (spool {name}): {error}"
                );
                heard.listener.note(note).await;
            }
        }
    } else if !matches!(&ended, Ok(exit) if exit.success()) && !is_away(&ended) {
        drop_spool(host, command, name).await;
    }
    ended
}

/// Removes the spool called `name`, whatever is in it. What cannot be removed now is found later ([`list`]).
pub async fn drop_spool(host: &dyn Host, like: &Command, name: &str) {
    if let Err(error) = ask(host, like, &["drop", name], QUESTION).await {
        tracing::warn!(host = host.name(), name, %error, "a spool is left behind");
    }
}

/// Removes the spools of root whose names begin with `prefix` and a dot, and whose commands have ended.
///
/// # Errors
/// [`ReachError`] when the host cannot be asked.
pub async fn forget(host: &dyn Host, prefix: &str) -> Result<(), ReachError> {
    ask(host, &Command::new([""]), &["forget", prefix], QUESTION)
        .await
        .map(drop)
}

/// A spool that is on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Its name.
    pub name: String,
    /// `running`, `ended` or `lost`.
    pub state: String,
    /// The command's line.
    pub command: String,
}

/// The spools of root whose names begin with `prefix` and a dot.
///
/// # Errors
/// [`ReachError`] when the host cannot be asked.
pub async fn list(host: &dyn Host, prefix: &str) -> Result<Vec<Spool>, ReachError> {
    let output = ask(host, &Command::new([""]), &["list", prefix], QUESTION).await?;
    let text = output.text();
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, '\t').map(str::to_owned);
            Some(Spool {
                name: fields.next()?,
                state: fields.next()?,
                command: fields.next()?,
            })
        })
        .collect())
}

/// Whether it is only out of reach.
fn is_away(ended: &Result<Exit, ReachError>) -> bool {
    matches!(ended, Err(error) if error.is_passing() || matches!(error, ReachError::Cancelled { .. }))
}

/// The script with a verb, as whoever `like` runs as.
fn script(like: &Command, words: &[&str]) -> Command {
    let argv = ["sh", "-s"].iter().chain(words).copied();
    Command {
        elevated: like.elevated,
        ..Command::new(argv).with_stdin(SCRIPT)
    }
}

async fn ask(
    host: &dyn Host,
    like: &Command,
    words: &[&str],
    limit: Duration,
) -> Result<Output, ReachError> {
    host.output(&script(like, words).within(limit)).await
}

struct Work<'a> {
    host: &'a dyn Host,
    command: &'a Command,
    name: &'a str,
}

/// What beginning a command came to.
enum Begun {
    /// It runs, or has ended.
    There(String),
    /// The node's shell does not understand the script.
    NotHere(String),
}

impl Work<'_> {
    async fn to_its_end(
        &self,
        heard: &mut Heard<'_>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        let mut begun = false;
        let mut away: Option<Instant> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let turn = self.turn(&mut begun, &mut away, heard, cancel);
            let error = match turn.await {
                Ok(exit) => return Ok(exit),
                Err(error) => error,
            };
            // Nothing is there yet to come back to, unless it was begun in the moment in which the line broke.
            let worthwhile = begun || matches!(error, ReachError::Lost { .. });
            if !worthwhile || !error.is_passing() {
                return Err(error);
            }
            if away.is_none() {
                away = Some(Instant::now());
                pause = FIRST_PAUSE;
                let note = format!("{error}; the command goes on there, connecting again");
                heard.listener.note(note).await;
            }
            if cancel.run_until_cancelled(sleep(pause)).await.is_none() {
                return Err(ReachError::Cancelled {
                    hop: self.host.name().to_owned(),
                });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Attaches and follows until the command or the connection ends.
    async fn turn(
        &self,
        begun: &mut bool,
        away: &mut Option<Instant>,
        heard: &mut Heard<'_>,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        if !*begun {
            match self.begin(cancel).await? {
                Begun::There(word) => {
                    *begun = true;
                    if word != "started" {
                        heard.listener.note(found(&word)).await;
                    }
                }
                Begun::NotHere(complaint) => {
                    let note = format!(
                        "this node's shell cannot detach commands ({complaint}): it ends with the connection"
                    );
                    heard.listener.note(note).await;
                    let mut plain = Plain(heard);
                    return self.host.stream(self.command, &mut plain, cancel).await;
                }
            }
        }
        if let Some(since) = *away {
            self.host.ready().await?;
            let note = format!(
                "attached again after {:.1} s, at byte {}",
                since.elapsed().as_secs_f32(),
                heard.out
            );
            heard.listener.note(note).await;
            *away = None;
        }
        let (out, err) = (heard.out.to_string(), heard.err.to_string());
        let follow = script(self.command, &["follow", self.name, &out, &err]);
        let follow = follow.within(self.command.timeout);
        heard.frames = Frames::default();
        let ended = self.host.stream(&follow, &mut Framed(heard), cancel).await;
        match (&heard.frames.end, ended) {
            // Known, even when the line broke right behind it.
            (Some(End::Exit(code)), _) => Ok(Exit::Code(*code)),
            (Some(End::Lost), _) | (None, Ok(Exit::Code(4))) => Err(self.lost()),
            (Some(End::Nonsense) | None, Err(error)) => Err(error),
            (Some(End::Nonsense) | None, Ok(other)) => Err(ReachError::Refused {
                hop: self.host.name().to_owned(),
                reason: format!("what a detached command says cannot be followed: {other}"),
            }),
        }
    }

    async fn begin(&self, cancel: &CancellationToken) -> Result<Begun, ReachError> {
        let argv = self.command.argv.iter().map(String::as_str);
        let words: Vec<&str> = ["start", self.name].into_iter().chain(argv).collect();
        let start = script(self.command, &words).within(QUESTION);
        let mut collected = super::Collect::default();
        let exit = self.host.stream(&start, &mut collected, cancel).await?;
        let output = collected.into_output(exit);
        let word = output.text().lines().last().unwrap_or_default().to_owned();
        match &output.exit {
            Exit::Code(0) if word == "lost" => Err(self.lost()),
            Exit::Code(0) => Ok(Begun::There(word)),
            Exit::Code(2 | 127) => Ok(Begun::NotHere(output.complaint())),
            exit => Err(ReachError::File {
                hop: self.host.name().to_owned(),
                path: format!("spool {}", self.name),
                reason: format!("{exit}: {}", output.complaint()),
            }),
        }
    }

    fn lost(&self) -> ReachError {
        ReachError::Refused {
            hop: self.host.name().to_owned(),
            reason:
                "the detached command is gone without having told how it ended: the node was restarted, or it was killed"
                    .into(),
        }
    }

    async fn stop(&self) -> Result<(), ReachError> {
        let words = ["stop", self.name, GRACE_SECONDS];
        let output = ask(self.host, self.command, &words, STOPPING).await?;
        if output.exit.success() {
            Ok(())
        } else {
            Err(ReachError::Refused {
                hop: self.host.name().to_owned(),
                reason: output.complaint(),
            })
        }
    }
}

/// What an operator is told of a command that was not begun just now.
fn found(word: &str) -> String {
    match word {
        "running" => {
            "it was begun before and still runs there: attached, its output from its beginning"
                .into()
        }
        "ended" => "it was begun before and has ended there: its output from its beginning".into(),
        _ => "this node has no setsid: the command shares the session of the login that began it"
            .into(),
    }
}

/// Hands output on and counts it.
struct Heard<'a> {
    listener: &'a mut dyn Listener,
    out: u64,
    err: u64,
    frames: Frames,
}

impl Heard<'_> {
    async fn pass(&mut self, chunk: Chunk) {
        match &chunk {
            Chunk::Stdout(bytes) => self.out += bytes.len() as u64,
            Chunk::Stderr(bytes) => self.err += bytes.len() as u64,
        }
        self.listener.chunk(chunk).await;
    }
}

/// A command that could not be detached: its output as it is.
struct Plain<'a, 'b>(&'a mut Heard<'b>);

#[async_trait]
impl ChunkSink for Plain<'_, '_> {
    async fn chunk(&mut self, chunk: Chunk) {
        self.0.pass(chunk).await;
    }
}

/// Takes frames apart. What the script complains about (on standard error) is not the command's.
struct Framed<'a, 'b>(&'a mut Heard<'b>);

#[async_trait]
impl ChunkSink for Framed<'_, '_> {
    async fn chunk(&mut self, chunk: Chunk) {
        let Chunk::Stdout(bytes) = chunk else { return };
        for chunk in self.0.frames.feed(bytes) {
            self.0.pass(chunk).await;
        }
    }
}

/// How the frames came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Exit(u32),
    Lost,
    /// Something that is no frame.
    Nonsense,
}

/// Reads the frames of `follow`.
#[derive(Debug, Default)]
struct Frames {
    place: Place,
    end: Option<End>,
}

#[derive(Debug)]
enum Place {
    /// Before [`MARK`]: the newest line.
    Noise(Vec<u8>),
    /// In the line before a frame's bytes.
    Head(Vec<u8>),
    /// In a frame's bytes: of which stream, and how many are left.
    Body(u8, usize),
}

impl Default for Place {
    fn default() -> Self {
        Self::Noise(Vec::new())
    }
}

/// The line at which the frames begin.
const MARK: &[u8] = b"@follow";
/// Longer than any line of ours, bytes.
const LONGEST: usize = 64;

impl Frames {
    fn feed(&mut self, mut bytes: Bytes) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        while !bytes.is_empty() && self.end.is_none() {
            match &mut self.place {
                Place::Body(stream, left) => {
                    let piece = bytes.split_to(bytes.len().min(*left));
                    *left -= piece.len();
                    chunks.push(match stream {
                        b'E' => Chunk::Stderr(piece),
                        _ => Chunk::Stdout(piece),
                    });
                    if *left == 0 {
                        self.place = Place::Head(Vec::new());
                    }
                }
                Place::Noise(line) | Place::Head(line) => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let piece = bytes.split_to(end.unwrap_or(bytes.len()));
                    let room = LONGEST.saturating_sub(line.len()).min(piece.len());
                    line.extend_from_slice(&piece[..room]);
                    if end.is_some() {
                        let _ = bytes.split_to(1);
                        let line = std::mem::take(line);
                        self.line(&line);
                    }
                }
            }
        }
        chunks
    }

    fn line(&mut self, line: &[u8]) {
        if matches!(self.place, Place::Noise(_)) {
            if line == MARK {
                self.place = Place::Head(Vec::new());
            }
            return;
        }
        let text = std::str::from_utf8(line).unwrap_or_default();
        let number = text.get(2..).unwrap_or_default();
        match (line.first(), number.parse::<usize>()) {
            (Some(stream @ (b'O' | b'E')), Ok(left @ 1..)) => {
                self.place = Place::Body(*stream, left);
            }
            (Some(b'.'), Ok(_)) => {}
            (Some(b'X'), Ok(code)) => {
                self.end = Some(u32::try_from(code).map_or(End::Nonsense, End::Exit));
            }
            (Some(b'L'), Ok(_)) => self.end = Some(End::Lost),
            _ => self.end = Some(End::Nonsense),
        }
    }
}

#[cfg(test)]
mod tests;
