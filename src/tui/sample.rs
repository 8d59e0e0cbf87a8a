//! A cluster to draw: five boards, eight services, a deploy that is going on, one that failed. Fed to the model through
//! messages only, as the engine would.

use std::collections::{BTreeMap, BTreeSet};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;
use uuid::Uuid;

use super::message::{Answer, Effect, LogAsk, LogPage, LogQuery, Message, RunRecord};
use super::model::{Model, Setup};
use super::{update, view};
use crate::client::{Event, View, Workspace};
use crate::domain::action::{Gate, Risk};
use crate::domain::backup::StoreKind;
use crate::domain::drift::board::{DriftBoard, KnownDrift, Looked};
use crate::domain::drift::ignore::{IgnoreRule, Until};
use crate::domain::drift::{DriftSource, Drifted};
use crate::domain::environment::{Environment, Protection};
use crate::domain::facts::{ClockFacts, CloudInit, Disk, Interface, MoreFacts, Throttled};
use crate::domain::finding::assess;
use crate::domain::history::Point;
use crate::domain::live::{
    EnvironmentLive, Health, Members, NodeFacts, NodeReport, NodeSample, Observed, Problem,
    ServiceReport,
};
use crate::domain::node::{Jump, Node, Role, SshAccess};
use crate::domain::plan::{Plan, PlanRequest, PlannedStep};
use crate::domain::platform::{Arch, Platform};
use crate::domain::recipe::{Offer, Param, Recipe, Selector, Step};
use crate::domain::remedy::Remedy;
use crate::domain::run::{LogLine, Run, RunId, RunState, Stream, Tally, Task, TaskKey, TaskState};
use crate::domain::schedule::{Memory, Missed, Outcome, ScheduleStatus};
use crate::domain::seal::{NodeSeal, SealBoard, SealState};
use crate::domain::service::{ServiceKind, ServiceSpec};
use crate::domain::snapshot::{Drill, Inventory, Look, Snapshot};
use crate::domain::stack::Stack;
use crate::domain::table::{Cell, Table, Tone};

/// The time on every picture.
pub(crate) fn now() -> Timestamp {
    "2026-03-01T14:03:22Z".parse().unwrap()
}

pub(crate) fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

