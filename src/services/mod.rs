//! Adapters: one folder per system, each speaking its published API.
//!
//! An adapter says how its service is ([`Service::report`]), lists what is in it ([`Service::table`]), does what it is told
//! ([`Service::act`]) and knows who votes in it ([`Service::voters`]). It knows nothing of screens or of the store, keeps no state between calls but its HTTP client, and never fails a whole report because one
//! endpoint of several failed.

mod api;
mod archive;
mod ceph;
mod consul;
pub mod contents;
pub mod desired;
mod etcd;
mod grafana;
mod harbor;
pub mod intake;
mod kubernetes;
mod nomad;
mod prometheus;
pub mod sealing;
pub mod shelf;
pub mod stores;
mod traefik;
mod vault;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::domain::live::{Health, Problem, ServiceReport};
use crate::domain::quorum::Voter;
use crate::domain::service::{Authority, ServiceKind, ServiceSpec};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::Table;
use crate::transport::http::HttpClient;

pub(crate) use self::api::UNSEAL;
pub(crate) use self::vault::SEALED;
pub use self::vault::seals::{Rekey, Rekeyed, Scheme, Seals};

/// A list that an adapter can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewSpec {
    /// Short name, such as `members`.
    pub id: &'static str,
    /// Heading, such as `Members`.
    pub title: &'static str,
}

/// A system that can be asked how it is.
#[async_trait]
pub trait Service: Send + Sync {
    /// How the service is, within `deadline`.
    ///
    /// # Errors
    /// [`ServiceError`] when nothing useful could be learned.
    async fn report(&self, deadline: Duration) -> Result<ServiceReport, ServiceError>;

    /// The lists it offers; the first is the main one.
    fn views(&self) -> &'static [ViewSpec];

    /// The rows of the view called `view`, within `deadline`.
    ///
    /// # Errors
    /// [`ServiceError`] when the list cannot be had; [`ServiceError::NoSuchView`] for an unknown `view`.
    async fn table(&self, view: &str, deadline: Duration) -> Result<Table, ServiceError>;

    /// Does `action`, and returns when the service itself says that it is done. What takes long tells how far it is, and ends
    /// soon after `cancel`; what was asked for until then stays asked for.
    ///
    /// # Errors
    /// [`ServiceError`] when the service refuses, or cannot do this kind of thing.
    async fn act(
        &self,
        action: &ServiceAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, ServiceError> {
        let _ = (tell, cancel);
        Err(not_mine(action))
    }

    /// The members that vote, as the service has it; `None` for a service without votes.
    ///
    /// # Errors
    /// [`ServiceError`] when they cannot be learned.
    async fn voters(&self, deadline: Duration) -> Result<Option<Vec<Voter>>, ServiceError> {
        let _ = deadline;
        Ok(None)
    }

    /// Its seal, where it has one.
    fn seals(self: Arc<Self>) -> Option<Arc<dyn Seals>> {
        None
    }
}

/// What an adapter says to an action of another system.
fn not_mine(action: &ServiceAction) -> ServiceError {
    ServiceError::Setup(format!(
        "this is no {}: it cannot {}",
        action.kind().title(),
        action.phrase()
    ))
}

/// Where an adapter tells how far it is, a line at a time.
pub type Tell<'a> = &'a (dyn Fn(String) + Send + Sync);

/// How an action ended well, in a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// It changed something.
    Changed(String),
    /// There was nothing to change.
    Already(String),
}

/// Why a service could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// No connection, or it broke.
    #[error("{url}: {reason}")]
    Unreachable {
        /// What was asked for, without secrets.
        url: String,
        /// What happened.
        reason: String,
    },
    /// No answer in time.
    #[error("{url}: no answer within {limit:?}")]
    Timeout {
        /// What was asked for.
        url: String,
        /// The deadline.
        limit: Duration,
    },
    /// 401 or 403.
    #[error("{url}: {status}: {reason}; check the service's `secret` in the environment file")]
    Denied {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The service's words, shortened.
        reason: String,
    },
    /// Another status that is not an answer.
    #[error("{url}: {status}: {reason}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The service's words, shortened.
        reason: String,
    },
    /// A body that is not what the API promises.
    #[error("{url}: the answer is not what the API promises: {reason}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What was expected and where it went wrong.
        reason: String,
    },
    /// The adapter has no such view.
    #[error("there is no view called {0:?}")]
    NoSuchView(String),
    /// The endpoint cannot be used as configured.
    #[error("{0}")]
    Setup(String),
}

impl ServiceError {
    /// Whether asking again in a moment may help: nobody answered, or a server that has no leader just now.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => *status >= 500,
            Self::Denied { .. } | Self::Malformed { .. } | Self::NoSuchView(_) | Self::Setup(_) => {
                false
            }
        }
    }
}

