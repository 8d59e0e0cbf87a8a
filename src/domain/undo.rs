//! What was there before a run changed it: enough to take the change back, and small enough to be stored.
//!
//! A record never holds the content of a file, which may be secret: the node keeps the replaced file itself, and the record
//! says where, and by which checksum it is known again. Beside what *was* stands what the run was about to *leave*, so that
//! a change which somebody made since is recognised and not overwritten.

mod accounts;
mod identity;
mod packages;
mod system;

use serde::{Deserialize, Serialize};

pub use self::accounts::{Account, GroupBefore, GroupWas, UserBefore};
pub use self::identity::{HostnameBefore, TimezoneBefore};
pub use self::packages::{AptRepositoryBefore, PackageBefore};
pub use self::system::{
    ContainerBefore, FirewallBefore, FirewallState, Setting, SettingBefore, UnpackedBefore,
};

/// What one resource was like before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "resource")]
pub enum Before {
    /// A file, written or downloaded.
    File(FileBefore),
    /// A directory.
    Directory(DirectoryBefore),
    /// A package.
    Package(PackageBefore),
    /// A unit, of systemd or supervised.
    Unit(UnitBefore),
    /// A source of Debian packages.
    AptRepository(AptRepositoryBefore),
    /// A user.
    User(UserBefore),
    /// A group.
    Group(GroupBefore),
    /// The node's name.
    Hostname(HostnameBefore),
    /// The node's time zone.
    Timezone(TimezoneBefore),
    /// A setting of the kernel or a mounted directory, and the files that keep it.
    Setting(SettingBefore),
    /// A container.
    Container(ContainerBefore),
    /// The firewall.
    Firewall(FirewallBefore),
    /// An archive and the directory it was unpacked into.
    Unpacked(UnpackedBefore),
    /// A command that was run: what it did, nobody can tell.
    Command {
        /// The command as the log has it.
        label: String,
    },
}

/// What a task recorded before it changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The task by its position in the run's plan, from 0.
    pub ordinal: u32,
    /// The resource by its position in the step, from 0.
    pub position: u32,
    /// What was there.
    pub before: Before,
}

/// Mode and owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Owning user.
    pub user: String,
    /// Owning group.
    pub group: String,
}

/// A file before it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBefore {
    /// Absolute path on the node.
    pub path: String,
    /// What was there.
    pub was: Was,
    /// SHA-256 of what the run writes, 64 hexadecimal digits; empty when it removes the file.
    pub left: String,
    /// Mode and owner that the run gives it.
    pub left_owned: Owned,
}

/// What was at the path of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Was {
    /// Nothing.
    Absent {
        /// Directories that the run makes for it, the deepest first.
        made: Vec<String>,
    },
    /// A file.
    File {
        /// Its SHA-256.
        sha256: String,
        /// Its mode and owner.
        owned: Owned,
        /// Where the node keeps a copy; `None` when only mode and owner change.
        kept: Option<String>,
    },
    /// A symbolic link.
    Link {
        /// What it led to.
        target: String,
    },
}

/// A directory before it was made or changed hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryBefore {
    /// Absolute path on the node.
    pub path: String,
    /// Its mode and owner; `None` when there was none.
    pub was: Option<Owned>,
    /// Directories that the run makes, the deepest first; empty when there was one.
    pub made: Vec<String>,
    /// Mode and owner that the run gives it.
    pub left: Owned,
}

/// A unit before it was written, enabled, started or stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitBefore {
    /// Its full name.
    pub name: String,
    /// Whether Quarterdeck's supervisor runs it, for want of systemd.
    pub supervised: bool,
    /// Its file, where the run writes one.
    pub file: Option<FileBefore>,
    /// How it was.
    pub was: UnitMode,
    /// How the run leaves it.
    pub left: UnitMode,
    /// Files that it reads when it starts.
    pub reads: Vec<String>,
}

/// Whether a unit runs, now and after a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitMode {
    /// Whether it starts at boot; `None` for units that cannot be enabled.
    pub enabled: Option<bool>,
    /// Whether it runs.
    pub active: bool,
}

impl Before {
    /// What log lines and previews call it, as [`crate::domain::resource::Resource::label`] does.
    pub fn label(&self) -> String {
        match self {
            Self::File(file) => format!("file {}", file.path),
            Self::Directory(directory) => format!("directory {}", directory.path),
            Self::Package(package) => format!("package {}", package.name),
            Self::Unit(unit) => format!("unit {}", unit.name),
            Self::AptRepository(repository) => format!("apt_repository {}", repository.name),
            Self::User(user) => format!("user {}", user.left.name),
            Self::Group(group) => format!("group {}", group.left.name),
            Self::Hostname(hostname) => format!("hostname {}", hostname.left),
            Self::Timezone(timezone) => format!("timezone {}", timezone.left),
            Self::Setting(setting) => setting.setting.label(),
            Self::Container(container) => format!("container {}", container.name),
            Self::Firewall(_) => "firewall".into(),
            Self::Unpacked(unpacked) => format!("unpacked {}", unpacked.folder),
            Self::Command { label } => label.clone(),
        }
    }

