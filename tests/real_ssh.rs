//! The SSH client against real OpenSSH servers on loopback: being let in, jump hosts, commands, files, and everything that
//! goes wrong. `tests/run real` runs them.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // the helpers are part of the tests; a skipped one says so

#[path = "support/place.rs"]
#[allow(dead_code)] // shared: each test uses its part
mod place;
#[path = "support/program.rs"]
#[allow(dead_code)] // shared: each test uses its part
mod program;
#[path = "support/proxy.rs"]
#[allow(unreachable_pub)] // shared
mod proxy;
#[path = "support/sshd.rs"]
#[allow(dead_code, unreachable_pub)] // shared: each test uses its part
mod sshd;

#[path = "real_ssh/busybox.rs"]
mod busybox;
#[path = "real_ssh/certificates.rs"]
mod certificates;
#[path = "real_ssh/client_config.rs"]
mod client_config;
#[path = "real_ssh/commands.rs"]
mod commands;
#[path = "real_ssh/copies.rs"]
mod copies;
#[path = "real_ssh/detached.rs"]
mod detached;
#[path = "real_ssh/disks.rs"]
mod disks;
#[path = "real_ssh/facts.rs"]
mod facts;
#[path = "real_ssh/files.rs"]
mod files;
#[path = "real_ssh/hops.rs"]
mod hops;
#[path = "real_ssh/links.rs"]
mod links;
#[path = "real_ssh/login.rs"]
mod login;
#[path = "real_ssh/terminals.rs"]
mod terminals;

#[path = "real_ssh/privilege.rs"]
mod privilege;
#[path = "real_ssh/questions.rs"]
mod questions;
#[path = "real_ssh/shells.rs"]
mod shells;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quarterdeck::transport::{Chunk, ChunkSink, Command, Host, Output, ReachError};
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long anything may take before a test fails; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a program on `host` and returns what it says, trimmed.
async fn says(host: &Arc<dyn Host>, argv: &[&str]) -> Result<String, ReachError> {
    let output = host.output(&Command::new(argv.iter().copied())).await?;
    Ok(successful(&output))
}

fn successful(output: &Output) -> String {
    assert!(output.exit.success(), "{output:?}");
    output.text().trim().to_owned()
}

/// Keeps standard output and tells when some has arrived.
#[derive(Default, Clone)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    arrived: Arc<Notify>,
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// The first line, if there is one already.
    fn first(&self) -> Option<String> {
        let text = self.text();
        text.split_once('\n').map(|(line, _)| line.to_owned())
    }

    /// Waits for the first line.
    async fn line(&self) -> String {
        let line = async {
            loop {
                if let Some(line) = self.first() {
                    return line;
                }
                self.arrived.notified().await;
            }
        };
        timeout(PATIENCE, line).await.expect("a line arrives")
    }
}

#[async_trait]
impl ChunkSink for Kept {
    async fn chunk(&mut self, chunk: Chunk) {
        if let Chunk::Stdout(bytes) = chunk {
            self.bytes.lock().unwrap().extend_from_slice(&bytes);
            self.arrived.notify_one();
        }
    }
}

/// Waits until `done`, which must become true on its own.
async fn until(done: impl Fn() -> bool) {
    let holds = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, holds).await.expect("it comes true");
}
