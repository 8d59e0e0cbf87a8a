//! Running commands on a host for a resource or a step: looking quietly, or doing with every line in the log.

use std::collections::VecDeque;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{Log, Means, ResourceError};
use crate::domain::run::Stream;
use crate::transport::detached::{self, Listener};
use crate::transport::job;
use crate::transport::{Chunk, ChunkSink, Command, Exit, Host, OUTPUT_LIMIT, Output, ReachError};

/// The longest line that is kept whole, bytes; a longer one is broken into several.
const LINE_LIMIT: usize = 16 * 1024;
/// How many of the last lines an error quotes.
const LAST_LINES: usize = 3;

/// Runs a command and collects what it says, without a word in the log.
///
/// # Errors
/// As [`Host::stream`].
pub async fn look(
    host: &dyn Host,
    command: &Command,
    cancel: &CancellationToken,
) -> Result<Output, ReachError> {
    let mut collected = Collected::default();
    let exit = host.stream(command, &mut collected, cancel).await?;
    Ok(Output {
        exit,
        stdout: collected.stdout,
        stderr: collected.stderr,
    })
}

/// As [`look`], for commands that are expected to succeed.
///
/// # Errors
/// [`ResourceError::Failed`] for another exit status than 0.
pub async fn look_well<S: Into<String>>(
    host: &dyn Host,
    argv: impl IntoIterator<Item = S>,
    cancel: &CancellationToken,
) -> Result<String, ResourceError> {
    let command = Command::new(argv);
    let output = look(host, &command, cancel).await?;
    if output.exit.success() {
        Ok(output.text())
    } else {
        Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: output.exit.to_string(),
            complaint: last_lines(&output.complaint()),
        })
    }
}

/// Whether a command succeeds.
///
/// # Errors
/// As [`Host::stream`].
pub async fn succeeds<S: Into<String>>(
    host: &dyn Host,
    argv: impl IntoIterator<Item = S>,
    cancel: &CancellationToken,
) -> Result<bool, ReachError> {
    Ok(look(host, &Command::new(argv), cancel)
        .await?
        .exit
        .success())
}

/// Runs a command with everything it says in the log.
///
/// # Errors
/// [`ResourceError::Failed`] for another exit status than 0.
pub async fn perform(
    host: &dyn Host,
    command: &Command,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mut relay = Relay::new(means.log);
    let exit = host.stream(command, &mut relay, means.cancel).await?;
    let said = relay.finish().await;
    if exit.success() {
        Ok(())
    } else {
        Err(said.failure(command, &exit))
    }
}

/// As [`perform`], detached under the name of the task it belongs to.
///
/// # Errors
/// As [`perform`].
pub async fn perform_detached(
    host: &dyn Host,
    command: &Command,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let mut relay = Relay::new(means.log);
    let name = job::spool(means.position);
    let exit = detached::run(host, command, &name, &mut relay, means.cancel).await?;
    let said = relay.finish().await;
    if exit.success() {
        Ok(())
    } else {
        Err(said.failure(command, &exit))
    }
}

/// Passes a command's output on to a log, line by line as it arrives, and keeps what is needed afterwards.
pub struct Relay<'a> {
    log: &'a dyn Log,
    stdout: Lines,
    stderr: Lines,
    said: Said,
}

/// What a command said.
#[derive(Debug, Default)]
pub struct Said {
    /// Standard output, at most [`OUTPUT_LIMIT`] bytes.
    pub stdout: Vec<u8>,
    last_stdout: VecDeque<String>,
    last_stderr: VecDeque<String>,
}

impl Said {
    /// The last lines it complained with, or the last it said at all.
    pub fn complaint(&self) -> String {
        let lines = if self.last_stderr.is_empty() {
            &self.last_stdout
        } else {
            &self.last_stderr
        };
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.join("; ")
    }

    fn failure(&self, command: &Command, exit: &Exit) -> ResourceError {
        ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: self.complaint(),
        }
    }
}

impl<'a> Relay<'a> {
    /// A relay into `log`.
    pub fn new(log: &'a dyn Log) -> Self {
        Self {
            log,
            stdout: Lines::default(),
            stderr: Lines::default(),
            said: Said::default(),
        }
    }

