//! Software: packages and where they come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`Resource::Package`](super::Resource::Package).
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
