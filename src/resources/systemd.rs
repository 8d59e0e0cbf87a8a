//! A systemd unit: its file, whether it starts at boot, whether it runs, and whether what it read at its start is still
//! what lies there.
//!
//! Hosts without systemd get [`super::supervised`]; systemd's own test decides (`sd_booted(3)`): `/run/systemd/system`
//! is a directory.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::edit::write_public;
use super::exec::{look, look_well, perform, succeeds};
use super::{Difference, Means, ResourceError, file, stat, supervised};
use crate::domain::resource::UnitSpec;
use crate::domain::run::Stream;
use crate::transport::{Command, Host, ReachError};

/// Units of the administrator, which come before those of packages.
const DIRECTORY: &str = "/etc/systemd/system";
/// Services of type `notify` may take systemd's own 90 s to start, and as long to stop before.
const JOB_LIMIT: Duration = Duration::from_secs(200);
/// What is asked of systemd, in one go.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,UnitFileState,NeedDaemonReload,ActiveEnterTimestampMonotonic,NRestarts";

/// What `systemctl show` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    load: String,
    active: String,
    sub: String,
    result: String,
    /// `enabled`, `disabled`, `static`, `masked` …; empty for a unit without a file.
    file: String,
    needs_reload: bool,
    /// Microseconds of the host's monotonic clock at the last start.
    entered: u64,
    restarts: u64,
}

