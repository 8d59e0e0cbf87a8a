//! Files and directories: what lies where, with whose rights.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::root;

/// See [`Resource::File`](super::Resource::File).
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

/// See [`Resource::Directory`](super::Resource::Directory).
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

/// See [`Resource::Download`](super::Resource::Download).
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
    /// A directory of its own into which it is unpacked, absolute. The name of the source or the path says what kind of
    /// archive it is: `.tar.gz`, `.tgz`, `.tar.xz`, `.txz`, `.tar` or `.zip`; the node needs the program that unpacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpack: Option<String>,
    /// How many leading parts of the paths in the archive are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub strip: u32,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for this signature"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn default_file_mode() -> String {
    "0644".into()
}

fn default_directory_mode() -> String {
    "0755".into()
}
