//! The few changes that the API takes: a node is cordoned, uncordoned or deleted, a pod is
//! [evicted](https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/).

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use super::Server;
use super::api::Target;
use super::status::Failure;
use super::store::{Key, NODES, PODS};
use crate::lab::services::http;

/// A request that is no GET.
///
/// # Errors
/// [`Failure`] for what cannot be changed here, is not there, or is not allowed now.
pub(super) fn serve(
    server: &Server,
    method: &Method,
    target: &Target,
    body: &[u8],
) -> Result<Response, Failure> {
    let name = target.name.as_deref().ok_or_else(Failure::method)?;
    match (method, target.resource, target.part.as_deref()) {
        (&Method::PATCH, NODES, None) => cordon(server, name, body),
        (&Method::DELETE, NODES, None) => {
            if server.sim.with(|cluster, _| cluster.remove(name)) {
                Ok(success(name, "nodes"))
            } else {
                Err(Failure::no_object("nodes", "", name))
            }
        }
        (&Method::POST, PODS, Some("eviction")) => {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let asked = server
                .sim
                .with(|cluster, now| cluster.evict_pod(namespace, name, now));
            match asked {
                Some(true) => Ok(http::json(201, &status(name, "pods"))),
                Some(false) => Err(Failure::disruption_budget()),
                None => Err(Failure::no_object("pods", "", name)),
            }
        }
        _ => Err(Failure::method()),
    }
}

/// A merge patch of `spec.unschedulable`, which is all that can be patched here.
fn cordon(server: &Server, name: &str, body: &[u8]) -> Result<Response, Failure> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("the patch is not JSON: {error}")))?;
    let wanted = match &patch["spec"]["unschedulable"] {
        Value::Bool(wanted) => *wanted,
        Value::Null => false,
        other => {
            return Err(Failure::bad_request(format!(
                "spec.unschedulable: {other} is not a boolean"
            )));
        }
    };
    let key: Key = (NODES, String::new(), name.to_owned());
    let object = server.sim.with(|cluster, _| {
        cluster.set_cordoned(name, wanted);
        cluster.store().get(&key).cloned()
    });
    object
        .map(|object| http::json(200, &object))
        .ok_or_else(|| Failure::no_object("nodes", "", name))
}

fn status(name: &str, plural: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": { "name": name, "kind": plural },
    })
}

fn success(name: &str, plural: &str) -> Response {
    http::json(200, &status(name, plural))
}
