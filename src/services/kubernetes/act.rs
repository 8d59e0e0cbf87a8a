//! What a Kubernetes cluster can be told, and who votes in it.
//!
//! A drain is what `kubectl drain --ignore-daemonsets` does: cordon, then evict every pod that a daemon set or the kubelet
//! itself does not manage. An eviction that a disruption budget does not allow yet is answered 429 and asked again until the
//! deadline; what holds it up is told.

mod workload;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::Eviction as EvictionOrder;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Kubernetes, Limit, is_control_plane, phase, readiness};
use crate::domain::quorum::Voter;
use crate::domain::service_action::{KubernetesAction, length};
use crate::services::{Acted, ServiceError, Tell, brief};

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a drain looks, and asks again for what was not allowed.
const LOOK: Duration = Duration::from_secs(1);
/// The annotation of pods that come from the kubelet's own files.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// The label of those who run etcd, on K3s; elsewhere the control plane does.
const ETCD: &str = "node-role.kubernetes.io/etcd";

impl Kubernetes {
    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    async fn node(&self, name: &str) -> Result<Option<Node>, ServiceError> {
        Limit::after(LIMIT)
            .hold(&self.url, self.nodes().get_opt(name))
            .await
    }

    async fn known(&self, name: &str) -> Result<Node, ServiceError> {
        self.node(name).await?.ok_or_else(|| {
            ServiceError::Setup(format!(
                "Kubernetes has no node called {name:?}; the view Nodes lists those it has"
            ))
        })
    }

    /// See [`crate::services::Service::act`].
    pub(super) async fn carry_out(
        &self,
        action: &KubernetesAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        match action {
            KubernetesAction::Cordon { node } => self.cordon(node).await,
            KubernetesAction::Uncordon { node } => {
                if !is_cordoned(&self.known(node).await?) {
                    return Ok(Acted::Already(format!("{node} takes pods")));
                }
                Limit::after(LIMIT)
                    .hold(&self.url, self.nodes().uncordon(node))
                    .await?;
                Ok(Acted::Changed(format!("{node} takes pods again")))
            }
            KubernetesAction::Drain { node, deadline } => {
                let deadline = length(deadline).map_err(ServiceError::Setup)?;
                let cordoned = self.cordon(node).await?;
                if let Acted::Changed(words) = &cordoned {
                    tell(words.clone());
                }
                self.drain(node, deadline, cordoned, tell, cancel).await
            }
            KubernetesAction::Delete { node } => self.delete(node).await,
            KubernetesAction::Evict { pod, deadline } => {
                workload::evict(self, pod, deadline, tell, cancel).await
            }
            KubernetesAction::Restart {
                deployment,
                deadline,
            } => workload::restart(self, deployment, deadline, tell, cancel).await,
        }
    }

    async fn cordon(&self, node: &str) -> Result<Acted, ServiceError> {
        if is_cordoned(&self.known(node).await?) {
            return Ok(Acted::Already(format!("{node} takes no new pods")));
        }
        Limit::after(LIMIT)
            .hold(&self.url, self.nodes().cordon(node))
            .await?;
        Ok(Acted::Changed(format!("{node} takes no new pods")))
    }

    async fn drain(
        &self,
        node: &str,
        deadline: Duration,
        cordoned: Acted,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        let end = tokio::time::Instant::now() + deadline;
        let mut told: Option<usize> = None;
        let mut asked: BTreeSet<String> = BTreeSet::new();
        loop {
            let pods = self.pods_on(node).await?;
            if pods.is_empty() && told.is_none() && matches!(cordoned, Acted::Already(_)) {
                return Ok(Acted::Already(format!("{node} is drained")));
            }
            if pods.is_empty() {
                return Ok(Acted::Changed(format!(
                    "{node} is drained: {} pods were evicted",
                    asked.len()
                )));
            }
            if told != Some(pods.len()) {
                told = Some(pods.len());
                tell(format!("{} pods to move from {node}", pods.len()));
            }
            let mut held = None;
            for pod in pods
                .iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            {
                let place = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
                match self.evict(pod).await? {
                    Eviction::Asked => {
                        asked.insert(place);
                    }
                    Eviction::Gone => {}
                    Eviction::NotYet(why) => held = Some(format!("{place}: {why}")),
                }
            }
            if tokio::time::Instant::now() >= end {
                return Err(ServiceError::Setup(format!(
                    "{} pods are left on {node} after the deadline; it stays cordoned{}",
                    pods.len(),
                    held.map(|why| format!(" ({why})")).unwrap_or_default()
                )));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = cancel.cancelled() => {
                    return Err(ServiceError::Setup(format!(
                        "stopped: {} pods are left on {node}, which stays cordoned",
                        pods.len()
                    )));
                }
            }
        }
    }

