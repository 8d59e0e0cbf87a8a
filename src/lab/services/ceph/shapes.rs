//! The dashboard's answers, field by field as its controllers put them together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::VERSION;
use super::health;
use super::osd::Osd;
use super::state::{Ceph, Monitor, OBJECTS, OSD_BYTES, POOLS, Pool, REPLICAS};

/// Bytes in use over all OSDs, replicas included.
fn used() -> u64 {
    POOLS.iter().map(|pool| pool.bytes).sum::<u64>() * REPLICAS
}

/// `/api/summary`.
pub(crate) fn summary(ceph: &Ceph, now: Timestamp) -> Value {
    let active = ceph.active_manager().unwrap_or_default();
    json!({
        "health_status": health::status(&health::checks(ceph, now)),
        "mgr_id": active,
        "mgr_host": active,
        "have_mon_connection": if ceph.quorum.leader().is_some() { "true" } else { "false" },
        "executing_tasks": [],
        "finished_tasks": [],
        "version": VERSION,
        "rbd_mirroring": { "warnings": 0, "errors": 0 },
    })
}

/// `/api/health/minimal`.
pub(crate) fn minimal(ceph: &Ceph, now: Timestamp) -> Value {
    let total = POOLS.iter().map(|pool| pool.groups).sum();
    let osds: Vec<Value> = ceph
        .osds
        .iter()
        .map(|osd| json!({ "in": u8::from(osd.inside), "up": u8::from(osd.up) }))
        .collect();
    let capacity = OSD_BYTES * ceph.osds.len() as u64;
    let standbys: Vec<Value> = ceph
        .standby_managers()
        .into_iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let monitors: Vec<Value> = ceph.monitors.values().map(|_| json!({})).collect();
    let recovering = ceph.osds.iter().any(|osd| osd.recovering.is_some());
    json!({
        "client_perf": {
            "read_bytes_sec": 24_576,
            "read_op_per_sec": 6,
            "recovering_bytes_per_sec": if recovering { 48_234_496 } else { 0 },
            "write_bytes_sec": 393_216,
            "write_op_per_sec": 21,
        },
        "df": {
            "stats": {
                "total_avail_bytes": capacity - used(),
                "total_bytes": capacity,
                "total_used_raw_bytes": used(),
            },
        },
        "fs_map": { "filesystems": [], "standbys": [] },
        "health": health::report(ceph, now),
        "hosts": ceph.hosts.len(),
        "iscsi_daemons": { "down": 0, "up": 0 },
        "mgr_map": {
            "active_name": ceph.active_manager().unwrap_or_default(),
            "standbys": standbys,
        },
        "mon_status": {
            "monmap": { "mons": monitors },
            "quorum": quorum(ceph),
        },
        "osd_map": { "osds": osds },
        "pg_info": {
            "object_stats": {
                "num_object_copies": OBJECTS * REPLICAS,
                "num_objects": OBJECTS,
                "num_objects_degraded": ceph.degraded(now),
                "num_objects_misplaced": 0,
                "num_objects_unfound": 0,
            },
            "pgs_per_osd": f64::from(total),
            "statuses": ceph.groups(total, now),
        },
        "pools": POOLS.iter().map(|_| json!({})).collect::<Vec<_>>(),
        "rgw": 0,
        "scrub_status": "Inactive",
    })
}

/// The ranks of the monitors in quorum.
fn quorum(ceph: &Ceph) -> Vec<usize> {
    ceph.monitors
        .values()
        .filter(|monitor| monitor.in_quorum)
        .map(|monitor| monitor.rank)
        .collect()
}

/// `/api/osd`.
pub(crate) fn osds(ceph: &Ceph) -> Vec<Value> {
    ceph.osds.iter().map(|osd| shown(ceph, osd)).collect()
}

fn shown(ceph: &Ceph, osd: &Osd) -> Value {
    let total: u32 = POOLS.iter().map(|pool| pool.groups).sum();
    let groups = if osd.serves() { total } else { 0 };
    let used = used() / ceph.osds.len().max(1) as u64;
    let (up, inside) = (u8::from(osd.up), u8::from(osd.inside));
    let weight = f64::from(inside);
    let state = if osd.up {
        vec!["exists", "up"]
    } else {
        vec!["exists"]
    };
    json!({
        "osd": osd.id,
        "id": osd.id,
        "uuid": osd.uuid,
        "up": up,
        "in": inside,
        "weight": weight,
        "primary_affinity": 1.0,
        "state": state,
        "host": {
            "id": -3 - 2 * i64::from(osd.id),
            "name": osd.node,
            "type": "host",
            "type_id": 1,
        },
        "tree": {
            "id": osd.id,
            "device_class": "ssd",
            "type": "osd",
            "type_id": 0,
            "crush_weight": 0.488_189_697_265_625,
            "depth": 2,
            "pool_weights": {},
            "exists": 1,
            "status": if osd.up { "up" } else { "down" },
            "reweight": weight,
            "primary_affinity": 1.0,
            "name": format!("osd.{}", osd.id),
        },
        "osd_stats": {
            "osd": osd.id,
            "num_pgs": groups,
            "kb": OSD_BYTES / 1024,
            "kb_used": used / 1024,
            "kb_avail": (OSD_BYTES - used) / 1024,
        },
        "stats": {
            "numpg": groups,
            "stat_bytes": OSD_BYTES,
            "stat_bytes_used": used,
            "op_r": 2.0,
            "op_in_bytes": 131_072.0,
            "op_out_bytes": 8_192.0,
            "op_w": 7.0,
        },
        "stats_history": {},
        "operational_status": "unmanaged",
    })
}

