//! Recipes: pipelines described in YAML, a graph of steps.
//!
//! Strings may hold MiniJinja expressions; they are rendered per host by [`crate::steps`], with the same types before
//! and after.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Risk;
use super::node::Role;
use super::words;

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it is called on the command line.
    pub name: String,
    /// What it does, as a heading.
    pub title: String,
    /// What it does, in a few sentences.
    #[serde(default)]
    pub description: String,
    /// The worst it can do.
    pub risk: Risk,
    /// What kinds of thing it is offered on in the actions menu; it always runs from the command line and the palette.
    #[serde(default)]
    pub offer_on: Vec<Offer>,
    /// Values the operator may give.
    #[serde(default)]
    pub params: Vec<Param>,
    /// The graph.
    pub steps: Vec<Step>,
}

words! {
    /// Where a recipe appears in the actions menu.
    pub enum Offer {
        /// On an environment.
        Environment = "environment",
        /// On one or several nodes.
        Node = "node",
        /// On a service.
        Service = "service",
    }
}

/// A value that the operator may give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// Name within `params`.
    pub name: String,
    /// What it is for.
    pub help: String,
    /// Used when nothing is given; without it the parameter is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// One step. Exactly one of `ensure`, `run`, `local`, `http`, `tcp`, `service` and `report` says what it does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within the recipe.
    pub id: String,
    /// What it does, as a short line.
    pub title: String,
    /// Ids of the steps that must have ended well before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// A MiniJinja expression; the step is skipped where it is false. Sees `env`, `node` and `params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Which nodes it runs on; without it the step runs once, where the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Selector>,
    /// How many times to try again after a failure.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// The longest one attempt may take, such as `90s` or `5m`; default 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How many hosts at a time; default: the engine's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Whether it must not be repeated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// Bring these resources into their declared state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensure: Option<Vec<Resource>>,
    /// Run a command on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunCommand>,
    /// Run a command where the engine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<RunCommand>,
    /// Wait until an HTTP endpoint answers as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpWait>,
    /// Wait until a TCP port accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpWait>,
    /// Wait until a service of the environment reports as wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceWait>,
    /// Write a summary of the run into its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Which nodes a step runs on: those that pass every part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Nodes with any of these roles; empty means any node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Nodes with all of these labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Only the first of the selected nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
}

/// A declared state on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Resource {
    /// A file with this content.
    File(FileSpec),
    /// A directory.
    Directory(DirectorySpec),
    /// A file that is fetched where the engine is, checked, and pushed to the node.
    Download(DownloadSpec),
    /// An installed package.
    Package(PackageSpec),
    /// A systemd unit.
    SystemdUnit(UnitSpec),
    /// A command that is run when its condition says so.
    Command(CommandSpec),
}

/// See [`Resource::File`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Absolute path on the node.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Permission bits in octal, such as `"0644"`.
    #[serde(default = "default_file_mode")]
    pub mode: String,
    /// Owning user.
    #[serde(default = "root")]
    pub owner: String,
    /// Owning group.
    #[serde(default = "root")]
    pub group: String,
}

/// See [`Resource::Directory`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectorySpec {
    /// Absolute path on the node.
    pub path: String,
    /// Permission bits in octal, such as `"0755"`.
    #[serde(default = "default_directory_mode")]
    pub mode: String,
    /// Owning user.
    #[serde(default = "root")]
    pub owner: String,
    /// Owning group.
    #[serde(default = "root")]
    pub group: String,
}

/// See [`Resource::Download`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DownloadSpec {
    /// An `http(s)://` URL, or a path where the engine is.
    pub source: String,
    /// SHA-256 of the file, 64 hexadecimal digits.
    pub sha256: String,
    /// Absolute path on the node.
    pub path: String,
    /// Permission bits in octal.
    #[serde(default = "default_file_mode")]
    pub mode: String,
}

/// See [`Resource::Package`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// The package's name.
    pub name: String,
    /// The version, or its beginning up to a `.`, `+`, `-` or `~`; without it any version will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A `.deb` on the node to install from; without it the node's package manager fetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deb: Option<String>,
}

/// See [`Resource::SystemdUnit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// The unit's full name, such as `consul.service`.
    pub name: String,
    /// Content of `/etc/systemd/system/<name>`; without it the unit must exist already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether it should run.
    #[serde(default = "yes")]
    pub started: bool,
    /// Whether it should start at boot.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Files that the unit reads when it starts: it is restarted when one of them is newer than its start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
}

/// See [`Resource::Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// The argument vector.
    pub argv: Vec<String>,
    /// Not run when this command succeeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<String>,
    /// Not run when this path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// The argument vector.
    pub argv: Vec<String>,
    /// Whether it changes anything; a command that does is not run in a dry run, and reports `changed`.
    #[serde(default = "yes")]
    pub changes: bool,
    /// A text that standard output must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// See [`Step::http`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpWait {
    /// What to get.
    pub url: String,
    /// The status wanted.
    #[serde(default = "default_status")]
    pub status: u16,
    /// A regular expression that the body must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// See [`Step::tcp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpWait {
    /// Host name or address.
    pub host: String,
    /// Port, as a number or an expression.
    pub port: String,
}

/// See [`Step::service`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceWait {
    /// Name of a service of the environment.
    pub name: String,
    /// Wait until this many members are well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<String>,
    /// Wait until it has a leader.
    #[serde(default)]
    pub leader: bool,
}

/// See [`Step::report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Text put before the table of tasks.
    #[serde(default)]
    pub text: String,
}

fn root() -> String {
    "root".into()
}
fn default_file_mode() -> String {
    "0644".into()
}
fn default_directory_mode() -> String {
    "0755".into()
}
fn default_status() -> u16 {
    200
}
fn yes() -> bool {
    true
}
