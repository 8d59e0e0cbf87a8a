//! Text within files: single lines, marked blocks, rendered templates, entries of `/etc/hosts`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files::default_file_mode;
use super::{Presence, root};

/// See [`Resource::Line`](super::Resource::Line).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    /// Absolute path on the node.
    pub path: String,
    /// The line, without a line break. Needed unless lines are to be absent by `regexp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Which line it takes the place of: the last one that matches; or, with `state: absent`, which lines go: all that
    /// match. Matches anywhere in a line unless it is anchored with `^` and `$`. Without it the line itself is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
    /// Whether the line shall be there.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// Where a new line goes: after the last line that matches. At the end of the file where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_after: Option<String>,
    /// Where a new line goes: before the last line that matches, or at the beginning of the file for `BOF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_before: Option<String>,
    /// Whether a file that does not exist is made (`0644 root:root`); otherwise that is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
}

/// See [`Resource::Block`](super::Resource::Block).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockSpec {
    /// Absolute path on the node.
    pub path: String,
    /// What the block is called in its markers, so that a file may hold several.
    pub name: String,
    /// The lines between the markers. Needed unless the block is to be absent.
    #[serde(default)]
    pub content: String,
    /// Whether the block shall be there.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
    /// What a comment begins with in this kind of file.
    #[serde(default = "default_comment")]
    pub comment: String,
    /// What a comment ends with, such as `-->`; most kinds of file need nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment_end: String,
    /// Where a new block goes: after the last line that matches. At the end of the file where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_after: Option<String>,
    /// Where a new block goes: before the last line that matches, or at the beginning of the file for `BOF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_before: Option<String>,
    /// Whether a file that does not exist is made (`0644 root:root`); otherwise that is an error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
}

/// See [`Resource::Template`](super::Resource::Template).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSpec {
    /// Absolute path on the node.
    pub path: String,
    /// A MiniJinja template under the workspace's `files/` directory, such as `haproxy.cfg.j2`.
    pub source: String,
    /// What is in it: read from `source` when the recipe is, so that a plan holds what it was made from. Not written in
    /// recipes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(skip)]
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

/// See [`Resource::Hosts`](super::Resource::Hosts).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostsSpec {
    /// An IPv4 or IPv6 address.
    pub address: String,
    /// The names for it, the canonical one first. With `state: absent` none means every name of the address.
    #[serde(default)]
    pub names: Vec<String>,
    /// Whether the names shall lead to the address.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
}

fn default_comment() -> String {
    "#".into()
}
