//! Snapshots as Raft's users write them: a gzipped tar of the state, what Raft knows of it, and checksums of both.

use flate2::Compression;
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
