//! Snapshots: copies of a service's state, from which it can be restored.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::service::ServiceKind;

/// A snapshot that was verified when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The environment's name.
    pub environment: String,
    /// The service's name.
    pub service: String,
    /// What it is.
    pub kind: ServiceKind,
    /// When it was asked for.
    pub taken_at: Timestamp,
    /// The endpoint that gave it.
    pub from: String,
    /// Where it is.
    pub file: PathBuf,
    /// The file's size, bytes.
    pub size: u64,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// The size of the state in it, bytes.
    pub state: u64,
    /// Raft's index of the last change in it.
    pub index: u64,
    /// Raft's term of that change.
    pub term: u64,
}

impl ServiceKind {
    /// Whether Quarterdeck can save its state and verify what it got.
    pub const fn has_snapshots(self) -> bool {
        matches!(self, Self::Consul | Self::Vault)
    }
}
