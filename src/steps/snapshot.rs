//! `snapshot`: saves the state of services where the engine is. One counts only when all of it was read and verified; what is
//! cut off, empty or damaged is thrown away and fails the step.

use super::{Context, Outcome, StepError};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::recipe::TakeSnapshot;
use crate::domain::service::ServiceSpec;
use crate::domain::snapshot::Snapshot;
use crate::services::archive;

/// How many are kept of each service when the step does not say.
const KEEP: usize = 14;

pub(super) async fn execute(take: &TakeSnapshot, context: &Context) -> Result<Outcome, StepError> {
    let services = &context.environment.services;
    let chosen: Vec<&ServiceSpec> = if take.name == "*" {
        let able = services
            .iter()
            .filter(|service| service.kind.has_snapshots());
        able.collect()
    } else {
        let named = context.environment.service(&take.name);
        let named = named.ok_or_else(|| {
            StepError::lasting(format!(
                "environment {} has no service called {:?}",
                context.environment.name, take.name
            ))
        })?;
        if !named.kind.has_snapshots() {
            return Err(StepError::lasting(format!(
                "the state of {} cannot be saved: {} has no snapshots that can be verified",
                named.name, named.kind
            )));
        }
        vec![named]
    };
    if chosen.is_empty() {
        return Ok(Outcome::Skipped(
            "the environment has no service whose state can be saved".into(),
        ));
    }
    let keep = match &take.keep {
        None => KEEP,
        Some(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|keep| *keep > 0)
            .ok_or_else(|| {
                StepError::lasting(format!("{text:?} is no number of snapshots to keep"))
            })?,
    };
    for service in chosen {
        if context.dry_run {
            context
                .note(format!("the state of {} would be saved", service.name))
                .await;
        } else {
            one(service, keep, context).await?;
        }
    }
    Ok(Outcome::Ok)
}

async fn one(service: &ServiceSpec, keep: usize, context: &Context) -> Result<(), StepError> {
    let name = &service.name;
    let environment = &context.environment.name;
    let disk = |error: std::io::Error| StepError::lasting(format!("{name}: {error}"));
    let taken_at = SystemClock.now();
    let shelf = context.snapshots.clone();
    let file = shelf.place(environment, name, taken_at).map_err(disk)?;
    context.note(format!("{name}: asking for its state")).await;
    let taken = context
        .services
        .snapshot(name, &file, &context.cancel)
        .await
        .map_err(|reason| StepError {
            message: format!("{name}: {reason}"),
            passing: true,
        })?;
    let (origin, path) = (taken.origin, taken.saved.path().to_owned());
    let verified = tokio::task::spawn_blocking(move || archive::verify(origin, &path))
        .await
        .map_err(|error| StepError::lasting(format!("{name}: verifying stopped: {error}")))?;
    let contents = verified.map_err(|flaw| StepError {
        message: format!(
            "{name}: what {} sent is no good snapshot and was thrown away: {flaw}",
            taken.from
        ),
        // A server that lost its leader in the middle may do better in a moment.
        passing: true,
    })?;
    let snapshot = Snapshot {
        environment: environment.clone(),
        service: name.clone(),
        kind: service.kind,
        taken_at,
        from: taken.from,
        size: taken.saved.size,
        sha256: taken.saved.sha256.clone(),
        state: contents.state,
        index: contents.index,
        term: contents.term,
        file,
    };
    taken
        .saved
        .keep(&snapshot.file)
        .map_err(|error| StepError::lasting(format!("{name}: {error}")))?;
    shelf.record(&snapshot).map_err(disk)?;
    context
        .note(format!(
            "{name}: {} bytes from {}, verified: state of {} bytes at index {}, in {}",
            snapshot.size,
            snapshot.from,
            snapshot.state,
            snapshot.index,
            snapshot.file.display()
        ))
        .await;
    for old in shelf.prune(environment, name, keep).map_err(disk)? {
        context
            .note(format!(
                "{name}: removed the snapshot of {}, beyond the {keep} that are kept",
                old.taken_at
            ))
            .await;
    }
    Ok(())
}
