//! Verifying: every snapshot is read again. What is found is kept in its account, and a damaged one becomes a finding.

use super::super::{Context, Outcome, StepError};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::backup::StoreSpec;
use crate::domain::recipe::SnapshotWork;
use crate::domain::snapshot::{Look, Snapshot};
use crate::services::shelf;

pub(super) async fn execute(
    chosen: &[StoreSpec],
    work: &SnapshotWork,
    context: &Context,
) -> Result<Outcome, StepError> {
    let snapshots = wanted(chosen, work.which.as_deref(), context)?;
    if snapshots.is_empty() {
        return Ok(Outcome::Skipped("there is no snapshot".into()));
    }
    let identity = super::identity(&snapshots, context)
        .await?
        .map(std::sync::Arc::new);
    let tried = snapshots.len();
    let mut failures = Vec::new();
    for snapshot in snapshots {
        if context.cancel.is_cancelled() {
            return Err(StepError::cancelled());
        }
        let (looked, key) = (snapshot.clone(), identity.clone());
        let found =
            tokio::task::spawn_blocking(move || shelf::inspect(&looked, key.as_deref())).await;
        let found = found
            .map_err(|error| StepError::lasting(format!("verifying stopped: {error}")))?
            .err()
            .map(|flaw| flaw.to_string());
        let id = snapshot.id();
        match &found {
            None => context.note(format!("{id}: whole")).await,
            Some(flaw) => {
                context.note(format!("{id}: damaged: {flaw}")).await;
                failures.push(format!("{id}: {flaw}"));
            }
        }
        let looked = Snapshot {
            look: Some(Look {
                at: SystemClock.now(),
                flaw: found,
            }),
            ..snapshot
        };
        context
            .snapshots
            .record(&looked)
            .map_err(|error| StepError::lasting(format!("{id}: {error}")))?;
    }
    super::together(tried, &failures)
}

/// The snapshots that are meant: one, or all of the chosen stores.
fn wanted(
    chosen: &[StoreSpec],
    which: Option<&str>,
    context: &Context,
) -> Result<Vec<Snapshot>, StepError> {
    if let Some(which) = which.filter(|which| !matches!(*which, "" | "all")) {
        let store = which.split('/').next().filter(|_| which.contains('/'));
        let store = store.or(match chosen {
            [one] => Some(one.name.as_str()),
            _ => None,
        });
        let store = store.ok_or_else(|| {
            StepError::lasting(format!("{which:?} names no store: write STORE/{which}"))
        })?;
        return Ok(vec![super::found(store, Some(which), context)?]);
    }
    let (all, odd) = context
        .snapshots
        .list()
        .map_err(|error| StepError::lasting(error.to_string()))?;
    if let Some(reason) = odd.first() {
        return Err(StepError::lasting(format!(
            "not a snapshot's account: {reason}"
        )));
    }
    Ok(all
        .into_iter()
        .filter(|one| {
            one.environment == context.environment.name
                && chosen.iter().any(|store| store.name == one.service)
        })
        .collect())
}
