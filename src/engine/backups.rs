//! Snapshots as the engine looks after them: what is wrong with them becomes findings, a plan that restores one is bound to
//! exactly that one and shows what would be lost, and clients are told what is on the shelf.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bus::Bus;
use super::core::Core;
use super::live::Live;
use crate::client::{Event, Refusal};
use crate::clock::SharedClock;
use crate::domain::environment::Environment;
use crate::domain::plan::{Origin, Plan};
use crate::domain::recipe::{SnapshotVerb, SnapshotWork};
use crate::domain::snapshot::{Comparison, Inventory, Shelved, Snapshot, assess};
use crate::services::shelf::Shelf;
use crate::steps::{self, AskService as _, template::Templates};

/// From one look at the shelf to the next; the end of a run brings one too.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// How long a store may take to say what it holds, before a plan is shown without that.
const PREVIEW: Duration = Duration::from_secs(10);

/// Looks at the shelf and tells what is wrong.
pub(super) struct Keeper {
    pub(super) shelf: Shelf,
    pub(super) environments: Vec<Arc<Environment>>,
    pub(super) live: Arc<Live>,
    pub(super) bus: Bus,
    pub(super) clock: SharedClock,
}

impl Keeper {
    /// Sweeps the shelf, then looks at it until `stop`.
    pub(super) async fn keep_at_it(self, stop: CancellationToken) {
        let (shelf, now) = (self.shelf.clone(), self.clock.now());
        match tokio::task::spawn_blocking(move || shelf.sweep(now)).await {
            Ok(Ok(swept)) if swept.removed == 0 => {}
            Ok(Ok(swept)) => tracing::info!(?swept, "unfinished snapshots were removed"),
            Ok(Err(error)) => tracing::warn!(%error, "the shelf cannot be swept"),
            Err(error) => tracing::error!(%error, "sweeping stopped"),
        }
        let mut events = self.bus.subscribe();
        let mut told = BTreeSet::new();
        let mut known = Vec::new();
        loop {
            self.look(&mut told, &mut known).await;
            let pause = tokio::time::sleep(LOOK);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut pause => break,
                    event = events.next() => match event {
                        Some(Event::Run(run)) if run.state.is_final() => break,
                        Some(Event::Missed(_)) => break,
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        }
    }

    async fn look(&self, told: &mut BTreeSet<(String, String)>, known: &mut Vec<Snapshot>) {
        let shelf = self.shelf.clone();
        let shelved = match tokio::task::spawn_blocking(move || shelf.all()).await {
            Ok(Ok(shelved)) => shelved,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the shelf cannot be read");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "looking at the shelf stopped");
                return;
            }
        };
        let now = self.clock.now();
        let mut gone = std::mem::take(told);
        for environment in &self.environments {
            for finding in assess(environment, &shelved, now) {
                let place = (environment.name.clone(), finding.key.clone());
                gone.remove(&place);
                self.live.own(environment, &place.1, Some(finding));
                told.insert(place);
            }
        }
        for (name, key) in gone {
            if let Some(environment) = self.environments.iter().find(|one| one.name == name) {
                self.live.own(environment, &key, None);
            }
        }
        let slim = slim(shelved);
        if slim != *known {
            *known = slim;
            self.bus.publish(Event::Snapshots);
        }
    }
}

/// Without what they hold, which can be long.
fn slim(shelved: Shelved) -> Vec<Snapshot> {
    let snapshots = shelved.snapshots.into_iter();
    snapshots
        .map(|snapshot| Snapshot {
            inventory: Inventory::default(),
            ..snapshot
        })
        .collect()
}

impl Core {
    /// Every snapshot of an environment, oldest first, without what they hold.
    pub(super) async fn snapshots_of(&self, environment: &str) -> Result<Vec<Snapshot>, Refusal> {
        self.room(environment)?;
        let shelf = self.shelf();
        let all = tokio::task::spawn_blocking(move || shelf.all())
            .await
            .map_err(|error| Refusal::new(format!("looking at the shelf stopped: {error}")))?
            .map_err(|error| Refusal::new(format!("the shelf cannot be read: {error}")))?;
        let mut all = slim(all);
        all.retain(|one| one.environment == environment);
        Ok(all)
    }

