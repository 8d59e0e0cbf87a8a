//! The cluster behind the API: kubelets that report or do not, and controllers that react.

mod controllers;

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::objects;
use super::store::Store;
use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::ids::Ids;
use crate::lab::services::pulse::Pulse;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// Events remembered, as with the hour that the API server keeps them.
const EVENTS_MAX: usize = 100;

/// A machine with a kubelet.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub host: Host,
    pub server: bool,
    pub pulse: Pulse,
    /// Whether the control plane counts on it.
    pub ready: bool,
    /// When that last changed.
    pub since: Timestamp,
    /// When its kubelet last reported, as far as the API shows.
    pub heard: Timestamp,
    /// Whether it takes no new pods.
    pub cordoned: bool,
}

impl Node {
    fn unit(&self) -> &'static str {
        if self.server {
            units::K3S
        } else {
            units::K3S_AGENT
        }
    }
}

/// Who makes pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Deployment,
    StatefulSet,
    DaemonSet,
}

/// A workload with one container per pod.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub controller: Controller,
    pub namespace: &'static str,
    pub name: &'static str,
    pub image: &'static str,
    pub replicas: usize,
    /// GiB of the volume that each pod claims; 0 for none.
    pub volume: u32,
}

const fn workload(
    controller: Controller,
    namespace: &'static str,
    name: &'static str,
    image: &'static str,
    replicas: usize,
    volume: u32,
) -> Workload {
    Workload {
        controller,
        namespace,
        name,
        image,
        replicas,
        volume,
    }
}

use Controller::{DaemonSet, Deployment, StatefulSet};

/// What runs in the cluster.
pub(crate) const WORKLOADS: [Workload; 6] = [
    workload(
        Deployment,
        "kube-system",
        "coredns",
        "rancher/mirrored-coredns-coredns:1.12.3",
        1,
        0,
    ),
    workload(
        Deployment,
        "kube-system",
        "local-path-provisioner",
        "rancher/local-path-provisioner:v0.0.31",
        1,
        0,
    ),
    workload(
        DaemonSet,
        "monitoring",
        "node-exporter",
        "library/node-exporter:1.9.1",
        0,
        0,
    ),
    workload(
        StatefulSet,
        "shop",
        "database",
        "library/postgres:17.6",
        1,
        8,
    ),
    workload(
        Deployment,
        "shop",
        "frontend",
        "apps/shop/frontend:1.4.2",
        2,
        0,
    ),
    workload(Deployment, "shop", "orders", "apps/api:0.10.0", 2, 0),
];

/// A pod.
#[derive(Debug, Clone)]
pub(crate) struct Pod {
    pub name: String,
    pub workload: usize,
    /// The number of a stateful pod.
    pub ordinal: usize,
    /// Of which generation of its workload's template.
    pub generation: u32,
    pub node: Option<String>,
    pub address: String,
    pub created: Timestamp,
    pub bound: Option<Timestamp>,
    pub running: bool,
    /// When it was told to end.
    pub ending: Option<Timestamp>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub number: u64,
    pub at: Timestamp,
    pub kind: &'static str,
    pub namespace: &'static str,
    pub name: String,
    pub reason: &'static str,
    pub warning: bool,
    pub component: &'static str,
    pub message: String,
}

/// A cluster.
pub(crate) struct Kubernetes {
    /// Those that have registered.
    pub nodes: BTreeMap<String, Node>,
    /// Those whose kubelet has not run yet, or not since they were taken out.
    absent: BTreeMap<String, Node>,
    pub pods: Vec<Pod>,
    pub events: VecDeque<Event>,
    /// By namespace and name.
    pub config_maps: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// Deployments whose pods were made anew: the times that were written into their templates, by place in [`WORKLOADS`].
    restarts: BTreeMap<usize, Vec<String>>,
    pub ids: Ids,
    pub born: Timestamp,
    store: Store,
    made: u64,
    happened: u64,
    dirty: bool,
}

