//! Reading objects: one, a list in pages, or a list followed by its changes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::selector::Selector;
use super::status::Failure;
use super::store::{Key, RESOURCES, Resource, Store};
use super::{Server, change, discovery};
use crate::lab::services::http::{self, Params};

/// Watches end after this long unless told otherwise; clients then begin anew.
const WATCH_DEFAULT: u64 = 1800;

/// What a path names.
pub(super) struct Target {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// A part of the object, such as `eviction`.
    pub(super) part: Option<String>,
}

/// Every path but the fixed ones.
pub(crate) async fn serve(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    params: Params,
    body: Bytes,
) -> Response {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", group, "v1", rest @ ..] => (*group, rest),
        _ => return http::text(404, "404 page not found\n"),
    };
    if rest.is_empty() {
        return match discovery::resources(group) {
            Some(list) => http::json(200, &list),
            None => http::text(404, "404 page not found\n"),
        };
    }
    let Some(target) = target(group, rest) else {
        return Failure::no_resource().into();
    };
    if method != Method::GET {
        return change::serve(&server, &method, &target, &params, &body)
            .unwrap_or_else(Failure::into);
    }
    read(&server, &target, &params).unwrap_or_else(Failure::into)
}

fn target(group: &str, rest: &[&str]) -> Option<Target> {
    let (rest, part) = match *rest {
        ["namespaces", _, _, _, part] => (&rest[..4], Some(part.to_owned())),
        _ => (rest, None),
    };
    let (namespace, plural, name) = match *rest {
        ["namespaces", namespace, plural] => (Some(namespace), plural, None),
        ["namespaces", namespace, plural, name] => (Some(namespace), plural, Some(name)),
        [plural] => (None, plural, None),
        [plural, name] => (None, plural, Some(name)),
        _ => return None,
    };
    let resource = RESOURCES
        .into_iter()
        .find(|resource| resource.group == group && resource.plural == plural)?;
    // Objects in namespaces are listed without one, but not named without one.
    if resource.namespaced && namespace.is_none() && name.is_some() {
        return None;
    }
    if !resource.namespaced && namespace.is_some() {
        return None;
    }
    Some(Target {
        resource,
        namespace: namespace.map(Into::into),
        name: name.map(Into::into),
        part,
    })
}

fn read(server: &Server, target: &Target, params: &Params) -> Result<Response, Failure> {
    if target.part.is_some() {
        return Err(Failure::no_resource());
    }
    if let Some(name) = &target.name {
        let namespace = target.namespace.clone().unwrap_or_default();
        let key: Key = (target.resource, namespace, name.clone());
        let object = server
            .sim
            .with(|kubernetes, _| kubernetes.store().get(&key).cloned());
        let (plural, group) = (target.resource.plural, target.resource.group);
        return object
            .map(|object| http::json(200, &object))
            .ok_or_else(|| Failure::no_object(plural, group, name));
    }
    let selector = Selector::parse(params.get("labelSelector"), params.get("fieldSelector"))
        .map_err(Failure::bad_request)?;
    let watching = matches!(params.get("watch"), Some("true" | "1" | ""));
    if watching {
        watch(server, target, selector, params)
    } else {
        list(server, target, &selector, params)
    }
}

/// Where the next page of a list begins.
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

fn position(key: &Key) -> String {
    let (_, namespace, name) = key;
    if namespace.is_empty() {
        name.clone()
    } else {
        format!("{namespace}/{name}")
    }
}

fn list(
    server: &Server,
    target: &Target,
    selector: &Selector,
    params: &Params,
) -> Result<Response, Failure> {
    let limit = params
        .number("limit", 0)
        .map_err(|value| Failure::bad_request(format!("limit: {value:?} is not a number")))?;
    let limit = match usize::try_from(limit) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(limit) => limit,
    };
    let from = match params.get("continue").unwrap_or_default() {
        "" => None,
        token => Some(
            URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| serde_json::from_slice::<Continue>(&bytes).ok())
                .ok_or_else(|| Failure::bad_request("continue key is not valid"))?,
        ),
    };
    let (version, mut found) = server.sim.with(|kubernetes, _| {
        let store = kubernetes.store();
        let found: Vec<(String, Value)> = chosen(store, target, selector)
            .map(|(key, object)| (position(key), object.clone()))
            .collect();
        (store.version(), found)
    });
    let version = from.as_ref().map_or(version, |from| from.rv);
    if let Some(from) = &from {
        found.retain(|(position, _)| *position >= from.start);
    }
    let rest = found.split_off(limit.min(found.len()));
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let Some((start, _)) = rest.first() {
        let next = Continue {
            v: "meta.k8s.io/v1".into(),
            rv: version,
            start: start.clone(),
        };
        // A struct of strings and a number always has a JSON form.
        let next = serde_json::to_vec(&next).unwrap_or_default();
        metadata["continue"] = json!(URL_SAFE_NO_PAD.encode(next));
        if selector.is_empty() {
            metadata["remainingItemCount"] = json!(rest.len());
        }
    }
    let items: Vec<Value> = found.into_iter().map(|(_, object)| bare(object)).collect();
    Ok(http::json(
        200,
        &json!({
            "kind": format!("{}List", target.resource.kind),
            "apiVersion": target.resource.api_version(),
            "metadata": metadata,
            "items": items,
        }),
    ))
}

