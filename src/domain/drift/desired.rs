//! What of services is declared to be: keys, policies, mounts, jobs, objects. Written in the environment's file, below
//! `desired`; longer texts are files of the workspace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is declared of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Desired {
    /// Name of the service in the environment.
    pub service: String,
    /// Of Consul: values by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kv: BTreeMap<String, String>,
    /// Of Consul: services that are registered in the catalog, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<String, Registered>,
    /// Of Vault: files with ACL policies, by the policy's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, PathBuf>,
    /// Of Vault: secrets engines by their path, without a slash at the end.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mounts: BTreeMap<String, Mounted>,
    /// Of Nomad: files with jobs, as JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<PathBuf>,
    /// Of Kubernetes: files with objects, as YAML, several in a file apart by `---`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<PathBuf>,
}

/// A service in Consul's catalog. What is left out is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Registered {
    /// How many instances there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<usize>,
    /// The port of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Tags that each has; others beside them are not drift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A secrets engine of Vault.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Mounted {
    /// What it is, such as `kv`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its description; not compared when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its options, such as `version`; others beside them are not drift.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}
