//! Taking a change back: record before the change, compare before the undo, restore.
//!
//! ```text
//! apply ── remember ──► Records (durable) ──► the change        undo ── check ──► refused, or ── take_back ──► settle
//! ```
//!
//! `remember` looks at what is about to be changed and has the host keep a copy of a file that is about to be replaced,
//! so that a connection that is cut or an engine that is killed in the middle leaves a state that can be undone. [`check`]
//! compares with what the run left: an aspect that is as it was before needs nothing, one that is as the run left it is
//! taken back, and anything else was changed by somebody since and is refused. Aspects that the run did not change are not
//! looked at.

use async_trait::async_trait;

use super::exec::{look, look_well};
use super::{
    Difference, Means, ResourceError, apt_repository, authorized_keys, container, directory,
    download, edit, file, firewall, group, hostname, kernel_module, mount, package, setting,
    supervised, swap, sysctl, systemd, template, timezone, user,
};
use crate::domain::resource::Resource;
use crate::domain::undo::{Before, FileBefore, UnitBefore, Was};
use crate::transport::{Command, Host};

/// Takes down what was there before a change.
#[async_trait]
pub trait Records: Send + Sync {
    /// The name, made of a directory and a file (`RUN/TASK-POSITION`), under which the host keeps what the resource at
    /// `position` of the task replaces; `None` when nothing is to be recorded, or was recorded by an earlier attempt: what
    /// was there before the first one is what counts.
    async fn name(&self, position: u32) -> Option<String>;

    /// Stores a record; returns when it is durable.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored; the change must not be made then.
    async fn record(&self, position: u32, before: &Before) -> Result<(), String>;
}

/// Records nothing, for what shall not be taken back itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoRecords;

#[async_trait]
impl Records for NoRecords {
    async fn name(&self, _: u32) -> Option<String> {
        None
    }

    async fn record(&self, _: u32, _: &Before) -> Result<(), String> {
        Ok(())
    }
}

/// What taking a record back would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Back {
    /// What would change; none when everything is as it was before the run.
    pub difference: Difference,
    /// Why it is not taken back: somebody changed it since. Taking it back all the same overwrites that.
    pub refused: Option<String>,
}

impl Back {
    pub(super) fn note(&mut self, change: impl Into<String>) {
        self.difference.note(change);
    }
}

/// Records what `resource` is like, before it is changed.
pub(super) async fn remember(
    resource: &Resource,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let Some(name) = means.records.name(means.position).await else {
        return Ok(());
    };
    let before = match resource {
        Resource::File(spec) => file::undo::remember(spec, &name, host, means).await?,
        Resource::Download(spec) => download::remember(spec, &name, host, means).await?,
        Resource::Directory(spec) => directory::remember(spec, host, means).await?,
        Resource::Package(spec) => Some(package::undo::remember(spec, host, means).await?),
        Resource::SystemdUnit(spec) => systemd::undo::remember(spec, &name, host, means).await?,
        Resource::Line(spec) => edited(spec, &name, host, means).await?,
        Resource::Block(spec) => edited(spec, &name, host, means).await?,
        Resource::Hosts(spec) => edited(spec, &name, host, means).await?,
        Resource::Template(spec) => {
            file::undo::remember(&template::file(spec), &name, host, means).await?
        }
        Resource::User(spec) => Some(user::remember(spec, host, means).await?),
        Resource::Group(spec) => Some(group::remember(spec, host, means).await?),
        Resource::AuthorizedKeys(spec) => {
            authorized_keys::remember(spec, &name, host, means).await?
        }
        Resource::AptRepository(spec) => {
            Some(apt_repository::remember(spec, &name, host, means).await?)
        }
        Resource::Hostname(spec) => Some(hostname::remember(spec, host, means).await?),
        Resource::Timezone(spec) => Some(timezone::remember(spec, host, means).await?),
        Resource::Sysctl(spec) => Some(sysctl::remember(spec, &name, host, means).await?),
        Resource::KernelModule(spec) => {
            Some(kernel_module::remember(spec, &name, host, means).await?)
        }
        Resource::Swap(spec) => Some(swap::remember(spec, &name, host, means).await?),
        Resource::Mount(spec) => Some(mount::remember(spec, &name, host, means).await?),
        Resource::Container(spec) => container::remember(spec, host, means).await?,
        Resource::Firewall(spec) => firewall::remember(spec, host, means).await?,
        // A boot leaves nothing behind that could be taken back.
        Resource::Reboot(_) => None,
        Resource::Command(_) => Some(Before::Command {
            label: resource.label(),
        }),
    };
    // What apply will refuse leaves nothing to take back.
    let Some(before) = before else {
        return Ok(());
    };
    means
        .records
        .record(means.position, &before)
        .await
        .map_err(|reason| {
            ResourceError::Unfit(format!(
                "not changed, because what is there could not be recorded: {reason}"
            ))
        })
}

