//! Declared states of a host: observe, compare, bring about, take back.
//!
//! One file per resource; each turns a [`crate::domain::resource::Resource`] into a [`Difference`] by looking at the host,
//! and applies it. Checking changes nothing; applying what needs no change does nothing; a broken connection in the
//! middle leaves the old state or the new one.
//!
//! Needs nothing of a host but SSH and the commands that every Linux has: `stat`, `test`, `cat`, `sha256sum`, `mkdir`,
//! `chmod`, `chown`, `date`, and for what they are about `dpkg`, `apt-get`, `systemctl`, `journalctl`,
//! `useradd` and its kin, `hostname`. Each is sent as
//! an argument vector; no shell script is put together from values. Where a host has no systemd, units run under a small
//! supervisor instead: see [`supervised`].

mod accounts;
mod apt_repository;
mod authorized_keys;
mod block;
mod checksum;
mod command;
mod container;
mod directory;
mod download;
mod edit;
pub mod exec;
mod file;
mod firewall;
mod fstab;
mod group;
mod hostname;
mod hosts;
mod kernel_module;
mod line;
mod looking;
pub(crate) mod meter;
mod mount;
mod openpgp;
mod package;
mod reboot;
mod setting;
mod stat;
pub mod supervised;
mod swap;
mod sysctl;
mod systemd;
mod template;
#[cfg(test)]
pub(crate) mod testing;
mod timezone;
pub mod undo;
mod unit_file;
mod user;

pub use download::{begun, bring, is_at_hand, is_url, kept};

use tokio_util::sync::CancellationToken;

use crate::domain::resource::Resource;
use crate::domain::run::Stream;
use crate::transport::{Host, ReachError};

/// What stands between the declared and the actual state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// One line per change, such as `mode 0600 → 0644`; empty when the host is as declared.
    pub changes: Vec<String>,
    /// Lines of a unified diff of the content, where there is text to compare.
    pub diff: Vec<String>,
}

impl Difference {
    /// Whether the host is as declared.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty()
    }

    fn note(&mut self, change: impl Into<String>) {
        self.changes.push(change.into());
    }
}

/// Why a resource could not be checked or applied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResourceError {
    /// The host is out of reach.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A command on the host failed.
    #[error("{command}: {exit}: {complaint}")]
    Failed {
        /// The command, quoted.
        command: String,
        /// How it ended.
        exit: String,
        /// The last it said.
        complaint: String,
    },
    /// What was fetched here cannot be used.
    #[error("{reason}")]
    Fetch {
        /// What happened and what to do.
        reason: String,
        /// Whether trying again may help.
        passing: bool,
    },
    /// The declaration cannot be brought about on this host.
    #[error("{0}")]
    Unfit(String),
}

impl ResourceError {
    /// Whether trying again later may help without anybody doing anything.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Reach(error) => error.is_passing(),
            Self::Fetch { passing, .. } => *passing,
            // A mirror that is away, a lock that is held: which command fails for good, nobody can tell from outside.
            Self::Failed { .. } => true,
            Self::Unfit(_) => false,
        }
    }
}

/// What a resource may use besides the host.
pub struct Means<'a> {
    /// Says what is being done, line by line.
    pub log: &'a dyn Log,
    /// Stops the work.
    pub cancel: &'a CancellationToken,
    /// Where downloads are kept, by checksum.
    pub cache: &'a std::path::Path,
    /// Whether nothing may be fetched.
    pub offline: bool,
    /// Paths on the host that this task has changed, or would in a dry run: units that read them are restarted.
    pub changed: &'a [String],
    /// Takes down what was there before a change.
    pub records: &'a dyn undo::Records,
    /// The resource's position within its step, from 0: where its record belongs.
    pub position: u32,
}

impl Means<'_> {
    async fn note(&self, text: impl Into<String>) {
        self.log.line(Stream::Note, text.into()).await;
    }
}

/// Takes lines of a log; awaiting in `line` slows the writer down.
#[async_trait::async_trait]
pub trait Log: Send + Sync {
    /// Takes one line.
    async fn line(&self, stream: Stream, text: String);
}

