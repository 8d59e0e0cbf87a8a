//! How runs end before their last task: cancelled, with their engine, or with a store that fails.

use super::*;

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
