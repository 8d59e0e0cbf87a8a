//! What the simulated services see of the simulated nodes: who is up and which units run. Nothing else of a node
//! concerns them, so this narrow view is all they get.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};

/// A simulated machine, as its services know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name, which is also the name of its agents.
    pub name: String,
    /// The address it has inside the practice network, such as `10.42.0.11`.
    pub address: String,
    /// The kind of machine.
    pub platform: Platform,
    /// Its processor architecture.
    pub arch: Arch,
    /// What it is for.
    pub roles: BTreeSet<Role>,
}

/// The machines under the services.
///
/// A unit is named as systemd names it, with its suffix: `consul.service`.
pub trait Cluster: Send + Sync + 'static {
    /// All machines, in the order of the environment.
    fn nodes(&self) -> Vec<Host>;

    /// Whether the machine has power.
    fn node_up(&self, node: &str) -> bool;

    /// Whether the unit is active. Says nothing of the machine: ask [`Cluster::runs`] for both.
    fn unit_active(&self, node: &str, unit: &str) -> bool;

    /// A number that changes with every start of the unit, also at boot, so that a restart between two looks is noticed.
    fn starts(&self, node: &str, unit: &str) -> u64;

    /// Changes its value whenever one of the answers above may have changed.
    fn changed(&self) -> watch::Receiver<u64>;

    /// How much slower every answer shall be.
    fn latency(&self) -> Duration;

    /// Whether the machine has power and the unit is active.
    fn runs(&self, node: &str, unit: &str) -> bool {
        self.node_up(node) && self.unit_active(node, unit)
    }
}
