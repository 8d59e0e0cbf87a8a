//! Reaching things: hosts over SSH, child processes here, HTTP endpoints. Everything has a deadline and can be cancelled.
//!
//! The rest of the program sees hosts through [`Host`] and finds them through [`Reach`]; [`ssh::Pool`] is the real one.
//! Commands are argument vectors. Where a shell must be passed through (SSH has no other way) they are quoted once, here.

pub mod ask;
pub mod copy;
pub mod detached;
pub mod http;
pub mod job;
pub mod local;
pub mod ssh;
pub mod terminal;
pub mod wake;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::reach::Way;

/// A command for a host.
#[derive(Debug, Clone)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Bytes for its standard input; none means an empty one.
    pub stdin: Option<Bytes>,
    /// Run as root where the host's access says how ([`crate::domain::node::Elevate`]).
    pub elevated: bool,
    /// The longest it may take.
    pub timeout: Duration,
    /// Whether it ends with [`ReachError::GaveWay`] when another command waits for its place among the sessions that the
    /// host allows.
    pub gives_way: bool,
}

impl Command {
    /// An elevated command without input that may take a minute.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: None,
            elevated: true,
            timeout: Duration::from_secs(60),
            gives_way: false,
        }
    }

    /// The same, run as the login user.
    #[must_use]
    pub fn as_login_user(self) -> Self {
        Self {
            elevated: false,
            ..self
        }
    }

    /// The same with another limit of time.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same, giving way to others ([`Command::gives_way`]).
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self {
            gives_way: true,
            ..self
        }
    }

    /// The same with bytes for its standard input.
    #[must_use]
    pub fn with_stdin(self, stdin: impl Into<Bytes>) -> Self {
        Self {
            stdin: Some(stdin.into()),
            ..self
        }
    }

    /// The command as one line that a POSIX shell reads back as the same argument vector.
    pub fn shell_line(&self) -> String {
        quote(&self.argv)
    }
}

/// Quotes an argument vector for a POSIX shell.
pub fn quote<S: AsRef<str>>(argv: &[S]) -> String {
    // shlex refuses NUL bytes, which no argument vector can carry anyway.
    let clean: Vec<String> = argv
        .iter()
        .map(|word| word.as_ref().replace('\0', ""))
        .collect();
    shlex::try_join(clean.iter().map(String::as_str)).unwrap_or_default()
}

/// A piece of a command's output, in order of arrival within its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// From standard output.
    Stdout(Bytes),
    /// From standard error.
    Stderr(Bytes),
}

/// Takes a command's output as it arrives; awaiting in `chunk` slows the command down.
#[async_trait]
pub trait ChunkSink: Send {
    /// Takes one piece.
    async fn chunk(&mut self, chunk: Chunk);
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Code(u32),
    /// By a signal, such as `KILL`.
    Signal(String),
}

impl Exit {
    /// Whether it ended with status 0.
    pub const fn success(&self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// A command's whole output.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, at most [`OUTPUT_LIMIT`] bytes.
    pub stdout: Vec<u8>,
    /// Its standard error, at most [`OUTPUT_LIMIT`] bytes.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, trimmed; or standard output where it is empty.
    pub fn complaint(&self) -> String {
        let from = if self.stderr.is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        String::from_utf8_lossy(from).trim().to_owned()
    }
}

/// The most of one stream that [`Host::output`] keeps, bytes.
pub const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// What a written file shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMeta {
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Owning user by name.
    pub owner: String,
    /// Owning group by name.
    pub group: String,
}

/// Where the content of a file comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// From memory.
    Bytes(Bytes),
    /// From a file here.
    File(PathBuf),
}

/// Takes note of a copy's progress: bytes done, bytes in all.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A host that commands can be run on.
#[async_trait]
pub trait Host: Send + Sync + fmt::Debug {
    /// The node's name.
    fn name(&self) -> &str;

