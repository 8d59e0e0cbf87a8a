//! Declared states of a host: observe, compare, bring about.
//!
//! One file per resource; each turns a [`crate::domain::recipe::Resource`] into a [`Difference`] by looking at the host,
//! and applies it. Checking changes nothing; applying what needs no change does nothing; a broken connection in the
//! middle leaves the old state or the new one.

pub mod checksum;

use tokio_util::sync::CancellationToken;

use crate::domain::recipe::Resource;
use crate::transport::{Host, ReachError};

/// What stands between the declared and the actual state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// One line per change, such as `mode 0600 → 0644`; empty when the host is as declared.
    pub changes: Vec<String>,
    /// Lines of a unified diff of the content, where there is text to compare.
    pub diff: Vec<String>,
}

impl Difference {
    /// Whether the host is as declared.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty()
    }
}

/// Why a resource could not be checked or applied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResourceError {
    /// The host is out of reach.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A command on the host failed.
    #[error("{command}: {exit}: {complaint}")]
    Failed {
        /// The command, quoted.
        command: String,
        /// How it ended.
        exit: String,
        /// The last it said.
        complaint: String,
    },
    /// The declaration cannot be brought about on this host.
    #[error("{0}")]
    Unfit(String),
}

/// What a resource may use besides the host.
pub struct Means<'a> {
    /// Says what is being done, line by line.
    pub log: &'a dyn Log,
    /// Stops the work.
    pub cancel: &'a CancellationToken,
    /// Where downloads are kept, by checksum.
    pub cache: &'a std::path::Path,
}

/// Takes lines of a log; awaiting in `line` slows the writer down.
#[async_trait::async_trait]
pub trait Log: Send + Sync {
    /// Takes one line.
    async fn line(&self, stream: crate::domain::run::Stream, text: String);
}

/// Compares the declared state with the host's.
///
/// # Errors
/// [`ResourceError`] when the state cannot be seen.
pub async fn check(
    resource: &Resource,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let _ = (resource, host, means);
    Ok(Difference::default())
}

/// Brings about what `difference` (a fresh answer of [`check`]) says is missing.
///
/// # Errors
/// [`ResourceError`] when it could not be brought about; what was done before stays.
pub async fn apply(
    resource: &Resource,
    difference: &Difference,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let _ = (resource, difference, host, means);
    Ok(())
}
