//! What `ProxyCommand` of `ssh_config(5)` names: a program of the operator whose standard streams are the way to a host.
//!
//! It ends with the connection. What it says on standard error belongs to the reason why there is none.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader, ReadBuf,
};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::tame;
use super::way::{Set, Source, Target};
use crate::transport::ReachError;

/// How long its last words are waited for after its end.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// The longest line of them that is read, bytes.
const LONGEST: u64 = 4096;

/// What the program of a shell line is called: its arguments may hold secrets.
pub(super) fn name(line: &str) -> String {
    let mut words = line.split_whitespace().skip_while(|&word| word == "exec");
    tame(words.next().unwrap_or_default())
}

/// A program that runs.
pub(super) struct Program {
    name: String,
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    words: Words,
}

impl Program {
    /// Starts the program of `line` by the operator's shell, as OpenSSH does.
    ///
    /// # Errors
    /// [`ReachError::Connect`] when it cannot be started.
    pub(super) fn start(target: &Target, line: &Set<String>) -> Result<Self, ReachError> {
        let said = match &line.from {
            Source::File(place) => format!("ProxyCommand of {place}"),
            _ => "ProxyCommand".to_owned(),
        };
        let failed = |reason: String| target.unreachable(format!("{said}: {reason}"));
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
        // In place of the shell, so that it is the program that is ended.
        let mut child = command
            .arg("-c")
            .arg(format!("exec {}", line.value))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(failed("it has no streams".into()));
        };
        Ok(Self {
            name: name(&line.value),
            child,
            stdin,
            stdout,
            words: Words::hear(said, stderr),
        })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The way to the host, and what the program says meanwhile.
    pub(super) fn stream(self) -> (Stream, Words) {
        let stream = Stream {
            stdin: self.stdin,
            stdout: self.stdout,
            _child: self.child,
        };
        (stream, self.words)
    }
}

/// What the program says on standard error: its last line.
pub(super) struct Words {
    said: String,
    last: Arc<Mutex<String>>,
    hearing: JoinHandle<()>,
}

impl Words {
    fn hear(said: String, stderr: ChildStderr) -> Self {
        let last = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&last);
        let hearing = tokio::spawn(async move {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            // What is longer than a line should be comes as several.
            while let Ok(1..) = (&mut reader)
                .take(LONGEST)
                .read_until(b'\n', &mut line)
                .await
            {
                let text = tame(String::from_utf8_lossy(&line).trim());
                if !text.is_empty() {
                    *heard.lock().unwrap_or_else(PoisonError::into_inner) = text;
                }
                line.clear();
            }
        });
        Self {
            said,
            last,
            hearing,
        }
    }

    /// `error`, with the program's last words where it said any.
    pub(super) async fn told_with(mut self, error: ReachError) -> ReachError {
        let _ = timeout(LAST_WORDS, &mut self.hearing).await;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            ReachError::Handshake {
                hop,
                address,
                reason,
            } if !last.is_empty() => ReachError::Handshake {
                hop,
                address,
                reason: format!("{reason}; {} says: {last}", self.said),
            },
            other => other,
        }
    }
}

/// Both directions of the way; the program ends with it.
pub(super) struct Stream {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
