//! Copying files between this machine and hosts: what is told of it on the way and at its end.

use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

/// A copy that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of them that an earlier attempt had brought already, and that were found to be the same.
    pub kept: u64,
}

/// What is in a directory, relative to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path below the directory; empty for the directory, or the file, itself.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Bytes; 0 for directories.
    pub size: u64,
}

/// Entries of one tree that are copied at most.
pub const MOST_ENTRIES: usize = 100_000;

/// The name under which a copy is gathered until it is whole: beside the target, and the same for every attempt at the same
/// content, so that the next one goes on with it.
pub fn part_name(target: &str, identity: &str) -> String {
    let digest = Sha256::digest(identity.as_bytes());
    let mark = crate::domain::hex(&digest[..4]);
    match target.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.{mark}.part"),
        None => format!(".{target}.{mark}.part"),
    }
}

/// What tells one content of a file here from another: size and time of the last change.
pub fn identity(size: u64, changed: Option<SystemTime>) -> String {
    let seconds = changed
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    format!("{size}/{seconds}")
}

/// SHA-256 of the first `bytes` of a file here, in hexadecimal.
///
/// # Errors
/// As reading the file.
pub async fn digest_of_start(path: &Path, bytes: u64) -> std::io::Result<String> {
    let file = tokio::fs::File::open(path).await?;
    let mut file = file.take(bytes);
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(crate::domain::hex(&digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_lies_beside_its_target_and_belongs_to_one_content() {
        let one = part_name("/srv/data/image.img", "1/2");
        assert!(one.starts_with("/srv/data/.image.img."), "{one}");
        assert_eq!(one, part_name("/srv/data/image.img", "1/2"));
        assert_ne!(one, part_name("/srv/data/image.img", "1/3"));
        assert!(part_name("image.img", "").starts_with(".image.img."));
    }

    #[tokio::test]
    async fn the_start_of_a_file_has_a_digest_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abcdef").unwrap();
        let abc = digest_of_start(&path, 3).await.unwrap();
        assert_eq!(abc, crate::domain::hex(&Sha256::digest(b"abc")));
    }
}
