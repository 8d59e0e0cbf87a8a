//! SHA-256 of files here and on hosts, and checksums as text.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::exec::look;
use super::{Means, ResourceError};
use crate::domain::hex;
use crate::transport::{Command, Host};

/// Hashing a file on a small board reads a few tens of MB per second.
pub(super) const HASH_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Whether the text is 64 hexadecimal digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The SHA-256 of what is in memory.
pub(super) fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file here, read in pieces.
pub(super) async fn sha256_of_file(path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..read]);
    }
}

/// The SHA-256 of a file on the host.
pub(super) async fn sha256_of(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<String, ResourceError> {
    let command = Command::new(["sha256sum", path]).within(HASH_LIMIT);
    let output = look(host, &command, means.cancel).await?;
    let text = output.text();
    match from_sha256sum(&text) {
        Some(sum) if output.exit.success() => Ok(sum),
        _ => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: output.exit.to_string(),
            complaint: output.complaint(),
        }),
    }
}

/// The checksum in a line of `sha256sum`: it comes first, after a backslash when the file's name was escaped.
fn from_sha256sum(line: &str) -> Option<String> {
    let word = line.split_whitespace().next()?;
    let digits = word.strip_prefix('\\').unwrap_or(word);
    is_sha256(digits).then(|| digits.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[tokio::test]
    async fn a_file_has_the_published_checksum_of_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_of_file(&path).await.unwrap(), ABC);
    }

    #[test]
    fn only_64_hexadecimal_digits_are_a_checksum() {
        assert!(is_sha256(&"aB34".repeat(16)));
        assert!(!is_sha256(&"a".repeat(63)));
        assert!(!is_sha256(&"g".repeat(64)));
    }

    #[test]
    fn a_line_of_sha256sum_is_read_also_when_the_name_is_escaped() {
        assert_eq!(
            from_sha256sum(&format!("{ABC}  /a b")).as_deref(),
            Some(ABC)
        );
        assert_eq!(
            from_sha256sum(&format!("\\{ABC}  /a\\nb")).as_deref(),
            Some(ABC)
        );
        assert_eq!(from_sha256sum("sha256sum: /a: Permission denied"), None);
        assert_eq!(from_sha256sum(""), None);
    }
}
