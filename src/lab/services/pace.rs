//! How long the simulated systems take to notice and to react.

use std::time::Duration;

use jiff::SignedDuration;

/// The delays of the simulation. [`Pace::default`] is true to life where that is bearable while practising.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From the death of an agent until gossip calls it failed (Serf suspects, then declares).
    pub gossip: SignedDuration,
    /// From the loss of a leader until the next one is elected.
    pub election: SignedDuration,
    /// From the last heartbeat of a kubelet until its node is `NotReady` (`node-monitor-grace-period`, 40 s in life).
    pub node_grace: SignedDuration,
    /// From `NotReady` until pods are evicted (`tolerationSeconds`, 300 s in life).
    pub eviction: SignedDuration,
    /// From the death of an OSD until its peers have it marked down (`osd_heartbeat_grace`, 20 s in life).
    pub osd_grace: SignedDuration,
    /// From the return of an OSD until its placement groups are clean.
    pub recovery: SignedDuration,
    /// From a failed instance until its scheduler has another one running.
    pub reschedule: SignedDuration,
    /// How long a connection to a powered-off machine stays silent before it is reset.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gossip: SignedDuration::from_secs(3),
            election: SignedDuration::from_secs(2),
            node_grace: SignedDuration::from_secs(10),
            eviction: SignedDuration::from_secs(30),
            osd_grace: SignedDuration::from_secs(5),
            recovery: SignedDuration::from_secs(20),
            reschedule: SignedDuration::from_secs(5),
            silence: Duration::from_secs(3),
        }
    }
}

impl Pace {
    /// The delays that real systems have with their default settings.
    pub fn lifelike() -> Self {
        Self {
            node_grace: SignedDuration::from_secs(40),
            eviction: SignedDuration::from_secs(300),
            osd_grace: SignedDuration::from_secs(20),
            recovery: SignedDuration::from_secs(120),
            reschedule: SignedDuration::from_secs(15),
            ..Self::default()
        }
    }
}
