//! The frame around a simulated system: one lock, one clock, and waking whoever waits for a change.
//!
//! A machine is brought up to the present whenever somebody looks at it, so its answers depend on the clock alone and not
//! on when a background task last ran. The task in [`Sim::run`] exists for those who wait (blocking queries, watches).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::ids::Ids;
use super::pace::Pace;
use crate::clock::SharedClock;

/// How often a machine is looked at while something in it is pending.
const TICK: Duration = Duration::from_millis(100);

/// What every simulated system is surrounded by.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// The machines.
    pub cluster: Arc<dyn Cluster>,
    /// The time.
    pub clock: SharedClock,
    /// The delays.
    pub pace: Pace,
    /// Names and numbers.
    pub ids: Ids,
}

/// Whether time alone will change a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Nothing happens unless somebody does something.
    Settled,
    /// Something is under way.
    Pending,
}

impl Outlook {
    /// [`Outlook::Pending`] when `pending`.
    pub(crate) const fn pending_if(pending: bool) -> Self {
        if pending {
            Self::Pending
        } else {
            Self::Settled
        }
    }
}

/// A state machine driven by the nodes and by the clock.
pub(crate) trait Machine: Send + 'static {
    /// Brings the state up to `now`.
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook;

    /// Grows with every change that somebody may wait for.
    fn revision(&self) -> u64;
}

/// A machine that can be shared.
pub(crate) struct Sim<M> {
    machine: Mutex<M>,
    around: Surroundings,
    revision: watch::Sender<u64>,
}

impl<M: Machine> Sim<M> {
    /// Shares `machine`.
    pub(crate) fn new(machine: M, around: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            revision: watch::Sender::new(machine.revision()),
            machine: Mutex::new(machine),
            around,
        })
    }

    /// What is around the machine.
    pub(crate) const fn around(&self) -> &Surroundings {
        &self.around
    }

    /// Looks at the machine as it is now, or changes it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut M, Timestamp) -> T) -> T {
        self.step(act).0
    }

    /// Fires after every change of the machine.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn step<T>(&self, act: impl FnOnce(&mut M, Timestamp) -> T) -> (T, Outlook) {
        let now = self.around.clock.now();
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        machine.advance(&self.around, now);
        let result = act(&mut machine, now);
        let outlook = machine.advance(&self.around, now);
        let revision = machine.revision();
        drop(machine);
        self.revision.send_if_modified(|known| {
            let changed = *known != revision;
            *known = revision;
            changed
        });
        (result, outlook)
    }

    /// Keeps the machine in the present until `stop`, for the sake of those who wait for a change.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut nodes = self.around.cluster.changed();
        let mut own = self.changes();
        loop {
            own.mark_unchanged();
            let ((), outlook) = self.step(|_, _| ());
            tokio::select! {
                () = stop.cancelled() => return,
                changed = nodes.changed() => if changed.is_err() { return },
                changed = own.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(TICK), if outlook == Outlook::Pending => {}
            }
        }
    }
}
