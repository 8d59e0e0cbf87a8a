//! What Terraform says, as far as an operator must know it: the lines of `plan -json` and `apply -json`
//! (<https://developer.hashicorp.com/terraform/internals/machine-readable-ui>), a plan as `show -json` gives it
//! (<https://developer.hashicorp.com/terraform/internals/json-format>), and the head of a state file. OpenTofu says the same.
//!
//! Lines of a kind that is not known here are passed on as what they say to people. Values that Terraform marks as sensitive
//! are left out where they are read, and go no further.

mod difference;
mod stream;

pub use difference::{DriftedAttribute, DriftedKind, DriftedResource, differences, drifted};
pub use stream::{Account, Change, Diagnostic, Lock, Said};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::words;

words! {
    /// What becomes of a resource.
    pub enum Action {
        /// It is destroyed.
        Destroy = "destroy",
        /// It is destroyed and made anew.
        Replace = "replace",
        /// It is forgotten by Terraform and goes on.
        Forget = "forget",
        /// It is changed where it is.
        Update = "update",
        /// It is made.
        Create = "create",
        /// It is taken into the state as it is.
        Import = "import",
        /// It gets another address.
        Move = "move",
        /// It is read.
        Read = "read",
        /// Nothing.
        None = "none",
    }
}

impl Action {
    /// The action by Terraform's word for it.
    pub fn of(word: &str) -> Self {
        match word {
            "delete" => Self::Destroy,
            "replace" => Self::Replace,
            "remove" | "forget" => Self::Forget,
            "update" => Self::Update,
            "create" => Self::Create,
            "import" => Self::Import,
            "move" => Self::Move,
            "read" => Self::Read,
            _ => Self::None,
        }
    }

    /// The sign before it in a plan, as Terraform's own.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Destroy => "-",
            Self::Replace => "-/+",
            Self::Forget => ".",
            Self::Update => "~",
            Self::Create | Self::Import => "+",
            Self::Move => ">",
            Self::Read => "<=",
            Self::None => " ",
        }
    }

    /// What has become of a resource when it is done.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Destroy => "destroyed",
            Self::Replace => "replaced",
            Self::Forget => "forgotten",
            Self::Update => "updated",
            Self::Create => "created",
            Self::Import => "imported",
            Self::Move => "moved",
            Self::Read => "read",
            Self::None => "unchanged",
        }
    }
}

/// Which state: two of the same lineage and serial are the same
/// (<https://developer.hashicorp.com/terraform/language/state/remote-state-data>).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateId {
    /// The state's own name for life; empty where there is none yet.
    pub lineage: String,
    /// Grows with each change.
    pub serial: u64,
}

impl std::fmt::Display for StateId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.lineage.is_empty() {
            return f.write_str("no state yet");
        }
        let short: String = self.lineage.chars().take(8).collect();
        write!(f, "state {short} serial {}", self.serial)
    }
}

/// What is known of a whole state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// Which.
    pub id: StateId,
    /// Resources in it, every instance counted.
    pub resources: usize,
}

/// Reads a state as `terraform state pull` gives it; `None` for no state at all.
///
/// # Errors
/// What is missing, when it is not a whole state of the format that Terraform has written since 0.12 (version 4).
pub fn state(bytes: &[u8]) -> Result<Option<StateFile>, String> {
    #[derive(Deserialize)]
    struct File {
        version: u64,
        serial: u64,
        lineage: String,
        #[serde(default)]
        resources: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        mode: String,
        #[serde(default)]
        instances: Vec<serde::de::IgnoredAny>,
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        // The words of serde_json name a place, and never a value of the document.
        format!("this is no whole state file: {error}")
    })?;
    if file.version != 4 {
        return Err(format!(
            "the state has format version {}, this program knows version 4",
            file.version
        ));
    }
    if file.lineage.is_empty() {
        return Err("the state has no lineage".into());
    }
    let managed = file.resources.iter().filter(|entry| entry.mode != "data");
    Ok(Some(StateFile {
        id: StateId {
            lineage: file.lineage,
            serial: file.serial,
        },
        resources: managed.map(|entry| entry.instances.len()).sum(),
    }))
}

/// The outputs of `terraform output -json` that are not sensitive, and the values of those that are, as texts: for whoever
/// keeps secrets out of logs.
///
/// # Errors
/// When it is not what `output -json` prints.
pub fn outputs(bytes: &[u8]) -> Result<(serde_json::Map<String, Value>, Vec<String>), String> {
    #[derive(Deserialize)]
    struct Output {
        #[serde(default)]
        sensitive: bool,
        value: Value,
    }
    let all: std::collections::BTreeMap<String, Output> = serde_json::from_slice(bytes)
        .map_err(|error| format!("the outputs cannot be read: {error}"))?;
    let (mut plain, mut secret) = (serde_json::Map::new(), Vec::new());
    for (name, output) in all {
        if output.sensitive {
            texts(&output.value, &mut secret);
        } else {
            plain.insert(name, output.value);
        }
    }
    Ok((plain, secret))
}

/// Every text within a value.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_known_by_lineage_and_serial_and_none_is_none() {
        let text = include_bytes!("terraform/fixtures/state.json");
        let state = state(text).unwrap().unwrap();
        assert_eq!(state.id.serial, 3);
        assert_eq!(state.resources, 2);
        assert_eq!(state.id.to_string(), "state 3f202d01 serial 3");
        assert_eq!(super::state(b"\n").unwrap(), None);
    }

    #[test]
    fn half_a_state_is_none_that_counts() {
        let whole = include_bytes!("terraform/fixtures/state.json");
        let error = state(&whole[..whole.len() / 2]).unwrap_err();
        assert!(error.contains("no whole state file"), "{error}");
        assert!(state(b"{}").is_err());
        assert!(
            state(br#"{"version":3,"serial":1,"lineage":"x"}"#)
                .unwrap_err()
                .contains("version 3")
        );
        assert!(state(br#"{"version":4,"serial":1,"lineage":""}"#).is_err());
    }

    #[test]
    fn sensitive_outputs_are_set_apart() {
        let (plain, secret) = outputs(include_bytes!("terraform/fixtures/outputs.json")).unwrap();
        assert_eq!(plain.keys().collect::<Vec<_>>(), ["nodes"]);
        assert_eq!(secret, ["hunter22secret"]);
    }
}
