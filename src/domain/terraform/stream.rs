//! The lines that Terraform prints with `-json`, taken in one by one: what is planned, what is under way, what went wrong.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Action;
use crate::domain::matrix::{Mark, Matrix, MatrixRow};
use crate::domain::run::Stream;

/// What is to become of a resource, or has become of it without Terraform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The resource's address.
    pub address: String,
    /// What.
    pub action: Action,
    /// Why, in words; empty where Terraform gives no reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Something that Terraform complains about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it is an error, not only a warning.
    pub error: bool,
    /// In one sentence.
    pub summary: String,
    /// In several.
    pub detail: String,
    /// The resource, where it is about one.
    pub address: Option<String>,
    /// File and line, where it is about a place.
    pub place: Option<String>,
}

/// Who has a state locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// What `terraform force-unlock` would want.
    pub id: String,
    /// `user@host`.
    pub who: String,
    /// What is done there.
    pub operation: String,
    /// Since when.
    pub created: String,
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// As what.
    pub stream: Stream,
    /// The text.
    pub text: String,
}

/// How a resource fares.
#[derive(Debug, Clone)]
struct Resource {
    change: Change,
    mark: Mark,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    note: String,
}

/// What Terraform has told so far.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// What it planned, destruction first.
    planned: Vec<Change>,
    /// What it found changed by somebody else.
    drift: Vec<Change>,
    resources: Vec<Resource>,
    by_address: BTreeMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
    outputs: BTreeMap<String, Output>,
    /// The version of the program.
    version: Option<String>,
    refreshed: usize,
}

/// An output as the stream has it; sensitive ones come without their value.
#[derive(Debug, Clone, Deserialize)]
struct Output {
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    action: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "@message", default)]
    message: String,
    #[serde(rename = "@level", default)]
    level: String,
    #[serde(rename = "@timestamp", default)]
    at: String,
    #[serde(rename = "type", default)]
    kind: String,
    change: Option<ChangeLine>,
    hook: Option<Hook>,
    diagnostic: Option<DiagnosticLine>,
    outputs: Option<BTreeMap<String, Output>>,
    terraform: Option<String>,
    tofu: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    addr: String,
}

#[derive(Deserialize)]
struct ChangeLine {
    resource: Address,
    #[serde(default)]
    previous_resource: Option<Address>,
    action: String,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Hook {
    resource: Address,
    #[serde(default)]
    action: Option<String>,
}

#[derive(Deserialize)]
struct DiagnosticLine {
    severity: String,
    summary: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    range: Option<Range>,
}

#[derive(Deserialize)]
struct Range {
    filename: String,
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: u64,
}

impl Account {
    /// Takes a line in; what the log shall say of it.
    pub fn take(&mut self, line: &str) -> Vec<Said> {
        let Ok(read) = serde_json::from_str::<Line>(line) else {
            return vec![Said {
                stream: Stream::Stdout,
                text: line.to_owned(),
            }];
        };
        let at: Option<Timestamp> = read.at.parse().ok();
        let text = read.message.trim().to_owned();
        let passed = |text: String| vec![stdout(text)];
        match (read.kind.as_str(), read.change, read.hook) {
            ("version", ..) => {
                self.version = read.tofu.or(read.terraform);
                passed(text)
            }
            ("planned_change", Some(change), _) => {
                self.plan(change);
                Vec::new()
            }
            ("resource_drift", Some(change), _) => {
                self.drift.push(read_change(change));
                Vec::new()
            }
            ("refresh_complete", ..) => {
                self.refreshed += 1;
                Vec::new()
            }
            ("change_summary", ..) => {
                self.settle();
                Vec::new()
            }
            ("refresh_start", ..) => Vec::new(),
            ("outputs", ..) => {
                self.outputs = read.outputs.unwrap_or_default();
                Vec::new()
            }
            ("diagnostic", ..) => match read.diagnostic {
                Some(diagnostic) => self.complain(diagnostic),
                None => passed(text),
            },
            ("apply_start", _, Some(hook)) => {
                let action = hook.action.as_deref().map(Action::of);
                self.begin(&hook.resource.addr, action, at);
                passed(text)
            }
            ("apply_complete", _, Some(hook)) => {
                let action = hook.action.as_deref().map(Action::of);
                self.end(&hook.resource.addr, action, Mark::Changed, at);
                passed(text)
            }
            ("apply_errored", _, Some(hook)) => {
                self.end(&hook.resource.addr, None, Mark::Failed, at);
                vec![Said {
                    stream: Stream::Stderr,
                    text,
                }]
            }
            ("provision_start" | "provision_progress" | "provision_errored", _, Some(hook)) => {
                if let Some(&index) = self.by_address.get(&hook.resource.addr) {
                    let last = text.lines().next_back().unwrap_or_default();
                    let named = format!("{}: ", hook.resource.addr);
                    let last = last.strip_prefix(&named).unwrap_or(last);
                    last.clone_into(&mut self.resources[index].note);
                }
                text.lines().map(|line| stdout(line.into())).collect()
            }
            _ if text.is_empty() => Vec::new(),
            _ => {
                let stream = if read.level == "error" {
                    Stream::Stderr
                } else {
                    Stream::Stdout
                };
                text.lines()
                    .map(|line| Said {
                        stream,
                        text: line.to_owned(),
                    })
                    .collect()
            }
        }
    }

