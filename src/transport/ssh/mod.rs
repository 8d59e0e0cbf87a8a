//! The SSH client: one kept connection per host, commands and files over its channels.
//!
//! # The way of a command
//!
//! ```text
//! Pool ── host("pc1") ──► SshHost ── connection() ──► Link ──► Connection ── open_session() ──► Channel
//!  │                        │                          │ jump: another Link      │ slots: MaxSessions
//!  names → Links            exec, files, sftp          └ connect, greet, log in  └ fate: why it ended
//! ```
//!
//! * [`Pool`] knows the environment: which node is where, and through which others it is reached. `atlas`, `way` and
//!   `config` find that out, from the workspace and the operator's own OpenSSH configuration.
//! * A `Link` is the wish to be connected to one node. It connects on first use, lets any number of callers wait for the
//!   same attempt, and connects anew after a loss.
//! * A `Connection` is one SSH connection (RFC 4253) that has been greeted (`known_hosts`) and let in (`auth`).
//! * `exec` runs a command over a channel (RFC 4254, section 6), `sftp` and `files` move files over one.
//!
//! # What is slow stays alone
//!
//! Every channel of a connection shares one TCP stream, and russh stops reading it while a channel's buffer (about 3 MB
//! here) is full. A sink that never takes its output therefore stalls the other commands *of that host*, and only after
//! that much output. Dropping, cancelling or timing out the slow command frees the connection at once.

mod asker;
mod atlas;
mod auth;
mod config;
mod connection;
mod copy;
mod elevate;
mod exec;
mod explain;
mod files;
mod gate;
mod greet;
mod host;
mod host_cert;
mod identities;
mod known;
mod known_hosts;
mod link;
mod password;
mod patience;
mod pattern;
mod pool;
mod proxy;
mod sftp;
mod shell;
mod sign;
mod slots;
mod spec;
mod stop;
#[cfg(test)]
mod testing;
mod trail;
mod way;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use known::known_hosts;
pub use pool::Pool;

use super::ask::Operators;

/// How this operator's SSH client behaves, whatever the host.
#[derive(Clone)]
pub struct SshSettings {
    /// The longest wait for a TCP connection, name resolution included.
    pub connect: Duration,
    /// The longest wait for the greeting and the key exchange after that.
    pub handshake: Duration,
    /// The longest wait for being let in after that. Asking for a passphrase does not count.
    pub login: Duration,
    /// A host that is silent for this long is asked for a sign of life; after three without one it counts as lost.
    pub keepalive: Duration,
    /// Pin the key of a host that is not known yet (as OpenSSH's `StrictHostKeyChecking=accept-new`) instead of refusing it,
    /// whatever the configuration files say.
    pub accept_new: bool,
    /// The agent's socket; `None` means no agent.
    pub agent: Option<PathBuf>,
    /// The home directory, in whose `.ssh` keys and `known_hosts` are looked for.
    pub home: Option<PathBuf>,
    /// OpenSSH client configurations, the first counts first; `~` is [`home`](Self::home). Files that are not there say
    /// nothing.
    pub config_files: Vec<PathBuf>,
    /// Who can be asked for passphrases, passwords and about host keys that are not known; `None` means nobody.
    pub operators: Option<Arc<dyn Operators>>,
}

impl Default for SshSettings {
    /// The agent of `SSH_AUTH_SOCK`, the user's home, strict host keys.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            login: Duration::from_secs(20),
            keepalive: Duration::from_secs(15),
            accept_new: false,
            agent: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            home: std::env::home_dir(),
            config_files: vec!["~/.ssh/config".into(), "/etc/ssh/ssh_config".into()],
            operators: None,
        }
    }
}

impl fmt::Debug for SshSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshSettings")
            .field("connect", &self.connect)
            .field("handshake", &self.handshake)
            .field("login", &self.login)
            .field("keepalive", &self.keepalive)
            .field("accept_new", &self.accept_new)
            .field("agent", &self.agent)
            .field("home", &self.home)
            .field("config_files", &self.config_files)
            .field("operators", &self.operators.is_some())
            .finish()
    }
}

impl SshSettings {
    /// `path` with a leading `~/` replaced by the home directory.
    fn expand(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }
}

/// Text from the other side as one line that is safe to show: control characters are replaced.
fn tame(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
