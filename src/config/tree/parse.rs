//! From text to tree.
//!
//! Built from the parser's events. Values follow YAML 1.2's core schema; anchors, aliases and merge keys (`<<`) work, within
//! a budget that keeps alias bombs small.

use std::collections::HashMap;

use serde_json::Number;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag, options};

use super::{Entry, Kind, Node};
use crate::config::diagnostic::{Fault, Span, printable, quoted};

/// How deep collections may nest; the format needs six levels, variables a few more.
const MAX_DEPTH: usize = 48;

/// How many values a file may have once its aliases are expanded: about what a file of 1 MiB can spell.
const MAX_NODES: usize = 300_000;

/// What came of a text.
pub(crate) struct Parsed {
    /// The tree, as far as it was understood.
    pub(crate) tree: Option<Node>,
    /// What is wrong with the text as YAML.
    pub(crate) faults: Vec<Fault>,
    /// Whether the tree is the whole text, so that looking at what is in it, and what is not, makes sense.
    pub(crate) complete: bool,
}

/// Reads `text` as one YAML document.
pub(crate) fn parse(text: &str) -> Parsed {
    // A byte order mark is allowed and means nothing; positions stay those of the file.
    let skipped = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let options = options! {
        emit_comments: false,
        block_nesting_limit: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder {
        frames: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        documents: 0,
        faults: Vec::new(),
    };
    let mut complete = true;
    for event in Parser::new_from_str_with_options(&text[skipped..], options) {
        let ended = match event {
            Ok((event, span)) => {
                let from = span.start.byte_offset().unwrap_or(0) + skipped;
                let to = span.end.byte_offset().unwrap_or(0) + skipped;
                builder.take(event, Span::new(from, to.max(from)))
            }
            Err(error) => {
                let fault = syntax(text, skipped, &error);
                builder.faults.push(fault);
                Err(Stop)
            }
        };
        if ended.is_err() {
            complete = false;
            break;
        }
    }
    while !builder.frames.is_empty() {
        // Only after a stop: keep what was read, so that its secrets are known.
        let end = text.len();
        if builder.close(end).is_err() {
            break;
        }
    }
    Parsed {
        complete: complete && builder.root.is_some(),
        tree: builder.root,
        faults: builder.faults,
    }
}

/// Says what the parser tripped over, in words for the person who wrote the file.
fn syntax(text: &str, skipped: usize, error: &ScanError) -> Fault {
    let at = (error.marker().byte_offset().unwrap_or(0) + skipped).min(text.len());
    let line_start = text
        .as_bytes()
        .get(..at)
        .and_then(|before| before.iter().rposition(|byte| *byte == b'\n'))
        .map_or(0, |newline| newline + 1);
    // The parser may notice a tab only at the end of what stands before it.
    let mut from = line_start;
    for line in text
        .get(line_start..)
        .unwrap_or("")
        .split_inclusive('\n')
        .take(2)
    {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indent).and_then(|indent| indent.find('\t')) {
            return Fault::error(
                "tab",
                Span::new(from + tab, from + indent),
                "a tab in the indentation",
            )
            .help("indent with spaces: YAML does not allow tabs there");
        }
        from += line.len();
    }
    let reason = error.info();
    let reason = if reason.is_empty() {
        "the structure is broken"
    } else {
        &reason
    };
    let reason: String = reason.chars().map(printable).collect();
    Fault::error(
        "syntax",
        Span::new(at, at + 1),
        format!("not valid YAML: {reason}"),
    )
    .help("look at the indentation, the quotes and the colons here and on the line before")
}

/// Reading cannot go on; the reason is among the faults.
struct Stop;

/// A collection that is being read.
struct Frame {
    start: usize,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        index: HashMap<String, usize>,
        merged: Vec<Node>,
        pending: Pending,
    },
}

/// The key that waits for its value.
enum Pending {
    None,
    Key(String, Span),
    Merge,
}

