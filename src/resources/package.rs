//! An installed package, whatever the host's package manager is.
//!
//! | Host has | Looked at with | Changed with |
//! |---|---|---|
//! | dpkg (Debian, Ubuntu …) | `dpkg-query` | `apt-get`, `dpkg` |
//! | rpm (Fedora, RHEL …) | `rpm` | `dnf` |
//! | apk (Alpine) | `apk info` | `apk` |
//! | snapd, when `snap` is declared | `snap list` | `snap` |
//!
//! A package counts as installed only when its manager says so in full: one that was unpacked and not configured does not.

mod apk;
pub(super) mod apt;
mod dnf;
mod snap;

use std::time::Duration;

use super::exec::{Relay, look_well, succeeds};
use super::{Difference, Means, ResourceError, download};
use crate::domain::resource::{DownloadSpec, PackageManager, PackageSpec, Presence};
use crate::transport::{Command, Host};

/// Unpacking on a slow card takes minutes; the step's own limit is usually the shorter one.
const INSTALL_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Where packages that are brought lie until they are installed.
const BROUGHT: &str = "/var/cache/quarterdeck";

/// What the manager knows of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Missing,
    Installed(Installed),
    /// Anything in between, with dpkg's abbreviation, such as `iU`.
    Broken(String),
}

/// A package that is installed in full.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Installed {
    /// The whole version.
    version: String,
    /// Whether upgrades leave it alone; `None` when that was not looked at.
    held: Option<bool>,
    /// The channel that a snap follows.
    channel: Option<String>,
}

/// Chooses the manager and asks it.
pub(super) async fn observe(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(PackageManager, State), ResourceError> {
    check_name(&spec.name)?;
    let name = &spec.name;
    if spec.snap.is_some() {
        return match snap::observe(name, host, means).await? {
            Some(state) => Ok((PackageManager::Snap, state)),
            None => Err(ResourceError::Unfit(format!(
                "package {name}: this host has no snapd; install the package snapd first"
            ))),
        };
    }
    if let Some(state) = apt::observe(name, host, means).await?
        && (state != State::Missing || !only_has_dnf(host, means).await?)
    {
        return Ok((PackageManager::Apt, state));
    }
    if let Some(state) = dnf::observe(name, spec.hold.is_some(), host, means).await? {
        return Ok((PackageManager::Dnf, state));
    }
    if let Some(state) = apk::observe(name, host, means).await? {
        return Ok((PackageManager::Apk, state));
    }
    Err(ResourceError::Unfit(format!(
        "package {name}: this host has no dpkg, no rpm and no apk; install it by hand, or bring the program with a download \
         resource"
    )))
}

/// Fedora has a package of dpkg, for building Debian's: it knows of nothing there.
async fn only_has_dnf(host: &dyn Host, means: &Means<'_>) -> Result<bool, ResourceError> {
    Ok(
        succeeds(host, ["test", "-x", "/usr/bin/dnf"], means.cancel).await?
            && !succeeds(host, ["test", "-x", "/usr/bin/apt-get"], means.cancel).await?,
    )
}

/// Whether `installed` is the declared version: it, or one that goes on after a separator. An epoch (`1:`) counts only
/// when it is declared.
pub(super) fn is_version(installed: &str, declared: &str) -> bool {
    let without_epoch = installed
        .split_once(':')
        .map_or(installed, |(_, rest)| rest);
    let candidate = if declared.contains(':') {
        installed
    } else {
        without_epoch
    };
    candidate
        .strip_prefix(declared)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+', '-', '~']))
}

/// What of an installed package differs, with words for the log.
fn wrong_version(spec: &PackageSpec, is: &Installed) -> Option<String> {
    let declared = spec.version.as_ref()?;
    (!is_version(&is.version, declared)).then(|| format!("{} → {declared}", is.version))
}

fn wrong_channel(spec: &PackageSpec, is: &Installed) -> Option<String> {
    let declared = spec.snap.as_ref()?.channel.as_deref()?;
    let is = is.channel.as_deref().unwrap_or("no channel");
    (!snap::is_channel(is, declared)).then(|| format!("channel {is} → {declared}"))
}

fn wrong_hold(spec: &PackageSpec, is: Option<&Installed>) -> Option<&'static str> {
    let declared = spec.hold?;
    let is = is.and_then(|is| is.held).unwrap_or_default();
    match (is, declared) {
        (false, true) => Some("not held → held"),
        (true, false) => Some("held → not held"),
        _ => None,
    }
}

