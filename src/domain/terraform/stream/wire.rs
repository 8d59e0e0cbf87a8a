//! A line of the [machine-readable output](https://developer.hashicorp.com/terraform/internals/machine-readable-ui) as it is
//! written. What is not read here is left out; what may be absent in some version is optional.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Change;
use crate::domain::terraform::Action;

/// An output as the stream has it; sensitive ones come without their value.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Output {
    #[serde(default)]
    pub(super) sensitive: bool,
    #[serde(default)]
    pub(super) value: Option<Value>,
    #[serde(default)]
    pub(super) action: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Line {
    #[serde(rename = "@message", default)]
    pub(super) message: String,
    #[serde(rename = "@level", default)]
    pub(super) level: String,
    #[serde(rename = "@timestamp", default)]
    pub(super) at: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    pub(super) change: Option<ChangeLine>,
    pub(super) hook: Option<Hook>,
    pub(super) diagnostic: Option<DiagnosticLine>,
    pub(super) outputs: Option<BTreeMap<String, Output>>,
    pub(super) terraform: Option<String>,
    pub(super) tofu: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Address {
    pub(super) addr: String,
}

#[derive(Deserialize)]
pub(super) struct ChangeLine {
    pub(super) resource: Address,
    #[serde(default)]
    pub(super) previous_resource: Option<Address>,
    pub(super) action: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Hook {
    pub(super) resource: Address,
    #[serde(default)]
    pub(super) action: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct DiagnosticLine {
    pub(super) severity: String,
    pub(super) summary: String,
    #[serde(default)]
    pub(super) detail: String,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) range: Option<Range>,
}

#[derive(Deserialize)]
pub(super) struct Range {
    pub(super) filename: String,
    pub(super) start: Position,
}

#[derive(Deserialize)]
pub(super) struct Position {
    pub(super) line: u64,
}

/// What a line says of a resource.
pub(super) fn read_change(line: ChangeLine) -> Change {
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
