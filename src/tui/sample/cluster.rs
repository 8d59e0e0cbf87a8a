//! Who is there, and what is known of it: nodes, services, the workspace.

use std::collections::{BTreeMap, BTreeSet};

use super::ago;
use super::work::recipes;
use crate::client::{View, Workspace};
use crate::domain::environment::{Environment, Protection};
use crate::domain::facts::{ClockFacts, CloudInit, Disk, Interface, MoreFacts, Throttled};
use crate::domain::finding::assess;
use crate::domain::history::Point;
use crate::domain::live::{
    EnvironmentLive, Health, Members, NodeFacts, NodeReport, NodeSample, Observed, Problem,
    ServiceReport,
};
use crate::domain::node::{Jump, Node, Role, SshAccess};
use crate::domain::platform::{Arch, Platform};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::stack::Stack;

pub(super) const HOSTS: [(&str, &str, Platform, Arch); 5] = [
    ("pc1", "10.0.0.11", Platform::Rpi5Ubuntu, Arch::Arm64),
    ("pc2", "10.0.0.12", Platform::Rpi5Ubuntu, Arch::Arm64),
    ("pc3", "10.0.0.13", Platform::Rpi5Ubuntu, Arch::Arm64),
    ("h4", "10.0.0.21", Platform::OdroidH4, Arch::Amd64),
    ("c5", "10.0.0.31", Platform::OdroidC5, Arch::Arm64),
];

fn environment(name: &str, protection: Protection, marking: Option<&str>) -> Environment {
    let nodes = HOSTS
        .iter()
        .enumerate()
        .map(|(index, (name, address, platform, arch))| {
            let mut roles = BTreeSet::new();
            roles.insert(if index < 3 {
                Role::ConsulServer
            } else {
                Role::ConsulClient
            });
            roles.insert(if index < 3 {
                Role::Vault
            } else {
                Role::NomadClient
            });
            if index == 3 {
                roles.extend([Role::Harbor, Role::Traefik]);
            }
            Node {
                name: (*name).into(),
                address: (*address).into(),
                platform: *platform,
                arch: *arch,
                roles,
                labels: BTreeMap::from([("rack".to_owned(), "shelf".to_owned())]),
                ssh: SshAccess {
                    user: Some("ops".into()),
                    jump: (index > 2).then(|| Jump::Through("pc1".into())),
                    ..SshAccess::default()
                },
            }
        })
        .collect();
    let services = ServiceKind::ALL
        .iter()
        .filter(|kind| !matches!(kind, ServiceKind::Prometheus | ServiceKind::Etcd))
        .map(|kind| ServiceSpec {
            name: kind.word().into(),
            kind: *kind,
            urls: vec![format!("http://10.0.0.11:{}", kind.default_port())],
            nodes: vec!["pc1".into()],
            user: None,
            secret: None,
            ca: None,
        })
        .collect();
    Environment {
        name: name.into(),
        protection,
        marking: marking.map(Into::into),
        stack: Stack::Nomad,
        versions: BTreeMap::from([
            ("consul".to_owned(), "1.20.1".to_owned()),
            ("vault".to_owned(), "1.18.3".to_owned()),
        ]),
        nodes,
        services,
        artifacts: BTreeMap::new(),
        variables: BTreeMap::new(),
        backups: crate::domain::backup::Backups::default(),
        desired: Vec::new(),
    }
}

pub(crate) fn workspace() -> Workspace {
    let view = |id: &str, title: &str| View {
        id: id.into(),
        title: title.into(),
    };
    Workspace {
        name: "homelab".into(),
        read_only: false,
        environments: vec![
            environment("lab", Protection::Open, Some("LAB")),
            environment("staging", Protection::Confirm, None),
            environment("production", Protection::Typed, None),
        ],
        recipes: recipes(),
        views: BTreeMap::from([
            (
                "consul".to_owned(),
                vec![
                    view("members", "Members"),
                    view("services", "Services"),
                    view("raft", "Raft peers"),
                ],
            ),
            ("vault".to_owned(), vec![view("nodes", "Nodes")]),
        ]),
    }
}