fn chosen<'a>(
    store: &'a Store,
    target: &'a Target,
    selector: &'a Selector,
) -> impl Iterator<Item = (&'a Key, &'a Value)> {
    store.list(target.resource).filter(move |(key, object)| {
        let namespace = target.namespace.as_ref();
        namespace.is_none_or(|namespace| *namespace == key.1) && selector.takes(object)
    })
}

/// Objects in a list do not repeat what the list says of all of them.
fn bare(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

/// A client that follows changes.
struct Watch {
    server: Server,
    target: Target,
    selector: Selector,
    version: u64,
    queue: VecDeque<Bytes>,
    until: Instant,
    failed: bool,
}

fn watch(
    server: &Server,
    target: &Target,
    selector: Selector,
    params: &Params,
) -> Result<Response, Failure> {
    let number = |name: &str, default| {
        params
            .number(name, default)
            .map_err(|value| Failure::bad_request(format!("{name}: {value:?} is not a number")))
    };
    let seconds = number("timeoutSeconds", WATCH_DEFAULT)?;
    let from = number("resourceVersion", 0)?;
    let target = Target {
        resource: target.resource,
        namespace: target.namespace.clone(),
        name: None,
        part: None,
    };
    let (version, queue) = server.sim.with(|kubernetes, _| {
        let store = kubernetes.store();
        if from > 0 {
            return (from, VecDeque::new());
        }
        let initial = chosen(store, &target, &selector)
            .map(|(_, object)| event("ADDED", object))
            .collect();
        (store.version(), initial)
    });
    let watch = Watch {
        server: server.clone(),
        target,
        selector,
        version,
        queue,
        until: Instant::now() + Duration::from_secs(seconds.min(WATCH_DEFAULT)),
        failed: false,
    };
    let body = Body::from_stream(stream::unfold(watch, next));
    Ok(http::reply(200, "application/json", body))
}

fn event(what: &str, object: &Value) -> Bytes {
    format!("{}\n", json!({ "type": what, "object": object })).into()
}

async fn next(mut watch: Watch) -> Option<(Result<Bytes, Infallible>, Watch)> {
    let mut changes = watch.server.sim.changes();
    loop {
        if let Some(bytes) = watch.queue.pop_front() {
            return Some((Ok(bytes), watch));
        }
        if watch.failed || Instant::now() >= watch.until {
            return None;
        }
        changes.mark_unchanged();
        let (target, selector, from) = (&watch.target, &watch.selector, watch.version);
        let outcome = watch.server.sim.with(|kubernetes, _| {
            let store = kubernetes.store();
            let events: VecDeque<Bytes> = store
                .since(target.resource, from)?
                .into_iter()
                .filter(|change| {
                    let namespace = &change.object["metadata"]["namespace"];
                    let wanted = target.namespace.as_ref();
                    wanted.is_none_or(|wanted| namespace == wanted.as_str())
                        && selector.takes(&change.object)
                })
                .map(|change| event(change.what, &change.object))
                .collect();
            Ok((store.version().max(from), events))
        });
        match outcome {
            Ok((version, events)) => {
                watch.version = version;
                watch.queue = events;
            }
            Err(oldest) => {
                let failure = Failure::expired(from, oldest);
                watch.queue.push_back(event("ERROR", &failure.object()));
                watch.failed = true;
            }
        }
        if watch.queue.is_empty() {
            tokio::select! {
                // The sender lives in the machine, which outlives this stream.
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(watch.until) => {}
            }
        }
    }
}
