//! Waiting until something is as wanted: every second at first, every five seconds later, until the step's time is up.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Context, Outcome, StepError};
use crate::domain::recipe::Step;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// As wanted, and how it is.
    Wanted(String),
    /// Not yet, and how it is instead.
    NotYet(String),
}

/// Something that can be looked at.
#[async_trait]
pub(super) trait Look: Send + Sync {
    /// How it is now. Ends by itself within seconds.
    async fn look(&self) -> Sight;
}

/// Looks again and again, and says in the log how it is whenever that changes.
///
/// Fails with the last thing seen shortly before the step's own limit of time, so that the reason is told and not just
/// the time. In a dry run it looks once: what an earlier step would have changed is not there yet, and that is no failure.
pub(super) async fn until(
    what: &str,
    step: &Step,
    context: &Context,
    thing: &dyn Look,
) -> Result<Outcome, StepError> {
    let limit = step.time_limit().map_err(StepError::lasting)?;
    // A tenth early, at most two seconds: enough to say why.
    let patience = limit.saturating_sub((limit / 10).min(Duration::from_secs(2)));
    let deadline = Instant::now() + patience;
    let mut last = None;
    let mut pause = FIRST_PAUSE;
    if !context.dry_run {
        context.note(format!("waiting until {what}")).await;
    }
    loop {
        let sight = tokio::select! {
            sight = timeout_at(deadline, thing.look()) => sight,
            () = context.cancel.cancelled() => return Err(StepError::cancelled()),
        };
        let seen = match sight {
            Ok(Sight::Wanted(seen)) => {
                context.note(seen).await;
                return Ok(Outcome::Ok);
            }
            Ok(Sight::NotYet(seen)) => seen,
            Err(_) => last.clone().unwrap_or_else(|| "no answer".to_owned()),
        };
        if context.dry_run {
            return Ok(Outcome::Skipped(format!(
                "not yet the case that {what}: {seen}"
            )));
        }
        if last.as_ref() != Some(&seen) {
            context.note(seen.clone()).await;
        }
        if Instant::now() + pause >= deadline {
            return Err(StepError {
                message: format!("waited {limit:?} until {what}; last seen: {seen}"),
                passing: true,
            });
        }
        last = Some(seen);
        tokio::select! {
            () = sleep(pause) => {}
            () = context.cancel.cancelled() => return Err(StepError::cancelled()),
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}