/// An hour of swaying figures for each node but the one that is away.
pub(super) fn history() -> BTreeMap<String, Vec<Point>> {
    let figure = |index: usize, step: i64, middle: f32, sway: f32| {
        Some(middle + sway * ((step as f32 / 9.0 + index as f32).sin()))
    };
    [0, 2, 3, 4]
        .into_iter()
        .map(|index| {
            let point = |step: i64| Point {
                at: ago(5 * (60 - step) + 3).as_second(),
                cpu: figure(index, step, [12.0, 31.0, 15.0, 80.0, 3.0][index], 3.0),
                load: figure(index, step, [0.6, 1.3, 0.5, 2.4, 0.2][index], 0.2),
                memory: figure(index, step, [38.0, 61.0, 44.0, 82.0, 29.0][index], 4.0),
                disk: None,
                received: figure(index, step, 900_000.0, 400_000.0),
                sent: figure(index, step, 300_000.0, 200_000.0),
                temperature: figure(index, step, 52.0, 6.0),
            };
            (HOSTS[index].0.to_owned(), (0..60).map(point).collect())
        })
        .collect()
}

fn disks(index: usize) -> Vec<Disk> {
    let gib = 1 << 30;
    let disk = |mount: &str, device: &str, total: u64, used: u64| Disk {
        mount: mount.into(),
        device: device.into(),
        total: total * gib,
        used: used * gib,
    };
    vec![
        disk(
            "/",
            "/dev/mmcblk0p2",
            64,
            64 * [41, 47, 39, 93, 22][index] / 100,
        ),
        disk("/srv/ceph", "/dev/nvme0n1p1", 512, 188),
    ]
}

fn more_facts(index: usize) -> MoreFacts {
    MoreFacts {
        os_id: Some("ubuntu".into()),
        os_version: Some("24.04".into()),
        cpu_model: Some("ARM Cortex-A76".into()),
        virtualisation: Some("none".into()),
        clock: ClockFacts {
            synchronised: Some(true),
            by: Some("chrony".into()),
            offset_us: Some(412),
            ahead_s: Some(0),
        },
        package_manager: Some("apt-get".into()),
        elevates: vec!["sudo".into(), "su".into()],
        interfaces: vec![Interface {
            name: "eth0".into(),
            addresses: vec![format!("10.0.0.1{}/24", index + 1)],
        }],
        reboot_needed: Some(index == 1),
        cloud_init: Some(CloudInit::Done),
        memory_cgroup: Some(true),
        ..MoreFacts::default()
    }
}

pub(super) fn node(index: usize) -> Observed<NodeReport> {
    let (name, _, platform, arch) = HOSTS[index];
    let heavy = index == 3;
    let gib = 1 << 30;
    let share = [38, 61, 44, 82, 29][index];
    let report = NodeReport {
        facts: NodeFacts {
            hostname: name.into(),
            os: "Ubuntu 24.04.2 LTS".into(),
            kernel: "6.8.0-1018-raspi".into(),
            machine: if arch == Arch::Arm64 {
                "aarch64"
            } else {
                "x86_64"
            }
            .into(),
            model: (platform != Platform::OdroidC5)
                .then(|| "Raspberry Pi 5 Model B Rev 1.0".into()),
            cpus: 4,
            boot_id: "b".into(),
            systemd: true,
            more: more_facts(index),
        },
        sample: NodeSample {
            uptime: 86_400 * (index as u64 + 3) + 7400,
            load: [[0.42, 1.31, 0.55, 3.12, 0.08][index], 0.5, 0.4],
            memory_total: 8 * gib,
            memory_available: 8 * gib * (100 - share) / 100,
            disk_total: Some(64 * gib),
            disk_used: Some(64 * gib * [41, 47, 39, 93, 22][index] / 100),
            temperature: Some([52.0, 55.0, 51.0, 68.0, 44.0][index]),
            failed_units: if heavy {
                vec!["harbor-db.service".into()]
            } else {
                Vec::new()
            },
            cpu_percent: Some([12.0, 31.0, 15.0, 88.0, 3.0][index]),
            swap_total: Some(0),
            swap_used: Some(0),
            disks: disks(index),
            received: Some([1_240_000, 380_000, 920_000, 12_400_000, 18_000][index]),
            sent: Some([310_000, 95_000, 210_000, 2_900_000, 7_000][index]),
            throttled: (index == 0).then_some(Throttled(0x50000)),
            probe_percent: Some(0.11),
        },
        latency_ms: [4, 6, 5, 2, 11][index],
    };
    let mut observed = Observed::default();
    observed.succeed(report, ago(3));
    if index == 1 {
        observed.as_of = Some(ago(95));
        for seconds in [92, 60, 12] {
            observed.fail(
                "10.0.0.12:22: connection refused; is sshd running there?",
                ago(seconds),
            );
        }
    }
    observed
}

