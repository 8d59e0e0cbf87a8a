//! Requests to backends: they need an unsealed member, an active node somewhere and a token.
//! [System backend](https://developer.hashicorp.com/vault/api-docs/system),
//! [KV version 2](https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2),
//! [token](https://developer.hashicorp.com/vault/api-docs/auth/token).

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{Found, Refusal, done};
use super::secrets::version_metadata;
use super::shapes::{HaNode, RaftServer};
use super::state::Vault;
use super::{Server, VERSION, rekey, snapshot, sys};
use crate::lab::services::http::{self, Params};

/// What is done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    List,
    Update,
    Delete,
}

/// Every request comes here.
pub(crate) async fn route(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    params: Params,
    body: Bytes,
) -> Response {
    let Some(path) = uri.path().strip_prefix("/v1/") else {
        return http::text(404, "404 page not found\n");
    };
    let outcome = match path {
        "sys/health" => sys::health(&server, &method, &params),
        "sys/seal-status" => sys::seal_status(&server, &method),
        "sys/leader" => sys::leader(&server, &method),
        "sys/unseal" => sys::unseal(&server, &method, &body),
        "sys/init" => rekey::init(&server, &method, &body),
        "sys/storage/raft/join" => rekey::join(&server, &method),
        _ => match path.strip_prefix("sys/rekey/") {
            Some(what) => rekey::route(&server, what, &method, &body),
            None => logical(&server, path, &method, &headers, &params, &body),
        },
    };
    outcome.unwrap_or_else(Refusal::into)
}

fn logical(
    server: &Server,
    path: &str,
    method: &Method,
    headers: &HeaderMap,
    params: &Params,
    body: &[u8],
) -> Result<Response, Refusal> {
    let operation = operation(method, params)?;
    let token = headers
        .get("x-vault-token")
        .and_then(|value| value.to_str().ok())
        .or_else(|| http::bearer(headers))
        .unwrap_or_default()
        .to_owned();
    server.sim.with(|vault, now| {
        let member = vault
            .member(&server.node)
            .ok_or_else(|| Refusal::new(500, "not a member"))?;
        if member.sealed {
            return Err(Refusal::new(503, "Vault is sealed"));
        }
        if path == "sys/seal" || path == "sys/step-down" {
            return step_aside(vault, server, path, operation, &token, now);
        }
        if vault.quorum.leader().is_none() {
            return Err(Refusal::new(
                500,
                "local node not active but active cluster node not found",
            ));
        }
        authorise(vault, &token)?;
        match (path, operation) {
            ("sys/storage/raft/snapshot", Operation::Read) => return snapshot::take(vault, now),
            ("sys/storage/raft/snapshot", Operation::Update) => {
                return snapshot::restore(vault, body);
            }
            _ => {}
        }
        let sequence = vault.index;
        let request_id = vault
            .ids
            .uuid(&format!("vault/request/{path}/{sequence}/{now}"));
        match backend(vault, path, operation, params, body, now)? {
            Some(found) => Ok(found.answer(request_id)),
            None => Ok(done()),
        }
    })
}

fn operation(method: &Method, params: &Params) -> Result<Operation, Refusal> {
    match method.as_str() {
        "GET"
            if params
                .get("list")
                .is_some_and(|list| list == "true" || list == "1") =>
        {
            Ok(Operation::List)
        }
        "GET" => Ok(Operation::Read),
        "LIST" => Ok(Operation::List),
        "PUT" | "POST" => Ok(Operation::Update),
        "DELETE" => Ok(Operation::Delete),
        _ => Err(Refusal::method()),
    }
}

fn authorise(vault: &Vault, token: &str) -> Result<(), Refusal> {
    if token.is_empty() {
        return Err(Refusal::new(403, "permission denied"));
    }
    if token != vault.seal.root_token {
        return Err(Refusal::new(
            403,
            "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
        ));
    }
    Ok(())
}

/// `PUT /v1/sys/seal` and `PUT /v1/sys/step-down`: only the active node can.
fn step_aside(
    vault: &mut Vault,
    server: &Server,
    path: &str,
    operation: Operation,
    token: &str,
    now: Timestamp,
) -> Result<Response, Refusal> {
    if operation != Operation::Update {
        return Err(Refusal::method());
    }
    let active = vault.is_active(&server.node);
    if path == "sys/seal" && !active {
        return Err(Refusal::new(
            500,
            "vault cannot seal when in standby mode; please restart instead",
        ));
    }
    if !active && vault.quorum.leader().is_none() {
        return Err(Refusal::new(
            500,
            "local node not active but active cluster node not found",
        ));
    }
    authorise(vault, token)?;
    if path == "sys/seal" {
        vault.seal(&server.node);
    } else {
        vault.step_down(now);
    }
    Ok(done())
}

