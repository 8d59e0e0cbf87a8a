//! Is a snapshot what it claims to be? An answer of status 200 does not say so: a server that loses its leader in the middle
//! sends half of it, and some send an empty one (hashicorp/vault issues 12168 and 15258).
//!
//! Everything is read once, from the first byte to the last, as it arrives or from a file:
//!
//! | Store | Is whole when |
//! |---|---|
//! | Consul, Nomad, Vault | every member of the archive is there and has the checksum and size that are written down in it |
//! | etcd | the SHA-256 behind the database is that of the database, and the database begins as bbolt's do |
//! | Terraform | it is the JSON of a state of version 4, with a lineage and resources that have instances |
//! | PostgreSQL | it begins as `pg_dump --format=custom` writes it; the rest only `pg_restore` can judge, and does while it is taken |

use std::io::{self, BufRead as _, BufReader, Read};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::archive;
use crate::domain::backup::StoreKind;

/// The largest Terraform state that is read, bytes.
const STATE_LIMIT: u64 = 256 * 1024 * 1024;
/// How long etcd's checksum behind the database is, bytes.
const TAIL: usize = 32;
/// Where bbolt's first meta page has its magic number, and what that is
/// (<https://github.com/etcd-io/bbolt/blob/main/internal/common/types.go>).
const BOLT: (usize, u32) = (16, 0xED0C_DAED);

/// What a snapshot that is whole says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The number of the last change in it; 0 where it does not tell.
    pub index: u64,
    /// Raft's term of that change; 0 where it does not tell.
    pub term: u64,
    /// The state's size, bytes.
    pub state: u64,
}

/// What is wrong with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

impl Flaw {
    /// A flaw in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
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

/// Reads a whole snapshot. Blocks while it reads.
///
/// # Errors
/// [`Flaw`] with the first thing that is wrong.
pub fn verify(kind: StoreKind, from: impl Read) -> Result<Contents, Flaw> {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    if from.fill_buf()?.is_empty() {
        return Err(Flaw::new("it is empty"));
    }
    match kind {
        StoreKind::Consul | StoreKind::Nomad => archive::read(archive::PLAIN, &mut from),
        StoreKind::Vault => archive::read(archive::SEALED, &mut from),
        StoreKind::Etcd => etcd(&mut from),
        StoreKind::Postgresql => postgresql(&mut from),
        StoreKind::Terraform => terraform(&mut from),
    }
}

/// SHA-256 of all that can be read, 64 hexadecimal digits.
///
/// # Errors
/// When it cannot be read.
pub fn checksum(from: &mut impl Read) -> io::Result<String> {
    summed(from).map(|(_, sum)| sum)
}

/// Length and SHA-256 of all that can be read.
pub(super) fn summed(from: &mut impl Read) -> io::Result<(u64, String)> {
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

/// etcd's database with its SHA-256 behind it, as `etcdctl snapshot save` leaves it.
fn etcd(from: &mut dyn Read) -> Result<Contents, Flaw> {
    let mut digest = Sha256::new();
    let (mut held, mut head, mut length) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        length += count as u64;
        if head.len() < 64 {
            head.extend_from_slice(&buffer[..count.min(64)]);
        }
        held.extend_from_slice(&buffer[..count]);
        // The last bytes may be the checksum: only what is before them is known to be the database.
        let sure = held.len().saturating_sub(TAIL);
        digest.update(&held[..sure]);
        held.drain(..sure);
    }
    let magic = head
        .get(BOLT.0..BOLT.0 + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes);
    if magic != Some(BOLT.1) {
        return Err(Flaw::new("it does not begin as a database of etcd does"));
    }
    let state = length.saturating_sub(TAIL as u64);
    // Pages have 512 bytes at least: whatever else is left is cut off, or has no checksum.
    if held.len() != TAIL || state % 512 != 0 {
        return Err(Flaw::new("it ends in the middle"));
    }
    if digest.finalize().as_slice() != held.as_slice() {
        return Err(Flaw::new(
            "the database does not have the checksum that stands behind it",
        ));
    }
    Ok(Contents {
        index: 0,
        term: 0,
        state,
    })
}

/// The first bytes of what `pg_dump --format=custom` writes.
const PG_MAGIC: &[u8] = b"PGDMP";

fn postgresql(from: &mut dyn Read) -> Result<Contents, Flaw> {
    let mut head = [0; PG_MAGIC.len()];
    from.read_exact(&mut head)?;
    if head != PG_MAGIC {
        return Err(Flaw::new(
            "it does not begin as a dump in PostgreSQL's custom format does",
        ));
    }
    let state = head.len() as u64 + io::copy(from, &mut io::sink())?;
    Ok(Contents {
        index: 0,
        term: 0,
        state,
    })
}

/// What is looked for in a Terraform state (<https://developer.hashicorp.com/terraform/internals/json-format> describes the
/// printed form; this is the stored one, version 4).
#[derive(Deserialize)]
pub(crate) struct TerraformState {
    pub(crate) version: u64,
    pub(crate) serial: u64,
    pub(crate) lineage: String,
    pub(crate) resources: Vec<TerraformResource>,
}

/// A resource of a Terraform state.
#[derive(Deserialize)]
pub(crate) struct TerraformResource {
    pub(crate) module: Option<String>,
    pub(crate) mode: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) instances: Vec<serde_json::Value>,
}

