//! The few changes that the API takes: a node is cordoned, uncordoned or deleted, a pod is
//! [evicted](https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/), a deployment restarted, a config map
//! applied.

use std::collections::BTreeMap;

use axum::http::Method;
use axum::response::Response;
use serde_json::{Value, json};

use super::Server;
use super::api::Target;
use super::objects;
use super::status::Failure;
use super::store::{CONFIG_MAPS, DEPLOYMENTS, Key, NODES, PODS};
use crate::lab::services::http::{self, Params};

/// A request that is no GET.
///
/// # Errors
/// [`Failure`] for what cannot be changed here, is not there, or is not allowed now.
pub(super) fn serve(
    server: &Server,
    method: &Method,
    target: &Target,
    params: &Params,
    body: &[u8],
) -> Result<Response, Failure> {
    let name = target.name.as_deref().ok_or_else(Failure::method)?;
    match (method, target.resource, target.part.as_deref()) {
        (&Method::PATCH, NODES, None) => cordon(server, name, body),
        (&Method::PATCH, DEPLOYMENTS, None) => restart(server, target, name, body),
        (&Method::PATCH, CONFIG_MAPS, None) => apply(server, target, name, params, body),
        (&Method::DELETE, NODES, None) => {
            if server.sim.with(|cluster, _| cluster.remove(name)) {
                Ok(success(name, "nodes"))
            } else {
                Err(Failure::no_object("nodes", "", name))
            }
        }
        (&Method::POST, PODS, Some("eviction")) => evict(server, target, name, body),
        _ => Err(Failure::method()),
    }
}

/// An eviction, of the pod with the `uid` that may be asked for beforehand and of no other one of that name.
fn evict(server: &Server, target: &Target, name: &str, body: &[u8]) -> Result<Response, Failure> {
    let order: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("the eviction is not JSON: {error}")))?;
    let wanted = order["deleteOptions"]["preconditions"]["uid"].as_str();
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let key: Key = (PODS, namespace.to_owned(), name.to_owned());
    let asked = server.sim.with(|cluster, now| {
        let pod = cluster.store().get(&key);
        let found = pod.and_then(|pod| pod["metadata"]["uid"].as_str());
        match (wanted, found) {
            (Some(wanted), Some(found)) if wanted != found => {
                Err(Failure::other_object("pods", name, wanted, found))
            }
            _ => Ok(cluster.evict_pod(namespace, name, now)),
        }
    })?;
    match asked {
        Some(true) => Ok(http::json(201, &status(name, "pods"))),
        Some(false) => Err(Failure::disruption_budget()),
        None => Err(Failure::no_object("pods", "", name)),
    }
}

/// A [server-side apply](https://kubernetes.io/docs/reference/using-api/server-side-apply/) of a config map: the fields that
/// are sent are owned and set, those beside them stay. With `dryRun=All` only the answer is as if.
fn apply(
    server: &Server,
    target: &Target,
    name: &str,
    params: &Params,
    body: &[u8],
) -> Result<Response, Failure> {
    if params.get("fieldManager").is_none_or(str::is_empty) {
        return Err(Failure::bad_request(
            "fieldManager is required for apply patch",
        ));
    }
    let sent: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
    let fields = sent["data"].as_object();
    let data: BTreeMap<String, String> = fields
        .into_iter()
        .flatten()
        .map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::bad_request("data: expected strings"))?;
    let namespace = target.namespace.clone().unwrap_or_default();
    let key: Key = (CONFIG_MAPS, namespace.clone(), name.to_owned());
    let dry_run = params.get("dryRun") == Some("All");
    let object = server.sim.with(|cluster, _| {
        if !dry_run {
            cluster.set_config_map(&namespace, name, data);
            return cluster.store().get(&key).cloned();
        }
        let there = cluster
            .config_maps
            .get(&(namespace.clone(), name.to_owned()));
        let mut would = there.cloned().unwrap_or_default();
        would.extend(data);
        let would = objects::config_map(cluster, &namespace, name, &would);
        serde_json::to_value(would).ok()
    });
    object
        .map(|object| http::json(200, &object))
        .ok_or_else(|| Failure::no_object("configmaps", "", name))
}

/// A merge patch of the annotation that has pods made anew, which is all that can be patched of a deployment here.
fn restart(server: &Server, target: &Target, name: &str, body: &[u8]) -> Result<Response, Failure> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("the patch is not JSON: {error}")))?;
    let stamp = patch["spec"]["template"]["metadata"]["annotations"][objects::RESTARTED]
        .as_str()
        .ok_or_else(|| {
            Failure::bad_request(format!("only {} is patched here", objects::RESTARTED))
        })?;
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let key: Key = (DEPLOYMENTS, namespace.to_owned(), name.to_owned());
    let object = server.sim.with(|cluster, _| {
        cluster.restart(namespace, name, stamp);
        cluster.store().get(&key).cloned()
    });
    object
        .map(|object| http::json(200, &object))
        .ok_or_else(|| Failure::no_object("deployments", "apps", name))
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
