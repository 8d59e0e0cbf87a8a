//! The first round of checks: does the file have the shape its schema asks for?
//!
//! The validator says *that* something is wrong, in the words of JSON Schema and by a path; this module says it in the
//! words of the file, at the place, with the likely cure. What is wrong is then cut out of the tree, so that the second
//! round can look at everything else.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Broken;
use jsonschema::paths::{Location, LocationSegment};
use serde_json::Value;

use super::diagnostic::{Fault, Span, quoted};
use super::format::words::PATTERN_MESSAGE;
use super::masks::FORMS;
use super::schema::Checked;
use super::suggest;
use super::tree::{Kind, Node, Step};

/// How many mistakes of shape are told of one file.
const MAX_FAULTS: usize = 100;

/// How many words of what was cut out are remembered.
const MAX_LOST: usize = 1000;

/// What the first round found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) faults: Vec<Fault>,
    /// Values that must not be shown.
    pub(crate) masks: Vec<Span>,
    /// The words in what was cut out, each with the key at the top of the file that it was under. What may have been meant
    /// there must not be reported as absent.
    pub(crate) lost: Vec<(String, String)>,
}

/// Checks `tree` against a schema and removes from it what does not fit.
///
/// Afterwards the tree can be read into the lenient types of [`format`](super::format).
pub(crate) fn check(tree: &mut Node, schema: &Checked) -> Found {
    let instance = tree.to_json();
    let whole: &Node = tree;
    let mut round = Round {
        tree: whole,
        schema: &schema.document,
        found: Found::default(),
        cuts: Vec::new(),
    };
    for error in schema.validator.iter_errors(&instance) {
        if round.found.faults.len() >= MAX_FAULTS {
            round.found.faults.push(
                Fault::error(
                    "too-many",
                    whole.point(),
                    "there are more mistakes like these",
                )
                .help("mend the first ones and look again"),
            );
            // What was not looked at cannot be trusted.
            round.cuts.push(Vec::new());
            break;
        }
        round.explain(&error);
    }
    round.fractions(whole, &mut Vec::new());
    let Round {
        mut found, cuts, ..
    } = round;
    for path in &cuts {
        if let (Some(Step::Key(top)), Some((node, _))) = (path.first(), whole.follow(path)) {
            node.words(&mut |word| {
                if found.lost.len() < MAX_LOST {
                    found.lost.push((top.clone(), word.to_owned()));
                }
            });
        }
    }
    for path in cuts {
        tree.cut(&path);
    }
    tree.sweep();
    found
}

fn steps(path: &Location) -> Vec<Step> {
    path.iter()
        .map(|segment| match segment {
            LocationSegment::Property(key) => Step::Key(key.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        })
        .collect()
}

struct Round<'t> {
    tree: &'t Node,
    schema: &'t Value,
    found: Found,
    cuts: Vec<Vec<Step>>,
}

/// What a mistake is about.
struct Subject<'t> {
    node: &'t Node,
    path: Vec<Step>,
    /// Where to point.
    span: Span,
    /// What the file calls it, in backticks.
    name: String,
    /// The part of the schema that it breaks.
    rule: &'t Value,
}

