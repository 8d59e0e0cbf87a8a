//! Identifiers that look random and are the same for the same seed: a digest of the seed and of what is named.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// A source of stable identifiers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids(u64);

impl Ids {
    /// The identifiers of `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 32 bytes that belong to `label`.
    pub(crate) fn bytes(self, label: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.0.to_be_bytes());
        digest.update(label.as_bytes());
        digest.finalize().into()
    }

    /// `digits` hexadecimal digits (at most 64) that belong to `label`.
    pub(crate) fn hex(self, label: &str, digits: usize) -> String {
        let mut text = hex(&self.bytes(label));
        text.truncate(digits);
        text
    }

    /// A UUID of version 4 that belongs to `label`.
    pub(crate) fn uuid(self, label: &str) -> String {
        let mut raw = [0_u8; 16];
        raw.copy_from_slice(&self.bytes(label)[..16]);
        uuid::Builder::from_random_bytes(raw)
            .into_uuid()
            .to_string()
    }

    /// `length` letters and digits (at most 64) that belong to `label`.
    pub(crate) fn word(self, label: &str, length: usize) -> String {
        const LETTERS: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let more = self.bytes(&format!("{label}/more"));
        self.bytes(label)
            .iter()
            .chain(more.iter())
            .take(length)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }

    /// A number below `limit` that belongs to `label`.
    pub(crate) fn below(self, label: &str, limit: u64) -> u64 {
        let mut raw = [0_u8; 8];
        raw.copy_from_slice(&self.bytes(label)[..8]);
        u64::from_be_bytes(raw) % limit.max(1)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that hexadecimal digits stand for; `None` when they do not.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_label_give_the_same_identifier() {
        assert_eq!(Ids::new(7).uuid("pc1"), Ids::new(7).uuid("pc1"));
        assert_ne!(Ids::new(7).uuid("pc1"), Ids::new(8).uuid("pc1"));
        assert_ne!(Ids::new(7).uuid("pc1"), Ids::new(7).uuid("pc2"));
    }

    #[test]
    fn hexadecimal_digits_survive_the_round_trip_and_nonsense_is_refused() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex("éé"), None);
    }
}
