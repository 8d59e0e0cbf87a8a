//! Reading a group: words and signs, then the expression by recursive descent.

use super::{Expression, GroupError};
use crate::domain::did_you_mean;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};

/// How deep parentheses and `not` may stand within each other; nobody writes more, and a hostile text must not use up the stack.
const DEPTH: usize = 64;

const WHAT: &str =
    "role:NAME, label:NAME=VALUE, platform:NAME, arch:NAME, a node's name, all, not, or (";

/// Reads the whole text.
pub(super) fn expression(text: &str) -> Result<Expression, GroupError> {
    let mut reader = Reader {
        text,
        tokens: tokens(text),
        next: 0,
        depth: 0,
    };
    let expression = reader.either()?;
    match reader.peek() {
        None => Ok(expression),
        Some(Token { word: ")", at }) => Err(reader.wrong(at, "this closes nothing".into())),
        Some(Token { word, at }) => Err(reader.wrong(
            at,
            format!("`and`, `or` or a comma is missing before {word:?}"),
        )),
    }
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    word: &'a str,
    /// In characters from the beginning.
    at: usize,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut begun: Option<(usize, usize)> = None;
    for (at, (byte, sign)) in text.char_indices().enumerate() {
        let splits = sign.is_whitespace() || matches!(sign, '(' | ')' | ',');
        if !splits {
            begun.get_or_insert((byte, at));
            continue;
        }
        if let Some((from, at)) = begun.take() {
            let word = &text[from..byte];
            tokens.push(Token { word, at });
        }
        if !sign.is_whitespace() {
            let word = &text[byte..=byte];
            tokens.push(Token { word, at });
        }
    }
    if let Some((from, at)) = begun {
        let word = &text[from..];
        tokens.push(Token { word, at });
    }
    tokens
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    next: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.next).copied()
    }

    /// Goes on if one of these words stands next.
    fn takes(&mut self, words: &[&str]) -> bool {
        let there = self.peek().is_some_and(|next| words.contains(&next.word));
        self.next += usize::from(there);
        there
    }

    fn wrong(&self, at: usize, message: String) -> GroupError {
        GroupError {
            // A line break or a control character would move the sign that points.
            text: self
                .text
                .chars()
                .map(|sign| if sign.is_control() { ' ' } else { sign })
                .collect(),
            at,
            message,
        }
    }

    fn either(&mut self) -> Result<Expression, GroupError> {
        let mut left = self.both()?;
        while self.takes(&["or", ","]) {
            left = Expression::Either(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, GroupError> {
        let mut left = self.one()?;
        while self.takes(&["and"]) {
            left = Expression::Both(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Expression, GroupError> {
        let Some(Token { word, at }) = self.peek() else {
            let end = self.text.chars().count();
            return Err(self.wrong(end, format!("something is missing here: {WHAT}")));
        };
        self.next += 1;
        match word {
            "not" => Ok(Expression::Not(Box::new(self.deeper(at, Self::one)?))),
            "(" => {
                let inner = self.deeper(at, Self::either)?;
                if self.takes(&[")"]) {
                    Ok(inner)
                } else {
                    Err(self.wrong(at, "this is never closed".into()))
                }
            }
            ")" | "," | "and" | "or" => Err(self.wrong(
                at,
                format!("{word:?} has nothing before it; here could stand {WHAT}"),
            )),
            "all" => Ok(Expression::All),
            word => self.term(word, at),
        }
    }

    fn deeper(
        &mut self,
        at: usize,
        inner: impl FnOnce(&mut Self) -> Result<Expression, GroupError>,
    ) -> Result<Expression, GroupError> {
        if self.depth == DEPTH {
            return Err(self.wrong(at, "this goes too deep".into()));
        }
        self.depth += 1;
        let expression = inner(self)?;
        self.depth -= 1;
        Ok(expression)
    }

    fn term(&self, word: &str, at: usize) -> Result<Expression, GroupError> {
        let Some((kind, value)) = word.split_once(':') else {
            return Ok(Expression::Name {
                pattern: word.to_owned(),
                at,
            });
        };
        let place = at + kind.chars().count() + 1;
        if value.is_empty() {
            return Err(self.wrong(
                place,
                format!("what {kind}? Nothing stands after the colon"),
            ));
        }
        match kind {
            "role" => self
                .known(value, place, "role", Role::ALL, |role| role.word())
                .map(Expression::Role),
            "platform" => self
                .known(value, place, "platform", Platform::ALL, |platform| {
                    platform.word()
                })
                .map(Expression::Platform),
            "arch" => self
                .known(value, place, "architecture", Arch::ALL, |arch| arch.word())
                .map(Expression::Arch),
            "name" => Ok(Expression::Name {
                pattern: value.to_owned(),
                at: place,
            }),
            "label" => Ok(match value.split_once('=') {
                None => Expression::Label(value.to_owned(), None),
                Some((name, value)) => Expression::Label(name.to_owned(), Some(value.to_owned())),
            }),
            _ => Err(self.wrong(
                at,
                format!(
                    "nodes are not told apart by {kind:?}{}",
                    match did_you_mean(
                        kind,
                        ["role", "label", "platform", "arch", "name"].into_iter()
                    ) {
                        hint if hint.is_empty() =>
                            "; there are role, label, platform, arch and name".into(),
                        hint => hint,
                    }
                ),
            )),
        }
    }

    fn known<T: Copy>(
        &self,
        value: &str,
        at: usize,
        what: &str,
        all: &[T],
        word: impl Fn(&T) -> &'static str,
    ) -> Result<T, GroupError> {
        if let Some(found) = all.iter().find(|known| word(known) == value) {
            return Ok(*found);
        }
        let mut hint = did_you_mean(value, all.iter().map(&word));
        if hint.is_empty() {
            let all: Vec<&str> = all.iter().map(word).collect();
            hint = format!("; there are {}", all.join(", "));
        }
        Err(self.wrong(at, format!("there is no {what} {value:?}{hint}")))
    }
}
