//! What a plan changes within its resources: attribute by attribute, from `terraform show -json PLAN`, without anything that
//! is sensitive.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Action;

/// The most lines about one resource.
const LINES: usize = 24;
/// The longest value that is shown whole, characters.
const VALUE: usize = 160;

#[derive(Deserialize)]
struct Plan {
    #[serde(default)]
    resource_changes: Vec<ResourceChange>,
    /// What a refresh found changed outside of Terraform: `before` is what the state says, `after` what is there.
    #[serde(default)]
    resource_drift: Vec<ResourceChange>,
    /// Outputs that a refresh would change: `before` is what the state says.
    #[serde(default)]
    output_changes: BTreeMap<String, Change>,
}

#[derive(Deserialize)]
struct ResourceChange {
    address: String,
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
    #[serde(default)]
    after_unknown: Value,
    #[serde(default)]
    before_sensitive: Value,
    #[serde(default)]
    after_sensitive: Value,
    #[serde(default)]
    replace_paths: Vec<Value>,
}

impl Change {
    fn action(&self) -> Action {
        let actions: Vec<&str> = self.actions.iter().map(String::as_str).collect();
        match actions.as_slice() {
            ["delete", "create"] | ["create", "delete"] => Action::Replace,
            [one] => Action::of(one),
            _ => Action::None,
        }
    }
}

/// Lines of a diff: a resource each, destruction first, and under it the attributes that change.
///
/// # Errors
/// When it is not what `show -json` prints for a plan.
pub fn differences(plan: &[u8]) -> Result<Vec<String>, String> {
    let mut plan: Plan = serde_json::from_slice(plan)
        .map_err(|error| format!("the plan cannot be read: {error}"))?;
    plan.resource_changes
        .sort_by_key(|one| (one.change.action(), one.address.clone()));
    let mut lines = Vec::new();
    for one in &plan.resource_changes {
        let action = one.change.action();
        if matches!(action, Action::None | Action::Read) {
            continue;
        }
        lines.push(format!("{} {}", action.sign(), one.address));
        if action == Action::Destroy {
            continue;
        }
        let mut attributes = attributes(&one.change);
        let more = attributes.len().saturating_sub(LINES);
        attributes.truncate(LINES);
        lines.extend(attributes);
        if more > 0 {
            lines.push(format!("    … and {more} more"));
        }
    }
    Ok(lines)
}

/// What of a state can drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriftedKind {
    /// A resource: it can be planned alone.
    Resource,
    /// An output: it follows from resources and files.
    Output,
}

/// A resource or an output that is not as the state says.
#[derive(Debug, PartialEq, Eq)]
pub struct DriftedResource {
    /// Which of the two.
    pub kind: DriftedKind,
    /// Its address; `output.NAME` for an output.
    pub address: String,
    /// The attributes that differ; one called `resource` when it is gone.
    pub attributes: Vec<DriftedAttribute>,
}

/// An attribute that is not as the state says.
#[derive(Debug, PartialEq, Eq)]
pub struct DriftedAttribute {
    /// Its name.
    pub name: String,
    /// What the state says.
    pub was: String,
    /// What is there.
    pub is: String,
}

/// What drifted, by a refresh-only plan; nothing sensitive is in it.
///
/// # Errors
/// When it is not what `show -json` prints for a plan.
pub fn drifted(plan: &[u8]) -> Result<Vec<DriftedResource>, String> {
    let plan: Plan = serde_json::from_slice(plan)
        .map_err(|error| format!("the plan cannot be read: {error}"))?;
    let resources = plan.resource_drift.into_iter().map(|one| {
        let gone = || DriftedAttribute {
            name: "resource".into(),
            was: "there".into(),
            is: "gone".into(),
        };
        let attributes = match one.change.action() {
            Action::Destroy => vec![gone()],
            _ => drifted_attributes(&one.change),
        };
        DriftedResource {
            kind: DriftedKind::Resource,
            address: one.address,
            attributes,
        }
    });
    let outputs = plan
        .output_changes
        .into_iter()
        .filter_map(|(name, change)| {
            let secret = [&change.before_sensitive, &change.after_sensitive]
                .iter()
                .any(|mask| holds_true(mask));
            let word = |value: &Value| shown(Some(value), secret, false);
            (change.before != change.after).then(|| DriftedResource {
                kind: DriftedKind::Output,
                address: format!("output.{name}"),
                attributes: vec![DriftedAttribute {
                    name: "value".into(),
                    was: word(&change.before),
                    is: word(&change.after),
                }],
            })
        });
    let all = resources.filter(|one| !one.attributes.is_empty());
    Ok(all.chain(outputs).collect())
}

fn drifted_attributes(change: &Change) -> Vec<DriftedAttribute> {
    let field = |value: &Value, name: &str| value.get(name).cloned().unwrap_or_default();
    let objects = [&change.before, &change.after];
    let mut names: Vec<&String> = objects
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|fields| fields.keys())
        .collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names.into_iter().take(LINES) {
        let (was, is) = (field(&change.before, name), field(&change.after, name));
        if was == is {
            continue;
        }
        let secret = is_secret(change, name);
        let word = |value: &Value| match shown(Some(value), secret, false) {
            text if text.is_empty() => "(not set)".to_owned(),
            text => text,
        };
        found.push(DriftedAttribute {
            name: name.clone(),
            was: word(&was),
            is: word(&is),
        });
    }
    found
}

