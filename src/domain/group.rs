//! Groups of nodes as an expression, such as `role:consul-server and not platform:odroid-c5`.
//!
//! The same words in a recipe's `on` and in `--on` on the command line:
//!
//! | Written | Nodes |
//! |---|---|
//! | `role:vault` | with this role |
//! | `label:zone=a`, `label:zone` | with this label, with a label of this name |
//! | `platform:rpi5-ubuntu`, `arch:arm64` | of this kind |
//! | `name:pc1`, `pc1`, `pc*` | of this name; `*` stands for any characters |
//! | `all` | every one |
//! | `a and b`, `a or b`, `a, b`, `not a`, `(a)` | put together; `not` binds most, then `and`, then `or` and the comma |
//!
//! Roles, platforms and architectures are known beforehand, so a slip in one of them is an error with its place. Names and
//! labels are the environment's: a recipe may name a node that only some environments have.

mod parse;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::did_you_mean;
use super::node::{Node, Role};
use super::platform::{Arch, Platform};

/// An expression that a node fits or does not, with the text it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    text: String,
    expression: Expression,
}

/// What a group is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    All,
    Role(Role),
    Platform(Platform),
    Arch(Arch),
    /// A label's name, and its value where that counts.
    Label(String, Option<String>),
    Name {
        pattern: String,
        /// Where it stands, in characters from 0.
        at: usize,
    },
    Not(Box<Expression>),
    Both(Box<Expression>, Box<Expression>),
    Either(Box<Expression>, Box<Expression>),
}

/// What is wrong with an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  {text}\n  {:>1$}", "^", .at + 1)]
pub struct GroupError {
    /// The expression.
    pub text: String,
    /// Where in it, in characters from 0.
    pub at: usize,
    /// What is wrong and what could stand there.
    pub message: String,
}

impl Group {
    /// Whether `node` belongs to it.
    pub fn admits(&self, node: &Node) -> bool {
        self.expression.admits(node)
    }

    /// The names in it that fit none of `nodes`.
    ///
    /// # Errors
    /// [`GroupError`] at the first of them, for callers who mean nodes that are there.
    pub fn check_names(&self, nodes: &[Node]) -> Result<(), GroupError> {
        match self.expression.unknown_name(nodes) {
            None => Ok(()),
            Some((pattern, at)) => Err(GroupError {
                text: self.text.clone(),
                at,
                message: format!(
                    "there is no node {pattern:?}{}",
                    did_you_mean(pattern, nodes.iter().map(|node| node.name.as_str()))
                ),
            }),
        }
    }
}

impl Expression {
    fn admits(&self, node: &Node) -> bool {
        match self {
            Self::All => true,
            Self::Role(role) => node.roles.contains(role),
            Self::Platform(platform) => node.platform == *platform,
            Self::Arch(arch) => node.arch == *arch,
            Self::Label(name, None) => node.labels.contains_key(name),
            Self::Label(name, Some(value)) => node.labels.get(name) == Some(value),
            Self::Name { pattern, .. } => fits(pattern, &node.name),
            Self::Not(inner) => !inner.admits(node),
            Self::Both(left, right) => left.admits(node) && right.admits(node),
            Self::Either(left, right) => left.admits(node) || right.admits(node),
        }
    }

    fn unknown_name(&self, nodes: &[Node]) -> Option<(&str, usize)> {
        match self {
            Self::Name { pattern, at } => (!nodes.iter().any(|node| fits(pattern, &node.name)))
                .then_some((pattern.as_str(), *at)),
            Self::Not(inner) => inner.unknown_name(nodes),
            Self::Both(left, right) | Self::Either(left, right) => left
                .unknown_name(nodes)
                .or_else(|| right.unknown_name(nodes)),
            _ => None,
        }
    }
}

/// Whether `name` is what `pattern` says, with `*` for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Group {
    type Err = GroupError;

    fn from_str(text: &str) -> Result<Self, GroupError> {
        Ok(Self {
            text: text.to_owned(),
            expression: parse::expression(text)?,
        })
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
