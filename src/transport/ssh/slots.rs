//! How many sessions a connection may have at once.
//!
//! A server allows a number of its own choosing (`MaxSessions`, 10 unless configured) and says so only by refusing the
//! next one. The limit is learnt from that refusal; whoever was refused waits for another session to end.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// `MaxSessions` of an OpenSSH server that says nothing else.
const USUAL: usize = 10;

#[derive(Debug)]
pub(super) struct Slots {
    count: Mutex<Count>,
    freed: Notify,
    /// Notified when somebody begins to wait.
    wanted: Notify,
}

#[derive(Debug)]
struct Count {
    open: usize,
    limit: usize,
    waiting: usize,
}

impl Slots {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            count: Mutex::new(Count {
                open: 0,
                limit: USUAL,
                waiting: 0,
            }),
            freed: Notify::new(),
            wanted: Notify::new(),
        })
    }

    /// A place for one session, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        if let Some(slot) = self.try_take() {
            return slot;
        }
        let _waiting = Waiting::begin(self);
        loop {
            // Registered before looking: a place that is freed in between is not missed.
            let freed = self.freed.notified();
            if let Some(slot) = self.try_take() {
                return slot;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let mut count = self.lock();
        if count.open >= count.limit {
            return None;
        }
        count.open += 1;
        let more = count.open < count.limit;
        drop(count);
        if more {
            // Whoever was woken for a place passes the word on when there are others.
            self.freed.notify_one();
        }
        Some(Slot(Arc::clone(self)))
    }

    /// Takes note that the server refused a session while `refused` held its place.
    ///
    /// Returns whether others are open, so that waiting for one of them makes sense.
    pub(super) fn refuse(&self, refused: Slot) -> bool {
        let mut count = self.lock();
        let others = count.open - 1;
        count.limit = others.clamp(1, count.limit);
        drop(count);
        drop(refused);
        others > 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Count> {
        // Plain numbers: a panic elsewhere cannot have left them half changed.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a place, until this is dropped.
struct Waiting<'a>(&'a Slots);

impl<'a> Waiting<'a> {
    fn begin(slots: &'a Slots) -> Self {
        slots.lock().waiting += 1;
        slots.wanted.notify_waiters();
        Self(slots)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

/// The place of one session; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Slots>);

impl Slot {
    /// Resolves when somebody waits for a place.
    pub(super) async fn wanted(&self) {
        loop {
            let mut wanted = std::pin::pin!(self.0.wanted.notified());
            // Registered before looking: who begins to wait in between is not missed.
            wanted.as_mut().enable();
            if self.0.lock().waiting > 0 {
                return;
            }
            wanted.await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_session_waits_for_another_to_end() {
        let slots = Slots::new();
        let first = slots.take().await;
        let second = slots.take().await;
        assert!(slots.refuse(second), "the first is open");
        assert!(slots.try_take().is_none(), "the limit is one now");
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn the_limit_never_falls_to_nothing() {
        let slots = Slots::new();
        let only = slots.take().await;
        assert!(!slots.refuse(only), "there is no other to wait for");
        assert!(slots.try_take().is_some());
    }

    #[tokio::test]
    async fn everyone_gets_a_turn() {
        let slots = Slots::new();
        let crowd: Vec<_> = (0..200)
            .map(|_| {
                let slots = Arc::clone(&slots);
                tokio::spawn(async move {
                    let slot = slots.take().await;
                    tokio::task::yield_now().await;
                    drop(slot);
                })
            })
            .collect();
        for one in crowd {
            one.await.unwrap();
        }
        assert_eq!(slots.lock().open, 0);
    }

    #[tokio::test]
    async fn whoever_holds_a_place_hears_that_it_is_wanted() {
        let slots = Slots::new();
        let only = slots.take().await;
        let second = slots.take().await;
        slots.refuse(second);
        tokio::select! {
            biased;
            () = only.wanted() => panic!("nobody waits yet"),
            () = tokio::task::yield_now() => {}
        }
        let waiting = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take().await }
        });
        only.wanted().await;
        drop(only);
        let next = waiting.await.unwrap();
        tokio::select! {
            biased;
            () = next.wanted() => panic!("who waited has it"),
            () = tokio::task::yield_now() => {}
        }
    }
}