/// Whether an attribute is sensitive, before or after, in whole or in part.
fn is_secret(change: &Change, name: &str) -> bool {
    [&change.before_sensitive, &change.after_sensitive]
        .iter()
        .any(|mask| **mask == Value::Bool(true) || mask.get(name).is_some_and(holds_true))
}

fn attributes(change: &Change) -> Vec<String> {
    let empty = serde_json::Map::new();
    let fields = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (before, after, unknown) = (
        fields(&change.before),
        fields(&change.after),
        fields(&change.after_unknown),
    );
    let mut names: Vec<&String> = before
        .keys()
        .chain(after.keys())
        .chain(unknown.keys())
        .collect();
    names.sort();
    names.dedup();
    let mut lines = Vec::new();
    for name in names {
        let is_unknown = unknown.get(name).is_some_and(holds_true);
        let (was, is) = (before.get(name), after.get(name));
        if !is_unknown && was.unwrap_or(&Value::Null) == is.unwrap_or(&Value::Null) {
            continue;
        }
        let secret = is_secret(change, name);
        let was = shown(was, secret, false);
        let is = shown(is, secret, is_unknown);
        let sign = match (was.is_empty(), is.is_empty()) {
            (true, _) => '+',
            (_, true) => '-',
            _ => '~',
        };
        let from_to = match sign {
            '+' => is,
            '-' => was,
            _ => format!("{was} → {is}"),
        };
        let forces = change
            .replace_paths
            .iter()
            .any(|path| path.get(0).and_then(Value::as_str) == Some(name));
        let forces = if forces { "  # forces replacement" } else { "" };
        lines.push(format!("    {sign} {name} = {from_to}{forces}"));
    }
    lines
}

fn shown(value: Option<&Value>, secret: bool, unknown: bool) -> String {
    match value {
        _ if secret && (unknown || value.is_some()) => "(sensitive)".into(),
        _ if unknown => "(known after apply)".into(),
        None | Some(Value::Null) => String::new(),
        Some(value) => {
            let text = value.to_string();
            let mut short: String = text.chars().take(VALUE).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short
        }
    }
}

/// Whether a mask marks anything within a value.
fn holds_true(mask: &Value) -> bool {
    match mask {
        Value::Bool(marked) => *marked,
        Value::Array(items) => items.iter().any(holds_true),
        Value::Object(fields) => fields.values().any(holds_true),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_shows_destruction_first_and_what_forces_replacement() {
        let lines = differences(include_bytes!("fixtures/show.json")).unwrap();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        - terraform_data.node["n2"]
        -/+ terraform_data.node["n1"]
            ~ id = "bcf9ecf0-68a5-d04b-4afa-1cac36ccf711" → (known after apply)
            ~ input = {"name":"n1","v":"a"} → {"name":"n1","v":"b"}
            ~ output = {"name":"n1","v":"a"} → (known after apply)
            ~ triggers_replace = "a" → "b"  # forces replacement
        "#);
    }

    #[test]
    fn drift_is_told_by_attribute_and_without_secrets() {
        let plan = br#"{"resource_drift":[
            {"address":"a.b","change":{"actions":["update"],"before":{"n":1,"pw":"old-secret","same":2},
             "after":{"n":2,"pw":"new-secret","same":2},"before_sensitive":{"pw":true},"after_sensitive":{}}},
            {"address":"c.d","change":{"actions":["delete"],"before":{"n":1},"after":null}}],
            "output_changes":{"ip":{"actions":["update"],"before":"a","after":"b"},
             "same":{"actions":["no-op"],"before":1,"after":1},
             "key":{"actions":["update"],"before":"x-secret","after":"y-secret","after_sensitive":true}}}"#;
        let told: Vec<String> = drifted(plan)
            .unwrap()
            .iter()
            .flat_map(|one| {
                one.attributes.iter().map(|attribute| {
                    let DriftedAttribute { name, was, is } = attribute;
                    format!("{} {name}: {was} / {is}", one.address)
                })
            })
            .collect();
        assert_eq!(
            told,
            [
                "a.b n: 1 / 2",
                "a.b pw: (sensitive) / (sensitive)",
                "c.d resource: there / gone",
                "output.ip value: \"a\" / \"b\"",
                "output.key value: (sensitive) / (sensitive)"
            ]
        );
    }

    #[test]
    fn nothing_sensitive_is_shown_not_even_within_a_value() {
        let plan = br#"{"resource_changes":[{"address":"a.b","change":{"actions":["update"],
            "before":{"pw":"old-secret","deep":{"x":{"token":"t-secret"}},"n":1},
            "after":{"pw":"new-secret","deep":{"x":{"token":"u-secret"}},"n":2},
            "after_unknown":{},"before_sensitive":{"pw":true,"deep":{"x":{"token":true}}},"after_sensitive":{"pw":true}}},
            {"address":"c.d","change":{"actions":["create"],"before":null,"after":{"all":"z-secret"},"after_unknown":{},
            "before_sensitive":false,"after_sensitive":true}}]}"#;
        let lines = differences(plan).unwrap().join("\n");
        assert!(!lines.contains("secret\""), "{lines}");
        assert!(
            lines.contains("~ pw = (sensitive) → (sensitive)"),
            "{lines}"
        );
        assert!(lines.contains("~ n = 1 → 2"), "{lines}");
        assert!(
            lines.contains("+ c.d\n    + all = (sensitive)") || lines.contains("+ all"),
            "{lines}"
        );
    }
}
