//! Schedules in an engine whose clock is moved by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::client::{Client, Event, Request, Response, Subscription};
use crate::clock::ManualClock;
use crate::domain::action::{Consent, Risk};
use crate::domain::environment::Protection;
use crate::domain::run::{Run, RunState};
use crate::domain::schedule::{Missed, Outcome, Schedule, ScheduleStatus};
use crate::domain::timing::Timing;
use crate::engine::tests::{Memory, Weather, ada, end_of, environment, recipe, request};
use crate::engine::{Engine, EngineSettings};

/// Noon; the schedules are due at every quarter of an hour.
const NOON: &str = "2026-11-21T12:00:00Z";

fn schedule(name: &str, recipe: &str, missed: Missed) -> Schedule {
    Schedule {
        environment: "lab".into(),
        name: name.into(),
        recipe: recipe.into(),
        params: BTreeMap::new(),
        nodes: Vec::new(),
        timing: Timing::new("*/15 * * * *", Some("UTC")).unwrap(),
        missed,
        enabled: true,
    }
}

struct Scene {
    engine: Engine,
    client: Client,
    events: Subscription,
}

/// An engine over `dir`, with one schedule.
async fn start(
    dir: &TempDir,
    clock: &Arc<ManualClock>,
    schedule: Schedule,
    read_only: bool,
) -> Scene {
    let world = Arc::new(Memory(Arc::new(Weather::default())));
    let mut settings = EngineSettings::new("test", world, dir.path(), dir.path().join("cache"));
    settings.environments = vec![environment("lab", Protection::Confirm)];
    settings.recipes = vec![
        recipe("work", Risk::Change, "work"),
        recipe("hang", Risk::Change, "hang"),
        recipe("look", Risk::Read, "work"),
        recipe("fail", Risk::Read, "nonsense"),
    ];
    settings.schedules = vec![schedule];
    settings.clock = Arc::<ManualClock>::clone(clock);
    settings.read_only = read_only;
    settings.node_interval = Duration::from_secs(100_000);
    settings.service_interval = Duration::from_secs(100_000);
    let engine = Engine::start(settings).await.unwrap();
    let client = engine.client(ada());
    Scene {
        events: client.subscribe(),
        client,
        engine,
    }
}

fn noon() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOON.parse().unwrap()))
}

fn pass(clock: &ManualClock, minutes: i64) {
    clock.advance(SignedDuration::from_mins(minutes));
}

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

impl Scene {
    /// The next state of the schedule of which `wanted` holds.
    async fn until(&mut self, wanted: impl Fn(&ScheduleStatus) -> bool) -> ScheduleStatus {
        loop {
            if let Event::Schedule(status) = self.events.next().await.unwrap()
                && wanted(&status)
            {
                return *status;
            }
        }
    }

    async fn ended(&mut self) -> ScheduleStatus {
        self.until(|status| status.memory.run_state.is_some_and(RunState::is_final))
            .await
    }

    async fn status(&self) -> ScheduleStatus {
        match self.client.call(Request::Schedules).await.unwrap() {
            Response::Schedules(mut all) => all.remove(0),
            other => panic!("{other:?}"),
        }
    }

    async fn pause(&self, paused: bool) {
        let request = Request::PauseSchedule {
            environment: "lab".into(),
            name: "s".into(),
            paused,
        };
        assert_eq!(self.client.call(request).await, Ok(Response::Done));
    }

    /// A run by hand.
    async fn by_hand(&self, recipe: &str) -> Run {
        let Ok(Response::Plan { plan, .. }) = self
            .client
            .call(Request::Plan(request("lab", recipe)))
            .await
        else {
            panic!("no plan");
        };
        let begin = Request::Start {
            hash: plan.hash,
            consent: Consent::Yes,
        };
        match self.client.call(begin).await {
            Ok(Response::Started(run)) => *run,
            other => panic!("{other:?}"),
        }
    }

    fn runs(&self) -> Vec<Run> {
        self.client.history.runs(100).unwrap()
    }
}

