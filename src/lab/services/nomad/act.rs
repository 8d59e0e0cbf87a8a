//! What operators change: [drains, eligibility, purges](https://developer.hashicorp.com/nomad/api-docs/nodes) and
//! [members that are made to leave](https://developer.hashicorp.com/nomad/api-docs/agent#force-leave).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::REGION;
use super::answer::{Refusal, Server};
use super::state::Nomad;
use crate::lab::services::http::{self, Params};

/// The body of a drain.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DrainRequest {
    drain_spec: Option<DrainSpec>,
    #[serde(default)]
    mark_eligible: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DrainSpec {
    /// Nanoseconds; negative means at once.
    deadline: i64,
}

/// The body about eligibility.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EligibilityRequest {
    eligibility: String,
}

/// `POST /v1/node/:id/drain`.
pub(crate) async fn drain(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(request): Json<DrainRequest>,
) -> Response {
    change(&server, &headers, |nomad, now| {
        known(nomad, &id)?;
        let deadline = request.drain_spec.map(|spec| {
            let left = SignedDuration::from_nanos(spec.deadline.max(0));
            now.checked_add(left).unwrap_or(Timestamp::MAX)
        });
        nomad.set_drain(&id, deadline, request.mark_eligible);
        Ok(())
    })
}

/// `POST /v1/node/:id/eligibility`.
pub(crate) async fn eligibility(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(request): Json<EligibilityRequest>,
) -> Response {
    change(&server, &headers, |nomad, _| {
        let client = known(nomad, &id)?;
        let eligible = match request.eligibility.as_str() {
            "eligible" => true,
            "ineligible" => false,
            other => {
                let words = format!("invalid scheduling eligibility {other:?}");
                return Err(Refusal(500, words));
            }
        };
        if eligible && client {
            let words =
                "can not set node's scheduling eligibility to eligible while it is draining";
            return Err(Refusal(500, words.into()));
        }
        nomad.set_eligible(&id, eligible);
        Ok(())
    })
}

/// `POST /v1/node/:id/purge`.
pub(crate) async fn purge(
    State(server): State<Server>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    change(&server, &headers, |nomad, _| {
        known(nomad, &id)?;
        nomad.purge(&id);
        Ok(())
    })
}

/// `PUT /v1/agent/force-leave?node=NAME.REGION`.
pub(crate) async fn force_leave(
    State(server): State<Server>,
    headers: HeaderMap,
    params: Params,
) -> Response {
    let node = params.get("node").unwrap_or_default().to_owned();
    change(&server, &headers, |nomad, _| {
        let name = node.strip_suffix(&format!(".{REGION}")).unwrap_or(&node);
        if nomad.forget_server(name) {
            Ok(())
        } else {
            Err(Refusal(500, format!("node {node} is not known")))
        }
    })
}

/// Whether the client of that identifier drains.
fn known(nomad: &mut Nomad, id: &str) -> Result<bool, Refusal> {
    let client = nomad.client_mut(id);
    client
        .map(|client| client.draining.is_some())
        .ok_or_else(|| Refusal(404, "node not found".into()))
}

fn change(
    server: &Server,
    headers: &HeaderMap,
    act: impl FnOnce(&mut Nomad, Timestamp) -> Result<(), Refusal>,
) -> Response {
    if let Err(refusal) = server.require(headers) {
        return refusal.into();
    }
    let outcome = server.sim.with(|nomad, now| {
        server.reach(nomad, &Params::default())?;
        act(nomad, now)?;
        Ok(nomad.index)
    });
    match outcome {
        Ok(index) => http::json(
            200,
            &json!({ "EvalIDs": [], "NodeModifyIndex": index, "Index": index }),
        ),
        Err(refusal) => Refusal::into(refusal),
    }
}
