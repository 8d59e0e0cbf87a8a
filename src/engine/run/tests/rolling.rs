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
