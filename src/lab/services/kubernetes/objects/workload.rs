//! Deployments, stateful sets and daemon sets, with their counts.

use k8s_openapi::api::apps::v1::{
    DaemonSet, DaemonSetSpec, DaemonSetStatus, Deployment, DeploymentCondition, DeploymentSpec,
    DeploymentStatus, StatefulSet, StatefulSetSpec, StatefulSetStatus,
};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};

use super::{labels, meta};
use crate::lab::services::kubernetes::state::{Kubernetes, Pod, WORKLOADS, Workload};

/// The annotation by which a template is made another one, so that its pods are made anew.
pub(crate) const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

fn template(workload: &Workload) -> (LabelSelector, PodTemplateSpec) {
    let app = labels(&[("app", workload.name)]);
    let selector = LabelSelector {
        match_labels: Some(app.clone()),
        ..LabelSelector::default()
    };
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(app),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(workload)),
    };
    (selector, template)
}

pub(crate) fn spec(workload: &Workload) -> PodSpec {
    PodSpec {
        containers: vec![Container {
            name: workload.name.into(),
            image: Some(workload.image.into()),
            image_pull_policy: Some("IfNotPresent".into()),
            termination_message_path: Some("/dev/termination-log".into()),
            termination_message_policy: Some("File".into()),
            ..Container::default()
        }],
        dns_policy: Some("ClusterFirst".into()),
        restart_policy: Some("Always".into()),
        scheduler_name: Some("default-scheduler".into()),
        termination_grace_period_seconds: Some(30),
        ..PodSpec::default()
    }
}

/// How many pods there are, ready ones first; pods that are ending do not count.
fn counts(cluster: &Kubernetes, pods: &[&Pod]) -> (i32, i32) {
    let living = pods.iter().filter(|pod| pod.ending.is_none());
    let ready = living.clone().filter(|pod| cluster.pod_ready(pod)).count();
    (number(ready), number(living.count()))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Zero is left out of a status.
fn some(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}

fn workload_meta(cluster: &Kubernetes, kind: &str, workload: &Workload) -> ObjectMeta {
    let namespace = Some(workload.namespace);
    ObjectMeta {
        labels: Some(labels(&[("app", workload.name)])),
        generation: Some(1),
        ..meta(cluster, kind, namespace, workload.name, cluster.born)
    }
}

pub(crate) fn deployment(cluster: &Kubernetes, at: usize, pods: &[&Pod]) -> Deployment {
    let workload = &WORKLOADS[at];
    let (selector, mut template) = template(workload);
    if let (Some(metadata), Some(stamp)) = (&mut template.metadata, cluster.restarted_at(at)) {
        metadata.annotations = Some(labels(&[(RESTARTED, stamp)]));
    }
    let generation = cluster.generation(at);
    let new: Vec<&Pod> = pods
        .iter()
        .copied()
        .filter(|pod| pod.generation == generation)
        .collect();
    let (_, updated) = counts(cluster, &new);
    let (ready, living) = counts(cluster, pods);
    let wanted = number(workload.replicas);
    // One of four may be missing by default, rounded down.
    let enough = ready >= wanted - wanted / 4;
    let condition = |kind: &str, fine: bool, reason: &str, message: String| DeploymentCondition {
        type_: kind.into(),
        status: if fine { "True" } else { "False" }.into(),
        reason: Some(reason.into()),
        message: Some(message),
        last_transition_time: Some(Time(cluster.born)),
        last_update_time: Some(Time(cluster.born)),
    };
    let available = if enough {
        condition(
            "Available",
            true,
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.".into(),
        )
    } else {
        condition(
            "Available",
            false,
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.".into(),
        )
    };
    let set = cluster.replica_set(at, generation);
    let progressing = if updated >= wanted && living <= updated {
        condition(
            "Progressing",
            true,
            "NewReplicaSetAvailable",
            format!("ReplicaSet \"{set}\" has successfully progressed."),
        )
    } else {
        condition(
            "Progressing",
            true,
            "ReplicaSetUpdated",
            format!("ReplicaSet \"{set}\" is progressing."),
        )
    };
    Deployment {
        metadata: ObjectMeta {
            generation: Some(generation.into()),
            ..workload_meta(cluster, "Deployment", workload)
        },
        spec: Some(DeploymentSpec {
            replicas: Some(wanted),
            selector,
            template,
            revision_history_limit: Some(10),
            progress_deadline_seconds: Some(600),
            ..DeploymentSpec::default()
        }),
        status: Some(DeploymentStatus {
            observed_generation: Some(generation.into()),
            replicas: some(living),
            updated_replicas: some(updated),
            ready_replicas: some(ready),
            available_replicas: some(ready),
            unavailable_replicas: some((wanted - ready).max(0)),
            conditions: Some(vec![available, progressing]),
            ..DeploymentStatus::default()
        }),
    }
}

pub(crate) fn stateful_set(
    cluster: &Kubernetes,
    workload: &Workload,
    pods: &[&Pod],
) -> StatefulSet {
    let (selector, template) = template(workload);
    let (ready, living) = counts(cluster, pods);
    let revision = format!(
        "{}-{}",
        workload.name,
        cluster.ids.hex(&format!("revision/{}", workload.name), 10)
    );
    StatefulSet {
        metadata: workload_meta(cluster, "StatefulSet", workload),
        spec: Some(StatefulSetSpec {
            replicas: Some(number(workload.replicas)),
            selector,
            template,
            service_name: Some(workload.name.into()),
            ..StatefulSetSpec::default()
        }),
        status: Some(StatefulSetStatus {
            observed_generation: Some(1),
            replicas: living,
            ready_replicas: some(ready),
            available_replicas: Some(ready),
            current_replicas: some(living),
            updated_replicas: some(living),
            current_revision: Some(revision.clone()),
            update_revision: Some(revision),
            ..StatefulSetStatus::default()
        }),
    }
}

pub(crate) fn daemon_set(cluster: &Kubernetes, workload: &Workload, pods: &[&Pod]) -> DaemonSet {
    let (selector, template) = template(workload);
    let (ready, living) = counts(cluster, pods);
    let wanted = number(cluster.nodes.len());
    DaemonSet {
        metadata: workload_meta(cluster, "DaemonSet", workload),
        spec: Some(DaemonSetSpec {
            selector,
            template,
            ..DaemonSetSpec::default()
        }),
        status: Some(DaemonSetStatus {
            observed_generation: Some(1),
            current_number_scheduled: living,
            desired_number_scheduled: wanted,
            number_misscheduled: 0,
            number_ready: ready,
            number_available: some(ready),
            number_unavailable: some((wanted - ready).max(0)),
            updated_number_scheduled: some(living),
            ..DaemonSetStatus::default()
        }),
    }
}
