//! `environments/*.yaml`: one environment each.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::backups::BackupsEntry;
use super::desired::DesiredEntry;
use super::words::{
    Address, Channel, Marking, Name, Path, Sha256, Url, User, VariableName, Version,
};
use crate::domain::environment::Protection;
use crate::domain::node::{Elevate, Role};
use crate::domain::platform::{Arch, Platform};
use crate::domain::schedule::Missed;
use crate::domain::service::ServiceKind;
use crate::domain::stack::Stack;

/// One environment of a Quarterdeck workspace: its nodes, services, versions and protection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EnvironmentFile", extend("required" = ["environment"]))]
pub(crate) struct EnvironmentFile {
    /// What this environment is.
    pub(crate) environment: Option<About>,
    /// Versions of Canonical's software.
    pub(crate) canonical: Option<Canonical>,
    /// Versions of Consul, Vault and Nomad.
    pub(crate) hashicorp: Option<Hashicorp>,
    /// What works together; recipes see it as `env.variables.integration`.
    pub(crate) integration: Option<Integration>,
    /// Pinned versions of any other software, by name. Quote them: `1.10` without quotes is the number 1.1.
    pub(crate) versions: BTreeMap<String, Version>,
    /// How nodes are reached unless a node says otherwise.
    pub(crate) ssh: Option<Ssh>,
    /// The hosts; at most 4096.
    #[schemars(length(max = 4096))]
    pub(crate) nodes: Vec<NodeEntry>,
    /// The systems to watch and to act on; at most 256.
    #[schemars(length(max = 256))]
    pub(crate) services: Vec<ServiceEntry>,
    /// What the environment runs by itself at set times; at most 256.
    #[schemars(length(max = 256))]
    pub(crate) schedules: Vec<ScheduleEntry>,
    /// How the state of its services and other stores is saved.
    pub(crate) backups: Option<BackupsEntry>,
    /// What services should hold, compared by the drift check; at most 256.
    #[schemars(length(max = 256))]
    pub(crate) desired: Vec<DesiredEntry>,
    /// Packages that you bring along, by software name and architecture.
    pub(crate) artifacts: BTreeMap<String, ArtifactEntry>,
    /// Free values for your own recipes, seen there as `env.variables`. No secrets.
    #[schemars(schema_with = "variables")]
    pub(crate) variables: BTreeMap<String, Value>,
}

fn variables(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "additionalProperties": true })
}

/// What an environment is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
pub(crate) struct About {
    /// Unique within the workspace.
    pub(crate) name: Option<Name>,
    /// A short word shown on every screen, such as PROD.
    pub(crate) marking: Option<Marking>,
    /// How hard it is to change; default: confirm.
    pub(crate) protection: Option<Protection>,
    /// What is installed, in which order; default: hashicorp-canonical when this file has `canonical` or `hashicorp`,
    /// else consul.
    pub(crate) stack: Option<Stack>,
}

/// Versions of Canonical's software.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Canonical {
    /// Release of Ubuntu, such as "22.04".
    pub(crate) ubuntu_version: Option<Version>,
    /// MicroK8s, such as "1.28" or "1.28/stable".
    pub(crate) microk8s_version: Option<Version>,
    /// Snap channel of Juju, such as "stable".
    pub(crate) juju_channel: Option<Channel>,
}

/// Versions of Consul, Vault and Nomad.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Hashicorp {
    /// Consul, such as "1.16".
    pub(crate) consul_version: Option<Version>,
    /// Vault, such as "1.14".
    pub(crate) vault_version: Option<Version>,
    /// Nomad, such as "1.6".
    pub(crate) nomad_version: Option<Version>,
}

/// What works together.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Integration {
    /// Services talk through Consul's mesh.
    pub(crate) service_mesh: Option<bool>,
    /// Workloads get their secrets from Vault.
    pub(crate) secrets_injection: Option<bool>,
    /// Metrics are collected.
    pub(crate) monitoring: Option<bool>,
}

/// How a node is reached by SSH. What is not said here is taken from the operator's `~/.ssh/config`, as `ssh ADDRESS` would;
/// what is said here wins over it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ssh {
    /// Login name; default: `User` of `~/.ssh/config`, else root.
    pub(crate) user: Option<User>,
    /// TCP port; default: `Port` of `~/.ssh/config`, else 22.
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// Private key files to offer, in order, and no others; default: as `~/.ssh/config` says, else the agent's keys and the
    /// usual files of `~/.ssh`.
    pub(crate) identities: Option<Vec<Path>>,
    /// The one file where host keys are pinned; default: as `~/.ssh/config` says, else `~/.ssh/known_hosts` and
    /// `/etc/ssh/ssh_known_hosts`.
    pub(crate) known_hosts: Option<Path>,
    /// The node to go through first, or `none` for a direct way; default: `ProxyJump` of `~/.ssh/config`, else direct.
    pub(crate) jump: Option<Name>,
    /// How the login user becomes root; default: no for root, sudo for anybody else.
    pub(crate) elevate: Option<Elevate>,
    /// Let programs on the node use the operator's ssh-agent; default: `ForwardAgent` of `~/.ssh/config`, else no.
    pub(crate) forward_agent: Option<bool>,
    /// The OpenSSH client configuration to read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`, or `none`.
    pub(crate) config: Option<Path>,
}

