//! Supervised units taken back: the supervisor's directory is ours, so it goes as a whole where there was none.

use super::super::checksum::sha256_of_bytes;
use super::super::edit::public;
use super::super::exec::look_well;
use super::super::undo::{Back, reads_changed};
use super::super::{Means, ResourceError, file};
use super::{ROOT, Status, Unit, find, last_words, run, settings, status, stays_up};
use crate::domain::resource::UnitSpec;
use crate::domain::undo::{Before, UnitBefore, UnitMode, Was};
use crate::transport::Host;

pub(in crate::resources) async fn remember(
    spec: &UnitSpec,
    name: &str,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Option<Before>, ResourceError> {
    let unit = find(spec, host, means).await?;
    let Some(service) = &unit.service else {
        return Ok(None);
    };
    let wanted = settings(service);
    let path = unit.path("settings");
    let file = if host.read(&path).await?.as_deref() == Some(wanted.as_bytes()) {
        None
    } else {
        let sha256 = sha256_of_bytes(wanted.as_bytes());
        file::undo::observe(&path, sha256, public(), name, host, means).await?
    };
    let active = status(&unit, host, means).await? != Status::Inactive;
    Ok(Some(Before::Unit(UnitBefore {
        name: spec.name.clone(),
        supervised: true,
        file,
        was: UnitMode {
            enabled: None,
            active,
        },
        left: UnitMode {
            enabled: Some(spec.enabled),
            active: spec.started,
        },
        reads: spec.reads.clone(),
    })))
}

fn of(unit: &UnitBefore) -> Unit {
    Unit {
        directory: format!("{ROOT}/{}", unit.name),
        service: None,
    }
}

fn must_stop(unit: &UnitBefore, status: &Status) -> bool {
    !unit.was.active && unit.left.active && *status != Status::Inactive
}

pub(in crate::resources) async fn check(
    before: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<Back, ResourceError> {
    let mut back = match &before.file {
        Some(file) => file::undo::check(file, host, means).await?,
        None => Back::default(),
    };
    for change in &mut back.difference.changes {
        *change = format!("the unit: {change}");
    }
    let status = status(&of(before), host, means).await?;
    if must_stop(before, &status) {
        back.difference.note("active → stopped");
    }
    if before.was.active && status == Status::Inactive {
        back.difference.note("not running → started");
    } else if before.was.active && reads_changed(before, means) {
        back.difference.note("restart: what it reads is as before");
    }
    Ok(back)
}

pub(in crate::resources) async fn take_back(
    before: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let unit = of(before);
    if must_stop(before, &status(&unit, host, means).await?) {
        run(&unit, "stop", host, means).await?;
    }
    let Some(file) = &before.file else {
        return Ok(());
    };
    if matches!(file.was, Was::Absent { .. }) {
        look_well(host, ["rm", "-rf", &unit.directory], means.cancel).await?;
        return Ok(());
    }
    file::undo::take_back(file, host, means).await
}

pub(in crate::resources) async fn settle(
    before: &UnitBefore,
    host: &dyn Host,
    means: &Means<'_>,
) -> Result<(), ResourceError> {
    let unit = of(before);
    let runs = status(&unit, host, means).await? != Status::Inactive;
    if runs && !reads_changed(before, means) {
        return Ok(());
    }
    if runs {
        run(&unit, "stop", host, means).await?;
    }
    run(&unit, "start", host, means).await?;
    if stays_up(&unit, host, means).await? {
        return Ok(());
    }
    Err(ResourceError::Unfit(format!(
        "{} was started but does not stay up; its last words: {}",
        before.name,
        last_words(&unit, host, means).await?
    )))
}
