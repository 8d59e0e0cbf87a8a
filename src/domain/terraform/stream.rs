//! The lines that Terraform prints with `-json`, taken in one by one: what is planned, what is under way, what went wrong.

mod wire;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::wire::{ChangeLine, DiagnosticLine, Line, Output, read_change};
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

#[cfg(test)]
mod tests;
