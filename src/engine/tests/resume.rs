//! Runs taken up where they stopped.

use super::*;
use crate::domain::plan::Origin;
use crate::domain::run::TaskState;

impl Scene {
    async fn ask_to_resume(&self, run: RunId) -> Result<Plan, Refusal> {
        let request = PlanRequest {
            origin: Some(Origin::Resume {
                run,
                failed_hosts: false,
                current_recipe: false,
            }),
            ..request("lab", "work")
        };
        match self.client.call(Request::Plan(request)).await? {
            Response::Plan { plan, .. } => Ok(*plan),
            other => panic!("{other:?}"),
        }
    }

    /// A run of `work` that fails on pc2, which is in reach again afterwards.
    async fn half_done(&self) -> Run {
        let mut events = self.client.subscribe();
        self.weather.dead.lock().unwrap().push("pc2".into());
        let (plan, _) = self.plan("lab", "work").await.unwrap();
        let run = self.begin(&plan, Consent::None).await.unwrap();
        let run = end_of(run.id, &mut events).await;
        assert_eq!(run.state, RunState::Failed);
        self.weather.dead.lock().unwrap().clear();
        run
    }
}

#[tokio::test]
async fn a_resumed_run_does_what_was_left_and_points_at_the_one_before() {
    let scene = start(false).await;
    let before = scene.half_done().await;
    let plan = scene.ask_to_resume(before.id).await.unwrap();
    assert_eq!(plan.kept.len(), 1);
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    assert_eq!(run.origin.unwrap().run(), before.id);
    assert_eq!((run.tally.changed, run.tally.pending), (1, 1));
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", ended.reason);
    let history = &scene.client.history;
    let tasks = history.tasks(run.id).unwrap();
    assert_eq!(tasks[0].reason.as_deref(), Some("done in run 1"));
    assert_eq!(tasks[1].state, TaskState::Changed);
    // The old attempt stays as it was.
    assert_eq!(history.run(before.id).unwrap(), Some(before.clone()));
    assert_eq!(history.descendants(before.id).unwrap(), [ended]);
    let lines = history.lines(run.id, 0, 100, &crate::store::LineFilter::default());
    let on_pc1 = |line: &crate::domain::run::LogLine| {
        line.task
            .as_ref()
            .is_some_and(|task| task.host.as_deref() == Some("pc1"))
    };
    assert!(!lines.unwrap().iter().any(on_pc1));

    let again = scene.ask_to_resume(before.id).await.unwrap_err();
    assert!(again.message.contains("taken up by run 2"), "{again}");
    let done = scene.ask_to_resume(run.id).await.unwrap_err();
    assert!(done.message.contains("nothing is left to do"), "{done}");
}

#[tokio::test]
async fn what_has_not_ended_or_changed_nothing_is_not_taken_up() {
    let scene = start(false).await;
    let (plan, _) = scene.plan("lab", "hang").await.unwrap();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let refusal = scene.ask_to_resume(run.id).await.unwrap_err();
    assert!(refusal.message.contains("has not ended"), "{refusal}");
    let nobody = scene
        .ask_to_resume(RunId(uuid::Uuid::nil()))
        .await
        .unwrap_err();
    assert!(nobody.message.contains("there is no run"), "{nobody}");

    let dry = PlanRequest {
        dry_run: true,
        ..request("production", "work")
    };
    let Response::Plan { plan, .. } = scene.client.call(Request::Plan(dry)).await.unwrap() else {
        panic!("no plan");
    };
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    end_of(run.id, &mut events).await;
    let refusal = scene.ask_to_resume(run.id).await.unwrap_err();
    assert!(refusal.message.contains("dry run"), "{refusal}");
}

#[tokio::test]
async fn a_secret_that_was_given_as_a_parameter_must_be_given_again() {
    let scene = start(false).await;
    let secret = SecretString::from("hunter2hunter2");
    scene.engine.core.redactor.learn(&secret).unwrap();
    let mut events = scene.client.subscribe();
    scene.weather.dead.lock().unwrap().push("pc2".into());
    let mut given = request("lab", "greet");
    given.params.insert("word".into(), "hunter2hunter2".into());
    let Response::Plan { plan, .. } = scene.client.call(Request::Plan(given)).await.unwrap() else {
        panic!("no plan");
    };
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    end_of(run.id, &mut events).await;
    let refusal = scene.ask_to_resume(run.id).await.unwrap_err();
    assert!(refusal.message.contains("give it again"), "{refusal}");
}

#[tokio::test]
async fn a_run_is_not_taken_up_while_one_of_its_commands_still_runs() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let (plan, _) = scene.plan("lab", "hang").await.unwrap();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    loop {
        if let Event::Run(seen) = events.next().await.unwrap()
            && seen.tally.running == 2
        {
            break;
        }
    }
    let cancel = Request::Cancel { run: run.id };
    scene.client.call(cancel).await.unwrap();
    end_of(run.id, &mut events).await;
    // The hosts of this test do not tell what runs on them: that is said, and no reason to stop.
    let unknown = scene.ask_to_resume(run.id).await.unwrap();
    let told = |caution: &&String| caution.contains("is not known");
    let told = unknown.cautions.iter().find(told).unwrap();
    assert!(told.contains("pc1: ") && told.contains("pc2: "), "{told}");

    let stat = format!("7 (hang) S {} 100 0", ["0"; 18].join(" "));
    let line = format!("100\n1700000000\n7\t{stat}\t{}.do@pc2.00ff\thang\n", run.id);
    scene
        .weather
        .left
        .lock()
        .unwrap()
        .insert("pc2".into(), line);
    let refusal = scene.ask_to_resume(run.id).await.unwrap_err();
    assert!(
        refusal.message.starts_with(
            "pc2: a command of do@pc2 is still running since 2023-11-14T22:13:21Z, process 7: hang;"
        ),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_run_whose_host_was_lost_is_neither_taken_up_nor_taken_back_while_its_command_goes_on() {
    let scene = start(false).await;
    let failed = scene.half_done().await;
    let stat = format!("7 (work) S {} 100 0", ["0"; 18].join(" "));
    let line = format!(
        "100\n1700000000\n7\t{stat}\t{}.do@pc2.00ff\twork\n",
        failed.id
    );
    let left = [("pc2".to_owned(), line)];
    scene.weather.left.lock().unwrap().extend(left);
    let refusal = scene.ask_to_resume(failed.id).await.unwrap_err();
    assert!(refusal.message.ends_with("and resume then"), "{refusal}");
    let back = PlanRequest {
        origin: Some(Origin::Undo {
            run: failed.id,
            force: false,
        }),
        ..request("lab", "work")
    };
    let refusal = scene.client.call(Request::Plan(back.clone())).await;
    let refusal = refusal.unwrap_err();
    assert!(refusal.message.ends_with("and undo then"), "{refusal}");
    scene.weather.left.lock().unwrap().clear();
    scene.ask_to_resume(failed.id).await.unwrap();
    // This one changed nothing that could be taken back, which is another reason.
    let refusal = scene.client.call(Request::Plan(back)).await.unwrap_err();
    assert!(!refusal.message.contains("still running"), "{refusal}");
}
