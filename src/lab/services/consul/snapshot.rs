//! The endpoint that gives the whole state, and takes it back: <https://developer.hashicorp.com/consul/api-docs/snapshot>.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Management, Refusal, Server};
use crate::lab::services::archive::{archive, open};
use crate::lab::services::http::{self, Params, with};

/// `GET /v1/snapshot`: needs a management token, and a leader unless `?stale` is asked for.
pub(crate) async fn take(State(server): State<Server>, _: Management, params: Params) -> Response {
    let taken = server.sim.with(|consul, now| {
        server.reach(consul, &params)?;
        let entries = consul.kv.below("").map(|(key, entry)| {
            let value = STANDARD.encode(&entry.value);
            (
                key.clone(),
                json!({ "value": value, "modified": entry.modified }),
            )
        });
        let members: Vec<&str> = consul
            .members()
            .map(|agent| agent.host.name.as_str())
            .collect();
        let state = json!({ "kv": entries.collect::<Map<String, Value>>(), "nodes": members });
        let bytes = archive(
            consul.index,
            consul.quorum.term(),
            state.to_string().as_bytes(),
            None,
            now,
        );
        let index = consul.index.to_string();
        bytes
            .map(|bytes| (bytes, index))
            .map_err(|error| Refusal(500, error.to_string()))
    });
    match taken {
        Ok((bytes, index)) => with(
            http::reply(200, "application/x-gzip", bytes),
            "x-consul-index",
            index,
        ),
        Err(refusal) => Refusal::into(refusal),
    }
}

#[derive(Deserialize)]
struct Saved {
    kv: BTreeMap<String, Pair>,
}

#[derive(Deserialize)]
struct Pair {
    value: String,
    modified: u64,
}

/// `PUT /v1/snapshot`: replaces the keys; agents register their services again by themselves.
pub(crate) async fn restore(
    State(server): State<Server>,
    _: Management,
    params: Params,
    body: Bytes,
) -> Response {
    let restored = server.sim.with(|consul, _| {
        server.reach(consul, &params)?;
        let wrong = |reason: String| Refusal(500, reason);
        let saved = open(&body).map_err(wrong)?;
        let saved: Saved =
            serde_json::from_slice(&saved.state).map_err(|error| wrong(error.to_string()))?;
        let mut entries = Vec::with_capacity(saved.kv.len());
        for (key, pair) in saved.kv {
            let value = STANDARD
                .decode(&pair.value)
                .map_err(|error| wrong(error.to_string()))?;
            entries.push((key, value, pair.modified));
        }
        consul.index += 1;
        consul.kv.restore(entries, consul.index);
        Ok(())
    });
    match restored {
        Ok(()) => http::empty(200),
        Err(refusal) => Refusal::into(refusal),
    }
}
