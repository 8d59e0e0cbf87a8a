//! What a node says about itself: its name and its time zone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// See [`Resource::Hostname`](super::Resource::Hostname).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostnameSpec {
    /// The name: letters, digits and dashes, at most 64 characters (hostname(7)); dots are allowed and seldom wise.
    pub name: String,
}

/// See [`Resource::Timezone`](super::Resource::Timezone).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimezoneSpec {
    /// A name of the IANA database, such as `Europe/Berlin` or `Etc/UTC`.
    pub name: String,
}
