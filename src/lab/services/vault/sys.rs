//! Endpoints about the member itself, which need no token and answer while sealed:
//! [health](https://developer.hashicorp.com/vault/api-docs/system/health),
//! [seal status](https://developer.hashicorp.com/vault/api-docs/system/seal-status),
//! [leader](https://developer.hashicorp.com/vault/api-docs/system/leader),
//! [unseal](https://developer.hashicorp.com/vault/api-docs/system/unseal).

use axum::http::Method;
use axum::response::Response;
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::answer::{Refusal, bare, headers};
use super::shapes::{Health, Leader, SealStatus};
use super::state::{Member, UnsealError, Vault};
use super::{BUILD_DATE, Server, VERSION};
use crate::lab::services::http::{self, Params};
use crate::lab::services::ids::unhex;

/// `GET`/`HEAD /v1/sys/health`: the state is in the status code.
pub(crate) fn health(
    server: &Server,
    method: &Method,
    params: &Params,
) -> Result<Response, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Refusal::method());
    }
    let code = |name: &str, default: u16| match params.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Refusal(400, Vec::new())),
    };
    let standby_ok = match params.get("standbyok") {
        None => false,
        Some(text) => parse_bool(text).ok_or(Refusal(400, Vec::new()))?,
    };
    let (uninitialised, active, standby, sealed, cut_off) = (
        code("uninitcode", 501)?,
        code("activecode", 200)?,
        code("standbycode", 429)?,
        code("sealedcode", 503)?,
        code("haunhealthycode", 474)?,
    );
    let body = server.sim.with(|vault, now| {
        let member = vault.member(&server.node)?;
        Some(health_of(vault, member, now))
    });
    let body = body.ok_or_else(|| Refusal::new(500, "not a member"))?;
    let status = match &body {
        body if !body.initialized => uninitialised,
        body if body.sealed => sealed,
        body if body.ha_connection_healthy == Some(false) => cut_off,
        body if body.standby && !standby_ok => standby,
        _ => active,
    };
    if *method == Method::HEAD {
        return Ok(headers(http::reply(status, "application/json", "")));
    }
    Ok(bare(status, &body))
}

/// The words for true and false that Vault's parser takes.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        _ => None,
    }
}

fn health_of(vault: &Vault, member: &Member, now: Timestamp) -> Health {
    let standby = !vault.is_active(&member.host.name);
    let replication = if member.sealed { "unknown" } else { "disabled" };
    let (name, id) = cluster(vault, member);
    let heard = member.heard.filter(|_| standby && !member.sealed);
    Health {
        initialized: member.joined,
        sealed: member.sealed,
        standby,
        performance_standby: false,
        replication_performance_mode: replication,
        replication_dr_mode: replication,
        server_time_utc: now.as_second(),
        version: VERSION,
        cluster_name: name,
        cluster_id: id,
        enterprise: false,
        echo_duration_ms: 0,
        clock_skew_ms: 0,
        replication_primary_canary_age_ms: 0,
        removed_from_cluster: false,
        ha_connection_healthy: heard.map(|_| vault.quorum.leader().is_some()),
        last_request_forwarding_heartbeat_ms: heard
            .map(|heard| i64::try_from(now.duration_since(heard).as_millis()).unwrap_or(i64::MAX))
            .filter(|silence| *silence != 0),
    }
}

/// The cluster's name and identifier, which a sealed member does not know.
fn cluster(vault: &Vault, member: &Member) -> (Option<String>, Option<String>) {
    if member.sealed {
        return (None, None);
    }
    let name = format!("vault-cluster-{}", vault.ids.hex("vault/cluster-name", 8));
    (Some(name), Some(vault.ids.uuid("vault/cluster")))
}

/// `GET /v1/sys/seal-status`.
pub(crate) fn seal_status(server: &Server, method: &Method) -> Result<Response, Refusal> {
    if *method != Method::GET {
        return Err(Refusal::method());
    }
    let status = server.sim.with(|vault, _| status_of(vault, &server.node));
    Ok(bare(200, &status?))
}

