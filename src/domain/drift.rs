//! Drift: where what is there differs from what was declared.
//!
//! A drift check is a run like any other. Each of its tasks looks at one part of an environment (the resources of one step on
//! one node, one service) and reports a [`DriftLook`]: what differs there now, or why nobody could see. Kept over time these
//! become the [`board`]: since when something differs, and what is not known at the moment. What could not be looked at is
//! never taken for being as declared.

pub mod board;
pub mod desired;
pub mod ignore;

use serde::{Deserialize, Serialize};

use super::remedy::Remedy;
use super::words;

/// The longest value that is kept, characters.
const VALUE: usize = 400;
/// The most lines of a diff that are kept.
const LINES: usize = 120;
/// The longest of them, characters.
const LINE: usize = 200;

words! {
    /// Where a desired state is declared and compared.
    pub enum DriftSource {
        /// Files, packages, units and the like on nodes, as a recipe declares them.
        Nodes = "nodes",
        /// The versions that the environment pins.
        Versions = "versions",
        /// What Terraform's state says.
        Terraform = "terraform",
        /// Keys and services of Consul.
        Consul = "consul",
        /// Policies and mounts of Vault.
        Vault = "vault",
        /// Jobs of Nomad.
        Nomad = "nomad",
        /// Objects of Kubernetes.
        Kubernetes = "kubernetes",
    }
}

/// What is compared: one field of one object of one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DriftKey {
    /// Where it is declared.
    pub source: DriftSource,
    /// What it is about, such as `pc1/file /etc/motd` or `consul/kv/app/colour`.
    pub object: String,
    /// Which of its properties, such as `mode`; empty where it has only one.
    pub field: String,
}

impl std::fmt::Display for DriftKey {
    /// As rules and commands name it: `nodes:pc1/file /etc/motd#mode`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.object)?;
        if !self.field.is_empty() {
            write!(f, "#{}", self.field)?;
        }
        Ok(())
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drifted {
    /// What differs.
    pub key: DriftKey,
    /// How it should be.
    pub desired: String,
    /// How it is.
    pub actual: String,
    /// Lines of a unified diff from actual to desired, where there is text to compare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// What brings just this into its desired state; `None` where nothing here does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<Remedy>,
}

impl Drifted {
    /// A difference without a diff and without a way to reconcile it.
    pub fn new(
        source: DriftSource,
        object: impl Into<String>,
        field: impl Into<String>,
        desired: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            key: DriftKey {
                source,
                object: object.into(),
                field: field.into(),
            },
            desired: desired.into(),
            actual: actual.into(),
            diff: Vec::new(),
            reconcile: None,
        }
    }

    /// The same, as short as it is kept; `clean` takes secrets out of every text.
    #[must_use]
    pub fn bounded(self, clean: impl Fn(String) -> String) -> Self {
        let short = |text: String, most: usize| {
            let text = clean(text);
            if text.chars().count() <= most {
                return text;
            }
            let mut short: String = text.chars().take(most).collect();
            short.push('…');
            short
        };
        let more = self.diff.len().saturating_sub(LINES);
        let mut diff: Vec<String> = self.diff.into_iter().take(LINES).collect();
        diff = diff.into_iter().map(|line| short(line, LINE)).collect();
        if more > 0 {
            diff.push(format!("… and {more} more lines"));
        }
        Self {
            key: DriftKey {
                object: clean(self.key.object),
                ..self.key
            },
            desired: short(self.desired, VALUE),
            actual: short(self.actual, VALUE),
            diff,
            reconcile: self.reconcile,
        }
    }
}

/// What one look at one part of an environment found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftLook {
    /// Where the desired state is declared.
    pub source: DriftSource,
    /// Which part of the source was looked at, such as `pc1/consul.config` or a service's name. A later look at the same part
    /// replaces everything that this one found.
    pub scope: String,
    /// What differs, or why that could not be seen.
    pub seen: Result<Vec<Drifted>, String>,
}

/// Splits what a resource says about a difference, such as `mode 0600 → 0644`, into field, desired and actual.
///
/// Resources tell in one line how it is and how it shall be, with an arrow in between; the words before the old value name the
/// property where there are several.
pub fn parted(change: &str) -> (String, String, String) {
    /// Properties that a line begins with.
    const FIELDS: [&str; 14] = [
        "mode", "owner", "group", "name", "incoming", "outgoing", "gid", "uid", "shell", "home",
        "comment", "SHA-256", "groups", "hold",
    ];
    if let Some(reason) = change.strip_prefix("restart: ") {
        return (
            "process".into(),
            "started after its last change".into(),
            reason.into(),
        );
    }
    if change == "content differs" || change == "the unit file differs" {
        return ("content".into(), "as declared".into(), "differs".into());
    }
    let Some((before, desired)) = change.split_once(" → ") else {
        return ("state".into(), "as declared".into(), change.into());
    };
    if let Some(actual) = before.strip_prefix("content differs: ") {
        return ("content".into(), desired.into(), actual.into());
    }
    match before.split_once(' ') {
        Some((field, actual)) if FIELDS.contains(&field) => {
            (field.into(), desired.into(), actual.into())
        }
        _ => ("state".into(), desired.into(), before.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_parted_into_what_is_wanted_and_what_is_there() {
        let parts = |text| {
            let (field, desired, actual) = parted(text);
            format!("{field} | {desired} | {actual}")
        };
        assert_eq!(parts("mode 0600 → 0644"), "mode | 0644 | 0600");
        assert_eq!(
            parts("does not exist → 12 bytes, 0644 root:root"),
            "state | 12 bytes, 0644 root:root | does not exist"
        );
        assert_eq!(
            parts("content differs: 10 bytes → 12 bytes"),
            "content | 12 bytes | 10 bytes"
        );
        assert_eq!(parts("content differs"), "content | as declared | differs");
        assert_eq!(
            parts("reboot: a new kernel"),
            "state | as declared | reboot: a new kernel"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_without_secrets() {
        let long = Drifted {
            diff: (0..500).map(|n| format!("+{n} hunter2")).collect(),
            ..Drifted::new(
                DriftSource::Nodes,
                "pc1/file hunter2",
                "content",
                "x".repeat(10_000),
                "hunter2",
            )
        };
        let kept = long.bounded(|text| text.replace("hunter2", "[secret]"));
        assert_eq!(kept.desired.chars().count(), VALUE + 1);
        assert_eq!(kept.diff.len(), LINES + 1);
        assert_eq!(kept.diff[LINES], "… and 380 more lines");
        let all = serde_json::to_string(&kept).unwrap();
        assert!(!all.contains("hunter2"), "{all}");
    }
}