impl TerraformState {
    /// Reads a state.
    ///
    /// # Errors
    /// [`Flaw`] when it is none, or none that says of which line it is.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Flaw> {
        let state: Self = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_eof() {
                Flaw::new("it ends in the middle")
            } else {
                Flaw::new(format!("it is no Terraform state: {error}"))
            }
        })?;
        if state.version != 4 {
            return Err(Flaw::new(format!(
                "it is a Terraform state of version {}, not 4",
                state.version
            )));
        }
        if state.lineage.is_empty() {
            return Err(Flaw::new("it has no lineage"));
        }
        Ok(state)
    }
}

fn terraform(from: &mut dyn Read) -> Result<Contents, Flaw> {
    let mut bytes = Vec::new();
    from.take(STATE_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > STATE_LIMIT {
        return Err(Flaw::new("it is larger than a Terraform state can be"));
    }
    let state = TerraformState::read(&bytes)?;
    Ok(Contents {
        index: state.serial,
        term: 0,
        state: bytes.len() as u64,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A database as etcd sends it: pages, and their checksum.
    pub(crate) fn etcd_snapshot() -> Vec<u8> {
        let mut bytes = vec![7; 8192];
        bytes[BOLT.0..BOLT.0 + 4].copy_from_slice(&BOLT.1.to_le_bytes());
        let sum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    fn flaw(kind: StoreKind, bytes: &[u8]) -> String {
        verify(kind, bytes).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_no_snapshot_of_anything() {
        for kind in StoreKind::ALL {
            assert_eq!(flaw(*kind, b""), "it is empty", "{kind}");
        }
    }

    #[test]
    fn an_etcd_snapshot_is_good_only_whole_and_unchanged() {
        let whole = etcd_snapshot();
        assert_eq!(verify(StoreKind::Etcd, &*whole).unwrap().state, 8192);
        for length in (0..whole.len()).step_by(97) {
            assert!(
                verify(StoreKind::Etcd, &whole[..length]).is_err(),
                "{length} bytes"
            );
        }
        for at in (0..whole.len()).step_by(61) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(verify(StoreKind::Etcd, &*changed).is_err(), "byte {at}");
        }
        let other = flaw(StoreKind::Etcd, b"<html>502 Bad Gateway</html>");
        assert!(other.contains("does not begin"), "{other}");
    }

    #[test]
    fn a_terraform_state_needs_a_version_and_a_lineage() {
        let good = br#"{"version":4,"terraform_version":"1.11.0","serial":7,"lineage":"a-b","outputs":{},"resources":[]}"#;
        let contents = verify(StoreKind::Terraform, good.as_slice()).unwrap();
        assert_eq!(contents.index, 7);
        assert_eq!(
            flaw(StoreKind::Terraform, &good[..40]),
            "it ends in the middle"
        );
        let old = String::from_utf8_lossy(good).replace("\"version\":4", "\"version\":3");
        assert!(flaw(StoreKind::Terraform, old.as_bytes()).contains("version 3"));
        let bare = String::from_utf8_lossy(good).replace("a-b", "");
        assert_eq!(
            flaw(StoreKind::Terraform, bare.as_bytes()),
            "it has no lineage"
        );
    }

    #[test]
    fn a_dump_of_postgresql_begins_with_its_magic_word() {
        assert!(verify(StoreKind::Postgresql, b"PGDMP\x01".as_slice()).is_ok());
        assert!(flaw(StoreKind::Postgresql, b"CREATE TABLE").contains("custom format"));
        assert_eq!(flaw(StoreKind::Postgresql, b"PGD"), "it ends in the middle");
    }
}
