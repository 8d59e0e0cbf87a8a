//! The store on disks that are full or read-only: real file systems, mounted for the test. Needs root.
//!
//! `cargo test --test real_store -- --ignored --nocapture`, or `tests/run store`.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use quarterdeck::domain::action::Risk;
use quarterdeck::domain::plan::{Plan, PlanRequest, PlannedStep};
use quarterdeck::domain::recipe::Step;
use quarterdeck::domain::run::{RunId, RunState, Stream, TaskState};
use quarterdeck::store::{
    Change, Handle, LineFilter, NewLine, NewRun, Reader, Writer, database_path,
};
use tempfile::TempDir;

/// A small file system of its own, gone when dropped.
struct Disk(TempDir);

impl Disk {
    fn new(size: &str) -> Self {
        let dir = TempDir::new().unwrap();
        mount(
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size}"),
                "quarterdeck-test",
            ],
            dir.path(),
        );
        Self(dir)
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], self.0.path());
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the writer's thread may still be closing its files.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) {
    let status = Command::new("mount").args(arguments).arg(at).status();
    assert!(status.unwrap().success(), "mount {arguments:?}: needs root");
}

fn id(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

fn plan(hosts: usize) -> Plan {
    let step = PlannedStep {
        step: Step {
            id: "install".into(),
            ..Step::default()
        },
        hosts: Some((0..hosts).map(|host| format!("pc{host}")).collect()),
        preview: Vec::new(),
    };
    let request = PlanRequest {
        environment: "lab".into(),
        recipe: "deploy".into(),
        ..PlanRequest::default()
    };
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(request, "Deploy".into(), Risk::Change, vec![step])
    }
}

async fn begin(handle: &Handle, run: RunId, hosts: usize) {
    let at = Timestamp::now();
    let new = NewRun {
        id: run,
        plan: plan(hosts),
        started_by: "ada@bastion".into(),
        at,
    };
    handle.create(new).await.unwrap();
    let running = Change::Run {
        state: RunState::Running,
        reason: None,
    };
    handle.commit(run, at, vec![running]).await.unwrap();
}

fn line(run: RunId, number: usize) -> NewLine {
    NewLine {
        run,
        task: None,
        stream: Stream::Stdout,
        at: Timestamp::now(),
        text: format!("{number:06} {}", "x".repeat(990)),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: needs root"]
async fn a_disk_that_is_full_for_a_moment_costs_no_line() {
    const LINES: usize = 6_000;
    let disk = Disk::new("3m");
    let writer = Writer::open(disk.path(), Timestamp::now()).unwrap();
    let handle = writer.handle();
    begin(&handle, id(1), 1).await;
    let feed = {
        let handle = handle.clone();
        tokio::spawn(async move {
            for number in 0..LINES {
                handle.line(line(id(1), number)).await.unwrap();
            }
            handle.flush().await;
        })
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!feed.is_finished(), "6 MB do not fit on 3 MB");
    disk.remount("size=64m");
    feed.await.unwrap();
    let reader = Reader::open(&database_path(disk.path())).unwrap();
    let lines = reader
        .lines(id(1), 0, usize::MAX, &LineFilter::default())
        .unwrap();
    assert_eq!(lines.len(), LINES);
    for (number, line) in lines.iter().enumerate() {
        assert!(line.text.starts_with(&format!("{number:06} ")));
    }
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: needs root"]
async fn a_disk_that_stays_full_refuses_transitions_loses_no_committed_one_and_says_how_many_lines_are_missing()
 {
    const HOSTS: usize = 200;
    let disk = Disk::new("2m");
    let writer = Writer::open(disk.path(), Timestamp::now()).unwrap();
    let handle = writer.handle();
    begin(&handle, id(1), HOSTS).await;
    let mut sent = 0;
    let mut committed = 0;
    let refusal = loop {
        for _ in 0..50 {
            handle.line(line(id(1), sent)).await.unwrap();
            sent += 1;
        }
        let change = Change::Task {
            ordinal: u32::try_from(committed).unwrap(),
            state: TaskState::Running,
            attempt: 1,
            reason: None,
        };
        match handle.commit(id(1), Timestamp::now(), vec![change]).await {
            Ok(_) => committed += 1,
            Err(refusal) => break refusal.to_string(),
        }
        assert!(committed < HOSTS, "the disk never filled up");
    };
    assert!(refusal.contains("the disk is full"), "{refusal}");
    disk.remount("size=64m");
    handle.line(line(id(1), sent)).await.unwrap();
    handle.flush().await;

    let reader = Reader::open(&database_path(disk.path())).unwrap();
    let begun = reader.tasks(id(1)).unwrap();
    let begun = begun
        .iter()
        .filter(|task| task.state == TaskState::Running)
        .count();
    assert_eq!(begun, committed, "events that were acknowledged");
    let lines = reader
        .lines(id(1), 0, usize::MAX, &LineFilter::default())
        .unwrap();
    let missing: usize = lines
        .iter()
        .filter(|line| line.stream == Stream::Note)
        .filter_map(|line| line.text.split(' ').next()?.parse::<usize>().ok())
        .sum();
    let kept = lines
        .iter()
        .filter(|line| line.stream == Stream::Stdout)
        .count();
    assert!(missing > 0);
    assert_eq!(kept + missing, sent + 1, "every line is there or counted");
    println!(
        "committed events lost: 0 of {committed}; lines kept {kept}, told to be missing {missing}"
    );
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "mounts a file system: needs root"]
async fn a_read_only_disk_can_be_read_and_says_why_it_cannot_be_written() {
    let disk = Disk::new("8m");
    let writer = Writer::open(disk.path(), Timestamp::now()).unwrap();
    begin(&writer.handle(), id(1), 1).await;
    writer.close().await;
    disk.remount("ro");
    let refusal = Writer::open(disk.path(), Timestamp::now())
        .err()
        .unwrap()
        .to_string();
    assert!(refusal.contains("must be able to write here"), "{refusal}");
    let reader = Reader::open(&database_path(disk.path())).unwrap();
    assert_eq!(reader.runs(10).unwrap().len(), 1);
    assert!(reader.verify_audit().unwrap().is_whole());
}