/// The adapter for `spec`, let in with `secret`.
///
/// # Errors
/// [`ServiceError::Setup`] when the specification cannot be used: no URL, an authority that cannot be read.
pub fn connect(
    spec: &ServiceSpec,
    secret: Option<SecretString>,
) -> Result<Box<dyn Service>, ServiceError> {
    if spec.kind == ServiceKind::Kubernetes {
        return Ok(Box::new(kubernetes::Kubernetes::new(spec, secret)?));
    }
    let http = HttpClient::new(spec.ca.as_ref().and_then(Authority::file))
        .map_err(|error| ServiceError::Setup(format!("{}: {error}", spec.name)))?;
    let auth = match spec.kind {
        ServiceKind::Consul => consul::auth(secret),
        ServiceKind::Vault => vault::auth(secret),
        ServiceKind::Nomad => nomad::auth(secret),
        ServiceKind::Harbor
        | ServiceKind::Grafana
        | ServiceKind::Traefik
        | ServiceKind::Prometheus => match (&spec.user, secret) {
            (_, None) => api::Auth::None,
            (Some(user), Some(secret)) => api::Auth::Basic(user.clone(), secret),
            (None, Some(secret)) => api::Auth::Bearer(secret),
        },
        ServiceKind::Etcd => {
            let endpoints = api::endpoints(spec, &http, &api::Auth::None)?;
            let user = spec.user.clone();
            let access = etcd::Access { user, secret };
            return Ok(Box::new(etcd::Etcd { endpoints, access }));
        }
        ServiceKind::Ceph => {
            let endpoints = api::endpoints(spec, &http, &api::Auth::None)?;
            return Ok(Box::new(ceph::Ceph::new(
                endpoints,
                spec.user.clone(),
                secret,
            )));
        }
        ServiceKind::Kubernetes => api::Auth::None,
    };
    let endpoints = api::endpoints(spec, &http, &auth)?;
    Ok(match spec.kind {
        ServiceKind::Consul => Box::new(consul::Consul::new(endpoints)),
        ServiceKind::Vault => Box::new(vault::Vault::new(
            endpoints,
            spec.ca
                .as_ref()
                .and_then(Authority::file)
                .map(PathBuf::from),
        )),
        ServiceKind::Nomad => Box::new(nomad::Nomad::new(endpoints)),
        ServiceKind::Harbor => Box::new(harbor::Harbor::new(endpoints)),
        ServiceKind::Traefik => Box::new(traefik::Traefik::new(endpoints)),
        ServiceKind::Grafana => Box::new(grafana::Grafana::new(endpoints)),
        ServiceKind::Prometheus => Box::new(prometheus::Prometheus::new(endpoints)),
        ServiceKind::Ceph | ServiceKind::Kubernetes | ServiceKind::Etcd => {
            unreachable!("returned above")
        }
    })
}

/// The lists that a kind of service offers, the main one first.
pub const fn views(kind: ServiceKind) -> &'static [ViewSpec] {
    match kind {
        ServiceKind::Consul => consul::VIEWS,
        ServiceKind::Vault => vault::VIEWS,
        ServiceKind::Nomad => nomad::VIEWS,
        ServiceKind::Ceph => ceph::VIEWS,
        ServiceKind::Harbor => harbor::VIEWS,
        ServiceKind::Traefik => traefik::VIEWS,
        ServiceKind::Grafana => grafana::VIEWS,
        ServiceKind::Kubernetes => kubernetes::VIEWS,
        ServiceKind::Prometheus => prometheus::VIEWS,
        ServiceKind::Etcd => etcd::VIEWS,
    }
}

/// The part of a report, or a problem that says why it is missing: one failed list never fails the report.
fn gather<T>(part: Result<T, ServiceError>, what: &str, problems: &mut Vec<Problem>) -> Option<T> {
    match part {
        Ok(part) => Some(part),
        Err(error) => {
            let health = if matches!(error, ServiceError::Denied { .. }) {
                Health::Unknown
            } else {
                Health::Warn
            };
            problems.push(Problem {
                key: format!("list:{what}"),
                health,
                text: format!("{what} cannot be read: {error}"),
            });
            None
        }
    }
}

/// The health that the worst problem leaves; what merely cannot be read does not count.
fn worst(problems: &[Problem]) -> Health {
    if problems
        .iter()
        .any(|problem| problem.health == Health::Down)
    {
        Health::Down
    } else if problems
        .iter()
        .any(|problem| problem.health == Health::Warn)
    {
        Health::Warn
    } else {
        Health::Ok
    }
}

/// Milliseconds since `started`.
fn millis(started: Instant) -> u32 {
    u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX)
}

/// A length as the domain counts.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The first line of a text that came from outside, at most 120 characters.
fn brief(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(120).collect();
    if line.chars().count() > 120 {
        short.push('…');
    }
    short
}
