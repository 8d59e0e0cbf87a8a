//! What operators put on nodes while the cockpit runs: cordons, and labels beside those of the environment's file.
//!
//! The workspace belongs to the operator and his Git; these are notes of the moment. They are kept by the engine, shown as
//! what they are, and laid over the environment whenever something is planned.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::environment::Environment;

/// A node that recipes leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordon {
    /// Why, in the operator's words; may be empty.
    pub reason: String,
    /// Who.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

impl std::fmt::Display for Cordon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cordoned by {}", self.by)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// What is put on one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Whether recipes leave it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cordon: Option<Cordon>,
    /// Labels by name; `None` takes away one that the file has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
}

impl Marks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cordon.is_none() && self.labels.is_empty()
    }

    /// Changes them.
    pub fn apply(&mut self, change: MarkChange, by: &str, at: Timestamp) {
        match change {
            MarkChange::Cordon { reason } => {
                self.cordon = Some(Cordon {
                    reason,
                    by: by.to_owned(),
                    at,
                });
            }
            MarkChange::Uncordon => self.cordon = None,
            MarkChange::Label { name, value } => {
                self.labels.insert(name, value);
            }
            MarkChange::Restore { name } => {
                self.labels.remove(&name);
            }
        }
    }
}

/// A change of what is put on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkChange {
    /// Recipes shall leave it alone.
    Cordon {
        /// Why.
        reason: String,
    },
    /// Recipes may use it again.
    Uncordon,
    /// A label, or with `None` the absence of one.
    Label {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// A label as the environment's file has it.
    Restore {
        /// Its name.
        name: String,
    },
}

impl MarkChange {
    /// Reads a change of a label as kubectl has them: `NAME=VALUE` sets it, `NAME-` takes it away; `NAME+` has it again as the
    /// environment's file says.
    ///
    /// # Errors
    /// What was expected, as a sentence.
    pub fn label(text: &str) -> Result<Self, String> {
        let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let change = if let Some((name, value)) = text.split_once('=') {
            named(name).map(|name| Self::Label {
                name,
                value: Some(value.into()),
            })
        } else if let Some(name) = text.strip_suffix('-') {
            named(name).map(|name| Self::Label { name, value: None })
        } else {
            let name = text.strip_suffix('+').and_then(named);
            name.map(|name| Self::Restore { name })
        };
        change.ok_or_else(|| format!("{text:?} is not NAME=VALUE, NAME- or NAME+"))
    }
}

impl std::fmt::Display for MarkChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cordon { reason } if reason.is_empty() => f.write_str("cordoned"),
            Self::Cordon { reason } => write!(f, "cordoned: {reason}"),
            Self::Uncordon => f.write_str("uncordoned"),
            Self::Label {
                name,
                value: Some(value),
            } => write!(f, "label {name}={value}"),
            Self::Label { name, value: None } => write!(f, "no label {name}"),
            Self::Restore { name } => write!(f, "label {name} as in the file"),
        }
    }
}

/// Lays the labels over an environment's own.
pub fn lay_over(environment: &mut Environment, marks: &BTreeMap<String, Marks>) {
    for node in &mut environment.nodes {
        let Some(marks) = marks.get(&node.name) else {
            continue;
        };
        for (name, value) in &marks.labels {
            match value {
                Some(value) => node.labels.insert(name.clone(), value.clone()),
                None => node.labels.remove(name),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_restoring_a_label_forgets_it() {
        let mut marks = Marks::default();
        let label = |value: Option<&str>| MarkChange::Label {
            name: "zone".into(),
            value: value.map(Into::into),
        };
        let at = Timestamp::UNIX_EPOCH;
        marks.apply(label(Some("a")), "ada", at);
        marks.apply(label(None), "ada", at);
        assert_eq!(marks.labels["zone"], None);
        marks.apply(
            MarkChange::Restore {
                name: "zone".into(),
            },
            "ada",
            at,
        );
        assert!(marks.is_empty());
    }

    #[test]
    fn a_cordon_tells_who_and_why() {
        let mut marks = Marks::default();
        let reason = "disk is failing".to_owned();
        marks.apply(
            MarkChange::Cordon { reason },
            "ada@bastion",
            Timestamp::UNIX_EPOCH,
        );
        let told = marks.cordon.clone().unwrap().to_string();
        assert_eq!(told, "cordoned by ada@bastion: disk is failing");
        marks.apply(MarkChange::Uncordon, "ada", Timestamp::UNIX_EPOCH);
        assert!(marks.is_empty());
    }

    #[test]
    fn labels_are_written_as_kubectl_has_them() {
        let label = |value: Option<&str>| MarkChange::Label {
            name: "zone".into(),
            value: value.map(Into::into),
        };
        assert_eq!(MarkChange::label("zone=a"), Ok(label(Some("a"))));
        assert_eq!(MarkChange::label("zone="), Ok(label(Some(""))));
        assert_eq!(MarkChange::label("zone-"), Ok(label(None)));
        let name = "zone".into();
        assert_eq!(MarkChange::label("zone+"), Ok(MarkChange::Restore { name }));
        for nothing in ["zone", "", "=a", "-", "+"] {
            assert!(MarkChange::label(nothing).is_err(), "{nothing:?}");
        }
    }
}
