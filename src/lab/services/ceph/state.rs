//! A Ceph cluster: monitors in quorum, the active manager, OSDs, and placement groups that follow from them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::osd::Osd;
use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::ids::Ids;
use crate::lab::services::pulse::Pulse;
use crate::lab::services::quorum::Quorum;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// Objects stored, each once per replica.
pub(crate) const OBJECTS: u64 = 12_480;
/// Replicas of every object.
pub(crate) const REPLICAS: u64 = 3;
/// Bytes of one OSD.
pub(crate) const OSD_BYTES: u64 = 500 * 1024 * 1024 * 1024;
/// How long a token of the dashboard is good for.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(8);
/// Tokens remembered; the oldest goes first.
const TOKENS_MAX: usize = 64;

/// A pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub id: u32,
    pub name: &'static str,
    pub application: &'static str,
    pub groups: u32,
    /// Bytes stored, before replication.
    pub bytes: u64,
}

const GIB: u64 = 1024 * 1024 * 1024;

/// Every pool.
pub(crate) const POOLS: [Pool; 3] = [
    Pool {
        id: 1,
        name: ".mgr",
        application: "mgr",
        groups: 1,
        bytes: 4 * 1024 * 1024,
    },
    Pool {
        id: 2,
        name: "kubernetes",
        application: "rbd",
        groups: 32,
        bytes: 38 * GIB,
    },
    Pool {
        id: 3,
        name: "registry",
        application: "rbd",
        groups: 32,
        bytes: 9 * GIB,
    },
];

/// A monitor, with the manager beside it.
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    pub host: Host,
    pub rank: usize,
    pulse: Pulse,
    /// Whether the others count on it.
    pub in_quorum: bool,
}

/// A cluster.
pub(crate) struct Ceph {
    pub monitors: BTreeMap<String, Monitor>,
    pub quorum: Quorum,
    managers: Quorum,
    pub osds: Vec<Osd>,
    pub hosts: Vec<Host>,
    pub ids: Ids,
    pub born: Timestamp,
    pub recovery: SignedDuration,
    tokens: Vec<(String, Timestamp)>,
    issued: u64,
    revision: u64,
}

impl Ceph {
    /// A healthy cluster on the nodes that have a Ceph role.
    pub(crate) fn new(around: &Surroundings, now: Timestamp) -> Self {
        let hosts: Vec<Host> = around
            .cluster
            .nodes()
            .into_iter()
            .filter(|host| {
                host.roles.contains(&Role::CephMon) || host.roles.contains(&Role::CephOsd)
            })
            .collect();
        let monitors: BTreeMap<String, Monitor> = hosts
            .iter()
            .filter(|host| host.roles.contains(&Role::CephMon))
            .enumerate()
            .map(|(rank, host)| {
                let unit = units::ceph_mon(&host.name);
                let alive = around.cluster.runs(&host.name, &unit);
                let starts = around.cluster.starts(&host.name, &unit);
                let monitor = Monitor {
                    host: host.clone(),
                    rank,
                    pulse: Pulse::new(alive, starts, now),
                    in_quorum: alive,
                };
                (host.name.clone(), monitor)
            })
            .collect();
        let osds = (0..)
            .zip(
                hosts
                    .iter()
                    .filter(|host| host.roles.contains(&Role::CephOsd)),
            )
            .map(|(id, host)| Osd::new(around, id, &host.name, now))
            .collect();
        let names: Vec<String> = monitors.keys().cloned().collect();
        let mut quorum = Quorum::new(names.clone());
        quorum.settle(|name| alive(&monitors, name), now);
        let mut managers = Quorum::new(names);
        managers.settle(|name| alive(&monitors, name), now);
        Self {
            monitors,
            quorum,
            managers,
            osds,
            hosts,
            ids: around.ids,
            born: now,
            recovery: around.pace.recovery,
            tokens: Vec::new(),
            issued: 0,
            revision: 0,
        }
    }

    /// The node of the manager that serves the dashboard.
    pub(crate) fn active_manager(&self) -> Option<&str> {
        self.managers.leader()
    }

    /// The nodes of the managers that stand by.
    pub(crate) fn standby_managers(&self) -> Vec<&str> {
        self.monitors
            .values()
            .filter(|monitor| monitor.pulse.alive())
            .map(|monitor| monitor.host.name.as_str())
            .filter(|name| Some(*name) != self.active_manager())
            .collect()
    }