async fn edited(
    edit: &dyn edit::Edit,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let file = edit::remember(edit, name, host, means).await?;
    Ok(file.map(Before::File))
}

/// Compares what is there with what the run found and with what it left. Changes nothing.
///
/// # Errors
/// [`ResourceError`] when the state cannot be seen.
pub async fn check(
    before: &Before,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    match before {
        Before::File(file) => file::undo::check(file, host, means).await,
        Before::Directory(directory) => directory::check_undo(directory, host, means).await,
        Before::Package(package) => package::undo::check(package, host, means).await,
        Before::Unit(unit) if unit.supervised => supervised::undo::check(unit, host, means).await,
        Before::Unit(unit) => systemd::undo::check(unit, host, means).await,
        Before::User(user) => user::check_undo(user, host, means).await,
        Before::Group(group) => group::check_undo(group, host, means).await,
        Before::AptRepository(before) => apt_repository::check_undo(before, host, means).await,
        Before::Hostname(hostname) => hostname::check_undo(hostname, host, means).await,
        Before::Timezone(timezone) => timezone::check_undo(timezone, host, means).await,
        Before::Setting(before) => setting::check_undo(before, host, means).await,
        Before::Container(before) => container::check_undo(before, host, means).await,
        Before::Firewall(before) => firewall::check_undo(before, host, means).await,
        Before::Unpacked(before) => download::check_undo(before, host, means).await,
        Before::Command { .. } => Ok(Back::default()),
    }
}

/// Brings back what was there, whatever is there now; the caller has asked [`check`] and thought about its answer.
///
/// # Errors
/// [`ResourceError`] when it could not be brought back; what was done before stays.
pub async fn take_back(
    before: &Before,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match before {
        Before::File(file) => file::undo::take_back(file, host, means).await,
        Before::Directory(directory) => directory::take_back(directory, host, means).await,
        Before::Package(package) => package::undo::take_back(package, host, means).await,
        Before::Unit(unit) if unit.supervised => {
            supervised::undo::take_back(unit, host, means).await
        }
        Before::Unit(unit) => systemd::undo::take_back(unit, host, means).await,
        Before::User(user) => user::take_back(user, host, means).await,
        Before::Group(group) => group::take_back(group, host, means).await,
        Before::AptRepository(before) => apt_repository::take_back(before, host, means).await,
        Before::Hostname(hostname) => hostname::take_back(hostname, host, means).await,
        Before::Timezone(timezone) => timezone::take_back(timezone, host, means).await,
        Before::Setting(before) => setting::take_back(before, host, means).await,
        Before::Container(before) => container::take_back(before, host, means).await,
        Before::Firewall(before) => firewall::take_back(before, host, means).await,
        Before::Unpacked(before) => download::take_back(before, host, means).await,
        Before::Command { .. } => Ok(()),
    }
}