/// One host.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Node", extend("required" = ["name", "address", "platform"]))]
pub(crate) struct NodeEntry {
    /// Unique within the environment.
    pub(crate) name: Option<Name>,
    /// Host name or IP address.
    pub(crate) address: Option<Address>,
    /// The kind of machine.
    pub(crate) platform: Option<Platform>,
    /// Processor architecture; needed only where the platform does not fix it.
    pub(crate) arch: Option<Arch>,
    /// What the node is for.
    pub(crate) roles: Vec<Role>,
    /// Free labels, for selection and for schedulers. Values are text.
    pub(crate) labels: BTreeMap<String, String>,
    /// Where this node differs from the environment's `ssh`.
    pub(crate) ssh: Option<Ssh>,
}

/// One system with an API.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Service", extend("required" = ["kind"]))]
pub(crate) struct ServiceEntry {
    /// Unique within the environment; default: the kind.
    pub(crate) name: Option<Name>,
    /// Which adapter speaks to it.
    pub(crate) kind: Option<ServiceKind>,
    /// Base URL of its API.
    pub(crate) url: Option<Url>,
    /// Several base URLs, one per member; default: the usual port on each of its nodes.
    #[schemars(length(min = 1))]
    pub(crate) urls: Option<Vec<Url>>,
    /// The nodes it runs on; default: those whose roles say so.
    pub(crate) nodes: Option<Vec<Name>>,
    /// Login name, for systems that have one.
    pub(crate) user: Option<String>,
    /// Where its token or password can be read.
    pub(crate) secret: Option<SecretEntry>,
    /// PEM file of the authority that signed the endpoint's certificate; default: the system's authorities.
    pub(crate) ca: Option<Path>,
    /// The name of an authority that a recipe makes, such as `consul`; instead of `ca`.
    pub(crate) authority: Option<Name>,
}

/// Where a secret can be read: exactly one of these. Never the secret itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SecretReference", extend("minProperties" = 1, "maxProperties" = 1))]
pub(crate) struct SecretEntry {
    /// An environment variable of the engine.
    pub(crate) env: Option<VariableName>,
    /// A file that only its owner may read (mode 0600).
    pub(crate) file: Option<Path>,
    /// A command, as a list of words, that prints the secret.
    #[schemars(length(min = 1))]
    pub(crate) command: Option<Vec<String>>,
    /// The name of a secret that a recipe makes, such as `consul-management`.
    pub(crate) generated: Option<String>,
}

/// A recipe that runs by itself at set times. Where the environment asks for more than a yes (`typed`, `two-person`),
/// only recipes that read can.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Schedule", extend("required" = ["name", "recipe", "cron"]))]
pub(crate) struct ScheduleEntry {
    /// Unique within the environment.
    pub(crate) name: Option<Name>,
    /// The recipe to run.
    pub(crate) recipe: Option<Name>,
    /// Values for the recipe's parameters. No secrets.
    #[schemars(schema_with = "variables")]
    pub(crate) params: BTreeMap<String, Value>,
    /// Only on these nodes; default: all that the recipe selects.
    pub(crate) on: Vec<Name>,
    /// When: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly.
    pub(crate) cron: Option<String>,
    /// An IANA name such as Europe/Berlin; default: the engine's machine's.
    pub(crate) timezone: Option<String>,
    /// What is done about times that passed while no engine was there; default: run-once.
    pub(crate) missed: Option<Missed>,
    /// Whether it runs at all; default: true.
    pub(crate) enabled: Option<bool>,
}

/// A package by architecture.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Artifact")]
pub(crate) struct ArtifactEntry {
    /// For 64-bit x86.
    pub(crate) amd64: Option<ArtifactFile>,
    /// For 64-bit Arm.
    pub(crate) arm64: Option<ArtifactFile>,
}

/// A file pinned by its checksum.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ArtifactFile", extend("required" = ["source", "sha256"]))]
pub(crate) struct ArtifactFile {
    /// An http(s) URL, or a path relative to this file.
    pub(crate) source: Option<Path>,
    /// Its SHA-256 sum.
    pub(crate) sha256: Option<Sha256>,
}