fn backend(
    vault: &mut Vault,
    path: &str,
    operation: Operation,
    params: &Params,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<Found>, Refusal> {
    if let Some(path) = path.strip_prefix("secret/") {
        return secret(vault, path, operation, params, body, now);
    }
    let found = match (path.trim_end_matches('/'), operation) {
        ("sys/mounts", Operation::Read) => Found::repeated(mounts(vault)),
        ("sys/auth", Operation::Read) => Found::repeated(auth_methods(vault)),
        ("sys/audit", Operation::Read) => Found::repeated(json!({})),
        ("sys/ha-status", Operation::Read) => Found::repeated(ha_status(vault)),
        ("sys/policies/acl", Operation::List | Operation::Read) => {
            let names: Vec<&String> = vault.policies.keys().collect();
            Found::new("system", json!({ "keys": names }))
        }
        ("sys/storage/raft/configuration", Operation::Read) => Found::new("system", raft(vault)),
        ("auth/token/lookup-self", Operation::Read) => Found::new("token", lookup_self(vault)),
        (path, Operation::Read) => match path.strip_prefix("sys/policies/acl/") {
            Some(name) => policy(vault, name)?,
            None => return Err(no_handler(path)),
        },
        (path, Operation::Update) => match path.strip_prefix("sys/policies/acl/") {
            Some(name) => return write_policy(vault, name, body),
            None => return Err(no_handler(path)),
        },
        (path, _) => return Err(no_handler(path)),
    };
    Ok(Some(found))
}

fn no_handler(path: &str) -> Refusal {
    if path.starts_with("sys/") {
        return Refusal::new(404, "1 error occurred:\n\t* unsupported path\n\n");
    }
    Refusal::new(
        404,
        format!("no handler for route {path:?}. route entry not found."),
    )
}

/// The policies of a new Vault.
pub(super) const POLICIES: [(&str, &str); 3] = [
    (
        "default",
        "# Allow tokens to look up their own properties\npath \"auth/token/lookup-self\" {\n    capabilities = [\"read\"]\n}\n",
    ),
    (
        "metrics",
        "path \"sys/metrics\" {\n    capabilities = [\"read\"]\n}\n",
    ),
    ("root", ""),
];

/// `POST /v1/sys/policies/acl/:name`.
fn write_policy(vault: &mut Vault, name: &str, body: &[u8]) -> Result<Option<Found>, Refusal> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|_| Refusal::new(400, "failed to parse JSON input"))?;
    let text = body["policy"]
        .as_str()
        .ok_or_else(|| Refusal::new(400, "'policy' parameter not supplied or empty"))?;
    if name == "root" {
        return Err(Refusal::new(400, "cannot update \"root\" policy"));
    }
    vault.policies.insert(name.to_owned(), text.to_owned());
    Ok(None)
}

fn policy(vault: &Vault, name: &str) -> Result<Found, Refusal> {
    let (name, text) = vault
        .policies
        .get_key_value(name)
        .ok_or_else(Refusal::nothing)?;
    Ok(Found::new(
        "system",
        json!({ "name": name, "policy": text }),
    ))
}

fn mount(vault: &Vault, kind: &str, description: &str, local: bool) -> Value {
    json!({
        "accessor": format!("{kind}_{}", vault.ids.hex(&format!("vault/accessor/{kind}"), 8)),
        "config": { "default_lease_ttl": 0, "force_no_cache": false, "max_lease_ttl": 0 },
        "deprecation_status": "supported",
        "description": description,
        "external_entropy_access": false,
        "local": local,
        "options": if kind == "kv" { json!({ "version": "2" }) } else { Value::Null },
        "plugin_version": "",
        "running_plugin_version": format!("v{VERSION}+builtin.vault"),
        "running_sha256": "",
        "seal_wrap": kind == "system",
        "type": kind,
        "uuid": vault.ids.uuid(&format!("vault/mount/{kind}")),
    })
}

fn mounts(vault: &Vault) -> Value {
    json!({
        "cubbyhole/": mount(vault, "cubbyhole", "per-token private secret storage", true),
        "identity/": mount(vault, "identity", "identity store", false),
        "secret/": mount(vault, "kv", "key/value secret storage", false),
        "sys/": mount(vault, "system", "system endpoints used for control, policy and debugging", false),
    })
}

fn auth_methods(vault: &Vault) -> Value {
    let method = |kind: &str, description: &str| {
        let mut method = mount(vault, kind, description, false);
        method["accessor"] = json!(format!(
            "auth_{kind}_{}",
            vault.ids.hex(&format!("vault/accessor/auth/{kind}"), 8)
        ));
        method["config"]["token_type"] = json!("default-service");
        method
    };
    json!({
        "kubernetes/": method("kubernetes", ""),
        "token/": method("token", "token based credentials"),
    })
}

