//! Steps that go host by host.

use super::*;

fn rolling(parallel: Option<u32>, max_fail: Option<u32>) -> PlannedStep {
    let mut planned = step("restart", &[], Some(&["pc1", "pc2", "pc3", "pc4"]));
    planned.step.parallel = parallel;
    planned.step.max_fail = max_fail;
    planned
}

async fn play(planned: PlannedStep) -> Scene {
    let stage = Stage::default()
        .with("restart", Some("pc1"), &[Act::Fail])
        .with("restart", Some("pc3"), &[Act::Fail]);
    let mut scene = Scene::new(plan(vec![planned]), stage);
    assert_eq!(scene.play().await.state, RunState::Failed);
    scene
}

#[tokio::test(start_paused = true)]
async fn a_step_that_goes_host_by_host_stops_at_the_first_that_fails() {
    let scene = play(rolling(Some(1), None)).await;
    assert_eq!(scene.stage.attempts("restart", Some("pc1")), 1);
    for host in ["pc2", "pc3", "pc4"] {
        assert_eq!(scene.stage.attempts("restart", Some(host)), 0);
        let (state, reason) = scene.state("restart", Some(host));
        assert_eq!(state, TaskState::Skipped);
        assert_eq!(
            reason.as_deref(),
            Some("not begun: restart failed on pc1, and goes on only while it works")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_says_itself_on_how_many_hosts_it_may_fail() {
    let scene = play(rolling(Some(1), Some(1))).await;
    assert_eq!(scene.stage.attempts("restart", Some("pc3")), 1);
    assert_eq!(scene.stage.attempts("restart", Some("pc4")), 0);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_takes_all_hosts_at_once_goes_on_with_those_that_work() {
    let scene = play(rolling(None, None)).await;
    assert_eq!(scene.stage.attempts("restart", Some("pc4")), 1);
}

/// `restart` on six hosts, in batches.
fn in_batches(text: &str) -> PlannedStep {
    let hosts = ["pc1", "pc2", "pc3", "pc4", "pc5", "pc6"];
    let mut planned = step("restart", &[], Some(&hosts));
    planned.step.rolling = Some(serde_json::from_str(text).unwrap());
    planned
}

fn moves(scene: &Scene) -> Vec<(String, bool)> {
    let seen = scene.stage.seen.lock().unwrap();
    let moves = seen.moves.iter();
    moves
        .map(|((_, host), begins)| (host.clone().unwrap(), *begins))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_begins_when_all_of_the_one_before_has_ended_and_the_pause_is_over() {
    let stage = Stage::default().with("restart", Some("pc1"), &[Act::Take(5_000)]);
    let planned = in_batches(r#"{"batch": "50%", "pause": "30s"}"#);
    let mut scene = Scene::new(plan(vec![planned]), stage);
    let begun = Instant::now();
    assert_eq!(scene.play().await.state, RunState::Succeeded);
    assert_eq!(begun.elapsed().as_secs(), 35);
    let moves = moves(&scene);
    let at = |host: &str, begins| {
        let wanted = (host.to_owned(), begins);
        moves.iter().position(|found| *found == wanted).unwrap()
    };
    for late in ["pc4", "pc5", "pc6"] {
        assert!(at(late, true) > at("pc1", false), "{moves:?}");
    }
    assert!(at("pc3", true) < at("pc1", false), "{moves:?}");
    let lines = scene.journal.lines.lock().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.text == "restart rests for 30 s before it goes on with pc4, pc5, pc6"),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_stop_the_rest_and_the_run_says_which_hosts_were_not_begun() {
    let fail = [Act::Fail];
    let stage =
        Stage::default()
            .with("restart", Some("pc1"), &fail)
            .with("restart", Some("pc4"), &fail);
    let planned = in_batches(r#"{"batch": 2, "max_fail": 1}"#);
    let mut scene = Scene::new(plan(vec![planned]), stage);
    let run = scene.play().await;
    assert_eq!(run.state, RunState::Failed);
    assert_eq!(
        run.reason.as_deref(),
        Some(
            "restart@pc1 failed: it did not work; 1 more failed; 2 not started because of it; hosts not begun: pc5, pc6"
        )
    );
    let (state, reason) = scene.state("restart", Some("pc5"));
    assert_eq!(state, TaskState::Skipped);
    assert_eq!(
        reason.as_deref(),
        Some("not begun: restart failed on pc1, pc4, and goes on only while it works")
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_while_it_rests_ends_at_once() {
    let planned = in_batches(r#"{"batch": 3, "pause": "1h"}"#);
    let mut scene = Scene::new(plan(vec![planned]), Stage::default());
    let stop = scene.stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        stop.cancel("cancelled by ada@bastion".into());
    });
    let begun = Instant::now();
    let run = scene.play().await;
    assert_eq!((run.state, run.tally.cancelled), (RunState::Cancelled, 3));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn handlers_at_the_end_run_where_nothing_failed_whatever_happened_elsewhere() {
    let steps = vec![
        step("write", &[], Some(&["pc1", "pc2"])),
        step("more", &["write"], Some(&["pc1", "pc2"])),
        step("end:restart", &["more"], Some(&["pc1", "pc2"])),
        step("end:tell", &["end:restart"], None),
    ];
    let stage = Stage::default().with("write", Some("pc1"), &[Act::Fail]);
    let mut scene = Scene::new(plan(steps), stage);
    assert_eq!(scene.play().await.state, RunState::Failed);
    assert_eq!(scene.stage.attempts("end:restart", Some("pc2")), 1);
    assert_eq!(scene.stage.attempts("end:tell", None), 1);
    let (state, reason) = scene.state("end:restart", Some("pc1"));
    assert_eq!(state, TaskState::Skipped);
    assert_eq!(
        reason.as_deref(),
        Some("not begun: write failed here; where it was notified, it is when the run is resumed")
    );
}
