//! Health checks: <https://docs.ceph.com/en/squid/rados/operations/health-checks/>.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::state::{Ceph, OBJECTS, POOLS, REPLICAS};

/// A check that found something.
pub(crate) struct Check {
    kind: &'static str,
    severity: &'static str,
    count: usize,
    message: String,
    details: Vec<String>,
}

impl Check {
    fn warn(kind: &'static str, count: usize, message: String, details: Vec<String>) -> Self {
        Self {
            kind,
            severity: "HEALTH_WARN",
            count,
            message,
            details,
        }
    }

    fn shown(&self) -> Value {
        let details: Vec<Value> = self
            .details
            .iter()
            .map(|message| json!({ "message": message }))
            .collect();
        json!({
            "severity": self.severity,
            "summary": { "message": self.message, "count": self.count },
            "detail": details,
            "muted": false,
            "type": self.kind,
        })
    }
}

/// The overall word.
pub(crate) fn status(checks: &[Check]) -> &'static str {
    if checks.is_empty() {
        "HEALTH_OK"
    } else if checks.iter().any(|check| check.severity == "HEALTH_ERR") {
        "HEALTH_ERR"
    } else {
        "HEALTH_WARN"
    }
}

/// `health` within `/api/health/minimal`.
pub(crate) fn report(ceph: &Ceph, now: Timestamp) -> Value {
    let checks = checks(ceph, now);
    let shown: Vec<Value> = checks.iter().map(Check::shown).collect();
    json!({ "status": status(&checks), "checks": shown, "mutes": [] })
}

/// Everything that is wrong.
pub(crate) fn checks(ceph: &Ceph, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    checks.extend(monitors_down(ceph));
    checks.extend(osds_down(ceph));
    checks.extend(groups(ceph, now));
    checks
}

fn monitors_down(ceph: &Ceph) -> Option<Check> {
    let total = ceph.monitors.len();
    let quorum: Vec<&str> = ceph
        .monitors
        .values()
        .filter(|monitor| monitor.in_quorum)
        .map(|monitor| monitor.host.name.as_str())
        .collect();
    let out = total - quorum.len();
    let details = ceph.monitors.values().filter(|monitor| !monitor.in_quorum);
    (out > 0).then(|| {
        Check::warn(
            "MON_DOWN",
            out,
            format!("{out}/{total} mons down, quorum {}", quorum.join(",")),
            details
                .map(|monitor| {
                    let (host, rank) = (&monitor.host, monitor.rank);
                    format!(
                        "mon.{} (rank {rank}) addr [v2:{address}:3300/0,v1:{address}:6789/0] is down (out of quorum)",
                        host.name,
                        address = host.address,
                    )
                })
                .collect(),
        )
    })
}

fn osds_down(ceph: &Ceph) -> Vec<Check> {
    // An OSD that is out is expected to be down sooner or later, and is no news.
    let down: Vec<_> = ceph
        .osds
        .iter()
        .filter(|osd| !osd.up && osd.inside)
        .collect();
    if down.is_empty() {
        return Vec::new();
    }
    let count = down.len();
    let hosts = down
        .iter()
        .map(|osd| format!("host {} (root=default) (1 osds) is down", osd.node));
    vec![
        Check::warn(
            "OSD_DOWN",
            count,
            format!("{count} osds down"),
            down.iter()
                .map(|osd| format!("osd.{} (root=default,host={}) is down", osd.id, osd.node))
                .collect(),
        ),
        Check::warn(
            "OSD_HOST_DOWN",
            count,
            format!("{count} host ({count} osds) down"),
            hosts.collect(),
        ),
    ]
}

fn groups(ceph: &Ceph, now: Timestamp) -> Vec<Check> {
    let mut checks = Vec::new();
    let total = POOLS.iter().map(|pool| pool.groups).sum();
    let states = ceph.groups(total, now);
    let count = |word: &str| -> u32 {
        states
            .iter()
            .filter(|(state, _)| state.split('+').any(|part| part == word))
            .map(|(_, count)| count)
            .sum()
    };
    let active = count("active");
    if active < total {
        let inactive = total - active;
        checks.push(Check::warn(
            "PG_AVAILABILITY",
            inactive as usize,
            format!("Reduced data availability: {inactive} pgs inactive"),
            Vec::new(),
        ));
    }
    let (degraded, copies) = (ceph.degraded(now), OBJECTS * REPLICAS);
    if degraded > 0 {
        let percent = degraded as f64 * 100.0 / copies as f64;
        let mut message = format!(
            "Degraded data redundancy: {degraded}/{copies} objects degraded ({percent:.3}%), {} pgs degraded",
            count("degraded")
        );
        let undersized = count("undersized");
        if undersized > 0 {
            // Writing to a String cannot fail.
            let _ = write!(message, ", {undersized} pgs undersized");
        }
        checks.push(Check::warn(
            "PG_DEGRADED",
            count("degraded") as usize,
            message,
            Vec::new(),
        ));
    }
    checks
}
