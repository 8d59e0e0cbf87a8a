//! What is in a Kubernetes cluster, a row per object, as `kubectl get` shows it.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

use super::{condition_of, is_control_plane, readiness};
use crate::domain::table::{Cell, Table, Tone};
use crate::services::{ViewSpec, brief};

/// The lists of a Kubernetes cluster.
pub(in crate::services) const VIEWS: &[ViewSpec] = &[
    ViewSpec {
        id: "nodes",
        title: "Nodes",
    },
    ViewSpec {
        id: "workloads",
        title: "Workloads",
    },
    ViewSpec {
        id: "pods",
        title: "Pods",
    },
    ViewSpec {
        id: "events",
        title: "Events",
    },
    ViewSpec {
        id: "pvcs",
        title: "Volume claims",
    },
    ViewSpec {
        id: "namespaces",
        title: "Namespaces",
    },
];

/// Ready and all containers, and restarts.
fn containers(pod: &Pod) -> (usize, usize, i32) {
    let list = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let ready = list.iter().filter(|container| container.ready).count();
    (
        ready,
        list.len(),
        list.iter().map(|container| container.restart_count).sum(),
    )
}

pub(super) fn nodes(list: &[Node]) -> Table {
    let mut table = Table::new(
        "Nodes",
        ["NODE", "STATE", "ROLE", "VERSION", "ARCH", "OS", "ADDRESS"],
        "no node has joined",
    );
    for node in list {
        let cordoned = node
            .spec
            .as_ref()
            .and_then(|spec| spec.unschedulable)
            .unwrap_or(false);
        let state = match (readiness(node), cordoned) {
            (Ok(()), false) => Cell::new("ready", Tone::Good),
            (Ok(()), true) => Cell::new("ready, cordoned", Tone::Warn),
            (Err(reason), _) => Cell::new(format!("not ready: {reason}"), Tone::Bad),
        };
        let status = node.status.as_ref();
        let info = status.and_then(|status| status.node_info.as_ref());
        let address = status
            .and_then(|status| status.addresses.as_deref())
            .and_then(|addresses| {
                addresses
                    .iter()
                    .find(|address| address.type_ == "InternalIP")
            })
            .map_or("-", |address| address.address.as_str());
        let role = if is_control_plane(node) {
            Cell::new("control plane", Tone::Accent)
        } else {
            Cell::plain("worker")
        };
        table.push(
            node.name_any(),
            [
                node.name_any().into(),
                state,
                role,
                info.map_or("-", |info| info.kubelet_version.trim_start_matches('v'))
                    .into(),
                info.map_or("-", |info| info.architecture.as_str()).into(),
                info.map_or("-", |info| info.os_image.as_str()).into(),
                address.into(),
            ],
        );
    }
    table
}

