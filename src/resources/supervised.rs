//! Units on hosts without systemd: one small supervisor per unit, behind the same declaration.
//!
//! Under `/var/lib/quarterdeck/units/<name>/` lie a fixed script (`supervise`) and the unit's `settings`, which are
//! written as quoted shell assignments; no value is ever part of a command line that a shell reads. The script keeps the
//! program running in a session of its own and is asked with plain argument vectors: `supervise start`, `stop`, `status`.
//!
//! What is not kept: start at boot (there is no init system that every such host has), and the directives that fence a
//! program in. Both are told in the log.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::exec::{look, look_well, succeeds};
use super::unit_file::{self, Service};
use super::{Difference, Means, ResourceError, file, stat};
use crate::domain::resource::UnitSpec;
use crate::domain::run::Stream;
use crate::transport::{Command, FileMeta, Host, ReachError, Source, quote};

/// Where the supervisors live.
pub(super) const ROOT: &str = "/var/lib/quarterdeck/units";
/// The supervisor, the same for every unit.
const SCRIPT: &str = include_str!("supervise.sh");
/// Where packages put their units.
const PACKAGED: &[&str] = &["/lib/systemd/system", "/usr/lib/systemd/system"];

/// A unit on this host.
struct Unit {
    directory: String,
    /// `None` when nobody says yet what the unit does.
    service: Option<Service>,
}

impl Unit {
    fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.directory)
    }

    fn script(&self) -> String {
        self.path("supervise")
    }
}

async fn find(spec: &UnitSpec, host: &dyn Host, means: &Means<'_>) -> Result<Unit, ResourceError> {
    super::systemd::check_name(&spec.name)?;
    let content = match &spec.content {
        Some(content) => Some(content.clone()),
        None => packaged(&spec.name, host).await?,
    };
    let service = content
        .map(|content| unit_file::read(&spec.name, &content))
        .transpose()?;
    means
        .note(format!(
            "no systemd on this host: {} runs under Quarterdeck's supervisor",
            spec.name
        ))
        .await;
    Ok(Unit {
        directory: format!("{ROOT}/{}", spec.name),
        service,
    })
}

async fn packaged(name: &str, host: &dyn Host) -> Result<Option<String>, ReachError> {
    for directory in PACKAGED {
        if let Some(content) = host.read(&format!("{directory}/{name}")).await? {
            return Ok(Some(String::from_utf8_lossy(&content).into_owned()));
        }
    }
    Ok(None)
}

/// What the supervisor reads: assignments and the program as the shell's arguments, every value quoted.
fn settings(service: &Service) -> String {
    let mut lines = vec![
        "# Written by Quarterdeck, which replaces changes.".to_owned(),
        format!("qd_restart={}", service.restart.word()),
        format!("qd_delay={}", service.delay),
        assignment("qd_user", service.user.as_deref().unwrap_or_default()),
        assignment("qd_group", service.group.as_deref().unwrap_or_default()),
        assignment("qd_workdir", &service.directory),
    ];
    for (name, value) in &service.environment {
        lines.push(format!("export {}", assignment(name, value)));
    }
    lines.push(format!("set -- {}", quote(&service.argv)));
    lines.join("\n") + "\n"
}

fn assignment(name: &str, value: &str) -> String {
    format!("{name}={}", quote(&[value]))
}

/// How the unit fares.
#[derive(Debug, PartialEq, Eq)]
enum Status {
    /// With the program's process id.
    Active(String),
    Restarting,
    Inactive,
}

async fn status(unit: &Unit, host: &dyn Host, means: &Means<'_>) -> Result<Status, ResourceError> {
    if !succeeds(host, ["test", "-x", &unit.script()], means.cancel).await? {
        return Ok(Status::Inactive);
    }
    let command = Command::new([unit.script().as_str(), "status"]);
    let text = look(host, &command, means.cancel).await?.text();
    Ok(match text.trim().split_once(' ') {
        Some(("active", pid)) => Status::Active(pid.to_owned()),
        _ if text.trim() == "restarting" => Status::Restarting,
        _ => Status::Inactive,
    })
}

pub(super) async fn check(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    let unit = find(spec, host, means).await?;
    let mut difference = Difference::default();
    let mut rewritten = false;
    if let Some(service) = &unit.service {
        let wanted = settings(service);
        let actual = host.read(&unit.path("settings")).await?;
        if actual.as_deref() != Some(wanted.as_bytes()) {
            rewritten = true;
            difference.note(if actual.is_some() {
                "the unit differs"
            } else {
                "the unit does not exist → supervised"
            });
            difference.diff = file::diff(
                &unit.path("settings"),
                &actual.unwrap_or_default(),
                wanted.as_bytes(),
            );
        } else if !script_is_current(&unit, host).await? {
            difference.note("the supervisor is of another version");
        }
    }
    match (status(&unit, host, means).await?, spec.started) {
        (Status::Active(_), true) => {
            if let Some(reason) = restart_reason(spec, &unit, rewritten, host, means).await? {
                difference.note(format!("restart: {reason}"));
            }
        }
        (Status::Active(_), false) => difference.note("active → stopped"),
        (Status::Restarting, true) => difference.note("ends again and again → started"),
        (Status::Restarting, false) => difference.note("restarting → stopped"),
        (Status::Inactive, true) => difference.note("not running → started"),
        (Status::Inactive, false) => {}
    }
    Ok(difference)
}

