//! The cluster as API objects. The types come from the API's own schema, so fields cannot be misspelt.

mod node;
mod pod;
mod storage;
mod workload;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;
use serde_json::Value;

pub(crate) use workload::RESTARTED;

use super::state::{Controller, Kubernetes, Pod, WORKLOADS};
use super::store::{
    CLAIMS, CONFIG_MAPS, DAEMON_SETS, DEPLOYMENTS, EVENTS, Key, NAMESPACES, NODES, PODS, Resource,
    STATEFUL_SETS, STORAGE_CLASSES,
};

type Labels = BTreeMap<String, String>;

/// Every object of the cluster.
pub(crate) fn all(cluster: &Kubernetes) -> BTreeMap<Key, Value> {
    let mut objects = BTreeMap::new();
    for node in cluster.nodes.values() {
        insert(&mut objects, NODES, &node::node(cluster, node));
    }
    let mut namespaces: Vec<&str> = WORKLOADS
        .iter()
        .map(|workload| workload.namespace)
        .collect();
    namespaces.extend(["default", "kube-node-lease", "kube-public"]);
    namespaces.sort_unstable();
    namespaces.dedup();
    for name in namespaces {
        insert(&mut objects, NAMESPACES, &node::namespace(cluster, name));
    }
    for (at, workload) in WORKLOADS.iter().enumerate() {
        let pods: Vec<&Pod> = cluster
            .pods
            .iter()
            .filter(|pod| pod.workload == at)
            .collect();
        match workload.controller {
            Controller::Deployment => {
                insert(
                    &mut objects,
                    DEPLOYMENTS,
                    &workload::deployment(cluster, at, &pods),
                );
            }
            Controller::StatefulSet => {
                insert(
                    &mut objects,
                    STATEFUL_SETS,
                    &workload::stateful_set(cluster, workload, &pods),
                );
            }
            Controller::DaemonSet => {
                insert(
                    &mut objects,
                    DAEMON_SETS,
                    &workload::daemon_set(cluster, workload, &pods),
                );
            }
        }
        for ordinal in 0..if workload.volume > 0 {
            workload.replicas
        } else {
            0
        } {
            insert(
                &mut objects,
                CLAIMS,
                &storage::claim(cluster, workload, ordinal),
            );
        }
    }
    for pod in &cluster.pods {
        insert(&mut objects, PODS, &pod::pod(cluster, pod));
    }
    for ((namespace, name), data) in &cluster.config_maps {
        insert(
            &mut objects,
            CONFIG_MAPS,
            &config_map(cluster, namespace, name, data),
        );
    }
    for event in &cluster.events {
        insert(&mut objects, EVENTS, &node::event(cluster, event));
    }
    insert(
        &mut objects,
        STORAGE_CLASSES,
        &storage::storage_class(cluster),
    );
    objects
}

/// A config map with this data.
pub(super) fn config_map(
    cluster: &Kubernetes,
    namespace: &str,
    name: &str,
    data: &Labels,
) -> ConfigMap {
    ConfigMap {
        metadata: meta(cluster, "configmap", Some(namespace), name, cluster.born),
        data: Some(data.clone()),
        ..ConfigMap::default()
    }
}

fn insert<T: Serialize>(objects: &mut BTreeMap<Key, Value>, resource: Resource, object: &T) {
    // The schema's types always have a JSON form.
    let object = serde_json::to_value(object).unwrap_or_default();
    let text = |field: &str| {
        object["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    objects.insert((resource, text("namespace"), text("name")), object);
}

fn meta(
    cluster: &Kubernetes,
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    created: Timestamp,
) -> ObjectMeta {
    let label = format!("{kind}/{}/{name}/{created}", namespace.unwrap_or_default());
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(ToOwned::to_owned),
        uid: Some(cluster.ids.uuid(&label)),
        creation_timestamp: Some(Time(created)),
        ..ObjectMeta::default()
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Quantity((*value).to_owned())))
        .collect()
}
