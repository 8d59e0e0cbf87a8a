//! Addresses as people type them: names, addresses, `10.0.0.0/24`, `10.0.0.11-14`.

use std::net::Ipv4Addr;

/// How many addresses may be typed at once: those of a /24.
pub const MOST: usize = 256;

/// Why a text is no list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Too many.
    #[error("{0} is more than {MOST} addresses; type a smaller range, such as 10.0.0.0/24")]
    TooMany(String),
    /// Not understood.
    #[error(
        "{0:?} is neither a host name, an address, a network such as 10.0.0.0/24, nor a range such as 10.0.0.11-14"
    )]
    NotUnderstood(String),
}

/// The addresses that `text` names, apart by commas or spaces, each once, in order.
///
/// # Errors
/// [`RangeError`] at the first part that cannot be understood, or when there are more than [`MOST`].
pub fn expand(text: &str) -> Result<Vec<String>, RangeError> {
    let mut all: Vec<String> = Vec::new();
    let parts = text.split([',', ' ', '\t', '\n']);
    for part in parts.filter(|part| !part.is_empty()) {
        for one in one(part)? {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        if all.len() > MOST {
            return Err(RangeError::TooMany(part.to_owned()));
        }
    }
    Ok(all)
}

fn one(part: &str) -> Result<Vec<String>, RangeError> {
    let not = || RangeError::NotUnderstood(part.to_owned());
    if let Some((base, length)) = part.split_once('/') {
        let base: Ipv4Addr = base.parse().map_err(|_| not())?;
        let length: u32 = length.parse().map_err(|_| not())?;
        if length > 32 {
            return Err(not());
        }
        if length < 24 {
            return Err(RangeError::TooMany(part.to_owned()));
        }
        let size = 1_u32 << (32 - length);
        let first = u32::from(base) & !(size - 1);
        // The first and the last of a network are no hosts (RFC 1122), except where there are only two, or one (RFC 3021).
        let inside = if size > 2 { 1..size - 1 } else { 0..size };
        let all = inside.map(|at| Ipv4Addr::from(first + at).to_string());
        return Ok(all.collect());
    }
    if let Some((from, to)) = part.rsplit_once('-')
        && let Ok(from) = from.parse::<Ipv4Addr>()
    {
        let last: Ipv4Addr = if let Ok(byte) = to.parse::<u8>() {
            let [a, b, c, _] = from.octets();
            Ipv4Addr::new(a, b, c, byte)
        } else {
            to.parse().map_err(|_| not())?
        };
        let (from, last) = (u32::from(from), u32::from(last));
        if last < from {
            return Err(not());
        }
        if (last - from) as usize >= MOST {
            return Err(RangeError::TooMany(part.to_owned()));
        }
        return Ok((from..=last)
            .map(|ip| Ipv4Addr::from(ip).to_string())
            .collect());
    }
    let named = part
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'));
    let digits = part.chars().all(|c| c.is_ascii_digit() || c == '.');
    let begins = part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    if !named || !begins || (digits && part.parse::<Ipv4Addr>().is_err()) {
        return Err(not());
    }
    Ok(vec![part.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_networks_and_ranges_are_understood() {
        assert_eq!(
            expand("pc1, 10.0.0.5 10.0.0.11-13").unwrap(),
            ["pc1", "10.0.0.5", "10.0.0.11", "10.0.0.12", "10.0.0.13"]
        );
        assert_eq!(expand("10.0.0.9/30").unwrap(), ["10.0.0.9", "10.0.0.10"]);
        assert_eq!(expand("10.0.0.0/24").unwrap().len(), 254);
        assert_eq!(expand("10.0.0.7/32 10.0.0.7").unwrap(), ["10.0.0.7"]);
        assert_eq!(expand("fe80::1%eth0").unwrap(), ["fe80::1%eth0"]);
        assert!(expand("").unwrap().is_empty());
    }

    #[test]
    fn what_is_too_much_or_no_address_is_refused_with_its_own_words() {
        for (text, part) in [
            ("10.0.0.0/16", "10.0.0.0/16"),
            ("10.0.0.1-10.9.0.1", "10.9.0.1"),
        ] {
            let error = expand(text).unwrap_err();
            assert!(matches!(error, RangeError::TooMany(_)), "{error}");
            assert!(error.to_string().contains(part));
        }
        for text in [
            "10.0.0",
            "a b;c",
            "10.0.0.9-3",
            "-x",
            "10.0.0.1/33",
            "1.2.3.4/x",
        ] {
            assert!(
                matches!(expand(text), Err(RangeError::NotUnderstood(_))),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_typed_there_are_never_too_many(text in "[0-9a-z.,/ -]{0,60}") {
            if let Ok(all) = expand(&text) {
                proptest::prop_assert!(all.len() <= MOST);
            }
        }
    }
}