/// Compares the declared state with the host's.
///
/// What is missing is a difference, not an error: in a dry run the package that brings a user or a unit is not installed
/// yet.
///
/// # Errors
/// [`ResourceError`] when the state cannot be seen.
pub async fn check(
    resource: &Resource,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    // Whatever a resource does to find out, it cannot change anything by it.
    let host = &looking::Looking::at(host, resource);
    match resource {
        Resource::File(spec) => file::check(spec, host, means).await,
        Resource::Directory(spec) => directory::check(spec, host, means).await,
        Resource::Download(spec) => download::check(spec, host, means).await,
        Resource::Package(spec) => package::check(spec, host, means).await,
        Resource::SystemdUnit(spec) => systemd::check(spec, host, means).await,
        Resource::Line(spec) => edit::check(spec, host, means).await,
        Resource::Block(spec) => edit::check(spec, host, means).await,
        Resource::Hosts(spec) => edit::check(spec, host, means).await,
        Resource::Template(spec) => file::check(&template::file(spec), host, means).await,
        Resource::User(spec) => user::check(spec, host, means).await,
        Resource::Group(spec) => group::check(spec, host, means).await,
        Resource::AuthorizedKeys(spec) => authorized_keys::check(spec, host, means).await,
        Resource::AptRepository(spec) => apt_repository::check(spec, host, means).await,
        Resource::Hostname(spec) => hostname::check(spec, host, means).await,
        Resource::Timezone(spec) => timezone::check(spec, host, means).await,
        Resource::Sysctl(spec) => sysctl::check(spec, host, means).await,
        Resource::KernelModule(spec) => kernel_module::check(spec, host, means).await,
        Resource::Swap(spec) => swap::check(spec, host, means).await,
        Resource::Mount(spec) => mount::check(spec, host, means).await,
        Resource::Container(spec) => container::check(spec, host, means).await,
        Resource::Firewall(spec) => firewall::check(spec, host, means).await,
        Resource::Reboot(spec) => reboot::check(spec, host, means).await,
        Resource::Command(spec) => command::check(spec, host, means).await,
    }
}

/// Brings about what `difference` (a fresh answer of [`check`]) says is missing, once what is there now is on record
/// ([`Means::records`]).
///
/// # Errors
/// [`ResourceError`] when it could not be brought about; what was done before stays.
pub async fn apply(
    resource: &Resource,
    difference: &Difference,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if difference.is_none() {
        return Ok(());
    }
    undo::remember(resource, host, means).await?;
    match resource {
        Resource::File(spec) => file::apply(spec, host, means).await,
        Resource::Directory(spec) => directory::apply(spec, host, means).await,
        Resource::Download(spec) => download::apply(spec, host, means).await,
        Resource::Package(spec) => package::apply(spec, host, means).await,
        Resource::SystemdUnit(spec) => systemd::apply(spec, host, means).await,
        Resource::Line(spec) => edit::apply(spec, host, means).await,
        Resource::Block(spec) => edit::apply(spec, host, means).await,
        Resource::Hosts(spec) => edit::apply(spec, host, means).await,
        Resource::Template(spec) => file::apply(&template::file(spec), host, means).await,
        Resource::User(spec) => user::apply(spec, host, means).await,
        Resource::Group(spec) => group::apply(spec, host, means).await,
        Resource::AuthorizedKeys(spec) => authorized_keys::apply(spec, host, means).await,
        Resource::AptRepository(spec) => apt_repository::apply(spec, host, means).await,
        Resource::Hostname(spec) => hostname::apply(spec, host, means).await,
        Resource::Timezone(spec) => timezone::apply(spec, host, means).await,
        Resource::Sysctl(spec) => sysctl::apply(spec, host, means).await,
        Resource::KernelModule(spec) => kernel_module::apply(spec, host, means).await,
        Resource::Swap(spec) => swap::apply(spec, host, means).await,
        Resource::Mount(spec) => mount::apply(spec, host, means).await,
        Resource::Container(spec) => container::apply(spec, host, means).await,
        Resource::Firewall(spec) => firewall::apply(spec, host, means).await,
        Resource::Reboot(spec) => reboot::apply(spec, host, means).await,
        Resource::Command(spec) => command::apply(spec, host, means).await,
    }
}

/// What is wrong with a declaration on any host, as far as that can be said before its templates are rendered; for the
/// reader of recipes.
pub fn fault(resource: &Resource) -> Option<String> {
    match resource {
        Resource::Line(spec) => line::fault(spec).map(Into::into),
        Resource::Block(spec) => block::fault(spec),
        Resource::AuthorizedKeys(spec) => authorized_keys::fault(spec),
        Resource::AptRepository(spec) => apt_repository::fault(spec),
        Resource::Package(spec) => package::fault(spec),
        // Everything else that these look at may stand in a template.
        _ if has_template(resource) => None,
        Resource::Sysctl(spec) => sysctl::fault(spec),
        Resource::KernelModule(spec) => kernel_module::fault(spec),
        Resource::Swap(spec) => swap::fault(spec),
        Resource::Mount(spec) => mount::fault(spec),
        Resource::Container(spec) => container::fault(spec),
        Resource::Firewall(spec) => firewall::fault(spec),
        Resource::Reboot(spec) => reboot::deadline(spec).err(),
        _ => None,
    }
}

fn has_template(resource: &Resource) -> bool {
    serde_json::to_string(resource).is_ok_and(|text| text.contains("{{") || text.contains("{%"))
}

/// Whether applying it well is all the proof there is: to look once more would ask for it once more.
pub const fn proves_itself(resource: &Resource) -> bool {
    matches!(resource, Resource::Reboot(_))
}
