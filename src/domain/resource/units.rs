//! What runs: units of systemd, and commands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::yes;

/// See [`Resource::SystemdUnit`](super::Resource::SystemdUnit).
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

/// See [`Resource::Command`](super::Resource::Command).
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
    /// Run it by itself on the node, so that it goes on while the connection is lost or the engine is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
}
