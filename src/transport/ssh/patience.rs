//! Deadlines that wait for people: while somebody is asked, the clock stands still.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long people have been asked so far.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    total: Duration,
    /// Questions that are open, and since when there has been one.
    open: usize,
    since: Option<Instant>,
}

impl Patience {
    /// Waits for `answer`, which a person gives.
    pub(super) async fn asking<F: Future>(&self, answer: F) -> F::Output {
        let _open = Open::begin(self);
        answer.await
    }

    /// Does `work` within `limit`, the time that people took aside; `None` when it takes longer.
    pub(super) async fn within<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        let began = Instant::now();
        let before = self.spent();
        tokio::pin!(work);
        loop {
            let end = began + limit + (self.spent().saturating_sub(before));
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = sleep_until(end) => {
                    if Instant::now() >= began + limit + (self.spent().saturating_sub(before)) {
                        return None;
                    }
                }
            }
        }
    }

    fn spent(&self) -> Duration {
        let spent = self.lock();
        spent.total + spent.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Spent> {
        // Numbers that are set together: a panic elsewhere cannot have left them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open question; closed when dropped.
struct Open<'p>(&'p Patience);

impl<'p> Open<'p> {
    fn begin(patience: &'p Patience) -> Self {
        let mut spent = patience.lock();
        spent.open += 1;
        spent.since.get_or_insert_with(Instant::now);
        Self(patience)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut spent = self.0.lock();
        spent.open -= 1;
        if spent.open == 0
            && let Some(since) = spent.since.take()
        {
            spent.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn time_that_people_take_does_not_count_and_all_other_time_does() {
        let patience = Patience::default();
        let work = async {
            sleep(6 * SECOND).await;
            patience.asking(sleep(100 * SECOND)).await;
            sleep(3 * SECOND).await;
        };
        assert_eq!(patience.within(10 * SECOND, work).await, Some(()));
        let work = async {
            patience.asking(sleep(100 * SECOND)).await;
            sleep(11 * SECOND).await;
        };
        let began = Instant::now();
        assert_eq!(patience.within(10 * SECOND, work).await, None);
        assert_eq!(began.elapsed().as_secs(), 110);
    }
}
