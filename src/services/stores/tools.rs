//! Programs that speak for a store, on the engine's machine or on a node: `pg_dump`, `psql`, `terraform`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::services::intake::Intake;
use crate::services::{ServiceError, brief};
use crate::transport::{Chunk, ChunkSink, Command, Exit, Host, Output};

/// What is kept of a program's complaints, bytes.
const WORDS: usize = 4096;
/// The longest a dump may take; its step has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Sets the environment from standard input, so that no secret is an argument, and then becomes the program.
const WITH_SECRET: &str = r#"IFS= read -r secret; export "$1=$secret" PGCONNECT_TIMEOUT=10 TF_IN_AUTOMATION=1; shift; exec "$@""#;
const WITHOUT: &str = r#"export PGCONNECT_TIMEOUT=10 TF_IN_AUTOMATION=1; exec "$@""#;

/// Where programs run, and the secret they find in their environment.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) host: Arc<dyn Host>,
    /// The variable and what is in it.
    pub(super) secret: Option<(&'static str, SecretString)>,
}

impl Tools {
    fn command(&self, argv: &[&str], limit: Duration) -> Command {
        let mut words = vec!["sh", "-c"];
        match &self.secret {
            Some((variable, _)) => words.extend([WITH_SECRET, "sh", variable]),
            None => words.extend([WITHOUT, "sh"]),
        }
        words.extend(argv);
        let command = Command::new(words).as_login_user().within(limit);
        match &self.secret {
            Some((_, secret)) => command.with_stdin(format!("{}\n", secret.expose_secret())),
            None => command,
        }
    }

    /// Runs a program and collects what it says.
    pub(super) async fn output(
        &self,
        argv: &[&str],
        limit: Duration,
    ) -> Result<Output, ServiceError> {
        let said = self.host.output(&self.command(argv, limit)).await;
        let output = said.map_err(|error| failed(argv[0], &error.to_string()))?;
        if output.exit.success() {
            Ok(output)
        } else {
            let words = output.complaint();
            Err(failed(
                argv[0],
                &format!("{}: {}", output.exit, last(&words)),
            ))
        }
    }

    /// Runs a program whose standard output is the state, and hands that to `intake`, and to `also`.
    pub(super) async fn pour(
        &self,
        argv: &[&str],
        intake: &mut Intake,
        also: Option<mpsc::Sender<bytes::Bytes>>,
        cancel: &CancellationToken,
    ) -> Result<(), ServiceError> {
        let mut sink = Pouring {
            intake,
            also,
            words: Vec::new(),
        };
        let ended = self
            .host
            .stream(&self.command(argv, PATIENCE), &mut sink, cancel)
            .await;
        let exit = ended.map_err(|error| failed(argv[0], &error.to_string()))?;
        if exit == Exit::Code(0) {
            Ok(())
        } else {
            let words = String::from_utf8_lossy(&sink.words).into_owned();
            Err(failed(argv[0], &format!("{exit}: {}", last(&words))))
        }
    }
}

/// A program's failure as a service's.
pub(super) fn failed(program: &str, reason: &str) -> ServiceError {
    ServiceError::Setup(format!("{program}: {reason}"))
}

/// The last line that says something.
pub(super) fn last(words: &str) -> String {
    let line = words.lines().rev().find(|line| !line.trim().is_empty());
    brief(line.unwrap_or("it said nothing"))
}

struct Pouring<'a> {
    intake: &'a mut Intake,
    also: Option<mpsc::Sender<bytes::Bytes>>,
    words: Vec<u8>,
}

#[async_trait]
impl ChunkSink for Pouring<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        match chunk {
            Chunk::Stdout(bytes) => {
                if let Some(also) = &self.also
                    && also.send(bytes.clone()).await.is_err()
                {
                    self.also = None;
                }
                // Whether it was taken is told when the intake is finished.
                self.intake.put(bytes).await;
            }
            Chunk::Stderr(bytes) => {
                // The end of what it says is what counts.
                self.words.extend_from_slice(&bytes);
                let over = self.words.len().saturating_sub(WORDS);
                self.words.drain(..over);
            }
        }
    }
}
