//! Resources: declared states of a host.
//!
//! One enum, and per family a file with the declarations: their fields are what is written in a recipe. How a state is
//! looked at, brought about and taken back is the business of the room `resources`.

mod files;
mod packages;
mod units;

pub use files::{DirectorySpec, DownloadSpec, FileSpec};
pub use packages::PackageSpec;
pub use units::{CommandSpec, UnitSpec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

impl Resource {
    /// What kind it is, as it is written in the recipe.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Directory(_) => "directory",
            Self::Download(_) => "download",
            Self::Package(_) => "package",
            Self::SystemdUnit(_) => "systemd_unit",
            Self::Command(_) => "command",
        }
    }

    /// What log lines and previews call it, such as `file /etc/hosts`.
    pub fn label(&self) -> String {
        match self {
            Self::File(FileSpec { path, .. })
            | Self::Directory(DirectorySpec { path, .. })
            | Self::Download(DownloadSpec { path, .. }) => format!("{} {path}", self.word()),
            Self::Package(package) => format!("package {}", package.name),
            Self::SystemdUnit(unit) => format!("unit {}", unit.name),
            Self::Command(command) => format!("command {}", command.argv.join(" ")),
        }
    }
}

fn root() -> String {
    "root".into()
}

fn yes() -> bool {
    true
}
