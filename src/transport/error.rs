//! Why a host could not be reached.

use std::path::PathBuf;
use std::time::Duration;

/// Why a host could not be reached, or stopped answering. Says which hop, what happened, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReachError {
    /// The environment has no node of that name.
    #[error("there is no node called {0:?} in this environment")]
    UnknownNode(String),
    /// The name has no address.
    #[error("{hop}: cannot find an address for {address:?}: {reason}")]
    Resolve {
        /// Node at this hop.
        hop: String,
        /// What was looked up.
        address: String,
        /// The resolver's words.
        reason: String,
    },
    /// No TCP connection.
    #[error("{hop}: cannot connect to {address}: {reason}")]
    Connect {
        /// Node at this hop.
        hop: String,
        /// Host and port.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// Connected, but no SSH session came of it.
    #[error("{hop}: {address} does not complete the SSH handshake: {reason}")]
    Handshake {
        /// Node at this hop.
        hop: String,
        /// Host and port.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The host key is not the pinned one.
    #[error(
        "{hop}: HOST KEY CHANGED: {file}:{line} pins {known}, the host offers {offered}; if the host was reinstalled \
         remove that line, otherwise somebody may be listening"
    )]
    HostKeyChanged {
        /// Node at this hop.
        hop: String,
        /// Fingerprint on file.
        known: String,
        /// Fingerprint offered.
        offered: String,
        /// The `known_hosts` file.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
    },
    /// The host key, or the authority that vouches for it, is known to be in the wrong hands.
    #[error(
        "{hop}: HOST KEY REVOKED: {file}:{line} has {revoked} as revoked, the host offers {offered}; it must not be trusted: \
         give the host another key"
    )]
    HostKeyRevoked {
        /// Node at this hop.
        hop: String,
        /// Fingerprint of what is revoked: the key itself or its authority's.
        revoked: String,
        /// Fingerprint offered.
        offered: String,
        /// The file that says so.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
    },
    /// No host key is pinned.
    #[error("{hop}: host key {offered} is not known; verify it, then add to {file}: {entry}")]
    HostKeyUnknown {
        /// Node at this hop.
        hop: String,
        /// Fingerprint offered.
        offered: String,
        /// The `known_hosts` file.
        file: PathBuf,
        /// The line to add.
        entry: String,
    },
    /// The host shows a certificate that proves nothing, and its key is not pinned.
    #[error(
        "{hop}: the host's certificate is not accepted: {reason}; and its key {offered} is not known either"
    )]
    HostCertificate {
        /// Node at this hop.
        hop: String,
        /// Fingerprint of the key in it.
        offered: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host refused every identity.
    #[error("{hop}: {user} was not let in; tried {tried}")]
    Denied {
        /// Node at this hop.
        hop: String,
        /// Login name.
        user: String,
        /// Identities and methods that were tried, with the reason for those that could not be used.
        tried: String,
    },
    /// Somebody must answer something first, and nobody did.
    #[error("{hop}: wants {wants}: {reason}")]
    Unanswered {
        /// Node at this hop.
        hop: String,
        /// What it wants, such as `a password`.
        wants: String,
        /// Why there is no answer, and what was tried besides.
        reason: String,
    },
    /// The way is closed on purpose, or leads nowhere: nothing changes until somebody changes it.
    #[error("{hop}: {reason}")]
    Refused {
        /// Node at this hop.
        hop: String,
        /// What is refused, and by what.
        reason: String,
    },
    /// Elevation is not permitted.
    #[error("{hop}: cannot become root: {reason}")]
    Elevate {
        /// The node.
        hop: String,
        /// `sudo`'s words.
        reason: String,
    },
    /// Time ran out.
    #[error("{hop}: {what} took longer than {limit:?}")]
    Timeout {
        /// The node.
        hop: String,
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke.
    #[error("{hop}: the connection was lost: {reason}")]
    Lost {
        /// The node.
        hop: String,
        /// What was seen.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{hop}: {path}: {reason}")]
    File {
        /// The node.
        hop: String,
        /// The file.
        path: String,
        /// What the host said.
        reason: String,
    },
    /// It was a command that gives way ([`Command::gives_way`](super::Command::gives_way)), and another one waited.
    #[error("{hop}: made room for another command")]
    GaveWay {
        /// The node.
        hop: String,
    },
    /// An operator stopped it.
    #[error("{hop}: cancelled")]
    Cancelled {
        /// The node.
        hop: String,
    },
}

impl ReachError {
    /// The same, told to somebody who wanted to reach `target` through the hop at which it happened.
    pub(super) fn on_the_way_to(mut self, target: &str) -> Self {
        match &mut self {
            Self::UnknownNode(_) => {}
            Self::Resolve { hop, .. }
            | Self::Connect { hop, .. }
            | Self::Handshake { hop, .. }
            | Self::HostKeyChanged { hop, .. }
            | Self::HostKeyRevoked { hop, .. }
            | Self::HostKeyUnknown { hop, .. }
            | Self::HostCertificate { hop, .. }
            | Self::Denied { hop, .. }
            | Self::Unanswered { hop, .. }
            | Self::Refused { hop, .. }
            | Self::Elevate { hop, .. }
            | Self::Timeout { hop, .. }
            | Self::Lost { hop, .. }
            | Self::File { hop, .. }
            | Self::GaveWay { hop }
            | Self::Cancelled { hop } => *hop = format!("{hop} (on the way to {target})"),
        }
        self
    }

    /// Whether trying again later may help without anybody doing anything.
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Connect { .. }
                | Self::Handshake { .. }
                | Self::Timeout { .. }
                | Self::Lost { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_at_a_jump_host_says_on_the_way_to_whom() {
        let error = ReachError::Lost {
            hop: "bastion".into(),
            reason: "gone".into(),
        };
        assert_eq!(
            error.on_the_way_to("pc1").to_string(),
            "bastion (on the way to pc1): the connection was lost: gone"
        );
    }
}
