//! The state of Vault or OpenBao with integrated storage
//! (<https://developer.hashicorp.com/vault/api-docs/system/storage/raft>). It is encrypted by the cluster's own keys: after a
//! restore the shares of the time of the snapshot unseal it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Given, LOOK, RESTORE, Store, pour};
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::services::ServiceError;
use crate::services::api::{Endpoint, UNSEAL, Until};
use crate::services::intake::Intake;

/// See the module.
pub(super) struct Vault(pub(super) Vec<Endpoint>);

impl Vault {
    /// The active node: through a standby a snapshot may be empty or cut off (hashicorp/vault#15258).
    async fn active(&self) -> Result<&Endpoint, ServiceError> {
        let until = Until::after(LOOK);
        let asked = self
            .0
            .iter()
            .map(async |endpoint| endpoint.ask("/v1/sys/health", until).await);
        let answers = futures::future::join_all(asked).await;
        // As <https://developer.hashicorp.com/vault/api-docs/system/health> has it: 503 is sealed, 429 a standby.
        let with = |status: u16| {
            let found = self.0.iter().zip(&answers);
            let mut found = found.filter(
                move |(_, answer)| matches!(answer, Ok(answer) if answer.status() == status),
            );
            found.next().map(|(endpoint, _)| endpoint)
        };
        if let Some(active) = with(200) {
            return Ok(active);
        }
        match (with(503), with(429)) {
            // Nothing happens until somebody does something.
            (Some(sealed), None) => Err(ServiceError::Setup(format!(
                "{}: Vault is sealed: {UNSEAL}",
                sealed.base
            ))),
            _ => Err(ServiceError::Status {
                url: self.0.first().map(|endpoint| endpoint.base.clone()).unwrap_or_default(),
                status: 503,
                reason: "none of its nodes says that it is the active one; only that one gives a snapshot that is whole"
                    .into(),
            }),
        }
    }
}

#[derive(Deserialize)]
struct Policies {
    data: Keys,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
}

#[async_trait]
impl Store for Vault {
    async fn take(
        &self,
        intake: &mut Intake,
        _: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let active = self.active().await?;
        let mut incoming = active
            .open("GET", "/v1/sys/storage/raft/snapshot", None)
            .await?;
        pour(&mut incoming, active, intake).await?;
        Ok(Given {
            from: active.name.clone(),
            ..Given::default()
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let active = self.active().await?;
        let until = Until::after(deadline);
        let mut held = Inventory::default();
        for (kind, path) in [("mount", "/v1/sys/mounts"), ("auth", "/v1/sys/auth")] {
            let answer: Value = active.get(path, until).await?;
            let mounts: BTreeMap<String, Value> = serde_json::from_value(answer["data"].clone())
                .map_err(|error| ServiceError::Malformed {
                    url: format!("{}{path}", active.base),
                    reason: format!("data: {error}"),
                })?;
            for (mount, about) in mounts {
                // A mount that was removed and made again has another accessor.
                held.add(kind, &mount, about["accessor"].as_str().unwrap_or_default());
            }
        }
        let policies: Policies = active.get("/v1/sys/policies/acl?list=true", until).await?;
        for policy in policies.data.keys {
            held.add("policy", &policy, "");
        }
        let leader: Value = active.get("/v1/sys/leader", until).await?;
        if let Some(index) = leader["raft_applied_index"].as_u64() {
            held.add("raft", "index", format!("at {index}"));
        }
        held.blind.push(
            "secrets, tokens and leases: what was written into the mounts is not read".into(),
        );
        Ok(held)
    }

    async fn restore(
        &self,
        _: &Snapshot,
        file: &Path,
        _: &CancellationToken,
    ) -> Result<(), ServiceError> {
        let active = self.active().await?;
        active
            .upload("POST", "/v1/sys/storage/raft/snapshot", file, RESTORE)
            .await
            .map(|_| ())
    }
}