pub(super) fn workloads(
    deployments: &[Deployment],
    stateful_sets: &[StatefulSet],
    daemon_sets: &[DaemonSet],
) -> Table {
    let columns = ["NAMESPACE", "NAME", "KIND", "READY", "WANTED"];
    let mut table = Table::new("Workloads", columns, "nothing has been deployed");
    let mut add = |kind: &str, namespace: Option<String>, name: String, ready: i32, wanted: i32| {
        let namespace = namespace.unwrap_or_default();
        let tone = if ready >= wanted {
            Tone::Good
        } else {
            Tone::Bad
        };
        table.push(
            format!("{kind}/{namespace}/{name}"),
            [
                namespace.into(),
                name.into(),
                kind.into(),
                Cell::new(ready.to_string(), tone),
                wanted.to_string().into(),
            ],
        );
    };
    for item in deployments {
        let wanted = item
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        let ready = item
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        add(
            "Deployment",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    for item in stateful_sets {
        let wanted = item
            .spec
            .as_ref()
            .and_then(|spec| spec.replicas)
            .unwrap_or(1);
        let ready = item
            .status
            .as_ref()
            .and_then(|status| status.ready_replicas)
            .unwrap_or(0);
        add(
            "StatefulSet",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    for item in daemon_sets {
        let status = item.status.as_ref();
        let ready = status.map_or(0, |status| status.number_ready);
        let wanted = status.map_or(0, |status| status.desired_number_scheduled);
        add(
            "DaemonSet",
            item.namespace(),
            item.name_any(),
            ready,
            wanted,
        );
    }
    table
}

pub(super) fn pods(list: &[Pod]) -> Table {
    let columns = ["NAMESPACE", "POD", "STATE", "READY", "RESTARTS", "NODE"];
    let mut table = Table::new("Pods", columns, "there are no pods");
    for pod in list {
        let (ready, all, restarts) = containers(pod);
        let condition = condition_of(pod);
        let tone = match condition.as_str() {
            "Running" | "Succeeded" if ready == all || condition == "Succeeded" => Tone::Good,
            "Running" | "Pending" | "ContainerCreating" => Tone::Warn,
            _ => Tone::Bad,
        };
        let node = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.clone())
            .unwrap_or_else(|| "-".into());
        table.push(
            format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any()),
            [
                pod.namespace().unwrap_or_default().into(),
                pod.name_any().into(),
                Cell::new(condition, tone),
                format!("{ready}/{all}").into(),
                Cell::new(
                    restarts.to_string(),
                    if restarts > 5 {
                        Tone::Warn
                    } else {
                        Tone::Plain
                    },
                ),
                node.into(),
            ],
        );
    }
    table
}

pub(super) fn events(mut list: Vec<Event>) -> Table {
    let columns = ["LAST SEEN", "TYPE", "OBJECT", "REASON", "MESSAGE"];
    let mut table = Table::new("Events", columns, "no recent events");
    let seen = |event: &Event| {
        event
            .last_timestamp
            .as_ref()
            .map(|time| time.0.to_string())
            .unwrap_or_default()
    };
    list.sort_by_key(|event| std::cmp::Reverse(seen(event)));
    for event in list {
        let kind = event.type_.clone().unwrap_or_default();
        let tone = if kind == "Warning" {
            Tone::Warn
        } else {
            Tone::Muted
        };
        let object = &event.involved_object;
        table.push(
            format!(
                "{}/{}",
                event.namespace().unwrap_or_default(),
                event.name_any()
            ),
            [
                seen(&event).chars().take(19).collect::<String>().into(),
                Cell::new(kind, tone),
                format!(
                    "{}/{}",
                    object.kind.as_deref().unwrap_or("-"),
                    object.name.as_deref().unwrap_or("-")
                )
                .into(),
                event.reason.clone().unwrap_or_default().into(),
                brief(event.message.as_deref().unwrap_or_default()).into(),
            ],
        );
    }
    table
}

pub(super) fn claims(list: &[PersistentVolumeClaim]) -> Table {
    let columns = ["NAMESPACE", "CLAIM", "STATE", "CLASS", "SIZE"];
    let mut table = Table::new("Volume claims", columns, "there are no volume claims");
    for claim in list {
        let phase = claim
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        let tone = match phase.as_str() {
            "Bound" => Tone::Good,
            "Lost" => Tone::Bad,
            _ => Tone::Warn,
        };
        let class = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.clone());
        let size = claim
            .status
            .as_ref()
            .and_then(|status| status.capacity.as_ref())
            .and_then(|capacity| capacity.get("storage"))
            .map_or_else(|| "-".into(), |quantity| quantity.0.clone());
        table.push(
            format!(
                "{}/{}",
                claim.namespace().unwrap_or_default(),
                claim.name_any()
            ),
            [
                claim.namespace().unwrap_or_default().into(),
                claim.name_any().into(),
                Cell::new(phase, tone),
                class.unwrap_or_else(|| "-".into()).into(),
                size.into(),
            ],
        );
    }
    table
}

pub(super) fn namespaces(list: &[Namespace]) -> Table {
    let mut table = Table::new(
        "Namespaces",
        ["NAMESPACE", "STATE"],
        "there are no namespaces",
    );
    for namespace in list {
        let phase = namespace
            .status
            .as_ref()
            .and_then(|status| status.phase.clone())
            .unwrap_or_default();
        let tone = if phase == "Active" {
            Tone::Good
        } else {
            Tone::Warn
        };
        table.push(
            namespace.name_any(),
            [namespace.name_any().into(), Cell::new(phase, tone)],
        );
    }
    table
}
