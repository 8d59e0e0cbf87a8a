//! Units taken back: stopped and disabled before their file goes, started when everything they read is there again.

use super::super::checksum::sha256_of_bytes;
use super::super::edit::public;
use super::super::undo::{Back, reads_changed};
use super::super::{Means, ResourceError, file, supervised};
use super::{State, has_systemd, is_rewritten, observe, path, show, start, systemctl};
use crate::domain::resource::UnitSpec;
use crate::domain::undo::{Before, UnitBefore, UnitMode};
use crate::transport::Host;

pub(in crate::resources) async fn remember(
    spec: &UnitSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    if !has_systemd(host, means).await? {
        return supervised::undo::remember(spec, name, host, means).await;
    }
    let seen = observe(spec, host, means).await?;
    let file = match &spec.content {
        Some(content) if is_rewritten(spec, &seen) => {
            let sha256 = sha256_of_bytes(content.as_bytes());
            file::undo::observe(&path(spec), sha256, public(), name, host, means).await?
        }
        _ => None,
    };
    Ok(Some(Before::Unit(UnitBefore {
        name: spec.name.clone(),
        supervised: false,
        file,
        was: UnitMode {
            enabled: seen.state.starts_at_boot(),
            active: seen.state.runs(),
        },
        left: UnitMode {
            enabled: Some(spec.enabled),
            active: spec.started,
        },
        reads: spec.reads.clone(),
    })))
}

/// The unit as the functions of this room take it.
fn spec(unit: &UnitBefore) -> UnitSpec {
    UnitSpec {
        name: unit.name.clone(),
        content: None,
        started: unit.was.active,
        enabled: unit.left.enabled == Some(true),
        reads: unit.reads.clone(),
    }
}

/// Whether the run started it, and it still runs.
fn must_stop(unit: &UnitBefore, state: &State) -> bool {
    !unit.was.active && unit.left.active && state.runs()
}

/// What must be done about its start at boot: `enable` or `disable`.
fn boot_verb(unit: &UnitBefore, state: &State) -> Option<&'static str> {
    match (unit.was.enabled, unit.left.enabled, state.starts_at_boot()) {
        (Some(false), Some(true), Some(true)) => Some("disable"),
        (Some(true), Some(false), Some(false)) => Some("enable"),
        _ => None,
    }
}

pub(in crate::resources) async fn check(
    unit: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let state = show(&spec(unit), host, means).await?;
    let mut back = match &unit.file {
        Some(file) => file::undo::check(file, host, means).await?,
        None => Back::default(),
    };
    for change in &mut back.difference.changes {
        *change = format!("its file: {change}");
    }
    if must_stop(unit, &state) {
        back.difference.note("active → stopped");
    }
    match boot_verb(unit, &state) {
        Some("disable") => back.difference.note("started at boot → disabled"),
        Some(_) => back.difference.note("not started at boot → enabled"),
        None => {}
    }
    if unit.was.active && !state.runs() {
        back.difference
            .note(format!("{} → started", state.describe()));
    } else if unit.was.active && reads_changed(unit, means) {
        back.difference.note("restart: what it reads is as before");
    }
    Ok(back)
}

/// Everything but its start, for which what it reads must be there again.
pub(in crate::resources) async fn take_back(
    unit: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let spec = spec(unit);
    let state = show(&spec, host, means).await?;
    if must_stop(unit, &state) {
        systemctl(&["stop", &unit.name], host, means).await?;
    }
    let verb = boot_verb(unit, &state);
    if verb == Some("disable") {
        // Before its file goes: the file says which links were made.
        systemctl(&["disable", &unit.name], host, means).await?;
    }
    if let Some(file) = &unit.file {
        if state.active == "failed" {
            systemctl(&["reset-failed", &unit.name], host, means).await?;
        }
        file::undo::take_back(file, host, means).await?;
        systemctl(&["daemon-reload"], host, means).await?;
    }
    if verb == Some("enable") {
        systemctl(&["enable", &unit.name], host, means).await?;
    }
    Ok(())
}

pub(in crate::resources) async fn settle(
    unit: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let spec = spec(unit);
    let state = show(&spec, host, means).await?;
    if !state.runs() {
        if state.result == "start-limit-hit" {
            systemctl(&["reset-failed", &unit.name], host, means).await?;
        }
        return start("start", &spec, host, means).await;
    }
    if reads_changed(unit, means) {
        return start("restart", &spec, host, means).await;
    }
    Ok(())
}
