//! Who makes pods and has them run: the workload controllers, the scheduler, and the kubelets.
//!
//! A deployment whose template has changed replaces its pods one by one: a new one first, and an old one ends when there are more
//! ready than wanted. That is what the default strategy comes to: a quarter more and a quarter less, of so few pods, is one more and
//! none less.

use jiff::{SignedDuration, Timestamp};

use super::{DaemonSet, Deployment, Event, Kubernetes, Pod, StatefulSet, WORKLOADS, Workload};

/// From the binding of a pod to its node until its containers run.
const START: SignedDuration = SignedDuration::from_secs(2);

impl Kubernetes {
    /// The workload controllers: makes pods that are wanted and not there.
    pub(super) fn reconcile(&mut self, now: Timestamp) {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            match workload.controller {
                Deployment => self.roll(at, now),
                StatefulSet => {
                    // A stateful pod's name is free only when the old pod is really gone.
                    for ordinal in 0..workload.replicas {
                        let name = format!("{}-{ordinal}", workload.name);
                        if !self
                            .pods
                            .iter()
                            .any(|pod| pod.workload == at && pod.name == name)
                        {
                            self.make(at, ordinal, name, None, now);
                        }
                    }
                }
                DaemonSet => {
                    let nodes: Vec<String> = self.nodes.keys().cloned().collect();
                    for node in nodes {
                        let there =
                            |pod: &Pod| pod.workload == at && pod.node.as_ref() == Some(&node);
                        if !self.pods.iter().any(there) {
                            let suffix = self.suffix();
                            let name = format!("{}-{suffix}", workload.name);
                            self.make(at, 0, name, Some(node.clone()), now);
                        }
                    }
                }
            }
        }
        self.bind(now);
    }

    /// A deployment: as many pods as are wanted, and one more while those of an older template are replaced one by one.
    fn roll(&mut self, at: usize, now: Timestamp) {
        let workload = WORKLOADS[at];
        let generation = self.generation(at);
        let is_old =
            |pod: &Pod| pod.workload == at && pod.ending.is_none() && pod.generation < generation;
        let old = self.pods.iter().filter(|pod| is_old(pod)).count();
        let room = workload.replicas + usize::from(old > 0);
        for _ in self.living(at)..room {
            let (set, suffix) = (self.replica_set(at, generation), self.suffix());
            self.make(at, 0, format!("{set}-{suffix}"), None, now);
        }
        let ready = |pod: &&Pod| pod.workload == at && pod.ending.is_none() && self.pod_ready(pod);
        if old > 0 && self.pods.iter().filter(ready).count() > workload.replicas {
            let last = self.pods.iter_mut().find(|pod| is_old(pod));
            if let Some(pod) = last {
                pod.ending = Some(now);
                self.dirty = true;
            }
        }
    }

    /// Whether a deployment still has pods of an older template.
    pub(super) fn rolls(&self) -> bool {
        self.pods
            .iter()
            .any(|pod| pod.ending.is_none() && pod.generation < self.generation(pod.workload))
    }

    /// Of the template of a workload; one more with each restart.
    pub(crate) fn generation(&self, workload: usize) -> u32 {
        let restarts = self.restarts.get(&workload).map_or(0, Vec::len);
        1 + u32::try_from(restarts).unwrap_or(u32::MAX - 1)
    }

    /// What a deployment's replica set of this generation is called.
    pub(crate) fn replica_set(&self, workload: usize, generation: u32) -> String {
        let name = WORKLOADS[workload].name;
        let label = match generation {
            1 => format!("replicaset/{name}"),
            later => format!("replicaset/{name}/{later}"),
        };
        format!("{name}-{}", self.ids.hex(&label, 10))
    }

    /// When a workload was last told to make its pods anew, as it was written.
    pub(crate) fn restarted_at(&self, workload: usize) -> Option<&str> {
        let restarts = self.restarts.get(&workload)?;
        restarts.last().map(String::as_str)
    }

    /// Has a deployment make its pods anew; `false` when there is no such deployment.
    pub(crate) fn restart(&mut self, namespace: &str, name: &str, stamp: &str) -> bool {
        let of_name = |workload: &Workload| {
            workload.controller == Deployment
                && workload.namespace == namespace
                && workload.name == name
        };
        let Some(at) = WORKLOADS.iter().position(of_name) else {
            return false;
        };
        // The same annotation again changes nothing.
        if self.restarted_at(at) != Some(stamp) {
            self.restarts.entry(at).or_default().push(stamp.to_owned());
            self.dirty = true;
            self.publish();
        }
        true
    }

    fn living(&self, workload: usize) -> usize {
        let pods = self.pods.iter();
        pods.filter(|pod| pod.workload == workload && pod.ending.is_none())
            .count()
    }

    fn suffix(&self) -> String {
        self.ids
            .word(&format!("pod/{}", self.made), 5)
            .to_lowercase()
    }

    fn make(
        &mut self,
        workload: usize,
        ordinal: usize,
        name: String,
        node: Option<String>,
        now: Timestamp,
    ) {
        self.made += 1;
        self.dirty = true;
        let generation = self.generation(workload);
        self.pods.push(Pod {
            name,
            workload,
            ordinal,
            generation,
            bound: node.is_some().then_some(now),
            node,
            address: format!("10.42.{}.{}", self.made / 250, 2 + self.made % 250),
            created: now,
            running: false,
            ending: None,
        });
    }

    /// The scheduler: pods without a node get the ready one with the fewest pods.
    fn bind(&mut self, now: Timestamp) {
        let waiting: Vec<usize> = (0..self.pods.len())
            .filter(|at| self.pods[*at].node.is_none())
            .collect();
        for at in waiting {
            let load = |node: &str| {
                let on = |pod: &&Pod| pod.node.as_deref() == Some(node);
                self.pods.iter().filter(on).count()
            };
            let node = self
                .nodes
                .values()
                .filter(|node| node.ready && node.pulse.alive() && !node.cordoned)
                .map(|node| node.host.name.clone())
                .min_by_key(|name| load(name));
            let Some(node) = node else { return };
            let pod = &mut self.pods[at];
            pod.node = Some(node.clone());
            pod.bound = Some(now);
            let (name, namespace) = (pod.name.clone(), WORKLOADS[pod.workload].namespace);
            self.tell(Event {
                number: 0,
                at: now,
                kind: "Pod",
                namespace,
                message: format!("Successfully assigned {namespace}/{name} to {node}"),
                name,
                reason: "Scheduled",
                warning: false,
                component: "default-scheduler",
            });
        }
    }

    /// The kubelets: bound pods run after a while. Returns whether some still have to start.
    pub(super) fn start_pods(&mut self, now: Timestamp) -> bool {
        let mut pending = false;
        let mut started = Vec::new();
        for pod in &mut self.pods {
            let Some((node, bound)) = pod.node.as_ref().zip(pod.bound) else {
                continue;
            };
            let alive = self.nodes.get(node).is_some_and(|node| node.pulse.alive());
            if pod.running || !alive {
                continue;
            }
            if now.duration_since(bound) >= START {
                pod.running = true;
                started.push((pod.workload, pod.name.clone()));
            } else {
                pending = true;
            }
        }
        for (workload, name) in started {
            let workload = WORKLOADS[workload];
            self.tell(Event {
                number: 0,
                at: now,
                kind: "Pod",
                namespace: workload.namespace,
                message: format!("Started container {}", workload.name),
                name,
                reason: "Started",
                warning: false,
                component: "kubelet",
            });
        }
        pending
    }
}
