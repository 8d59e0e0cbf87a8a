//! Asking again and again: each source in a task of its own, so that a dead one delays nobody.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::directory::Directory;
use super::live::Live;
use super::run::panicked;
use crate::domain::environment::Environment;
use crate::store::Redactor;

/// The longest pause between two attempts at a dead source: how late its return is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// When to ask, and how long to wait for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// From one answer to the next question.
    pub(super) interval: Duration,
    /// How long an answer may take.
    pub(super) deadline: Duration,
}

impl Rhythm {
    /// The pause after `failures` failures in a row: the interval, doubled with each failure after the first up to
    /// [`LONGEST_PAUSE`], and up to a tenth more or less by `chance` (0.0..1.0), so that sources spread out.
    pub(super) fn pause(self, failures: u32, chance: f32) -> Duration {
        let doubled = self
            .interval
            .saturating_mul(1 << failures.saturating_sub(1).min(16));
        let pause = doubled.min(LONGEST_PAUSE.max(self.interval));
        pause.mul_f32(0.9 + 0.2 * chance)
    }
}

/// Something that can be asked.
#[async_trait]
pub(super) trait Source: Send + Sync {
    /// Asks once and takes in the answer; says whether there was one.
    async fn ask(&self, deadline: Duration) -> bool;

    /// Takes in that asking was not possible at all.
    fn give_up(&self, reason: String);
}

/// Asks `source` until `cancel` fires; at once whenever `wake` is notified. At most as many sources are being asked at a
/// time as `places` has permits.
pub(super) async fn poll(
    source: impl Source,
    rhythm: Rhythm,
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    cancel: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let turn = async {
            let _place = places.acquire().await;
            AssertUnwindSafe(source.ask(rhythm.deadline))
                .catch_unwind()
                .await
        };
        let Some(answered) = cancel.run_until_cancelled(turn).await else {
            return;
        };
        let answered = answered.unwrap_or_else(|panic| {
            source.give_up(panicked(panic.as_ref()));
            false
        });
        failures = if answered { 0 } else { failures + 1 };
        tokio::select! {
            () = sleep(rhythm.pause(failures, fastrand::f32())) => {}
            () = wake.notified() => {}
            () = cancel.cancelled() => return,
        }
    }
}

/// A service, asked by its adapter.
pub(super) struct ServiceSource {
    pub(super) environment: Arc<Environment>,
    pub(super) name: String,
    pub(super) directory: Arc<Directory>,
    pub(super) live: Arc<Live>,
    pub(super) redactor: Redactor,
}

#[async_trait]
impl Source for ServiceSource {
    async fn ask(&self, deadline: Duration) -> bool {
        let result = self
            .directory
            .report(&self.name, deadline)
            .await
            .map_err(|error| self.redactor.cleaned(error.to_string()));
        let answered = result.is_ok();
        self.live.service(&self.environment, &self.name, result);
        answered
    }

    fn give_up(&self, reason: String) {
        self.live
            .service(&self.environment, &self.name, Err(reason));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        interval: Duration::from_secs(4),
        deadline: Duration::from_secs(2),
    };

    /// Answers by script (the last entry for ever) and notes when it was asked.
    struct Scripted {
        script: Vec<Option<bool>>,
        asked: Arc<Mutex<Vec<Instant>>>,
        gave_up: Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl Source for Scripted {
        async fn ask(&self, _deadline: Duration) -> bool {
            let number = {
                let mut asked = self.asked.lock().unwrap();
                asked.push(Instant::now());
                asked.len() - 1
            };
            self.script
                .get(number)
                .or(self.script.last())
                .copied()
                .flatten()
                .expect("a question too many")
        }

        fn give_up(&self, reason: String) {
            self.gave_up.lock().unwrap().push(reason);
        }
    }

    struct Scene {
        asked: Arc<Mutex<Vec<Instant>>>,
        gave_up: Arc<Mutex<Vec<String>>>,
        wake: Arc<Notify>,
        cancel: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(script: &[Option<bool>]) -> Scene {
        let (asked, gave_up) = (Arc::default(), Arc::default());
        let source = Scripted {
            script: script.to_vec(),
            asked: Arc::clone(&asked),
            gave_up: Arc::clone(&gave_up),
        };
        let (wake, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(poll(
            source,
            RHYTHM,
            Arc::clone(&wake),
            Arc::new(Semaphore::new(1)),
            cancel.clone(),
        ));
        Scene {
            asked,
            gave_up,
            wake,
            cancel,
            task,
        }
    }

    #[test]
    fn a_dead_source_is_asked_ever_more_rarely_but_never_less_than_twice_a_minute() {
        let pauses: Vec<u64> = (0..7)
            .map(|failures| RHYTHM.pause(failures, 0.5).as_millis().try_into().unwrap())
            .collect();
        assert_eq!(pauses, [4000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert!(RHYTHM.pause(u32::MAX, 1.0) <= Duration::from_secs(34));
        let slow = Rhythm {
            interval: Duration::from_secs(300),
            ..RHYTHM
        };
        assert_eq!(slow.pause(9, 0.5), Duration::from_secs(300));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_asked_at_once_and_then_at_its_interval() {
        let scene = start(&[Some(true)]);
        let begun = Instant::now();
        sleep(Duration::from_secs(20)).await;
        let asked = scene.asked.lock().unwrap().clone();
        assert_eq!(asked[0], begun);
        assert!((5..=6).contains(&asked.len()), "{}", asked.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_asks_at_once() {
        let scene = start(&[Some(true)]);
        sleep(Duration::from_secs(1)).await;
        let woken = Instant::now();
        scene.wake.notify_one();
        sleep(Duration::from_millis(1)).await;
        assert_eq!(scene.asked.lock().unwrap().last(), Some(&woken));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_trouble_of_that_source_and_asking_goes_on() {
        let scene = start(&[None, Some(true)]);
        sleep(Duration::from_secs(10)).await;
        assert!(scene.gave_up.lock().unwrap()[0].contains("a question too many"));
        assert!(scene.asked.lock().unwrap().len() > 1);
    }

    #[tokio::test(start_paused = true)]
    async fn cancelling_ends_the_task() {
        let scene = start(&[Some(true)]);
        scene.cancel.cancel();
        scene.task.await.unwrap();
    }
}
