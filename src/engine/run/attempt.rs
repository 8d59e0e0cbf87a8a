//! One task from its first attempt to its end: retries, time limits, cancellation, panics.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::recipe::Step;
use crate::domain::run::{Stream, TaskState};
use crate::resources::Log;
use crate::steps::{Outcome, StepError};

/// How long a task that was told to stop may take to do so.
const GRACE: Duration = Duration::from_secs(10);
/// The pause before the second attempt; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Carries out one attempt of one task.
#[async_trait]
pub(in crate::engine) trait Executor: Send + Sync {
    /// Does the work of `step` on `host`, or once for `None`. Stops soon when `cancel` fires.
    async fn execute(
        &self,
        step: &Step,
        host: Option<&str>,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
    ) -> Result<Outcome, StepError>;

    /// Waits until nothing of an earlier attempt still runs on `host`; called before each attempt but the first.
    async fn outlast(
        &self,
        step: &Step,
        host: Option<&str>,
        log: &dyn Log,
        cancel: &CancellationToken,
    ) -> Result<(), StepError>;
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) state: TaskState,
    pub(super) attempts: u32,
    pub(super) reason: Option<String>,
}

/// Lets a task begin again, once that is on record.
#[async_trait]
pub(super) trait Permit: Send + Sync {
    /// Waits until attempt number `attempt`, made because of `reason`, may begin; `false` when there shall be none.
    async fn again(&self, attempt: u32, reason: String) -> bool;
}

/// What [`Ending`] is made from.
pub(super) struct Work<'a> {
    pub(super) executor: &'a dyn Executor,
    pub(super) step: &'a Step,
    pub(super) host: Option<&'a str>,
    pub(super) limit: Duration,
    pub(super) log: Arc<dyn Log>,
    /// Fires when the run shall stop.
    pub(super) cancel: &'a CancellationToken,
    pub(super) permit: &'a dyn Permit,
}

impl Work<'_> {
    /// Attempts the work until it ends well, cannot be helped by another attempt, or was tried often enough.
    pub(super) async fn carry_out(&self) -> Ending {
        let mut attempts = 1;
        loop {
            let error = match self.attempt(attempts > 1).await {
                Attempt::Done(outcome) => return done(outcome, attempts),
                Attempt::Stopped(told) => {
                    let reason = format!("stopped while in progress, it may be half done{told}");
                    self.log.line(Stream::Note, reason.clone()).await;
                    return Ending {
                        state: TaskState::Cancelled,
                        attempts,
                        reason: Some(reason),
                    };
                }
                Attempt::Failed(error) => error,
            };
            let failed = |message| Ending {
                state: TaskState::Failed,
                attempts,
                reason: Some(message),
            };
            self.log
                .line(Stream::Note, format!("failed: {}", error.message))
                .await;
            if !error.passing || attempts > self.step.retries {
                return failed(error.message);
            }
            let pause = pause_before(attempts + 1);
            self.log
                .line(
                    Stream::Note,
                    format!(
                        "attempt {} of {} follows in {} s",
                        attempts + 1,
                        self.step.retries.saturating_add(1),
                        pause.as_secs()
                    ),
                )
                .await;
            if self
                .cancel
                .run_until_cancelled(sleep(pause))
                .await
                .is_none()
            {
                return failed(format!(
                    "{} (stopped before another attempt)",
                    error.message
                ));
            }
            if !self.permit.again(attempts + 1, error.message.clone()).await {
                return failed(error.message);
            }
            attempts += 1;
        }
    }

    async fn attempt(&self, again: bool) -> Attempt {
        // A token of its own: running out of time stops this attempt and nothing else.
        let token = self.cancel.child_token();
        let (executor, step, host) = (self.executor, self.step, self.host);
        let work = async {
            if again {
                executor.outlast(step, host, &*self.log, &token).await?;
            }
            let log = Arc::clone(&self.log);
            executor.execute(step, host, log, token.clone()).await
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        tokio::pin!(work);
        let out_of_time = tokio::select! {
            result = &mut work => {
                return match finished(result) {
                    // It heard of the end before we did.
                    Attempt::Failed(error) if self.cancel.is_cancelled() => {
                        Attempt::Stopped(format!(": {}", error.message))
                    }
                    attempt => attempt,
                };
            }
            () = sleep(self.limit) => true,
            () = self.cancel.cancelled() => false,
        };
        token.cancel();
        // Programs that hold state get what their step gives them, and then a moment to be killed in.
        let grace = self.step.grace().map_or(GRACE, |grace| grace + GRACE);
        let late = timeout(grace, &mut work).await;
        // It may have reached its end in the same moment; then that is what happened.
        if let Ok(Ok(Ok(outcome))) = late {
            return Attempt::Done(outcome);
        }
        let told = match late {
            Ok(Ok(Err(error))) => format!(": {}", error.message),
            Ok(Err(panic)) => format!(": {}", panicked(panic.as_ref())),
            _ => format!(
                "; it did not stop within {} s and was abandoned",
                grace.as_secs()
            ),
        };
        if out_of_time {
            Attempt::Failed(StepError {
                message: format!("took longer than {:?}{told}", self.limit),
                passing: true,
            })
        } else {
            Attempt::Stopped(told)
        }
    }
}

enum Attempt {
    Done(Outcome),
    Failed(StepError),
    Stopped(String),
}

fn finished(result: Result<Result<Outcome, StepError>, Box<dyn Any + Send>>) -> Attempt {
    match result {
        Ok(Ok(outcome)) => Attempt::Done(outcome),
        Ok(Err(error)) => Attempt::Failed(error),
        Err(panic) => Attempt::Failed(StepError {
            message: panicked(panic.as_ref()),
            passing: false,
        }),
    }
}

fn done(outcome: Outcome, attempts: u32) -> Ending {
    let (state, reason) = match outcome {
        Outcome::Ok => (TaskState::Ok, None),
        Outcome::Changed => (TaskState::Changed, None),
        Outcome::Skipped(why) => (TaskState::Skipped, Some(why)),
    };
    Ending {
        state,
        attempts,
        reason,
    }
}

/// What is said of a panic: it is our mistake, and the operator should know that it is not his.
pub(in crate::engine) fn panicked(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    format!("a mistake in Quarterdeck itself stopped this: {message}")
}

/// The pause before attempt number `attempt` (from 2): 1 s, 2 s, 4 s … 30 s, and up to a quarter more by chance, so that
/// hosts that failed together do not all come back together.
fn pause_before(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(2).min(10));
    let pause = doubled.min(LONGEST_PAUSE);
    pause + pause.mul_f32(fastrand::f32() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let floors = [1, 2, 4, 8, 16, 30, 30];
        for (attempt, floor) in (2..).zip(floors) {
            let pause = pause_before(attempt).as_secs_f32();
            let floor = f32::from(u8::try_from(floor).unwrap());
            assert!(
                (floor..=floor * 1.25).contains(&pause),
                "{attempt}: {pause}"
            );
        }
        assert!(pause_before(u32::MAX) < Duration::from_secs(38));
    }
}