#[tokio::test]
async fn a_due_time_starts_one_run_in_the_name_of_the_schedule() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "work", Missed::RunOnce), false).await;
    assert!(scene.engine.core.schedules.any_is_on());
    pass(&clock, 15);
    let status = scene.ended().await;
    assert_eq!(status.memory.last_due, Some(at("12:15:00")));
    assert_eq!(status.memory.outcome, Some(Outcome::Started));
    assert_eq!(status.memory.run_state, Some(RunState::Succeeded));
    assert_eq!(status.last_run_number, Some(1));
    assert_eq!(
        status.next,
        [at("12:30:00"), at("12:45:00"), at("13:00:00")]
    );
    let runs = scene.runs();
    assert_eq!(runs.len(), 1);
    assert!(
        runs[0].started_by.starts_with("schedule s@"),
        "{}",
        runs[0].started_by
    );
}

#[tokio::test]
async fn a_night_without_an_engine_is_made_up_for_by_one_run() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let once = schedule("s", "look", Missed::RunOnce);
    let mut scene = start(&dir, &clock, once.clone(), false).await;
    scene.until(|_| true).await;
    scene.engine.shutdown(Duration::from_secs(10)).await;
    pass(&clock, 16 * 60 + 7);
    let mut scene = start(&dir, &clock, once.clone(), false).await;
    assert_eq!(
        scene.ended().await.memory.last_due,
        Some("2026-11-22T04:00:00Z".parse().unwrap())
    );
    scene.engine.shutdown(Duration::from_secs(10)).await;
    // The same due time, a third engine: nothing more is owed.
    let mut scene = start(&dir, &clock, once, false).await;
    scene.until(|_| true).await;
    pass(&clock, 8);
    let next = Some("2026-11-22T04:15:00Z".parse().unwrap());
    let second = |status: &ScheduleStatus| {
        status.memory.last_due == next
            && status.memory.outcome == Some(Outcome::Started)
            && status.memory.run_state == Some(RunState::Succeeded)
    };
    assert_eq!(scene.until(second).await.last_run_number, Some(2));
    assert_eq!(scene.runs().len(), 2);
}

#[tokio::test]
async fn a_missed_time_can_be_skipped_and_says_so() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "look", Missed::Skip), false).await;
    scene.until(|_| true).await;
    pass(&clock, 100);
    let status = scene.until(|status| status.memory.outcome.is_some()).await;
    assert_eq!(status.memory.outcome, Some(Outcome::Skipped));
    assert!(status.memory.reason.unwrap().contains("missed"));
    assert_eq!(scene.runs(), []);
}

#[tokio::test]
async fn a_run_that_is_still_going_is_not_joined_by_another() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "hang", Missed::RunOnce), false).await;
    pass(&clock, 15);
    scene
        .until(|status| status.memory.run_state == Some(RunState::Running))
        .await;
    pass(&clock, 15);
    let status = scene
        .until(|status| status.memory.outcome == Some(Outcome::Skipped))
        .await;
    assert_eq!(
        status.memory.reason.as_deref(),
        Some("run 1 of this schedule was still going")
    );
    assert_eq!(status.memory.last_due, Some(at("12:30:00")));
    let now = Request::RunSchedule {
        environment: "lab".into(),
        name: "s".into(),
    };
    assert!(
        scene
            .client
            .call(now)
            .await
            .unwrap_err()
            .message
            .contains("run 1 of this schedule")
    );
    assert_eq!(scene.runs().len(), 1);
}

#[tokio::test]
async fn a_locked_environment_is_tried_once_more_when_it_is_free() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "work", Missed::RunOnce), false).await;
    let other = scene.by_hand("hang").await;
    pass(&clock, 15);
    let status = scene
        .until(|status| status.memory.outcome == Some(Outcome::Skipped))
        .await;
    assert!(status.memory.reason.unwrap().contains("tried again"));
    let mut events = scene.client.subscribe();
    scene
        .client
        .call(Request::Cancel { run: other.id })
        .await
        .unwrap();
    end_of(other.id, &mut events).await;
    let status = scene.ended().await;
    assert_eq!(status.memory.last_due, Some(at("12:15:00")));
    assert_eq!(
        (scene.runs().len(), status.memory.run_state),
        (2, Some(RunState::Succeeded))
    );
}

