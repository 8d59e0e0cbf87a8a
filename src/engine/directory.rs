//! The services of one environment: adapters made when first needed, with their secrets read at that moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::secrets;
use super::strongbox::Strongbox;
use super::world::World;
use crate::domain::backup::StoreSpec;
use crate::domain::environment::Environment;
use crate::domain::live::ServiceReport;
use crate::domain::quorum::Voter;
use crate::domain::service::{Authority, SecretRef, ServiceKind, ServiceSpec};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::Table;
use crate::services::desired::{self, Compare};
use crate::services::sealing::Identity;
use crate::services::{Acted, Seals, Service, ServiceError, Tell};
use crate::steps::{AskService, OpenStore};
use crate::store::Redactor;
use crate::transport::local::LocalHost;
use crate::transport::{Host, Reach};

/// Adapters of one environment by service name.
pub(super) struct Directory {
    environment: Arc<Environment>,
    world: Arc<dyn World>,
    reach: Arc<dyn Reach>,
    redactor: Redactor,
    strongbox: Strongbox,
    adapters: Mutex<BTreeMap<String, Arc<dyn Service>>>,
}

impl Directory {
    pub(super) fn new(
        environment: Arc<Environment>,
        world: Arc<dyn World>,
        reach: Arc<dyn Reach>,
        redactor: Redactor,
        strongbox: Strongbox,
    ) -> Self {
        Self {
            environment,
            world,
            reach,
            redactor,
            strongbox,
            adapters: Mutex::default(),
        }
    }

    /// A fresh report of a service.
    pub(super) async fn report(
        &self,
        service: &str,
        deadline: Duration,
    ) -> Result<ServiceReport, ServiceError> {
        let adapter = self.adapter(service).await?;
        let report = within(service, deadline, adapter.report(deadline)).await;
        self.reconsider(service, report)
    }

    /// The rows of a service's view.
    pub(super) async fn table(
        &self,
        service: &str,
        view: &str,
        deadline: Duration,
    ) -> Result<Table, ServiceError> {
        let adapter = self.adapter(service).await?;
        let table = within(service, deadline, adapter.table(view, deadline)).await;
        self.reconsider(service, table)
    }

    async fn adapter(&self, name: &str) -> Result<Arc<dyn Service>, ServiceError> {
        if let Some(adapter) = self.adapters().get(name) {
            return Ok(Arc::clone(adapter));
        }
        let Some(spec) = self.environment.service(name) else {
            return Err(ServiceError::Setup(format!(
                "environment {} has no service called {name:?}",
                self.environment.name
            )));
        };
        let adapter = self.connect(spec).await?;
        self.adapters()
            .insert(name.to_owned(), Arc::clone(&adapter));
        Ok(adapter)
    }

    async fn connect(&self, spec: &ServiceSpec) -> Result<Arc<dyn Service>, ServiceError> {
        let (spec, secret) = self.ready(spec).await?;
        Ok(self.world.service(&spec, secret)?.into())
    }

    /// A service with its authority as a file, and what lets one in.
    async fn ready(
        &self,
        spec: &ServiceSpec,
    ) -> Result<(ServiceSpec, Option<SecretString>), ServiceError> {
        let name = &spec.name;
        let setup = |reason: String| ServiceError::Setup(format!("{name}: {reason}"));
        let secret = match self.secret(spec.secret.as_ref()).await {
            Ok(secret) => secret,
            // A Vault has no token before it is initialised, and how it stands is told without one.
            Err(_) if spec.kind == ServiceKind::Vault => None,
            Err(reason) => return Err(setup(reason)),
        };
        let ready = ServiceSpec {
            ca: self.authority(spec.ca.as_ref()).map_err(setup)?,
            ..spec.clone()
        };
        Ok((ready, secret))
    }

    /// What lets one in, read now.
    async fn secret(&self, from: Option<&SecretRef>) -> Result<Option<SecretString>, String> {
        let (from, hint) = match from {
            None => return Ok(None),
            Some(SecretRef::Generated(made)) => (
                &SecretRef::File(self.strongbox.path(made)),
                "; the recipe that installs it makes it",
            ),
            Some(reference) => (reference, ""),
        };
        secrets::resolve(from, &self.redactor)
            .await
            .map(Some)
            .map_err(|error| format!("{error}{hint}"))
    }

    /// The authority as a file.
    fn authority(&self, named: Option<&Authority>) -> Result<Option<Authority>, String> {
        let Some(Authority::Generated(name)) = named else {
            return Ok(named.cloned());
        };
        let path = self.strongbox.authority_path(name);
        if !path.exists() {
            return Err(format!(
                "the authority {name} is not there yet; the recipe that installs it makes it"
            ));
        }
        Ok(Some(Authority::File(path)))
    }

