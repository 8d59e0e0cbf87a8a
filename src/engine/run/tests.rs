//! The scheduler with its clock held still, a journal in memory and scripted work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

mod resume;
mod rolling;

use super::*;
use crate::clock::ManualClock;
use crate::domain::action::Risk;
use crate::domain::plan::{PlanRequest, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{RunId, Tally};
use crate::steps::{Outcome, StepError};
use crate::store::{Committed, NewLine};

/// Keeps everything in memory and checks every transition.
#[derive(Default)]
struct Memory {
    inner: Mutex<Option<(Run, Vec<Task>)>>,
    lines: Mutex<Vec<NewLine>>,
    /// The commits with these numbers fail.
    breaks_at: Option<std::ops::Range<usize>>,
    commits: AtomicUsize,
}

#[async_trait]
impl Journal for Memory {
    async fn commit(
        &self,
        _run: RunId,
        at: Timestamp,
        changes: Vec<Change>,
    ) -> Result<Committed, StoreError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        if self
            .breaks_at
            .as_ref()
            .is_some_and(|breaks| breaks.contains(&number))
        {
            return Err(StoreError {
                path: "history".into(),
                reason: "the disk is full".into(),
            });
        }
        let mut inner = self.inner.lock().unwrap();
        let (run, tasks) = inner.as_mut().unwrap();
        let mut moved = Vec::new();
        for change in changes {
            match change {
                Change::Run { state, reason } => {
                    assert!(run.state.may_become(state), "{} → {state}", run.state);
                    run.state = state;
                    run.reason = reason;
                    run.started_at.get_or_insert(at);
                }
                Change::Task {
                    ordinal,
                    state,
                    attempt,
                    reason,
                } => {
                    let task = &mut tasks[ordinal as usize];
                    let again = task.state == TaskState::Running
                        && state == TaskState::Running
                        && attempt == task.attempts + 1;
                    assert!(
                        again || task.state.may_become(state),
                        "{}: {} → {state}",
                        task.key,
                        task.state
                    );
                    run.tally.shift(task.state, state);
                    task.state = state;
                    task.attempts = attempt;
                    task.reason = reason;
                    moved.push(task.clone());
                }
            }
        }
        Ok(Committed {
            run: run.clone(),
            tasks: moved,
            events: Vec::new(),
        })
    }

    async fn line(&self, line: NewLine) -> Result<(), StoreError> {
        self.lines.lock().unwrap().push(line);
        Ok(())
    }
}

/// What a task does, by attempt; the last entry is for all further ones.
#[derive(Debug, Clone)]
enum Act {
    Ok,
    Changed,
    Skip,
    Fail,
    /// Fails in a way that another attempt may help.
    Stumble,
    Panic,
    /// Works this long, in milliseconds.
    Take(u64),
    /// Never ends, but stops when told.
    Hang,
    /// Never ends and does not stop.
    Deaf,
}

/// Work by script, which notes what overlapped.
#[derive(Default)]
struct Stage {
    script: BTreeMap<(String, Option<String>), Vec<Act>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    attempts: BTreeMap<(String, Option<String>), usize>,
    /// In order: task, and whether it began or ended.
    moves: Vec<((String, Option<String>), bool)>,
}

impl Stage {
    fn with(mut self, step: &str, host: Option<&str>, acts: &[Act]) -> Self {
        self.script
            .insert((step.into(), host.map(Into::into)), acts.to_vec());
        self
    }

    fn attempts(&self, step: &str, host: Option<&str>) -> usize {
        let key = (step.to_owned(), host.map(Into::into));
        self.seen
            .lock()
            .unwrap()
            .attempts
            .get(&key)
            .copied()
            .unwrap_or(0)
    }
}

