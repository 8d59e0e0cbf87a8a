//! The handlers that a run owes its hosts: on record before the change is made, so that an engine that dies in between leaves
//! a debt and not a host whose service never heard of its new configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::handler::{self, Owed};
use crate::domain::plan::{Origin, Plan};
use crate::domain::run::RunId;
use crate::steps::Debts;
use crate::store::Handle;

/// The debts of one run; clones are the same debts.
#[derive(Clone)]
pub(super) struct RunDebts(Arc<Inner>);

struct Inner {
    /// In whose name they are on record: a run that takes another one back pays for that one.
    run: RunId,
    store: Handle,
    /// Whether a handler is carried out on hosts, by its name.
    on_hosts: BTreeMap<String, bool>,
    /// A dry run owes nothing, it only says what would follow.
    dry_run: bool,
    open: Mutex<BTreeSet<Owed>>,
}

impl RunDebts {
    /// The debts of `run`, which begins with those that `plan` takes over.
    pub(super) fn new(run: RunId, plan: &Plan, store: Handle) -> Self {
        let on_hosts = plan.steps.iter().filter_map(|planned| {
            let name = handler::handler_of(&planned.step.id)?;
            Some((name.to_owned(), planned.hosts.is_some()))
        });
        Self(Arc::new(Inner {
            run: match plan.request.origin {
                Some(Origin::Undo { run, .. }) => run,
                Some(Origin::Resume { .. }) | None => run,
            },
            store,
            on_hosts: on_hosts.collect(),
            dry_run: plan.request.dry_run,
            open: Mutex::new(plan.owed.iter().cloned().collect()),
        }))
    }

    /// Puts on record what the plan takes over, before anything else happens.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored.
    pub(super) async fn take_over(&self, plan: &Plan) -> Result<(), String> {
        self.record(plan.owed.clone(), false).await
    }

    fn open(&self) -> std::sync::MutexGuard<'_, BTreeSet<Owed>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, owed: Vec<Owed>, settled: bool) -> Result<(), String> {
        if self.0.dry_run || owed.is_empty() {
            return Ok(());
        }
        let stored = self.0.store.owe(self.0.run, owed, settled).await;
        stored.map_err(|error| error.to_string())
    }

    fn debt(&self, handler: &str, host: Option<&str>) -> Owed {
        let on_hosts = self.0.on_hosts.get(handler).copied().unwrap_or(false);
        Owed {
            handler: handler.to_owned(),
            host: host.filter(|_| on_hosts).map(ToOwned::to_owned),
        }
    }
}

#[async_trait]
impl Debts for RunDebts {
    fn owes(&self, handler: &str, host: Option<&str>) -> bool {
        self.open().contains(&self.debt(handler, host))
    }

    async fn owe(&self, handlers: &[String], host: Option<&str>) -> Result<(), String> {
        let owed = handlers.iter().map(|handler| self.debt(handler, host));
        let new: Vec<Owed> = {
            let open = self.open();
            owed.filter(|owed| !open.contains(owed)).collect()
        };
        self.record(new.clone(), false).await?;
        self.open().extend(new);
        Ok(())
    }

    async fn settle(&self, handler: &str, host: Option<&str>) -> Result<(), String> {
        let owed = self.debt(handler, host);
        self.record(vec![owed.clone()], true).await?;
        self.open().remove(&owed);
        Ok(())
    }
}
