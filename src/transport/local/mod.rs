//! Programs run here: Terraform, Ansible, the `local` steps of recipes.
//!
//! A program gets a process group of its own, so that stopping it stops what it has started, and so that a Ctrl-C at the
//! terminal, which is meant for the cockpit, does not reach it. There is no shell in between, ever.
//!
//! Stopping is graceful: exactly one SIGINT to the group (Terraform takes a second one as "drop everything" and may lose
//! state and lock), a grace period, then SIGKILL to whatever is left of the group.

mod host;

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use host::LocalHost;

use super::{Chunk, ChunkSink, Exit, job};

/// How long a stopped program may clean up before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);
/// How long output is waited for once the program has ended, when something it left behind keeps the pipes open.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Output is read in pieces of at most this many bytes.
const PIECE: usize = 32 * 1024;
/// From one look at a spool to the next.
const LOOK: Duration = Duration::from_millis(50);
/// Pieces that may wait for the sink; then the program waits.
const AHEAD: usize = 16;

/// A program to run on this machine.
#[derive(Debug, Clone)]
pub struct Program {
    /// Program and arguments; the program is looked for in `PATH` unless it has a slash.
    pub argv: Vec<String>,
    /// Its working directory; `None` means ours.
    pub directory: Option<PathBuf>,
    /// Variables added to our environment, or replacing those in it.
    pub environment: BTreeMap<String, String>,
    /// Bytes for its standard input; `None` means an empty one.
    pub stdin: Option<Bytes>,
    /// The longest it may take; `None` means as long as it likes.
    pub timeout: Option<Duration>,
    /// How long it may clean up after SIGINT before it is killed.
    pub grace: Duration,
    /// A directory of its own through whose files its output goes, instead of through pipes. Should we die, its next word
    /// into a pipe would be its last (SIGPIPE); into a file it goes on writing, and ends in good order by itself.
    pub spool: Option<PathBuf>,
}

impl Program {
    /// A program without input, in our directory, that may take as long as it likes.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            directory: None,
            environment: BTreeMap::new(),
            stdin: None,
            timeout: None,
            grace: GRACE,
            spool: None,
        }
    }
}

/// Why a program did not run to its own end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LocalError {
    /// It could not be started.
    #[error("cannot start {program}: {reason}")]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        reason: String,
    },
    /// Its time ran out; it was stopped.
    #[error("{program} took longer than {limit:?} and was stopped ({ended})")]
    Timeout {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
        /// How it ended then.
        ended: Ended,
    },
    /// An operator stopped it.
    #[error("{program} was cancelled ({ended})")]
    Cancelled {
        /// The program.
        program: String,
        /// How it ended then.
        ended: Ended,
    },
    /// The system lost track of it.
    #[error("cannot watch {program}: {reason}")]
    Watch {
        /// The program.
        program: String,
        /// The system's words.
        reason: String,
    },
}

/// How a program that was stopped came to its end: whether something may be half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself within its grace period.
    Gracefully(Exit),
    /// By SIGKILL, in the middle of whatever it was doing.
    Killed,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gracefully(exit) => write!(f, "it ended with {exit} after SIGINT"),
            Self::Killed => {
                f.write_str("it did not end after SIGINT and was killed; its work may be half done")
            }
        }
    }
}

/// Runs `program` and hands its output to `sink` as it arrives.
///
/// While it is being stopped its output still goes to `sink`. Dropping the future kills the group at once.
///
/// # Errors
/// [`LocalError`] when it could not be started or did not run to its own end. A program that ran and failed is not an
/// error: see [`Exit`].
pub async fn run(
    program: &Program,
    sink: &mut dyn ChunkSink,
    cancel: &CancellationToken,
) -> Result<Exit, LocalError> {
    run_fed(program, None, sink, cancel).await
}

