//! Terminals: size, end, and what becomes of them when nobody sits there any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quarterdeck::transport::terminal::{TerminalInput, TerminalOutput, TerminalSize, TerminalSpec};
use quarterdeck::transport::{Exit, Host, Reach as _, ReachError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::sshd::{Yard, lives, pool};
use super::until;

/// A terminal and a person before it.
struct Sitting {
    keys: mpsc::Sender<TerminalInput>,
    glass: mpsc::Receiver<TerminalOutput>,
    seen: String,
    ended: JoinHandle<Result<Exit, ReachError>>,
}

impl Sitting {
    fn new(host: Arc<dyn Host>, argv: &[&str]) -> Self {
        let spec = TerminalSpec {
            term: "xterm".into(),
            size: TerminalSize::new(80, 24),
            argv: argv.iter().map(ToString::to_string).collect(),
        };
        let (keys, input) = mpsc::channel(8);
        let (output, glass) = mpsc::channel(8);
        let ended = tokio::spawn(async move {
            let cancel = CancellationToken::new();
            host.terminal(&spec, input, output, &cancel).await
        });
        Self {
            keys,
            glass,
            seen: String::new(),
            ended,
        }
    }

    async fn type_in(&self, keys: &'static str) {
        let keys = Bytes::from_static(keys.as_bytes());
        self.keys.send(TerminalInput::Bytes(keys)).await.unwrap();
    }

    /// Reads until `text` has been shown since the last time.
    async fn read_until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let piece = tokio::time::timeout(Duration::from_secs(30), self.glass.recv()).await;
            match piece {
                Ok(Some(TerminalOutput::Bytes(bytes))) => {
                    self.seen.push_str(&String::from_utf8_lossy(&bytes));
                }
                Ok(Some(TerminalOutput::Opened)) => {}
                _ => panic!("{text:?} is not in {:?}", self.seen),
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_shell_has_a_terminal_of_the_size_of_the_window_and_hands_on_its_status() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let mut sitting = Sitting::new(pool.host("a").unwrap(), &[]);
    sitting.type_in("echo term=$TERM; stty size\r").await;
    sitting.read_until("term=xterm").await;
    sitting.read_until("24 80").await;
    let larger = TerminalInput::Size(TerminalSize::new(132, 43));
    sitting.keys.send(larger).await.unwrap();
    sitting.type_in("stty size\r").await;
    sitting.read_until("43 132").await;
    sitting.type_in("exit 7\r").await;
    assert_eq!(sitting.ended.await.unwrap().unwrap(), Exit::Code(7));
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn ctrl_c_reaches_the_program_and_not_the_shell() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let mut sitting = Sitting::new(pool.host("a").unwrap(), &["sh"]);
    sitting.type_in("echo before; sleep 1000\r").await;
    sitting.read_until("before\r\n").await;
    sitting.type_in("\x03").await;
    sitting.type_in("echo af''ter\r").await;
    sitting.read_until("after").await;
    sitting.type_in("exit\r").await;
    assert!(sitting.ended.await.unwrap().is_ok());
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_terminal_that_nobody_sits_before_is_hung_up() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let script = "echo pid=$$.; exec sleep 1000";
    let mut sitting = Sitting::new(pool.host("a").unwrap(), &["sh", "-c", script]);
    sitting.read_until("pid=").await;
    let pid: u32 = sitting
        .read_until(".")
        .await
        .trim_end_matches('.')
        .parse()
        .unwrap();
    assert!(lives(pid));
    drop(sitting.keys);
    drop(sitting.glass);
    until(|| !lives(pid)).await;
    let error = sitting.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, ReachError::Cancelled { .. }), "{error}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_reader_that_stops_stops_the_program_and_not_the_memory() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let mut sitting = Sitting::new(pool.host("a").unwrap(), &["yes"]);
    sitting.read_until("y\r\n").await;
    // Nothing is read; what fits in the buffers is all that `yes` can say.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sitting.glass.len(), sitting.glass.max_capacity());
    sitting.type_in("\x03").await;
    while let Some(piece) = sitting.glass.recv().await {
        drop(piece);
    }
    let exit = sitting.ended.await.unwrap().unwrap();
    assert!(!exit.success(), "{exit:?}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_that_gives_no_terminal_says_so() {
    let yard = Yard::new();
    let sshd = yard.sshd_with("a", &["ed25519"], "PermitTTY no\n");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let sitting = Sitting::new(pool.host("a").unwrap(), &[]);
    let error = sitting.ended.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("no terminal"), "{error}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_lost_connection_ends_the_terminal_with_the_reason() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let mut sitting = Sitting::new(pool.host("a").unwrap(), &["sh"]);
    sitting.type_in("echo re''ady\r").await;
    sitting.read_until("ready").await;
    sshd.cut();
    let error = sitting.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, ReachError::Lost { .. }), "{error}");
}
