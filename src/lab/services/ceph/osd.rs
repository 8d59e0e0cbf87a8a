//! One object storage daemon: whether it runs, whether its peers have noticed, and how far it has recovered.

use jiff::{SignedDuration, Timestamp};

use crate::lab::services::pulse::Pulse;
use crate::lab::services::sim::Surroundings;
use crate::lab::services::units;

/// An OSD.
#[derive(Debug, Clone)]
pub(crate) struct Osd {
    pub id: u32,
    pub node: String,
    pub uuid: String,
    pulse: Pulse,
    /// Held down by a fault, whatever its unit does.
    pub forced_down: bool,
    /// Whether the map has it up.
    pub up: bool,
    /// Whether data may be on it.
    pub inside: bool,
    /// Since when it has been filling the gap that its absence left.
    pub recovering: Option<Timestamp>,
}

impl Osd {
    /// The OSD on `node` as it is at `now`.
    pub(crate) fn new(around: &Surroundings, id: u32, node: &str, now: Timestamp) -> Self {
        let unit = units::ceph_osd(id);
        let alive = around.cluster.runs(node, &unit);
        Self {
            id,
            node: node.to_owned(),
            uuid: around.ids.uuid(&format!("ceph/osd/{id}")),
            pulse: Pulse::new(alive, around.cluster.starts(node, &unit), now),
            forced_down: false,
            up: alive,
            inside: true,
            recovering: None,
        }
    }

    /// Looks at the daemon. The map changes only with monitors `in_charge`. Returns whether something changed, and whether
    /// something is still to come.
    pub(crate) fn observe(
        &mut self,
        around: &Surroundings,
        now: Timestamp,
        in_charge: bool,
    ) -> (bool, bool) {
        let unit = units::ceph_osd(self.id);
        let alive = around.cluster.runs(&self.node, &unit) && !self.forced_down;
        let starts = around.cluster.starts(&self.node, &unit);
        self.pulse.observe(alive, starts, now);
        if !in_charge {
            return (false, false);
        }
        let before = (self.up, self.recovering);
        if alive && !self.up {
            self.up = true;
            self.recovering = Some(now);
        } else if self.up && self.pulse.gone(now, around.pace.osd_grace) {
            self.up = false;
            self.recovering = None;
        }
        self.recovering = self
            .recovering
            .filter(|since| now.duration_since(*since) < around.pace.recovery);
        let pending = (self.up && !alive) || self.recovering.is_some();
        (before != (self.up, self.recovering), pending)
    }

    /// Whether it serves data.
    pub(crate) const fn serves(&self) -> bool {
        self.up && self.inside
    }

    /// How much of its data is behind, 0.0..=1.0.
    pub(crate) fn behind(&self, now: Timestamp, recovery: SignedDuration) -> f64 {
        if !self.serves() {
            return 1.0;
        }
        self.recovering.map_or(0.0, |since| {
            let done = now.duration_since(since).as_secs_f64() / recovery.as_secs_f64();
            (1.0 - done).clamp(0.0, 1.0)
        })
    }
}
