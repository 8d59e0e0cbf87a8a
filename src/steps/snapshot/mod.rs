//! `snapshot`: saves the state of stores where the engine is, looks whether what was saved is still whole, tries it in a
//! scratch instance, and gives a store its state back.

mod drill;
mod restore;
mod take;
mod verify;

use super::{Context, Outcome, StepError};
use crate::domain::backup::StoreSpec;
use crate::domain::recipe::{SnapshotVerb, SnapshotWork};
use crate::domain::snapshot::Snapshot;
use crate::services::sealing::Identity;

pub(super) async fn execute(work: &SnapshotWork, context: &Context) -> Result<Outcome, StepError> {
    let chosen = chosen(work, context)?;
    if chosen.is_empty() {
        return Ok(Outcome::Skipped(
            "the environment has no store whose state can be saved".into(),
        ));
    }
    match work.what {
        SnapshotVerb::Take => take::execute(&chosen, work, context).await,
        SnapshotVerb::Verify => verify::execute(&chosen, work, context).await,
        SnapshotVerb::Restore => restore::execute(&chosen, work, context).await,
        SnapshotVerb::Drill => drill::execute(&chosen, work, context).await,
    }
}

/// The stores that are meant.
fn chosen(work: &SnapshotWork, context: &Context) -> Result<Vec<StoreSpec>, StepError> {
    let environment = &context.environment;
    let stores = environment.stores();
    if work.name == "*" {
        return Ok(stores);
    }
    if let Some(named) = stores.iter().find(|store| store.name == work.name) {
        return Ok(vec![named.clone()]);
    }
    if let Some(service) = environment.service(&work.name) {
        return Err(StepError::lasting(format!(
            "the state of {} cannot be saved: {} has no snapshots that can be verified",
            service.name, service.kind
        )));
    }
    let names: Vec<&str> = stores.iter().map(|store| store.name.as_str()).collect();
    let known = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    Err(StepError::lasting(format!(
        "environment {} has no store called {:?}; there are {known}",
        environment.name, work.name
    )))
}

/// The snapshot of a store that `which` means.
fn found(store: &str, which: Option<&str>, context: &Context) -> Result<Snapshot, StepError> {
    let which = which.unwrap_or("latest");
    let id = if which.contains('/') {
        which.to_owned()
    } else {
        format!("{store}/{which}")
    };
    let snapshot = context
        .snapshots
        .find(&context.environment.name, &id)
        .map_err(StepError::lasting)?;
    if snapshot.service == store {
        Ok(snapshot)
    } else {
        Err(StepError::lasting(format!(
            "snapshot {id} is of {}, not of {store}",
            snapshot.service
        )))
    }
}

/// The secret key, where it is needed and the environment says where it is.
async fn identity(
    snapshots: &[Snapshot],
    context: &Context,
) -> Result<Option<Identity>, StepError> {
    if snapshots.iter().all(|one| one.recipients.is_empty()) {
        return Ok(None);
    }
    context
        .services
        .identity()
        .await
        .map_err(StepError::lasting)
}

/// What failed, of several things that were tried one after the other.
fn together(tried: usize, failures: &[String]) -> Result<Outcome, StepError> {
    match failures {
        [] => Ok(Outcome::Ok),
        [one] => Err(StepError::lasting(one.clone())),
        several => Err(StepError::lasting(format!(
            "{} of {tried} failed: {}",
            several.len(),
            several.join("; ")
        ))),
    }
}
