//! Runs that are under way, and who may change an environment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::bus::Bus;
use super::run::Stop;
use super::shared_locks::{Held, Holder, SharedLocks};
use crate::client::{Event, Refusal};
use crate::domain::action::Risk;
use crate::domain::live::Lock;
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::domain::run::RunId;

/// The desk; clones are the same desk.
#[derive(Clone)]
pub(super) struct Desk {
    inner: Arc<Mutex<Inner>>,
    bus: Bus,
    shared: Arc<SharedLocks>,
}

#[derive(Default)]
struct Inner {
    active: BTreeMap<RunId, Active>,
    closed: bool,
}

struct Active {
    /// Known once the run is stored.
    number: Option<i64>,
    title: String,
    environment: String,
    changes: bool,
    /// How long its programs may take to end in good order.
    patience: Duration,
    /// Since when it holds the environment's lock, when it does.
    since: Option<Timestamp>,
    /// Keeps other engines out meanwhile.
    shared: Option<Held>,
    by: Operator,
    stop: Stop,
}

/// The longest that a program of the plan's steps may take to end once it was told to stop.
fn patience(plan: &Plan) -> Duration {
    let steps = plan.steps.iter().filter_map(|planned| planned.step.grace());
    steps.max().unwrap_or_default()
}

impl Active {
    /// The lock of its environment, as others see it; not before the run has a number.
    fn lock(&self, run: RunId) -> Option<Lock> {
        Some(Lock {
            run,
            number: self.number?,
            title: self.title.clone(),
            by: self.by.to_string(),
            since: self.since?,
        })
    }

    /// The same, and other engines know of it then.
    fn told_lock(&self, run: RunId) -> Option<Lock> {
        let lock = self.lock(run)?;
        if let Some(shared) = &self.shared {
            shared.tell(&lock);
        }
        Some(lock)
    }
}

/// Why an environment cannot be changed: another engine on this workspace does.
fn elsewhere(environment: &str, holder: Option<Holder>, now: Timestamp) -> Refusal {
    let Some(Holder { lock, state_dir }) = holder else {
        return Refusal::new(format!(
            "{environment} is being changed by another engine on this workspace; wait until it is done"
        ));
    };
    Refusal::new(format!(
        "{environment} is being changed by run {} of another engine on this workspace ({}, started by {}, for {} already; its \
         history is in {}); wait for it or have it cancelled there",
        lock.number,
        lock.title,
        lock.by,
        age(lock.since, now),
        state_dir.display()
    ))
}

/// A run's place among those under way; given up when dropped.
pub(super) struct Seat {
    desk: Desk,
    run: RunId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let gone = self.desk.lock().active.remove(&self.run);
        if let Some(gone) = gone.filter(|gone| gone.since.is_some()) {
            self.desk.tell(gone.environment, None);
        }
    }
}

impl Desk {
    /// An empty desk that tells `bus` who locks what, and other engines by `shared`.
    pub(super) fn new(bus: Bus, shared: SharedLocks) -> Self {
        Self {
            inner: Arc::default(),
            bus,
            shared: Arc::new(shared),
        }
    }

