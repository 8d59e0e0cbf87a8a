//! Removing old runs: by the workspace's rule every hour, or when an operator asks. The store removes them in small steps
//! between everything else that it writes, so that no run is slowed down.

use std::time::Duration;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::audit::Audit;
use crate::client::{PruneRequest, Pruned, Refusal};
use crate::clock::SharedClock;
use crate::domain::operator::Operator;
use crate::domain::retention::{Kept, Retention};
use crate::store::{Erased, Handle, Reader, StoreError};

/// From one look at the workspace's rule to the next.
const EVERY: Duration = Duration::from_secs(3600);
/// Before the first look: an engine that just started has better things to do.
const QUIET: Duration = Duration::from_secs(60);

/// Removes what is no longer to be kept; clones do the same.
#[derive(Clone)]
pub(super) struct Pruner {
    pub(super) store: Handle,
    pub(super) history: Reader,
    pub(super) audit: Audit,
    pub(super) clock: SharedClock,
    pub(super) rule: Retention,
}

impl Pruner {
    /// Finishes what an earlier engine began to remove, then applies the rule every hour.
    pub(super) async fn keep_at_it(self, stopped: CancellationToken) {
        let mut pause = QUIET;
        loop {
            let waited = stopped.run_until_cancelled(tokio::time::sleep(pause)).await;
            if waited.is_none() {
                return;
            }
            pause = EVERY;
            let work = async {
                self.finish().await?;
                self.apply(None, self.rule).await
            };
            if let Some(Err(refusal)) = stopped.run_until_cancelled(work).await {
                tracing::warn!(%refusal, "old runs could not be removed");
            }
        }
    }

    /// What an operator asked for. Answers when everything is removed.
    ///
    /// # Errors
    /// [`Refusal`] when the store or the audit cannot be written.
    pub(super) async fn on_request(
        &self,
        who: &Operator,
        request: PruneRequest,
    ) -> Result<Pruned, Refusal> {
        let rule = request.rule(self.rule);
        if request.dry_run {
            return Ok(Pruned {
                runs: self.chosen(rule).await?,
                dry_run: true,
            });
        }
        self.apply(Some(who), rule).await
    }

    async fn apply(&self, who: Option<&Operator>, rule: Retention) -> Result<Pruned, Refusal> {
        let runs = self.chosen(rule).await?;
        if !runs.is_empty() {
            self.audit.pruned(who, &runs).await?;
        }
        let mut removed = Vec::new();
        for run in runs {
            match self.erase(run.number).await {
                Ok(()) => removed.push(run),
                // It went on meanwhile, or is needed by one that does.
                Err(error) => tracing::info!(%error, "a run was kept"),
            }
        }
        self.store.give_back().await;
        Ok(Pruned {
            runs: removed,
            dry_run: false,
        })
    }

    async fn chosen(&self, rule: Retention) -> Result<Vec<Kept>, Refusal> {
        let (history, now) = (self.history.clone(), self.clock.now());
        tokio::task::spawn_blocking(move || Ok(rule.choose(&history.kept()?, now)))
            .await
            .map_err(|error| Refusal::new(error.to_string()))?
            .map_err(|error: StoreError| Refusal::new(error.to_string()))
    }

    async fn finish(&self) -> Result<(), Refusal> {
        let history = self.history.clone();
        let left = tokio::task::spawn_blocking(move || history.half_erased())
            .await
            .map_err(|error| Refusal::new(error.to_string()))?
            .map_err(|error| Refusal::new(error.to_string()))?;
        for number in left {
            self.erase(number)
                .await
                .map_err(|error| Refusal::new(error.to_string()))?;
        }
        Ok(())
    }

    async fn erase(&self, number: i64) -> Result<(), StoreError> {
        while self.store.erase(number).await? == Erased::Partly {}
        Ok(())
    }
}

impl PruneRequest {
    /// What is to be kept: what the request says, else the workspace's rule.
    fn rule(&self, workspace: Retention) -> Retention {
        if self.older_than.is_none() && self.keep.is_none() {
            return workspace;
        }
        Retention {
            age: self.older_than.map(|seconds| {
                SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
            }),
            runs: self.keep,
            size: None,
        }
    }
}
