//! Nomad's state: jobs, allocations, nodes, ACLs, variables
//! (<https://developer.hashicorp.com/nomad/api-docs/operator/snapshot>).

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
pub(super) struct Nomad(pub(super) Vec<Endpoint>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Job {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    namespace: Option<String>,
    job_modify_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Variable {
    namespace: String,
    path: String,
    modify_index: u64,
}

#[async_trait]
impl Store for Nomad {
    /// The answer's `Digest` header is what the state must hash to.
    async fn take(
        &self,
        intake: &mut Intake,
        _: &CancellationToken,
    ) -> Result<Given, ServiceError> {
        let endpoint = leader(&self.0, LEADER).await?;
        let mut incoming = endpoint.open("GET", "/v1/operator/snapshot", None).await?;
        let sha256 = incoming.header("digest").map(digest).transpose();
        let sha256 = sha256.map_err(|reason| ServiceError::Malformed {
            url: format!("{}/v1/operator/snapshot", endpoint.base),
            reason,
        })?;
        pour(&mut incoming, endpoint, intake).await?;
        Ok(Given {
            from: endpoint.name.clone(),
            sha256,
            index: None,
        })
    }

    async fn inventory(&self, deadline: Duration) -> Result<Inventory, ServiceError> {
        let endpoint = leader(&self.0, LEADER).await?;
        let until = Until::after(deadline);
        let mut held = Inventory {
            by_index: true,
            ..Inventory::default()
        };
        for job in endpoint
            .get::<Vec<Job>>("/v1/jobs?namespace=*", until)
            .await?
        {
            let namespace = job.namespace.as_deref().unwrap_or("default");
            let name = format!("{namespace}/{}", job.id);
            held.add("job", &name, job.job_modify_index.to_string());
        }
        // Nomad has variables since 1.4, and a token may be kept from them.
        let variables = endpoint.ask("/v1/vars?namespace=*", until).await?;
        match variables.success() {
            Err(ServiceError::Status { status: 404, .. }) => {}
            Ok(variables) => {
                for variable in variables.json::<Vec<Variable>>()? {
                    let name = format!("{}/{}", variable.namespace, variable.path);
                    held.add("variable", &name, variable.modify_index.to_string());
                }
            }
            Err(error) => held.blind.push(format!("variables: {error}")),
        }
        held.blind
            .push("allocations, nodes, ACLs and volumes are not listed".into());
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
            .upload("PUT", "/v1/operator/snapshot", file, RESTORE)
            .await
            .map(|_| ())
    }
}

/// `sha-256=<base64>`.
fn digest(header: &str) -> Result<[u8; 32], String> {
    header
        .strip_prefix("sha-256=")
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| "its Digest header is no sha-256 in base64".into())
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_digest_is_sha_256_in_base64_or_an_error() {
        let header = "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(digest(header).unwrap()[0], 0xe3);
        for wrong in ["", "md5=abc", "sha-256=abc"] {
            assert!(digest(wrong).is_err(), "{wrong}");
        }
    }
}
