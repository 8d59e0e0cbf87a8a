//! What is looked for in log lines: a text or a regular expression, compiled within bounds.
//!
//! A pattern is matched against what a person reads: escape sequences are taken out of a line before.

use std::fmt;
use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::domain::structured::strip;

/// Memory that one compiled expression may take, bytes; a few hundred bytes are usual.
const SIZE: usize = 1024 * 1024;
/// Memory for the states of its automaton while it runs, bytes.
const STATES: usize = 4 * 1024 * 1024;
/// Groups within groups.
const DEPTH: u32 = 50;

/// A text or a regular expression to look for. The default finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    /// What to look for.
    pub text: String,
    /// Whether that is a regular expression (syntax of the `regex` crate: linear time, no back references).
    pub regex: bool,
    /// Whether letter case counts.
    pub exact: bool,
    /// Whether lines *without* it are wanted.
    pub invert: bool,
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (character {position} of {text:?})")]
pub struct BadPattern {
    /// The expression.
    pub text: String,
    /// Where, in characters from 1.
    pub position: usize,
    /// What is wrong.
    pub reason: String,
}

impl Pattern {
    /// Looks for this text, letter case ignored.
    pub fn literal(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// Reads what is typed at a prompt: a text; after `~` a regular expression, after `=` letter case counts, after `!`
    /// lines without it. Several may stand together; `\` ends them, for a text that begins so itself.
    pub fn parse(typed: &str) -> Self {
        let mut pattern = Self::default();
        let mut rest = typed;
        loop {
            let mut chars = rest.chars();
            match chars.next() {
                Some('~') => pattern.regex = true,
                Some('=') => pattern.exact = true,
                Some('!') => pattern.invert = true,
                Some('\\') => {
                    rest = chars.as_str();
                    break;
                }
                _ => break,
            }
            rest = chars.as_str();
        }
        rest.clone_into(&mut pattern.text);
        pattern
    }

    /// Whether every line has it.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Makes it ready to be used.
    ///
    /// # Errors
    /// [`BadPattern`] when the expression is no expression, or would take too much memory.
    pub fn compile(&self) -> Result<Matcher, BadPattern> {
        let bad = |position: usize, reason: String| BadPattern {
            text: self.text.clone(),
            position,
            reason,
        };
        let expression = if self.regex {
            if let Err((at, reason)) = parse(&self.text) {
                let before = self.text.get(..at).unwrap_or(&self.text);
                return Err(bad(before.chars().count() + 1, reason));
            }
            self.text.clone()
        } else {
            regex::escape(&self.text)
        };
        let regex = RegexBuilder::new(&expression)
            .case_insensitive(!self.exact)
            .size_limit(SIZE)
            .dfa_size_limit(STATES)
            .nest_limit(DEPTH)
            .build()
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => bad(
                    1,
                    "the expression is too large: repeat less, or look for a shorter text".into(),
                ),
                other => bad(1, other.to_string()),
            })?;
        Ok(Matcher {
            regex,
            invert: self.invert,
        })
    }
}

/// As it is typed; see [`Pattern::parse`].
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (said, sign) in [(self.invert, "!"), (self.exact, "="), (self.regex, "~")] {
            f.write_str(if said { sign } else { "" })?;
        }
        if self.text.starts_with(['~', '=', '!', '\\']) {
            f.write_str("\\")?;
        }
        f.write_str(&self.text)
    }
}

/// Where an expression is wrong, in bytes, and how.
fn parse(text: &str) -> Result<(), (usize, String)> {
    use regex_syntax::Error;
    match regex_syntax::ParserBuilder::new()
        .nest_limit(DEPTH)
        .build()
        .parse(text)
    {
        Ok(_) => Ok(()),
        Err(Error::Parse(error)) => Err((error.span().start.offset, error.kind().to_string())),
        Err(Error::Translate(error)) => Err((error.span().start.offset, error.kind().to_string())),
        Err(other) => Err((0, other.to_string())),
    }
}

/// A pattern ready to be used.
#[derive(Debug, Clone)]
pub struct Matcher {
    regex: Regex,
    invert: bool,
}

impl Matcher {
    /// Whether a line is wanted.
    pub fn matches(&self, line: &str) -> bool {
        self.matches_bytes(line.as_bytes())
    }

    /// As [`Matcher::matches`], for a line as the store hands it out.
    pub(super) fn matches_bytes(&self, line: &[u8]) -> bool {
        let found = if line.contains(&0x1b) {
            let text = String::from_utf8_lossy(line);
            self.regex.is_match(strip(&text).as_bytes())
        } else {
            self.regex.is_match(line)
        };
        found != self.invert
    }

    /// Where it stands in a text that has no escape sequences, to be marked; nowhere when lines without it are wanted.
    pub fn places(&self, text: &str) -> Vec<Range<usize>> {
        if self.invert {
            return Vec::new();
        }
        self.regex
            .find_iter(text.as_bytes())
            .map(|found| found.range())
            .filter(|range| !range.is_empty())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a(b", 2, "unclosed group")]
    #[case("ä[b", 2, "unclosed character class")]
    #[case("*a", 1, "repetition operator missing expression")]
    #[case(r"(a)\1", 4, "backreferences are not supported")]
    #[case(r"x\p{Nonsense}", 2, "Unicode property not found")]
    fn a_mistake_in_an_expression_is_told_with_its_place(
        #[case] text: &str,
        #[case] position: usize,
        #[case] reason: &str,
    ) {
        let pattern = Pattern {
            regex: true,
            ..Pattern::literal(text)
        };
        let bad = pattern.compile().unwrap_err();
        assert_eq!((bad.position, bad.reason.as_str()), (position, reason));
    }

    #[test]
    fn an_expression_that_would_take_too_much_memory_is_refused() {
        let pattern = Pattern {
            regex: true,
            ..Pattern::literal(r"(\w{1000}){1000}")
        };
        let bad = pattern.compile().unwrap_err().to_string();
        assert!(bad.contains("too large"), "{bad}");
    }

    #[rstest]
    #[case("a.c", "abc", false)]
    #[case("~a.c", "ABC", true)]
    #[case("=~a.c", "ABC", false)]
    #[case("!abc", "abc", false)]
    #[case("!abc", "xyz", true)]
    #[case(r"\!abc", "!ABC", true)]
    #[case("ÄÖ", "äö", true)]
    #[case("", "anything", true)]
    fn what_is_typed_finds_what_is_meant(
        #[case] typed: &str,
        #[case] line: &str,
        #[case] found: bool,
    ) {
        let pattern = Pattern::parse(typed);
        assert_eq!(Pattern::parse(&pattern.to_string()), pattern);
        assert_eq!(pattern.compile().unwrap().matches(line), found);
    }

    #[test]
    fn colours_do_not_hide_a_text() {
        let matcher = Pattern::parse("~^error: no").compile().unwrap();
        assert!(matcher.matches("\u{1b}[1;31merror\u{1b}[0m: no such file"));
    }
}
