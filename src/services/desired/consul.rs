//! Keys and catalog of Consul: <https://developer.hashicorp.com/consul/api-docs/kv>,
//! <https://developer.hashicorp.com/consul/api-docs/catalog>.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::looker::Looker;
use super::{Compare, Wanted, escaped, front, not_declared};
use crate::domain::drift::desired::Registered;
use crate::domain::drift::{DriftSource, Drifted};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};

/// Fails where nobody leads, and then nothing that is read can be trusted.
const LEADER: &str = "/v1/status/leader";

/// Consul as desired state.
pub(super) struct Consul(pub(super) Vec<Endpoint>);

/// An entry of `GET /v1/kv/KEY`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    /// In base64; `null` for an empty one.
    value: Option<String>,
    modify_index: u64,
}

impl Pair {
    fn text(&self) -> String {
        let bytes = self.value.as_deref().map(|text| STANDARD.decode(text));
        match bytes {
            None => String::new(),
            Some(Ok(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Some(Err(_)) => "(not base64)".into(),
        }
    }
}

/// An instance of `GET /v1/catalog/service/NAME`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    service_port: u16,
    #[serde(default)]
    service_tags: Option<Vec<String>>,
}

fn key_path(key: &str) -> String {
    format!("/v1/kv/{}", escaped(key))
}

fn object(service: &str, part: &str, name: &str) -> String {
    format!("{service}/{part}/{name}")
}

#[async_trait]
impl Compare for Consul {
    async fn compare(
        &self,
        wanted: &Wanted,
        deadline: Duration,
    ) -> Result<Vec<Drifted>, ServiceError> {
        let until = Until::after(deadline);
        let looker = Looker::at(front(&self.0, LEADER, until).await?);
        let service = &wanted.desired.service;
        let mut found = Vec::new();
        for (key, value) in &wanted.desired.kv {
            let there: Option<Vec<Pair>> = looker.maybe(&key_path(key), until).await?;
            let there = there.and_then(|pairs| pairs.first().map(Pair::text));
            if there.as_ref() != Some(value) {
                let actual = there.unwrap_or_else(|| "(no such key)".into());
                let object = object(service, "kv", key);
                found.push(Drifted::new(
                    DriftSource::Consul,
                    object,
                    "value",
                    value,
                    actual,
                ));
            }
        }
        for (name, registered) in &wanted.desired.services {
            let path = format!("/v1/catalog/service/{}", escaped(name));
            let instances: Vec<Instance> = looker.get(&path, until).await?;
            let object = object(service, "service", name);
            found.extend(catalog(&object, registered, &instances));
        }
        Ok(found)
    }

    async fn bring(
        &self,
        wanted: &Wanted,
        named: &str,
        deadline: Duration,
    ) -> Result<String, ServiceError> {
        let until = Until::after(deadline);
        let of_service = object(&wanted.desired.service, "kv", "");
        let entry = named
            .strip_prefix(&of_service)
            .and_then(|key| wanted.desired.kv.get_key_value(key));
        let (key, value) = entry.ok_or_else(|| not_declared(named))?;
        let endpoint = front(&self.0, LEADER, until).await?;
        let there: Option<Vec<Pair>> = Looker::at(endpoint).maybe(&key_path(key), until).await?;
        let index = there.and_then(|pairs| pairs.first().map(|pair| pair.modify_index));
        // Whoever writes in between is not written over: 0 means that there is none yet.
        let path = format!("{}?cas={}", key_path(key), index.unwrap_or(0));
        let answer = endpoint.put_text(&path, value.clone(), until).await?;
        if answer.success()?.json::<bool>()? {
            Ok(format!("PUT {}", key_path(key)))
        } else {
            Err(ServiceError::Setup(format!(
                "{key} was changed by somebody else in this moment; look again"
            )))
        }
    }
}

fn catalog(object: &str, wanted: &Registered, there: &[Instance]) -> Vec<Drifted> {
    let row = |field: &str, desired: String, actual: String| {
        Drifted::new(DriftSource::Consul, object, field, desired, actual)
    };
    let mut found = Vec::new();
    let least = wanted.instances.unwrap_or(1);
    let enough = match wanted.instances {
        Some(exactly) => there.len() == exactly,
        None => !there.is_empty(),
    };
    if !enough {
        found.push(row("instances", least.to_string(), there.len().to_string()));
    }
    if let Some(port) = wanted.port
        && let Some(other) = there.iter().find(|one| one.service_port != port)
    {
        found.push(row(
            "port",
            port.to_string(),
            other.service_port.to_string(),
        ));
    }
    let lacks = |one: &&Instance| {
        let tags = one.service_tags.as_deref().unwrap_or_default();
        wanted.tags.iter().any(|tag| !tags.contains(tag))
    };
    if let Some(other) = there.iter().find(lacks) {
        let tags = other.service_tags.clone().unwrap_or_default();
        found.push(row("tags", wanted.tags.join(", "), tags.join(", ")));
    }
    found
}
