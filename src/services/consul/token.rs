//! A token of Consul for one holder, bound to one policy
//! (<https://developer.hashicorp.com/consul/api-docs/acl/tokens>, <https://developer.hashicorp.com/consul/api-docs/acl/policies>).
//!
//! Its secret is chosen by whoever asks for it, so that the holder's configuration can be written before the token is there.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::TOKEN;
use crate::services::api::{Auth, Endpoint, Until};
use crate::services::{Acted, ServiceError};

/// A policy in the list of them, which lacks the rules, or by itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(default)]
    rules: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Known {
    #[serde(rename = "AccessorID")]
    accessor: String,
    policies: Option<Vec<Link>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Link {
    name: String,
}

/// Brings about the policy `name` with these rules, and a token of that secret which follows it and nothing else.
pub(super) async fn bring_about(
    endpoint: &Endpoint,
    name: &str,
    secret: &str,
    rules: &str,
    until: Until,
) -> Result<Acted, ServiceError> {
    let ruled = policy(endpoint, name, rules, until).await?;
    let known = known(endpoint, secret, until).await?;
    let follows = |known: &Known| {
        let links = known.policies.iter().flatten();
        links.map(|link| link.name.as_str()).eq([name])
    };
    if known.as_ref().is_some_and(follows) {
        return Ok(if ruled {
            Acted::Changed(format!("the policy {name} has other rules now"))
        } else {
            Acted::Already(format!("Consul knows the token for {name} and its policy"))
        });
    }
    let mut body = json!({ "Description": name, "Policies": [{ "Name": name }] });
    let path = if let Some(known) = known {
        format!("/v1/acl/token/{}", known.accessor)
    } else {
        body["SecretID"] = json!(secret);
        "/v1/acl/token".to_owned()
    };
    let body = Zeroizing::new(body.to_string());
    endpoint.put_secret(&path, body, until).await?.success()?;
    Ok(Acted::Changed(format!(
        "Consul has a token for {name}, which may do what the policy {name} says"
    )))
}

/// Whether the policy had to be made or changed.
async fn policy(
    endpoint: &Endpoint,
    name: &str,
    rules: &str,
    until: Until,
) -> Result<bool, ServiceError> {
    let all: Vec<Policy> = endpoint.get("/v1/acl/policies", until).await?;
    let mut path = "/v1/acl/policy".to_owned();
    let mut body = json!({ "Name": name, "Rules": rules });
    if let Some(found) = all.into_iter().find(|policy| policy.name == name) {
        path = format!("/v1/acl/policy/{}", found.id);
        let found: Policy = endpoint.get(&path, until).await?;
        if found.rules.trim() == rules.trim() {
            return Ok(false);
        }
        body["ID"] = json!(found.id);
    }
    let body = Zeroizing::new(body.to_string());
    endpoint.put_secret(&path, body, until).await?.success()?;
    Ok(true)
}

/// The token of that secret; `None` when Consul does not know it.
async fn known(
    endpoint: &Endpoint,
    secret: &str,
    until: Until,
) -> Result<Option<Known>, ServiceError> {
    let own = Auth::Header(TOKEN, SecretString::from(secret.to_owned()));
    let answer = endpoint
        .with(own, "application/json")
        .ask("/v1/acl/token/self", until)
        .await?;
    // 403 with "ACL not found" on all versions; 404 where a version calls it that.
    match answer.status() {
        403 | 404 => Ok(None),
        _ => answer.success()?.json().map(Some),
    }
}
