//! The endpoint that gives the whole state: <https://developer.hashicorp.com/consul/api-docs/snapshot>.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::answer::{Refusal, Server};
use crate::lab::services::archive::archive;
use crate::lab::services::http::{self, Params, with};

/// `GET /v1/snapshot`: needs a management token, and a leader unless `?stale` is asked for.
pub(crate) async fn take(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    if let Err(refusal) = server.require(&headers, &params) {
        return refusal.into();
    }
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
