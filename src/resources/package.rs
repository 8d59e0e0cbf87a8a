//! An installed package, on hosts with Debian's package manager.
//!
//! A package counts as installed only when dpkg says so in full: one that was unpacked and not configured does not.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::exec::{Relay, look, perform};
use super::{Difference, Means, ResourceError};
use crate::domain::resource::PackageSpec;
use crate::transport::{Command, Exit, Host, ReachError};

/// How long another package manager may hold the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_secs(3);
/// Unpacking on a slow card takes minutes; the step's own limit is usually the shorter one.
const INSTALL_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What dpkg knows of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Missing,
    /// Fully installed, in this version.
    Installed(String),
    /// Anything in between, with dpkg's abbreviation, such as `iU`.
    Broken(String),
}

async fn observe(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<State, ResourceError> {
    check_name(&spec.name)?;
    let command = Command::new([
        "dpkg-query",
        "-W",
        "-f",
        "${db:Status-Abbrev}|${Version}\\n",
        &spec.name,
    ]);
    let output = look(host, &command, means.cancel).await?;
    match output.exit {
        Exit::Code(0) => Ok(parse(&output.text())),
        // "no packages found"
        Exit::Code(1) => Ok(State::Missing),
        Exit::Code(127) => Err(ResourceError::Unfit(format!(
            "package {}: this host has no dpkg; Quarterdeck installs packages on Debian and its descendants only, so \
             install it by hand or bring the program with a download resource",
            spec.name
        ))),
        exit => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Reads `dpkg-query`'s lines: one per architecture, the first installed one counts.
fn parse(text: &str) -> State {
    let mut state = State::Missing;
    for line in text.lines() {
        let Some((status, version)) = line.split_once('|') else {
            continue;
        };
        // deb(5): desired action, status, and a space or the error flag.
        let mut letters = status.chars();
        let (_, now, flag) = (letters.next(), letters.next(), letters.next());
        match (now, flag) {
            (Some('i'), None | Some(' ')) => return State::Installed(version.trim().to_owned()),
            // Not installed, or only its configuration left.
            (Some('n' | 'c') | None, _) => {}
            _ => state = State::Broken(status.trim().to_owned()),
        }
    }
    state
}

/// Whether `installed` is the declared version: it, or one that goes on after a separator. An epoch (`1:`) counts only
/// when it is declared.
fn is_version(installed: &str, declared: &str) -> bool {
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

pub(super) async fn check(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let mut difference = Difference::default();
    let wanted = spec.version.as_deref().unwrap_or("installed");
    match observe(spec, host, means).await? {
        State::Missing => difference.note(format!("not installed → {wanted}")),
        State::Broken(status) => {
            difference.note(format!("half installed (dpkg says {status}) → {wanted}"));
        }
        State::Installed(version) => {
            if let Some(declared) = &spec.version
                && !is_version(&version, declared)
            {
                difference.note(format!("{version} → {declared}"));
            }
        }
    }
    Ok(difference)
}

pub(super) async fn apply(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    check_name(&spec.name)?;
    match &spec.deb {
        Some(deb) => {
            super::stat::check_path(deb)?;
            install_file(spec, deb, host, means).await
        }
        None => install_from_archive(spec, host, means).await,
    }
}

/// Quiet, in English (its words are read below), and keeping configuration files that were edited.
fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut argv = vec!["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"];
    argv.extend(words);
    Command::new(argv).within(INSTALL_LIMIT)
}

async fn install_file(
    spec: &PackageSpec,
    deb: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = command(["dpkg", "-i", "--force-confdef", "--force-confold", deb]);
    let Some(failure) = patiently(&command, host, means).await? else {
        return Ok(());
    };
    let missing = missing_dependencies(&failure);
    Err(if missing.is_empty() {
        ResourceError::Failed {
            command: command.shell_line(),
            exit: "failed".into(),
            complaint: last_of(&failure),
        }
    } else {
        ResourceError::Unfit(format!(
            "package {} needs {}: dpkg unpacked it but left it unconfigured; bring these packages too (artifacts and a \
             package resource with `deb`), or leave out `deb` so that apt fetches them",
            spec.name,
            missing.join(" and ")
        ))
    })
}

/// As [`perform_reading`], waiting while another package manager holds the lock.
async fn patiently(
    command: &Command,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    let began = Instant::now();
    loop {
        match perform_reading(command, host, means).await? {
            Some(text) if is_locked(&text) && began.elapsed() < LOCK_PATIENCE => {
                means
                    .note("another package manager is at work; waiting for it")
                    .await;
                tokio::select! {
                    () = sleep(LOCK_POLL) => {}
                    () = means.cancel.cancelled() => {
                        return Err(ReachError::Cancelled { hop: host.name().into() }.into());
                    }
                }
            }
            ended => return Ok(ended),
        }
    }
}

/// Runs the command with its lines in the log; gives all it said when it failed.
async fn perform_reading(
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

fn is_locked(text: &str) -> bool {
    text.contains("lock was locked by another process")
        || text.contains("is locked by another process")
}

/// What `dpkg -i` says is missing: lines such as ` consul depends on pipexec; however:`.
fn missing_dependencies(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(" depends on ")?;
            let (what, _) = rest.split_once("; however")?;
            Some(what.trim().to_owned())
        })
        .collect()
}

async fn install_from_archive(
    spec: &PackageSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // apt takes a pattern for the part of the version that was not declared.
    let name = match &spec.version {
        Some(version) => format!("{}={version}*", spec.name),
        None => spec.name.clone(),
    };
    let install = command([
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=60",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        &name,
    ]);
    let Some(text) = perform_reading(&install, host, means).await? else {
        return Ok(());
    };
    if !wants_update(&text) {
        return Err(ResourceError::Failed {
            command: install.shell_line(),
            exit: "failed".into(),
            complaint: last_of(&text),
        });
    }
    means
        .note("apt does not know it; updating its package lists")
        .await;
    let update = command(["apt-get", "update", "-o", "DPkg::Lock::Timeout=60"]);
    perform(host, &update, means).await?;
    perform(host, &install, means).await
}

fn wants_update(text: &str) -> bool {
    [
        "Unable to locate package",
        "has no installation candidate",
        "was not found",
        "404  Not Found",
    ]
    .iter()
    .any(|symptom| text.contains(symptom))
}

fn last_of(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// Debian policy, §5.6.7: lower-case letters, digits, `+`, `-` and `.`, with an architecture after a colon.
fn check_name(name: &str) -> Result<(), ResourceError> {
    let sound = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.:".contains(&b));
    if sound {
        Ok(())
    } else {
        Err(ResourceError::Unfit(format!(
            "{name:?} is no package name: it has lower-case letters, digits, `+`, `-` and `.`"
        )))
    }
}

pub(super) mod undo;

#[cfg(test)]
mod tests;
