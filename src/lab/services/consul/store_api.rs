//! The endpoints of the key-value store.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use super::answer::{Caller, Found, Refusal, Server};
use super::kv::{self, VALUE_MAX};
use crate::lab::services::http::{self, Params, with};

/// `/v1/kv/`: the whole store, for lists only.
pub(crate) async fn root(
    state: State<Server>,
    method: Method,
    headers: HeaderMap,
    params: Params,
    body: Bytes,
) -> Response {
    key(state, Path(String::new()), method, headers, params, body).await
}

/// `/v1/kv/:key`.
pub(crate) async fn key(
    State(server): State<Server>,
    Path(key): Path<String>,
    method: Method,
    headers: HeaderMap,
    params: Params,
    body: Bytes,
) -> Response {
    let outcome = match method {
        Method::GET => read(&server, &key, &headers, &params).await,
        Method::PUT => write(&server, &key, &headers, &params, &body),
        Method::DELETE => delete(&server, &key, &headers, &params),
        _ => Ok(with(
            http::text(405, &format!("method {method} not allowed")),
            "allow",
            "GET,PUT,DELETE",
        )),
    };
    outcome.unwrap_or_else(Refusal::into)
}

async fn read(
    server: &Server,
    key: &str,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, Refusal> {
    let caller = server.caller(headers, params)?;
    let filtered = caller == Caller::Anonymous;
    let list = params.has("recurse");
    if params.has("keys") {
        let separator = params.get("separator").unwrap_or_default();
        return Ok(server
            .query(params, |consul, _| {
                let mut keys = kv::keys(&consul.kv, key, separator);
                if filtered {
                    keys.clear();
                }
                Ok(Found {
                    index: consul.kv.index_below(key),
                    value: Some(keys),
                })
            })
            .await);
    }
    if !list && key.is_empty() {
        return Err(Refusal(400, "Missing key name".into()));
    }
    if !list && filtered {
        return Err(Refusal(403, "Permission denied".into()));
    }
    if params.has("raw") && !list {
        return raw(server, key, params);
    }
    Ok(server
        .query(params, |consul, _| {
            let (index, pairs) = if list {
                let pairs = consul
                    .kv
                    .below(key)
                    .filter(|_| !filtered)
                    .map(|(key, entry)| kv::pair(key, entry))
                    .collect();
                (consul.kv.index_below(key), pairs)
            } else {
                let pair = consul.kv.get(key).map(|entry| kv::pair(key, entry));
                (consul.kv.index_of(key), Vec::from_iter(pair))
            };
            Ok(Found {
                index,
                value: (!pairs.is_empty()).then_some(pairs),
            })
        })
        .await)
}

/// `?raw`: the bytes themselves.
fn raw(server: &Server, key: &str, params: &Params) -> Result<Response, Refusal> {
    let (value, index) = server.sim.with(|consul, _| {
        server.reach(consul, params)?;
        let value = consul.kv.get(key).map(|entry| entry.value.clone());
        Ok((value, consul.kv.index_of(key)))
    })?;
    let response = match value {
        Some(value) => http::reply(200, "text/plain; charset=utf-8", value),
        None => http::empty(404),
    };
    Ok(with(response, "x-consul-index", index.to_string()))
}

fn write(
    server: &Server,
    key: &str,
    headers: &HeaderMap,
    params: &Params,
    body: &[u8],
) -> Result<Response, Refusal> {
    if key.is_empty() {
        return Err(Refusal(400, "Missing key name".into()));
    }
    server.require(headers, params)?;
    let flags = params
        .number("flags", 0)
        .map_err(|value| Refusal(400, format!("Invalid flags: {value}")))?;
    if body.len() > VALUE_MAX {
        return Err(Refusal(
            413,
            format!(
                "Request body({} bytes) too large, max size: {VALUE_MAX} bytes. \
                 See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
                body.len()
            ),
        ));
    }
    let expected = expected_index(params)?;
    let written = server.sim.with(|consul, _| {
        server.reach(consul, &Params::default())?;
        let current = consul.kv.get(key).map_or(0, |entry| entry.modified);
        if expected.is_some_and(|expected| expected != current) {
            return Ok(false);
        }
        let index = consul.bump();
        consul.kv.put(key, body.to_vec(), flags, index);
        Ok(true)
    })?;
    Ok(http::json(200, &written))
}

fn delete(
    server: &Server,
    key: &str,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Response, Refusal> {
    let recurse = params.has("recurse");
    if key.is_empty() && !recurse {
        return Err(Refusal(400, "Missing key name".into()));
    }
    server.require(headers, params)?;
    let expected = expected_index(params)?;
    let deleted = server.sim.with(|consul, _| {
        server.reach(consul, &Params::default())?;
        let current = consul.kv.get(key).map_or(0, |entry| entry.modified);
        if expected.is_some_and(|expected| expected != current) {
            return Ok(false);
        }
        let index = consul.bump();
        consul.kv.delete(key, recurse, index);
        Ok(true)
    })?;
    Ok(http::json(200, &deleted))
}

/// `?cas=`: write only when the key's index is this one; 0 means that the key must not exist.
fn expected_index(params: &Params) -> Result<Option<u64>, Refusal> {
    match params.get("cas") {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(index) => Ok(Some(index)),
            Err(_) => Err(Refusal(400, format!("Invalid cas value: {text}"))),
        },
    }
}
