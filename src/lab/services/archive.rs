//! Snapshots as Raft's users write and read them: a gzipped tar of the state, what Raft knows of it, and checksums of both.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The archive of `state` as it is after `index` in `term`; with `sealed`, the checksums are there a second time as only the
/// cluster's own keys can make them.
///
/// # Errors
/// Never in memory; the types cannot say so.
pub(crate) fn archive(
    index: u64,
    term: u64,
    state: &[u8],
    sealed: Option<&[u8]>,
    now: Timestamp,
) -> std::io::Result<Vec<u8>> {
    let meta = json!({
        "Version": 1,
        "ID": format!("{term}-{index}-{}", now.as_millisecond()),
        "Index": index,
        "Term": term,
        "Peers": "",
        "ConfigurationIndex": 1,
        "Size": state.len(),
    })
    .to_string();
    let sum = |bytes: &[u8]| crate::domain::hex(&Sha256::digest(bytes));
    let sums = format!(
        "{}  meta.json\n{}  state.bin\n",
        sum(meta.as_bytes()),
        sum(state)
    );
    let mut members = vec![
        ("meta.json", meta.as_bytes()),
        ("state.bin", state),
        ("SHA256SUMS", sums.as_bytes()),
    ];
    members.extend(sealed.map(|sealed| ("SHA256SUMS.sealed", sealed)));
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        header.set_cksum();
        tar.append_data(&mut header, name, bytes)?;
    }
    tar.into_inner()?.finish()
}

/// What an archive holds, its checksums compared.
pub(crate) struct Opened {
    /// The state.
    pub(crate) state: Vec<u8>,
    /// The checksums as only the cluster's own keys can make them, where they are there.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Opens an archive that somebody wants restored.
///
/// # Errors
/// What is wrong with it, in a few words.
pub(crate) fn open(bytes: &[u8]) -> Result<Opened, String> {
    let mut members = BTreeMap::new();
    let mut tar = tar::Archive::new(GzDecoder::new(bytes));
    let broken = |error: std::io::Error| format!("failed to read snapshot file: {error}");
    for entry in tar.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        members.insert(name, content);
    }
    let sums = members
        .remove("SHA256SUMS")
        .ok_or("missing hash for \"meta.json\"")?;
    let sums = String::from_utf8_lossy(&sums).into_owned();
    for name in ["meta.json", "state.bin"] {
        let content = members
            .get(name)
            .ok_or_else(|| format!("no {name} in the archive"))?;
        let line = format!("{}  {name}", crate::domain::hex(&Sha256::digest(content)));
        if !sums.lines().any(|known| known == line) {
            return Err(format!("hash check failed for {name:?}"));
        }
    }
    Ok(Opened {
        state: members.remove("state.bin").unwrap_or_default(),
        sealed: members.remove("SHA256SUMS.sealed"),
    })
}
