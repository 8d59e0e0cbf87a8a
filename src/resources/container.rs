//! A container of docker or podman: made as declared, made anew when the declaration changes, running.
//!
//! Whether a container is the declared one is told by a label that holds the checksum of the declaration; one that somebody
//! made by hand has none, or another. Variables reach it by an environment file that only root reads: an argument could be
//! seen by everybody on the node. The old container is kept under another name until the new one has stayed up for two
//! seconds, and comes back when it does not.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::checksum::sha256_of_bytes;
use super::exec::{look, look_well, perform, succeeds};
use super::undo::Back;
use super::{Difference, Means, ResourceError};
use crate::domain::resource::ContainerSpec;
use crate::domain::undo::{Before, ContainerBefore};
use crate::transport::{Command, FileMeta, Host, ReachError, Source};

/// The label with the checksum of the declaration.
const LABEL: &str = "quarterdeck.declared";
/// Where environment files lie; closed to all but root.
const FOLDER: &str = "/var/lib/quarterdeck/containers";
const PULL_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Stopping one that does not listen takes 10 s by itself.
const JOB_LIMIT: Duration = Duration::from_secs(120);
/// What is asked of a container, one line each.
const FORMAT: &str = r#"{{index .Config.Labels "quarterdeck.declared"}}
{{.State.Running}}
{{.Config.Image}}"#;

/// What is wrong with a declaration wherever it is brought about.
pub(super) fn fault(spec: &ContainerSpec) -> Option<String> {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first = spec
        .name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !first || !spec.name.bytes().all(name) {
        return Some(format!(
            "container: {:?} is no name: it has letters, digits, `_`, `.` and `-`, and begins with a letter or digit",
            spec.name
        ));
    }
    if !spec.state.is_present() {
        return None;
    }
    if spec.image.is_empty()
        || spec.image.starts_with('-')
        || spec.image.contains(char::is_whitespace)
    {
        return Some(format!("container {}: it has no `image`", spec.name));
    }
    spec.env
        .iter()
        .find(|(name, value)| {
            name.is_empty() || name.contains(['=', ' ', '#', '\n']) || value.contains(['\n', '\r', '\0'])
        })
        .map(|(name, _)| {
            format!(
                "container {}: the variable {name:?} cannot be in an environment file: its name has no `=` or blank, its \
                 value no line break",
                spec.name
            )
        })
}

fn sound(spec: &ContainerSpec) -> Result<(), ResourceError> {
    fault(spec).map_or(Ok(()), |reason| Err(ResourceError::Unfit(reason)))
}

/// The checksum of the declaration.
fn checksum(spec: &ContainerSpec) -> String {
    let text = serde_json::to_string(spec).expect("a declaration is plain data with text keys");
    sha256_of_bytes(text.as_bytes())
}

/// What was seen of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    declared: String,
    running: bool,
    image: String,
}

/// The program that runs containers on the host; `None` when there is none.
async fn engine(
    spec: &ContainerSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<&'static str>, ResourceError> {
    let candidates: &[&'static str] = match spec.engine {
        Some(engine) => &[engine.word()],
        None => &["docker", "podman"],
    };
    for &program in candidates {
        if succeeds(host, [program, "--version"], means.cancel).await? {
            return Ok(Some(program));
        }
    }
    Ok(None)
}

fn no_engine() -> ResourceError {
    ResourceError::Unfit(
        "there is neither docker nor podman on this host, or not the one that was declared: install its package first".into(),
    )
}