    /// Connects, where that is needed and has not been done: what is asked next is on its way at once.
    ///
    /// # Errors
    /// [`ReachError`] when the host cannot be reached.
    async fn ready(&self) -> Result<(), ReachError> {
        Ok(())
    }

    /// Runs a command and hands its output to `sink` as it arrives.
    ///
    /// Cancelling asks the remote process to end (TERM) and gives up on it.
    ///
    /// # Errors
    /// [`ReachError`] when the command could not be started, its time ran out, it was cancelled, or the connection was
    /// lost. A command that ran and failed is not an error: see [`Exit`].
    async fn stream(
        &self,
        command: &Command,
        sink: &mut dyn ChunkSink,
        cancel: &CancellationToken,
    ) -> Result<Exit, ReachError>;

    /// Reads a file of at most [`OUTPUT_LIMIT`] bytes as root; `None` when there is none at `path`.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`], or [`ReachError::File`] when it cannot be read.
    async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, ReachError>;

    /// Replaces the file at `path` in one step: other processes see the old one or the new one, whole, with its mode and
    /// owner. A cut connection leaves the old one.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`], or [`ReachError::File`] when it cannot be written.
    async fn write(
        &self,
        path: &str,
        source: Source,
        meta: &FileMeta,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<(), ReachError>;

    /// Copies the file `from` here to the path `to` on the host, as the login user, and goes on with what an earlier attempt
    /// has brought. There is never half a file under the target's name.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`]; [`ReachError::File`] when either file cannot be used.
    async fn push(
        &self,
        _from: &std::path::Path,
        _to: &str,
        _progress: Progress<'_>,
    ) -> Result<copy::Copied, ReachError> {
        Err(self.no_copies())
    }

    /// Copies the file `from` on the host to the path `to` here, as [`Host::push`] does the other way.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn pull(
        &self,
        _from: &str,
        _to: &std::path::Path,
        _progress: Progress<'_>,
    ) -> Result<copy::Copied, ReachError> {
        Err(self.no_copies())
    }

    /// Everything below `path` on the host that the login user sees, directories before what is in them, `path` first;
    /// links within are left out.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn tree(&self, _path: &str) -> Result<Vec<copy::TreeEntry>, ReachError> {
        Err(self.no_copies())
    }

    /// Whether there is a directory at `path` on the host.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn is_directory(&self, _path: &str) -> Result<bool, ReachError> {
        Err(self.no_copies())
    }

    /// Makes a directory on the host, unless there is one.
    ///
    /// # Errors
    /// As [`Host::push`].
    async fn make_directory(&self, _path: &str) -> Result<(), ReachError> {
        Err(self.no_copies())
    }

    /// What a host that copies no files says.
    fn no_copies(&self) -> ReachError {
        ReachError::Refused {
            hop: self.name().to_owned(),
            reason: "files cannot be copied to or from it".into(),
        }
    }

    /// Runs a terminal until its program ends. Dropping the other ends of both channels hangs it up.
    ///
    /// # Errors
    /// [`ReachError`] as for [`Host::stream`]; [`ReachError::Refused`] when the host gives no terminal.
    async fn terminal(
        &self,
        _spec: &terminal::TerminalSpec,
        _input: mpsc::Receiver<terminal::TerminalInput>,
        _output: mpsc::Sender<terminal::TerminalOutput>,
        _cancel: &CancellationToken,
    ) -> Result<Exit, ReachError> {
        Err(ReachError::Refused {
            hop: self.name().to_owned(),
            reason: "it has no terminal to give".into(),
        })
    }

    /// Runs a command and collects its output.
    ///
    /// # Errors
    /// As [`Host::stream`].
    async fn output(&self, command: &Command) -> Result<Output, ReachError> {
        let mut collected = Collect::default();
        let exit = self
            .stream(command, &mut collected, &CancellationToken::new())
            .await?;
        Ok(collected.into_output(exit))
    }
}

