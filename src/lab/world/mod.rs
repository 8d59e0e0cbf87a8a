//! The truth about the simulated cluster, shared by everything that simulates a part of it.
//!
//! A [`World`] is made from a seed and a clock: the same seed gives the same boards, boot ids, loads and temperatures.
//! Everything lives behind one mutex that is never held across an `await`. Whoever changes something that others may
//! care about bumps the generation ([`World::changed`]).
//!
//! The simulators of services ask it whether their node has power and their unit runs:
//!
//! ```text
//! world.node_up("pc1") && world.unit_active("pc1", "vault.service")
//! ```

mod blueprint;
mod faults;
pub(crate) mod files;
pub(crate) mod node;
mod physics;
mod proc;
pub(crate) mod units;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};
use crate::domain::stack::Stack;

pub use self::blueprint::CONSUL_VERSION;
pub use self::faults::{FaultHelp, FaultTarget};
use self::node::NodeState;
pub(crate) use self::proc::memory as proc_memory;

/// What a world is made from.
#[derive(Clone)]
pub struct WorldSettings {
    /// Everything random comes from it.
    pub seed: u64,
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Factor on every simulated delay: 1 is lifelike, 0 means none.
    pub pace: f32,
}

/// The simulated cluster.
pub struct World {
    seed: u64,
    clock: SharedClock,
    pace: f32,
    state: Mutex<State>,
    generation: watch::Sender<u64>,
    stop: CancellationToken,
    runtime: Option<tokio::runtime::Handle>,
}

struct State {
    nodes: BTreeMap<String, NodeState>,
    lag: Duration,
    targets: Vec<Arc<dyn FaultTarget>>,
    consul: Option<Arc<dyn ConsulView>>,
}

/// A node as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its name, `pc1` to `pc5`.
    pub name: String,
    /// The kind of board.
    pub platform: Platform,
    /// Its architecture.
    pub arch: Arch,
    /// What it is for.
    pub roles: &'static [Role],
    /// Its address on the simulated network; what cluster members call each other by.
    pub address: Ipv4Addr,
    /// Whether it has power and has booted.
    pub up: bool,
    /// The id its kernel drew at the last boot.
    pub boot_id: String,
    /// When it last booted.
    pub booted_at: Timestamp,
}

/// A member of the simulated Consul cluster, as `consul members` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulMember {
    /// Node name.
    pub name: String,
    /// Serf LAN address.
    pub address: Ipv4Addr,
    /// `alive`, `failed` or `left`.
    pub status: &'static str,
    /// Whether it takes part in Raft.
    pub server: bool,
    /// Its version.
    pub version: String,
}

/// The simulated Consul cluster as seen from a node's command line. The HTTP simulator provides it, so that both tell the
/// same story.
pub trait ConsulView: Send + Sync {
    /// Name of the data centre.
    fn datacenter(&self) -> String;
    /// Everyone the gossip knows.
    fn members(&self) -> Vec<ConsulMember>;
    /// The leader's node name, when there is one.
    fn leader(&self) -> Option<String>;
    /// A member leaves in good order.
    fn leave(&self, node: &str);
    /// A member that is not alive is forgotten; `false` where there is none of that name.
    fn forget(&self, node: &str) -> bool;
}

impl World {
    /// A world with five boards, all running. Delayed changes (boots, unit starts) need a Tokio runtime to be current;
    /// without one they happen at once.
    pub fn new(settings: &WorldSettings) -> Arc<Self> {
        Self::with(settings, None)
    }

    /// The same boards with nothing installed, and the roles of `stack`, which is to be deployed on them.
    pub fn bare(settings: &WorldSettings, stack: Stack) -> Arc<Self> {
        Self::with(settings, Some(stack))
    }

    fn with(settings: &WorldSettings, bare: Option<Stack>) -> Arc<Self> {
        let now = settings.clock.now();
        Arc::new(Self {
            seed: settings.seed,
            clock: Arc::clone(&settings.clock),
            pace: if settings.pace.is_finite() {
                settings.pace.clamp(0.0, 100.0)
            } else {
                1.0
            },
            state: Mutex::new(State {
                nodes: blueprint::nodes(settings.seed, now, bare),
                lag: Duration::ZERO,
                targets: Vec::new(),
                consul: None,
            }),
            generation: watch::Sender::new(0),
            stop: CancellationToken::new(),
            runtime: tokio::runtime::Handle::try_current().ok(),
        })
    }