    /// What taking it back means, such as `file /etc/motd: removed`; `None` for what cannot be taken back.
    pub fn outlook(&self) -> Option<String> {
        let what = match self {
            Self::File(file) => file.outlook().to_owned(),
            Self::Directory(directory) => match &directory.was {
                None => "removed, where it is empty by then".into(),
                Some(was) => format!("{:04o} {}:{} again", was.mode, was.user, was.group),
            },
            Self::Package(package) => package.outlook(),
            Self::AptRepository(repository) => repository
                .sources
                .as_ref()
                .or(repository.keyring.as_ref())?
                .outlook()
                .to_owned(),
            Self::User(user) => user.outlook().to_owned(),
            Self::Group(group) => group.outlook(),
            Self::Unit(unit) => unit.outlook(),
            Self::Hostname(hostname) => format!("{} again", hostname.was),
            Self::Timezone(timezone) => format!("{} again", timezone.was.as_ref()?),
            Self::Setting(setting) => setting.outlook(),
            Self::Container(container) => container.outlook()?,
            Self::Firewall(firewall) => firewall.outlook(),
            Self::Unpacked(unpacked) => unpacked.outlook(),
            Self::Command { .. } => return None,
        };
        Some(format!("{}: {what}", self.label()))
    }

    /// What stays as the run left it, and why; one sentence each.
    pub fn limits(&self) -> Vec<String> {
        match self {
            Self::Package(package) => package.limits(),
            Self::Command { label } => vec![format!("{label}: what a command did is not known")],
            Self::Timezone(timezone) => timezone.limits(),
            Self::Container(container) => container.limits(),
            Self::Unpacked(unpacked) => unpacked.limits(),
            Self::User(user) => user.limits(),
            _ => Vec::new(),
        }
    }
}

impl FileBefore {
    fn outlook(&self) -> &'static str {
        match &self.was {
            Was::Absent { .. } => "removed",
            Was::File { kept: None, .. } => "mode and owner as before",
            Was::File { .. } => "content as before",
            Was::Link { .. } => "a symbolic link again",
        }
    }
}

impl UnitBefore {
    fn outlook(&self) -> String {
        let mut parts = Vec::new();
        if !self.was.active && self.left.active {
            parts.push("stopped");
        }
        match (self.was.enabled, self.left.enabled) {
            (Some(false), Some(true)) => parts.push("disabled"),
            (Some(true), Some(false)) => parts.push("enabled"),
            _ => {}
        }
        match self.file.as_ref().map(|file| &file.was) {
            None => {}
            Some(Was::Absent { .. }) => parts.push("its file removed"),
            Some(Was::File { .. } | Was::Link { .. }) => parts.push("its file as before"),
        }
        if self.was.active && !self.left.active {
            parts.push("started");
        }
        if parts.is_empty() {
            parts.push("restarted when what it reads comes back");
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(mode: u32) -> Owned {
        Owned {
            mode,
            user: "root".into(),
            group: "root".into(),
        }
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let unit = Before::Unit(UnitBefore {
            name: "consul.service".into(),
            supervised: false,
            file: Some(FileBefore {
                path: "/etc/systemd/system/consul.service".into(),
                was: Was::Absent { made: Vec::new() },
                left: "a".repeat(64),
                left_owned: root(0o644),
            }),
            was: UnitMode {
                enabled: Some(false),
                active: false,
            },
            left: UnitMode {
                enabled: Some(true),
                active: true,
            },
            reads: vec!["/etc/consul.d/quarterdeck.json".into()],
        });
        let text = serde_json::to_string(&unit).unwrap();
        assert_eq!(serde_json::from_str::<Before>(&text).unwrap(), unit);
        assert_eq!(
            unit.outlook().unwrap(),
            "unit consul.service: stopped, disabled, its file removed"
        );
    }

    #[test]
    fn a_command_says_that_it_cannot_be_taken_back() {
        let command = Before::Command {
            label: "command mkfs /dev/sdb".into(),
        };
        assert_eq!(command.outlook(), None);
        assert_eq!(
            command.limits(),
            ["command mkfs /dev/sdb: what a command did is not known"]
        );
    }
}
