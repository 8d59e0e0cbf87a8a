//! Pods: where they are bound, and how their container is.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateWaiting, ContainerStatus, HostIP,
    Pod as PodObject, PodCondition, PodIP, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

use super::workload::spec;
use super::{labels, meta};
use crate::lab::services::kubernetes::state::{Controller, Kubernetes, Pod, WORKLOADS, Workload};

fn owner(cluster: &Kubernetes, pod: &Pod) -> OwnerReference {
    let workload = &WORKLOADS[pod.workload];
    let set = || cluster.replica_set(pod.workload, pod.generation);
    let (kind, name) = match workload.controller {
        Controller::Deployment => ("ReplicaSet", set()),
        Controller::StatefulSet => ("StatefulSet", workload.name.to_owned()),
        Controller::DaemonSet => ("DaemonSet", workload.name.to_owned()),
    };
    let label = format!("{kind}/{}/{name}/{}", workload.namespace, cluster.born);
    OwnerReference {
        api_version: "apps/v1".into(),
        kind: kind.into(),
        uid: cluster.ids.uuid(&label),
        name,
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

pub(crate) fn pod(cluster: &Kubernetes, pod: &Pod) -> PodObject {
    let workload = &WORKLOADS[pod.workload];
    let mut metadata = meta(
        cluster,
        "Pod",
        Some(workload.namespace),
        &pod.name,
        pod.created,
    );
    let mut marks = labels(&[("app", workload.name)]);
    if workload.controller == Controller::StatefulSet {
        marks.insert(
            "apps.kubernetes.io/pod-index".into(),
            pod.ordinal.to_string(),
        );
    }
    metadata.labels = Some(marks);
    metadata.owner_references = Some(vec![owner(cluster, pod)]);
    if let Some(ending) = pod.ending {
        metadata.deletion_timestamp = Some(Time(ending));
        metadata.deletion_grace_period_seconds = Some(30);
    }
    PodObject {
        metadata,
        spec: Some(PodSpec {
            node_name: pod.node.clone(),
            ..spec(workload)
        }),
        status: Some(pod_status(cluster, pod, workload)),
    }
}

fn pod_status(cluster: &Kubernetes, pod: &Pod, workload: &Workload) -> PodStatus {
    let ready = cluster.pod_ready(pod);
    let condition = |kind: &str, fine: bool, reason: Option<&str>| PodCondition {
        type_: kind.into(),
        status: if fine { "True" } else { "False" }.into(),
        reason: reason.filter(|_| !fine).map(Into::into),
        last_transition_time: Some(Time(pod.bound.unwrap_or(pod.created))),
        ..PodCondition::default()
    };
    if pod.node.is_none() {
        let nodes = cluster.nodes.len();
        return PodStatus {
            phase: Some("Pending".into()),
            conditions: Some(vec![PodCondition {
                message: Some(format!(
                    "0/{nodes} nodes are available: {nodes} node(s) had untolerated taint \
                     {{node.kubernetes.io/unreachable: }}."
                )),
                ..condition("PodScheduled", false, Some("Unschedulable"))
            }]),
            qos_class: Some("BestEffort".into()),
            ..PodStatus::default()
        };
    }
    let started = pod.bound.unwrap_or(pod.created);
    let state = if pod.running {
        ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(Time(started)),
            }),
            ..ContainerState::default()
        }
    } else {
        ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some("ContainerCreating".into()),
                message: None,
            }),
            ..ContainerState::default()
        }
    };
    let digest = cluster.ids.hex(workload.image, 64);
    let host = pod
        .node
        .as_ref()
        .and_then(|node| cluster.nodes.get(node))
        .map(|node| node.host.address.clone());
    let address = pod.running.then(|| pod.address.clone());
    PodStatus {
        phase: Some(if pod.running { "Running" } else { "Pending" }.into()),
        conditions: Some(vec![
            condition("PodReadyToStartContainers", pod.running, None),
            condition("Initialized", true, None),
            condition("Ready", ready, Some("ContainersNotReady")),
            condition("ContainersReady", pod.running, Some("ContainersNotReady")),
            condition("PodScheduled", true, None),
        ]),
        container_statuses: Some(vec![ContainerStatus {
            name: workload.name.into(),
            image: workload.image.into(),
            image_id: format!("{}@sha256:{digest}", workload.image),
            container_id: pod
                .running
                .then(|| format!("containerd://{}", cluster.ids.hex(&pod.name, 64))),
            ready: pod.running,
            started: Some(pod.running),
            restart_count: 0,
            state: Some(state),
            last_state: Some(ContainerState::default()),
            ..ContainerStatus::default()
        }]),
        host_ip: host.clone(),
        host_ips: host.map(|ip| vec![HostIP { ip }]),
        pod_ip: address.clone(),
        pod_ips: address.map(|ip| vec![PodIP { ip }]),
        qos_class: Some("BestEffort".into()),
        start_time: Some(Time(started)),
        ..PodStatus::default()
    }
}