/// `/api/monitor`.
pub(crate) fn monitors(ceph: &Ceph) -> Value {
    let entry = |monitor: &Monitor| {
        let address = &monitor.host.address;
        json!({
            "rank": monitor.rank,
            "name": monitor.host.name,
            "public_addrs": {
                "addrvec": [
                    { "type": "v2", "addr": format!("{address}:3300"), "nonce": 0 },
                    { "type": "v1", "addr": format!("{address}:6789"), "nonce": 0 },
                ],
            },
            "addr": format!("{address}:6789/0"),
            "public_addr": format!("{address}:6789/0"),
            "priority": 0,
            "weight": 0,
            "crush_location": "{}",
        })
    };
    let all: Vec<Value> = ceph.monitors.values().map(entry).collect();
    let part = |inside: bool| -> Vec<Value> {
        ceph.monitors
            .values()
            .filter(|monitor| monitor.in_quorum == inside)
            .map(|monitor| {
                let mut shown = entry(monitor);
                let sessions = if inside { 12 } else { 0 };
                shown["stats"] = json!({ "num_sessions": [[0, sessions]] });
                shown
            })
            .collect()
    };
    let leader = ceph.quorum.leader().unwrap_or_default();
    let rank = ceph.monitors.get(leader).map_or(0, |monitor| monitor.rank);
    json!({
        "mon_status": {
            "name": leader,
            "rank": rank,
            "state": if leader.is_empty() { "electing" } else { "leader" },
            "election_epoch": ceph.quorum.term() * 2,
            "quorum": quorum(ceph),
            "outside_quorum": [],
            "extra_probe_peers": [],
            "sync_provider": [],
            "monmap": {
                "epoch": 3,
                "fsid": ceph.ids.uuid("ceph/fsid"),
                "modified": ceph.born.to_string(),
                "created": ceph.born.to_string(),
                "min_mon_release": 19,
                "min_mon_release_name": "squid",
                "election_strategy": 1,
                "mons": all,
            },
        },
        "in_quorum": part(true),
        "out_quorum": part(false),
    })
}

/// `/api/pool`.
pub(crate) fn pools(ceph: &Ceph, now: Timestamp) -> Vec<Value> {
    let room = OSD_BYTES.saturating_sub(used() / REPLICAS);
    POOLS
        .iter()
        .map(|pool| pool_shown(pool, room, &ceph.groups(pool.groups, now)))
        .collect()
}

fn pool_shown(pool: &Pool, room: u64, groups: &BTreeMap<&'static str, u32>) -> Value {
    let now = |value: Value| json!({ "latest": value, "rate": 0.0, "rates": [] });
    let bytes = pool.bytes * REPLICAS;
    let percent = bytes as f64 / (bytes + room * REPLICAS) as f64;
    json!({
        "pool": pool.id,
        "pool_name": pool.name,
        "flags": 8193,
        "flags_names": "hashpspool,selfmanaged_snaps",
        "type": "replicated",
        "size": REPLICAS,
        "min_size": 2,
        "crush_rule": "replicated_rule",
        "pg_autoscale_mode": "on",
        "pg_num": pool.groups,
        "pg_placement_num": pool.groups,
        "pg_num_target": pool.groups,
        "quota_max_bytes": 0,
        "quota_max_objects": 0,
        "erasure_code_profile": "",
        "application_metadata": [pool.application],
        "options": {},
        "pg_status": groups,
        "stats": {
            "stored": now(json!(pool.bytes)),
            "bytes_used": now(json!(bytes)),
            "max_avail": now(json!(room)),
            "percent_used": now(json!(percent)),
            "rd": now(json!(0)),
            "wr": now(json!(0)),
        },
    })
}

/// `/api/host`.
pub(crate) fn hosts(ceph: &Ceph) -> Vec<Value> {
    ceph.hosts
        .iter()
        .map(|host| {
            let mut services = Vec::new();
            if ceph.monitors.contains_key(&host.name) {
                services.push(json!({ "type": "mgr", "id": host.name }));
                services.push(json!({ "type": "mon", "id": host.name }));
            }
            let osds = ceph.osds.iter().filter(|osd| osd.node == host.name);
            services.extend(osds.map(|osd| json!({ "type": "osd", "id": osd.id.to_string() })));
            let instances: Vec<Value> = services
                .iter()
                .map(|service| json!({ "type": service["type"], "count": 1 }))
                .collect();
            json!({
                "hostname": host.name,
                "addr": "",
                "labels": [],
                "service_type": "",
                "status": "",
                "ceph_version": VERSION,
                "services": services,
                "service_instances": instances,
                "sources": { "ceph": true, "orchestrator": false },
            })
        })
        .collect()
}
