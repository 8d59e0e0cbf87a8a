//! Policies and mounts of Vault and OpenBao: <https://developer.hashicorp.com/vault/api-docs/system/policies>,
//! <https://developer.hashicorp.com/vault/api-docs/system/mounts>.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::looker::Looker;
use super::{Compare, Wanted, escaped, front, not_declared};
use crate::domain::drift::desired::Mounted;
use crate::domain::drift::{DriftSource, Drifted};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};

/// Answers with success on the active node only: standbys say 429.
const ACTIVE: &str = "/v1/sys/health";
const MOUNTS: &str = "/v1/sys/mounts";

/// Vault as desired state.
pub(super) struct Vault(pub(super) Vec<Endpoint>);

impl Vault {
    /// The active node.
    async fn active(&self, until: Until) -> Result<&Endpoint, ServiceError> {
        front(&self.0, ACTIVE, until)
            .await
            .map_err(|error| match error {
                // The statuses of `GET /v1/sys/health`: its body says the same in JSON.
                ServiceError::Status { url, status, .. } if (500..504).contains(&status) => {
                    let reason = match status {
                        501 => "not initialised; init it first",
                        503 => "sealed; unseal it first",
                        _ => "no active node",
                    };
                    let reason = reason.into();
                    ServiceError::Status {
                        url,
                        status,
                        reason,
                    }
                }
                other => other,
            })
    }
}

#[derive(Deserialize)]
struct Answered<T> {
    data: T,
}

#[derive(Deserialize)]
struct Policy {
    policy: String,
}

#[derive(Deserialize)]
struct Mount {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    options: Option<BTreeMap<String, Value>>,
}

fn policy_path(name: &str) -> String {
    format!("/v1/sys/policies/acl/{}", escaped(name))
}

#[async_trait]
impl Compare for Vault {
    async fn compare(
        &self,
        wanted: &Wanted,
        deadline: Duration,
    ) -> Result<Vec<Drifted>, ServiceError> {
        let until = Until::after(deadline);
        let looker = Looker::at(self.active(until).await?);
        let desired = &wanted.desired;
        let mut found = Vec::new();
        for (name, path) in &desired.policies {
            let text = wanted.text(path)?;
            let there: Option<Answered<Policy>> = looker.maybe(&policy_path(name), until).await?;
            let object = format!("{}/policy/{name}", desired.service);
            found.extend(policy(&object, text, there.map(|there| there.data.policy)));
        }
        if !desired.mounts.is_empty() {
            let there: Answered<BTreeMap<String, Mount>> = looker.get(MOUNTS, until).await?;
            for (path, mounted) in &desired.mounts {
                let object = format!("{}/mount/{path}", desired.service);
                found.extend(mount(&object, mounted, there.data.get(&format!("{path}/"))));
            }
        }
        Ok(found)
    }

    async fn bring(
        &self,
        wanted: &Wanted,
        object: &str,
        deadline: Duration,
    ) -> Result<String, ServiceError> {
        let until = Until::after(deadline);
        let desired = &wanted.desired;
        let rest = object
            .strip_prefix(&desired.service)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| not_declared(object))?;
        let endpoint = self.active(until).await?;
        match rest.split_once('/') {
            Some(("policy", name)) => {
                let path = desired
                    .policies
                    .get(name)
                    .ok_or_else(|| not_declared(object))?;
                let body = json!({ "policy": wanted.text(path)? });
                let path = policy_path(name);
                endpoint.post(&path, &body, until).await?.success()?;
                Ok(format!("POST {path}"))
            }
            Some(("mount", name)) => {
                let mounted = desired
                    .mounts
                    .get(name)
                    .ok_or_else(|| not_declared(object))?;
                bring_mount(endpoint, name, mounted, until).await
            }
            _ => Err(not_declared(object)),
        }
    }
}

fn policy(object: &str, wanted: &str, there: Option<String>) -> Option<Drifted> {
    let row = |actual: &str| {
        Drifted::new(
            DriftSource::Vault,
            object,
            "policy",
            "as in the file",
            actual,
        )
    };
    match there {
        None => Some(row("(no such policy)")),
        // What comes at the end of a file is no difference.
        Some(there) if there.trim_end() == wanted.trim_end() => None,
        Some(there) => {
            let diff = similar::TextDiff::from_lines(there.as_str(), wanted);
            let text = diff.unified_diff().context_radius(3).to_string();
            Some(Drifted {
                diff: text.lines().map(ToOwned::to_owned).collect(),
                ..row("differs")
            })
        }
    }
}

fn mount(object: &str, wanted: &Mounted, there: Option<&Mount>) -> Vec<Drifted> {
    let row = |field: &str, desired: &str, actual: &str| {
        Drifted::new(DriftSource::Vault, object, field, desired, actual)
    };
    let Some(there) = there else {
        return vec![row("type", &wanted.kind, "(nothing is mounted there)")];
    };
    let mut found = Vec::new();
    if there.kind != wanted.kind {
        found.push(row("type", &wanted.kind, &there.kind));
    }
    if let Some(description) = &wanted.description
        && *description != there.description
    {
        found.push(row("description", description, &there.description));
    }
    for (name, value) in &wanted.options {
        let options = there.options.as_ref();
        let actual = match options.and_then(|options| options.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "(not set)".into(),
        };
        if actual != *value {
            found.push(row(&format!("options.{name}"), value, &actual));
        }
    }
    found
}

/// Mounts what is missing, and tunes what is there. Another kind of engine is never put in its place: that would lose what
/// it holds.
async fn bring_mount(
    endpoint: &Endpoint,
    path: &str,
    wanted: &Mounted,
    until: Until,
) -> Result<String, ServiceError> {
    let there: Answered<BTreeMap<String, Mount>> = endpoint.get(MOUNTS, until).await?;
    let url = format!("{MOUNTS}/{}", escaped(path));
    let mut body = json!({ "options": wanted.options });
    if let Some(description) = &wanted.description {
        body["description"] = description.as_str().into();
    }
    match there.data.get(&format!("{path}/")) {
        None => {
            body["type"] = wanted.kind.as_str().into();
            endpoint.post(&url, &body, until).await?.success()?;
            Ok(format!("POST {url}"))
        }
        Some(there) if there.kind == wanted.kind => {
            let url = format!("{url}/tune");
            endpoint.post(&url, &body, until).await?.success()?;
            Ok(format!("POST {url}"))
        }
        Some(there) => Err(ServiceError::Setup(format!(
            "a {} is mounted at {path}, and what it holds would be lost: unmount it by hand",
            there.kind
        ))),
    }
}
