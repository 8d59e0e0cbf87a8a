//! Consul's state: keys, services, ACLs, sessions, prepared queries
//! (<https://developer.hashicorp.com/consul/api-docs/snapshot>).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::{Given, RESTORE, Store, leader, pour};
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, Until};
use crate::services::intake::Intake;

/// Who leads.
const LEADER: &str = "/v1/status/leader";

/// See the module.
pub(super) struct Consul(pub(super) Vec<Endpoint>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    modify_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    name: String,
    modify_index: u64,
}

#[async_trait]
impl Store for Consul {
    /// From the leader itself where the environment knows it, else through an agent, which asks the leader: never `stale`.
    async fn take(
        &self,
        intake: &mut Intake,
        _: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let endpoint = leader(&self.0, LEADER).await?;
        let mut incoming = endpoint.open("GET", "/v1/snapshot", None).await?;
        pour(&mut incoming, endpoint, intake).await?;
        Ok(Given {
            from: endpoint.name.clone(),
            ..Given::default()
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let endpoint = leader(&self.0, LEADER).await?;
        let until = Until::after(deadline);
        let mut held = Inventory {
            by_index: true,
            ..Inventory::default()
        };
        let keys = endpoint.ask("/v1/kv/?recurse", until).await;
        match keys {
            // There is not one key.
            Ok(answer) if answer.status() == 404 => {}
            Ok(answer) => {
                for entry in answer.success()?.json::<Vec<Entry>>()? {
                    held.add("key", &entry.key, entry.modify_index.to_string());
                }
            }
            // Too much to read at once, most likely: the names are enough to tell what is new.
            Err(error) => {
                for key in endpoint.get::<Vec<String>>("/v1/kv/?keys", until).await? {
                    held.add("key", &key, "");
                }
                held.blind.push(format!("which keys were changed: {error}"));
            }
        }
        let services: BTreeMap<String, Vec<String>> =
            endpoint.get("/v1/catalog/services", until).await?;
        for name in services.keys() {
            held.add("service", name, "");
        }
        let policies = endpoint.ask("/v1/acl/policies", until).await?;
        match policies.success() {
            Ok(policies) => {
                for policy in policies.json::<Vec<Policy>>()? {
                    held.add("acl-policy", &policy.name, policy.modify_index.to_string());
                }
            }
            // ACLs are off: there are none.
            Err(ServiceError::Status { status: 401, .. }) => {}
            Err(error) => held.blind.push(format!("ACL policies: {error}")),
        }
        held.blind
            .push("ACL tokens, sessions and prepared queries are not listed".into());
        Ok(held)
    }

    async fn restore(
        &self,
        _: &Snapshot,
        file: &Path,
        _: &CancellationToken,
    ) -> Result<(), ServiceError> {
        let endpoint = leader(&self.0, LEADER).await?;
        endpoint
            .upload("PUT", "/v1/snapshot", file, RESTORE)
            .await
            .map(|_| ())
    }
}
