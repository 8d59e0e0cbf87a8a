//! Who may work on a node: users, groups, and the keys that let them in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Presence, yes};

/// See [`Resource::User`](super::Resource::User).
///
/// What is not declared is left as it is, or to `useradd` for a new user. A new user has no password: a key lets him in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a word of the recipe, and they are independent"
)]
pub struct UserSpec {
    /// The login name.
    pub name: String,
    /// Whether there shall be such a user.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// User id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Primary group; a new user gets one of his own name without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Groups he is a member of besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether he is a member of no other groups than those.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_these_groups: bool,
    /// Full name, or what the account is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Home directory; what is in an old one is not moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Whether a new user's home directory is made, unless it is a `system` user's.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub create_home: bool,
    /// Login shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Whether a new user is one of the system, with a low id, for a service and not for a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// Whether the account is closed: neither a password nor a key lets anybody in. It is made to have expired, so that the
    /// password is there again once it is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked: Option<bool>,
    /// Whether an absent user's home directory and mail go, too; that cannot be undone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_home: bool,
}

/// See [`Resource::Group`](super::Resource::Group).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// The group's name.
    pub name: String,
    /// Whether there shall be such a group.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// Group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Whether a new group is one of the system, with a low id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
}

/// See [`Resource::AuthorizedKeys`](super::Resource::AuthorizedKeys).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizedKeysSpec {
    /// Whose keys; the user must exist.
    pub user: String,
    /// Public keys as `ssh-keygen` writes them, with options in front where they are wanted (sshd(8), `AUTHORIZED_KEYS` FILE
    /// FORMAT). A key that is declared without options keeps those that it has.
    pub keys: Vec<String>,
    /// Whether these keys let him in.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// Whether every other key goes. Mind the one that Quarterdeck itself comes with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// The file; `.ssh/authorized_keys` in his home directory without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}
