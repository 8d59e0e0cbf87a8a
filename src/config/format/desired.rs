//! `desired` of an environment: what its services should hold.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{Name, Path};

/// What one service should hold. What is not named here is not looked at.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Desired", extend("required" = ["service"]))]
pub(crate) struct DesiredEntry {
    /// A service of this environment.
    pub(crate) service: Option<Name>,
    /// Of Consul: values by key. No secrets.
    pub(crate) kv: BTreeMap<String, String>,
    /// Of Consul: services that are registered in the catalog, by name.
    pub(crate) services: BTreeMap<String, RegisteredEntry>,
    /// Of Vault: files with ACL policies, by the policy's name.
    pub(crate) policies: BTreeMap<String, Path>,
    /// Of Vault: secrets engines.
    pub(crate) mounts: Vec<MountedEntry>,
    /// Of Nomad: files with jobs as JSON, as `nomad job run -output` prints them.
    pub(crate) jobs: Vec<Path>,
    /// Of Kubernetes: files with objects as YAML.
    pub(crate) manifests: Vec<Path>,
}

/// A service in Consul's catalog. What is left out is not compared.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Registered")]
pub(crate) struct RegisteredEntry {
    /// How many instances there are; default: at least one.
    pub(crate) instances: Option<u32>,
    /// The port of each.
    pub(crate) port: Option<u16>,
    /// Tags that each has.
    pub(crate) tags: Vec<String>,
}

/// A secrets engine of Vault.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Mounted", extend("required" = ["path", "type"]))]
pub(crate) struct MountedEntry {
    /// Where it is mounted, such as secret.
    pub(crate) path: Option<String>,
    /// What it is, such as kv.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Its description; not compared when it is left out.
    pub(crate) description: Option<String>,
    /// Its options, such as `version: "2"`.
    pub(crate) options: BTreeMap<String, String>,
}
