//! The objects with their versions, and the history that watches read.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

/// Changes remembered; a watch that wants older ones must list anew.
const HISTORY: usize = 1_000;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub group: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub short: &'static str,
    pub namespaced: bool,
}

const fn resource(
    group: &'static str,
    plural: &'static str,
    kind: &'static str,
    short: &'static str,
    namespaced: bool,
) -> Resource {
    Resource {
        group,
        plural,
        kind,
        short,
        namespaced,
    }
}

pub(crate) const NODES: Resource = resource("", "nodes", "Node", "no", false);
pub(crate) const NAMESPACES: Resource = resource("", "namespaces", "Namespace", "ns", false);
pub(crate) const PODS: Resource = resource("", "pods", "Pod", "po", true);
pub(crate) const EVENTS: Resource = resource("", "events", "Event", "ev", true);
pub(crate) const CONFIG_MAPS: Resource = resource("", "configmaps", "ConfigMap", "cm", true);
pub(crate) const CLAIMS: Resource = resource(
    "",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    "pvc",
    true,
);
pub(crate) const DEPLOYMENTS: Resource =
    resource("apps", "deployments", "Deployment", "deploy", true);
pub(crate) const STATEFUL_SETS: Resource =
    resource("apps", "statefulsets", "StatefulSet", "sts", true);
pub(crate) const DAEMON_SETS: Resource = resource("apps", "daemonsets", "DaemonSet", "ds", true);
pub(crate) const STORAGE_CLASSES: Resource = resource(
    "storage.k8s.io",
    "storageclasses",
    "StorageClass",
    "sc",
    false,
);

/// Every kind that is served.
pub(crate) const RESOURCES: [Resource; 10] = [
    NODES,
    NAMESPACES,
    PODS,
    EVENTS,
    CONFIG_MAPS,
    CLAIMS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    DAEMON_SETS,
    STORAGE_CLASSES,
];

impl Resource {
    /// `v1`, `apps/v1` …
    pub(crate) fn api_version(self) -> String {
        if self.group.is_empty() {
            "v1".into()
        } else {
            format!("{}/v1", self.group)
        }
    }
}

/// What identifies an object: kind, namespace (empty when it has none), name.
pub(crate) type Key = (Resource, String, String);

/// A change that watches show.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub version: u64,
    pub resource: Resource,
    pub what: &'static str,
    pub object: Value,
}

struct Stored {
    /// As it was given, for comparison.
    given: Value,
    /// With its version.
    shown: Value,
}

/// All objects.
pub(crate) struct Store {
    version: u64,
    objects: BTreeMap<Key, Stored>,
    history: VecDeque<Change>,
}

impl Store {
    /// Nothing yet, at `version`.
    pub(crate) const fn new(version: u64) -> Self {
        Self {
            version,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
        }
    }

    /// The version of the last change.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// The objects of a kind, by namespace and name.
    pub(crate) fn list(&self, resource: Resource) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects
            .iter()
            .filter(move |((kind, _, _), _)| *kind == resource)
            .map(|(key, stored)| (key, &stored.shown))
    }

    /// One object.
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(|stored| &stored.shown)
    }

    /// The changes of a kind after `version`.
    ///
    /// # Errors
    /// The oldest version that is still known, when `version` is older.
    pub(crate) fn since(&self, resource: Resource, version: u64) -> Result<Vec<&Change>, u64> {
        let oldest = self
            .history
            .front()
            .map_or(self.version, |change| change.version - 1);
        if version < oldest {
            return Err(oldest);
        }
        let found = self.history.iter();
        Ok(found
            .filter(|change| change.resource == resource && change.version > version)
            .collect())
    }

    /// Makes `wanted` what there is; every difference becomes a change of its own.
    pub(crate) fn become_like(&mut self, wanted: BTreeMap<Key, Value>) {
        let gone: Vec<Key> = self
            .objects
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(stored) = self.objects.remove(&key) {
                self.record(key.0, "DELETED", stored.shown);
            }
        }
        for (key, given) in wanted {
            let what = match self.objects.get(&key) {
                Some(stored) if stored.given == given => continue,
                Some(_) => "MODIFIED",
                None => "ADDED",
            };
            let shown = self.record(key.0, what, given.clone());
            self.objects.insert(key, Stored { given, shown });
        }
    }

    fn record(&mut self, resource: Resource, what: &'static str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push_back(Change {
            version: self.version,
            resource,
            what,
            object: object.clone(),
        });
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: &str) -> (Key, Value) {
        let object = json!({ "metadata": { "name": name }, "spec": { "nodeName": node } });
        ((PODS, "default".into(), name.into()), object)
    }

    #[test]
    fn differences_become_changes_and_sameness_does_not() {
        let mut store = Store::new(10);
        store.become_like(BTreeMap::from([pod("a", "pc1"), pod("b", "pc1")]));
        let before = store.version();
        store.become_like(BTreeMap::from([pod("a", "pc2"), pod("b", "pc1")]));
        store.become_like(BTreeMap::from([pod("b", "pc1")]));
        let changes = store.since(PODS, before).unwrap();
        let whats: Vec<_> = changes.iter().map(|change| change.what).collect();
        assert_eq!(whats, ["MODIFIED", "DELETED"]);
        assert_eq!(store.since(NODES, before).unwrap().len(), 0);
    }

    #[test]
    fn history_is_bounded_and_says_when_it_is_too_short() {
        let mut store = Store::new(0);
        for round in 0..=HISTORY {
            store.become_like(BTreeMap::from([pod("a", &round.to_string())]));
        }
        assert_eq!(store.since(PODS, 0).unwrap_err(), 1);
        assert_eq!(store.since(PODS, 1).unwrap().len(), HISTORY);
    }
}
