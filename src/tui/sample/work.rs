//! What was done and is being done: recipes, plans, runs, their lines, schedules.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use super::cluster::HOSTS;
use super::{ago, now};
use crate::domain::action::Risk;
use crate::domain::node::Role;
use crate::domain::plan::{Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::{Offer, Param, Recipe, Selector, Step};
use crate::domain::run::{LogLine, Run, RunId, RunState, Stream, Tally, Task, TaskKey, TaskState};
use crate::domain::schedule::{Memory, Missed, Outcome, ScheduleStatus};

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
            kinds: Vec::new(),
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
            kinds: Vec::new(),
            params: Vec::new(),
            handlers: Vec::new(),
            steps: vec![step("health", "Ask every service", &[], None)],
        },
    ]
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
        title: "Deploy Consul".into(),
        dry_run: number == 10,
        started_by: "ops@bastion".into(),
        plan_hash: "3fa29c0b5de1".repeat(5),
        created_at: ago(age + 1),
        started_at: Some(ago(age)),
        ended_at: ended.then(|| ago(age - 48)),
        reason: (state == RunState::Failed).then(|| "Start the service failed on pc2".into()),
        tally,
        lines: 40,
        ..Run::sample(u32::try_from(number).unwrap(), state)
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

/// One that went well, one that is paused, one that was skipped.
pub(super) fn schedules() -> Vec<ScheduleStatus> {
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

pub(crate) fn runs() -> Vec<Run> {
    vec![
        run(13, RunState::Running),
        run(12, RunState::Failed),
        run(11, RunState::Succeeded),
        run(10, RunState::Cancelled),
    ]
}