async fn observe(
    engine: &str,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Seen>, ResourceError> {
    let argv = [engine, "container", "inspect", "--format", FORMAT, name];
    let output = look(host, &Command::new(argv), means.cancel).await?;
    if !output.exit.success() {
        let complaint = output.complaint().to_lowercase();
        if complaint.contains("no such") || complaint.contains("no container") {
            return Ok(None);
        }
        return Err(ResourceError::Failed {
            command: format!("{engine} container inspect {name}"),
            exit: output.exit.to_string(),
            complaint: output.complaint(),
        });
    }
    let text = output.text();
    let mut lines = text.lines().map(str::trim);
    let mut next = || lines.next().unwrap_or_default().to_owned();
    Ok(Some(Seen {
        declared: next(),
        running: next() == "true",
        image: next(),
    }))
}

pub(super) async fn check(
    spec: &ContainerSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    sound(spec)?;
    let mut difference = Difference::default();
    let seen = match engine(spec, host, means).await? {
        Some(engine) => observe(engine, &spec.name, host, means).await?,
        None => None,
    };
    match (&seen, spec.state.is_present()) {
        (None, true) => difference.note(format!("does not exist → {}", spec.image)),
        (Some(seen), false) => difference.note(format!("{} → removed", seen.image)),
        (Some(seen), true) if seen.declared != checksum(spec) => {
            difference.note(if seen.image == spec.image {
                "differs from its declaration → made anew".into()
            } else {
                format!("{} → {}, made anew", seen.image, spec.image)
            });
        }
        (Some(seen), true) if !seen.running => difference.note("stopped → started"),
        (Some(_), true) | (None, false) => {}
    }
    Ok(difference)
}

fn environment_file(name: &str) -> String {
    format!("{FOLDER}/{name}.env")
}

/// The name under which the old container waits for the new one to prove itself.
fn aside(name: &str) -> String {
    format!("{name}.quarterdeck-before")
}

/// The arguments that make and start it.
fn arguments(engine: &str, spec: &ContainerSpec) -> Vec<String> {
    let mut argv: Vec<String> = [engine, "run", "--detach", "--name", &spec.name]
        .map(Into::into)
        .to_vec();
    let mut option = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
    option("--label", &format!("{LABEL}={}", checksum(spec)));
    option("--restart", spec.restart.word());
    for port in &spec.ports {
        option("--publish", port);
    }
    for volume in &spec.volumes {
        option("--volume", volume);
    }
    if let Some(network) = &spec.network {
        option("--network", network);
    }
    if !spec.env.is_empty() {
        option("--env-file", &environment_file(&spec.name));
    }
    argv.push(spec.image.clone());
    argv.extend(spec.command.iter().cloned());
    argv
}

pub(super) async fn apply(
    spec: &ContainerSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    sound(spec)?;
    let found = engine(spec, host, means).await?;
    let engine = match (found, spec.state.is_present()) {
        (Some(engine), _) => engine,
        (None, false) => return Ok(()),
        (None, true) => return Err(no_engine()),
    };
    let name = &spec.name;
    let waiting = observe(engine, &aside(name), host, means).await?.is_some();
    let seen = observe(engine, name, host, means).await?;
    if !spec.state.is_present() {
        return remove(engine, name, host, means).await;
    }
    if seen
        .as_ref()
        .is_some_and(|seen| seen.declared == checksum(spec))
    {
        perform(
            host,
            &Command::new([engine, "start", name]).within(JOB_LIMIT),
            means,
        )
        .await?;
        return stays_up(engine, name, host, means).await;
    }
    let there = succeeds(
        host,
        [engine, "image", "inspect", &spec.image],
        means.cancel,
    )
    .await?;
    if !there {
        perform(
            host,
            &Command::new([engine, "pull", &spec.image]).within(PULL_LIMIT),
            means,
        )
        .await?;
    }
    write_environment(spec, host, means).await?;
    match (seen.is_some(), waiting) {
        // Cut off in the middle: the one that waits is the old one, and what has its name never proved itself.
        (true, true) => job(engine, &["rm", "--force", name], host, means).await?,
        (true, false) => {
            job(engine, &["stop", name], host, means).await?;
            job(engine, &["rename", name, &aside(name)], host, means).await?;
        }
        (false, _) => {}
    }
    let run = Command::new(arguments(engine, spec)).within(JOB_LIMIT);
    let began = async {
        perform(host, &run, means).await?;
        stays_up(engine, name, host, means).await
    };
    if let Err(error) = began.await {
        if seen.is_some() || waiting {
            look(
                host,
                &Command::new([engine, "rm", "--force", name]),
                means.cancel,
            )
            .await?;
            job(engine, &["rename", &aside(name), name], host, means).await?;
            job(engine, &["start", name], host, means).await?;
            return Err(ResourceError::Unfit(format!(
                "{error}; the one before runs again"
            )));
        }
        return Err(error);
    }
    if seen.is_some() || waiting {
        job(engine, &["rm", "--force", &aside(name)], host, means).await?;
    }
    Ok(())
}

async fn job(
    engine: &str,
    words: &[&str],
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let argv = std::iter::once(engine).chain(words.iter().copied());
    perform(host, &Command::new(argv).within(JOB_LIMIT), means).await
}

async fn write_environment(
    spec: &ContainerSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if spec.env.is_empty() {
        return Ok(());
    }
    look_well(host, ["mkdir", "-p", FOLDER], means.cancel).await?;
    look_well(host, ["chmod", "0700", FOLDER], means.cancel).await?;
    let lines: Vec<String> = spec
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    let meta = FileMeta {
        mode: 0o600,
        owner: "root".into(),
        group: "root".into(),
    };
    let source = Source::Bytes(Bytes::from(lines.concat()));
    let path = environment_file(&spec.name);
    Ok(host
        .write(&path, source, &meta, &|_, _| {}, means.cancel)
        .await?)
}

/// Watches it for two seconds: many programs fail only after they have read their configuration.
async fn stays_up(
    engine: &str,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for _ in 0..4 {
        tokio::select! {
            () = sleep(Duration::from_millis(500)) => {}
            () = means.cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: host.name().into() }.into());
            }
        }
        let seen = observe(engine, name, host, means).await?;
        if seen.is_none_or(|seen| !seen.running) {
            let logs = Command::new([engine, "logs", "--tail", "20", name]);
            let output = look(host, &logs, means.cancel).await?;
            let said = format!(
                "{}{}",
                output.text(),
                String::from_utf8_lossy(&output.stderr)
            );
            for line in said.lines() {
                means.note(line).await;
            }
            let last = said
                .lines()
                .rfind(|line| !line.trim().is_empty())
                .unwrap_or("none");
            return Err(ResourceError::Unfit(format!(
                "container {name} was started but does not stay up; its last words: {last}"
            )));
        }
    }
    Ok(())
}

