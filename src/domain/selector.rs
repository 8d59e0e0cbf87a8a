//! Which nodes a step runs on: an expression, such as `on: role:vault and label:zone=a`, or a map of conditions.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize};

use super::group::Group;
use super::node::{Node, Role};

/// The nodes that pass every part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Selector {
    /// Nodes with any of these roles; empty means any node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Nodes with all of these labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Nodes that this expression admits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Group>,
    /// Only the first of the selected nodes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
}

impl Selector {
    /// Whether `node` passes; [`Selector::first`] is not looked at.
    pub fn admits(&self, node: &Node) -> bool {
        let role = self.roles.is_empty() || self.roles.iter().any(|role| node.roles.contains(role));
        let group = self.nodes.as_ref().is_none_or(|group| group.admits(node));
        role && group
            && self
                .labels
                .iter()
                .all(|(key, value)| node.labels.get(key) == Some(value))
    }
}

/// The map form, and the shape of the schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Conditions {
    /// Nodes with any of these roles; empty means any node.
    #[serde(default)]
    roles: Vec<Role>,
    /// Nodes with all of these labels.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Nodes that this expression admits, such as `role:vault and not arch:arm64`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    nodes: Option<Group>,
    /// Only the first of the selected nodes.
    #[serde(default)]
    first: bool,
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an expression, such as `role:vault and label:zone=a`, or a map with roles, labels, nodes, first")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Selector, E> {
                let group = text.parse().map_err(E::custom)?;
                Ok(Selector {
                    nodes: Some(group),
                    ..Selector::default()
                })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Selector, A::Error> {
                let Conditions {
                    roles,
                    labels,
                    nodes,
                    first,
                } = Conditions::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Selector {
                    roles,
                    labels,
                    nodes,
                    first,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let map = generator.subschema_for::<Conditions>();
        schemars::json_schema!({
            "description": "Which nodes a step runs on: an expression, such as `role:vault and label:zone=a`, or a map of conditions that must all hold.",
            "anyOf": [{ "type": "string" }, map]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Selector, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_expression_and_a_map_say_the_same() {
        let node = |role| Node {
            name: "pc1".into(),
            address: "10.0.0.1".into(),
            platform: crate::domain::platform::Platform::Generic,
            arch: crate::domain::platform::Arch::Amd64,
            roles: [role].into(),
            labels: BTreeMap::new(),
            ssh: crate::domain::node::SshAccess::default(),
        };
        let short = read("role:vault").unwrap();
        let long = read("nodes: role:vault").unwrap();
        assert_eq!(short, long);
        for selector in [short, read("roles: [vault]").unwrap()] {
            assert!(selector.admits(&node(Role::Vault)));
            assert!(!selector.admits(&node(Role::Grafana)));
        }
    }

    #[test]
    fn a_slip_in_an_expression_is_pointed_at_and_one_in_a_map_is_named() {
        let error = serde_json::from_str::<Selector>(r#""role:valt""#)
            .unwrap_err()
            .to_string();
        for part in ["did you mean \"vault\"?", "\n  role:valt\n       ^"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(read("{ rolls: [vault] }").unwrap_err().contains("rolls"));
    }

    #[test]
    fn it_is_written_so_that_it_reads_back() {
        for text in ["role:vault or pc*", "{ roles: [vault], first: true }", "{}"] {
            let selector = read(text).unwrap();
            let json = serde_json::to_string(&selector).unwrap();
            assert_eq!(
                serde_json::from_str::<Selector>(&json).unwrap(),
                selector,
                "{text}"
            );
        }
    }
}