#[async_trait]
impl Executor for Stage {
    async fn execute(
        &self,
        step: &Step,
        host: Option<&str>,
        log: Arc<dyn Log>,
        cancel: CancellationToken,
    ) -> Result<Outcome, StepError> {
        let key = (step.id.clone(), host.map(ToOwned::to_owned));
        let act = {
            let mut seen = self.seen.lock().unwrap();
            let attempt = seen.attempts.entry(key.clone()).or_default();
            *attempt += 1;
            let number = *attempt;
            seen.moves.push((key.clone(), true));
            let acts = self.script.get(&key).map_or(&[][..], Vec::as_slice);
            acts.get(number - 1)
                .or(acts.last())
                .cloned()
                .unwrap_or(Act::Ok)
        };
        log.line(Stream::Stdout, format!("working on {}", key.0))
            .await;
        tokio::task::yield_now().await;
        let fail = |passing| {
            Err(StepError {
                message: "it did not work".into(),
                passing,
            })
        };
        let result = match act {
            Act::Ok => Ok(Outcome::Ok),
            Act::Changed => Ok(Outcome::Changed),
            Act::Skip => Ok(Outcome::Skipped("not needed".into())),
            Act::Fail => fail(false),
            Act::Stumble => fail(true),
            Act::Take(millis) => {
                sleep(Duration::from_millis(millis)).await;
                Ok(Outcome::Ok)
            }
            Act::Hang => {
                cancel.cancelled().await;
                fail(false)
            }
            Act::Deaf => std::future::pending().await,
            Act::Panic => {
                self.seen.lock().unwrap().moves.push((key, false));
                panic!("the plan was upside down")
            }
        };
        self.seen.lock().unwrap().moves.push((key, false));
        result
    }

    async fn outlast(
        &self,
        step: &Step,
        host: Option<&str>,
        log: &dyn Log,
        _: &CancellationToken,
    ) -> Result<(), StepError> {
        let attempts = self.attempts(&step.id, host);
        log.line(Stream::Note, format!("{attempts} before this one"))
            .await;
        Ok(())
    }
}

fn step(id: &str, needs: &[&str], hosts: Option<&[&str]>) -> PlannedStep {
    PlannedStep {
        step: Step {
            id: id.into(),
            title: id.into(),
            needs: needs.iter().map(ToString::to_string).collect(),
            ..Step::default()
        },
        hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
        preview: Vec::new(),
    }
}

fn plan(steps: Vec<PlannedStep>) -> Plan {
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(
            PlanRequest {
                environment: "lab".into(),
                recipe: "deploy".into(),
                ..PlanRequest::default()
            },
            "Deploy".into(),
            Risk::Change,
            steps,
        )
    }
}

struct Scene {
    stop: Stop,
    tasks: Tasks,
    journal: Arc<Memory>,
    stage: Arc<Stage>,
    redactor: Redactor,
    bus: Bus,
    drive: Option<Drive>,
}

impl Scene {
    fn new(plan: Plan, stage: Stage) -> Self {
        Self::with_journal(plan, stage, Memory::default())
    }

    fn with_journal(plan: Plan, stage: Stage, journal: Memory) -> Self {
        let tasks = Tasks::of(&plan);
        let mut tally = Tally::default();
        for task in tasks.snapshot() {
            tally.add(task.state);
        }
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let run = Run {
            plan_hash: plan.hash.clone(),
            created_at: start,
            tally,
            ..Run::sample(1, RunState::Queued)
        };
        *journal.inner.lock().unwrap() = Some((run.clone(), tasks.snapshot()));
        let (journal, stage) = (Arc::new(journal), Arc::new(stage));
        let (stop, redactor) = (Stop::default(), Redactor::default());
        let bus = Bus::new();
        let drive = Drive {
            run,
            plan: Arc::new(plan),
            tasks: tasks.clone(),
            executor: stage.clone(),
            journal: journal.clone(),
            bus: bus.clone(),
            clock: Arc::new(ManualClock::new(start)),
            redactor: redactor.clone(),
            concurrency: 4,
            stop: stop.clone(),
            questions: Questions::default(),
            consent: None,
            seat: None,
        };
        Self {
            stop,
            tasks,
            journal,
            stage,
            redactor,
            bus,
            drive: Some(drive),
        }
    }

    async fn play(&mut self) -> Run {
        self.drive.take().unwrap().carry_out().await
    }

