//! Nodes, namespaces, and what happened to them.

use k8s_openapi::api::core::v1::{
    Event as EventObject, EventSource, Namespace, NamespaceSpec, NamespaceStatus,
    Node as NodeObject, NodeAddress, NodeCondition, NodeSpec, NodeStatus, NodeSystemInfo,
    ObjectReference, Taint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::{labels, meta, quantities};
use crate::lab::services::kubernetes::VERSION;
use crate::lab::services::kubernetes::state::{Event, Kubernetes, Node};

pub(crate) fn node(cluster: &Kubernetes, node: &Node) -> NodeObject {
    let host = &node.host;
    let arch = host.arch.word();
    let mut marks = labels(&[
        ("beta.kubernetes.io/arch", arch),
        ("kubernetes.io/arch", arch),
        ("kubernetes.io/hostname", &host.name),
        ("kubernetes.io/os", "linux"),
        ("node.kubernetes.io/instance-type", "k3s"),
    ]);
    if node.server {
        marks.insert(
            "node-role.kubernetes.io/control-plane".into(),
            "true".into(),
        );
        marks.insert("node-role.kubernetes.io/master".into(), "true".into());
    }
    let taint = |effect: &str| Taint {
        key: "node.kubernetes.io/unreachable".into(),
        effect: effect.into(),
        time_added: Some(Time(node.since)),
        value: None,
    };
    let taints = (!node.ready).then(|| vec![taint("NoSchedule"), taint("NoExecute")]);
    NodeObject {
        metadata: ObjectMeta {
            labels: Some(marks),
            ..meta(cluster, "Node", None, &host.name, cluster.born)
        },
        spec: Some(NodeSpec {
            pod_cidr: Some("10.42.0.0/24".into()),
            pod_cidrs: Some(vec!["10.42.0.0/24".into()]),
            provider_id: Some(format!("k3s://{}", host.name)),
            taints,
            unschedulable: node.cordoned.then_some(true),
            ..NodeSpec::default()
        }),
        status: Some(node_status(cluster, node)),
    }
}

fn node_status(cluster: &Kubernetes, node: &Node) -> NodeStatus {
    let host = &node.host;
    let condition = |kind: &str, wanted: &str, reason: &str, message: &str| {
        let (status, reason, message) = if node.ready {
            (wanted, reason, message)
        } else {
            (
                "Unknown",
                "NodeStatusUnknown",
                "Kubelet stopped posting node status.",
            )
        };
        NodeCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: Some(Time(node.heard)),
            last_transition_time: Some(Time(node.since)),
        }
    };
    let address = |kind: &str, address: &str| NodeAddress {
        type_: kind.into(),
        address: address.into(),
    };
    let room = quantities(&[
        ("cpu", "4"),
        ("ephemeral-storage", "57Gi"),
        ("memory", "7950Mi"),
        ("pods", "110"),
    ]);
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", &host.address),
            address("Hostname", &host.name),
        ]),
        allocatable: Some(room.clone()),
        capacity: Some(room),
        conditions: Some(vec![
            condition(
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available",
            ),
            condition(
                "DiskPressure",
                "False",
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            ),
            condition(
                "PIDPressure",
                "False",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available",
            ),
            condition(
                "Ready",
                "True",
                "KubeletReady",
                "kubelet is posting ready status",
            ),
        ]),
        node_info: Some(NodeSystemInfo {
            architecture: host.arch.word().into(),
            boot_id: cluster.ids.uuid(&format!("boot/{}", host.name)),
            container_runtime_version: "containerd://2.1.4-k3s1".into(),
            kernel_version: "6.8.0-1040".into(),
            kube_proxy_version: String::new(),
            kubelet_version: VERSION.into(),
            machine_id: cluster.ids.hex(&format!("machine/{}", host.name), 32),
            operating_system: "linux".into(),
            os_image: "Ubuntu 24.04.3 LTS".into(),
            system_uuid: cluster.ids.uuid(&format!("system/{}", host.name)),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    }
}

pub(crate) fn namespace(cluster: &Kubernetes, name: &str) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            labels: Some(labels(&[("kubernetes.io/metadata.name", name)])),
            ..meta(cluster, "Namespace", None, name, cluster.born)
        },
        spec: Some(NamespaceSpec {
            finalizers: Some(vec!["kubernetes".into()]),
        }),
        status: Some(NamespaceStatus {
            phase: Some("Active".into()),
            ..NamespaceStatus::default()
        }),
    }
}

pub(crate) fn event(cluster: &Kubernetes, event: &Event) -> EventObject {
    let suffix = cluster.ids.hex(&format!("event/{}", event.number), 16);
    let name = format!("{}.{suffix}", event.name);
    let namespaced = (event.kind != "Node").then(|| event.namespace.to_owned());
    EventObject {
        metadata: meta(cluster, "Event", Some(event.namespace), &name, event.at),
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some(event.kind.into()),
            name: Some(event.name.clone()),
            namespace: namespaced,
            ..ObjectReference::default()
        },
        reason: Some(event.reason.into()),
        message: Some(event.message.clone()),
        type_: Some(if event.warning { "Warning" } else { "Normal" }.into()),
        count: Some(1),
        first_timestamp: Some(Time(event.at)),
        last_timestamp: Some(Time(event.at)),
        source: Some(EventSource {
            component: Some(event.component.into()),
            ..EventSource::default()
        }),
        reporting_component: Some(event.component.into()),
        reporting_instance: Some(String::new()),
        ..EventObject::default()
    }
}
