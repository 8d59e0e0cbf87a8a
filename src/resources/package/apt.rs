//! Debian's package manager: dpkg(1), apt-get(8), apt-mark(8).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{INSTALL_LIMIT, Installed, State, last_of, perform_reading};
use crate::domain::resource::PackageSpec;
use crate::resources::exec::{look, perform};
use crate::resources::{Means, ResourceError};
use crate::transport::{Command, Exit, Host, ReachError};

/// How long another package manager may hold the lock; unattended upgrades of a small board take minutes. The step's own
/// limit is usually the shorter one.
const LOCK_PATIENCE: Duration = Duration::from_secs(10 * 60);
const LOCK_POLL: Duration = Duration::from_secs(3);
/// The time between two lines that tell of the waiting.
const LOCK_NEWS: Duration = Duration::from_secs(15);
/// As [`LOCK_PATIENCE`], for apt, which waits by itself and says for whom.
pub(in crate::resources) const APT_PATIENCE: &str = "DPkg::Lock::Timeout=600";

/// What dpkg says of a package; `None` when there is no dpkg.
pub(super) async fn observe(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<State>, ResourceError> {
    let command = Command::new([
        "dpkg-query",
        "-W",
        "-f",
        "${db:Status-Abbrev}|${Version}\\n",
        name,
    ]);
    let output = look(host, &command, means.cancel).await?;
    match output.exit {
        Exit::Code(0) => Ok(Some(parse(&output.text()))),
        // "no packages found"
        Exit::Code(1) => Ok(Some(State::Missing)),
        Exit::Code(127) => Ok(None),
        exit => Err(ResourceError::Failed {
            command: command.shell_line(),
            exit: exit.to_string(),
            complaint: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Reads `dpkg-query`'s lines: one per architecture, the first installed one counts.
pub(super) fn parse(text: &str) -> State {
    let mut state = State::Missing;
    for line in text.lines() {
        let Some((status, version)) = line.split_once('|') else {
            continue;
        };
        // deb(5): desired action, status, and a space or the error flag.
        let mut letters = status.chars();
        let (desired, now, flag) = (letters.next(), letters.next(), letters.next());
        match (now, flag) {
            (Some('i'), None | Some(' ')) => {
                return State::Installed(Installed {
                    version: version.trim().to_owned(),
                    held: Some(desired == Some('h')),
                    channel: None,
                });
            }
            // Not installed, or only its configuration left.
            (Some('n' | 'c') | None, _) => {}
            _ => state = State::Broken(status.trim().to_owned()),
        }
    }
    state
}

/// Quiet, in English (its words are read below), and keeping configuration files that were edited.
pub(in crate::resources) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Command {
    let mut argv = vec!["env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"];
    argv.extend(words);
    Command::new(argv).within(INSTALL_LIMIT)
}

/// `dpkg -i` of a file on the node.
pub(super) async fn install_file(
    name: &str,
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
            "package {name} needs {}: dpkg unpacked it but left it unconfigured; bring these packages too (artifacts and a \
             package resource with `deb`), or leave out `deb` so that apt fetches them",
            missing.join(" and ")
        ))
    })
}

/// As [`perform_reading`], waiting while another package manager holds the lock.
pub(super) async fn patiently(
    command: &Command,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    let began = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        match perform_reading(command, host, means).await? {
            Some(text) if is_locked(&text) && began.elapsed() < LOCK_PATIENCE => {
                if told.is_none_or(|told| told.elapsed() >= LOCK_NEWS) {
                    told = Some(Instant::now());
                    let holder = holder(&text, host, means).await?;
                    means
                        .note(format!(
                            "another package manager is at work{holder}; waiting for it since {} s",
                            began.elapsed().as_secs()
                        ))
                        .await;
                }
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

fn is_locked(text: &str) -> bool {
    text.contains("lock was locked by another process")
        || text.contains("is locked by another process")
}

/// Who holds the lock, as far as dpkg's complaint tells, such as ` (unattended-upgr, pid 42)`.
async fn holder(text: &str, host: &dyn Host, means: &Means<'_>) -> Result<String, ResourceError> {
    let pid = text
        .split_once("with pid ")
        .map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    let Some(Some(pid)) = pid.filter(|pid| pid.is_some_and(|pid| !pid.is_empty())) else {
        return Ok(String::new());
    };
    let command = Command::new(["cat", &format!("/proc/{pid}/comm")]);
    let output = look(host, &command, means.cancel).await?;
    let name = output.text();
    Ok(if output.exit.success() {
        format!(" ({}, pid {pid})", name.trim())
    } else {
        format!(" (pid {pid})")
    })
}

/// What `dpkg -i` says is missing: lines such as ` consul depends on pipexec; however:`.
pub(super) fn missing_dependencies(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(" depends on ")?;
            let (what, _) = rest.split_once("; however")?;
            Some(what.trim().to_owned())
        })
        .collect()
}

/// `apt-get install`, once more after `apt-get update` when apt does not know what is asked for.
pub(super) async fn install(
    spec: &PackageSpec,
    was: Option<&Installed>,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    // apt takes a pattern for the part of the version that was not declared.
    let name = match &spec.version {
        Some(version) => format!("{}={version}*", spec.name),
        None => spec.name.clone(),
    };
    let mut words = vec![
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "-o",
        APT_PATIENCE,
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    if was.is_some() && spec.version.is_some() {
        // The declaration may go back, and it counts for more than a mark on the node.
        words.extend(["--allow-downgrades", "--allow-change-held-packages"]);
    }
    words.push(&name);
    let install = command(words);
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
    let update = command(["apt-get", "update", "-o", APT_PATIENCE]);
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

/// `dpkg -r` and not apt: it refuses when another package needs this one, instead of removing that as well.
pub(super) async fn remove(
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = command(["dpkg", "-r", name]);
    let Some(failure) = patiently(&command, host, means).await? else {
        return Ok(());
    };
    Err(ResourceError::Unfit(
        if missing_dependencies(&failure).is_empty() {
            format!("package {name}: {}", last_of(&failure))
        } else {
            format!(
                "package {name} cannot be removed: another package depends on it; take that one away first"
            )
        },
    ))
}

/// Brings back exactly this version.
pub(super) async fn reinstall(
    name: &str,
    version: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let package = format!("{name}={version}");
    let install = command([
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "--allow-downgrades",
        "--allow-change-held-packages",
        "-o",
        APT_PATIENCE,
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
        &package,
    ]);
    match perform_reading(&install, host, means).await? {
        None => Ok(()),
        Some(text) => Err(ResourceError::Unfit(format!(
            "package {name}: {version} cannot be had any more: {}; bring that package to the node and install it with dpkg -i",
            last_of(&text)
        ))),
    }
}

/// Marks a package as held, or takes the mark away.
pub(super) async fn hold(
    name: &str,
    held: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let word = if held { "hold" } else { "unhold" };
    perform(host, &command(["apt-mark", word, name]), means).await
}
