//! Desired state of services: what is declared, compared with what they say themselves.
//!
//! To compare and to bring about are two rooms. [`Compare::compare`] of each system gets a `looker`, whose type sends nothing
//! but `GET` and a closed list of requests that the systems themselves carry out as dry runs; what writes takes the endpoint
//! itself and is only reached through [`Compare::bring`].
//!
//! | System | Compared by | Brought about by |
//! |---|---|---|
//! | Consul | `GET /v1/kv/…`, `GET /v1/catalog/service/…` | `PUT /v1/kv/…?cas=` |
//! | Vault, OpenBao | `GET /v1/sys/policies/acl/…`, `GET /v1/sys/mounts` | `POST` of the same |
//! | Nomad | `POST /v1/job/…/plan` with `Diff` | `POST /v1/jobs` |
//! | Kubernetes | server-side apply with `dryRun=All` | the same without |

mod consul;
mod kubernetes;
mod looker;
mod nomad;
#[cfg(test)]
mod tests;
mod vault;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use secrecy::SecretString;

use super::api::{self, Answer, Auth, Endpoint, Until};
use super::{ServiceError, consul as consul_api, nomad as nomad_api, vault as vault_api};
use crate::domain::drift::Drifted;
use crate::domain::drift::desired::Desired;
use crate::domain::service::{Authority, ServiceKind, ServiceSpec};
use crate::transport::http::HttpClient;

/// What is declared of a service, with the texts of its files.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// As it is declared.
    pub desired: Desired,
    /// The files that it names, by their path.
    pub texts: BTreeMap<PathBuf, String>,
}

impl Wanted {
    fn text(&self, path: &Path) -> Result<&str, ServiceError> {
        let text = self.texts.get(path).map(String::as_str);
        text.ok_or_else(|| ServiceError::Setup(format!("{} was not read", path.display())))
    }
}

/// A service whose state can be declared.
#[async_trait]
pub trait Compare: Send + Sync {
    /// What differs from `wanted`, within `deadline`. Sends nothing that changes anything.
    ///
    /// # Errors
    /// [`ServiceError`] when a part of it cannot be seen.
    async fn compare(
        &self,
        wanted: &Wanted,
        deadline: Duration,
    ) -> Result<Vec<Drifted>, ServiceError>;

    /// Brings the object that the board calls `object` into its desired state; a sentence that says what was sent.
    ///
    /// # Errors
    /// [`ServiceError`] when it is not declared, cannot be written here, or the service refuses.
    async fn bring(
        &self,
        wanted: &Wanted,
        object: &str,
        deadline: Duration,
    ) -> Result<String, ServiceError>;
}

/// The service that `spec` describes, let in with `secret`.
///
/// # Errors
/// [`ServiceError::Setup`] when nothing can be declared of this kind, or the specification cannot be used.
pub fn open(
    spec: &ServiceSpec,
    secret: Option<SecretString>,
) -> Result<Box<dyn Compare>, ServiceError> {
    let endpoints = |auth: Auth| {
        let http = HttpClient::new(spec.ca.as_ref().and_then(Authority::file))
            .map_err(|error| ServiceError::Setup(format!("{}: {error}", spec.name)))?;
        api::endpoints(spec, &http, &auth)
    };
    Ok(match spec.kind {
        ServiceKind::Consul => Box::new(consul::Consul(endpoints(consul_api::auth(secret))?)),
        ServiceKind::Vault => Box::new(vault::Vault(endpoints(vault_api::auth(secret))?)),
        ServiceKind::Nomad => Box::new(nomad::Nomad(endpoints(nomad_api::auth(secret))?)),
        ServiceKind::Kubernetes => Box::new(kubernetes::Kubernetes(
            super::kubernetes::Kubernetes::new(spec, secret)?,
        )),
        other => {
            return Err(ServiceError::Setup(format!(
                "nothing can be declared of a {}",
                other.title()
            )));
        }
    })
}

/// The first endpoint that answers `path` with success; else a refusal, rather of one that said something than of one that kept
/// silent. All are asked side by side, so that a silent one costs none of the time that the others need.
async fn front<'e>(
    endpoints: &'e [Endpoint],
    path: &str,
    until: Until,
) -> Result<&'e Endpoint, ServiceError> {
    let mut asked: FuturesUnordered<_> = endpoints
        .iter()
        .map(async |endpoint| (endpoint, endpoint.ask(path, until).await))
        .collect();
    let mut refusal = None;
    while let Some((endpoint, answer)) = asked.next().await {
        match answer.and_then(Answer::success) {
            Ok(_) => return Ok(endpoint),
            Err(error @ ServiceError::Status { .. }) => refusal = Some(error),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| ServiceError::Setup("no endpoint".into())))
}

/// A path segment as a URL has it; slashes stay.
fn escaped(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// An object that the board names is not among what is declared, or cannot be written here.
fn not_declared(object: &str) -> ServiceError {
    ServiceError::Setup(format!(
        "{object} is not declared below `desired`, or cannot be brought about from here"
    ))
}