async fn script_is_current(unit: &Unit, host: &dyn Host) -> Result<bool, ReachError> {
    let actual = host.read(&unit.script()).await?;
    Ok(actual.as_deref() == Some(SCRIPT.as_bytes()))
}

async fn restart_reason(
    spec: &UnitSpec,
    unit: &Unit,
    rewritten: bool,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    if rewritten {
        return Ok(Some("the unit changes".into()));
    }
    for path in &spec.reads {
        stat::check_path(path)?;
        if means.changed.contains(path) {
            return Ok(Some(format!("{path} changes")));
        }
        // Both times come from the same clock, to the nanosecond where the file system keeps them.
        let newer = ["test", path, "-nt", &unit.path("child")];
        if succeeds(host, newer, means.cancel).await? {
            return Ok(Some(format!("{path} is newer than its start")));
        }
    }
    Ok(None)
}

pub(super) async fn apply(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let unit = find(spec, host, means).await?;
    let Some(service) = &unit.service else {
        return Err(ResourceError::Unfit(format!(
            "{}: no such unit on this host; give its content, or install the package that brings it",
            spec.name
        )));
    };
    if !service.ignored.is_empty() {
        means
            .note(format!(
                "no effect without systemd: {}",
                service.ignored.join(", ")
            ))
            .await;
    }
    if spec.enabled {
        means
            .note(format!(
                "{} will not start at boot by itself on this host",
                spec.name
            ))
            .await;
    }
    let was = status(&unit, host, means).await?;
    let rewritten = install(&unit, service, host, means).await?;
    if !spec.started {
        return run(&unit, "stop", host, means).await;
    }
    let restart = match was {
        Status::Inactive => false,
        Status::Restarting => true,
        Status::Active(_) => restart_reason(spec, &unit, rewritten, host, means)
            .await?
            .is_some(),
    };
    if restart {
        run(&unit, "stop", host, means).await?;
    }
    let started = match run(&unit, "start", host, means).await {
        Ok(()) => stays_up(&unit, host, means).await?,
        Err(ResourceError::Failed { .. }) => false,
        Err(error) => return Err(error),
    };
    if started {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{} was started but does not stay up; its last words: {}",
        spec.name,
        last_words(&unit, host, means).await?
    )))
}

/// Writes what differs; says whether the unit itself did.
async fn install(
    unit: &Unit,
    service: &Service,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<bool, ResourceError> {
    look_well(host, ["mkdir", "-p", &unit.directory], means.cancel).await?;
    let wanted = settings(service);
    let actual = host.read(&unit.path("settings")).await?;
    let rewritten = actual.as_deref() != Some(wanted.as_bytes());
    if rewritten {
        put(&unit.path("settings"), wanted, 0o644, host, means).await?;
    }
    if !script_is_current(unit, host).await? {
        put(&unit.script(), SCRIPT.to_owned(), 0o755, host, means).await?;
    }
    Ok(rewritten)
}

async fn put(
    path: &str,
    content: String,
    mode: u32,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let meta = FileMeta {
        mode,
        owner: "root".into(),
        group: "root".into(),
    };
    let source = Source::Bytes(Bytes::from(content));
    Ok(host
        .write(path, source, &meta, &|_, _| {}, means.cancel)
        .await?)
}

async fn run(
    unit: &Unit,
    verb: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let command = Command::new([unit.script().as_str(), verb]);
    super::exec::perform(host, &command, means).await
}

/// A program that ends within two seconds did not start.
async fn stays_up(unit: &Unit, host: &dyn Host, means: &Means<'_>) -> Result<bool, ResourceError> {
    let mut first = None;
    for _ in 0..4 {
        tokio::select! {
            () = sleep(Duration::from_millis(500)) => {}
            () = means.cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: host.name().into() }.into());
            }
        }
        match status(unit, host, means).await? {
            Status::Active(pid) if *first.get_or_insert_with(|| pid.clone()) == pid => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Puts the end of the program's log into ours; gives back the very last line.
async fn last_words(
    unit: &Unit,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<String, ResourceError> {
    let log = unit.path("log");
    let tail = Command::new(["tail", "-n", "20", &log]);
    let output = look(host, &tail, means.cancel).await?.text();
    for line in output.lines() {
        means.log.line(Stream::Stderr, line.to_owned()).await;
    }
    Ok(output
        .lines()
        .rfind(|line| !line.is_empty() && !line.starts_with("supervise: "))
        .unwrap_or("none")
        .to_owned())
}

pub(super) mod undo;

#[cfg(test)]
mod tests;
