//! A mounted directory: mounted now, and by `/etc/fstab` after a boot.
//!
//! It is mounted first and written down afterwards: an entry that cannot be mounted may keep the next boot from ending.
//! What the kernel makes of options is not compared, since it adds its own; an entry whose options differ is mounted
//! again with the new ones. Source: mount(8), fstab(5).

use std::time::Duration;

use super::edit;
use super::exec::{look, look_well, perform, succeeds};
use super::fstab::{Entry, escaped, plain};
use super::stat::{self, Kind};
use super::{Difference, Means, ResourceError, setting};
use crate::domain::resource::MountSpec;
use crate::domain::undo::{Before, Setting};
use crate::transport::{Command, Host};

/// A server that does not answer keeps mount(8) waiting.
const LIMIT: Duration = Duration::from_secs(120);

/// One line of `/proc/mounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    source: String,
    fstype: String,
    options: String,
}

impl Mounted {
    /// As a record holds it: fields with their blanks written as numbers.
    pub(super) fn text(&self) -> String {
        format!("{} {} {}", escaped(&self.source), self.fstype, self.options)
    }

    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        Some(Self {
            source: plain(fields.next()?),
            fstype: fields.next()?.to_owned(),
            options: fields.next()?.to_owned(),
        })
    }
}

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &MountSpec) -> Option<String> {
    let word = |text: &str| {
        !text.is_empty() && !text.contains(char::is_whitespace) && !text.starts_with('-')
    };
    if !word(&spec.fstype) || !word(&spec.options) {
        return Some(format!(
            "mount {}: `fstype` and `options` are one word each, options separated by commas",
            spec.path
        ));
    }
    if spec.source.is_empty() || spec.source.starts_with('-') || spec.source.contains(['\n', '\r'])
    {
        return Some(format!("mount {}: there is no `source`", spec.path));
    }
    None
}

fn sound(spec: &MountSpec) -> Result<(), ResourceError> {
    stat::check_path(&spec.path)?;
    if spec.path.trim_end_matches('/').is_empty() {
        return Err(ResourceError::Unfit(
            "the root file system is not mounted by this".into(),
        ));
    }
    fault(spec).map_or(Ok(()), |reason| Err(ResourceError::Unfit(reason)))
}

fn entry(spec: &MountSpec) -> Entry {
    let value = escaped(&spec.path);
    Entry {
        line: spec.state.is_present().then(|| {
            format!(
                "{} {value} {} {} 0 0",
                escaped(&spec.source),
                spec.fstype,
                spec.options
            )
        }),
        field: 1,
        value,
    }
}

fn is_bind(spec: &MountSpec) -> bool {
    spec.options
        .split(',')
        .any(|option| matches!(option, "bind" | "rbind"))
}

/// Whether what is mounted is what was declared, as far as the kernel's words tell.
fn is_declared(spec: &MountSpec, mounted: &Mounted) -> bool {
    if is_bind(spec) {
        // The kernel names the device and not the directory.
        return true;
    }
    let source = !spec.source.starts_with('/')
        || spec.source.starts_with("/dev/disk/")
        || spec.source == mounted.source;
    let network = spec.fstype == "nfs" && mounted.fstype == "nfs4";
    source && (spec.fstype == "auto" || spec.fstype == mounted.fstype || network)
}

