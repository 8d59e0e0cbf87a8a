//! Whether something runs, and since when: the raw material of every failure detector.

use jiff::{SignedDuration, Timestamp};

/// The life of one daemon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    alive: bool,
    since: Timestamp,
    starts: u64,
}

/// What an observation brought to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// As before.
    Steady,
    /// It stopped.
    Stopped,
    /// It came (back) to life, perhaps after a stop that nobody saw.
    Started,
}

impl Pulse {
    /// The pulse of a daemon that is first seen at `now`.
    pub(crate) const fn new(alive: bool, starts: u64, now: Timestamp) -> Self {
        Self {
            alive,
            since: now,
            starts,
        }
    }

    /// Takes note of how the daemon is at `now`.
    pub(crate) fn observe(&mut self, alive: bool, starts: u64, now: Timestamp) -> Beat {
        let restarted = starts != self.starts;
        self.starts = starts;
        let beat = match (self.alive, alive) {
            (true, false) => Beat::Stopped,
            (false, true) => Beat::Started,
            (true, true) if restarted => Beat::Started,
            _ => Beat::Steady,
        };
        if beat != Beat::Steady {
            self.alive = alive;
            self.since = now;
        }
        beat
    }

    /// Whether it runs.
    pub(crate) const fn alive(&self) -> bool {
        self.alive
    }

    /// When it last started or stopped.
    pub(crate) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether it has been gone for `delay` or longer.
    pub(crate) fn gone(&self, now: Timestamp, delay: SignedDuration) -> bool {
        !self.alive && now.duration_since(self.since) >= delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_daemon_counts_as_gone_only_after_the_delay() {
        let mut pulse = Pulse::new(true, 1, at(0));
        assert_eq!(pulse.observe(false, 1, at(10)), Beat::Stopped);
        assert!(!pulse.gone(at(12), SignedDuration::from_secs(3)));
        assert!(pulse.gone(at(13), SignedDuration::from_secs(3)));
    }

    #[test]
    fn a_restart_that_nobody_saw_is_noticed_by_its_count() {
        let mut pulse = Pulse::new(true, 1, at(0));
        assert_eq!(pulse.observe(true, 1, at(5)), Beat::Steady);
        assert_eq!(pulse.observe(true, 2, at(6)), Beat::Started);
        assert_eq!(pulse.since(), at(6));
    }
}