const HOSTS: [(&str, &str, Platform, Arch); 5] = [
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

fn step(id: &str, title: &str, needs: &[&str], on: Option<Role>) -> Step {
    Step {
        id: id.into(),
        title: title.into(),
        needs: needs.iter().map(ToString::to_string).collect(),
        on: on.map(|role| Selector {
            roles: vec![role],
            ..Selector::default()
        }),
        ..Step::default()
    }
}

pub(crate) fn recipes() -> Vec<Recipe> {
    vec![
        Recipe {
            name: "deploy".into(),
            title: "Deploy Consul".into(),
            description:
                "Installs Consul on its servers, forms the cluster and waits until it has a leader."
                    .into(),
            risk: Risk::Change,
            offer_on: vec![Offer::Environment, Offer::Node],
            params: vec![
                Param {
                    name: "version".into(),
                    help: "Consul's version".into(),
                    default: Some(json!("1.20.1")),
                },
                Param {
                    name: "parallel".into(),
                    help: "hosts at a time".into(),
                    default: Some(json!(3)),
                },
            ],
            handlers: Vec::new(),
            steps: vec![
                step(
                    "preflight",
                    "Check the nodes",
                    &[],
                    Some(Role::ConsulServer),
                ),
                step(
                    "install",
                    "Install the package",
                    &["preflight"],
                    Some(Role::ConsulServer),
                ),
                step(
                    "configure",
                    "Write the configuration",
                    &["install"],
                    Some(Role::ConsulServer),
                ),
                step(
                    "start",
                    "Start the service",
                    &["configure"],
                    Some(Role::ConsulServer),
                ),
                step("leader", "Wait for a leader", &["start"], None),
            ],
        },
        Recipe {
            name: "verify".into(),
            title: "Verify the stack".into(),
            description: "Reads every service's health. Changes nothing.".into(),
            risk: Risk::Read,
            offer_on: vec![Offer::Environment, Offer::Service],
            params: Vec::new(),
            handlers: Vec::new(),
            steps: vec![step("health", "Ask every service", &[], None)],
        },
    ]
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
fn history() -> BTreeMap<String, Vec<Point>> {
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

fn node(index: usize) -> Observed<NodeReport> {
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

pub(crate) fn run_id(number: u128) -> RunId {
    RunId(Uuid::from_u128(number))
}

pub(crate) fn run(number: u128, state: RunState) -> Run {
    let tasks = tasks(state);
    let mut tally = Tally::default();
    for task in &tasks {
        tally.add(task.state);
    }
    let ended = state.is_final();
    let age = i64::try_from(14 - number).unwrap() * 1800 - 1728;
    Run {
        id: run_id(number),
        number: i64::try_from(number).unwrap(),
        recipe: "deploy".into(),
        title: "Deploy Consul".into(),
        environment: "lab".into(),
        dry_run: number == 10,
        state,
        started_by: "ops@bastion".into(),
        plan_hash: "3fa29c0b5de1".repeat(5),
        created_at: ago(age + 1),
        started_at: Some(ago(age)),
        ended_at: ended.then(|| ago(age - 48)),
        reason: (state == RunState::Failed).then(|| "Start the service failed on pc2".into()),
        tally,
        lines: 40,
        origin: None,
    }
}

/// The tasks of a run in that state.
pub(crate) fn tasks(state: RunState) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (index, (step, on)) in [
        ("preflight", 3),
        ("install", 3),
        ("configure", 3),
        ("start", 3),
        ("leader", 0),
    ]
    .iter()
    .enumerate()
    {
        for (host, at) in HOSTS.iter().enumerate().take((*on).max(1)) {
            let task_state = match state {
                RunState::Failed if index == 3 && host == 1 => TaskState::Failed,
                RunState::Failed if index == 4 => TaskState::Skipped,
                RunState::Running if index == 2 && host == 1 => TaskState::Running,
                RunState::Running if index > 2 || (index == 2 && host == 2) => TaskState::Pending,
                _ => [TaskState::Ok, TaskState::Changed][index % 2],
            };
            let begun = !matches!(task_state, TaskState::Pending | TaskState::Skipped);
            let start = 72 - i64::try_from(index).unwrap() * 14;
            tasks.push(Task {
                key: TaskKey {
                    step: (*step).into(),
                    host: (*on > 0).then(|| at.0.into()),
                },
                state: task_state,
                attempts: u32::from(begun) + u32::from(task_state == TaskState::Failed),
                started_at: begun.then(|| ago(start)),
                ended_at: (begun && task_state.is_final()).then(|| ago(start - 9)),
                reason: (task_state == TaskState::Failed).then(|| {
                    "unit consul.service did not become active within 30 s: bind: cannot assign requested address 10.0.0.12:8301; look at the address in /etc/consul.d/consul.hcl".into()
                }),
            });
        }
    }
    tasks
}

pub(crate) fn plan() -> Plan {
    let recipe = &recipes()[0];
    let previews: [&[&str]; 5] = [
        &["run uname -m", "needs 512M free on /"],
        &["package consul 1.20.1 from /var/cache/quarterdeck/consul_1.20.1_arm64.deb"],
        &["file /etc/consul.d/consul.hcl, 0640 consul:consul, 412 bytes"],
        &["unit consul.service enabled and started"],
        &["until consul has a leader and 3 members"],
    ];
    Plan {
        hash: "3fa29c0b5de1".repeat(5),
        ..Plan::new(
            PlanRequest {
                environment: "lab".into(),
                recipe: "deploy".into(),
                params: BTreeMap::from([("version".to_owned(), json!("1.20.1"))]),
                ..PlanRequest::default()
            },
            recipe.title.clone(),
            Risk::Change,
            recipe
                .steps
                .iter()
                .zip(previews)
                .map(|(step, preview)| PlannedStep {
                    step: step.clone(),
                    hosts: step
                        .on
                        .as_ref()
                        .map(|_| vec!["pc1".into(), "pc2".into(), "pc3".into()]),
                    preview: preview.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        )
    }
}

pub(crate) fn lines() -> Vec<LogLine> {
    let said: [(&str, Option<usize>, Stream, &str); 10] = [
        (
            "preflight",
            Some(0),
            Stream::Note,
            "check: memory 8.0G, disk 38G free",
        ),
        ("preflight", Some(0), Stream::Stdout, "aarch64"),
        (
            "install",
            Some(0),
            Stream::Note,
            "package consul: absent, wanted 1.20.1",
        ),
        (
            "install",
            Some(0),
            Stream::Stdout,
            "Unpacking consul (1.20.1-1) ...",
        ),
        (
            "install",
            Some(1),
            Stream::Stderr,
            "dpkg: warning: downgrading consul from 1.20.2-1 to 1.20.1-1",
        ),
        (
            "install",
            Some(2),
            Stream::Stdout,
            "\u{1b}[32mSetting up consul (1.20.1-1)\u{1b}[0m ...",
        ),
        (
            "configure",
            Some(1),
            Stream::Diff,
            "@@ -4,3 +4,3 @@ /etc/consul.d/consul.hcl",
        ),
        ("configure", Some(1), Stream::Diff, "-bootstrap_expect = 1"),
        ("configure", Some(1), Stream::Diff, "+bootstrap_expect = 3"),
        (
            "configure",
            Some(1),
            Stream::Note,
            "file /etc/consul.d/consul.hcl: changed",
        ),
    ];
    (0..40_u64)
        .map(|seq| {
            let (step, host, stream, text) = said[usize::try_from(seq % 10).unwrap()];
            LogLine {
                seq,
                at: ago(60) + SignedDuration::from_millis(i64::try_from(seq).unwrap() * 700),
                task: Some(TaskKey {
                    step: step.into(),
                    host: host.map(|host| HOSTS[host].0.into()),
                }),
                stream,
                level: None,
                text: text.into(),
            }
        })
        .collect()
}

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

/// Answers effects as an engine with this cluster would, until none are left.
pub(crate) fn settle(model: &mut Model, effects: Vec<Effect>) {
    let mut open = effects;
    let mut rounds = 0;
    while let Some(effect) = open.pop() {
        rounds += 1;
        assert!(rounds < 200, "effects without end: {effect:?}");
        if let Some(answer) = reply(effect) {
            open.extend(update(model, Message::Answer(Box::new(answer))));
        }
    }
}

/// One that went well, one that is paused, one that was skipped.
fn schedules() -> Vec<ScheduleStatus> {
    let schedule = |name: &str, memory: Memory| ScheduleStatus {
        environment: "lab".into(),
        name: name.into(),
        recipe: "verify".into(),
        cron: "30 2 * * *".into(),
        timezone: "UTC".into(),
        missed: Missed::RunOnce,
        enabled: true,
        next: vec![now() + SignedDuration::from_hours(3)],
        last_run_number: memory.last_run.map(|_| 12),
        memory,
    };
    let fresh = || Memory::new(ago(3600));
    vec![
        schedule(
            "verify-nightly",
            Memory {
                outcome: Some(Outcome::Started),
                last_run: runs().first().map(|run| run.id),
                run_state: Some(RunState::Succeeded),
                ..fresh()
            },
        ),
        schedule(
            "verify-hourly",
            Memory {
                paused_by: Some("ada@jump".into()),
                ..fresh()
            },
        ),
        schedule(
            "roll-out",
            Memory {
                outcome: Some(Outcome::Skipped),
                reason: Some("lab was being changed by another run".into()),
                ..fresh()
            },
        ),
    ]
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
fn snapshots() -> Vec<Snapshot> {
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
fn drift() -> DriftBoard {
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

fn reply(effect: Effect) -> Option<Answer> {
    Some(match effect {
        Effect::Seals { environment } => Answer::Seals {
            environment,
            result: Ok(seals()),
        },
        Effect::Ceremonies => Answer::Ceremonies(Ok(Vec::new())),
        Effect::Workspace => Answer::Workspace(Ok(workspace())),
        Effect::Live => Answer::Live(Ok(live())),
        Effect::History { environment } => Answer::History {
            environment,
            result: Ok(history()),
        },
        Effect::Runs => Answer::Runs(Ok(runs())),
        Effect::Snapshots { environment } => Answer::Snapshots {
            environment,
            result: Ok(snapshots()),
        },
        Effect::Drift { environment } => Answer::Drift {
            environment,
            result: Ok(Box::new(drift())),
        },
        Effect::Schedules => Answer::Schedules(Ok(schedules())),
        Effect::Run(id) => {
            Answer::Run(Ok(runs().into_iter().find(|run| run.id == id).map(|run| {
                Box::new(RunRecord {
                    tasks: tasks(run.state),
                    run,
                    plan: Some(plan()),
                    matrices: Vec::new(),
                })
            })))
        }
        Effect::NodeRuns { environment, node } => Answer::NodeRuns {
            environment,
            node,
            result: Ok(vec![
                (run_id(13), TaskState::Running),
                (run_id(12), TaskState::Failed),
            ]),
        },
        Effect::Table { key } => Answer::Table {
            result: Ok(members()),
            key,
        },
        Effect::Lines(query) => Answer::Lines {
            result: Ok(page(&query)),
            query,
        },
        Effect::Plan { ticket, request } => {
            let crate::client::Request::Plan(request) = request else {
                panic!("a plan is asked for by a plan request")
            };
            let environment = workspace();
            let environment = environment
                .environments
                .iter()
                .find(|known| known.name == request.environment)?;
            let mut plan = plan();
            if request.dry_run {
                plan.risk = Risk::Read;
            }
            plan.request = request;
            let gate = Gate::of(plan.risk, environment.protection, false);
            Answer::Plan {
                ticket,
                result: Ok((Box::new(plan), gate)),
            }
        }
        _ => return None,
    })
}

fn page(query: &LogQuery) -> LogPage {
    let all = lines().into_iter().filter(|line| {
        let task = line.task.as_ref().unwrap();
        query
            .filter
            .step
            .as_ref()
            .is_none_or(|step| *step == task.step)
            && query.filter.host.is_none_or_eq(task.host.as_ref())
    });
    let end = query.total;
    match &query.ask {
        LogAsk::Tail | LogAsk::Start => LogPage {
            lines: all.collect(),
            reached: if query.ask == LogAsk::Start { end } else { 0 },
            done: true,
            found: None,
        },
        LogAsk::After(from) => LogPage {
            lines: all.filter(|line| line.seq >= *from).collect(),
            reached: end,
            done: true,
            found: None,
        },
        LogAsk::Before(_) | LogAsk::Find { .. } => LogPage {
            done: true,
            ..LogPage::default()
        },
    }
}

/// `None` asks for nothing; a value must be equal.
trait Wanted<T> {
    fn is_none_or_eq(&self, other: Option<&T>) -> bool;
}

impl<T: PartialEq> Wanted<T> for Option<T> {
    fn is_none_or_eq(&self, other: Option<&T>) -> bool {
        self.as_ref().is_none_or(|wanted| Some(wanted) == other)
    }
}

pub(crate) fn runs() -> Vec<Run> {
    vec![
        run(13, RunState::Running),
        run(12, RunState::Failed),
        run(11, RunState::Succeeded),
        run(10, RunState::Cancelled),
    ]
}

/// A model that knows the whole cluster, with some history.
pub(crate) fn model(size: (u16, u16)) -> Model {
    with(Setup::new(now(), size))
}

/// As [`model`], begun with `setup`.
pub(crate) fn with(setup: Setup) -> Model {
    let mut model = Model::new(setup);
    let opening = model.opening();
    settle(&mut model, opening);
    for beat in 0..40_u32 {
        for (index, (name, ..)) in HOSTS.iter().enumerate().filter(|(index, _)| *index != 1) {
            let mut observed = node(index);
            let at = ago(3) - SignedDuration::from_secs(i64::from(40 - beat) * 2);
            let mut report = observed.value.take().unwrap();
            let wave = (f64::from(beat) / 5.0 + index as f64).sin() * 0.4 + 1.0;
            #[allow(clippy::cast_possible_truncation)]
            let wave = wave as f32;
            report.sample.load[0] *= wave;
            observed.succeed(report, at);
            feed(
                &mut model,
                Event::Node {
                    environment: "lab".into(),
                    name: (*name).into(),
                    observed: Box::new(observed),
                },
            );
        }
    }
    for (index, (name, ..)) in HOSTS.iter().enumerate() {
        feed(
            &mut model,
            Event::Node {
                environment: "lab".into(),
                name: (*name).into(),
                observed: Box::new(node(index)),
            },
        );
    }
    model
}

/// Feeds an event and answers what it leads to.
pub(crate) fn feed(model: &mut Model, event: Event) {
    let effects = update(model, Message::Event(event));
    settle(model, effects);
}

/// Presses keys given by their names and answers what they lead to.
pub(crate) fn press(model: &mut Model, keys: &[&str]) -> Vec<Effect> {
    let mut all = Vec::new();
    for key in keys {
        let effects = update(model, Message::Key(key_of(key)));
        all.extend(effects.clone());
        settle(model, effects);
    }
    all
}

/// Types text.
pub(crate) fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        let effects = update(
            model,
            Message::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)),
        );
        settle(model, effects);
    }
}

/// The key with this name in the keymap.
pub(crate) fn key_of(name: &str) -> KeyEvent {
    let (modifiers, base) = match name.strip_prefix("ctrl-") {
        Some(base) => (KeyModifiers::CONTROL, base),
        None => (KeyModifiers::NONE, name),
    };
    let code = match base {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "shift-tab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pageup" => KeyCode::PageUp,
        "pagedown" => KeyCode::PageDown,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}

/// The picture of a model.
pub(crate) fn buffer(model: &Model) -> Buffer {
    let (width, height) = model.world.size;
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    view(model, &mut buffer);
    buffer
}

/// The picture as text, without trailing spaces.
pub(crate) fn draw(model: &Model) -> String {
    let buffer = buffer(model);
    let width = usize::from(buffer.area.width);
    let rows: Vec<String> = buffer
        .content()
        .chunks(width)
        .map(|row| {
            let mut text = String::new();
            let mut skip = 0;
            for cell in row {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                text.push_str(cell.symbol());
                skip = super::text::width(cell.symbol()).saturating_sub(1);
            }
            text.trim_end().to_owned()
        })
        .collect();
    rows.join("\n")
}