fn status_of(vault: &Vault, node: &str) -> Result<SealStatus, Refusal> {
    let member = vault
        .member(node)
        .ok_or_else(|| Refusal::new(500, "not a member"))?;
    let (cluster_name, cluster_id) = cluster(vault, member);
    let scheme = member.joined.then_some(vault.seal.scheme);
    Ok(SealStatus {
        kind: "shamir",
        initialized: member.joined,
        sealed: member.sealed,
        t: scheme.map_or(0, |scheme| scheme.threshold),
        n: scheme.map_or(0, |scheme| scheme.shares),
        progress: member.given.len(),
        nonce: member.nonce.clone(),
        version: VERSION,
        build_date: BUILD_DATE,
        migration: false,
        cluster_name,
        cluster_id,
        recovery_seal: false,
        storage_type: "raft",
        removed_from_cluster: false,
    })
}

/// `GET /v1/sys/leader`.
pub(crate) fn leader(server: &Server, method: &Method) -> Result<Response, Refusal> {
    if *method != Method::GET {
        return Err(Refusal::method());
    }
    let leader = server.sim.with(|vault, _| {
        let member = vault.member(&server.node)?;
        if member.sealed {
            return None;
        }
        let own = vault.is_active(&server.node);
        let active = vault.active();
        Some(Leader {
            ha_enabled: true,
            is_self: own,
            active_time: if own {
                vault.active_since.to_string()
            } else {
                "0001-01-01T00:00:00Z".into()
            },
            leader_address: active.map(|active| active.url.clone()).unwrap_or_default(),
            leader_cluster_address: active
                .map(|active| format!("https://{}:8201", active.host.address))
                .unwrap_or_default(),
            performance_standby: false,
            performance_standby_last_remote_wal: 0,
            raft_committed_index: vault.index,
            raft_applied_index: vault.index,
        })
    });
    match leader {
        Some(leader) => Ok(bare(200, &leader)),
        None => Err(Refusal::new(503, "Vault is sealed")),
    }
}

/// `PUT /v1/sys/unseal`: one share, or `reset`.
pub(crate) fn unseal(server: &Server, method: &Method, body: &[u8]) -> Result<Response, Refusal> {
    if !matches!(*method, Method::PUT | Method::POST) {
        return Err(Refusal::method());
    }
    let request = object(body)?;
    if field(&request, "reset").and_then(Value::as_bool) == Some(true) {
        let status = server.sim.with(|vault, _| {
            if vault
                .member(&server.node)
                .is_some_and(|member| !member.sealed)
            {
                return Err(Refusal::new(400, "vault is unsealed"));
            }
            vault.reset(&server.node);
            status_of(vault, &server.node)
        });
        return Ok(bare(200, &status?));
    }
    let key = key_in(&request)?;
    let status = server.sim.with(|vault, _| {
        vault.unseal(&server.node, key).map_err(|error| {
            let status = match error {
                UnsealError::Combine(_) => 500,
                UnsealError::Uninitialised | UnsealError::Length(_) | UnsealError::Wrong => 400,
            };
            Refusal::new(status, error.to_string())
        })?;
        status_of(vault, &server.node)
    });
    Ok(bare(200, &status?))
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, format!("failed to parse JSON input: {error}")))
}

/// A field; the Go struct has no tags, so its decoder does not care about case.
fn field<'a>(request: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut fields = request.iter();
    fields
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn key_in(request: &Map<String, Value>) -> Result<Vec<u8>, Refusal> {
    let key = field(request, "key")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if key.is_empty() {
        return Err(Refusal::new(
            400,
            "'key' must be specified in request body as JSON, or 'reset' set to true",
        ));
    }
    decode(key).ok_or_else(|| Refusal::new(400, "'key' must be a valid hex or base64 string"))
}

/// The share in a body, and the name of what it is for.
pub(super) fn key_of(body: &[u8]) -> Result<(Vec<u8>, String), Refusal> {
    let request = object(body)?;
    let nonce = field(&request, "nonce").and_then(Value::as_str);
    Ok((key_in(&request)?, nonce.unwrap_or_default().to_owned()))
}

/// A key in hexadecimal digits, provided it then has the length of a key; else in base64.
fn decode(key: &str) -> Option<Vec<u8>> {
    unhex(key)
        .filter(|key| (16..=33).contains(&key.len()))
        .or_else(|| base64::engine::general_purpose::STANDARD.decode(key).ok())
}
