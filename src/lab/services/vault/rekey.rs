//! Endpoints that make a cluster and replace its shares; they need shares and no token:
//! [init](https://developer.hashicorp.com/vault/api-docs/system/init),
//! [raft join](https://developer.hashicorp.com/vault/api-docs/system/storage/raft#join-a-raft-cluster),
//! [rekey](https://developer.hashicorp.com/vault/api-docs/system/rekey).

use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Server;
use super::answer::{Refusal, bare, done};
use super::seal::{Rekey, Scheme, Seal};
use super::state::{RekeyError, Vault};
use super::sys::key_of;
use crate::lab::services::http;

/// The body of `init` and `rekey/init`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    secret_shares: u64,
    secret_threshold: u64,
    pgp_keys: Vec<String>,
    require_verification: bool,
}

impl Wanted {
    fn read(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body)
            .map_err(|error| Refusal::new(400, format!("failed to parse JSON input: {error}")))
    }

    /// The scheme; `what` is what it is for.
    fn scheme(&self, what: &str) -> Result<Scheme, Refusal> {
        if !self.pgp_keys.is_empty() {
            return Err(Refusal::new(
                400,
                "the practice Vault does not encrypt shares",
            ));
        }
        Scheme::new(self.secret_shares, self.secret_threshold).map_err(|words| {
            Refusal::new(400, format!("invalid {what}seal configuration: {words}"))
        })
    }
}

/// Shares as answers carry them.
fn keys(seal: &Seal) -> (Vec<&str>, Vec<String>) {
    let raw = seal
        .shares
        .iter()
        .filter_map(|share| crate::lab::services::ids::unhex(share));
    (
        seal.shares.iter().map(String::as_str).collect(),
        raw.map(|share| http::base64(&share)).collect(),
    )
}

/// `GET`/`PUT /v1/sys/init`.
pub(super) fn init(server: &Server, method: &Method, body: &[u8]) -> Result<Response, Refusal> {
    match *method {
        Method::GET => {
            let known = server.sim.with(|vault, _| vault.initialised());
            Ok(bare(200, &json!({ "initialized": known })))
        }
        Method::PUT | Method::POST => {
            let scheme = Wanted::read(body)?.scheme("");
            let answer = server.sim.with(|vault, _| {
                if vault.initialised() {
                    return Err(Refusal::new(400, "Vault is already initialized"));
                }
                let seal = vault
                    .init(&server.node, scheme?)
                    .map_err(|error| Refusal::new(400, error.to_string()))?;
                let (hexadecimal, base64) = keys(seal);
                Ok(json!({
                    "keys": hexadecimal, "keys_base64": base64, "root_token": seal.root_token,
                }))
            });
            Ok(bare(200, &answer?))
        }
        _ => Err(Refusal::method()),
    }
}

/// `POST /v1/sys/storage/raft/join`: a member that belongs to no cluster asks to be taken in. It is, once it is unsealed.
pub(super) fn join(server: &Server, method: &Method) -> Result<Response, Refusal> {
    if !matches!(*method, Method::PUT | Method::POST) {
        return Err(Refusal::method());
    }
    let joined = server.sim.with(|vault, _| vault.join(&server.node));
    if !joined {
        return Err(Refusal::new(
            500,
            "failed to join raft cluster: failed to get raft challenge: Vault is sealed",
        ));
    }
    Ok(bare(200, &json!({ "joined": true })))
}

/// `/v1/sys/rekey/init`, `…/update` and `…/verify`, on a member whose cluster has an active node.
pub(super) fn route(
    server: &Server,
    what: &str,
    method: &Method,
    body: &[u8],
) -> Result<Response, Refusal> {
    server.sim.with(|vault, _| {
        if vault
            .member(&server.node)
            .is_none_or(|member| member.sealed)
        {
            return Err(Refusal::new(503, "Vault is sealed"));
        }
        if vault.active().is_none() {
            return Err(Refusal::new(
                500,
                "local node not active but active cluster node not found",
            ));
        }
        match (what, method.as_str()) {
            ("init", "GET") => Ok(bare(200, &status_of(vault))),
            ("init", "PUT" | "POST") => {
                let wanted = Wanted::read(body)?;
                let scheme = wanted.scheme("rekey ")?;
                if !vault.begin_rekey(scheme, wanted.require_verification) {
                    return Err(Refusal::new(400, "rekey already in progress"));
                }
                Ok(bare(200, &status_of(vault)))
            }
            ("init" | "verify", "DELETE") => {
                vault.end_rekey();
                Ok(done())
            }
            ("update", "PUT" | "POST") => update(vault, body),
            ("verify", "PUT" | "POST") => verify(vault, body),
            _ => Err(Refusal::method()),
        }
    })
}

/// How far the rekey is.
fn status_of(vault: &Vault) -> Value {
    let present = vault.seal.scheme;
    let Some(rekey) = &vault.rekey else {
        return json!({
            "nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": present.threshold,
            "pgp_fingerprints": null, "backup": false, "verification_required": false,
        });
    };
    let made = rekey.made.as_ref();
    json!({
        "nonce": rekey.nonce,
        "started": true,
        "t": rekey.scheme.threshold,
        "n": rekey.scheme.shares,
        "progress": rekey.given.len(),
        "required": present.threshold,
        "pgp_fingerprints": null,
        "backup": false,
        "verification_required": rekey.verified,
        "verification_nonce": made.map(|made| made.nonce.as_str()),
    })
}

fn update(vault: &mut Vault, body: &[u8]) -> Result<Response, Refusal> {
    let (key, nonce) = key_of(body)?;
    let made = vault.rekey_with(&nonce, key).map_err(refused)?;
    let Some((seal, verification)) = made else {
        return Ok(bare(200, &status_of(vault)));
    };
    let (hexadecimal, base64) = keys(&seal);
    Ok(bare(
        200,
        &json!({
            "nonce": nonce, "complete": true, "keys": hexadecimal, "keys_base64": base64,
            "pgp_fingerprints": null, "backup": false,
            "verification_required": verification.is_some(), "verification_nonce": verification,
        }),
    ))
}

fn verify(vault: &mut Vault, body: &[u8]) -> Result<Response, Refusal> {
    let (key, nonce) = key_of(body)?;
    if vault.verify_rekey(&nonce, key).map_err(refused)? {
        return Ok(bare(200, &json!({ "nonce": nonce, "complete": true })));
    }
    let made = vault
        .rekey
        .as_ref()
        .and_then(|rekey: &Rekey| rekey.made.as_ref());
    Ok(bare(
        200,
        &json!({
            "nonce": nonce, "started": true, "progress": made.map(|made| made.shown.len()),
            "t": made.map(|made| made.seal.scheme.threshold), "n": made.map(|made| made.seal.scheme.shares),
        }),
    ))
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
fn refused(error: RekeyError) -> Refusal {
    Refusal::new(400, error.to_string())
}