/// As [`run`], with a standard input that comes piece by piece in place of [`Program::stdin`]; it ends with `feed`.
///
/// # Errors
/// As [`run`].
pub async fn run_fed(
    program: &Program,
    feed: Option<mpsc::Receiver<Bytes>>,
    sink: &mut dyn ChunkSink,
    cancel: &CancellationToken,
) -> Result<Exit, LocalError> {
    let name = program.argv.first().cloned().unwrap_or_default();
    let mut child = start(program, feed.is_some())?;
    let mut group = Group::of(&child);
    let (pieces, mut arriving) = mpsc::channel(AHEAD);
    let exited = CancellationToken::new();
    // Readers and writer of the pipes; they end with this set, whichever way we leave.
    let mut pipes = tokio::task::JoinSet::new();
    if let Some(dir) = &program.spool {
        for (name, wrap) in SPOOLS {
            let (file, pieces) = (dir.join(name), pieces.clone());
            pipes.spawn(follow(file, wrap, pieces, exited.clone()));
        }
    }
    if let Some(pipe) = child.stdout.take() {
        pipes.spawn(drain(pipe, Chunk::Stdout, pieces.clone(), exited.clone()));
    }
    if let Some(pipe) = child.stderr.take() {
        pipes.spawn(drain(pipe, Chunk::Stderr, pieces.clone(), exited.clone()));
    }
    // What is delivered ends when the last of those who read has ended.
    drop(pieces);
    // A program that does not want all of its input is no failure of ours.
    match (child.stdin.take(), feed, program.stdin.clone()) {
        (Some(mut pipe), Some(mut feed), _) => {
            pipes.spawn(async move {
                while let Some(bytes) = feed.recv().await {
                    if pipe.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
        (Some(mut pipe), None, Some(bytes)) => {
            pipes.spawn(async move { drop(pipe.write_all(&bytes).await) });
        }
        _ => {}
    }
    let deliver = async {
        while let Some(piece) = arriving.recv().await {
            sink.chunk(piece).await;
        }
    };
    tokio::pin!(deliver);
    let supervise = supervise(&mut child, &mut group, program, cancel);
    tokio::pin!(supervise);
    let mut delivered = false;
    let seen = loop {
        tokio::select! {
            seen = &mut supervise => break seen,
            () = &mut deliver, if !delivered => delivered = true,
        }
    };
    exited.cancel();
    let (stop, ended) = seen.map_err(|error| LocalError::Watch {
        program: name.clone(),
        reason: error.to_string(),
    })?;
    if !delivered {
        match stop {
            None => deliver.await,
            // Who cancels waits for a sink that takes nothing no longer than for a program that does not end.
            Some(_) => drop(timeout(program.grace, deliver).await),
        }
    }
    match (stop, ended) {
        (None, Ended::Gracefully(exit)) => Ok(exit),
        // Not stopped by us: somebody else's SIGKILL is an exit like any other.
        (None, Ended::Killed) => Ok(Exit::Signal("KILL".into())),
        (Some(Stop::Overdue(limit)), ended) => Err(LocalError::Timeout {
            program: name,
            limit,
            ended,
        }),
        (Some(Stop::Cancelled), ended) => Err(LocalError::Cancelled {
            program: name,
            ended,
        }),
    }
}

/// Why a program was told to stop.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Cancelled,
    Overdue(Duration),
}

/// Waits for the end of `child`, and brings it about when it is overdue or cancelled.
async fn supervise(
    child: &mut Child,
    group: &mut Group,
    program: &Program,
    cancel: &CancellationToken,
) -> std::io::Result<(Option<Stop>, Ended)> {
    let overdue = async {
        match program.timeout {
            Some(limit) => {
                sleep(limit).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    let stop = tokio::select! {
        status = child.wait() => {
            // What it left behind on purpose (a daemon) may stay.
            group.release();
            return Ok((None, Ended::Gracefully(exit_of(status?))));
        }
        () = cancel.cancelled() => Stop::Cancelled,
        limit = overdue => Stop::Overdue(limit),
    };
    group.signal(Signal::INT);
    let ended = if let Ok(status) = timeout(program.grace, child.wait()).await {
        Ended::Gracefully(exit_of(status?))
    } else {
        group.signal(Signal::KILL);
        child.wait().await?;
        Ended::Killed
    };
    // Those of the group that outlived their leader.
    group.signal(Signal::KILL);
    group.release();
    Ok((Some(stop), ended))
}

fn start(program: &Program, fed: bool) -> Result<Child, LocalError> {
    let failed = |reason: String| LocalError::Start {
        program: program.argv.first().cloned().unwrap_or_default(),
        reason,
    };
    let (name, arguments) = program
        .argv
        .split_first()
        .ok_or_else(|| failed("no program is named".into()))?;
    let mut command = tokio::process::Command::new(name);
    command
        .args(arguments)
        .env(job::VARIABLE, job::mark())
        .envs(&program.environment)
        .stdin(if fed || program.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(outlet(program, "stdout").map_err(|error| failed(error.to_string()))?)
        .stderr(outlet(program, "stderr").map_err(|error| failed(error.to_string()))?)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(directory) = &program.directory {
        command.current_dir(directory);
    }
    command.spawn().map_err(|error| {
        // The system does not say which of the two it did not find.
        match &program.directory {
            Some(directory) if !directory.is_dir() => {
                failed(format!("there is no directory {}", directory.display()))
            }
            _ => failed(error.to_string()),
        }
    })
}

/// A process group that is killed when it is forgotten.
struct Group(Option<Pid>);

impl Group {
    /// The group that `child` leads.
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Fails only when nobody is left to hear it.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Makes a piece of output one of standard output, or of standard error.
type Wrap = fn(Bytes) -> Chunk;

/// What a program says, by the file of its spool.
const SPOOLS: [(&str, Wrap); 2] = [("stdout", Chunk::Stdout), ("stderr", Chunk::Stderr)];

/// The other end of a program's output: a pipe, or a new file of its spool.
fn outlet(program: &Program, name: &str) -> std::io::Result<Stdio> {
    let Some(dir) = &program.spool else {
        return Ok(Stdio::piped());
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(dir.join(name))?;
    Ok(file.into())
}

/// Hands on what is written to `path`, until the program has ended and all of it was read.
async fn follow(
    path: PathBuf,
    wrap: fn(Bytes) -> Chunk,
    pieces: mpsc::Sender<Chunk>,
    exited: CancellationToken,
) {
    let Ok(mut file) = tokio::fs::File::open(&path).await else {
        return;
    };
    loop {
        // Before the read: what was written until then is read in any case.
        let over = exited.is_cancelled();
        let mut piece = BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) if over => return,
            Ok(0) => tokio::select! {
                () = sleep(LOOK) => {}
                () = exited.cancelled() => {}
            },
            Ok(_) => {
                if pieces.send(wrap(piece.freeze())).await.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// Hands on what arrives in `pipe` until its end, or until it is quiet after the program has ended.
async fn drain(
    mut pipe: impl AsyncRead + Unpin,
    wrap: fn(Bytes) -> Chunk,
    pieces: mpsc::Sender<Chunk>,
    exited: CancellationToken,
) {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE);
        let quiet = async {
            exited.cancelled().await;
            sleep(AFTERMATH).await;
        };
        tokio::select! {
            biased;
            read = pipe.read_buf(&mut piece) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            () = quiet => return,
        }
        if pieces.send(wrap(piece.freeze())).await.is_err() {
            return;
        }
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        // Exit codes are 0..=255.
        (Some(code), _) => Exit::Code(code.unsigned_abs()),
        (None, Some(signal)) => Exit::Signal(name_of(signal)),
        (None, None) => Exit::Signal("unknown".into()),
    }
}

/// A signal by the name that SSH uses for it too (RFC 4254, section 6.10), others by their number.
fn name_of(signal: i32) -> String {
    const NAMES: [(Signal, &str); 13] = [
        (Signal::ABORT, "ABRT"),
        (Signal::ALARM, "ALRM"),
        (Signal::BUS, "BUS"),
        (Signal::FPE, "FPE"),
        (Signal::HUP, "HUP"),
        (Signal::ILL, "ILL"),
        (Signal::INT, "INT"),
        (Signal::KILL, "KILL"),
        (Signal::PIPE, "PIPE"),
        (Signal::QUIT, "QUIT"),
        (Signal::SEGV, "SEGV"),
        (Signal::TERM, "TERM"),
        (Signal::USR1, "USR1"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| known.as_raw() == signal)
        .map_or_else(|| signal.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests;