    /// Takes a place for a run of `plan`; it may not change anything before [`Desk::claim`].
    ///
    /// # Errors
    /// [`Refusal`] when the engine is ending.
    pub(super) fn seat(
        &self,
        run: RunId,
        plan: &Plan,
        by: &Operator,
        stop: Stop,
    ) -> Result<Seat, Refusal> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(Refusal::new("the engine is ending; start it again"));
        }
        inner.active.insert(
            run,
            Active {
                number: None,
                title: plan.title.clone(),
                environment: plan.request.environment.clone(),
                changes: plan.risk != Risk::Read,
                patience: patience(plan),
                since: None,
                shared: None,
                by: by.clone(),
                stop,
            },
        );
        Ok(Seat {
            desk: self.clone(),
            run,
        })
    }

    /// Gives the run the lock of its environment at `now`; one that only reads needs none.
    ///
    /// # Errors
    /// [`Refusal`] that names the run that holds it, and for how long already.
    pub(super) fn claim(&self, run: RunId, now: Timestamp) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let Some(own) = inner.active.get(&run) else {
            return Err(Refusal::new("this run is not under way"));
        };
        if !own.changes || own.since.is_some() {
            return Ok(());
        }
        let environment = own.environment.clone();
        let held = inner.active.values().find_map(|other| {
            let since = other.since.filter(|_| other.environment == environment)?;
            Some((other, since))
        });
        if let Some((other, since)) = held {
            let number = other
                .number
                .map_or_else(|| "another run".into(), |number| format!("run {number}"));
            return Err(Refusal::new(format!(
                "{environment} is being changed by {number} ({}, started by {}, for {} already); wait for it or cancel it",
                other.title,
                other.by,
                age(since, now)
            )));
        }
        let shared = self.shared.claim(&environment);
        let shared = shared.map_err(|taken| elsewhere(&environment, taken.0, now))?;
        let mut lock = None;
        if let Some(own) = inner.active.get_mut(&run) {
            own.since = Some(now);
            own.shared = shared;
            lock = own.told_lock(run);
        }
        drop(inner);
        if lock.is_some() {
            self.tell(environment, lock);
        }
        Ok(())
    }

    /// Takes back what [`Desk::claim`] gave.
    pub(super) fn give_back(&self, run: RunId) {
        let mut inner = self.lock();
        let Some(own) = inner.active.get_mut(&run) else {
            return;
        };
        let environment = own.environment.clone();
        if own.since.take().is_some() {
            own.shared = None;
            drop(inner);
            self.tell(environment, None);
        }
    }

    /// The run was stored: it has a number now.
    pub(super) fn started(&self, run: RunId, number: i64) {
        let mut inner = self.lock();
        let Some(active) = inner.active.get_mut(&run) else {
            return;
        };
        active.number = Some(number);
        let (environment, lock) = (active.environment.clone(), active.told_lock(run));
        drop(inner);
        if lock.is_some() {
            self.tell(environment, lock);
        }
    }

    /// Who holds the lock of an environment.
    pub(super) fn lock_of(&self, environment: &str) -> Option<Lock> {
        self.lock()
            .active
            .iter()
            .filter(|(_, active)| active.environment == environment)
            .find_map(|(run, active)| active.lock(*run))
    }

    fn tell(&self, environment: String, lock: Option<Lock>) {
        self.bus.publish(Event::Lock { environment, lock });
    }

    /// The number (once it is stored) and environment of a run under way, and whether it changes anything.
    pub(super) fn place(&self, run: RunId) -> Option<(Option<i64>, String, bool)> {
        let inner = self.lock();
        let active = inner.active.get(&run)?;
        Some((active.number, active.environment.clone(), active.changes))
    }

    /// Whether the run is under way.
    pub(super) fn is_active(&self, run: RunId) -> bool {
        self.lock().active.contains_key(&run)
    }

    /// Whether some run is changing the environment.
    pub(super) fn is_changing(&self, environment: &str) -> bool {
        self.lock()
            .active
            .values()
            .any(|run| run.since.is_some() && run.environment == environment)
    }

    /// Tells a run to stop; `false` when it is not under way.
    pub(super) fn cancel(&self, run: RunId, by: &Operator) -> bool {
        self.stop(run, format!("cancelled by {by}"))
    }

    /// As [`Desk::cancel`], for the cause that is given.
    pub(super) fn stop(&self, run: RunId, cause: String) -> bool {
        let inner = self.lock();
        let active = inner.active.get(&run);
        if let Some(active) = active {
            active.stop.cancel(cause);
        }
        active.is_some()
    }

    /// Numbers of the runs under way; one that is just being stored counts as 0.
    pub(super) fn running(&self) -> Vec<i64> {
        let inner = self.lock();
        let numbers = inner
            .active
            .values()
            .map(|active| active.number.unwrap_or(0));
        numbers.collect()
    }

    /// How long the runs under way may take to end in good order: what their most patient step gives its program.
    pub(super) fn patience(&self) -> Duration {
        let inner = self.lock();
        let all = inner.active.values().map(|active| active.patience);
        all.max().unwrap_or_default()
    }

    /// Takes no more runs and interrupts those under way.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        for active in inner.active.values() {
            active.stop.interrupt();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long ago, in whole seconds, such as `1h 5m 3s`.
fn age(since: Timestamp, now: Timestamp) -> String {
    let age = now.duration_since(since).max(SignedDuration::ZERO);
    format!("{:#}", SignedDuration::from_secs(age.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::plan::PlanRequest;

    fn plan(environment: &str, risk: Risk) -> Plan {
        let request = PlanRequest {
            environment: environment.into(),
            recipe: "deploy".into(),
            ..PlanRequest::default()
        };
        Plan::new(request, "Deploy".into(), risk, Vec::new())
    }

    fn ada() -> Operator {
        Operator::new("ada", "bastion", 1000)
    }

    fn id(number: u128) -> RunId {
        RunId(uuid::Uuid::from_u128(number))
    }

    fn seat(desk: &Desk, number: u128, environment: &str, risk: Risk) -> Result<Seat, Refusal> {
        let seat = desk.seat(
            id(number),
            &plan(environment, risk),
            &ada(),
            Stop::default(),
        )?;
        desk.claim(id(number), Timestamp::from_second(3600).unwrap())?;
        Ok(seat)
    }

    #[test]
    fn a_second_change_of_an_environment_is_refused_by_the_number_of_the_first() {
        let desk = Desk::new(Bus::new(), SharedLocks::of(None, "state".into()));
        let first = seat(&desk, 1, "lab", Risk::Change).unwrap();
        desk.started(id(1), 7);
        let refusal = seat(&desk, 2, "lab", Risk::Destroy).err().unwrap();
        assert_eq!(
            refusal.message,
            "lab is being changed by run 7 (Deploy, started by ada@bastion, for 0s already); wait for it or cancel it"
        );
        assert!(seat(&desk, 3, "staging", Risk::Change).is_ok());
        assert!(seat(&desk, 4, "lab", Risk::Read).is_ok());
        drop(first);
        assert!(seat(&desk, 5, "lab", Risk::Change).is_ok());
    }

    #[test]
    fn closing_interrupts_what_is_under_way_and_takes_nothing_more() {
        let desk = Desk::new(Bus::new(), SharedLocks::of(None, "state".into()));
        let stop = Stop::default();
        let seat = desk.seat(id(1), &plan("lab", Risk::Read), &ada(), stop.clone());
        assert!(seat.is_ok());
        desk.close();
        assert!(stop.is_stopped());
        assert!(self::seat(&desk, 2, "lab", Risk::Read).is_err());
    }
}
