//! Tasks: what stands before and after them, attempts, limits of time, panics.

use super::*;

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
