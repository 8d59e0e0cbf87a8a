//! One file through both rounds of checks.

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use super::cursor::Cursor;
use super::diagnostic::{Diagnostic, Fault, Span};
use super::masks::{self, PLAIN_SECRET};
use super::schema::{Which, checked};
use super::shape;
use super::source::Source;
use super::tree::{self, Kind, Node};

/// How many mistakes of one file are told.
const MAX_FAULTS: usize = 200;

/// A file, what it says as far as it could be understood, and what is wrong with it.
pub(crate) struct Read<T> {
    pub(crate) source: Source,
    /// The content and the tree that its places are found in.
    pub(crate) content: Option<(T, Node)>,
    pub(crate) faults: Vec<Fault>,
    /// See [`shape::Found::lost`].
    pub(crate) lost: Vec<(String, String)>,
}

/// Reads a file as `T`, whose schema is that of `which`.
///
/// With `lenient`, faulty parts are left out and the rest is read; `T` must then be able to do without any part.
/// Otherwise there is content only if there is no fault.
pub(crate) fn read<T: DeserializeOwned>(
    mut source: Source,
    which: Which,
    lenient: bool,
) -> Read<T> {
    let tree::Parsed {
        tree,
        mut faults,
        complete,
    } = tree::parse(source.text());
    if let Some(tree) = &tree {
        let found = masks::by_structure(tree, source.text());
        source.mask(found.spans);
        if complete {
            faults.extend(found.faults);
        }
    }
    if !complete {
        source.mask_by_line();
    }
    let mut content = None;
    let mut lost = Vec::new();
    match tree.filter(|_| complete) {
        None if faults.is_empty() => faults.push(empty(which)),
        Some(tree) if matches!(tree.kind, Kind::Null) => faults.push(empty(which)),
        None => {}
        Some(mut tree) => {
            let found = shape::check(&mut tree, checked(which));
            source.mask(found.masks);
            faults.extend(found.faults);
            lost = found.lost;
            if (lenient && !matches!(tree.kind, Kind::Cut)) || faults.is_empty() {
                match serde_json::from_value(tree.to_json()) {
                    Ok(value) => content = Some((value, tree)),
                    Err(error) => {
                        faults.push(Fault::error("wrong-type", tree.point(), error.to_string()));
                    }
                }
            }
        }
    }
    Read {
        source,
        content,
        faults,
        lost,
    }
}

impl<T> Read<T> {
    /// The content and the top of its tree.
    pub(crate) fn content(&self) -> Option<(&T, Cursor<'_>)> {
        self.content
            .as_ref()
            .map(|(value, tree)| (value, Cursor::top(tree)))
    }

    /// What is wrong, in the order of lines, each mistake once.
    pub(crate) fn diagnostics(&self) -> Vec<Diagnostic> {
        let secrets: HashSet<Span> = self
            .faults
            .iter()
            .filter(|fault| fault.code == PLAIN_SECRET)
            .map(|fault| fault.span)
            .collect();
        // That a secret lies open says more about a value than that it has the wrong form as well.
        let overruled =
            |fault: &&Fault| fault.code != PLAIN_SECRET && secrets.contains(&fault.span);
        // Values that come through an alias are checked at each use and reported at the one place they stand.
        let mut told = HashSet::new();
        let mut faults: Vec<&Fault> = self
            .faults
            .iter()
            .filter(|fault| !overruled(fault) && told.insert(*fault))
            .collect();
        faults.sort_by_key(|fault| fault.span.start);
        let rest = faults.len().saturating_sub(MAX_FAULTS);
        faults.truncate(MAX_FAULTS);
        let mut diagnostics: Vec<_> = faults
            .into_iter()
            .map(|fault| self.source.diagnostic(fault.clone()))
            .collect();
        if rest > 0 {
            let fault = Fault::error(
                "too-many",
                Span::default(),
                format!("there are {rest} more mistakes in this file"),
            )
            .help("mend the first ones and look again");
            diagnostics.push(self.source.diagnostic(fault));
        }
        diagnostics
    }
}

fn empty(which: Which) -> Fault {
    let begin = match which {
        Which::Environment => "begin with:\nenvironment:\n  name: local",
        Which::Workspace => "begin with:\nname: homelab",
        Which::DriftRules => "begin with `ignore:` and a list of rules, or remove the file",
        Which::Recipe => "begin with its `name`, `title`, `risk` and `steps`",
        Which::Answers => "begin with:\nhosts:\n  - address: 10.0.0.11",
    };
    Fault::error("empty", Span::default(), "the file is empty").help(begin)
}