pub(super) async fn check(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    if let Some(reason) = fault(spec) {
        return Err(ResourceError::Unfit(reason));
    }
    let mut difference = Difference::default();
    let (manager, state) = observe(spec, host, means).await?;
    if !spec.state.is_present() {
        match state {
            State::Missing => {}
            State::Installed(is) => difference.note(format!("{} → removed", is.version)),
            State::Broken(status) => {
                difference.note(format!("half installed (dpkg says {status}) → removed"));
            }
        }
        return Ok(difference);
    }
    let wanted = spec.version.as_deref().unwrap_or("installed");
    let is = match state {
        State::Missing => {
            difference.note(format!("not installed → {wanted}"));
            None
        }
        State::Broken(status) => {
            difference.note(format!("half installed (dpkg says {status}) → {wanted}"));
            None
        }
        State::Installed(is) => {
            for change in [wrong_version(spec, &is), wrong_channel(spec, &is)] {
                difference.changes.extend(change);
            }
            Some(is)
        }
    };
    if let Some(change) = wrong_hold(spec, is.as_ref()) {
        if manager == PackageManager::Apk {
            return Err(ResourceError::Unfit(format!(
                "package {}: apk holds nothing; declare the version that shall stay",
                spec.name
            )));
        }
        difference.note(change);
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let (manager, state) = observe(spec, host, means).await?;
    let is = match &state {
        State::Installed(is) => Some(is),
        State::Missing | State::Broken(_) => None,
    };
    if !spec.state.is_present() {
        return match state {
            State::Missing => Ok(()),
            _ => remove(manager, &spec.name, host, means).await,
        };
    }
    let sound =
        is.is_some_and(|is| wrong_version(spec, is).is_none() && wrong_channel(spec, is).is_none());
    if !sound {
        install(manager, spec, is, host, means).await?;
    }
    if wrong_hold(spec, is).is_some() {
        hold(manager, &spec.name, spec.hold == Some(true), host, means).await?;
    }
    Ok(())
}

async fn install(
    manager: PackageManager,
    spec: &PackageSpec,
    is: Option<&Installed>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let only_debian = |what: &str| {
        ResourceError::Unfit(format!(
            "package {}: `{what}` is a Debian package, and this host has {manager}",
            spec.name
        ))
    };
    if let Some(bring) = &spec.bring {
        if manager != PackageManager::Apt {
            return Err(only_debian("bring"));
        }
        let deb = format!("{BROUGHT}/{}.deb", spec.name);
        look_well(host, ["mkdir", "-p", BROUGHT], means.cancel).await?;
        let file = DownloadSpec {
            source: bring.source.clone(),
            sha256: bring.sha256.clone(),
            path: deb.clone(),
            mode: "0644".into(),
            unpack: None,
            strip: 0,
        };
        download::apply(&file, host, means).await?;
        apt::install_file(&spec.name, &deb, host, means).await?;
        look_well(host, ["rm", "-f", &deb], means.cancel).await?;
        return Ok(());
    }
    if let Some(deb) = &spec.deb {
        super::stat::check_path(deb)?;
        return match manager {
            PackageManager::Apt => apt::install_file(&spec.name, deb, host, means).await,
            _ => Err(only_debian("deb")),
        };
    }
    match manager {
        PackageManager::Apt => apt::install(spec, is, host, means).await,
        PackageManager::Dnf => dnf::install(spec, host, means).await,
        PackageManager::Apk => apk::install(spec, host, means).await,
        PackageManager::Snap => snap::install(spec, is.is_some(), host, means).await,
    }
}

async fn remove(
    manager: PackageManager,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match manager {
        PackageManager::Apt => apt::remove(name, host, means).await,
        PackageManager::Dnf => dnf::remove(name, host, means).await,
        PackageManager::Apk => apk::remove(name, host, means).await,
        PackageManager::Snap => snap::remove(name, host, means).await,
    }
}

async fn hold(
    manager: PackageManager,
    name: &str,
    held: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match manager {
        PackageManager::Apt => apt::hold(name, held, host, means).await,
        PackageManager::Dnf => dnf::hold(name, held, host, means).await,
        PackageManager::Snap => snap::hold(name, held, host, means).await,
        // Refused by [`check`].
        PackageManager::Apk => Ok(()),
    }
}

/// Runs a command of a manager with its lines in the log; an error tells its last words.
async fn manage(
    name: &str,
    command: &Command,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    match perform_reading(command, host, means).await? {
        None => Ok(()),
        Some(text) => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: format!("package {name}"),
            complaint: last_of(&text),
        }),
    }
}

/// Runs the command with its lines in the log; gives all it said when it failed.
pub(super) async fn perform_reading(
    command: &Command,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    // dpkg explains itself on standard error, so both streams are read for reasons.
    let mut relay = Relay::new(means.log);
    let mut both = Both {
        relay: &mut relay,
        text: Vec::new(),
    };
    let exit = host.stream(command, &mut both, means.cancel).await?;
    let text = both.text;
    relay.finish().await;
    Ok((!exit.success()).then(|| String::from_utf8_lossy(&text).into_owned()))
}

/// Keeps the text of both streams besides passing it on.
struct Both<'a, 'b> {
    relay: &'a mut Relay<'b>,
    text: Vec<u8>,
}

#[async_trait::async_trait]
impl crate::transport::ChunkSink for Both<'_, '_> {
    async fn chunk(&mut self, chunk: crate::transport::Chunk) {
        let bytes = match &chunk {
            crate::transport::Chunk::Stdout(bytes) | crate::transport::Chunk::Stderr(bytes) => {
                bytes
            }
        };
        let room = (256 * 1024_usize).saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.relay.chunk(chunk).await;
    }
}

pub(super) fn last_of(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// What is wrong with a declaration on any host.
pub(super) fn fault(spec: &PackageSpec) -> Option<String> {
    let ways = [
        spec.deb.is_some(),
        spec.bring.is_some(),
        spec.snap.is_some(),
    ];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Some("package: `deb`, `bring` and `snap` exclude each other".into());
    }
    if spec.snap.is_some() && spec.version.is_some() {
        return Some("package: a snap has no `version` to choose; choose its `channel`".into());
    }
    if spec.state == Presence::Absent && (spec.version.is_some() || spec.hold.is_some()) {
        return Some("package: what is absent has no `version` and no `hold`".into());
    }
    None
}

/// Debian policy, §5.6.7, a little wider, as rpm's names have capitals and `_`: nothing that could be an option or a path.
fn check_name(name: &str) -> Result<(), ResourceError> {
    let sound = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._:".contains(&b));
    if sound {
        Ok(())
    } else {
        Err(ResourceError::Unfit(format!(
            "{name:?} is no package name: it has letters, digits, `+`, `-`, `.` and `_`"
        )))
    }
}

pub(super) mod undo;

#[cfg(test)]
mod tests;
