//! The patterns of OpenSSH's files (`ssh_config(5)`, PATTERNS): `*` for any characters, `?` for one, `!` before a pattern
//! that must not match.

/// Whether `pattern` matches the whole of `text`.
///
/// Walks both once and returns to the last `*` on a mismatch, so that no pattern takes more than their product in steps.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    p = *at + 1;
                    t = *from;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether one of `patterns` matches `text` and none with `!` before it does.
pub(super) fn list<'p>(patterns: impl IntoIterator<Item = &'p str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        if let Some(negated) = pattern.strip_prefix('!') {
            if wildcard(negated, text) {
                return false;
            }
        } else {
            found |= wildcard(pattern, text);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_negated_pattern_wins_over_all_others() {
        let patterns = ["*.example.com", "!secret.example.com"];
        assert!(list(patterns, "www.example.com"));
        assert!(!list(patterns, "secret.example.com"));
        assert!(!list(["!a"], "b"), "a negation alone matches nothing");
        assert!(list(["10.0.0.?"], "10.0.0.7"));
        assert!(!list(["10.0.0.?"], "10.0.0.77"));
    }

    proptest! {
        #[test]
        fn a_star_in_the_place_of_any_part_still_matches(head in "[a-z.]{0,9}", cut in "[a-z.]{0,9}", tail in "[a-z.]{0,9}") {
            let (pattern, text) = (format!("{head}*{tail}"), format!("{head}{cut}{tail}"));
            prop_assert!(wildcard(&pattern, &text));
        }
    }
}
