//! What is told of a run: without secrets, and not before it was committed.

use super::*;

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
