//! Snapshots: copies of a store's state, from which it can be restored.

mod findings;
mod inventory;

pub use findings::{Shelved, assess};
pub use inventory::{Comparison, Inventory};

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::backup::StoreKind;

/// A snapshot that was verified when it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The environment's name.
    pub environment: String,
    /// The store's name: that of a service, or of one of the environment's other stores.
    pub service: String,
    /// What it is.
    pub kind: StoreKind,
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
    /// The number of the last change in it: Raft's index, etcd's revision, Terraform's serial; 0 where there is none.
    pub index: u64,
    /// Raft's term of that change; 0 where there is none.
    pub term: u64,
    /// The age recipients it is encrypted for; empty when it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// What the store held when it was taken, for the preview of a restore.
    #[serde(default)]
    pub inventory: Inventory,
    /// The newest time that somebody looked whether it is still whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// The newest time that it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

/// A look at a snapshot after it was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// What is wrong with it; `None` when it is whole.
    pub flaw: Option<String>,
}

/// A trial: the snapshot restored into a scratch instance that was asked questions and thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// When it ended.
    pub at: Timestamp,
    /// From the start of the software to the last right answer, milliseconds: the least that a recovery takes.
    pub took_ms: u64,
    /// What the scratch instance answered.
    pub answers: String,
    /// Why it is no good; `None` when the drill succeeded.
    pub flaw: Option<String>,
}

/// The newest attempt to take a snapshot of a store, when it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The environment's name.
    pub environment: String,
    /// The store's name.
    pub service: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// An account on the shelf that cannot be read: whatever it is of does not count as a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// The environment's name.
    pub environment: String,
    /// The store's name.
    pub service: String,
    /// The account's file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl Snapshot {
    /// What it is called: `STORE/TIME`, unique within the environment.
    pub fn id(&self) -> String {
        format!("{}/{}", self.service, stamp(self.taken_at))
    }

    /// Whether its newest look found it whole; the first was when it was taken.
    pub fn is_whole(&self) -> bool {
        self.look.as_ref().is_none_or(|look| look.flaw.is_none())
    }
}

/// A moment as snapshots are named by it.
pub fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%S%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::environment::{Environment, Protection};
    use crate::domain::service::{ServiceKind, ServiceSpec};
    use crate::domain::stack::Stack;

    pub(super) fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    pub(super) fn snapshot(service: &str, second: i64) -> Snapshot {
        Snapshot {
            environment: "lab".into(),
            service: service.into(),
            kind: StoreKind::Consul,
            taken_at: at(second),
            from: "pc1".into(),
            file: PathBuf::from("/snapshots/one.snap"),
            size: 7,
            sha256: "0".repeat(64),
            state: 1,
            index: 2,
            term: 3,
            recipients: Vec::new(),
            inventory: Inventory::default(),
            look: None,
            drill: None,
        }
    }

    pub(super) fn environment() -> Environment {
        Environment {
            name: "lab".into(),
            protection: Protection::Confirm,
            marking: None,
            stack: Stack::Consul,
            versions: [].into(),
            nodes: Vec::new(),
            services: vec![ServiceSpec {
                name: "consul".into(),
                kind: ServiceKind::Consul,
                urls: vec!["http://127.0.0.1:8500".into()],
                nodes: Vec::new(),
                user: None,
                secret: None,
                ca: None,
            }],
            artifacts: [].into(),
            variables: [].into(),
            backups: crate::domain::backup::Backups::default(),
            desired: Vec::new(),
        }
    }

    #[test]
    fn an_account_of_an_earlier_version_is_read() {
        let text = r#"{"environment":"lab","service":"consul","kind":"consul","taken_at":"2026-11-21T00:00:00Z",
            "from":"pc1","file":"/x","size":1,"sha256":"ab","state":1,"index":2,"term":3}"#;
        let read: Snapshot = serde_json::from_str(text).unwrap();
        assert_eq!(read.id(), "consul/20261121T000000000Z");
        assert!(read.is_whole() && read.recipients.is_empty());
    }
}