fn service(kind: ServiceKind) -> Observed<ServiceReport> {
    let members = |well, total| Some(Members { well, total });
    let (health, version, leader, members, summary, problem) = match kind {
        ServiceKind::Consul => (
            Health::Warn,
            "1.20.1",
            Some("pc1 10.0.0.11:8300"),
            members(4, 5),
            "leader pc1, 4 of 5 members alive",
            Some(("member:pc2", Health::Warn, "member pc2 is failed")),
        ),
        ServiceKind::Vault => (
            Health::Ok,
            "1.18.3",
            Some("pc1"),
            members(3, 3),
            "unsealed, active on pc1",
            None,
        ),
        ServiceKind::Nomad => (
            Health::Ok,
            "1.9.5",
            Some("pc3"),
            members(3, 3),
            "leader pc3, 14 jobs running",
            None,
        ),
        ServiceKind::Ceph => (
            Health::Warn,
            "19.2.1",
            None,
            members(2, 3),
            "HEALTH_WARN, 3 mons, 2 of 3 osds up",
            Some(("osd.1", Health::Warn, "osd.1 is down")),
        ),
        ServiceKind::Harbor => (
            Health::Down,
            "2.12.2",
            None,
            members(7, 8),
            "database is unhealthy",
            Some(("database", Health::Down, "component database is unhealthy")),
        ),
        ServiceKind::Traefik => (
            Health::Ok,
            "3.3.3",
            None,
            None,
            "12 routers, 9 services, no errors",
            None,
        ),
        ServiceKind::Grafana => (
            Health::Ok,
            "11.5.2",
            None,
            None,
            "database ok, 0 alerts firing",
            None,
        ),
        ServiceKind::Kubernetes | ServiceKind::Prometheus | ServiceKind::Etcd => (
            Health::Ok,
            "1.33.0",
            None,
            members(5, 5),
            "5 of 5 nodes ready",
            None,
        ),
    };
    let mut observed = Observed::default();
    observed.succeed(
        ServiceReport {
            health,
            version: Some(version.into()),
            leader: leader.map(Into::into),
            members,
            summary: summary.into(),
            problems: problem
                .into_iter()
                .map(|(key, health, text)| Problem {
                    key: key.into(),
                    health,
                    text: text.into(),
                })
                .collect(),
            latency_ms: 7,
        },
        ago(4),
    );
    if kind == ServiceKind::Grafana {
        observed.as_of = Some(ago(70));
        observed.fail("http://10.0.0.11:3000: no answer within 5 s", ago(65));
    }
    observed
}

pub(crate) fn live() -> BTreeMap<String, EnvironmentLive> {
    let workspace = workspace();
    let mut all = BTreeMap::new();
    for environment in &workspace.environments {
        let calm = environment.name != "lab";
        let mut known = EnvironmentLive::default();
        for (index, (name, ..)) in HOSTS.iter().enumerate() {
            if !calm || index != 1 && index != 3 {
                known.nodes.insert((*name).into(), node(index));
            }
        }
        for kind in ServiceKind::ALL
            .iter()
            .filter(|kind| !matches!(kind, ServiceKind::Prometheus | ServiceKind::Etcd))
            .filter(|kind| !calm || **kind == ServiceKind::Vault)
        {
            known.services.insert(kind.word().into(), service(*kind));
        }
        known.findings = assess(environment, &known, ago(92));
        all.insert(environment.name.clone(), known);
    }
    all
}