struct Builder {
    frames: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    faults: Vec<Fault>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.faults.push(
                        Fault::error("documents", span, "a second document in the same file")
                            .help("one environment per file: move what follows `---` to a file of its own"),
                    );
                    return Err(Stop);
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                if let Some(pending) = self.pending() {
                    *pending = if plain && tag.is_none() && text == "<<" {
                        Pending::Merge
                    } else {
                        Pending::Key(text.clone().into_owned(), span)
                    };
                    if anchor != 0 {
                        let node = Node::scalar(Kind::Text(text.into_owned()), span);
                        self.anchors.insert(anchor, node);
                    }
                    return Ok(());
                }
                let tag_text = self.is_text(tag.as_deref(), span);
                let kind = if plain && !tag_text {
                    resolve(&text)
                } else {
                    Kind::Text(text.into_owned())
                };
                self.finish(Node::scalar(kind, span), anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), span);
                self.open(span, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.is_text(tag.as_deref(), span);
                let content = Content::Map {
                    entries: Vec::new(),
                    index: HashMap::new(),
                    merged: Vec::new(),
                    pending: Pending::None,
                };
                self.open(span, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    self.faults.push(Fault::error(
                        "alias",
                        span,
                        "this alias stands inside the value it refers to",
                    ));
                    return Err(Stop);
                };
                if self.frames.len() + node.height > MAX_DEPTH {
                    return self.too_much(span);
                }
                if let Some(pending) = self.pending() {
                    let Kind::Text(key) = node.kind else {
                        return self.bad_key(span);
                    };
                    *pending = Pending::Key(key, span);
                    return Ok(());
                }
                self.nodes += node.size - 1;
                self.finish(node, 0)
            }
            _ => Ok(()),
        }
    }

    /// The place for a key, when a key is what comes next.
    fn pending(&mut self) -> Option<&mut Pending> {
        match self.frames.last_mut() {
            Some(Frame {
                content: Content::Map { pending, .. },
                ..
            }) if matches!(pending, Pending::None) => Some(pending),
            _ => None,
        }
    }

    /// Whether the tag says that this is text; any other tag but the core schema's is a mistake.
    fn is_text(&mut self, tag: Option<&Tag>, span: Span) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema() && matches!(tag.suffix(), "str" | "map" | "seq") {
            return tag.suffix() == "str";
        }
        self.faults.push(
            Fault::error(
                "tag",
                span,
                format!("the tag {} means nothing here", quoted(&tag.to_string())),
            )
            .help("remove the tag"),
        );
        true
    }

    fn too_much(&mut self, span: Span) -> Result<(), Stop> {
        self.faults.push(
            Fault::error(
                "too-deep",
                span,
                "this nests too deeply or repeats too much through aliases",
            )
            .help(format!(
                "at most {MAX_DEPTH} levels and {MAX_NODES} values, aliases expanded"
            )),
        );
        Err(Stop)
    }

    fn bad_key(&mut self, span: Span) -> Result<(), Stop> {
        self.faults.push(
            Fault::error("key", span, "a key must be a word, not a list or a mapping")
                .help("if this is a template expression, put it in quotes: \"{{ … }}\""),
        );
        Err(Stop)
    }

    fn open(&mut self, span: Span, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.pending().is_some() {
            return self.bad_key(span);
        }
        if self.frames.len() >= MAX_DEPTH {
            return self.too_much(span);
        }
        self.frames.push(Frame {
            start: span.start,
            anchor,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else {
            return Ok(());
        };
        let span = Span::new(frame.start, end.max(frame.start));
        let node = match frame.content {
            Content::List(items) => Node::list(items, span),
            Content::Map {
                mut entries,
                mut index,
                merged,
                ..
            } => {
                for entry in merged.into_iter().flat_map(sources) {
                    if !index.contains_key(&entry.key) {
                        index.insert(entry.key.clone(), entries.len());
                        entries.push(entry);
                    }
                }
                Node::map(entries, span)
            }
        };
        self.finish(node, frame.anchor)
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.nodes += 1;
        if anchor != 0 {
            // The anchor keeps a copy, which counts like any other.
            self.nodes += node.size;
            self.anchors.insert(anchor, node.clone());
        }
        if self.nodes > MAX_NODES {
            return self.too_much(node.span);
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                index,
                merged,
                pending,
            } => {
                match std::mem::replace(pending, Pending::None) {
                    Pending::Key(key, key_span) => {
                        if let Some(first) = index.get(&key) {
                            self.faults.push(
                            Fault::error("duplicate-key", key_span, format!("{} is given twice", quoted(&key)))
                                .label("again here")
                                .related(entries[*first].key_span, "first here")
                                .help("keep one of the two; YAML readers disagree on which one would win"),
                        );
                        } else {
                            index.insert(key.clone(), entries.len());
                            entries.push(Entry {
                                key,
                                key_span,
                                value: node,
                            });
                        }
                    }
                    Pending::Merge => match &node.kind {
                        Kind::Map(_) => merged.push(node),
                        Kind::List(items)
                            if items.iter().all(|item| matches!(item.kind, Kind::Map(_))) =>
                        {
                            merged.push(node);
                        }
                        _ => self.faults.push(
                            Fault::error("merge", node.span, "`<<` merges mappings only")
                                .help("refer to a mapping: <<: *name"),
                        ),
                    },
                    Pending::None => {}
                }
            }
        }
        Ok(())
    }
}

