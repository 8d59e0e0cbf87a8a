//! Fingerprints of `OpenPGP` public keys (RFC 9580), without an `OpenPGP` library: a key is not used here, only known again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::domain::hex;

const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
/// The tag of a primary public key's packet (§5.5.1.1).
const PUBLIC_KEY: u8 = 6;

/// The fingerprints of all primary keys in an armoured text, 40 or 64 upper-case hexadecimal digits each.
///
/// # Errors
/// A sentence that says why the text is no public key.
pub(super) fn fingerprints(armoured: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = armoured;
    while let Some(at) = rest.find(BEGIN) {
        let inside = &rest[at + BEGIN.len()..];
        let end = inside
            .find(END)
            .ok_or_else(|| format!("it has no line {END:?}: a part is missing"))?;
        let bytes = dearmour(&inside[..end])?;
        packets(&bytes, &mut found)?;
        rest = &inside[end + END.len()..];
    }
    if found.is_empty() {
        return Err(format!("it has no line {BEGIN:?} with a key behind it"));
    }
    Ok(found)
}

/// The bytes between the two lines (§6.2): headers, an empty line, base64, and a checksum that may be missing.
fn dearmour(inside: &str) -> Result<Vec<u8>, String> {
    let body = inside.lines().skip(1).map(str::trim);
    let mut text = String::new();
    let mut sum = None;
    for line in body.skip_while(|line| line.contains(": ") || line.is_empty()) {
        match line.strip_prefix('=') {
            Some(checksum) if checksum.len() == 4 => sum = Some(checksum),
            _ => text.push_str(line),
        }
    }
    let broken = |what: &str| format!("its armour is damaged ({what}): copy the key again");
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| broken(&error.to_string()))?;
    if let Some(sum) = sum {
        let sum = STANDARD.decode(sum).map_err(|_| broken("checksum"))?;
        if sum != crc24(&bytes).to_be_bytes()[1..] {
            return Err(broken("checksum"));
        }
    }
    Ok(bytes)
}

/// §6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |crc, byte| {
        let mut crc = crc ^ (u32::from(*byte) << 16);
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
        crc & 0x00ff_ffff
    })
}

/// Walks the packets (§4.2) and adds the fingerprint of each primary key.
fn packets(mut bytes: &[u8], found: &mut Vec<String>) -> Result<(), String> {
    while let Some((first, rest)) = bytes.split_first() {
        let (tag, length, header) = header(*first, rest).ok_or("a packet in it cannot be read")?;
        let body = rest
            .get(header..header.saturating_add(length))
            .ok_or("a packet in it is cut off")?;
        if tag == PUBLIC_KEY {
            found.push(fingerprint(body)?);
        }
        bytes = &rest[header + length..];
    }
    Ok(())
}

/// Tag, length of the body, and how many bytes after the first tell the length. Lengths in parts are for data, not keys.
fn header(first: u8, rest: &[u8]) -> Option<(u8, usize, usize)> {
    if first & 0x80 == 0 {
        return None;
    }
    let byte = |at: usize| rest.get(at).map(|byte| usize::from(*byte));
    if first & 0x40 != 0 {
        let tag = first & 0x3f;
        return match byte(0)? {
            length @ 0..=191 => Some((tag, length, 1)),
            high @ 192..=223 => Some((tag, ((high - 192) << 8) + byte(1)? + 192, 2)),
            255 => Some((tag, long(rest.get(1..5)?)?, 5)),
            _ => None,
        };
    }
    let tag = (first >> 2) & 0x0f;
    match first & 0x03 {
        0 => Some((tag, byte(0)?, 1)),
        1 => Some((tag, (byte(0)? << 8) + byte(1)?, 2)),
        2 => Some((tag, long(rest.get(..4)?)?, 4)),
        _ => None,
    }
}

fn long(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

/// §5.5.4.
fn fingerprint(body: &[u8]) -> Result<String, String> {
    let long = "a key in it is too long";
    Ok(match body.first() {
        Some(4) => {
            let mut digest = Sha1::new();
            digest.update([0x99]);
            digest.update(u16::try_from(body.len()).map_err(|_| long)?.to_be_bytes());
            digest.update(body);
            hex(&digest.finalize())
        }
        Some(6) => {
            let mut digest = Sha256::new();
            digest.update([0x9b]);
            digest.update(u32::try_from(body.len()).map_err(|_| long)?.to_be_bytes());
            digest.update(body);
            hex(&digest.finalize())
        }
        Some(version) => return Err(format!("a key in it is of version {version}, not 4 or 6")),
        None => return Err("a key in it is empty".into()),
    }
    .to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made with `GnuPG` for this test; its secret half is gone.
    const KEY: &str = include_str!("openpgp/test-key.asc");
    const FINGERPRINT: &str = include_str!("openpgp/test-key.fingerprint");

    #[test]
    fn the_fingerprint_is_the_one_that_gnupg_says() {
        assert_eq!(fingerprints(KEY).unwrap(), [FINGERPRINT.trim()]);
    }

    #[test]
    fn several_keys_in_one_text_are_all_found() {
        assert_eq!(fingerprints(&format!("{KEY}\n{KEY}")).unwrap().len(), 2);
    }

    #[test]
    fn a_damaged_key_is_told_from_a_sound_one() {
        let cut: String = KEY.lines().take(5).collect::<Vec<_>>().join("\n");
        assert!(
            fingerprints(&cut)
                .unwrap_err()
                .contains("a part is missing")
        );
        assert!(fingerprints("").unwrap_err().contains("BEGIN PGP"));
        let line = KEY.lines().nth(3).unwrap();
        let swapped: String = line.chars().rev().collect();
        assert!(
            fingerprints(&KEY.replace(line, &swapped))
                .unwrap_err()
                .contains("damaged")
        );
        assert!(fingerprints(&KEY.replace(line, "")).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = packets(&bytes, &mut Vec::new());
            let text = format!("{BEGIN}\n\n{}\n{END}", STANDARD.encode(&bytes));
            let _ = fingerprints(&text);
        }
    }
}