    fn plan(&mut self, change: ChangeLine) {
        let change = read_change(change);
        // Data sources are read, which changes nothing.
        if matches!(change.action, Action::None | Action::Read) {
            return;
        }
        self.by_address
            .insert(change.address.clone(), self.resources.len());
        self.resources.push(Resource {
            mark: Mark::Waiting,
            since: None,
            until: None,
            note: change.why.clone(),
            change: change.clone(),
        });
        self.planned.push(change);
    }

    /// All of the plan is there: destruction comes first.
    fn settle(&mut self) {
        let key = |change: &Change| (change.action, change.address.clone());
        self.planned.sort_by_cached_key(key);
        self.resources.sort_by_cached_key(|one| key(&one.change));
        self.by_address = self
            .resources
            .iter()
            .enumerate()
            .map(|(index, one)| (one.change.address.clone(), index))
            .collect();
    }

    fn begin(&mut self, address: &str, action: Option<Action>, at: Option<Timestamp>) {
        let index = *self
            .by_address
            .entry(address.to_owned())
            .or_insert_with(|| {
                self.resources.push(Resource {
                    change: Change {
                        address: address.to_owned(),
                        action: action.unwrap_or(Action::None),
                        why: String::new(),
                    },
                    mark: Mark::Waiting,
                    since: None,
                    until: None,
                    note: String::new(),
                });
                self.resources.len() - 1
            });
        let resource = &mut self.resources[index];
        resource.mark = Mark::Running;
        // A replaced resource is begun twice: as the old one that goes, and as the new one.
        resource.since = resource.since.or(at);
        resource.until = None;
    }

    fn end(&mut self, address: &str, action: Option<Action>, mark: Mark, at: Option<Timestamp>) {
        let Some(&index) = self.by_address.get(address) else {
            return;
        };
        let resource = &mut self.resources[index];
        resource.mark = mark;
        resource.until = at;
        resource.note = String::new();
        // Half of a replacement is done when the old one is gone: the new one still has to come.
        if resource.change.action == Action::Replace && mark == Mark::Changed {
            let destroyed = action == Some(Action::Destroy);
            if destroyed {
                resource.mark = Mark::Running;
                resource.until = None;
                resource.note = "the old one is gone".into();
            }
        }
    }

    fn complain(&mut self, line: DiagnosticLine) -> Vec<Said> {
        let diagnostic = Diagnostic {
            error: line.severity == "error",
            summary: line.summary,
            detail: line.detail,
            address: line.address.filter(|address| !address.is_empty()),
            place: line
                .range
                .map(|range| format!("{}:{}", range.filename, range.start.line)),
        };
        let head = if diagnostic.error { "Error" } else { "Warning" };
        let mut lines = vec![format!("{head}: {}", diagnostic.told())];
        let detail = diagnostic.detail.lines().map(str::trim_end);
        lines.extend(
            detail
                .filter(|line| !line.is_empty())
                .map(|line| format!("  {line}")),
        );
        self.diagnostics.push(diagnostic);
        let said = |text| Said {
            stream: Stream::Stderr,
            text,
        };
        lines.into_iter().map(said).collect()
    }

    /// What is planned, destruction first.
    pub fn planned(&self) -> &[Change] {
        &self.planned
    }

    /// What was found changed by somebody else.
    pub fn drift(&self) -> &[Change] {
        &self.drift
    }