impl<'t> Round<'t> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        let Some(subject) = self.subject(error) else {
            return;
        };
        // One word for one value: a number where a word is wanted is both a wrong type and an unknown word.
        if self.cuts.contains(&subject.path) {
            return;
        }
        let in_secret = subject
            .path
            .iter()
            .any(|step| matches!(step, Step::Key(key) if key == "secret"));
        let Subject {
            node,
            path,
            span,
            name,
            rule,
        } = &subject;
        let fault = match error.kind() {
            Broken::AdditionalProperties { unexpected } => {
                for key in unexpected {
                    if self.found.faults.len() >= MAX_FAULTS {
                        self.cuts.push(path.clone());
                        break;
                    }
                    self.unknown_key(&subject, key, in_secret);
                }
                return;
            }
            Broken::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                if misspelt(&subject, key) {
                    return;
                }
                let fault =
                    Fault::error("missing-key", *span, format!("{} is missing", quoted(key)));
                let fault = match self.describe(rule, key) {
                    Some(text) => fault.help(format!("{}: {text}", quoted(key))),
                    None => fault,
                };
                self.found.faults.push(fault);
                return;
            }
            Broken::OneOfNotValid { context } | Broken::AnyOf { context } => {
                self.branches(&subject, context);
                return;
            }
            Broken::Enum { options } => unknown_word(&subject, options),
            Broken::Type { .. } => match wrong_type(&subject) {
                // Told as a secret in plain text, which says more.
                _ if in_secret
                    && matches!(node.kind, Kind::Text(_) | Kind::Number(_))
                    && name == "`secret`" =>
                {
                    self.cuts.push(path.clone());
                    return;
                }
                fault => fault,
            },
            Broken::Pattern { .. } => {
                let fault = Fault::error("malformed", *span, format!("{name} is malformed"));
                match rule[PATTERN_MESSAGE].as_str() {
                    Some(text) => fault.help(text),
                    None => fault,
                }
            }
            Broken::Minimum { limit } => Fault::error(
                "out-of-range",
                *span,
                format!("{name} must be at least {limit}"),
            ),
            Broken::Maximum { limit } => Fault::error(
                "out-of-range",
                *span,
                format!("{name} must be at most {limit}"),
            ),
            Broken::MaxItems { limit } => Fault::error(
                "out-of-range",
                *span,
                format!("{name} has more than {limit} items"),
            ),
            Broken::MinItems { .. } => Fault::error("empty", *span, format!("{name} is empty"))
                .help("remove the key, or give it at least one item"),
            Broken::MinProperties { .. } | Broken::MaxProperties { .. } => Fault::error(
                "secret-form",
                *span,
                format!("{name} must have exactly one of `env`, `file` and `command`"),
            ),
            other => Fault::error(
                "malformed",
                *span,
                format!("{name} breaks the rule {}", quoted(other.keyword())),
            ),
        };
        if in_secret
            && !matches!(
                error.kind(),
                Broken::MinProperties { .. } | Broken::MaxProperties { .. }
            )
        {
            self.found.masks.push(node.span);
        }
        self.found.faults.push(fault);
        self.cuts.push(path.clone());
    }

    fn subject(&self, error: &ValidationError<'_>) -> Option<Subject<'t>> {
        let path = steps(error.instance_path());
        let (node, span) = self.tree.follow(&path)?;
        let name = match path.as_slice() {
            [] => "the file".to_owned(),
            [.., Step::Key(key)] => quoted(key),
            [.., Step::Key(key), Step::Index(_)] => quoted(singular(key)),
            [.., Step::Index(_)] => "the item".to_owned(),
        };
        let rule = error.schema_path().as_str();
        let rule = rule.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Subject {
            node,
            path,
            span,
            name,
            rule: self.schema.pointer(rule).unwrap_or(&Value::Null),
        })
    }

    fn unknown_key(&mut self, subject: &Subject<'_>, key: &str, in_secret: bool) {
        let Some(entry) = subject.node.entry(key) else {
            return;
        };
        let known: Vec<&str> = keys(subject.rule).collect();
        let close = suggest::closest(key, known.iter().copied());
        let path = [subject.path.as_slice(), &[Step::Key(key.to_owned())]].concat();
        self.cuts.push(path);
        let fault = if in_secret {
            self.found.masks.push(entry.value.span);
            if close.is_none() {
                // It may be the secret itself.
                self.found.masks.push(entry.key_span);
            }
            let message = close.map_or_else(
                || "a secret reference has no such key".to_owned(),
                |_| format!("unknown key {}", quoted(key)),
            );
            Fault::error("unknown-key", entry.key_span, message)
        } else {
            Fault::error(
                "unknown-key",
                entry.key_span,
                format!("unknown key {}", quoted(key)),
            )
        };
        let elsewhere = || {
            let below = known.iter().find(|part| {
                keys(self.resolve(&subject.rule["properties"][**part])).any(|inner| inner == key)
            });
            let top = || !subject.path.is_empty() && keys(self.schema).any(|outer| outer == key);
            match below {
                Some(part) => Some(format!("{} belongs under `{part}:`", quoted(key))),
                None if top() => Some(format!("{} belongs at the top of the file", quoted(key))),
                None => None,
            }
        };
        let exact = close.is_some_and(|close| close.len().abs_diff(key.len()) == 0);
        let help = match close {
            Some(close) if exact => Some(format!("did you mean `{close}`?")),
            _ => elsewhere().or_else(|| close.map(|close| format!("did you mean `{close}`?"))),
        };
        let help = help.unwrap_or_else(|| {
            if in_secret {
                FORMS.to_owned()
            } else {
                format!("known here: {}", known.join(", "))
            }
        });
        self.found.faults.push(fault.help(help));
    }

    /// Picks the branch of a `oneOf` that was most probably meant: the one that fits deepest.
    fn branches(&mut self, subject: &Subject<'t>, context: &[Vec<ValidationError<'static>>]) {
        let depth = |errors: &Vec<ValidationError<'static>>| {
            errors
                .iter()
                .map(|error| error.instance_path().iter().count())
                .min()
                .unwrap_or(0)
        };
        let best = context.iter().max_by_key(|errors| depth(errors));
        if let Some(errors) = best
            && depth(errors) > subject.path.len()
        {
            for error in errors {
                self.explain(error);
            }
            return;
        }
        let choices: Vec<&str> = ["oneOf", "anyOf"]
            .iter()
            .filter_map(|keyword| subject.rule[*keyword].as_array())
            .flatten()
            .flat_map(|branch| keys(self.resolve(branch)))
            .collect();
        let written = match &subject.node.kind {
            Kind::Map(entries) => entries
                .iter()
                .find(|entry| !choices.contains(&entry.key.as_str())),
            _ => None,
        };
        let fault = match written {
            Some(entry) => {
                let fault = Fault::error(
                    "unknown-key",
                    entry.key_span,
                    format!("unknown key {}", quoted(&entry.key)),
                );
                match suggest::closest(&entry.key, choices.iter().copied()) {
                    Some(close) => fault.help(format!("did you mean `{close}`?")),
                    None => fault.help(format!("known here: {}", choices.join(", "))),
                }
            }
            None => Fault::error(
                "wrong-type",
                subject.span,
                format!(
                    "{} must be exactly one of: {}",
                    subject.name,
                    choices.join(", ")
                ),
            ),
        };
        self.found.faults.push(fault);
        self.cuts.push(subject.path.clone());
    }

    /// The first sentence of a key's description.
    fn describe(&self, rule: &'t Value, key: &str) -> Option<String> {
        let property = &rule["properties"][key];
        let text = property["description"]
            .as_str()
            .or_else(|| self.resolve(property)["description"].as_str())?;
        let text = text.split_once(". ").map_or(text, |(first, _)| first);
        Some(text.trim_end_matches('.').replace('\n', " "))
    }

    /// Follows a reference, also one wrapped in `allOf` as draft 7 needs it.
    fn resolve(&self, rule: &'t Value) -> &'t Value {
        let target = rule["$ref"]
            .as_str()
            .or_else(|| rule["allOf"][0]["$ref"].as_str());
        target
            .and_then(|target| target.strip_prefix('#'))
            .and_then(|pointer| self.schema.pointer(pointer))
            .unwrap_or(rule)
    }

    /// Refuses `22.0`, which JSON Schema takes for a whole number and the reader does not. Free values may be anything.
    fn fractions(&mut self, node: &Node, path: &mut Vec<Step>) {
        match &node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    if path.is_empty() && matches!(entry.key.as_str(), "variables" | "params") {
                        continue;
                    }
                    path.push(Step::Key(entry.key.clone()));
                    self.fractions(&entry.value, path);
                    path.pop();
                }
            }
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.fractions(item, path);
                    path.pop();
                }
            }
            Kind::Number(number)
                if number.is_f64() && !self.cuts.iter().any(|cut| path.starts_with(cut)) =>
            {
                self.found.faults.push(Fault::error(
                    "wrong-type",
                    node.span,
                    "a whole number is expected here",
                ));
                self.cuts.push(path.clone());
            }
            _ => {}
        }
    }
}

