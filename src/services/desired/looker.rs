//! An endpoint that can only be looked at.
//!
//! The endpoint itself is private to this file, so that whoever compares can send what stands here and nothing else: `GET`,
//! and the requests of [`DryRun`], each of which its system's documentation says changes nothing.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::ServiceError;
use super::super::api::{Answer, Endpoint, Until};
use super::escaped;

/// A request with a body that is carried out as a dry run.
#[derive(Debug, Clone, Copy)]
pub(super) enum DryRun<'a> {
    /// `POST /v1/job/:id/plan`: "invokes a dry-run of the scheduler"
    /// (<https://developer.hashicorp.com/nomad/api-docs/jobs#create-job-plan>).
    NomadPlan(&'a str),
}

impl DryRun<'_> {
    fn path(self) -> String {
        match self {
            Self::NomadPlan(job) => format!("/v1/job/{}/plan", escaped(job)),
        }
    }
}

/// See the module.
pub(super) struct Looker<'e>(&'e Endpoint);

impl<'e> Looker<'e> {
    pub(super) fn at(endpoint: &'e Endpoint) -> Self {
        Self(endpoint)
    }

    /// Gets `path`; `None` when there is nothing.
    pub(super) async fn maybe<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Until,
    ) -> Result<Option<T>, ServiceError> {
        let answer = self.0.ask(path, until).await?;
        if answer.status() == 404 {
            return Ok(None);
        }
        answer.success()?.json().map(Some)
    }

    /// Gets `path`.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Until,
    ) -> Result<T, ServiceError> {
        self.0.get(path, until).await
    }

    /// Has the system say what it would do.
    pub(super) async fn dry_run(
        &self,
        run: DryRun<'_>,
        body: &Value,
        until: Until,
    ) -> Result<Answer, ServiceError> {
        self.0.post(&run.path(), body, until).await?.success()
    }
}
