//! What services tell when they are asked: members, seals, snapshots, drift.

use super::{ago, now};
use crate::domain::backup::StoreKind;
use crate::domain::drift::board::{DriftBoard, KnownDrift, Looked};
use crate::domain::drift::ignore::{IgnoreRule, Until};
use crate::domain::drift::{DriftSource, Drifted};
use crate::domain::remedy::Remedy;
use crate::domain::seal::{NodeSeal, SealBoard, SealState};
use crate::domain::snapshot::{Drill, Inventory, Look, Snapshot};
use crate::domain::table::{Cell, Table, Tone};

pub(crate) fn members() -> Table {
    let mut table = Table::new(
        "Members",
        ["name", "address", "status", "type", "build", "votes"],
        "No members are known to this agent.",
    );
    for (name, address, status, tone, kind) in [
        (
            "pc1",
            "10.0.0.11:8301",
            "alive, leader",
            Tone::Good,
            "server",
        ),
        ("pc2", "10.0.0.12:8301", "failed", Tone::Bad, "server"),
        ("pc3", "10.0.0.13:8301", "alive", Tone::Good, "server"),
        ("h4", "10.0.0.21:8301", "alive", Tone::Good, "client"),
        ("c5", "10.0.0.31:8301", "leaving", Tone::Warn, "client"),
    ] {
        table.push(
            name,
            [
                name.into(),
                address.into(),
                Cell::new(status, tone),
                kind.into(),
                "1.20.1".into(),
                if kind == "server" { "yes" } else { "" }.into(),
            ],
        );
    }
    table
}

/// A Vault with one open node, one sealed and one silent.
pub(crate) fn seals() -> Vec<SealBoard> {
    let node = |name: &str, state: SealState| NodeSeal {
        state,
        kind: "shamir".into(),
        t: 3,
        n: 5,
        version: "1.20.4".into(),
        trouble: None,
        ..NodeSeal::unreachable(name, "")
    };
    let mut active = node("pc1", SealState::Active);
    active.leader = Some("pc1".into());
    let mut sealed = node("pc2", SealState::Sealed);
    sealed.since = Some(ago(754));
    let mut silent = NodeSeal::unreachable("pc3", "http://10.0.0.13:8200: connection refused");
    silent.since = Some(ago(61));
    vec![SealBoard {
        environment: "lab".into(),
        service: "vault".into(),
        nodes: vec![active, sealed, silent],
        as_of: now(),
    }]
}

/// One of each state: fresh, tried, damaged.
pub(super) fn snapshots() -> Vec<Snapshot> {
    let one = |service: &str, kind, seconds: i64| Snapshot {
        environment: "lab".into(),
        service: service.into(),
        kind,
        taken_at: ago(seconds),
        from: "pc1".into(),
        file: format!("/var/lib/quarterdeck/snapshots/lab/{service}/one.snap").into(),
        size: 48_213,
        sha256: "ab".repeat(32),
        state: 131_072,
        index: 4711,
        term: 3,
        recipients: Vec::new(),
        inventory: Inventory::default(),
        look: None,
        drill: None,
    };
    let damaged = Snapshot {
        look: Some(Look {
            at: ago(3600),
            flaw: Some("its checksum is another one".into()),
        }),
        ..one("consul", StoreKind::Consul, 200_000)
    };
    let tried = Snapshot {
        recipients: vec!["age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq".into()],
        look: Some(Look {
            at: ago(7200),
            flaw: None,
        }),
        drill: Some(Drill {
            at: ago(7000),
            took_ms: 2840,
            answers: "it leads, and has 12 keys".into(),
            flaw: None,
        }),
        ..one("consul", StoreKind::Consul, 90_000)
    };
    vec![damaged, tried, one("consul", StoreKind::Consul, 3600)]
}

/// One of each state: drifted, not known, rule expired, ignored.
pub(super) fn drift() -> DriftBoard {
    let known =
        |source, object: &str, field: &str, desired: &str, actual: &str, seconds: i64| KnownDrift {
            drifted: Drifted::new(source, object, field, desired, actual),
            scope: object.split('/').next().unwrap_or_default().to_owned(),
            first_seen: ago(seconds),
            last_seen: ago(60),
        };
    let file = "pc1/file /etc/consul.d/consul.hcl";
    let mut edited = known(
        DriftSource::Nodes,
        file,
        "content",
        "412 bytes",
        "455 bytes",
        7200,
    );
    edited.drifted.diff = [
        " datacenter = \"lab\"",
        "-log_level = \"debug\"",
        "+log_level = \"info\"",
        " server = true",
    ]
    .map(String::from)
    .into();
    edited.drifted.reconcile = Some(Remedy::recipe("deploy").on("pc1").only("consul.configure"));
    let mut mode = known(DriftSource::Nodes, file, "mode", "0640", "0644", 7200);
    mode.drifted.reconcile.clone_from(&edited.drifted.reconcile);
    let rows = vec![
        edited,
        mode,
        known(
            DriftSource::Nodes,
            "pc2/unit nomad.service",
            "state",
            "started",
            "inactive",
            90_000,
        ),
        known(
            DriftSource::Versions,
            "grafana",
            "version",
            "11.3.0",
            "11.2.2",
            600,
        ),
        known(
            DriftSource::Consul,
            "consul/kv/app/colour",
            "",
            "green",
            "blue",
            86_400 * 3,
        ),
    ];
    let look = |source, scope: &str, trouble: Option<&str>| Looked {
        source,
        scope: scope.into(),
        looked_at: ago(60),
        known_at: Some(ago(if trouble.is_some() { 4000 } else { 60 })),
        trouble: trouble.map(Into::into),
    };
    let looks = vec![
        look(DriftSource::Nodes, "pc1", None),
        look(
            DriftSource::Nodes,
            "pc2",
            Some("pc2: cannot connect to 10.0.0.2:22: no route to host"),
        ),
        look(DriftSource::Versions, "grafana", None),
        look(DriftSource::Consul, "consul", None),
    ];
    let rule = |matches: &str, expires, reason: &str| IgnoreRule {
        matches: matches.into(),
        environment: None,
        reason: reason.into(),
        expires,
    };
    let rules = vec![
        rule("consul:*/colour", Until::Never, "tried out by the shop"),
        rule(
            "versions:grafana*",
            Until::Day(jiff::civil::date(2020, 1, 31)),
            "waits for a window",
        ),
    ];
    DriftBoard::of("lab", rows, looks, Ok(rules), now())
}
