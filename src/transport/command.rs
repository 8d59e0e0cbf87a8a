//! What is run on a host, and what comes back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

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
    /// Whether it ends with [`ReachError::GaveWay`](super::ReachError::GaveWay) when another command waits for its place among the sessions that the
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

/// The most of one stream that [`Host::output`](super::Host::output) keeps, bytes.
pub const OUTPUT_LIMIT: usize = 4 * 1024 * 1024;

/// Keeps the beginning of both streams, each up to [`OUTPUT_LIMIT`] bytes.
#[derive(Default)]
pub(super) struct Collect {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Collect {
    pub(super) fn into_output(self, exit: Exit) -> Output {
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
}