    /// The version of the program, where it told.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The first error, or else the first complaint.
    pub fn complaint(&self) -> Option<&Diagnostic> {
        let worst = self
            .diagnostics
            .iter()
            .find(|diagnostic| diagnostic.error && diagnostic.summary != "execution halted");
        worst.or(self.diagnostics.first())
    }

    /// Who has the state locked, when that is why it failed.
    pub fn lock(&self) -> Option<Lock> {
        let about_locks =
            |one: &&Diagnostic| one.error && one.summary.contains("acquiring the state lock");
        let detail = &self.diagnostics.iter().find(about_locks)?.detail;
        let field = |name: &str| {
            let mut lines = detail.lines().map(str::trim);
            let value = lines.find_map(|line| line.strip_prefix(name));
            value.unwrap_or_default().trim().to_owned()
        };
        Some(Lock {
            id: field("ID:"),
            who: field("Who:"),
            operation: field("Operation:").replace("OperationType", ""),
            created: field("Created:"),
        })
    }

    /// The resources that were begun and did not end well: what may be half done.
    pub fn half_done(&self) -> Vec<String> {
        let half = |one: &&Resource| matches!(one.mark, Mark::Running | Mark::Failed);
        let told = |one: &Resource| format!("{} ({})", one.change.address, one.change.action);
        self.resources.iter().filter(half).map(told).collect()
    }

    /// How many resources were carried to their end, and how many there were to carry.
    pub fn progress(&self) -> (usize, usize) {
        let done = |one: &&Resource| one.mark == Mark::Changed;
        (
            self.resources.iter().filter(done).count(),
            self.resources.len(),
        )
    }

    /// The outputs, a line each; what is sensitive only by name.
    pub fn outputs(&self) -> Vec<String> {
        self.outputs
            .iter()
            .map(|(name, output)| match (&output.value, output.sensitive) {
                (_, true) => format!("output {name} (sensitive)"),
                (Some(value), false) => format!("output {name} = {value}"),
                (None, false) => format!("output {name}"),
            })
            .collect()
    }

    /// Outputs that are going to change, by name.
    pub fn changing_outputs(&self) -> Vec<String> {
        let changes = |output: &Output| {
            let action = output.action.as_deref();
            action.is_some_and(|action| !matches!(action, "noop" | "no-op"))
        };
        let changing = self.outputs.iter().filter(|(_, output)| changes(output));
        changing.map(|(name, _)| name.clone()).collect()
    }