async fn remove(
    engine: &str,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    for name in [name.to_owned(), aside(name)] {
        if observe(engine, &name, host, means).await?.is_some() {
            job(engine, &["stop", &name], host, means).await?;
            job(engine, &["rm", "--force", &name], host, means).await?;
        }
    }
    look_well(
        host,
        ["rm", "-f", "--", &environment_file(name)],
        means.cancel,
    )
    .await?;
    Ok(())
}

pub(super) async fn remember(
    spec: &ContainerSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let Some(engine) = engine(spec, host, means).await? else {
        return Ok(None);
    };
    let seen = observe(engine, &spec.name, host, means).await?;
    let left = spec.state.is_present().then(|| checksum(spec));
    Ok(Some(Before::Container(ContainerBefore {
        name: spec.name.clone(),
        engine: engine.into(),
        ran: seen.as_ref().is_some_and(|seen| seen.running),
        same: seen
            .as_ref()
            .is_some_and(|seen| Some(&seen.declared) == left.as_ref()),
        was: seen.map(|seen| seen.image),
        left,
    })))
}

pub(super) async fn check_undo(
    before: &ContainerBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = Back::default();
    let seen = observe(&before.engine, &before.name, host, means).await?;
    let Some(seen) = seen else {
        return Ok(back);
    };
    let ours = before.left.as_ref() == Some(&seen.declared);
    match (&before.was, before.same) {
        (None, _) => {
            back.note("removed");
            if !ours {
                back.refused = Some("somebody made it anew since".into());
            }
        }
        (Some(_), true) if ours && seen.running != before.ran => {
            back.note(if before.ran { "started" } else { "stopped" });
        }
        (Some(_), _) => {}
    }
    Ok(back)
}

pub(super) async fn take_back(
    before: &ContainerBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let engine = before.engine.as_str();
    match (&before.was, before.same) {
        (None, _) => remove(engine, &before.name, host, means).await,
        (Some(_), true) => {
            let verb = if before.ran { "start" } else { "stop" };
            job(engine, &[verb, &before.name], host, means).await
        }
        (Some(_), false) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
