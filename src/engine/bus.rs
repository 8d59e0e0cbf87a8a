//! The way of events to any number of subscribers. Publishing never waits: a slow subscriber misses events and is told how
//! many, and reads the store and the live state again.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::broadcast;

use crate::client::{Event, Subscription};

/// Events kept for a subscriber that is behind.
const BEHIND: usize = 4096;

/// The engine's bus; clones are the same bus.
#[derive(Debug, Clone)]
pub(super) struct Bus(Arc<RwLock<Option<broadcast::Sender<Event>>>>);

impl Bus {
    pub(super) fn new() -> Self {
        Self::with_room_for(BEHIND)
    }

    pub(super) fn with_room_for(events: usize) -> Self {
        Self(Arc::new(RwLock::new(Some(broadcast::channel(events).0))))
    }

    /// Tells everybody who listens.
    pub(super) fn publish(&self, event: Event) {
        if let Some(sender) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            // An error means that nobody listens.
            let _ = sender.send(event);
        }
    }

    /// Events from now on; a stream that ends at once when the bus is closed.
    pub(super) fn subscribe(&self) -> Subscription {
        let sender = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let receiver = match &*sender {
            Some(sender) => sender.subscribe(),
            None => broadcast::channel(1).1,
        };
        Subscription::new(receiver)
    }

    /// Ends every subscription once it has been read to its end.
    pub(super) fn close(&self) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::RunId;

    fn lines(total: u64) -> Event {
        Event::Lines {
            run: RunId(uuid::Uuid::nil()),
            total,
        }
    }

    #[tokio::test]
    async fn a_slow_subscriber_is_told_how_many_events_it_missed() {
        let bus = Bus::with_room_for(4);
        let mut slow = bus.subscribe();
        for total in 1..=10 {
            bus.publish(lines(total));
        }
        assert_eq!(slow.next().await, Some(Event::Missed(6)));
        assert_eq!(slow.next().await, Some(lines(7)));
    }

    #[tokio::test]
    async fn closing_ends_subscriptions_after_their_last_event() {
        let bus = Bus::new();
        let mut early = bus.subscribe();
        bus.publish(lines(1));
        bus.close();
        assert_eq!(early.next().await, Some(lines(1)));
        assert_eq!(early.next().await, None);
        assert_eq!(bus.subscribe().next().await, None);
    }
}