/// Finds the hosts of one environment by the names of its nodes.
#[async_trait]
pub trait Reach: Send + Sync {
    /// The way to the node called `name`: its hops, and where each setting came from. With `test` it is tried, beside the
    /// connections that are kept; that takes as long as connecting takes.
    async fn way(&self, name: &str, _test: bool) -> Way {
        Way {
            node: name.to_owned(),
            ..Way::default()
        }
    }

    /// The host of the node called `name`. Connects on first use, not here.
    ///
    /// # Errors
    /// [`ReachError::UnknownNode`] when the environment has no such node.
    fn host(&self, name: &str) -> Result<Arc<dyn Host>, ReachError>;
}

/// Keeps the beginning of both streams, each up to [`OUTPUT_LIMIT`] bytes.
#[derive(Default)]
struct Collect {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Collect {
    fn into_output(self, exit: Exit) -> Output {
        Output {
            exit,
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

#[async_trait]
impl ChunkSink for Collect {
    async fn chunk(&mut self, chunk: Chunk) {
        let (into, bytes) = match chunk {
            Chunk::Stdout(bytes) => (&mut self.stdout, bytes),
            Chunk::Stderr(bytes) => (&mut self.stderr, bytes),
        };
        let room = OUTPUT_LIMIT.saturating_sub(into.len()).min(bytes.len());
        into.extend_from_slice(&bytes[..room]);
    }
}

/// Why a host could not be reached, or stopped answering. Says which hop, what happened, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReachError {
    /// The environment has no node of that name.
    #[error("there is no node called {0:?} in this environment")]
    UnknownNode(String),
    /// The name has no address.
    #[error("{hop}: cannot find an address for {address:?}: {reason}")]
    Resolve {
        /// Node at this hop.
        hop: String,
        /// What was looked up.
        address: String,
        /// The resolver's words.
        reason: String,
    },
    /// No TCP connection.
    #[error("{hop}: cannot connect to {address}: {reason}")]
    Connect {
        /// Node at this hop.
        hop: String,
        /// Host and port.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// Connected, but no SSH session came of it.
    #[error("{hop}: {address} does not complete the SSH handshake: {reason}")]
    Handshake {
        /// Node at this hop.
        hop: String,
        /// Host and port.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The host key is not the pinned one.
    #[error(
        "{hop}: HOST KEY CHANGED: {file}:{line} pins {known}, the host offers {offered}; if the host was reinstalled \
         remove that line, otherwise somebody may be listening"
    )]
    HostKeyChanged {
        /// Node at this hop.
        hop: String,
        /// Fingerprint on file.
        known: String,
        /// Fingerprint offered.
        offered: String,
        /// The `known_hosts` file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
    },
    /// The host key, or the authority that vouches for it, is known to be in the wrong hands.
    #[error(
        "{hop}: HOST KEY REVOKED: {file}:{line} has {revoked} as revoked, the host offers {offered}; it must not be trusted: \
         give the host another key"
    )]
    HostKeyRevoked {
        /// Node at this hop.
        hop: String,
        /// Fingerprint of what is revoked: the key itself or its authority's.
        revoked: String,
        /// Fingerprint offered.
        offered: String,
        /// The file that says so.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
    },
    /// No host key is pinned.
    #[error("{hop}: host key {offered} is not known; verify it, then add to {file}: {entry}")]
    HostKeyUnknown {
        /// Node at this hop.
        hop: String,
        /// Fingerprint offered.
        offered: String,
        /// The `known_hosts` file.
        file: PathBuf,
        /// The line to add.
        entry: String,
    },
    /// The host shows a certificate that proves nothing, and its key is not pinned.
    #[error(
        "{hop}: the host's certificate is not accepted: {reason}; and its key {offered} is not known either"
    )]
    HostCertificate {
        /// Node at this hop.
        hop: String,
        /// Fingerprint of the key in it.
        offered: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host refused every identity.
    #[error("{hop}: {user} was not let in; tried {tried}")]
    Denied {
        /// Node at this hop.
        hop: String,
        /// Login name.
        user: String,
        /// Identities and methods that were tried, with the reason for those that could not be used.
        tried: String,
    },
    /// Somebody must answer something first, and nobody did.
    #[error("{hop}: wants {wants}: {reason}")]
    Unanswered {
        /// Node at this hop.
        hop: String,
        /// What it wants, such as `a password`.
        wants: String,
        /// Why there is no answer, and what was tried besides.
        reason: String,
    },
    /// The way is closed on purpose, or leads nowhere: nothing changes until somebody changes it.
    #[error("{hop}: {reason}")]
    Refused {
        /// Node at this hop.
        hop: String,
        /// What is refused, and by what.
        reason: String,
    },
    /// Elevation is not permitted.
    #[error("{hop}: cannot become root: {reason}")]
    Elevate {
        /// The node.
        hop: String,
        /// `sudo`'s words.
        reason: String,
    },
    /// Time ran out.
    #[error("{hop}: {what} took longer than {limit:?}")]
    Timeout {
        /// The node.
        hop: String,
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke.
    #[error("{hop}: the connection was lost: {reason}")]
    Lost {
        /// The node.
        hop: String,
        /// What was seen.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{hop}: {path}: {reason}")]
    File {
        /// The node.
        hop: String,
        /// The file.
        path: String,
        /// What the host said.
        reason: String,
    },
    /// It was a command that gives way ([`Command::gives_way`]), and another one waited.
    #[error("{hop}: made room for another command")]
    GaveWay {
        /// The node.
        hop: String,
    },
    /// An operator stopped it.
    #[error("{hop}: cancelled")]
    Cancelled {
        /// The node.
        hop: String,
    },
}

impl ReachError {
    /// The same, told to somebody who wanted to reach `target` through the hop at which it happened.
    fn on_the_way_to(mut self, target: &str) -> Self {
        match &mut self {
            Self::UnknownNode(_) => {}
            Self::Resolve { hop, .. }
            | Self::Connect { hop, .. }
            | Self::Handshake { hop, .. }
            | Self::HostKeyChanged { hop, .. }
            | Self::HostKeyRevoked { hop, .. }
            | Self::HostKeyUnknown { hop, .. }
            | Self::HostCertificate { hop, .. }
            | Self::Denied { hop, .. }
            | Self::Unanswered { hop, .. }
            | Self::Refused { hop, .. }
            | Self::Elevate { hop, .. }
            | Self::Timeout { hop, .. }
            | Self::Lost { hop, .. }
            | Self::File { hop, .. }
            | Self::GaveWay { hop }
            | Self::Cancelled { hop } => *hop = format!("{hop} (on the way to {target})"),
        }
        self
    }

    /// Whether trying again later may help without anybody doing anything.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::Handshake { .. }
                | Self::Timeout { .. }
                | Self::Lost { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_real_shell_reads_back_the_argument_vector_that_was_quoted(
            words in prop::collection::vec("[^\0]{0,20}|[ '\"\\\\$`!*?~#;&|<>\n\t-]{0,12}", 1..6)
        ) {
            let mut argv = vec!["printf".to_owned(), "%s\\0".to_owned()];
            argv.extend(words.iter().cloned());
            let output = std::process::Command::new("sh")
                .args(["-c", &quote(&argv)])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            let read: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
            prop_assert_eq!(read, words);
        }
    }

    #[tokio::test]
    async fn collected_output_is_bounded() {
        let mut collected = Collect::default();
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        for _ in 0..6 {
            collected.chunk(Chunk::Stdout(piece.clone())).await;
        }
        let output = collected.into_output(Exit::Code(0));
        assert_eq!(
            (output.stdout.len(), output.stderr.len()),
            (OUTPUT_LIMIT, 0)
        );
    }

    #[test]
    fn an_error_at_a_jump_host_says_on_the_way_to_whom() {
        let error = ReachError::Lost {
            hop: "bastion".into(),
            reason: "gone".into(),
        };
        assert_eq!(
            error.on_the_way_to("pc1").to_string(),
            "bastion (on the way to pc1): the connection was lost: gone"
        );
    }
}