    /// The seed it was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Ends every delayed change; servers watch it to end as well.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        self.lock().nodes.values().map(NodeState::info).collect()
    }

    /// Whether the node has power and has booted; `false` for a node that does not exist.
    pub fn node_up(&self, node: &str) -> bool {
        self.lock().nodes.get(node).is_some_and(NodeState::is_up)
    }

    /// Whether the unit runs there now; the suffix `.service` may be left out.
    pub fn unit_active(&self, node: &str, unit: &str) -> bool {
        self.lock()
            .nodes
            .get(node)
            .is_some_and(|node| node.is_up() && node.unit_is_active(unit))
    }

    /// How often the unit has been started, boots included, so that a restart between two looks is noticed.
    pub fn unit_starts(&self, node: &str, unit: &str) -> u64 {
        self.look(node, |node| {
            node.units.get(unit).map_or(0, |unit| unit.starts)
        })
        .unwrap_or(0)
    }

    /// Content of a regular file on a node, whether or not the node is up.
    pub fn file(&self, node: &str, path: &str) -> Option<Vec<u8>> {
        self.lock()
            .nodes
            .get(node)
            .and_then(|node| node.files.read(path).ok().map(<[u8]>::to_vec))
    }

    /// A number that grows whenever power, units, files under `/etc` or faults change.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// How long every answer is to be held back; zero unless an operator asked for lag.
    pub fn latency(&self) -> Duration {
        self.lock().lag
    }

    /// Adds a line to a unit's journal; nothing happens where there is no such unit.
    pub fn journal(&self, node: &str, unit: &str, text: &str) {
        let now = self.now();
        if let Some(node) = self.lock().nodes.get_mut(node) {
            node.journal(unit, now, text);
        }
    }

    /// Makes a simulator's own faults reachable through [`World::command`].
    pub fn add_fault_target(&self, target: Arc<dyn FaultTarget>) {
        self.lock().targets.push(target);
    }

    /// Lets the `consul` command on the nodes see the simulated cluster.
    pub fn set_consul_view(&self, view: Arc<dyn ConsulView>) {
        self.lock().consul = Some(view);
    }

    pub(crate) fn consul_view(&self) -> Option<Arc<dyn ConsulView>> {
        self.lock().consul.clone()
    }

    /// Looks at a node; `None` when there is none of that name.
    pub(crate) fn look<T>(&self, node: &str, look: impl FnOnce(&NodeState) -> T) -> Option<T> {
        self.lock().nodes.get(node).map(look)
    }

    /// Changes a node and tells everyone that something changed.
    pub(crate) fn change<T>(
        &self,
        node: &str,
        change: impl FnOnce(&mut NodeState, Timestamp) -> T,
    ) -> Option<T> {
        let now = self.now();
        let result = self
            .lock()
            .nodes
            .get_mut(node)
            .map(|node| change(node, now));
        if result.is_some() {
            self.bump();
        }
        result
    }

    /// Lets a program act on a node; everyone is told when it `changes` something.
    pub(crate) fn act<T>(
        &self,
        node: &str,
        changes: bool,
        act: impl FnOnce(&mut NodeState, Timestamp) -> T,
    ) -> Option<T> {
        if changes {
            return self.change(node, act);
        }
        let now = self.now();
        self.lock().nodes.get_mut(node).map(|node| act(node, now))
    }

    /// A simulated delay, scaled by the pace.
    pub(crate) fn scaled(&self, delay: Duration) -> Duration {
        delay.mul_f32(self.pace)
    }

    /// Waits as long as the simulated machine would take.
    pub(crate) async fn pause(&self, delay: Duration) {
        let delay = self.scaled(delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Does something to the world later. At once where the pace is 0 or nothing could wait.
    pub(crate) fn after(
        self: &Arc<Self>,
        delay: Duration,
        action: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        let delay = self.scaled(delay);
        match &self.runtime {
            Some(runtime) if !delay.is_zero() => {
                let world = Arc::clone(self);
                runtime.spawn(async move {
                    tokio::select! {
                        () = world.stop.cancelled() => {}
                        () = tokio::time::sleep(delay) => action(&world),
                    }
                });
            }
            _ => action(self),
        }
    }

    fn bump(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here leaves the state half changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
