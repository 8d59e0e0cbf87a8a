//! Ending a command on the host when nobody waits for it any more.
//!
//! SSH has a request for that (`signal`, RFC 4254, section 6.9), but OpenSSH grants it only to logins that are not root's,
//! and what `sudo` started is not the login user's to signal. So every command also carries a mark in its environment,
//! which its children inherit, and stopping it sends TERM to whatever still carries the mark. A process that `sudo` has
//! started lost the mark, but `sudo` has it, and passes the signal on.

use std::sync::Arc;
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::time::timeout;

use super::connection::{Connection, Opened};
use super::elevate::Rise;
use super::gate::{Gate, Heard};
use super::slots::Slot;
use crate::transport::job;

/// The longest that stopping a command may take before it is given up.
const STOPPING: Duration = Duration::from_secs(10);
/// Sends TERM to every process whose environment has the mark.
const SWEEP: &str = r#"for e in $(grep -ls "QUARTERDECK_JOB=$1" /proc/[0-9]*/environ); do p=${e#/proc/}; kill -TERM "${p%/environ}"; done 2>/dev/null"#;

/// How to find a command again.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    id: String,
    rise: Rise,
}

impl Mark {
    /// A new one, for a command that becomes root's as `rise` says.
    pub(super) fn new(rise: Rise) -> Self {
        Self {
            id: job::mark(),
            rise,
        }
    }

    /// What is to be said before the command runs.
    pub(super) fn gate(&self) -> Option<Gate> {
        self.rise.gate(&self.id)
    }

    /// The line that runs `argv` with this mark.
    pub(super) fn line(&self, argv: &[String]) -> String {
        let line = self.rise.line(argv, &self.id);
        // `env` would take such a program for another variable.
        if argv.first().is_some_and(|program| program.contains('=')) {
            return line;
        }
        format!("env {}={} {line}", job::VARIABLE, self.id)
    }

    /// The line that ends whatever has this mark.
    fn sweep(&self) -> String {
        let argv = ["sh", "-c", SWEEP, "sh", &self.id].map(str::to_owned);
        self.rise.line(&argv, &self.id)
    }
}

/// The part of a running command that can stop it. Dropping it does, unless it was told that the command has ended.
pub(super) struct Remote {
    connection: Arc<Connection>,
    mark: Mark,
    write: Option<ChannelWriteHalf<Msg>>,
    slot: Option<Slot>,
}

impl Remote {
    pub(super) fn new(
        connection: Arc<Connection>,
        opened: Opened,
        mark: Mark,
    ) -> (ChannelReadHalf, Self) {
        let (read, write) = opened.channel.split();
        let remote = Self {
            connection,
            mark,
            write: Some(write),
            slot: Some(opened.slot),
        };
        (read, remote)
    }

    /// Where its input goes.
    pub(super) fn write(&self) -> &ChannelWriteHalf<Msg> {
        self.write
            .as_ref()
            .expect("taken only by finish and drop, after the last use")
    }

    /// Resolves when another command waits for this one's place.
    pub(super) async fn wanted(&self) {
        match &self.slot {
            Some(slot) => slot.wanted().await,
            None => std::future::pending().await,
        }
    }

    /// The command has ended: nothing is left to stop, and nothing to close if the host did.
    pub(super) fn finish(&mut self, closed: bool) {
        let (Some(write), slot) = (self.write.take(), self.slot.take()) else {
            return;
        };
        if !closed {
            in_background(async move {
                let _ = write.close().await;
                drop(slot);
            });
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let (Some(write), slot) = (self.write.take(), self.slot.take()) else {
            return;
        };
        let connection = Arc::clone(&self.connection);
        let sweep = self.mark.sweep();
        let mut gate = self.mark.gate();
        in_background(async move {
            let _ = write.signal(Sig::TERM).await;
            let _ = write.close().await;
            drop(slot);
            let Ok(Opened { mut channel, slot }) = connection.open_session().await else {
                // The connection has ended; what it carried ends when it next reads or writes.
                return;
            };
            if channel.exec(true, sweep).await.is_ok() {
                while let Some(message) = channel.wait().await {
                    let Some(gate) = &mut gate else {
                        if matches!(message, ChannelMsg::Close) {
                            break;
                        }
                        continue;
                    };
                    let asked = match message {
                        ChannelMsg::Data { data } => gate.asks_on_stdout(&data),
                        ChannelMsg::ExtendedData { data, .. } => gate.hear(&data) == Heard::Send,
                        ChannelMsg::Close => break,
                        _ => false,
                    };
                    if asked {
                        let _ = channel.data_bytes(gate.answer()).await;
                    }
                }
            }
            drop(slot);
        });
    }
}

/// Does `work` while nobody waits for it. Without a runtime the connection is ending anyway.
pub(super) fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(timeout(STOPPING, work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_in_front_of_sudo_so_that_sudo_carries_it() {
        let mark = Mark::new(Rise::Sudo);
        let line = mark.line(&["id".into()]);
        assert_eq!(
            line,
            format!("env QUARTERDECK_JOB={} sudo -n -- id", mark.id)
        );
        assert!(mark.sweep().starts_with("sudo -n -- sh -c "));
    }

    #[test]
    fn a_program_whose_name_looks_like_a_variable_is_still_the_program() {
        assert_eq!(
            Mark::new(Rise::No).line(&["a=b".into(), "id".into()]),
            "'a=b' id"
        );
    }
}
