//! A host and how to be let in there: settings, each with where it came from.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use super::PORT;
use crate::domain::node::Elevate;
use crate::transport::ReachError;
use crate::transport::ssh::config::Place;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport::ssh) enum Source {
    /// The node, or its environment.
    Workspace,
    /// A line of the OpenSSH configuration.
    File(Place),
    /// A flag of the command line.
    Flag,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace => f.write_str("workspace"),
            Self::File(place) => place.fmt(f),
            Self::Flag => f.write_str("command line"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting and where it came from.
#[derive(Debug, Clone)]
pub(in crate::transport::ssh) struct Set<T> {
    pub(in crate::transport::ssh) value: T,
    pub(in crate::transport::ssh) from: Source,
}

impl<T> Deref for Set<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Set<T> {
    pub(super) fn new(value: T, from: Source) -> Self {
        Self { value, from }
    }

    pub(super) fn default(value: T) -> Self {
        Self::new(value, Source::Default)
    }
}

/// What becomes of a host key that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport::ssh) enum Strict {
    /// It is refused.
    Yes,
    /// The operator is asked; refused when there is nobody to ask.
    Ask,
    /// It is pinned.
    AcceptNew,
}

impl Strict {
    pub(in crate::transport::ssh) const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Ask => "ask",
            Self::AcceptNew => "accept-new",
        }
    }
}

/// A host and how to be let in there.
#[derive(Debug, Clone)]
pub(in crate::transport::ssh) struct Target {
    /// What the hop is called: the node's name, or what `ProxyJump` says.
    pub(in crate::transport::ssh) name: String,
    /// What one would type after `ssh`.
    pub(in crate::transport::ssh) asked: String,
    /// Host name or IP address to connect to.
    pub(in crate::transport::ssh) address: Set<String>,
    pub(in crate::transport::ssh) port: Set<u16>,
    pub(in crate::transport::ssh) user: Set<String>,
    /// Private keys to offer.
    pub(in crate::transport::ssh) identities: Vec<Set<PathBuf>>,
    /// Offer those alone.
    pub(in crate::transport::ssh) identities_only: Set<bool>,
    /// Certificates beside those that lie next to their keys.
    pub(in crate::transport::ssh) certificates: Vec<Set<PathBuf>>,
    /// The agent's socket.
    pub(in crate::transport::ssh) agent: Set<Option<PathBuf>>,
    /// The socket of the agent that programs on the host may use.
    pub(in crate::transport::ssh) forward_agent: Set<Option<PathBuf>>,
    /// Files that pin host keys.
    pub(in crate::transport::ssh) known_hosts: Vec<Set<PathBuf>>,
    /// The one of them for new keys.
    pub(in crate::transport::ssh) for_new_keys: Option<PathBuf>,
    /// The name under which the host key is filed, instead of address and port.
    pub(in crate::transport::ssh) key_alias: Option<Set<String>>,
    /// Files with keys that must not be trusted.
    pub(in crate::transport::ssh) revoked: Vec<Set<PathBuf>>,
    pub(in crate::transport::ssh) strict: Set<Strict>,
    /// Write names into `known_hosts` so that they cannot be read there.
    pub(in crate::transport::ssh) hash_names: Set<bool>,
    pub(in crate::transport::ssh) connect: Set<Duration>,
    pub(in crate::transport::ssh) keepalive: Set<Duration>,
    /// After so many unanswered signs of life the host counts as lost.
    pub(in crate::transport::ssh) keepalive_most: Set<usize>,
    /// Offer keys.
    pub(in crate::transport::ssh) by_key: Set<bool>,
    /// Answer a host that asks for a password.
    pub(in crate::transport::ssh) by_password: Set<bool>,
    /// Answer other questions of a host.
    pub(in crate::transport::ssh) by_questions: Set<bool>,
    pub(in crate::transport::ssh) elevate: Set<Elevate>,
    /// The program whose standard streams are the way there, as a shell line.
    pub(in crate::transport::ssh) proxy: Option<Set<String>>,
    /// What could not be taken into account.
    pub(in crate::transport::ssh) remarks: Vec<String>,
}

impl Target {
    /// Address and port as they are shown.
    pub(in crate::transport::ssh) fn place(&self) -> String {
        if self.address.contains(':') && !self.address.starts_with('[') {
            format!("[{}]:{}", *self.address, *self.port)
        } else {
            format!("{}:{}", *self.address, *self.port)
        }
    }

    /// The name and port under which its host key is filed.
    pub(in crate::transport::ssh) fn filed(&self) -> (&str, u16) {
        match &self.key_alias {
            // With an alias the port does not matter (ssh_config(5), HostKeyAlias).
            Some(alias) => (alias, PORT),
            None => (&self.address, *self.port),
        }
    }

    /// The error of a host to which there is no connection.
    pub(in crate::transport::ssh) fn unreachable(&self, reason: impl Into<String>) -> ReachError {
        ReachError::Connect {
            hop: self.name.clone(),
            address: self.place(),
            reason: reason.into(),
        }
    }

    /// The error of a host that does not talk as it should.
    pub(in crate::transport::ssh) fn silent(&self, reason: impl Into<String>) -> ReachError {
        ReachError::Handshake {
            hop: self.name.clone(),
            address: self.place(),
            reason: reason.into(),
        }
    }
}