impl State {
    fn read(text: &str) -> Self {
        let values: BTreeMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let word = |name| values.get(name).copied().unwrap_or_default().to_owned();
        let number = |name| {
            values
                .get(name)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        Self {
            load: word("LoadState"),
            active: word("ActiveState"),
            sub: word("SubState"),
            result: word("Result"),
            file: word("UnitFileState"),
            needs_reload: values.get("NeedDaemonReload") == Some(&"yes"),
            entered: number("ActiveEnterTimestampMonotonic"),
            restarts: number("NRestarts"),
        }
    }

    fn exists(&self) -> bool {
        self.load != "not-found"
    }

    fn is_masked(&self) -> bool {
        self.load == "masked" || self.file.starts_with("masked")
    }

    /// Runs, or is on its way and not between two failures.
    fn runs(&self) -> bool {
        match self.active.as_str() {
            "active" | "reloading" => true,
            "activating" => self.sub != "auto-restart",
            _ => false,
        }
    }

    /// Whether it starts at boot; `None` for units that cannot be enabled.
    fn starts_at_boot(&self) -> Option<bool> {
        match self.file.as_str() {
            "enabled" | "alias" | "generated" => Some(true),
            "static" | "indirect" | "transient" => None,
            _ => Some(false),
        }
    }

    fn describe(&self) -> String {
        match (self.active.as_str(), self.result.as_str()) {
            ("failed", result) => format!("failed ({result})"),
            ("activating", _) => format!("activating ({})", self.sub),
            (active, _) => active.to_owned(),
        }
    }
}

/// Everything that was seen of a unit.
struct Seen {
    state: State,
    /// Content of the administrator's file, read only where one is declared.
    content: Option<Vec<u8>>,
}

async fn has_systemd(host: &dyn Host, means: &Means<'_>) -> Result<bool, ResourceError> {
    Ok(succeeds(host, ["test", "-d", "/run/systemd/system"], means.cancel).await?)
}

async fn show(spec: &UnitSpec, host: &dyn Host, means: &Means<'_>) -> Result<State, ResourceError> {
    let text = look_well(
        host,
        ["systemctl", "show", "-p", PROPERTIES, &spec.name],
        means.cancel,
    )
    .await?;
    Ok(State::read(&text))
}

async fn observe(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Seen, ResourceError> {
    check_name(&spec.name)?;
    let content = match &spec.content {
        Some(_) => host.read(&path(spec)).await?,
        None => None,
    };
    let state = show(spec, host, means).await?;
    Ok(Seen { state, content })
}

fn path(spec: &UnitSpec) -> String {
    format!("{DIRECTORY}/{}", spec.name)
}

/// Whether the declared content is not what lies there.
fn is_rewritten(spec: &UnitSpec, seen: &Seen) -> bool {
    spec.content
        .as_ref()
        .is_some_and(|wanted| seen.content.as_deref() != Some(wanted.as_bytes()))
}

pub(super) async fn check(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Difference, ResourceError> {
    if !has_systemd(host, means).await? {
        return supervised::check(spec, host, means).await;
    }
    let seen = observe(spec, host, means).await?;
    let state = &seen.state;
    let mut difference = Difference::default();
    if state.is_masked() && (spec.started || spec.enabled) {
        difference.note(masked(spec));
        return Ok(difference);
    }
    if let (true, Some(wanted)) = (is_rewritten(spec, &seen), &spec.content) {
        difference.note(if seen.content.is_some() {
            "the unit file differs"
        } else {
            "the unit file does not exist → written"
        });
        let old = seen.content.as_deref().unwrap_or_default();
        difference.diff = file::diff(&path(spec), old, wanted.as_bytes());
    } else if state.needs_reload {
        difference.note("systemd has not read the unit file's newest version → daemon-reload");
    }
    match (state.starts_at_boot(), spec.enabled) {
        (Some(false), true) => difference.note("not started at boot → enabled"),
        (Some(true), false) => difference.note("started at boot → disabled"),
        _ => {}
    }
    match (state.runs(), spec.started) {
        (false, true) => difference.note(format!("{} → started", state.describe())),
        (true, false) => difference.note(format!("{} → stopped", state.describe())),
        (true, true) => {
            if let Some(reason) = restart_reason(spec, &seen, host, means).await? {
                difference.note(format!("restart: {reason}"));
            }
        }
        (false, false) => {}
    }
    Ok(difference)
}

/// Why a running unit must be started again, if it must.
async fn restart_reason(
    spec: &UnitSpec,
    seen: &Seen,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<String>, ResourceError> {
    if is_rewritten(spec, seen) {
        return Ok(Some("its unit file changes".into()));
    }
    let mut reads: Vec<&str> = spec.reads.iter().map(String::as_str).collect();
    let own = path(spec);
    if spec.content.is_some() {
        reads.push(&own);
    }
    if reads.is_empty() {
        return Ok(None);
    }
    if let Some(path) = reads
        .iter()
        .find(|path| means.changed.iter().any(|changed| changed == *path))
    {
        return Ok(Some(format!("{path} changes")));
    }
    let Some(started) = started_at(seen.state.entered, host, means).await? else {
        return Ok(None);
    };
    for path in reads {
        if let Some(file) = stat::see(path, host, means).await?
            && file.modified as f64 >= started
        {
            return Ok(Some(format!("{path} is newer than its start")));
        }
    }
    Ok(None)
}

/// The latest time at which the unit can have started, on the host's wall clock, seconds since 1970.
///
/// systemd's monotonic time is put on the wall clock with the uptime, not with systemd's own wall-clock stamp, because a
/// board without a battery starts its services with a clock that stands in the past. `/proc/uptime` is read before `date`,
/// and `date` has whole seconds: the answer is a second or two late and never early, so a file that was written before the
/// start is never taken for newer. What this task has changed itself is known from [`Means::changed`] without any clock.
///
/// `None` where the two clocks have different beginnings, as in containers whose uptime is their own.
async fn started_at(
    entered: u64,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<f64>, ResourceError> {
    let unreadable = |what: &str, text: &str| ResourceError::Failed {
        command: what.to_owned(),
        exit: "exit status 0".into(),
        complaint: format!("{:?} is no time", text.trim()),
    };
    let uptime = look_well(host, ["cat", "/proc/uptime"], means.cancel).await?;
    let now = look_well(host, ["date", "+%s"], means.cancel).await?;
    let up: f64 = uptime
        .split_whitespace()
        .next()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| unreadable("cat /proc/uptime", &uptime))?;
    let now: i64 = now
        .trim()
        .parse()
        .map_err(|_| unreadable("date +%s", &now))?;
    Ok(place_on_wall_clock(entered, up, now))
}

fn place_on_wall_clock(entered: u64, up: f64, now: i64) -> Option<f64> {
    let ago = up - entered as f64 / 1e6;
    // The uptime has two decimals.
    (ago > -0.01).then(|| now as f64 + 1.0 - ago.max(0.0))
}

pub(super) async fn apply(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if !has_systemd(host, means).await? {
        return supervised::apply(spec, host, means).await;
    }
    let seen = observe(spec, host, means).await?;
    if seen.state.is_masked() && (spec.started || spec.enabled) {
        return Err(ResourceError::Unfit(format!(
            "{}: {}",
            spec.name,
            masked(spec)
        )));
    }
    let restart = if seen.state.runs() && spec.started {
        restart_reason(spec, &seen, host, means).await?
    } else {
        None
    };
    let rewritten = is_rewritten(spec, &seen);
    if let (true, Some(content)) = (rewritten, &spec.content) {
        write_public(&path(spec), content.clone(), host, means).await?;
    }
    let state = if rewritten || seen.state.needs_reload {
        systemctl(&["daemon-reload"], host, means).await?;
        show(spec, host, means).await?
    } else {
        seen.state
    };
    if !state.exists() {
        return Err(ResourceError::Unfit(format!(
            "{}: no such unit on this host; give its content, or install the package that brings it",
            spec.name
        )));
    }
    match (state.starts_at_boot(), spec.enabled) {
        (Some(false), true) => systemctl(&["enable", &spec.name], host, means).await?,
        (Some(true), false) => systemctl(&["disable", &spec.name], host, means).await?,
        _ => {}
    }
    match (spec.started, state.runs()) {
        (true, true) if restart.is_none() => Ok(()),
        (true, runs) => {
            if state.result == "start-limit-hit" {
                systemctl(&["reset-failed", &spec.name], host, means).await?;
            }
            let verb = if runs { "restart" } else { "start" };
            start(verb, spec, host, means).await
        }
        (false, true) => systemctl(&["stop", &spec.name], host, means).await,
        (false, false) => Ok(()),
    }
}

async fn systemctl(
    words: &[&str],
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let argv = std::iter::once("systemctl").chain(words.iter().copied());
    perform(host, &Command::new(argv).within(JOB_LIMIT), means).await
}

/// Starts the unit and watches it for two seconds: many programs fail only after they have read their configuration.
async fn start(
    verb: &str,
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    if let Err(error) = systemctl(&[verb, &spec.name], host, means).await {
        if matches!(error, ResourceError::Failed { .. }) {
            let last = journal(spec, host, means).await?;
            return Err(ResourceError::Unfit(format!(
                "{error}; its last words: {last}"
            )));
        }
        return Err(error);
    }
    let mut restarts = None;
    for _ in 0..4 {
        tokio::select! {
            () = sleep(Duration::from_millis(500)) => {}
            () = means.cancel.cancelled() => {
                return Err(ReachError::Cancelled { hop: host.name().into() }.into());
            }
        }
        let state = show(spec, host, means).await?;
        let restarted = *restarts.get_or_insert(state.restarts) != state.restarts;
        if !state.runs() || restarted {
            let last = journal(spec, host, means).await?;
            return Err(ResourceError::Unfit(format!(
                "{} was started but does not stay up: {}; its last words: {last}",
                spec.name,
                state.describe(),
            )));
        }
    }
    Ok(())
}

/// Puts the unit's last lines into the log; gives back the very last.
async fn journal(
    spec: &UnitSpec,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<String, ResourceError> {
    let command = Command::new([
        "journalctl",
        "-u",
        &spec.name,
        "-n",
        "20",
        "--no-pager",
        "-o",
        "cat",
    ]);
    let output = look(host, &command, means.cancel).await?.text();
    for line in output.lines() {
        means.log.line(Stream::Stderr, line.to_owned()).await;
    }
    Ok(output
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("none")
        .to_owned())
}

fn masked(spec: &UnitSpec) -> String {
    format!(
        "is masked: somebody decided that it must not run; `systemctl unmask {}` on the node takes that back",
        spec.name
    )
}

/// systemd.unit(5): letters, digits, `:`, `-`, `_`, `.` and `@`, and a type at the end.
pub(super) fn check_name(name: &str) -> Result<(), ResourceError> {
    const TYPES: &[&str] = &[
        "service", "socket", "timer", "mount", "path", "target", "slice", "swap",
    ];
    let sound = name
        .rsplit_once('.')
        .is_some_and(|(stem, kind)| !stem.is_empty() && TYPES.contains(&kind))
        && !name.starts_with(['-', '.'])
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b":-_.@".contains(&b));
    if sound {
        Ok(())
    } else {
        Err(ResourceError::Unfit(format!(
            "{name:?} is no unit name: write it in full, such as consul.service"
        )))
    }
}

pub(super) mod undo;

#[cfg(test)]
mod tests;