    /// The resources as they stand now.
    pub fn matrix(&self, title: &str) -> Matrix {
        let rows = self.resources.iter().map(|one| MatrixRow {
            name: one.change.address.clone(),
            note: match (one.mark, one.note.as_str()) {
                (Mark::Changed, _) => one.change.action.done().into(),
                (_, "") => one.change.action.to_string(),
                (_, note) => format!("{}: {note}", one.change.action),
            },
            marks: vec![one.mark],
            since: one.since,
            until: one.until,
        });
        let title = if self.refreshed > 0 && self.resources.is_empty() {
            format!("{title}, {} looked at", self.refreshed)
        } else {
            title.to_owned()
        };
        let mut matrix = Matrix {
            title,
            rows: rows.collect(),
            ..Matrix::default()
        };
        matrix.bound();
        matrix
    }
}

impl Diagnostic {
    /// In one line: what, at which resource, at which place.
    pub fn told(&self) -> String {
        let mut told = self.summary.trim().to_owned();
        if let Some(address) = &self.address {
            told = format!("{told}: {address}");
        }
        if let Some(place) = &self.place {
            told = format!("{told} ({place})");
        }
        told
    }
}

fn stdout(text: String) -> Said {
    Said {
        stream: Stream::Stdout,
        text,
    }
}

fn read_change(line: ChangeLine) -> Change {
    let moved = line
        .previous_resource
        .map(|from| format!("was {}", from.addr));
    let reason = line.reason.as_deref().map(in_words);
    Change {
        address: line.resource.addr,
        action: Action::of(&line.action),
        why: [reason, moved]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// A reason as a person would say it; one that is not known stays as it is.
fn in_words(reason: &str) -> String {
    match reason {
        "tainted" => "it is tainted",
        "requested" | "replace_by_request" => "asked for",
        "replace_triggered_by" => "what it is bound to is replaced",
        "cannot_update" => "it cannot be changed where it is",
        "delete_because_no_resource_config" => "it is no longer in the configuration",
        "delete_because_wrong_repetition" => "count or for_each was added or taken away",
        "delete_because_count_index" => "count is smaller now",
        "delete_because_each_key" => "its key is no longer in for_each",
        "delete_because_no_module" => "its module is no longer in the configuration",
        "delete_because_no_move_target" => "it was moved to what is not there",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> (Account, Vec<Said>) {
        let mut account = Account::default();
        let said = text.lines().flat_map(|line| account.take(line)).collect();
        (account, said)
    }

    #[test]
    fn a_plan_has_destruction_on_top_with_the_reason() {
        let (account, _) = account(include_str!("fixtures/plan.jsonl"));
        let lines: Vec<String> = account
            .planned()
            .iter()
            .map(|change| format!("{} {} ({})", change.action, change.address, change.why))
            .collect();
        assert_eq!(
            lines,
            [
                r#"destroy terraform_data.node["n2"] (its key is no longer in for_each)"#,
                r#"replace terraform_data.node["n1"] (it cannot be changed where it is)"#,
            ]
        );
        assert_eq!(account.version(), Some("1.11.4"));
        assert_eq!(account.changing_outputs(), ["nodes"]);
        assert_eq!(
            account.matrix("plan").rows[0].note,
            "destroy: its key is no longer in for_each"
        );
    }

    #[test]
    fn an_apply_moves_each_resource_to_its_end_and_keeps_outputs_but_no_secret() {
        let (account, said) = account(include_str!("fixtures/apply.jsonl"));
        assert_eq!(account.progress(), (2, 2));
        assert!(account.half_done().is_empty());
        let outputs = account.outputs();
        assert!(outputs[0].starts_with("output nodes = {"), "{outputs:?}");
        assert_eq!(outputs[1], "output pw (sensitive)");
        let matrix = account.matrix("apply");
        let row = &matrix.rows[0];
        assert_eq!((row.note.as_str(), row.worst()), ("created", Mark::Changed));
        assert!(row.since.is_some() && row.until.is_some());
        let text = format!("{said:?}");
        assert!(text.contains("Creation complete after 0s"), "{text}");
        assert!(!text.contains("hunter22"), "{text}");
    }

    #[test]
    fn an_interrupted_apply_tells_what_is_half_done_and_the_first_real_error() {
        let (account, said) = account(include_str!("fixtures/interrupted.jsonl"));
        assert_eq!(account.half_done(), ["terraform_data.slow (create)"]);
        let complaint = account.complaint().unwrap();
        assert_eq!(
            complaint.told(),
            "local-exec provisioner error: terraform_data.slow (slow.tf:2)"
        );
        assert_eq!(account.progress(), (0, 1));
        assert!(said.iter().any(|said| said.text == "Interrupt received."));
    }

    #[test]
    fn a_locked_state_is_told_with_its_owner() {
        let (account, _) = account(include_str!("fixtures/locked.jsonl"));
        let lock = account.lock().unwrap();
        assert_eq!(lock.who, "root@vm");
        assert_eq!(lock.operation, "Apply");
        assert_eq!(lock.id, "d3332e27-ecad-0ad3-32ed-bbe05157ebb2");
        assert!(
            lock.created.starts_with("2026-11-21 19:59:44"),
            "{}",
            lock.created
        );
    }

    #[test]
    fn what_is_no_json_or_of_an_unknown_kind_is_passed_on_as_it_is() {
        let mut account = Account::default();
        assert_eq!(account.take("plain words")[0].text, "plain words");
        let said = account.take(r#"{"@message":"something new","type":"from_the_future"}"#);
        assert_eq!(said[0].text, "something new");
        assert_eq!(
            account.take(r#"{"type":"apply_complete"}"#),
            Vec::<Said>::new()
        );
    }

    #[test]
    fn half_of_a_replacement_is_not_its_end() {
        let mut account = Account::default();
        let line = |kind: &str, action: &str| {
            format!(
                r#"{{"@message":"m","type":"{kind}","hook":{{"resource":{{"addr":"a.b"}},"action":"{action}"}},"change":{{"resource":{{"addr":"a.b"}},"action":"{action}"}}}}"#
            )
        };
        account.take(&line("planned_change", "replace"));
        account.take(&line("apply_start", "delete"));
        account.take(&line("apply_complete", "delete"));
        assert_eq!(account.progress(), (0, 1));
        account.take(&line("apply_start", "create"));
        account.take(&line("apply_complete", "create"));
        assert_eq!(account.progress(), (1, 1));
    }
}
