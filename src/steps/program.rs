//! Programs that tell how far they are: found in `PATH`, run in a process group of their own, every line taken in, and what
//! they work on shown while they do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{Context, StepError};
use crate::domain::matrix::Matrix;
use crate::domain::run::Stream;
use crate::resources::Log;
use crate::resources::exec::{Relay, Said};
use crate::transport::local::{self, LocalError, Program};
use crate::transport::{Chunk, ChunkSink, Exit};

/// The longest line that is taken in whole, bytes: outputs and differences can be long.
const LINE: usize = 4 * 1024 * 1024;
/// From one showing of a matrix to the next.
const PACE: Duration = Duration::from_millis(250);
/// The most that is kept of what a program says quietly, bytes.
const QUIET: usize = 256 * 1024 * 1024;

/// Takes in what a program says, line by line.
pub(super) trait Account: Send {
    /// A line of its standard output; what the log shall say of it.
    fn take(&mut self, line: &str) -> Vec<(Stream, String)>;

    /// A line of its standard error, which the log has already.
    fn complain(&mut self, _line: &str) {}

    /// What it works on, as it stands now.
    fn matrix(&self) -> Matrix;
}

/// Passes what is left of a program's lines on to the log.
struct Teller<'a, A> {
    log: &'a dyn Log,
    account: &'a Mutex<A>,
    moved: AtomicBool,
}

#[async_trait]
impl<A: Account> Log for Teller<'_, A> {
    async fn line(&self, stream: Stream, text: String) {
        if stream != Stream::Stdout {
            look(self.account, |account| account.complain(&text));
            return self.log.line(stream, text).await;
        }
        let said = look(self.account, |account| account.take(&text));
        self.moved.store(true, Ordering::Relaxed);
        for (stream, text) in said {
            self.log.line(stream, text).await;
        }
    }
}

/// Runs `program` to its end, with everything it says in `account`.
///
/// # Errors
/// As [`local::run`].
pub(super) async fn watch<A: Account>(
    program: &Program,
    account: &Mutex<A>,
    context: &Context,
) -> Result<(Exit, Said), LocalError> {
    let teller = Teller {
        log: &*context.log,
        account,
        moved: AtomicBool::new(false),
    };
    let mut relay = Relay::of_long_lines(&teller, LINE);
    let ended = {
        let work = local::run(program, &mut relay, &context.cancel);
        tokio::pin!(work);
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                ended = &mut work => break ended,
                _ = pace.tick() => if teller.moved.swap(false, Ordering::Relaxed) {
                    show(account, context).await;
                }
            }
        }
    };
    let said = relay.finish().await;
    show(account, context).await;
    Ok((ended?, said))
}

/// Shows what an account says now.
pub(super) async fn show<A: Account>(account: &Mutex<A>, context: &Context) {
    let matrix = look(account, |account| account.matrix());
    context.workshop.matrices.show(matrix).await;
}

/// Looks at an account.
pub(super) fn look<A, T>(account: &Mutex<A>, look: impl FnOnce(&mut A) -> T) -> T {
    look(&mut account.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a program said without a word in the log. Its standard output may hold secrets: it is wiped when it is let go.
pub(super) struct Quiet {
    pub(super) exit: Exit,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    /// The last lines of its standard error.
    pub(super) complaint: String,
}

/// Runs `program` to its end and keeps what it says.
///
/// # Errors
/// As [`local::run`], and when it says more than [`QUIET`] bytes.
pub(super) async fn ask(program: &Program, cancel: &CancellationToken) -> Result<Quiet, StepError> {
    let mut kept = Kept::default();
    let exit = local::run(program, &mut kept, cancel)
        .await
        .map_err(|error| StepError::lasting(error.to_string()))?;
    if kept.overflows {
        return Err(StepError::lasting(format!(
            "{} said more than {} MiB",
            program.argv.first().map_or("", String::as_str),
            QUIET >> 20
        )));
    }
    let stderr = String::from_utf8_lossy(&kept.stderr);
    let lines: Vec<&str> = stderr
        .lines()
        .map(|line| line.trim_matches(|c: char| c.is_whitespace() || "│╷╵".contains(c)))
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines.len().saturating_sub(4);
    Ok(Quiet {
        exit,
        stdout: kept.stdout,
        complaint: lines[last..].join("; "),
    })
}

#[derive(Default)]
struct Kept {
    stdout: Zeroizing<Vec<u8>>,
    stderr: Vec<u8>,
    overflows: bool,
}

#[async_trait]
impl ChunkSink for Kept {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) if self.stdout.len() + bytes.len() <= QUIET => {
                self.stdout.extend_from_slice(&bytes);
            }
            Chunk::Stdout(_) => self.overflows = true,
            Chunk::Stderr(bytes) => {
                let room = (64 * 1024_usize).saturating_sub(self.stderr.len());
                self.stderr
                    .extend_from_slice(&bytes[..room.min(bytes.len())]);
            }
        }
    }
}

/// The first of `names` that is a program in `PATH`, or a path to one.
pub(super) fn find(names: &[&str]) -> Option<PathBuf> {
    let is_program = |path: &Path| {
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    names.iter().find_map(|name| {
        if name.contains('/') {
            let path = PathBuf::from(name);
            return is_program(&path).then_some(path);
        }
        let all = std::env::var_os("PATH")?;
        std::env::split_paths(&all)
            .map(|dir| dir.join(name))
            .find(|path| is_program(path))
    })
}
