//! Resources: declared states of a host.
//!
//! One enum, and per family a file with the declarations: their fields are what is written in a recipe. How a state is
//! looked at, brought about and taken back is the business of the room `resources`.

mod accounts;
mod declared;
mod files;
mod identity;
mod packages;
mod system;
mod text;
mod units;

pub use accounts::{AuthorizedKeysSpec, GroupSpec, UserSpec};
pub use declared::Declared;
pub use files::{DirectorySpec, DownloadSpec, FileSpec};
pub use identity::{HostnameSpec, TimezoneSpec};
pub use packages::{AptRepositorySpec, BringSpec, PackageManager, PackageSpec, SnapSpec};
pub use system::{
    ContainerEngine, ContainerSpec, FirewallPolicy, FirewallSpec, KernelModuleSpec, MountSpec,
    RebootCause, RebootSpec, RestartPolicy, SwapSpec, SysctlSpec,
};
pub use text::{BlockSpec, HostsSpec, LineSpec, TemplateSpec};
pub use units::{CommandSpec, UnitSpec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::words;

words! {
    /// Whether something shall be there.
    #[derive(Default)]
    pub enum Presence {
        /// It shall be there as declared.
        #[default]
        Present = "present",
        /// It shall not be there.
        Absent = "absent",
    }
}

impl Presence {
    /// Whether it shall be there.
    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for this signature"
    )]
    pub const fn is_present(&self) -> bool {
        matches!(self, Self::Present)
    }
}

/// A declared state on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Resource {
    /// A file with this content.
    File(FileSpec),
    /// A directory.
    Directory(DirectorySpec),
    /// One line of a text file.
    Line(LineSpec),
    /// Lines of a text file between two markers.
    Block(BlockSpec),
    /// A file rendered from a template of the workspace.
    Template(TemplateSpec),
    /// Names for an address in `/etc/hosts`.
    Hosts(HostsSpec),
    /// The node's own name.
    Hostname(HostnameSpec),
    /// The node's time zone.
    Timezone(TimezoneSpec),
    /// A file that is fetched where the engine is, checked, and pushed to the node.
    Download(DownloadSpec),
    /// A user of the node.
    User(UserSpec),
    /// A group of the node.
    Group(GroupSpec),
    /// The keys that let a user in.
    AuthorizedKeys(AuthorizedKeysSpec),
    /// A source of Debian packages.
    AptRepository(AptRepositorySpec),
    /// An installed package.
    Package(PackageSpec),
    /// A systemd unit.
    SystemdUnit(UnitSpec),
    /// A parameter of the kernel.
    Sysctl(SysctlSpec),
    /// A module of the kernel.
    KernelModule(KernelModuleSpec),
    /// A swap file.
    Swap(SwapSpec),
    /// A mounted directory.
    Mount(MountSpec),
    /// A container of docker or podman.
    Container(ContainerSpec),
    /// The firewall, by ufw.
    Firewall(FirewallSpec),
    /// A reboot, and the wait until the node is back.
    Reboot(RebootSpec),
    /// A command that is run when its condition says so.
    Command(CommandSpec),
}

impl Resource {
    /// What kind it is, as it is written in the recipe.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Directory(_) => "directory",
            Self::Line(_) => "line",
            Self::Block(_) => "block",
            Self::Template(_) => "template",
            Self::Hosts(_) => "hosts",
            Self::Hostname(_) => "hostname",
            Self::Timezone(_) => "timezone",
            Self::Download(_) => "download",
            Self::User(_) => "user",
            Self::Group(_) => "group",
            Self::AuthorizedKeys(_) => "authorized_keys",
            Self::AptRepository(_) => "apt_repository",
            Self::Package(_) => "package",
            Self::SystemdUnit(_) => "systemd_unit",
            Self::Sysctl(_) => "sysctl",
            Self::KernelModule(_) => "kernel_module",
            Self::Swap(_) => "swap",
            Self::Mount(_) => "mount",
            Self::Container(_) => "container",
            Self::Firewall(_) => "firewall",
            Self::Reboot(_) => "reboot",
            Self::Command(_) => "command",
        }
    }

    /// What log lines and previews call it, such as `file /etc/hosts`.
    pub fn label(&self) -> String {
        match self {
            Self::File(FileSpec { path, .. })
            | Self::Directory(DirectorySpec { path, .. })
            | Self::Download(DownloadSpec { path, .. })
            | Self::Line(LineSpec { path, .. })
            | Self::Template(TemplateSpec { path, .. }) => format!("{} {path}", self.word()),
            Self::Block(block) => format!("block {} of {}", block.name, block.path),
            Self::Hosts(hosts) => format!("hosts {}", hosts.address),
            Self::Hostname(hostname) => format!("hostname {}", hostname.name),
            Self::Timezone(timezone) => format!("timezone {}", timezone.name),
            Self::User(user) => format!("user {}", user.name),
            Self::Group(group) => format!("group {}", group.name),
            Self::AuthorizedKeys(keys) => format!("authorized_keys of {}", keys.user),
            Self::AptRepository(repository) => format!("apt_repository {}", repository.name),
            Self::Package(package) => format!("package {}", package.name),
            Self::SystemdUnit(unit) => format!("unit {}", unit.name),
            Self::Sysctl(sysctl) => format!("sysctl {}", sysctl.key),
            Self::KernelModule(module) => format!("kernel module {}", module.name),
            Self::Swap(SwapSpec { path, .. }) | Self::Mount(MountSpec { path, .. }) => {
                format!("{} {path}", self.word())
            }
            Self::Container(container) => format!("container {}", container.name),
            Self::Firewall(_) | Self::Reboot(_) => self.word().to_owned(),
            Self::Command(command) => format!("command {}", command.argv.join(" ")),
        }
    }

    /// A file of the workspace that it is made from, and where its text belongs.
    pub fn source(&mut self) -> Option<(&str, &mut String)> {
        match self {
            Self::Template(template) => Some((&template.source, &mut template.content)),
            Self::AptRepository(repository) => {
                Some((repository.key_file.as_deref()?, &mut repository.key))
            }
            _ => None,
        }
    }

    /// The file that it writes, whole or in part: units that read it are restarted.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File(FileSpec { path, .. })
            | Self::Download(DownloadSpec { path, .. })
            | Self::Line(LineSpec { path, .. })
            | Self::Block(BlockSpec { path, .. })
            | Self::Template(TemplateSpec { path, .. }) => Some(path),
            Self::Hosts(_) => Some("/etc/hosts"),
            Self::Hostname(_) => Some("/etc/hostname"),
            Self::Timezone(_) => Some("/etc/localtime"),
            Self::Sysctl(sysctl) => Some(&sysctl.file),
            _ => None,
        }
    }
}

fn root() -> String {
    "root".into()
}

fn yes() -> bool {
    true
}
