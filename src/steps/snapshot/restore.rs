//! Restoring: the snapshot is read and verified once more, the store takes it, and the step ends well only when the store then
//! holds every name that was taken down with the snapshot.

use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{Context, Outcome, StepError};
use crate::domain::backup::StoreSpec;
use crate::domain::recipe::SnapshotWork;
use crate::domain::snapshot::{Comparison, Snapshot};
use crate::services::shelf::{self, Plain};
use crate::services::stores::Store;

/// How long a store may take to come to itself behind a restore.
const RECOVERY: Duration = Duration::from_secs(90);
/// From one look to the next.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn execute(
    chosen: &[StoreSpec],
    work: &SnapshotWork,
    context: &Context,
) -> Result<Outcome, StepError> {
    let [spec] = chosen else {
        return Err(StepError::lasting("a restore is of one store: name it"));
    };
    let snapshot = super::found(&spec.name, work.which.as_deref(), context)?;
    let name = &spec.name;
    context
        .note(format!(
            "{name}: snapshot {} of {:.0}, {}",
            snapshot.id(),
            snapshot.taken_at,
            snapshot.file.display()
        ))
        .await;
    let identity = super::identity(std::slice::from_ref(&snapshot), context).await?;
    let looked = snapshot.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let checked = shelf::inspect(&looked, identity.as_ref());
        (checked, identity)
    });
    let (checked, identity) = checked
        .await
        .map_err(|error| StepError::lasting(format!("verifying stopped: {error}")))?;
    checked.map_err(|flaw| {
        StepError::lasting(format!("{} was not restored: {flaw}", snapshot.id()))
    })?;
    if context.dry_run {
        context
            .note(format!("{name}: its state would be replaced"))
            .await;
        return Ok(Outcome::Changed);
    }
    let failed = |reason: String| StepError::lasting(format!("{name}: {reason}"));
    let scratch = context
        .snapshots
        .scratch()
        .map_err(|error| failed(error.to_string()))?;
    let (sealed, folder) = (snapshot.clone(), scratch.path().to_owned());
    let plain =
        tokio::task::spawn_blocking(move || Plain::of(&sealed, identity.as_ref(), &folder)).await;
    let plain = plain
        .map_err(|error| failed(error.to_string()))?
        .map_err(|flaw| failed(flaw.to_string()))?;
    let store = context.services.store(name).await.map_err(failed)?.store;
    context.note(format!("{name}: giving it the state")).await;
    give(&*store, &snapshot, plain.path(), context).await?;
    let words = recovered(&*store, &snapshot, context).await?;
    context.note(format!("{name}: restored; {words}")).await;
    Ok(Outcome::Changed)
}

async fn give(
    store: &dyn Store,
    snapshot: &Snapshot,
    file: &Path,
    context: &Context,
) -> Result<(), StepError> {
    let given = tokio::select! {
        () = context.cancel.cancelled() => Err("cancelled in the middle: look whether it has the old state or the new one".to_owned()),
        given = store.restore(snapshot, file, &context.cancel) => given.map_err(|error| error.to_string()),
    };
    given.map_err(|reason| StepError::lasting(format!("{}: {reason}", snapshot.service)))
}

/// Waits until the store holds what the snapshot took down.
async fn recovered(
    store: &dyn Store,
    snapshot: &Snapshot,
    context: &Context,
) -> Result<String, StepError> {
    let deadline = Instant::now() + RECOVERY;
    loop {
        let seen = match store.inventory(LOOK * 10).await {
            Ok(now) => {
                let compared = Comparison::of(snapshot, &now);
                let lacking = compared.returned.len() + compared.returned_unnamed;
                if lacking == 0 {
                    return Ok(format!(
                        "it holds all {} names that were taken down with the snapshot",
                        snapshot.inventory.items.len()
                    ));
                }
                format!("it lacks {lacking} names of the snapshot")
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            let sealed = if snapshot.kind == crate::domain::backup::StoreKind::Vault {
                "; it may be sealed by the keys of the snapshot: unseal it with the shares of that time"
            } else {
                ""
            };
            return Err(StepError::lasting(format!(
                "{} took the state, but {seen} after {} s{sealed}",
                snapshot.service,
                RECOVERY.as_secs()
            )));
        }
        tokio::select! {
            () = context.cancel.cancelled() => return Err(StepError::cancelled()),
            () = sleep(LOOK) => {}
        }
    }
}