    /// A new token of the dashboard.
    pub(crate) fn issue(&mut self, now: Timestamp) -> String {
        self.issued += 1;
        let part = |name: &str, length| {
            let label = format!("ceph/token/{}/{name}", self.issued);
            self.ids.word(&label, length)
        };
        // The shape of a JSON Web Token, which the dashboard's clients carry without looking inside.
        let token = format!(
            "ey{}.ey{}.{}",
            part("header", 34),
            part("body", 62),
            part("signature", 43)
        );
        self.tokens.push((token.clone(), now));
        if self.tokens.len() > TOKENS_MAX {
            self.tokens.remove(0);
        }
        token
    }

    /// Whether a token is one of ours and still good.
    pub(crate) fn knows(&self, token: &str, now: Timestamp) -> bool {
        self.tokens
            .iter()
            .any(|(known, issued)| known == token && now.duration_since(*issued) < TOKEN_LIFE)
    }

    /// The OSD with that number.
    pub(crate) fn osd_mut(&mut self, id: u32) -> Option<&mut Osd> {
        self.revision += 1;
        self.osds.iter_mut().find(|osd| osd.id == id)
    }

    /// Objects with fewer copies than they should have.
    pub(crate) fn degraded(&self, now: Timestamp) -> u64 {
        let copies = self
            .osds
            .iter()
            .map(|osd| osd.behind(now, self.recovery))
            .sum::<f64>();
        // Copies are spread evenly over the OSDs, one each when there are as many as replicas.
        let share = (OBJECTS * REPLICAS) as f64 / self.osds.len().max(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count between 0 and the number of copies"
        )]
        let degraded = (copies * share).round() as u64;
        degraded
    }

    /// Placement groups by state.
    pub(crate) fn groups(&self, total: u32, now: Timestamp) -> BTreeMap<&'static str, u32> {
        let serving = self.osds.iter().filter(|osd| osd.serves()).count() as u64;
        let missing = REPLICAS.saturating_sub(serving);
        let behind = self
            .osds
            .iter()
            .map(|osd| osd.behind(now, self.recovery))
            .filter(|behind| *behind < 1.0)
            .fold(0.0, f64::max);
        let state = match missing {
            0 => "active+clean",
            1 => "active+undersized+degraded",
            2 => "undersized+degraded+peered",
            _ => "down",
        };
        if missing > 0 || behind == 0.0 {
            return BTreeMap::from([(state, total)]);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count between 0 and the total"
        )]
        let recovering = ((f64::from(total) * behind).ceil() as u32).min(total);
        let mut groups = BTreeMap::from([("active+recovering+degraded", recovering.min(1))]);
        if recovering > 1 {
            groups.insert("active+recovery_wait+degraded", recovering - 1);
        }
        if recovering < total {
            groups.insert("active+clean", total - recovering);
        }
        groups
    }
}

fn alive(monitors: &BTreeMap<String, Monitor>, name: &str) -> bool {
    monitors
        .get(name)
        .is_some_and(|monitor| monitor.pulse.alive())
}

impl Machine for Ceph {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        let mut pending = false;
        for (name, monitor) in &mut self.monitors {
            let unit = units::ceph_mon(name);
            let alive = around.cluster.runs(name, &unit);
            monitor
                .pulse
                .observe(alive, around.cluster.starts(name, &unit), now);
            let in_quorum = !monitor.pulse.gone(now, around.pace.gossip);
            pending |= in_quorum && !alive;
            if in_quorum != monitor.in_quorum {
                monitor.in_quorum = in_quorum;
                self.revision += 1;
            }
        }
        let monitors = &self.monitors;
        let able = |name: &str| alive(monitors, name);
        let mut changed = self.quorum.advance(able, now, around.pace.election);
        let in_charge = self.quorum.leader().is_some();
        changed |= self.managers.advance(able, now, around.pace.election);
        pending |= self.quorum.electing(able) || self.managers.electing(able);
        for osd in &mut self.osds {
            let (moved, waiting) = osd.observe(around, now, in_charge);
            changed |= moved;
            pending |= waiting;
        }
        self.revision += u64::from(changed);
        Outlook::pending_if(pending)
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