#[tokio::test]
async fn a_locked_environment_is_left_alone_where_missed_times_are_skipped() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "work", Missed::Skip), false).await;
    let other = scene.by_hand("hang").await;
    pass(&clock, 15);
    scene
        .until(|status| status.memory.outcome == Some(Outcome::Skipped))
        .await;
    let mut events = scene.client.subscribe();
    scene
        .client
        .call(Request::Cancel { run: other.id })
        .await
        .unwrap();
    end_of(other.id, &mut events).await;
    pass(&clock, 15);
    assert_eq!(scene.ended().await.memory.last_due, Some(at("12:30:00")));
    assert_eq!(scene.runs().len(), 2);
}

#[tokio::test]
async fn a_read_only_engine_starts_only_what_reads() {
    for (recipe, outcome) in [("work", Outcome::Skipped), ("look", Outcome::Started)] {
        let (dir, clock) = (TempDir::new().unwrap(), noon());
        let mut scene = start(&dir, &clock, schedule("s", recipe, Missed::RunOnce), true).await;
        pass(&clock, 15);
        let due = |status: &ScheduleStatus| {
            !matches!(status.memory.outcome, None | Some(Outcome::Starting))
        };
        let status = scene.until(due).await;
        assert_eq!(
            (status.memory.outcome, status.memory.failures),
            (Some(outcome), 0),
            "{recipe}"
        );
    }
}

#[tokio::test]
async fn a_pause_outlives_the_engine_and_leaves_no_debt() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let work = schedule("s", "work", Missed::RunOnce);
    let scene = start(&dir, &clock, work.clone(), false).await;
    scene.pause(true).await;
    assert!(!scene.engine.core.schedules.any_is_on());
    scene.engine.shutdown(Duration::from_secs(10)).await;
    pass(&clock, 60);
    let mut scene = start(&dir, &clock, work, false).await;
    let status = scene.status().await;
    assert_eq!(status.memory.paused_by.as_deref(), Some("ada@bastion"));
    assert_eq!(status.next, []);
    pass(&clock, 50);
    scene.pause(false).await;
    assert_eq!(scene.status().await.next[0], at("14:00:00"));
    pass(&clock, 10);
    assert_eq!(scene.ended().await.memory.last_due, Some(at("14:00:00")));
    assert_eq!(scene.runs().len(), 1);
}

#[tokio::test]
async fn a_run_out_of_turn_belongs_to_who_asked_for_it() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "work", Missed::RunOnce), false).await;
    let now = Request::RunSchedule {
        environment: "lab".into(),
        name: "s".into(),
    };
    let Response::Started(run) = scene.client.call(now).await.unwrap() else {
        panic!("not started");
    };
    assert_eq!(run.started_by, "ada@bastion");
    let status = scene.ended().await;
    assert_eq!(
        (status.memory.last_run, status.memory.last_due),
        (Some(run.id), None)
    );
    let unknown = Request::RunSchedule {
        environment: "lab".into(),
        name: "t".into(),
    };
    assert!(
        scene
            .client
            .call(unknown)
            .await
            .unwrap_err()
            .message
            .contains("there is s")
    );
}

#[tokio::test]
async fn failing_twice_in_a_row_is_a_finding_until_it_goes_well() {
    let (dir, clock) = (TempDir::new().unwrap(), noon());
    let mut scene = start(&dir, &clock, schedule("s", "fail", Missed::RunOnce), false).await;
    for failures in 1..=2 {
        pass(&clock, 15);
        scene
            .until(|status| status.memory.failures == failures)
            .await;
    }
    let findings = |response| match response {
        Ok(Response::Live(live)) => BTreeMap::clone(&live)["lab"].findings.clone(),
        other => panic!("{other:?}"),
    };
    let found = findings(scene.client.call(Request::Live).await);
    let own = found
        .iter()
        .find(|finding| finding.key == "schedule:s")
        .unwrap();
    assert_eq!(own.text, "schedule s failed 2 times in a row");
    assert_eq!(own.evidence, "run 2 failed");
    scene.engine.shutdown(Duration::from_secs(10)).await;
    let mut scene = start(&dir, &clock, schedule("s", "look", Missed::RunOnce), false).await;
    pass(&clock, 15);
    scene.until(|status| status.memory.failures == 0).await;
    let found = findings(scene.client.call(Request::Live).await);
    assert!(
        found.iter().all(|finding| finding.key != "schedule:s"),
        "{found:?}"
    );
}
