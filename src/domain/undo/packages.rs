//! Packages and their sources before they were changed.

use serde::{Deserialize, Serialize};

use super::FileBefore;
use crate::domain::resource::{PackageManager, Presence};

/// A package before it was installed, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageBefore {
    /// Its name.
    pub name: String,
    /// What installs packages there.
    #[serde(default)]
    pub manager: PackageManager,
    /// The version that was installed in full; `None` when there was none.
    pub was: Option<String>,
    /// Whether upgrades left it alone; `None` when the run does not change that.
    #[serde(default)]
    pub was_held: Option<bool>,
    /// The channel that a snap followed.
    #[serde(default)]
    pub was_on: Option<String>,
    /// The version that was declared, or its beginning; `None` when any would do.
    pub left: Option<String>,
    /// Whether the run installs it or removes it.
    #[serde(default)]
    pub left_state: Presence,
    /// Whether the node's package manager fetched it, and with it whatever it needs.
    pub fetched: bool,
}

/// A source of packages before it was written or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AptRepositoryBefore {
    /// Its name.
    pub name: String,
    /// The file that names it; `None` when the run does not change it.
    pub sources: Option<FileBefore>,
    /// Its key; `None` when the run does not change it.
    pub keyring: Option<FileBefore>,
}

impl PackageBefore {
    pub(super) fn outlook(&self) -> String {
        match (&self.was, &self.was_on) {
            (None, _) => "removed".into(),
            (Some(_), Some(channel)) => format!("from channel {channel} again"),
            (Some(version), None) => format!("{version} again"),
        }
    }

    pub(super) fn limits(&self) -> Vec<String> {
        let Self { name, was, .. } = self;
        let one = match (was, self.manager) {
            (None, PackageManager::Apt) if self.fetched => format!(
                "package {name}: its configuration files stay, and so do packages that came along with it (`dpkg --purge \
                 {name}` and `apt-get autoremove` on the node remove them)"
            ),
            (None, PackageManager::Apt) => format!(
                "package {name}: its configuration files stay (`dpkg --purge {name}` on the node removes them)"
            ),
            (None, PackageManager::Dnf) => format!(
                "package {name}: packages that came along with it stay (`dnf autoremove` on the node removes them)"
            ),
            (None, PackageManager::Apk) => return Vec::new(),
            (None, PackageManager::Snap) => format!(
                "package {name}: its data stay as a snapshot (`snap saved` on the node shows it)"
            ),
            (Some(_), PackageManager::Snap) => format!(
                "package {name}: goes back to its channel, which may have another revision by now"
            ),
            (Some(version), _) => format!(
                "package {name}: goes back to {version} only where the node's package sources still have it"
            ),
        };
        vec![one]
    }
}