    /// The adapter of a service that asks it on other nodes than `node` only.
    async fn elsewhere(&self, name: &str, node: &str) -> Result<Arc<dyn Service>, ServiceError> {
        let Some(spec) = self.environment.service(name) else {
            return self.adapter(name).await;
        };
        let others = spec.elsewhere_than(node, self.environment.node(node));
        if others.urls.is_empty() {
            return Err(ServiceError::Setup(format!(
                "{name} runs on {node} alone, so that nobody else can tell how it sees it"
            )));
        }
        self.connect(&others).await
    }

    /// After a refusal the next call reads the secret again: it may have been renewed.
    fn reconsider<T>(
        &self,
        service: &str,
        result: Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        if matches!(result, Err(ServiceError::Denied { .. })) {
            self.adapters().remove(service);
        }
        result
    }

    fn adapters(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<dyn Service>>> {
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds an adapter to its deadline, should it forget.
async fn within<T>(
    service: &str,
    deadline: Duration,
    work: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    let slack = Duration::from_secs(1);
    tokio::time::timeout(deadline + slack, work)
        .await
        .unwrap_or_else(|_| {
            Err(ServiceError::Timeout {
                url: service.to_owned(),
                limit: deadline,
            })
        })
}

#[async_trait]
impl AskService for Directory {
    async fn ask(&self, service: &str, deadline: Duration) -> Result<ServiceReport, String> {
        self.report(service, deadline)
            .await
            .map_err(|error| error.to_string())
    }

    async fn store(&self, name: &str) -> Result<OpenStore, String> {
        let said = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let spec = self
            .environment
            .stores()
            .into_iter()
            .find(|store| store.name == name)
            .ok_or_else(|| {
                format!(
                    "environment {} has no store called {name:?}",
                    self.environment.name
                )
            })?;
        let secret = self.secret(spec.secret.as_ref()).await;
        let secret = secret.map_err(|reason| said(&reason))?;
        let ca = self.authority(spec.ca.as_ref());
        let spec = StoreSpec {
            ca: ca.map_err(|reason| said(&reason))?,
            ..spec
        };
        let host: Arc<dyn Host> = match &spec.via {
            None => Arc::new(LocalHost::new("here")),
            Some(node) => self.reach.host(node).map_err(|error| said(&error))?,
        };
        let store = self
            .world
            .store(&spec, secret.clone(), host)
            .map_err(|error| said(&error))?;
        Ok(OpenStore { store, secret })
    }

    async fn identity(&self) -> Result<Option<Identity>, String> {
        let Some(reference) = &self.environment.backups.identity else {
            return Ok(None);
        };
        let secret = secrets::resolve(reference, &self.redactor)
            .await
            .map_err(|error| format!("the secret key for snapshots: {error}"))?;
        Identity::read(&secret)
            .map(Some)
            .map_err(|error| format!("the secret key for snapshots: {error}"))
    }

    async fn table(
        &self,
        service: &str,
        view: &str,
        without: Option<&str>,
        deadline: Duration,
    ) -> Result<Table, String> {
        let Some(node) = without else {
            let table = Self::table(self, service, view, deadline).await;
            return table.map_err(|error| error.to_string());
        };
        let adapter = self.elsewhere(service, node).await;
        let adapter = adapter.map_err(|error| error.to_string())?;
        let table = within(service, deadline, adapter.table(view, deadline)).await;
        table.map_err(|error| error.to_string())
    }

    async fn act(
        &self,
        service: &str,
        action: &ServiceAction,
        tell: Tell<'_>,
        cancel: &CancellationToken,
    ) -> Result<Acted, String> {
        let acted = async {
            let adapter = self.adapter(service).await?;
            adapter.act(action, tell, cancel).await
        };
        let acted = self.reconsider(service, acted.await);
        acted.map_err(|error| error.to_string())
    }

    async fn voters(
        &self,
        service: &str,
        deadline: Duration,
    ) -> Result<Option<Vec<Voter>>, String> {
        let voters = async {
            let adapter = self.adapter(service).await?;
            within(service, deadline, adapter.voters(deadline)).await
        };
        let voters = self.reconsider(service, voters.await);
        voters.map_err(|error| error.to_string())
    }

    async fn compared(&self, service: &str) -> Result<Box<dyn Compare>, String> {
        let spec = self.environment.service(service).ok_or_else(|| {
            format!(
                "environment {} has no service called {service:?}",
                self.environment.name
            )
        })?;
        let ready = self.ready(spec).await;
        let (spec, secret) = ready.map_err(|error| error.to_string())?;
        desired::open(&spec, secret).map_err(|error| error.to_string())
    }

    async fn seals(&self, service: &str) -> Result<Arc<dyn Seals>, String> {
        // A root token may have been written down since: ask with the secret as it is now.
        self.adapters().remove(service);
        let adapter = self.adapter(service).await;
        let adapter = adapter.map_err(|error| error.to_string())?;
        adapter
            .seals()
            .ok_or_else(|| format!("{service} has no seal"))
    }
}