    /// A relay that keeps lines of up to `limit` bytes whole, for a log that reads them.
    pub fn of_long_lines(log: &'a dyn Log, limit: usize) -> Self {
        Self {
            stdout: Lines {
                limit,
                ..Lines::default()
            },
            ..Self::new(log)
        }
    }

    /// Passes on what has no line break at its end, and gives back what was said.
    pub async fn finish(mut self) -> Said {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = match stream {
                Stream::Stderr => self.stderr.rest(),
                _ => self.stdout.rest(),
            };
            if let Some(line) = rest {
                self.pass(stream, line).await;
            }
        }
        self.said
    }

    async fn pass(&mut self, stream: Stream, line: String) {
        let last = match stream {
            Stream::Stderr => &mut self.said.last_stderr,
            _ => &mut self.said.last_stdout,
        };
        if !line.trim().is_empty() {
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line.trim().to_owned());
        }
        self.log.line(stream, line).await;
    }
}

#[async_trait]
impl ChunkSink for Relay<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        let (stream, lines) = match &chunk {
            Chunk::Stdout(bytes) => {
                append(&mut self.said.stdout, bytes);
                (Stream::Stdout, self.stdout.feed(bytes))
            }
            Chunk::Stderr(bytes) => (Stream::Stderr, self.stderr.feed(bytes)),
        };
        for line in lines {
            self.pass(stream, line).await;
        }
    }
}

#[async_trait]
impl Listener for Relay<'_> {
    async fn note(&mut self, text: String) {
        self.log.line(Stream::Note, text).await;
    }
}

/// Cuts a stream of bytes into lines.
#[derive(Debug)]
struct Lines {
    begun: Vec<u8>,
    limit: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            begun: Vec::new(),
            limit: LINE_LIMIT,
        }
    }
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut piece = piece;
            while self.begun.len() + piece.len() > self.limit {
                let (head, tail) = piece.split_at(self.limit - self.begun.len());
                self.begun.extend_from_slice(head);
                complete.push(self.take());
                piece = tail;
            }
            self.begun.extend_from_slice(piece);
            if self.begun.last() == Some(&b'\n') {
                complete.push(self.take());
            }
        }
        complete
    }

    fn rest(&mut self) -> Option<String> {
        (!self.begun.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.begun);
        let text = text.trim_end_matches(['\n', '\r']);
        // Progress bars rewrite their line; what stands there at the end is what a reader would see.
        let line = text.rsplit('\r').next().unwrap_or_default().to_owned();
        self.begun.clear();
        line
    }
}

#[derive(Default)]
struct Collected {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

#[async_trait]
impl ChunkSink for Collected {
    async fn chunk(&mut self, chunk: Chunk) {
        match &chunk {
            Chunk::Stdout(bytes) => append(&mut self.stdout, bytes),
            Chunk::Stderr(bytes) => append(&mut self.stderr, bytes),
        }
    }
}

fn append(to: &mut Vec<u8>, bytes: &[u8]) {
    let room = OUTPUT_LIMIT.saturating_sub(to.len()).min(bytes.len());
    to.extend_from_slice(&bytes[..room]);
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all: Vec<String> = pieces.iter().flat_map(|piece| lines.feed(piece)).collect();
        all.extend(lines.rest());
        all
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_the_last_needs_no_break() {
        assert_eq!(
            cut(&[b"on", b"e\ntw", b"o\n\nthree"]),
            ["one", "two", "", "three"]
        );
    }

    #[test]
    fn a_rewritten_line_is_what_stands_there_at_the_end() {
        assert_eq!(cut(&[b"10%\r50%\r100%\r\ndone\r\n"]), ["100%", "done"]);
    }

    #[test]
    fn a_line_without_end_is_broken_and_not_kept_in_memory() {
        let endless = vec![b'x'; LINE_LIMIT * 2 + 5];
        let lengths: Vec<usize> = cut(&[&endless]).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_LIMIT, LINE_LIMIT, 5]);
    }

    proptest! {
        #[test]
        fn cutting_does_not_depend_on_the_pieces(text in "[a-z\n]{0,200}", size in 1_usize..20) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let expected: Vec<&str> = text.lines().collect();
            prop_assert_eq!(cut(&pieces), expected);
        }
    }
}
