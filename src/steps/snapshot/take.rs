//! Taking: one counts only when all of it was read and verified; what is cut off, empty or damaged is thrown away, remembered
//! as a failed attempt, and fails the step. One store that fails does not keep the others from being saved.
//!
//! A store that loses its leader in the middle breaks off. It is asked again a few times, within the seconds in which another
//! one is elected; only what comes whole from one leader counts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::super::{Context, Outcome, StepError};
use crate::clock::{Clock as _, SystemClock};
use crate::domain::backup::StoreSpec;
use crate::domain::recipe::SnapshotWork;
use crate::domain::snapshot::{Failure, Inventory, Snapshot};
use crate::resources::meter::{Meter, size};
use crate::services::ServiceError;
use crate::services::intake::{Filed, Intake, IntakeError, trouble};
use crate::services::sealing::Recipients;
use crate::services::stores::{Given, Store};

/// How many are kept of each store when the step does not say.
const KEEP: usize = 14;
/// How long a store may take to list what it holds.
const LISTING: Duration = Duration::from_secs(60);
/// Before a store is asked once more: servers take a few seconds to elect a leader, and that one a few to take over.
const AGAIN: [u64; 3] = [2, 4, 8];

/// Why there is no snapshot.
struct Trouble {
    reason: String,
    /// Whether asking again may help.
    passing: bool,
}

impl Trouble {
    fn lasting(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            passing: false,
        }
    }
}

impl From<ServiceError> for Trouble {
    fn from(error: ServiceError) -> Self {
        Self {
            passing: error.is_passing(),
            reason: error.to_string(),
        }
    }
}

impl From<IntakeError> for Trouble {
    fn from(error: IntakeError) -> Self {
        Self {
            // What a server sent that lost its leadership may be cut off; a disk that is full stays full.
            passing: matches!(error, IntakeError::Flaw(_)),
            reason: error.to_string(),
        }
    }
}

pub(super) async fn execute(
    chosen: &[StoreSpec],
    work: &SnapshotWork,
    context: &Context,
) -> Result<Outcome, StepError> {
    let keep = keep(work.keep.as_deref())?;
    let recipients = Recipients::read(&context.environment.backups.recipients)
        .map_err(|error| StepError::lasting(error.to_string()))?;
    let mut failures = Vec::new();
    for spec in chosen {
        if context.dry_run {
            context
                .note(format!("the state of {} would be saved", spec.name))
                .await;
            continue;
        }
        if let Err(reason) = patiently(spec, keep, &recipients, context).await {
            if context.cancel.is_cancelled() {
                return Err(StepError::cancelled());
            }
            context.note(format!("{}: {reason}", spec.name)).await;
            let failure = Failure {
                environment: context.environment.name.clone(),
                service: spec.name.clone(),
                at: SystemClock.now(),
                reason: reason.clone(),
            };
            if let Err(error) = context.snapshots.fail(&failure) {
                context
                    .note(format!(
                        "that it failed cannot be kept, and is known only until the engine ends: {error}"
                    ))
                    .await;
            }
            failures.push(format!("{}: {reason}", spec.name));
        }
    }
    super::together(chosen.len(), &failures).map_err(|error| StepError {
        // Whoever gives the step `retries` wants them.
        passing: true,
        ..error
    })
}

/// Takes one, and asks again where that may help.
async fn patiently(
    spec: &StoreSpec,
    keep: usize,
    recipients: &Recipients,
    context: &Context,
) -> Result<(), String> {
    let mut pauses = AGAIN.into_iter();
    loop {
        let trouble = match one(spec, keep, recipients, context).await {
            Ok(()) => return Ok(()),
            Err(trouble) => trouble,
        };
        let Some(pause) = pauses.next().filter(|_| trouble.passing) else {
            return Err(trouble.reason);
        };
        let text = format!(
            "{}: {}; nothing of it is kept, it is asked again in {pause} s",
            spec.name, trouble.reason
        );
        context.note(text).await;
        let pause = sleep(Duration::from_secs(pause));
        if context.cancel.run_until_cancelled(pause).await.is_none() {
            return Err(trouble.reason);
        }
    }
}

