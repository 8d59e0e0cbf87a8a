//! The head of the chain, in a file of its own beside the database: how many records there are, and the hash of the last.
//!
//! Without it the last records could be cut off unseen. It is written after each commit, so a crash between the two
//! leaves it behind: fewer records than the table, all of which the chain still vouches for. A head that is *ahead* of
//! the table, or that names another hash, means that records were removed or replaced. What was found once stays in the
//! file, so that going on does not cover it up.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chain::Hash;
use crate::domain::hex;

/// The file's name within the state directory.
const FILE: &str = "audit.head";
/// Disagreements that are kept; the first ones tell the story.
const BREAKS: usize = 32;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// Records.
    pub(super) count: i64,
    /// Hash of the last one, hexadecimal.
    pub(super) hash: String,
    /// Disagreements with the table that an engine found, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) breaks: Vec<String>,
}

impl Head {
    /// Moves on to the record `count` with this hash.
    pub(super) fn advance(&mut self, count: i64, hash: &Hash) {
        self.count = count;
        self.hash = hex(hash);
    }

    /// Keeps a disagreement for good.
    pub(super) fn keep(&mut self, finding: &str) {
        if self.breaks.len() < BREAKS {
            self.breaks.push(finding.to_owned());
        }
    }
}

/// Where the head of the database at `database` is.
pub(super) fn path(database: &Path) -> PathBuf {
    database.with_file_name(FILE)
}

/// Reads the head; `None` when there is no file.
///
/// # Errors
/// Why it cannot be read, as a sentence.
pub(super) fn read(path: &Path) -> Result<Option<Head>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| format!("{} is damaged: {error}", path.display()))
}

/// Replaces the head; whoever reads sees the old one or the new one, also after a power cut.
pub(super) fn write(path: &Path, head: &Head) -> std::io::Result<()> {
    let next = path.with_extension("head.next");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&next)?;
    file.write_all(serde_json::to_string(head)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
