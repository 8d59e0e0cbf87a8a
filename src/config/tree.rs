//! YAML as a tree that remembers where everything was written.
//!
//! Not read by serde, because a file with mistakes must still be read as far as it goes, and every value, key and word of
//! it must be found again to point at. [`parse`] builds it; the first round of checks cuts out of it what is wrong.

use serde_json::{Map, Number, Value};

use super::diagnostic::Span;

mod parse;

pub(crate) use parse::{Parsed, parse};

/// One value and where it was written.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// How many values it is, itself included.
    size: usize,
    /// How many levels it has, itself included.
    height: usize,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that was found wrong and is about to be swept out.
    Cut,
}

/// A step from a value into one of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// One key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Entry {
    /// Where to point when the value is meant: a scalar itself, else its key.
    pub(crate) fn point(&self) -> Span {
        match self.value.kind {
            Kind::List(_) | Kind::Map(_) | Kind::Cut => self.key_span,
            // An empty value has no extent of its own.
            Kind::Null if self.value.span.start == self.value.span.end => self.key_span,
            _ => self.value.span,
        }
    }
}

impl Node {
    fn scalar(kind: Kind, span: Span) -> Self {
        Self {
            kind,
            span,
            size: 1,
            height: 1,
        }
    }

    fn list(items: Vec<Self>, span: Span) -> Self {
        Self {
            size: 1 + items.iter().map(|item| item.size).sum::<usize>(),
            height: 1 + items.iter().map(|item| item.height).max().unwrap_or(0),
            kind: Kind::List(items),
            span,
        }
    }

    fn map(entries: Vec<Entry>, span: Span) -> Self {
        let values = || entries.iter().map(|entry| &entry.value);
        Self {
            size: 1 + values().map(|value| value.size).sum::<usize>(),
            height: 1 + values().map(|value| value.height).max().unwrap_or(0),
            kind: Kind::Map(entries),
            span,
        }
    }

    /// The same value without its positions.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Cut => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }

    /// The entry of that key, if this is a mapping that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Where to point when the whole value is meant: a scalar, or the first thing written in a collection.
    pub(crate) fn point(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) => entries.first().map_or(self.span, |entry| entry.key_span),
            Kind::List(items) => items.first().map_or(self.span, Self::point),
            _ => self.span,
        }
    }

    /// The value at the end of `path`, and where to point for it: a scalar itself, a collection's key.
    pub(crate) fn follow(&self, path: &[Step]) -> Option<(&Self, Span)> {
        let mut node = self;
        let mut span = self.point();
        for step in path {
            match (step, &node.kind) {
                (Step::Key(key), _) => {
                    let entry = node.entry(key)?;
                    span = entry.point();
                    node = &entry.value;
                }
                (Step::Index(index), Kind::List(items)) => {
                    node = items.get(*index)?;
                    span = node.point();
                }
                _ => return None,
            }
        }
        Some((node, span))
    }

    /// Calls `each` with every text in this value.
    pub(crate) fn words(&self, each: &mut impl FnMut(&str)) {
        match &self.kind {
            Kind::Text(text) => each(text),
            Kind::List(items) => items.iter().for_each(|item| item.words(each)),
            Kind::Map(entries) => entries.iter().for_each(|entry| entry.value.words(each)),
            _ => {}
        }
    }

    /// Marks the value at the end of `path` for [`Self::sweep`].
    pub(crate) fn cut(&mut self, path: &[Step]) {
        let part = match (path.first(), &mut self.kind) {
            (None, _) => {
                self.kind = Kind::Cut;
                return;
            }
            (Some(Step::Key(key)), Kind::Map(entries)) => entries
                .iter_mut()
                .find(|entry| entry.key == *key)
                .map(|entry| &mut entry.value),
            (Some(Step::Index(index)), Kind::List(items)) => items.get_mut(*index),
            _ => None,
        };
        if let Some(part) = part {
            part.cut(&path[1..]);
        }
    }

    /// Removes everything that was cut, below this value.
    pub(crate) fn sweep(&mut self) {
        match &mut self.kind {
            Kind::List(items) => {
                items.retain(|item| !matches!(item.kind, Kind::Cut));
                items.iter_mut().for_each(Self::sweep);
            }
            Kind::Map(entries) => {
                entries.retain(|entry| !matches!(entry.value.kind, Kind::Cut));
                for entry in entries {
                    entry.value.sweep();
                }
            }
            _ => {}
        }
    }

    /// What a reader calls this kind of value.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null | Kind::Cut => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}