    fn state(&self, step: &str, host: Option<&str>) -> (TaskState, Option<String>) {
        self.tasks
            .snapshot()
            .into_iter()
            .find(|task| task.key.step == step && task.key.host.as_deref() == host)
            .map(|task| (task.state, task.reason))
            .unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_tasks_end_well_succeeds_and_counts_them() {
    let steps = vec![
        step("install", &[], Some(&["pc1", "pc2"])),
        step("check", &["install"], None),
    ];
    let stage = Stage::default()
        .with("install", Some("pc1"), &[Act::Changed])
        .with("check", None, &[Act::Skip]);
    let mut scene = Scene::new(plan(steps), stage);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(
        run.reason.as_deref(),
        Some("3 tasks in 0 s: 1 changed, 1 as they should be, 1 skipped")
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_ended_is_not_carried_out_again_and_opens_what_needs_it() {
    let mut plan = plan(vec![
        step("install", &[], Some(&["pc1", "pc2"])),
        step("check", &[], None),
        step("join", &["install", "check"], Some(&["pc1", "pc2"])),
    ]);
    let keep = |index: usize| Task {
        state: TaskState::Changed,
        attempts: 1,
        reason: Some("done in run 7".into()),
        ..plan.tasks()[index].clone()
    };
    plan.kept = vec![keep(0), keep(2), keep(4)];
    let mut scene = Scene::new(plan, Stage::default());
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Succeeded);
    let begun: usize = ["pc1", "pc2"]
        .into_iter()
        .flat_map(|host| [("install", Some(host)), ("join", Some(host))])
        .chain([("check", None)])
        .map(|(step, host)| scene.stage.attempts(step, host))
        .sum();
    assert_eq!(begun, 2);
    assert_eq!(scene.stage.attempts("install", Some("pc2")), 1);
    assert_eq!(scene.stage.attempts("join", Some("pc1")), 1);
    assert_eq!(
        scene.state("install", Some("pc1")),
        (TaskState::Changed, Some("done in run 7".into()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_failing_host_stops_neither_its_neighbours_nor_unrelated_steps_but_what_needs_it() {
    let steps = vec![
        step("install", &[], Some(&["pc1", "pc2", "pc3"])),
        step("configure", &["install"], Some(&["pc1", "pc2", "pc3"])),
        step("join", &["configure"], None),
        step("elsewhere", &[], Some(&["pc2"])),
    ];
    let stage = Stage::default().with("install", Some("pc2"), &[Act::Fail]);
    let mut scene = Scene::new(plan(steps), stage);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(
        run.reason.as_deref(),
        Some("install@pc2 failed: it did not work; 4 not started because of it")
    );
    assert_eq!(scene.state("install", Some("pc3")).0, TaskState::Ok);
    assert_eq!(scene.state("elsewhere", Some("pc2")).0, TaskState::Ok);
    assert_eq!(
        scene.state("configure", Some("pc1")),
        (
            TaskState::Skipped,
            Some("needs install, which failed on pc2".into())
        )
    );
    assert_eq!(
        scene.state("join", None),
        (
            TaskState::Skipped,
            Some("needs configure, which did not run".into())
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_as_often_as_the_step_says() {
    let mut flaky = step("flaky", &[], None);
    flaky.step.retries = 2;
    let mut hopeless = step("hopeless", &[], None);
    hopeless.step.retries = 2;
    let mut wrong = step("wrong", &[], None);
    wrong.step.retries = 2;
    let stage = Stage::default()
        .with("flaky", None, &[Act::Stumble, Act::Stumble, Act::Changed])
        .with("hopeless", None, &[Act::Stumble])
        .with("wrong", None, &[Act::Fail]);
    let mut scene = Scene::new(plan(vec![flaky, hopeless, wrong]), stage);
    scene.play().await;
    assert_eq!(scene.state("flaky", None).0, TaskState::Changed);
    assert_eq!(scene.state("hopeless", None).0, TaskState::Failed);
    assert_eq!(scene.stage.attempts("flaky", None), 3);
    assert_eq!(scene.stage.attempts("hopeless", None), 3);
    assert_eq!(
        scene.stage.attempts("wrong", None),
        1,
        "another attempt cannot help"
    );
    let flaky = scene.tasks.snapshot().remove(0);
    assert_eq!(flaky.attempts, 3, "attempts are on record");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_stopped_and_counts_as_failed() {
    let mut slow = step("slow", &[], None);
    slow.step.timeout = Some("90s".into());
    slow.step.retries = 1;
    let stage = Stage::default().with("slow", None, &[Act::Hang, Act::Take(1000)]);
    let mut scene = Scene::new(plan(vec![slow]), stage);
    let begun = Instant::now();
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(scene.stage.attempts("slow", None), 2);
    assert!(begun.elapsed() >= Duration::from_secs(91));
    let notes: Vec<String> = scene
        .journal
        .lines
        .lock()
        .unwrap()
        .iter()
        .map(|line| line.text.clone())
        .collect();
    assert!(
        notes
            .iter()
            .any(|note| note.contains("took longer than 90s")),
        "{notes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_stop_is_abandoned_and_the_run_ends() {
    let mut deaf = step("deaf", &[], None);
    deaf.step.timeout = Some("5s".into());
    let stage = Stage::default().with("deaf", None, &[Act::Deaf]);
    let mut scene = Scene::new(plan(vec![deaf]), stage);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.unwrap().contains("was abandoned"));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_cannot_be_read_fails_the_task_and_nothing_runs() {
    let mut odd = step("odd", &[], None);
    odd.step.timeout = Some("soon".into());
    let mut scene = Scene::new(plan(vec![odd]), Stage::default());
    scene.play().await;
    let (state, reason) = scene.state("odd", None);
    assert_eq!(state, TaskState::Failed);
    assert!(reason.unwrap().contains("\"soon\" is not a timeout"));
    assert_eq!(scene.stage.attempts("odd", None), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failed_task_with_its_message() {
    let steps = vec![step("upside", &[], Some(&["pc1", "pc2"]))];
    let stage = Stage::default().with("upside", Some("pc1"), &[Act::Panic]);
    let mut scene = Scene::new(plan(steps), stage);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Failed);
    let (state, reason) = scene.state("upside", Some("pc1"));
    assert_eq!(state, TaskState::Failed);
    assert!(reason.unwrap().contains("the plan was upside down"));
    assert_eq!(scene.state("upside", Some("pc2")).0, TaskState::Ok);
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_what_runs_starts_nothing_more_and_tells_what_is_half_done() {
    let steps = vec![
        step("first", &[], None),
        step("long", &["first"], Some(&["pc1", "pc2"])),
        step("never", &["long"], Some(&["pc1", "pc2"])),
    ];
    let stage = Stage::default()
        .with("long", Some("pc1"), &[Act::Hang])
        .with("long", Some("pc2"), &[Act::Take(10)]);
    let mut scene = Scene::new(plan(steps), stage);
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(5)).await;
        stop.cancel("cancelled by ada@bastion".into());
    });
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Cancelled);
    assert_eq!(
        run.reason.as_deref(),
        Some(
            "cancelled by ada@bastion: 2 of 5 tasks done, stopped while in progress: long@pc1, 2 not started"
        )
    );
    assert_eq!(scene.state("long", Some("pc2")).0, TaskState::Ok);
    assert_eq!(scene.stage.attempts("never", Some("pc2")), 0);
    assert_eq!(
        scene.state("never", Some("pc2")).1.as_deref(),
        Some("the run was cancelled before its turn")
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_before_it_begins_starts_nothing() {
    let mut scene = Scene::new(plan(vec![step("one", &[], None)]), Stage::default());
    scene.stop.cancel("cancelled by ada@bastion".into());
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Cancelled);
    assert_eq!(scene.stage.attempts("one", None), 0);
}

#[tokio::test(start_paused = true)]
async fn cancelling_after_the_last_task_ended_leaves_the_run_succeeded() {
    let stage = Stage::default().with("one", None, &[Act::Take(1000)]);
    let mut scene = Scene::new(plan(vec![step("one", &[], None)]), stage);
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        // Fires while the work is on its way; it does not listen and comes to its end within the grace.
        sleep(Duration::from_millis(500)).await;
        stop.cancel("cancelled by ada@bastion".into());
    });
    assert_eq!(scene.play().await.state, RunState::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_engine_interrupts_a_run() {
    let stage = Stage::default().with("long", None, &[Act::Hang]);
    let mut scene = Scene::new(plan(vec![step("long", &[], None)]), stage);
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        stop.interrupt();
    });
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Interrupted);
    assert!(
        run.reason
            .unwrap()
            .contains("stopped while in progress: long")
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_in_the_middle_ends_the_run_stops_its_work_and_gets_the_end_later() {
    let steps = vec![
        step("hang", &[], Some(&["pc1"])),
        step("quick", &[], Some(&["pc2"])),
    ];
    let stage = Stage::default().with("hang", Some("pc1"), &[Act::Hang]);
    let journal = Memory {
        breaks_at: Some(1..4),
        ..Memory::default()
    };
    let mut scene = Scene::with_journal(plan(steps), stage, journal);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Failed);
    assert!(run.reason.as_ref().unwrap().contains("the disk is full"));
    let (stored, tasks) = scene.journal.inner.lock().unwrap().clone().unwrap();
    assert_eq!(stored, run);
    assert_eq!((stored.tally.failed, stored.tally.running), (2, 0));
    assert!(tasks[0].reason.as_ref().unwrap().contains("not known"));
    // The worker that hung was told to stop.
    while scene.stage.seen.lock().unwrap().moves.len() < 4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_end_cannot_be_stored_is_left_to_the_next_engine_when_this_one_ends() {
    let journal = Memory {
        breaks_at: Some(1..usize::MAX),
        ..Memory::default()
    };
    let plan = plan(vec![step("one", &[], None)]);
    let mut scene = Scene::with_journal(plan, Stage::default(), journal);
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(3600)).await;
        stop.interrupt();
    });
    let begun = Instant::now();
    assert_eq!(scene.play().await.state, RunState::Failed);
    assert_eq!(begun.elapsed().as_secs(), 3600);
    let tries = scene.journal.commits.load(Ordering::Relaxed);
    assert!((100..200).contains(&tries), "{tries}");
}

#[tokio::test(start_paused = true)]
async fn secrets_reach_neither_log_nor_reasons() {
    let stage = Stage::default().with("leak-hunter2", None, &[Act::Fail]);
    let mut scene = Scene::new(plan(vec![step("leak-hunter2", &[], None)]), stage);
    scene
        .redactor
        .learn(&secrecy::SecretString::from("hunter2"))
        .unwrap();
    let mut odd = step("odd", &[], None);
    odd.step.timeout = Some("hunter2".into());
    let mut other = Scene::new(plan(vec![odd]), Stage::default());
    other
        .redactor
        .learn(&secrecy::SecretString::from("hunter2"))
        .unwrap();
    scene.play().await;
    let run = other.play().await;
    let lines = scene.journal.lines.lock().unwrap();
    assert!(lines.iter().all(|line| !line.text.contains("hunter2")));
    assert!(lines.iter().any(|line| line.text.contains("[redacted]")));
    assert!(
        run.reason
            .unwrap()
            .contains("\"[redacted]\" is not a timeout")
    );
}

#[tokio::test(start_paused = true)]
async fn every_transition_is_published_after_it_was_committed() {
    let mut scene = Scene::new(plan(vec![step("one", &[], None)]), Stage::default());
    let mut events = scene.bus.subscribe();
    scene.play().await;
    let mut told = Vec::new();
    scene.bus.close();
    while let Some(event) = events.next().await {
        told.push(match event {
            Event::Run(run) => format!("run {}", run.state),
            Event::Task { task, .. } => format!("task {}", task.state),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        told,
        [
            "task running",
            "run running",
            "task ok",
            "run running",
            "run succeeded"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_ten_thousand_steps_runs_to_its_end() {
    const LENGTH: usize = 10_000;
    let steps = (0..LENGTH)
        .map(|number| {
            let before = number.checked_sub(1).map(|before| format!("s{before}"));
            let needs: Vec<&str> = before.as_deref().into_iter().collect();
            step(&format!("s{number}"), &needs, Some(&["pc1"]))
        })
        .collect();
    let run = Scene::new(plan(steps), Stage::default()).play().await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(run.tally.ok as usize, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn a_long_chain_of_steps_without_hosts_is_passed_through() {
    let steps = (0..50_000)
        .map(|number: usize| {
            let before = number.checked_sub(1).map(|before| format!("s{before}"));
            let needs: Vec<&str> = before.as_deref().into_iter().collect();
            step(&format!("s{number}"), &needs, Some(&[]))
        })
        .chain([step("last", &["s49999"], None)])
        .collect();
    let mut scene = Scene::new(plan(steps), Stage::default());
    assert_eq!(scene.play().await.state, RunState::Succeeded);
    assert_eq!(scene.state("last", None).0, TaskState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_no_graph_fails_and_says_why() {
    for (steps, says) in [
        (
            vec![step("a", &["b"], None), step("b", &["a"], None)],
            "in a circle: a, b",
        ),
        (vec![step("a", &["z"], None)], "needs \"z\""),
        (
            vec![step("a", &[], None), step("a", &[], None)],
            "two steps called \"a\"",
        ),
    ] {
        let run = Scene::new(plan(steps), Stage::default()).play().await;
        assert_eq!(run.state, RunState::Failed);
        let reason = run.reason.unwrap();
        assert!(reason.contains(says), "{reason}");
    }
}

/// A step of a random plan: its needs among earlier steps, its hosts (none: where the engine is), its parallelism, and what
/// its tasks do.
type Draw = (Vec<bool>, Option<BTreeSet<usize>>, Option<u32>, Vec<u8>);

fn draw() -> impl Strategy<Value = Vec<Draw>> {
    let one = (
        prop::collection::vec(prop::bool::weighted(0.25), 12),
        prop::option::weighted(0.8, prop::collection::btree_set(0..5_usize, 0..5)),
        prop::option::of(1..3_u32),
        prop::collection::vec(0..20_u8, 6),
    );
    prop::collection::vec(one, 1..12)
}

fn act(number: u8) -> Vec<Act> {
    match number {
        0 => vec![Act::Fail],
        1 => vec![Act::Panic],
        2 => vec![Act::Skip],
        3 => vec![Act::Stumble, Act::Changed],
        4 => vec![Act::Changed],
        5 => vec![Act::Stumble],
        millis => vec![Act::Take(u64::from(millis))],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_task_of_every_plan_ends_and_no_rule_is_broken(draws in draw(), cancel_at in prop::option::weighted(0.2, 0..40_u64)) {
        const NAMES: [&str; 5] = ["pc1", "pc2", "pc3", "pc4", "pc5"];
        let mut stage = Stage::default();
        let mut steps = Vec::new();
        for (number, (needs, hosts, parallel, acts)) in draws.iter().enumerate() {
            let id = format!("s{number}");
            let needs: Vec<String> = (0..number).filter(|other| needs[*other]).map(|other| format!("s{other}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let hosts: Option<Vec<&str>> = hosts.as_ref().map(|hosts| hosts.iter().map(|host| NAMES[*host]).collect());
            match &hosts {
                None => stage = stage.with(&id, None, &act(acts[5])),
                Some(hosts) => for (host, number) in hosts.iter().zip(acts) {
                    stage = stage.with(&id, Some(host), &act(*number));
                },
            }
            let mut planned = step(&id, &needs, hosts.as_deref());
            planned.step.parallel = *parallel;
            planned.step.retries = 1;
            steps.push(planned);
        }
        let plan = plan(steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (run, scene) = runtime.block_on(async {
            let mut scene = Scene::new(plan.clone(), stage);
            if let Some(millis) = cancel_at {
                let stop = scene.stop.clone();
                tokio::spawn(async move { sleep(Duration::from_millis(millis)).await; stop.cancel("cancelled by ada@bastion".into()); });
            }
            (scene.play().await, scene)
        });
        let tasks = scene.tasks.snapshot();
        prop_assert!(run.state.is_final());
        prop_assert!(tasks.iter().all(|task| task.state.is_final()), "{tasks:?}");
        prop_assert_eq!(run.tally.done() as usize, tasks.len());
        let failed = tasks.iter().any(|task| task.state == TaskState::Failed);
        let cancelled = tasks.iter().any(|task| task.state == TaskState::Cancelled);
        prop_assert_eq!(run.state == RunState::Succeeded, !failed && !cancelled);
        prop_assert_eq!(run.state == RunState::Cancelled, cancelled);

        let seen = scene.stage.seen.lock().unwrap();
        let mut working: BTreeSet<(String, Option<String>)> = BTreeSet::new();
        for (key, begins) in &seen.moves {
            if !begins {
                working.remove(key);
                continue;
            }
            prop_assert!(working.len() < 4, "more than four at a time");
            prop_assert!(
                key.1.is_none() || working.iter().all(|other| other.1 != key.1),
                "two tasks on {:?}", key.1
            );
            let planned = plan.steps.iter().find(|planned| planned.step.id == key.0).unwrap();
            let beside = working.iter().filter(|other| other.0 == key.0).count();
            prop_assert!(planned.step.parallel.is_none_or(|most| beside < most as usize), "too many of {}", key.0);
            for need in &planned.step.needs {
                let needed = tasks.iter().filter(|task| task.key.step == *need);
                prop_assert!(needed.clone().all(|task| task.state.is_success()), "{} began in spite of {need}", key.0);
                prop_assert!(working.iter().all(|other| other.0 != *need), "{} began before {need} ended", key.0);
            }
            working.insert(key.clone());
        }
        let mut bad: BTreeMap<&str, bool> = BTreeMap::new();
        for planned in &plan.steps {
            let id = planned.step.id.as_str();
            let barred = planned.step.needs.iter().any(|need| bad[need.as_str()]);
            let own = tasks.iter().filter(|task| task.key.step == id);
            bad.insert(id, barred || own.clone().any(|task| task.state == TaskState::Failed));
            let held_back = planned.step.parallel.is_some() && bad[id];
            for task in own.filter(|_| !cancelled && !held_back) {
                prop_assert_eq!(task.attempts == 0, barred, "{}", &task.key);
            }
        }
    }
}
