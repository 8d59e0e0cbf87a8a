//! The archive in which Raft's users hand out their state: a gzipped tar with the state (`state.bin`), what Raft knows of it
//! (`meta.json`), and checksums of both (`SHA256SUMS`). Consul, Nomad and Vault (with OpenBao) write it alike. Vault adds a
//! copy of the checksums that only its own keys can make (`SHA256SUMS.sealed`), without which it cannot be restored.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::contents::{Contents, Flaw, summed};

/// The largest member that is read into memory, bytes: what is not the state is small.
const SMALL: u64 = 1024 * 1024;

/// What must be in Consul's and Nomad's: <https://developer.hashicorp.com/consul/api-docs/snapshot>.
pub(super) const PLAIN: &[&str] = &["meta.json", "state.bin", "SHA256SUMS"];
/// What must be in Vault's and OpenBao's: <https://developer.hashicorp.com/vault/api-docs/system/storage/raft>.
pub(super) const SEALED: &[&str] = &["meta.json", "state.bin", "SHA256SUMS", "SHA256SUMS.sealed"];

/// `meta.json`: Raft's account of the state (`raft.SnapshotMeta`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    index: u64,
    term: u64,
    size: u64,
}

/// Reads the whole archive and compares every checksum in it; exactly `members` must be there.
///
/// # Errors
/// [`Flaw`] with the first thing that is wrong: no archive, cut off, a member missing or one too many, a checksum or a size
/// that is not what was written down.
pub(super) fn read(members: &[&str], from: &mut dyn Read) -> Result<Contents, Flaw> {
    let mut found = Found::default();
    let mut archive = tar::Archive::new(GzDecoder::new(from));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if !members.contains(&name.as_str()) {
            return Err(Flaw::new(format!(
                "there is a {name:?} in it, which does not belong there"
            )));
        }
        found.take(&name, &mut entry)?;
    }
    // Behind the last member: only there does gzip say whether all of it was right.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    found.judge(members)
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
            summed(entry)?
        } else {
            let mut bytes = Vec::new();
            entry.take(SMALL + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > SMALL {
                return Err(Flaw::new(format!("{name} is larger than it can be")));
            }
            let found = summed(&mut bytes.as_slice())?;
            match name {
                "meta.json" => self.meta = bytes,
                "SHA256SUMS" => self.sums = String::from_utf8_lossy(&bytes).into_owned(),
                _ => {}
            }
            found
        };
        match self.members.insert(name.to_owned(), (size, sum)) {
            None => Ok(()),
            Some(_) => Err(Flaw::new(format!("{name} is in it twice"))),
        }
    }

    fn judge(&self, members: &[&str]) -> Result<Contents, Flaw> {
        for name in members {
            match self.members.get(*name) {
                None => return Err(Flaw::new(format!("{name} is missing"))),
                Some((0, _)) => return Err(Flaw::new(format!("{name} is empty"))),
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
                None => return Err(Flaw::new(format!("SHA256SUMS does not mention {name}"))),
                Some(written) if !written.eq_ignore_ascii_case(sum) => {
                    return Err(Flaw::new(format!(
                        "{name} has the checksum {sum}, but SHA256SUMS says {written:.64}"
                    )));
                }
                Some(_) => {}
            }
        }
        let meta: Meta = serde_json::from_slice(&self.meta)
            .map_err(|error| Flaw::new(format!("meta.json is not what it should be: {error}")))?;
        let (state, _) = self.members["state.bin"];
        if meta.size != state {
            return Err(Flaw::new(format!(
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
