//! Drilling: a snapshot is restored into a scratch instance on the engine's machine, which is asked what it holds and then
//! thrown away. How long that took is the least that a recovery would take.

use tokio::time::Instant;

use super::super::{Context, Outcome, StepError};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::backup::StoreSpec;
use crate::domain::recipe::SnapshotWork;
use crate::domain::snapshot::{Drill, Snapshot};
use crate::services::shelf::{self, Plain};
use crate::services::stores::scratch::{self, Trial};

pub(super) async fn execute(
    chosen: &[StoreSpec],
    work: &SnapshotWork,
    context: &Context,
) -> Result<Outcome, StepError> {
    let mut failures = Vec::new();
    for spec in chosen {
        let snapshot = super::found(&spec.name, work.which.as_deref(), context)?;
        if context.dry_run {
            context
                .note(format!("{} would be tried", snapshot.id()))
                .await;
            continue;
        }
        if let Err(reason) = scratch::at_hand(spec.kind) {
            // Nothing is said about the snapshot by that.
            failures.push(format!("{}: {reason}", spec.name));
            context.note(format!("{}: {reason}", spec.name)).await;
            continue;
        }
        context
            .note(format!(
                "{}: trying it in a scratch instance",
                snapshot.id()
            ))
            .await;
        let started = Instant::now();
        let tried = one(&snapshot, spec, context).await;
        if context.cancel.is_cancelled() {
            return Err(StepError::cancelled());
        }
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let id = snapshot.id();
        match &tried {
            Ok(answers) => {
                let seconds = took_ms as f64 / 1000.0;
                context
                    .note(format!("{id}: restored in {seconds:.1} s: {answers}"))
                    .await;
            }
            Err(reason) => {
                context
                    .note(format!("{id}: the drill failed: {reason}"))
                    .await;
                failures.push(format!("{id}: {reason}"));
            }
        }
        let drilled = Snapshot {
            drill: Some(Drill {
                at: SystemClock.now(),
                took_ms,
                answers: tried.clone().unwrap_or_default(),
                flaw: tried.err(),
            }),
            ..snapshot
        };
        context
            .snapshots
            .record(&drilled)
            .map_err(|error| StepError::lasting(format!("{id}: {error}")))?;
    }
    super::together(chosen.len(), &failures)
}

async fn one(snapshot: &Snapshot, spec: &StoreSpec, context: &Context) -> Result<String, String> {
    let identity = super::identity(std::slice::from_ref(snapshot), context)
        .await
        .map_err(|error| error.to_string())?;
    let folder = context
        .snapshots
        .scratch()
        .map_err(|error| error.to_string())?;
    let (looked, place) = (snapshot.clone(), folder.path().to_owned());
    let plain = tokio::task::spawn_blocking(move || {
        shelf::inspect(&looked, identity.as_ref())?;
        Plain::of(&looked, identity.as_ref(), &place)
    });
    let plain = plain
        .await
        .map_err(|error| error.to_string())?
        .map_err(|flaw| flaw.to_string())?;
    // Only a state with its own users needs the password; without one it is tried all the same.
    let secret = context
        .services
        .store(&spec.name)
        .await
        .ok()
        .and_then(|opened| opened.secret);
    let trial = Trial {
        snapshot,
        file: plain.path(),
        spec,
        secret,
        folder: folder.path(),
        cancel: &context.cancel,
    };
    tokio::select! {
        () = context.cancel.cancelled() => Err("cancelled".into()),
        tried = scratch::drill(&trial) => tried,
    }
}