/// The active node first, then the standbys that it has heard of.
fn ha_status(vault: &Vault) -> Value {
    let mut nodes: Vec<HaNode> = vault
        .members
        .values()
        .filter(|member| member.takes_part())
        .map(|member| {
            let active = vault.is_active(&member.host.name);
            HaNode {
                hostname: member.host.name.clone(),
                api_address: member.url.clone(),
                cluster_address: format!("https://{}:8201", member.host.address),
                active_node: active,
                last_echo: member
                    .heard
                    .filter(|_| !active)
                    .map(|heard| heard.to_string()),
                echo_duration_ms: u32::from(!active),
                clock_skew_ms: 0,
                version: VERSION,
                replication_primary_canary_age_ms: 0,
            }
        })
        .collect();
    nodes.sort_by_key(|node| !node.active_node);
    json!({ "nodes": nodes })
}

fn raft(vault: &Vault) -> Value {
    let servers: Vec<RaftServer> = vault
        .members
        .values()
        .filter(|member| member.joined)
        .map(|member| RaftServer {
            address: format!("{}:8201", member.host.address),
            leader: vault.is_active(&member.host.name),
            node_id: member.host.name.clone(),
            protocol_version: "3",
            voter: true,
        })
        .collect();
    json!({ "config": { "index": 0, "servers": servers } })
}

fn lookup_self(vault: &Vault) -> Value {
    json!({
        "accessor": vault.ids.word("vault/root-accessor", 24),
        "creation_time": vault.born.as_second(),
        "creation_ttl": 0,
        "display_name": "root",
        "entity_id": "",
        "expire_time": null,
        "explicit_max_ttl": 0,
        "id": vault.seal.root_token,
        "meta": null,
        "num_uses": 0,
        "orphan": true,
        "path": "auth/token/root",
        "policies": ["root"],
        "ttl": 0,
        "type": "service",
    })
}

/// The KV engine: `data/` holds the values, `metadata/` the names and versions.
fn secret(
    vault: &mut Vault,
    path: &str,
    operation: Operation,
    params: &Params,
    body: &[u8],
    now: Timestamp,
) -> Result<Option<Found>, Refusal> {
    let (area, path) = path.split_once('/').unwrap_or((path, ""));
    match (area, operation) {
        ("metadata", Operation::List) => {
            let keys = vault.secrets.list(path);
            if keys.is_empty() {
                return Err(Refusal::nothing());
            }
            Ok(Some(Found::new("kv", json!({ "keys": keys }))))
        }
        ("metadata", Operation::Read) => {
            let versions = vault.secrets.versions(path).ok_or_else(Refusal::nothing)?;
            Ok(Some(Found::new("kv", metadata(versions))))
        }
        ("data", Operation::Read) => {
            let versions = vault.secrets.versions(path).ok_or_else(Refusal::nothing)?;
            let wanted = params
                .number("version", 0)
                .map_err(|_| Refusal::new(400, "invalid version"))?;
            let number = match usize::try_from(wanted).unwrap_or(usize::MAX) {
                0 => versions.len(),
                number => number,
            };
            let version = versions.get(number - 1).ok_or_else(Refusal::nothing)?;
            Ok(Some(Found::new(
                "kv",
                json!({ "data": version.data, "metadata": version_metadata(number, version) }),
            )))
        }
        ("data", Operation::Update) => {
            let data = written(body)?;
            vault.bump();
            let number = vault.secrets.write(path, data, now);
            let versions = vault.secrets.versions(path).ok_or_else(Refusal::nothing)?;
            Ok(Some(Found::new(
                "kv",
                version_metadata(number, &versions[number - 1]),
            )))
        }
        _ => Err(Refusal::new(
            405,
            "1 error occurred:\n\t* unsupported operation\n\n",
        )),
    }
}

fn written(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let request: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, format!("failed to parse JSON input: {error}")))?;
    match request.get("data") {
        Some(Value::Object(data)) => Ok(data.clone()),
        _ => Err(Refusal::new(400, "no data provided")),
    }
}

fn metadata(versions: &[super::secrets::Version]) -> Value {
    let shown: Map<String, Value> = versions
        .iter()
        .enumerate()
        .map(|(at, version)| {
            let state = json!({
                "created_time": version.created.to_string(),
                "deletion_time": "",
                "destroyed": false,
            });
            ((at + 1).to_string(), state)
        })
        .collect();
    let stamp = |version: Option<&super::secrets::Version>| {
        version.map_or_else(String::new, |version| version.created.to_string())
    };
    json!({
        "cas_required": false,
        "created_time": stamp(versions.first()),
        "current_version": versions.len(),
        "custom_metadata": null,
        "delete_version_after": "0s",
        "max_versions": 0,
        "oldest_version": 0,
        "updated_time": stamp(versions.last()),
        "versions": shown,
    })
}
