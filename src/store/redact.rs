//! Keeps secrets out of logs: every text is searched for the values themselves before it is stored or published.
//!
//! Besides the value as it is, the forms in which it travels are found: base64 at any of the three alignments it can have
//! inside a longer encoded text (`user:password` in an HTTP header), percent-encoding, JSON escapes, and the single lines
//! of a secret that has several (a PEM key).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{NoExpand, Regex, RegexBuilder};
use secrecy::{ExposeSecret, SecretString};

/// What is shown instead of a secret.
pub const MARK: &str = "[redacted]";
/// Shorter values are refused: hiding them would tear every text apart, and show by that what they are.
const SHORTEST: usize = 4;
/// Shorter encoded pieces and lines occur by chance.
const SHORTEST_PIECE: usize = 6;

/// Replaces known secrets in texts; clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Default)]
struct Inner {
    /// Longest first, so that a secret that contains another is replaced whole.
    needles: BTreeSet<(std::cmp::Reverse<usize>, String)>,
    pattern: Option<Regex>,
}

/// A secret that is too short to be kept out of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret of fewer than {SHORTEST} characters cannot be kept out of logs; choose a longer one"
)]
pub struct TooShort;

impl Redactor {
    /// Learns a secret; from now on it is replaced.
    ///
    /// # Errors
    /// [`TooShort`].
    pub fn learn(&self, secret: &SecretString) -> Result<(), TooShort> {
        let value = secret.expose_secret();
        if value.chars().count() < SHORTEST {
            return Err(TooShort);
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let mut added = false;
        for form in forms(value) {
            added |= inner.needles.insert((std::cmp::Reverse(form.len()), form));
        }
        if added {
            let alternatives: Vec<String> = inner
                .needles
                .iter()
                .map(|(_, needle)| regex::escape(needle))
                .collect();
            inner.pattern = RegexBuilder::new(&alternatives.join("|"))
                .size_limit(256 * 1024 * 1024)
                .build()
                .ok();
        }
        Ok(())
    }

    /// The text without secrets. Borrows when there is nothing to replace, which is the common case.
    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        match &inner.pattern {
            Some(pattern) => pattern.replace_all(text, NoExpand(MARK)),
            None if inner.needles.is_empty() => Cow::Borrowed(text),
            // Too much for one pattern: slower, but just as thorough.
            None => Cow::Owned(
                inner
                    .needles
                    .iter()
                    .fold(text.to_owned(), |text, (_, needle)| {
                        text.replace(needle, MARK)
                    }),
            ),
        }
    }

    /// As [`Redactor::clean`], keeping the allocation when there is nothing to replace.
    pub fn cleaned(&self, text: String) -> String {
        match self.clean(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

fn forms(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([value.to_owned()]);
    let lines = value.lines().map(str::trim);
    forms.extend(
        lines
            .filter(|line| line.len() >= SHORTEST_PIECE && !line.starts_with("-----"))
            .map(str::to_owned),
    );
    forms.extend(aligned_base64(value.as_bytes()));
    forms.insert(percent_encoded(value));
    if let Ok(json) = serde_json::to_string(value) {
        forms.insert(json[1..json.len() - 1].to_owned());
    }
    forms
}

/// The characters of the base64 form that depend on the value alone, for each position it can have in a longer text.
fn aligned_base64(value: &[u8]) -> Vec<String> {
    let mut pieces = Vec::new();
    for before in 0..3 {
        let padded = [&vec![0; before][..], value].concat();
        // Characters that also hold bits of what stands before or after are left out.
        let first = (before * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            if last > first && last - first >= SHORTEST_PIECE {
                pieces.push(text[first..last].to_owned());
            }
        }
        if before == 0 {
            pieces.push(STANDARD_NO_PAD.encode(value));
        }
    }
    pieces
}

fn percent_encoded(value: &str) -> String {
    use fmt::Write as _;
    value.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        for secret in secrets {
            redactor
                .learn(&SecretString::from((*secret).to_owned()))
                .unwrap();
        }
        redactor
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        assert!(matches!(
            knowing(&["hunter2"]).clean("nothing here"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn the_longer_of_two_overlapping_secrets_wins() {
        let redactor = knowing(&["token", "token-with-tail"]);
        assert_eq!(
            redactor.clean("a token-with-tail and a token"),
            "a [redacted] and a [redacted]"
        );
    }

    #[test]
    fn a_password_in_a_basic_authorization_header_is_found() {
        let header = STANDARD.encode("admin:correct horse battery");
        let clean = knowing(&["correct horse battery"])
            .clean(&header)
            .into_owned();
        assert!(clean.contains(MARK), "{clean}");
    }

    #[test]
    fn every_line_of_a_key_is_a_secret_but_its_frame_is_not() {
        let redactor = knowing(&["-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----"]);
        assert_eq!(redactor.clean("MIIEvQIBADAN"), MARK);
        assert_eq!(redactor.clean("-----BEGIN KEY-----"), "-----BEGIN KEY-----");
    }

    #[test]
    fn escaped_forms_are_found() {
        let redactor = knowing(&["pa\"ss wörd/1"]);
        for text in [r#"{"p":"pa\"ss wörd/1"}"#, "p=pa%22ss%20w%C3%B6rd%2F1"] {
            assert!(redactor.clean(text).contains(MARK), "{text}");
        }
    }

    #[test]
    fn a_secret_that_would_tear_texts_apart_is_refused() {
        let redactor = Redactor::default();
        assert_eq!(redactor.learn(&SecretString::from("abc")), Err(TooShort));
        assert_eq!(redactor.clean("abc"), "abc");
    }

    proptest! {
        #[test]
        fn no_secret_survives_wherever_it_stands(
            secrets in prop::collection::vec("[ -~äß€]{4,24}", 1..6),
            before in "\\PC{0,20}",
            after in "\\PC{0,20}",
        ) {
            let refs: Vec<&str> = secrets.iter().map(String::as_str).collect();
            let redactor = knowing(&refs);
            for secret in &secrets {
                let clean = redactor.clean(&format!("{before}{secret}{after}")).into_owned();
                // What the mark and its surroundings happen to spell is not the secret.
                for piece in clean.split(MARK) {
                    prop_assert!(!piece.contains(secret.as_str()), "{piece:?} contains {secret:?}");
                }
            }
        }

        #[test]
        fn base64_at_any_alignment_is_found(
            secret in "[a-z0-9]{8,30}", before in "[a-z:]{0,7}", after in "[a-z:]{0,7}",
        ) {
            let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
            prop_assert!(knowing(&[&secret]).clean(&encoded).contains(MARK));
        }
    }
}
