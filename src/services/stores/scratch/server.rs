//! A server that is started here for a short time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::services::brief;
use crate::transport::local::{self, Program};
use crate::transport::{Chunk, ChunkSink};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one question to the next.
const ASK: Duration = Duration::from_millis(100);
/// How long it may clean up: what it leaves is thrown away.
const GRACE: Duration = Duration::from_secs(3);
/// What is kept of its words, bytes.
const WORDS: usize = 8192;

/// See the module. Dropped, it is stopped; its process group is killed when it does not end by itself.
pub(in super::super) struct Server {
    name: String,
    stop: CancellationToken,
    task: JoinHandle<Result<crate::transport::Exit, local::LocalError>>,
    words: Arc<Mutex<Vec<u8>>>,
}

struct Words(Arc<Mutex<Vec<u8>>>);

#[async_trait]
impl ChunkSink for Words {
    async fn chunk(&mut self, chunk: Chunk) {
        let (Chunk::Stdout(bytes) | Chunk::Stderr(bytes)) = chunk;
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&bytes);
        let over = words.len().saturating_sub(WORDS);
        words.drain(..over);
    }
}

impl Server {
    /// Starts it; it is stopped when `cancel` is.
    pub(in super::super) fn start(program: Program, cancel: &CancellationToken) -> Self {
        let name = program.argv.first().cloned().unwrap_or_default();
        let stop = cancel.child_token();
        let words = Arc::<Mutex<Vec<u8>>>::default();
        let (stopped, kept) = (stop.clone(), Arc::clone(&words));
        let program = Program {
            grace: GRACE,
            ..program
        };
        let task =
            tokio::spawn(async move { local::run(&program, &mut Words(kept), &stopped).await });
        Self {
            name,
            stop,
            task,
            words,
        }
    }

    /// Asks until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time: its last words.
    pub(in super::super) async fn until<T, F>(
        &self,
        what: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, String>
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = ask().await {
                return Ok(answer);
            }
            let why = if self.stop.is_cancelled() {
                "was cancelled"
            } else if self.task.is_finished() {
                "ended by itself"
            } else if Instant::now() > deadline {
                "did not get so far in a minute"
            } else {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(ASK) => {}
                }
                continue;
            };
            let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
            let text = String::from_utf8_lossy(&words);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            return Err(format!(
                "the scratch {} {why} before {what}; its last words: {}",
                self.name,
                brief(last.unwrap_or("none"))
            ));
        }
    }

    /// Stops it and waits until it is gone.
    pub(in super::super) async fn stop(self) {
        self.stop.cancel();
        let mut this = self;
        // It was told to go; how it went is of no interest.
        let _ = (&mut this.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A port on loopback that nobody listens on at the moment.
///
/// # Errors
/// When the system has none.
pub(in super::super) fn free_port() -> Result<u16, String> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no free port on loopback: {error}"))
}