impl Kubernetes {
    /// A cluster on the nodes that have its roles, settled since last month.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        let born = now - SignedDuration::from_hours(24 * 30);
        let (nodes, absent): (BTreeMap<_, _>, BTreeMap<_, _>) = around
            .cluster
            .nodes()
            .into_iter()
            .filter_map(|host| {
                let server = host.roles.contains(&Role::KubernetesServer);
                if !server && !host.roles.contains(&Role::KubernetesAgent) {
                    return None;
                }
                let mut node = Node {
                    pulse: Pulse::new(true, 0, now),
                    ready: true,
                    since: born,
                    heard: now,
                    cordoned: false,
                    server,
                    host,
                };
                let (name, unit) = (node.host.name.clone(), node.unit());
                let alive = around.cluster.runs(&name, unit);
                node.pulse = Pulse::new(alive, around.cluster.starts(&name, unit), now);
                node.ready = alive;
                Some((name, node))
            })
            .partition(|(_, node): &(String, Node)| node.ready);
        let mut cluster = Self {
            nodes,
            absent,
            pods: Vec::new(),
            events: VecDeque::new(),
            config_maps: BTreeMap::from([(
                ("default".to_owned(), "shop".to_owned()),
                BTreeMap::from([("colour".to_owned(), "green".to_owned())]),
            )]),
            restarts: BTreeMap::new(),
            ids: around.ids,
            born,
            store: Store::new(41_000),
            made: 0,
            happened: 0,
            dirty: true,
        };
        cluster.reconcile(born);
        cluster.start_pods(now);
        // What happened a month ago is long forgotten.
        cluster.events.clear();
        cluster.publish();
        cluster
    }

    /// The objects.
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// The address of the first server.
    pub(crate) fn address(&self) -> String {
        let server = self.nodes.values().find(|node| node.server);
        server
            .map(|node| node.host.address.clone())
            .unwrap_or_default()
    }

    /// Whether the pod answers: it runs, and its node is counted on.
    pub(crate) fn pod_ready(&self, pod: &Pod) -> bool {
        pod.running && pod.node.as_ref().is_some_and(|node| self.node_ready(node))
    }

    fn node_ready(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|node| node.ready)
    }

    fn tell(&mut self, event: Event) {
        self.happened += 1;
        self.events.push_back(Event {
            number: self.happened,
            ..event
        });
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
        self.dirty = true;
    }

    /// The node lifecycle controller: kubelets that are silent too long make their node `NotReady`.
    fn observe(&mut self, around: &Surroundings, now: Timestamp) -> bool {
        let mut pending = false;
        let mut changed = Vec::new();
        self.register(around, now);
        for node in self.nodes.values_mut() {
            let (name, unit) = (&node.host.name, node.unit());
            let alive = around.cluster.runs(name, unit);
            node.pulse
                .observe(alive, around.cluster.starts(name, unit), now);
            let ready = !node.pulse.gone(now, around.pace.node_grace);
            pending |= !alive && ready;
            if ready != node.ready {
                node.ready = ready;
                node.since = now;
                node.heard = if ready { now } else { node.pulse.since() };
                changed.push((name.clone(), ready));
            }
        }
        for (name, ready) in changed {
            let reason = if ready { "NodeReady" } else { "NodeNotReady" };
            self.tell(Event {
                number: 0,
                at: now,
                kind: "Node",
                namespace: "default",
                message: format!("Node {name} status is now: {reason}"),
                name,
                reason,
                warning: false,
                component: if ready { "kubelet" } else { "node-controller" },
            });
        }
        pending
    }

    /// Kubelets that run register their node; the first needs a server to register with.
    fn register(&mut self, around: &Surroundings, now: Timestamp) {
        let runs = |node: &Node| around.cluster.runs(&node.host.name, node.unit());
        let in_charge = self.nodes.values().any(|node| node.server && runs(node))
            || self.absent.values().any(|node| node.server && runs(node));
        let come: Vec<String> = self
            .absent
            .iter()
            .filter(|(_, node)| in_charge && runs(node))
            .map(|(name, _)| name.clone())
            .collect();
        for name in come {
            let Some(mut node) = self.absent.remove(&name) else {
                continue;
            };
            let starts = around.cluster.starts(&name, node.unit());
            node.pulse = Pulse::new(true, starts, now);
            node.ready = true;
            node.since = now;
            node.heard = now;
            node.cordoned = false;
            self.nodes.insert(name, node);
            self.dirty = true;
        }
    }

    /// Says whether a node takes new pods; `false` when there is no such node.
    pub(crate) fn set_cordoned(&mut self, name: &str, cordoned: bool) -> bool {
        self.dirty = true;
        let node = self.nodes.get_mut(name);
        let known = node.is_some();
        if let Some(node) = node {
            node.cordoned = cordoned;
        }
        self.publish();
        known
    }

    /// Takes a node out with its pods; `false` when there is no such node.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let Some(node) = self.nodes.remove(name) else {
            return false;
        };
        self.pods.retain(|pod| pod.node.as_deref() != Some(name));
        self.absent.insert(name.to_owned(), node);
        self.dirty = true;
        self.publish();
        true
    }

    /// Asks a pod to end, unless too many of its kind are away already: one at a time of those that have several.
    /// `None` when there is no such pod.
    pub(crate) fn evict_pod(
        &mut self,
        namespace: &str,
        name: &str,
        now: Timestamp,
    ) -> Option<bool> {
        let of_name =
            |pod: &Pod| pod.name == name && WORKLOADS[pod.workload].namespace == namespace;
        let at = self.pods.iter().position(of_name)?;
        let workload = self.pods[at].workload;
        let replicas = WORKLOADS[workload].replicas;
        let well = self
            .pods
            .iter()
            .filter(|pod| pod.workload == workload && pod.ending.is_none() && self.pod_ready(pod))
            .count();
        if replicas > 1 && well < replicas && self.pods[at].running {
            return Some(false);
        }
        self.pods[at].ending.get_or_insert(now);
        self.dirty = true;
        Some(true)
    }

    /// Pods on a node that stays away are told to end, and are gone when it is back to confirm it.
    fn evict(&mut self, around: &Surroundings, now: Timestamp) -> bool {
        let mut pending = false;
        let mut told = Vec::new();
        for pod in &mut self.pods {
            let Some(node) = pod.node.as_ref().and_then(|name| self.nodes.get(name)) else {
                continue;
            };
            // Daemons tolerate an absent node for ever.
            let daemon = WORKLOADS[pod.workload].controller == DaemonSet;
            if node.ready || daemon || pod.ending.is_some() {
                continue;
            }
            if now.duration_since(node.since) >= around.pace.eviction {
                pod.ending = Some(now);
                told.push((pod.workload, pod.name.clone()));
            } else {
                pending = true;
            }
        }
        let nodes = &self.nodes;
        let before = self.pods.len();
        self.pods.retain(|pod| {
            let back = pod
                .node
                .as_ref()
                .and_then(|name| nodes.get(name))
                .is_some_and(|node| node.ready);
            pod.ending.is_none() || !back
        });
        self.dirty |= self.pods.len() != before;
        for (workload, name) in told {
            let namespace = WORKLOADS[workload].namespace;
            self.tell(Event {
                number: 0,
                at: now,
                kind: "Pod",
                namespace,
                message: format!("Marking for deletion Pod {namespace}/{name}"),
                name,
                reason: "TaintManagerEviction",
                warning: false,
                component: "taint-eviction-controller",
            });
        }
        pending
    }

    /// Writes fields of a config map; those beside them stay.
    pub(crate) fn set_config_map(
        &mut self,
        namespace: &str,
        name: &str,
        data: BTreeMap<String, String>,
    ) {
        let key = (namespace.to_owned(), name.to_owned());
        self.config_maps.entry(key).or_default().extend(data);
        self.dirty = true;
        self.publish();
    }

    fn publish(&mut self) {
        if self.dirty {
            self.store.become_like(objects::all(self));
            self.dirty = false;
        }
    }
}

impl Machine for Kubernetes {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let mut pending = self.observe(around, now);
        let in_charge = self
            .nodes
            .values()
            .any(|node| node.server && node.pulse.alive());
        // Without a server nobody reacts, and nobody can ask either.
        if in_charge {
            pending |= self.evict(around, now);
            self.reconcile(now);
            pending |= self.start_pods(now);
            pending |= self.rolls();
        }
        self.publish();
        Outlook::pending_if(pending)
    }

    fn revision(&self) -> u64 {
        self.store.version()
    }
}
