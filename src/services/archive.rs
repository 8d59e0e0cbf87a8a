//! Is a snapshot what it claims to be? An answer of status 200 does not say so: a server that loses its leader in the middle
//! sends half an archive, and some send an empty one (hashicorp/vault issues 12168 and 15258).
//!
//! Consul and Vault (with OpenBao) write the same archive: a gzipped tar with the state (`state.bin`), what Raft knows of it
//! (`meta.json`), and checksums of both (`SHA256SUMS`). Vault adds a copy of the checksums that only its own keys can make
//! (`SHA256SUMS.sealed`), without which it cannot be restored.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// The largest member that is read into memory, bytes: what is not the state is small.
const SMALL: u64 = 1024 * 1024;

/// Whose archive it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Consul's: <https://developer.hashicorp.com/consul/api-docs/snapshot>.
    Consul,
    /// Vault's or OpenBao's: <https://developer.hashicorp.com/vault/api-docs/system/storage/raft>.
    Vault,
}

impl Origin {
    /// What must be in it.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Consul => &["meta.json", "state.bin", "SHA256SUMS"],
            Self::Vault => &["meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"],
        }
    }
}

/// What an archive that is whole says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Raft's index of the last change in it.
    pub index: u64,
    /// Raft's term of that change.
    pub term: u64,
    /// The state's size, bytes.
    pub state: u64,
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

impl Flaw {
    pub(super) fn new(what: String) -> Self {
        Self(what)
    }
}

impl From<io::Error> for Flaw {
    fn from(error: io::Error) -> Self {
        Self(match error.kind() {
            io::ErrorKind::UnexpectedEof => "it ends in the middle".into(),
            _ => format!("it cannot be read: {error}"),
        })
    }
}

/// `meta.json`: Raft's account of the state (`raft.SnapshotMeta`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    index: u64,
    term: u64,
    size: u64,
}

/// Reads the whole archive at `path` and compares every checksum in it. Blocks while it reads.
///
/// # Errors
/// [`Flaw`] with the first thing that is wrong: no archive, cut off, a member missing or one too many, a checksum or a size
/// that is not what was written down.
pub fn verify(origin: Origin, path: &Path) -> Result<Contents, Flaw> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Err(Flaw("it is empty".into()));
    }
    let mut found = Found::default();
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if !origin.members().contains(&name.as_str()) {
            return Err(Flaw(format!(
                "there is a {name:?} in it, which does not belong there"
            )));
        }
        found.take(&name, &mut entry)?;
    }
    // Behind the last member: only there does gzip say whether all of it was right.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    found.judge(origin)
}

/// Length and SHA-256 of all that can be read.
pub(super) fn checksum(from: &mut impl Read) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut length = 0;
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok((length, crate::domain::hex(&digest.finalize()))),
            count => {
                digest.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

/// What was in the archive.
#[derive(Default)]
struct Found {
    /// Size and SHA-256 of each member.
    members: BTreeMap<String, (u64, String)>,
    meta: Vec<u8>,
    sums: String,
}

impl Found {
    fn take(&mut self, name: &str, entry: &mut impl Read) -> Result<(), Flaw> {
        let (size, sum) = if name == "state.bin" {
            checksum(entry)?
        } else {
            let mut bytes = Vec::new();
            entry.take(SMALL + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > SMALL {
                return Err(Flaw(format!("{name} is larger than it can be")));
            }
            let found = checksum(&mut bytes.as_slice())?;
            match name {
                "meta.json" => self.meta = bytes,
                "SHA256SUMS" => self.sums = String::from_utf8_lossy(&bytes).into_owned(),
                _ => {}
            }
            found
        };
        match self.members.insert(name.to_owned(), (size, sum)) {
            None => Ok(()),
            Some(_) => Err(Flaw(format!("{name} is in it twice"))),
        }
    }

    fn judge(&self, origin: Origin) -> Result<Contents, Flaw> {
        for name in origin.members() {
            match self.members.get(*name) {
                None => return Err(Flaw(format!("{name} is missing"))),
                Some((0, _)) => return Err(Flaw(format!("{name} is empty"))),
                Some(_) => {}
            }
        }
        for name in ["meta.json", "state.bin"] {
            let (_, sum) = &self.members[name];
            let written = self.sums.lines().find_map(|line| {
                let (sum, of) = line.split_once("  ")?;
                (of.trim() == name).then_some(sum)
            });
            match written {
                None => return Err(Flaw(format!("SHA256SUMS does not mention {name}"))),
                Some(written) if !written.eq_ignore_ascii_case(sum) => {
                    return Err(Flaw(format!(
                        "{name} has the checksum {sum}, but SHA256SUMS says {written:.64}"
                    )));
                }
                Some(_) => {}
            }
        }
        let meta: Meta = serde_json::from_slice(&self.meta)
            .map_err(|error| Flaw(format!("meta.json is not what it should be: {error}")))?;
        let (state, _) = self.members["state.bin"];
        if meta.size != state {
            return Err(Flaw(format!(
                "state.bin has {state} bytes, but meta.json says {}",
                meta.size
            )));
        }
        Ok(Contents {
            index: meta.index,
            term: meta.term,
            state,
        })
    }
}

#[cfg(test)]
mod tests;
