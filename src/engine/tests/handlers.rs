//! What runs owe the hosts that they changed.

use super::*;
use crate::domain::handler::Owed;
use crate::domain::plan::Origin;
use crate::domain::run::TaskState;

/// `work` on both nodes, which notifies `again`, and then something that does not end.
pub(super) fn following() -> Recipe {
    let mut following = recipe("follow", Risk::Change, "work");
    following.steps[0].notify = vec!["again".into()];
    let mut more = recipe("more", Risk::Change, "hang").steps.remove(0);
    more.id = "more".into();
    more.needs = vec!["do".into()];
    more.when = Some("node.name == 'pc1'".into());
    following.steps.push(more);
    let mut again = recipe("again", Risk::Change, "work").steps.remove(0);
    again.id = "again".into();
    again.on = None;
    following.handlers = vec![again];
    following
}

fn owed(host: &str) -> Owed {
    Owed {
        handler: "again".into(),
        host: Some(host.into()),
    }
}

impl Scene {
    /// A run of `follow` that was cancelled when everything was changed and nothing followed yet.
    async fn cut_off(&self) -> Run {
        let mut events = self.client.subscribe();
        let (plan, _) = self.plan("lab", "follow").await.unwrap();
        let run = self.begin(&plan, Consent::None).await.unwrap();
        loop {
            let event = events.next().await.unwrap();
            if let Event::Task { task, .. } = event
                && task.key.to_string() == "more@pc1"
                && task.state == TaskState::Running
            {
                break;
            }
        }
        let cancelled = self.client.call(Request::Cancel { run: run.id }).await;
        assert!(cancelled.is_ok(), "{cancelled:?}");
        end_of(run.id, &mut events).await
    }

    async fn take_up(&self, origin: Origin) -> Plan {
        let request = PlanRequest {
            origin: Some(origin),
            ..request("lab", "follow")
        };
        match self.client.call(Request::Plan(request)).await.unwrap() {
            Response::Plan { plan, .. } => *plan,
            other => panic!("{other:?}"),
        }
    }
}

fn resume(run: RunId) -> Origin {
    Origin::Resume {
        run,
        failed_hosts: false,
        current_recipe: false,
    }
}

#[tokio::test]
async fn what_a_run_owes_when_it_is_cut_off_is_owed_by_the_one_that_takes_it_up() {
    let scene = start(false).await;
    let before = scene.cut_off().await;
    assert_eq!(before.state, RunState::Cancelled);
    let plan = scene.take_up(resume(before.id)).await;
    assert_eq!(plan.owed, [owed("pc1"), owed("pc2")]);
    assert_eq!(
        plan.cautions[0],
        "run 1 changed something and did not come to what must follow: again on pc1, again on pc2"
    );
    // The second one is cut off as well, before it did anything of its own.
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let cancelled = scene.client.call(Request::Cancel { run: run.id }).await;
    assert!(cancelled.is_ok(), "{cancelled:?}");
    let second = end_of(run.id, &mut events).await;
    let plan = scene.take_up(resume(second.id)).await;
    assert_eq!(plan.owed, [owed("pc1"), owed("pc2")]);
}

#[tokio::test]
async fn a_handler_runs_once_where_it_was_notified_and_is_not_owed_any_longer() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    scene.weather.dead.lock().unwrap().push("pc2".into());
    let (plan, _) = scene.plan("lab", "follow").await.unwrap();
    let ids: Vec<&str> = plan
        .steps
        .iter()
        .map(|step| step.step.id.as_str())
        .collect();
    assert_eq!(ids, ["do", "more", "end:again"]);
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let run = end_of(run.id, &mut events).await;
    assert_eq!(run.state, RunState::Failed);
    let history = &scene.client.history;
    let state = |task: &str| {
        let tasks = history.tasks(run.id).unwrap();
        let found = tasks
            .into_iter()
            .find(|found| found.key.to_string() == task);
        found.map(|found| found.state)
    };
    assert_eq!(state("end:again@pc1"), Some(TaskState::Changed));
    assert_eq!(state("end:again@pc2"), Some(TaskState::Skipped));
    let plan = history.plan(run.id).unwrap().unwrap();
    // It was put on record before the change was tried.
    assert_eq!(history.owed(run.id, &plan).unwrap(), [owed("pc2")]);
    let rest = scene.take_up(resume(run.id)).await;
    let kept = rest.kept.iter().map(|task| task.key.to_string());
    assert_eq!(kept.collect::<Vec<_>>(), ["do@pc1", "end:again@pc1"]);
}

#[tokio::test]
async fn the_handlers_of_what_is_taken_back_run_again() {
    let scene = start(false).await;
    let before = scene.cut_off().await;
    let undo = Origin::Undo {
        run: before.id,
        force: false,
    };
    let plan = scene.take_up(undo).await;
    assert_eq!(plan.owed, [owed("pc1"), owed("pc2")]);
    let mut events = scene.client.subscribe();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", ended.reason);
    let tasks = scene.client.history.tasks(run.id).unwrap();
    let told: Vec<String> = tasks
        .iter()
        .map(|task| format!("{} {}", task.key, task.state))
        .collect();
    assert_eq!(
        told,
        ["undone:again@pc1 changed", "undone:again@pc2 changed"]
    );
    let paid = scene.client.history.plan(before.id).unwrap().unwrap();
    assert_eq!(scene.client.history.owed(before.id, &paid).unwrap(), []);
}