    /// The plan with each restore bound to one snapshot: by its name in the step, and by its checksum in a word of caution,
    /// so that what was agreed to is what is restored.
    pub(super) async fn bound_to_snapshots(&self, mut plan: Plan) -> Result<Plan, Refusal> {
        let environment = self.marked(&self.room(&plan.request.environment)?.environment);
        let restores = restores(&plan, &environment);
        if restores.is_empty() {
            return Ok(plan);
        }
        for (index, work) in restores {
            let store = work.name.clone();
            let snapshot = self.snapshot_of(&environment.name, &work).await?;
            // The run's report and whoever plans it again then mean the same one.
            if let Some(which) = plan.request.params.get_mut("snapshot")
                && which.as_str() == work.which.as_deref()
            {
                *which = snapshot.id().into();
            }
            if let Some(step) = plan.steps[index].step.snapshot.as_mut() {
                step.which = Some(snapshot.id());
            }
            plan.steps[index].preview = vec![format!(
                "replace the state of {store} by snapshot {} of {:.0}",
                snapshot.id(),
                snapshot.taken_at
            )];
            plan.cautions.push(format!(
                "what was written to {store} since {:.0} is lost; the snapshot's SHA-256 is {:.16}…",
                snapshot.taken_at, snapshot.sha256
            ));
        }
        Ok(steps::seal(plan, &environment))
    }

    /// The plan with what its restores would lose, as the stores are now. Not part of what is agreed to: a store that is in
    /// use is another one with every look.
    pub(super) async fn with_outlook(&self, mut plan: Plan) -> Plan {
        let Ok(room) = self.room(&plan.request.environment) else {
            return plan;
        };
        let environment = Arc::clone(&room.environment);
        for (_, work) in restores(&plan, &environment) {
            let snapshot = match self.snapshot_of(&environment.name, &work).await {
                Ok(snapshot) => snapshot,
                Err(refusal) => {
                    plan.outlook.push(refusal.message);
                    continue;
                }
            };
            let looked = async {
                let store = self.stores_of(&environment.name)?.store(&work.name).await?;
                let held = store.store.inventory(PREVIEW).await;
                held.map_err(|error| error.to_string())
            };
            let looked = tokio::time::timeout(PREVIEW * 2, looked)
                .await
                .unwrap_or_else(|_| Err("no answer in time".into()));
            plan.outlook.push(format!(
                "{} as it is now ({:.0}), against snapshot {}:",
                work.name,
                self.now(),
                snapshot.id()
            ));
            match looked {
                Ok(now) => plan.outlook.extend(Comparison::of(&snapshot, &now).lines()),
                Err(reason) => plan
                    .outlook
                    .push(format!("what would be lost is not known: {reason}")),
            }
        }
        plan.outlook = std::mem::take(&mut plan.outlook)
            .into_iter()
            .map(|line| self.redactor.cleaned(line))
            .collect();
        plan
    }

    async fn snapshot_of(
        &self,
        environment: &str,
        work: &SnapshotWork,
    ) -> Result<Snapshot, Refusal> {
        let which = work.which.as_deref().unwrap_or("latest");
        let id = if which.contains('/') {
            which.to_owned()
        } else {
            format!("{}/{which}", work.name)
        };
        if id.split('/').next() != Some(work.name.as_str()) {
            return Err(Refusal::new(format!(
                "{id} is no snapshot of {}",
                work.name
            )));
        }
        let (shelf, environment) = (self.shelf(), environment.to_owned());
        tokio::task::spawn_blocking(move || shelf.find(&environment, &id))
            .await
            .map_err(|error| Refusal::new(format!("looking at the shelf stopped: {error}")))?
            .map_err(Refusal::new)
    }
}

/// The steps of a plan that restore, by their place, templates rendered.
fn restores(plan: &Plan, environment: &Environment) -> Vec<(usize, SnapshotWork)> {
    // What takes a run back restores nothing.
    if matches!(plan.request.origin, Some(Origin::Undo { .. })) {
        return Vec::new();
    }
    let templates = Templates::new(environment, &plan.request.params);
    let scope = templates.scope(None);
    plan.steps
        .iter()
        .enumerate()
        .filter_map(|(index, planned)| {
            let work = planned.step.snapshot.as_ref()?;
            if work.what != SnapshotVerb::Restore {
                return None;
            }
            // What cannot be rendered was told when the plan was made.
            Some((index, scope.render(work).ok()?))
        })
        .collect()
}
