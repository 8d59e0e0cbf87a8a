//! What the server says of itself: version, groups, resources.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::store::{RESOURCES, Resource};
use super::{Server, VERSION};
use crate::lab::services::http;

/// `GET /version`.
pub(crate) async fn version(State(server): State<Server>) -> Response {
    let commit = server.sim.around().ids.hex("kubernetes/commit", 40);
    http::json(
        200,
        &json!({
            "major": "1",
            "minor": "33",
            "emulationMajor": "1",
            "emulationMinor": "33",
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": "32",
            "gitVersion": VERSION,
            "gitCommit": commit,
            "gitTreeState": "clean",
            "buildDate": "2025-09-23T17:12:06Z",
            "goVersion": "go1.24.6",
            "compiler": "gc",
            "platform": "linux/amd64",
        }),
    )
}

/// `GET /api`.
pub(crate) async fn versions(State(server): State<Server>) -> Response {
    let address = server.sim.with(|kubernetes, _| kubernetes.address());
    http::json(
        200,
        &json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{
                "clientCIDR": "0.0.0.0/0",
                "serverAddress": format!("{address}:6443"),
            }],
        }),
    )
}

/// `GET /apis`.
pub(crate) async fn groups() -> Response {
    let group = |name: &str| {
        let version = json!({ "groupVersion": format!("{name}/v1"), "version": "v1" });
        json!({ "name": name, "versions": [version], "preferredVersion": version })
    };
    http::json(
        200,
        &json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [group("apps"), group("storage.k8s.io")],
        }),
    )
}

/// `GET /api/v1`, `GET /apis/apps/v1` …: the resources of a group; `None` when there is no such group.
pub(crate) fn resources(group: &str) -> Option<Value> {
    let entries: Vec<Value> = RESOURCES
        .iter()
        .filter(|resource| resource.group == group)
        .map(entry)
        .collect();
    if entries.is_empty() {
        return None;
    }
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": entries,
    });
    if !group.is_empty() {
        list["apiVersion"] = json!("v1");
    }
    Some(list)
}

fn entry(resource: &Resource) -> Value {
    json!({
        "name": resource.plural,
        "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": ["get", "list", "watch"],
        "shortNames": [resource.short],
    })
}