/// Lets a unit that ran before run again, with the files it reads as they are again ([`Means::changed`] names those that
/// came back). Called when everything of a task was taken back.
///
/// # Errors
/// [`ResourceError`] when it does not run.
pub async fn settle(
    unit: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if !unit.was.active {
        return Ok(());
    }
    if unit.supervised {
        supervised::undo::settle(unit, host, means).await
    } else {
        systemd::undo::settle(unit, host, means).await
    }
}

/// Removes the copy that the host keeps for `before`: what it was kept for is done.
///
/// # Errors
/// [`ResourceError`] when the host is out of reach.
pub async fn forget(
    before: &Before,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for kept in kept_by(before) {
        look_well(host, ["rm", "-f", kept], means.cancel).await?;
        if let Some((folder, _)) = kept.rsplit_once('/') {
            // The last one out; other copies of the run may still be there.
            look(host, &Command::new(["rmdir", folder]), means.cancel).await?;
        }
    }
    Ok(())
}

fn kept_by(before: &Before) -> Vec<&str> {
    let files: Vec<&FileBefore> = match before {
        Before::File(file) => vec![file],
        Before::Unit(unit) => unit.file.iter().collect(),
        Before::Setting(setting) => setting.files.iter().collect(),
        Before::Unpacked(unpacked) => unpacked.file.iter().collect(),
        Before::AptRepository(before) => before.sources.iter().chain(&before.keyring).collect(),
        _ => Vec::new(),
    };
    let kept = files.into_iter().filter_map(|file| match &file.was {
        Was::File { kept, .. } => kept.as_deref(),
        Was::Absent { .. } | Was::Link { .. } => None,
    });
    kept.collect()
}

/// The paths that taking `before` back writes or removes.
pub fn path_of(before: &Before) -> Option<&str> {
    match before {
        Before::File(file) => Some(&file.path),
        Before::Unit(unit) => unit.file.as_ref().map(|file| file.path.as_str()),
        _ => None,
    }
}

/// Whether one of the files that `unit` reads has come back.
pub(super) fn reads_changed(unit: &UnitBefore, means: &Means<'_>) -> bool {
    let own = unit.file.iter().map(|file| file.path.as_str());
    let mut reads = unit.reads.iter().map(String::as_str).chain(own);
    reads.any(|path| means.changed.iter().any(|changed| changed == path))
}

/// The directories above and including `path` that do not exist, the deepest first.
pub(super) async fn missing_directories(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Vec<String>, ResourceError> {
    let mut missing = Vec::new();
    let mut at = path.trim_end_matches('/');
    while !at.is_empty() && super::stat::see(at, host, means).await?.is_none() {
        missing.push(at.to_owned());
        at = at.rsplit_once('/').map_or("", |(above, _)| above);
    }
    Ok(missing)
}

/// Removes directories, the deepest first, up to the first that is not empty; says which stay.
pub(super) async fn remove_empty(
    made: &[String],
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for path in made {
        if super::stat::see(path, host, means).await?.is_none() {
            continue;
        }
        let command = Command::new(["rmdir", path]);
        let output = look(host, &command, means.cancel).await?;
        if !output.exit.success() {
            means
                .note(format!(
                    "{path} stays: {}",
                    output.complaint().lines().next().unwrap_or("it is in use")
                ))
                .await;
            break;
        }
    }
    Ok(())
}

/// Where the host keeps what is replaced: root's own directory, or one of the login user where nobody becomes root.
pub(super) async fn keep_directory(
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<String, ResourceError> {
    let id = look_well(host, ["id", "-u"], means.cancel).await?;
    if id.trim() == "0" {
        return Ok("/var/lib/quarterdeck".into());
    }
    let home = look_well(host, ["printenv", "HOME"], means.cancel).await?;
    let home = home.trim();
    super::stat::check_path(home)?;
    Ok(format!(
        "{}/.local/state/quarterdeck",
        home.trim_end_matches('/')
    ))
}

#[cfg(test)]
mod tests;
