//! Adapters: one folder per system, each speaking its published API.
//!
//! An adapter says how its service is ([`Service::report`]) and lists what is in it ([`Service::table`]). It knows nothing
//! of screens or of the store, keeps no state between calls but its HTTP client, and never fails a whole report because one
//! endpoint of several failed.

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::live::ServiceReport;
use crate::domain::table::Table;

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
