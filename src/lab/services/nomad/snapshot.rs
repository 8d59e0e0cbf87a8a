//! The endpoint that gives the whole state, and takes it back:
//! <https://developer.hashicorp.com/nomad/api-docs/operator/snapshot>.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::{Management, Refusal, Server};
use crate::lab::services::archive::{archive, open};
use crate::lab::services::http::{self, Params, with};

/// `GET /v1/operator/snapshot`: needs a management token, and a leader unless `?stale` is asked for.
pub(crate) async fn take(State(server): State<Server>, _: Management, params: Params) -> Response {
    let taken = server.sim.with(|nomad, now| {
        server.reach(nomad, &params)?;
        let jobs: Vec<_> = nomad
            .jobs
            .iter()
            .map(|job| json!({ "id": job.id, "version": job.version, "index": job.index }))
            .collect();
        let state = json!({ "jobs": jobs, "allocations": nomad.allocations.len() });
        let (index, term) = (nomad.index, nomad.quorum.term());
        archive(index, term, state.to_string().as_bytes(), None, now)
            .map_err(|error| Refusal(500, error.to_string()))
    });
    match taken {
        Ok(bytes) => {
            let digest = format!("sha-256={}", STANDARD.encode(Sha256::digest(&bytes)));
            with(
                http::reply(200, "application/gzip", bytes),
                "digest",
                digest,
            )
        }
        Err(refusal) => Refusal::into(refusal),
    }
}

/// `PUT /v1/operator/snapshot`. The jobs of the practice cluster never change, so only what comes is judged.
pub(crate) async fn restore(
    State(server): State<Server>,
    _: Management,
    params: Params,
    body: Bytes,
) -> Response {
    let restored = server.sim.with(|nomad, _| {
        server.reach(nomad, &params)?;
        open(&body).map_err(|reason| Refusal(500, reason))?;
        nomad.index += 1;
        Ok(())
    });
    match restored {
        Ok(()) => http::empty(200),
        Err(refusal) => Refusal::into(refusal),
    }
}
