//! Environments: one target each, with nodes, services, versions and a level of protection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::backup::Backups;
use super::drift::desired::Desired;
use super::node::{Node, Role};
use super::platform::{Arch, Software};
use super::service::ServiceSpec;
use super::stack::{COMPANIONS, Stack};
use super::words;

words! {
    /// How hard it is to change an environment.
    pub enum Protection {
        /// Changes start at once; only destruction asks.
        Open = "open",
        /// Every change asks.
        Confirm = "confirm",
        /// Every change asks for the environment's name to be typed.
        Typed = "typed",
        /// As `typed`, and another operator must approve from a session of his own.
        TwoPerson = "two-person",
    }
}

/// One target: local, development, staging, production …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Unique within the workspace.
    pub name: String,
    /// How hard it is to change.
    pub protection: Protection,
    /// A word shown on every screen, such as `LAB`; says what kind of place this is.
    pub marking: Option<String>,
    /// What is to be installed.
    pub stack: Stack,
    /// Pinned versions by software name, such as `consul: 1.8.7`.
    pub versions: BTreeMap<String, String>,
    /// Its hosts, in the order of the file.
    pub nodes: Vec<Node>,
    /// Its services, in the order of the file.
    pub services: Vec<ServiceSpec>,
    /// Packages that the operator brings, by software name and architecture.
    pub artifacts: BTreeMap<String, BTreeMap<Arch, Artifact>>,
    /// Free values for the workspace's own recipes.
    pub variables: BTreeMap<String, serde_json::Value>,
    /// How its state is saved.
    #[serde(default, skip_serializing_if = "Backups::is_silent")]
    pub backups: Backups,
    /// What its services should hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub desired: Vec<Desired>,
}

impl Environment {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The service of that name.
    pub fn service(&self, name: &str) -> Option<&ServiceSpec> {
        self.services.iter().find(|service| service.name == name)
    }

    /// What is installed, in this order: the software of its stack, and what stands beside it on nodes with a role for that.
    pub fn software(&self) -> Vec<Software> {
        let has_node = |software: &Software| {
            let mut roles = self.nodes.iter().flat_map(|node| &node.roles);
            roles.any(|role| role.software() == Some(*software))
        };
        let beside = COMPANIONS.into_iter().filter(has_node);
        self.stack.order().iter().copied().chain(beside).collect()
    }

    /// The nodes that have `role`, in the order of the file.
    pub fn nodes_with(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(move |node| node.roles.contains(&role))
    }
}

/// A file that the operator brings along, pinned by its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// An `http(s)://` URL, or a path.
    pub source: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
}