    /// The pods on a node that a drain moves.
    async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, ServiceError> {
        let api: Api<Pod> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let found = Limit::after(LIMIT)
            .hold(&self.url, api.list(&params))
            .await?;
        Ok(found.items.into_iter().filter(is_moved).collect())
    }

    /// Asks for the eviction of this very pod: one that has come under its name since, as a stateful one does, stays.
    async fn evict(&self, pod: &Pod) -> Result<Eviction, ServiceError> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        // Written here because kube's own request names its options in a way that no API server reads.
        let order = EvictionOrder {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                preconditions: Some(Preconditions {
                    uid: pod.metadata.uid.clone(),
                    ..Preconditions::default()
                }),
                ..DeleteOptions::default()
            }),
        };
        let limit = Limit::after(LIMIT);
        let params = PostParams::default();
        let asked = api.create_subresource::<_, Value>("eviction", &name, &params, &order);
        match limit.hold(&self.url, asked).await {
            Ok(_) => Ok(Eviction::Asked),
            // No pod of that name, or another one.
            Err(ServiceError::Status {
                status: 404 | 409, ..
            }) => Ok(Eviction::Gone),
            Err(ServiceError::Status {
                status: 429,
                reason,
                ..
            }) => Ok(Eviction::NotYet(brief(&reason))),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, name: &str) -> Result<Acted, ServiceError> {
        let Some(node) = self.node(name).await? else {
            return Ok(Acted::Already(format!("Kubernetes does not know {name}")));
        };
        if readiness(&node).is_ok() {
            return Err(ServiceError::Setup(format!(
                "{name} is ready: drain it and stop its agent before it is taken out"
            )));
        }
        let params = DeleteParams::default();
        let limit = Limit::after(LIMIT);
        let nodes = self.nodes();
        limit.hold(&self.url, nodes.delete(name, &params)).await?;
        Ok(Acted::Changed(format!("{name} is out of the cluster")))
    }

    /// See [`crate::services::Service::voters`].
    pub(super) async fn who_votes(&self, deadline: Duration) -> Result<Vec<Voter>, ServiceError> {
        let nodes: Vec<Node> = self.list(Limit::after(deadline)).await?;
        let etcd = |node: &Node| node.labels().contains_key(ETCD);
        let marked = nodes.iter().any(etcd);
        Ok(nodes
            .iter()
            .filter(|node| {
                if marked {
                    etcd(node)
                } else {
                    is_control_plane(node)
                }
            })
            .map(|node| Voter {
                name: node.name_any(),
                alive: readiness(node).is_ok(),
            })
            .collect())
    }
}

/// What came of asking for an eviction.
enum Eviction {
    /// The pod is on its way out.
    Asked,
    /// It is not there any more, which is what was wanted; the next look tells.
    Gone,
    /// A disruption budget does not allow it now.
    NotYet(String),
}

fn is_cordoned(node: &Node) -> bool {
    let spec = node.spec.as_ref();
    spec.and_then(|spec| spec.unschedulable).unwrap_or(false)
}

/// Whether a drain moves the pod: it has not ended, and neither a daemon set nor the kubelet would put it back at once.
fn is_moved(pod: &Pod) -> bool {
    let ended = matches!(phase(pod), "Succeeded" | "Failed");
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let daemon = owners.iter().any(|owner| owner.kind == "DaemonSet");
    !ended && !daemon && !pod.annotations().contains_key(MIRROR)
}
