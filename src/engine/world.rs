//! What the engine reaches for outside of itself, in one place, so that tests can put something else there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::approvals::Asker;
use super::debts::RunDebts;
use super::drift::RunDrift;
use super::left_behind;
use super::run::{Executor, Tasks};
use super::undo::RunRecords;
use super::workshop::RunWorkshop;
use crate::domain::backup::StoreSpec;
use crate::domain::environment::Environment;
use crate::domain::recipe::Step;
use crate::domain::run::{RunId, Task, TaskKey};
use crate::domain::service::ServiceSpec;
use crate::resources::Log;
use crate::resources::undo::Records;
use crate::services::shelf::Shelf;
use crate::services::stores::{self, Store};
use crate::services::{self, Service, ServiceError};
use crate::steps::template::SecretSource;
use crate::steps::{self, AskService, Ceremonies, Context, Outcome, SeeTasks, StepError};
use crate::transport::ask::{Wallet, attended_with};
use crate::transport::{Host, Reach, job};

/// The hosts and services of environments.
pub trait World: Send + Sync {
    /// The hosts of an environment. Called once per environment; connects nowhere yet.
    fn hosts(&self, environment: &Arc<Environment>) -> Arc<dyn Reach>;

    /// The adapter for a service.
    ///
    /// # Errors
    /// [`ServiceError::Setup`] when the specification cannot be used.
    fn service(
        &self,
        spec: &ServiceSpec,
        secret: Option<SecretString>,
    ) -> Result<Box<dyn Service>, ServiceError>;

    /// The store for a specification; its programs run on `host`.
    ///
    /// # Errors
    /// [`ServiceError::Setup`] when the specification cannot be used.
    fn store(
        &self,
        spec: &StoreSpec,
        secret: Option<SecretString>,
        host: Arc<dyn Host>,
    ) -> Result<Box<dyn Store>, ServiceError> {
        stores::open(spec, secret, host)
    }
}

/// The real world: hosts as given, services through their adapters.
pub struct Network<F>(F);

impl<F> Network<F>
where
    F: Fn(Arc<Environment>) -> Arc<dyn Reach> + Send + Sync,
{
    /// A world whose hosts are found by what `hosts` makes for each environment, such as an SSH pool.
    pub fn new(hosts: F) -> Self {
        Self(hosts)
    }
}

impl<F> World for Network<F>
where
    F: Fn(Arc<Environment>) -> Arc<dyn Reach> + Send + Sync,
{
    fn hosts(&self, environment: &Arc<Environment>) -> Arc<dyn Reach> {
        (self.0)(Arc::clone(environment))
    }

    fn service(
        &self,
        spec: &ServiceSpec,
        secret: Option<SecretString>,
    ) -> Result<Box<dyn Service>, ServiceError> {
        services::connect(spec, secret)
    }
}

/// Carries out tasks with the executors of [`steps`].
pub(super) struct Steps {
    pub(super) environment: Arc<Environment>,
    pub(super) reach: Arc<dyn Reach>,
    pub(super) services: Arc<dyn AskService>,
    pub(super) run: RunId,
    /// The run that it carries on in the end; itself when it takes up none.
    pub(super) first: RunId,
    pub(super) operators: Asker,
    pub(super) tasks: Tasks,
    pub(super) params: Arc<BTreeMap<String, Value>>,
    pub(super) dry_run: bool,
    pub(super) cache: PathBuf,
    pub(super) offline: bool,
    pub(super) snapshots: Shelf,
    pub(super) keys: PathBuf,
    pub(super) ceremonies: Arc<dyn Ceremonies>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) records: RunRecords,
    pub(super) debts: RunDebts,
    pub(super) drift: RunDrift,
    pub(super) workshop: RunWorkshop,
    /// Passwords that were given for this run; wiped with it.
    pub(super) wallet: Arc<Wallet>,
}

impl SeeTasks for Tasks {
    fn tasks(&self) -> Vec<Task> {
        self.snapshot()
    }
}

impl Steps {
    /// What a task may use.
    pub(super) fn context(
        &self,
        task: TaskKey,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
        records: Arc<dyn Records>,
    ) -> Context {
        Context {
            environment: Arc::clone(&self.environment),
            reach: Arc::clone(&self.reach),
            services: Arc::clone(&self.services),
            operators: Arc::new(self.operators.clone()),
            tasks: Arc::new(self.tasks.clone()),
            params: Arc::clone(&self.params),
            dry_run: self.dry_run,
            cache: self.cache.clone(),
            offline: self.offline,
            snapshots: self.snapshots.clone(),
            workshop: self.workshop.of_task(task),
            keys: self.keys.clone(),
            ceremonies: Arc::clone(&self.ceremonies),
            secrets: Arc::clone(&self.secrets),
            log,
            cancel,
            records,
            debts: Arc::new(self.debts.clone()),
            drift: Arc::new(self.drift.clone()),
        }
    }
}

#[async_trait]
impl Executor for Steps {
    async fn execute(
        &self,
        step: &Step,
        host: Option<&str>,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
    ) -> Result<Outcome, StepError> {
        let task = TaskKey {
            step: step.id.clone(),
            host: host.map(Into::into),
        };
        let records = self.records.of_task(step, host);
        let context = self.context(task.clone(), log, cancel, records);
        // Somebody has begun the run: he can be asked.
        let work = Box::pin(attended_with(
            Arc::clone(&self.wallet),
            steps::execute(step, host, &context),
        ));
        let (run, first) = (self.run.to_string(), self.first.to_string());
        job::within(&run, &first, &task.to_string(), work).await
    }

    async fn outlast(
        &self,
        step: &Step,
        host: Option<&str>,
        log: &dyn Log,
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        // What runs here is ended with its attempt; what is detached is taken up again, not waited for.
        let Some(name) = host.filter(|_| !step.detaches()) else {
            return Ok(());
        };
        let task = TaskKey {
            step: step.id.clone(),
            host: Some(name.into()),
        };
        let host = self.reach.host(name)?;
        left_behind::outlast(&*host, self.run, &task, log, cancel)
            .await
            .map_err(|message| StepError {
                message,
                passing: true,
            })
    }
}
