//! Walking a tree by keys and indexes while never losing the place to point at.

use super::diagnostic::Span;
use super::tree::{Kind, Node};

/// A value that may be missing, and the best place to point at when it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'t> {
    node: Option<&'t Node>,
    /// The value if it is a scalar, else its key; of a missing value, its nearest ancestor's.
    span: Span,
}

impl<'t> Cursor<'t> {
    /// Begins at the top of a file.
    pub(crate) fn top(node: &'t Node) -> Self {
        Self {
            span: node.point(),
            node: Some(node),
        }
    }

    /// The value of `key`.
    pub(crate) fn key(self, key: &str) -> Self {
        match self.node.and_then(|node| node.entry(key)) {
            Some(entry) => Self {
                node: Some(&entry.value),
                span: entry.point(),
            },
            None => Self { node: None, ..self },
        }
    }

    /// The item at `index` of a list.
    pub(crate) fn item(self, index: usize) -> Self {
        let item = match self.node.map(|node| &node.kind) {
            Some(Kind::List(items)) => items.get(index),
            _ => None,
        };
        match item {
            Some(item) => Self {
                node: Some(item),
                span: item.point(),
            },
            None => Self { node: None, ..self },
        }
    }

    /// Where to point.
    pub(crate) fn span(self) -> Span {
        self.span
    }

    /// The value, if it is there.
    pub(crate) fn node(self) -> Option<&'t Node> {
        self.node
    }

    /// Where the key itself is written, if it is.
    pub(crate) fn key_span(self, key: &str) -> Option<Span> {
        self.node
            .and_then(|node| node.entry(key))
            .map(|entry| entry.key_span)
    }
}