fn keep(text: Option<&str>) -> Result<usize, StepError> {
    let Some(text) = text else { return Ok(KEEP) };
    let read = text.trim().parse().ok().filter(|keep| *keep > 0);
    read.ok_or_else(|| StepError::lasting(format!("{text:?} is no number of snapshots to keep")))
}

async fn one(
    spec: &StoreSpec,
    keep: usize,
    recipients: &Recipients,
    context: &Context,
) -> Result<(), Trouble> {
    let (name, environment) = (&spec.name, &context.environment.name);
    let opened = context.services.store(name).await;
    let store = opened.map_err(Trouble::lasting)?.store;
    let taken_at = SystemClock.now();
    let file = context
        .snapshots
        .place(environment, name, taken_at)
        .map_err(|error| Trouble::lasting(format!("it has no place on the shelf: {error}")))?;
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let disk = |error: std::io::Error| Trouble::lasting(trouble(folder, &error));
    context.note(format!("{name}: asking for its state")).await;
    // Before the snapshot: what is added in between counts as lost by a restore rather than as kept.
    let inventory = store
        .inventory(LISTING)
        .await
        .unwrap_or_else(|error| Inventory {
            blind: vec![format!("what it held could not be listed: {error}")],
            ..Inventory::default()
        });
    let (given, filed) = receive(spec, &*store, folder, recipients, context).await?;
    if given
        .sha256
        .is_some_and(|promised| promised != filed.plain_sha256)
    {
        return Err(Trouble {
            reason: "what came is not what it said it would send (its Digest differs)".into(),
            passing: true,
        });
    }
    let recipients = &context.environment.backups.recipients;
    let snapshot = Snapshot {
        environment: environment.clone(),
        service: name.clone(),
        kind: spec.kind,
        taken_at,
        from: given.from,
        size: filed.size,
        sha256: filed.sha256.clone(),
        state: filed.contents.state,
        index: given
            .index
            .unwrap_or(filed.contents.index)
            .max(revision(&inventory)),
        term: filed.contents.term,
        inventory: if recipients.is_empty() {
            inventory
        } else {
            inventory.hidden()
        },
        recipients: recipients.clone(),
        look: None,
        drill: None,
        file: file.clone(),
    };
    filed.keep(&snapshot.file).map_err(disk)?;
    if let Err(error) = context.snapshots.record(&snapshot) {
        // Without its account it is none, and would only fill the disk further.
        let _ = std::fs::remove_file(&snapshot.file);
        return Err(disk(error));
    }
    context
        .snapshots
        .forget_failure(environment, name)
        .map_err(disk)?;
    context
        .note(format!(
            "{name}: {} from {}, verified{}{}, in {}",
            size(snapshot.size),
            snapshot.from,
            if snapshot.index > 0 {
                format!(": at {}", snapshot.index)
            } else {
                String::new()
            },
            if snapshot.recipients.is_empty() {
                ", not encrypted"
            } else {
                ", encrypted"
            },
            snapshot.file.display()
        ))
        .await;
    for old in context
        .snapshots
        .prune(environment, name, keep)
        .map_err(disk)?
    {
        context
            .note(format!(
                "{name}: removed the snapshot of {}, beyond the {keep} that are kept",
                old.taken_at
            ))
            .await;
    }
    Ok(())
}

/// The revision that the listing told (etcd): the file itself does not say it without being opened.
fn revision(inventory: &Inventory) -> u64 {
    let mark = inventory.items.get("etcd revision");
    mark.and_then(|mark| mark.strip_prefix("at ")?.parse().ok())
        .unwrap_or(0)
}

async fn receive(
    spec: &StoreSpec,
    store: &dyn Store,
    folder: &Path,
    recipients: &Recipients,
    context: &Context,
) -> Result<(Given, Filed), Trouble> {
    let (meter, reports) = Meter::new("received");
    let meter = Arc::new(meter);
    let mut intake = Intake::begin(spec.kind, folder, recipients.clone(), move |bytes| {
        meter.count(bytes);
    })?;
    let work = async {
        let given = store.take(&mut intake, &context.cancel).await;
        (given, intake)
    };
    let (given, intake) = tokio::select! {
        () = context.cancel.cancelled() => return Err(Trouble::lasting("cancelled")),
        done = reports.tell_while(work, &*context.log) => done,
    };
    let given = given?;
    Ok((given, intake.finish().await?))
}