/// The keys that a mapping may have by a rule.
fn keys(rule: &Value) -> impl Iterator<Item = &str> {
    rule["properties"]
        .as_object()
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
}

/// Whether the value has an unknown key that was probably meant to be `key`; then that is the mistake to tell.
fn misspelt(subject: &Subject<'_>, key: &str) -> bool {
    let Kind::Map(entries) = &subject.node.kind else {
        return false;
    };
    let known: Vec<&str> = keys(subject.rule).collect();
    entries
        .iter()
        .filter(|entry| !known.contains(&entry.key.as_str()))
        // Told one by one, and only so many of them.
        .take(MAX_FAULTS)
        .any(|entry| suggest::closest(&entry.key, known.iter().copied()) == Some(key))
}

/// `roles` → `role`, `identities` → `identity`.
fn singular(key: &str) -> &str {
    match key {
        "identities" => "identity",
        other => other.strip_suffix('s').unwrap_or(other),
    }
}

fn unknown_word(subject: &Subject<'_>, options: &Value) -> Fault {
    let known: Vec<&str> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let all = format!("one of: {}", known.join(", "));
    let Kind::Text(word) = &subject.node.kind else {
        return wrong_type(subject).help(all);
    };
    let what = subject.name.trim_matches('`');
    let fault = Fault::error(
        "unknown-word",
        subject.span,
        format!("unknown {what} {}", quoted(word)),
    );
    match suggest::closest(word, known.iter().copied()) {
        Some(close) => fault.label(format!("did you mean `{close}`?")).help(all),
        None => fault.help(all),
    }
}

fn wrong_type(subject: &Subject<'_>) -> Fault {
    let expected = subject.rule["type"]
        .as_str()
        .unwrap_or("another kind of value");
    let Subject {
        node, span, name, ..
    } = subject;
    let words = match expected {
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        "boolean" => "true or false",
        "integer" => "a whole number",
        other => other,
    };
    if matches!(node.kind, Kind::Null) {
        return Fault::error("empty", *span, format!("{name} has no value"))
            .help(format!("give it {words}, or remove the key"));
    }
    let fault = Fault::error(
        "wrong-type",
        *span,
        format!("{name} must be {words}, not {}", node.kind_name()),
    );
    match (expected, &node.kind) {
        ("string", Kind::Number(_) | Kind::Bool(_)) => {
            fault.help("put it in quotes: without them YAML reads a number or a truth value, and 1.10 becomes 1.1")
        }
        ("array", Kind::Text(_) | Kind::Number(_) | Kind::Bool(_)) => fault.help("write a list, even of one: [value]"),
        ("array", Kind::Map(_)) => fault.help("begin each item with `- `"),
        ("boolean", Kind::Text(_)) => fault.help("write true or false, without quotes"),
        ("integer", Kind::Text(_)) => fault.help("write the number without quotes"),
        _ => fault,
    }
}