/// The entries that a merge key brings in; of several mappings the first wins.
fn sources(node: Node) -> Vec<Entry> {
    match node.kind {
        Kind::Map(entries) => entries,
        Kind::List(items) => items.into_iter().flat_map(sources).collect(),
        _ => Vec::new(),
    }
}

/// A plain scalar by the core schema (YAML 1.2.2, chapter 10.3): `no`, `on` and `1:30` are text.
fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Kind::Text(text.to_owned()), Kind::Number)
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .map(Number::from);
    }
    // Rust reads `inf`, `nan` and `infinity` too, which the core schema does not.
    if !text
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        || !text.bytes().any(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Number::from(whole));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn value(text: &str) -> Value {
        let parsed = parse(text);
        assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
        parsed.tree.unwrap().to_json()
    }

    #[test]
    fn plain_scalars_follow_the_core_schema_and_nothing_more() {
        let list = |words: &str| value(&format!("- {}\n", words.replace(' ', "\n- ")));
        assert_eq!(
            list("~ true 1 -2 0x1f 0o17 1.5 1e3 18446744073709551615"),
            json!([
                null,
                true,
                1,
                -2,
                31,
                15,
                1.5,
                1000.0,
                18_446_744_073_709_551_615_u64
            ])
        );
        let words = "no on y 1:30 .inf .nan inf 1_000 0x 0x+1 1.2.3 -x";
        assert_eq!(list(words), json!(words.split(' ').collect::<Vec<_>>()));
        assert_eq!(value("['1', \"true\", !!str 7]"), json!(["1", "true", "7"]));
        assert_eq!(value("a:\nb: ''"), json!({"a": null, "b": ""}));
    }

    #[test]
    fn every_value_and_key_knows_its_bytes() {
        let text = "\u{feff}a:\n  - ñ: 'x y'\n";
        let tree = parse(text).tree.unwrap();
        let entry = tree.entry("a").unwrap();
        let Kind::List(items) = &entry.value.kind else {
            panic!()
        };
        let inner = items[0].entry("ñ").unwrap();
        let slice = |span: Span| &text[span.start..span.end];
        assert_eq!(
            (
                slice(entry.key_span),
                slice(inner.key_span),
                slice(inner.value.span)
            ),
            ("a", "ñ", "'x y'")
        );
    }

    #[test]
    fn aliases_and_merge_keys_copy_and_the_nearer_value_wins() {
        assert_eq!(
            value("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{z: 1}, *a], x: 4}\nd: *a\n"),
            json!({"a": {"x": 1, "y": 2}, "b": {"y": 3, "x": 1}, "c": {"x": 4, "z": 1, "y": 2}, "d": {"x": 1, "y": 2}})
        );
    }

    #[test]
    fn what_was_read_before_a_mistake_is_kept_and_marked_incomplete() {
        let parsed = parse("a: 1\nb: {c: 2, d: [3\ne: 4\n");
        assert!(!parsed.complete);
        assert_eq!(parsed.faults.len(), 1);
        assert_eq!(parsed.tree.unwrap().to_json()["a"], 1);
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_refused() {
        let parsed = parse("a: &a [*a]\n");
        assert_eq!(parsed.faults[0].code, "alias");
        assert!(!parsed.complete);
    }
}
