//! Fedora's package manager and that of its kin: rpm(8) to look, dnf(8) to change. dnf waits for its lock by itself.

use super::{INSTALL_LIMIT, Installed, State, manage};
use crate::domain::resource::PackageSpec;
use crate::resources::exec::look;
use crate::resources::{Means, ResourceError};
use crate::transport::{Command, Exit, Host};

/// What rpm says of a package; `None` when there is no rpm.
pub(super) async fn observe(
    name: &str,
    with_hold: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<State>, ResourceError> {
    let format = "%{EPOCH}:%{VERSION}-%{RELEASE}\\n";
    let command = Command::new(["rpm", "-q", "--queryformat", format, name]);
    let output = look(host, &command, means.cancel).await?;
    let version = match output.exit {
        Exit::Code(0) => parse(&output.text()),
        Exit::Code(127) => return Ok(None),
        // "package … is not installed"
        _ => None,
    };
    let Some(version) = version else {
        return Ok(Some(State::Missing));
    };
    let held = if with_hold {
        Some(is_held(name, host, means).await?)
    } else {
        None
    };
    Ok(Some(State::Installed(Installed {
        version,
        held,
        channel: None,
    })))
}

/// The last line is the newest of what may be installed several times, such as kernels.
pub(super) fn parse(text: &str) -> Option<String> {
    let line = text.lines().rfind(|line| !line.trim().is_empty())?.trim();
    Some(line.strip_prefix("(none):").unwrap_or(line).to_owned())
}

/// dnf-versionlock(8), a plugin before dnf 5.
async fn is_held(name: &str, host: &dyn Host, means: &Means<'_>) -> Result<bool, ResourceError> {
    let command = Command::new(["dnf", "-q", "versionlock", "list"]).within(INSTALL_LIMIT);
    let output = look(host, &command, means.cancel).await?;
    if !output.exit.success() {
        return Err(ResourceError::Unfit(format!(
            "package {name}: `hold` needs dnf's versionlock ({}); install python3-dnf-plugin-versionlock",
            output.complaint()
        )));
    }
    Ok(output.text().lines().any(|line| is_lock(line, name)))
}

/// A lock is written as `NAME-EPOCH:VERSION-RELEASE.*`, or by dnf 5 as `Package name: NAME`.
pub(super) fn is_lock(line: &str, name: &str) -> bool {
    let line = line.trim();
    if let Some((_, locked)) = line.split_once("Package name:") {
        return locked.trim() == name;
    }
    line.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

pub(super) async fn install(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // An exact version is installed whatever is there, also an older one (dnf(8), install command).
    let name = match &spec.version {
        Some(version) => format!("{}-{version}*", spec.name),
        None => spec.name.clone(),
    };
    change(
        &spec.name,
        ["install", "-y", "--setopt=install_weak_deps=False", &name],
        host,
        means,
    )
    .await
}

/// `rpm -e` and not dnf: it refuses when another package needs this one, instead of removing that as well.
pub(super) async fn remove(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = Command::new(["rpm", "-e", name]).within(INSTALL_LIMIT);
    manage(name, &command, host, means).await
}

pub(super) async fn hold(
    name: &str,
    held: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let word = if held { "add" } else { "delete" };
    change(name, ["versionlock", word, name], host, means).await
}

/// Brings back exactly this version.
pub(super) async fn reinstall(
    name: &str,
    version: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // dnf wants the epoch in front of the version, where there is one.
    let package = format!("{name}-{version}");
    change(name, ["install", "-y", &package], host, means).await
}

async fn change<'a>(
    name: &str,
    words: impl IntoIterator<Item = &'a str>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let argv = ["env", "LC_ALL=C", "dnf"].into_iter().chain(words);
    let command = Command::new(argv).within(INSTALL_LIMIT);
    manage(name, &command, host, means).await
}