/// What is mounted there, the last over the others.
pub(super) async fn observe(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Mounted>, ResourceError> {
    let text = look_well(host, ["cat", "/proc/mounts"], means.cancel).await?;
    let there = |line: &&str| line.split(' ').nth(1).is_some_and(|at| plain(at) == path);
    Ok(text.lines().rev().find(there).and_then(|line| {
        let mut fields = line.split(' ');
        let source = fields.next()?;
        let rest: Vec<&str> = fields.skip(1).take(2).collect();
        Mounted::read(&format!("{source} {}", rest.join(" ")))
    }))
}

pub(super) async fn check(
    spec: &MountSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    sound(spec)?;
    let mut difference = Difference::default();
    let wanted = format!("{} ({})", spec.source, spec.fstype);
    match (
        observe(&spec.path, host, means).await?,
        spec.state.is_present(),
    ) {
        (None, true) => difference.note(format!("not mounted → {wanted}")),
        (Some(now), false) => {
            difference.note(format!("{} ({}) → not mounted", now.source, now.fstype));
        }
        (Some(now), true) if !is_declared(spec, &now) => {
            difference.note(format!("{} ({}) → {wanted}", now.source, now.fstype));
        }
        _ => {}
    }
    let kept = edit::check(&entry(spec), host, means).await?;
    if !kept.is_none() {
        difference.note(format!("/etc/fstab: {}", kept.changes.join("; ")));
        difference.diff = kept.diff;
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &MountSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    sound(spec)?;
    let kept = edit::check(&entry(spec), host, means).await?;
    match (
        observe(&spec.path, host, means).await?,
        spec.state.is_present(),
    ) {
        (Some(_), false) => unmount(&spec.path, host, means).await?,
        (Some(now), true) if is_declared(spec, &now) => {
            if !kept.is_none() && !is_bind(spec) {
                let options = format!("remount,{}", spec.options);
                let again = Command::new(["mount", "-o", &options, "--", &spec.path]).within(LIMIT);
                perform(host, &again, means).await?;
            }
        }
        (now, true) => {
            if now.is_some() {
                unmount(&spec.path, host, means).await?;
            }
            make_directory(&spec.path, host, means).await?;
            mount(
                &spec.source,
                &spec.fstype,
                &spec.options,
                &spec.path,
                host,
                means,
            )
            .await?;
        }
        (None, false) => {}
    }
    edit::apply(&entry(spec), host, means).await?;
    tell_systemd(host, means).await
}

async fn make_directory(
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match stat::see(path, host, means).await? {
        None => look_well(host, ["mkdir", "-p", path], means.cancel)
            .await
            .map(|_| ()),
        Some(seen) if seen.kind == Kind::Directory => Ok(()),
        Some(seen) => Err(ResourceError::Unfit(format!(
            "{path} is a {} on the node, not a directory: move it away first",
            seen.kind.word()
        ))),
    }
}

async fn mount(
    source: &str,
    fstype: &str,
    options: &str,
    path: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // These say when to mount, and mean nothing to the kernel.
    let now: Vec<&str> = options
        .split(',')
        .filter(|option| {
            !option.starts_with("x-")
                && !matches!(*option, "noauto" | "auto" | "nofail" | "_netdev")
        })
        .collect();
    let options = if now.is_empty() {
        "defaults".to_owned()
    } else {
        now.join(",")
    };
    let command = Command::new(["mount", "-t", fstype, "-o", &options, "--", source, path]);
    perform(host, &command.within(LIMIT), means).await
}

async fn unmount(path: &str, host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    perform(
        host,
        &Command::new(["umount", "--", path]).within(LIMIT),
        means,
    )
    .await
}

/// Brings about what was mounted, as [`Mounted::text`] tells, or nothing.
pub(super) async fn bring(
    path: &str,
    was: Option<&str>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if observe(path, host, means).await?.is_some() {
        unmount(path, host, means).await?;
    }
    match was.and_then(Mounted::read) {
        None => Ok(()),
        Some(was) => mount(&was.source, &was.fstype, &was.options, path, host, means).await,
    }
}

/// systemd makes units of the entries: without a word it goes by the old ones, and may unmount what it does not know.
pub(super) async fn tell_systemd(host: &dyn Host, means: &Means<'_>) -> Result<(), ResourceError> {
    if succeeds(host, ["test", "-d", "/run/systemd/system"], means.cancel).await? {
        look(
            host,
            &Command::new(["systemctl", "daemon-reload"]),
            means.cancel,
        )
        .await?;
    }
    Ok(())
}

pub(super) async fn remember(
    spec: &MountSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Before, ResourceError> {
    let fstab = edit::remember(&entry(spec), name, host, means).await?;
    let now = observe(&spec.path, host, means).await?;
    // What the kernel will make of the options, nobody knows before.
    let left = match (&now, spec.state.is_present()) {
        (Some(now), true) if is_declared(spec, now) => Some(now.text()),
        (_, true) => Some(format!(
            "{} {} {}",
            escaped(&spec.source),
            spec.fstype,
            spec.options
        )),
        (_, false) => None,
    };
    let path = spec.path.clone();
    setting::record(
        Setting::Mount { path },
        [fstab.map(Before::File)],
        left,
        host,
        means,
    )
    .await
}

/// Whether what is mounted now is what a run left, of which the record knows source and kind.
pub(super) fn is_left(left: Option<&str>, now: Option<&str>) -> bool {
    let parts = |text: Option<&str>| text.and_then(Mounted::read);
    match (parts(left), parts(now)) {
        (None, None) => true,
        (Some(left), Some(now)) => {
            let bind = left.fstype == "none";
            bind || left.fstype == now.fstype
                || left.fstype == "auto"
                || now.fstype.starts_with(&left.fstype)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
