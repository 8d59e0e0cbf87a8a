//! Stores: what keeps state that can be saved. Each hands out its whole state, lists what it holds by name, and takes a state
//! back; [`scratch`] starts another instance of the same software beside it and tries a snapshot there.
//!
//! | Store | Taken by | Restored by |
//! |---|---|---|
//! | Consul | `GET /v1/snapshot` from the leader | `PUT` of the same |
//! | Vault, OpenBao | `GET /v1/sys/storage/raft/snapshot` from the active node | `POST` of the same |
//! | Nomad | `GET /v1/operator/snapshot` from the leader, compared with its `Digest` | `PUT` of the same |
//! | etcd | `POST /v3/maintenance/snapshot` from the leader | key by key, out of a scratch instance |
//! | PostgreSQL | `pg_dump --format=custom` | `pg_restore --clean` in one transaction |
//! | Terraform | `terraform state pull` | `terraform state push` with the next serial |

mod consul;
mod etcd;
mod nomad;
mod postgresql;
pub mod scratch;
mod terraform;
#[cfg(test)]
mod tests;
mod tools;
mod vault;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::api::{self, Auth, Endpoint};
use super::intake::Intake;
use super::{ServiceError, consul as consul_api, nomad as nomad_api, vault as vault_api};
use crate::domain::backup::{StoreKind, StoreSpec};
use crate::domain::service::Authority;
use crate::domain::snapshot::{Inventory, Snapshot};
use crate::transport::Host;
use crate::transport::http::{HttpClient, Incoming};

/// The longest look for who leads.
const LOOK: Duration = Duration::from_secs(10);
/// The longest that a store may take over a state that it is given.
const RESTORE: Duration = Duration::from_secs(30 * 60);

/// Something whose state can be saved and restored.
#[async_trait]
pub trait Store: Send + Sync {
    /// Hands its whole state to `intake`. Dropped in the middle, nothing is kept.
    ///
    /// # Errors
    /// [`ServiceError`] when there is none to be had: no leader, no right to it, a program that fails.
    async fn take(
        &self,
        intake: &mut Intake,
        cancel: &CancellationToken,
    ) -> Result<Given, ServiceError>;

    /// What it holds now, within `deadline`.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be listed.
    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError>;

    /// Replaces its state by that of `snapshot`, which lies verified and in plain text at `file`.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not take it; whether anything changed then is the store's to say.
    async fn restore(
        &self,
        snapshot: &Snapshot,
        file: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), ServiceError>;
}

/// What is known of a state besides itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Given {
    /// Who gave it.
    pub from: String,
    /// The number of its last change, where the store says so beside it.
    pub index: Option<u64>,
    /// Its SHA-256, where the store says so beside it.
    pub sha256: Option<[u8; 32]>,
}

/// The store that `spec` describes, let in with `secret`. `host` is where its programs run.
///
/// # Errors
/// [`ServiceError::Setup`] when the specification cannot be used.
pub fn open(
    spec: &StoreSpec,
    secret: Option<SecretString>,
    host: Arc<dyn Host>,
) -> Result<Box<dyn Store>, ServiceError> {
    let endpoints = |auth: Auth| {
        let http = HttpClient::new(spec.ca.as_ref().and_then(Authority::file))
            .map_err(|error| ServiceError::Setup(format!("{}: {error}", spec.name)))?;
        api::endpoints_at(&spec.name, &spec.urls, &spec.nodes, &http, &auth)
    };
    Ok(match spec.kind {
        StoreKind::Consul => Box::new(consul::Consul(endpoints(consul_api::auth(secret))?)),
        StoreKind::Vault => Box::new(vault::Vault(endpoints(vault_api::auth(secret))?)),
        StoreKind::Nomad => Box::new(nomad::Nomad(endpoints(nomad_api::auth(secret))?)),
        StoreKind::Etcd => Box::new(etcd::Etcd {
            endpoints: endpoints(Auth::None)?,
            access: super::etcd::Access {
                user: spec.user.clone(),
                secret,
            },
        }),
        StoreKind::Postgresql => Box::new(postgresql::Postgresql::new(spec, secret, host)?),
        StoreKind::Terraform => Box::new(terraform::Terraform::new(spec, host)?),
    })
}

/// Hands all of an answer to `intake`, unless that wants no more.
async fn pour(
    incoming: &mut Incoming,
    endpoint: &Endpoint,
    intake: &mut Intake,
) -> Result<(), ServiceError> {
    while let Some(chunk) = incoming
        .chunk()
        .await
        .map_err(|error| ServiceError::Unreachable {
            url: endpoint.base.clone(),
            reason: format!("it broke off: {error}"),
        })?
    {
        if !intake.put(chunk).await {
            break;
        }
    }
    Ok(())
}

/// The endpoint that leads, by an answer like `"127.0.0.11:8300"` of Consul and Nomad; the first that answers when the leader
/// is none of those that are known.
async fn leader<'a>(endpoints: &'a [Endpoint], path: &str) -> Result<&'a Endpoint, ServiceError> {
    let until = api::Until::after(LOOK);
    let asked = endpoints.iter().map(async |endpoint| {
        let answer = endpoint.ask(path, until).await?;
        if answer.status() == 500 && answer.words().contains("No cluster leader") {
            return Ok(String::new());
        }
        answer.success()?.json::<String>()
    });
    let answers = futures::future::join_all(asked).await;
    let mut refusal = None;
    let mut front: Option<(&Endpoint, String)> = None;
    for (endpoint, answer) in endpoints.iter().zip(answers) {
        match answer {
            Ok(leader) if leader.is_empty() => {
                refusal.get_or_insert(ServiceError::Status {
                    url: endpoint.base.clone(),
                    status: 500,
                    reason: "no leader: nobody can say what the state is".into(),
                });
            }
            Ok(leader) => {
                front.get_or_insert((endpoint, leader));
            }
            Err(error) => {
                refusal.get_or_insert(error);
            }
        }
    }
    let Some((front, leader)) = front else {
        return Err(refusal.unwrap_or_else(|| ServiceError::Setup("no endpoint".into())));
    };
    let host = leader.rsplit_once(':').map_or("", |(host, _)| host);
    Ok(endpoints
        .iter()
        .find(|endpoint| endpoint.host() == host)
        .unwrap_or(front))
}
