//! Runs that wait for an operator: the second one of `two-person`, and steps that ask.

use super::*;
use crate::domain::approval::{Decision, Fate, Waiting};
use crate::domain::run::TaskState;

fn bob() -> Operator {
    Operator::new("bob", "bastion", 1001)
}

/// The next state of the run, other than this one.
async fn moved_on(run: &Run, events: &mut Subscription) -> Run {
    loop {
        if let Event::Run(seen) = events.next().await.unwrap()
            && seen.id == run.id
            && seen.state != run.state
        {
            return *seen;
        }
    }
}

impl Scene {
    async fn begin_guarded(&self, recipe: &str) -> Run {
        let (plan, gate) = self.plan("guarded", recipe).await.unwrap();
        assert_eq!(gate, Gate::SecondOperator);
        assert!(self.begin(&plan, Consent::Yes).await.is_err());
        self.begin(&plan, Consent::Typed("guarded".into()))
            .await
            .unwrap()
    }

    async fn waiting(&self) -> Vec<Waiting> {
        match self.client.call(Request::Approvals).await.unwrap() {
            Response::Approvals(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    async fn decide(
        &self,
        who: Operator,
        one: &Waiting,
        decision: Decision,
    ) -> Result<(), Refusal> {
        let request = Request::Approve {
            run: one.run,
            step: one.step.clone(),
            hash: one.hash.clone(),
            decision,
            note: Some("as agreed".into()),
        };
        self.engine.client(who).call(request).await.map(drop)
    }
}

#[tokio::test]
async fn a_run_that_needs_two_persons_begins_when_the_other_one_agrees_and_only_once() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let run = scene.begin_guarded("work").await;
    let waits = moved_on(&run, &mut events).await;
    assert_eq!(waits.state, RunState::WaitingApproval);
    assert_eq!(waits.tally.pending, 2);
    let waiting = scene.waiting().await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].hash, run.plan_hash);

    let own = scene.decide(ada(), &waiting[0], Decision::Approve).await;
    assert!(own.unwrap_err().message.contains("another operator"));
    let other_plan = Waiting {
        hash: "0".repeat(64),
        ..waiting[0].clone()
    };
    let other = scene.decide(bob(), &other_plan, Decision::Approve).await;
    assert!(other.unwrap_err().message.contains("another plan"));

    scene
        .decide(bob(), &waiting[0], Decision::Approve)
        .await
        .unwrap();
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", ended.reason);
    let approvals = scene.client.history.approvals(run.id).unwrap();
    assert_eq!(approvals.len(), 1);
    assert_eq!(approvals[0].by, "bob@bastion");
    assert_eq!(approvals[0].note.as_deref(), Some("as agreed"));
    assert_eq!(approvals[0].fate, Fate::Used);
    let again = scene.decide(bob(), &waiting[0], Decision::Approve).await;
    assert!(again.unwrap_err().message.contains("decided already"));
    assert_eq!(scene.waiting().await, []);
}

#[tokio::test]
async fn a_refusal_ends_the_run_with_who_and_why_and_nothing_is_done() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let run = scene.begin_guarded("work").await;
    moved_on(&run, &mut events).await;
    let waiting = scene.waiting().await;
    scene
        .decide(bob(), &waiting[0], Decision::Refuse)
        .await
        .unwrap();
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Failed);
    assert_eq!(
        ended.reason.as_deref(),
        Some("refused by bob@bastion: as agreed; nothing was done")
    );
    assert_eq!((ended.tally.cancelled, ended.started_at), (2, None));
    let approvals = scene.client.history.approvals(run.id).unwrap();
    assert_eq!(approvals[0].decision, Decision::Refuse);
}

#[tokio::test]
async fn a_run_that_waits_locks_nothing_and_may_be_cancelled() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let first = scene.begin_guarded("hang").await;
    let second = scene.begin_guarded("work").await;
    moved_on(&second, &mut events).await;
    let waiting = scene.waiting().await;
    assert_eq!(waiting.len(), 2);
    let of = |run: &Run| waiting.iter().find(|one| one.run == run.id).unwrap();
    scene
        .decide(bob(), of(&first), Decision::Approve)
        .await
        .unwrap();
    // The first one changes the environment now: the second goes on waiting, its question stays open.
    let locked = scene.decide(bob(), of(&second), Decision::Approve).await;
    let message = locked.unwrap_err().message;
    assert!(message.contains("is being changed by run 1"), "{message}");
    assert_eq!(scene.waiting().await.len(), 1);
    let cancel = Request::Cancel { run: second.id };
    scene.client.call(cancel).await.unwrap();
    let ended = end_of(second.id, &mut events).await;
    assert_eq!(ended.state, RunState::Cancelled);
    assert_eq!(
        ended.reason.as_deref(),
        Some("cancelled by ada@bastion while it waited for a second operator; nothing was done")
    );
    assert_eq!(scene.waiting().await, []);
}

#[tokio::test]
async fn the_end_of_the_engine_interrupts_a_run_that_waits() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let run = scene.begin_guarded("work").await;
    moved_on(&run, &mut events).await;
    let history = scene.client.history.clone();
    scene.engine.shutdown(Duration::from_secs(10)).await;
    let ended = history.run(run.id).unwrap().unwrap();
    assert_eq!(ended.state, RunState::Interrupted);
    assert!(ended.reason.unwrap().contains("nothing was done"));
}

#[tokio::test]
async fn a_step_that_asks_holds_up_what_needs_it_until_it_is_approved() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let (plan, _) = scene.plan("lab", "ask").await.unwrap();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let begun = moved_on(&run, &mut events).await;
    let waits = moved_on(&begun, &mut events).await;
    assert_eq!(waits.state, RunState::WaitingApproval);
    assert_eq!(
        waits.reason.as_deref(),
        Some("ask waits for an approval: go on with lab?")
    );
    assert_eq!((waits.tally.running, waits.tally.pending), (1, 2));
    let waiting = scene.waiting().await;
    assert_eq!(waiting[0].step.as_deref(), Some("ask"));
    scene
        .decide(ada(), &waiting[0], Decision::Approve)
        .await
        .unwrap();
    let goes_on = moved_on(&waits, &mut events).await;
    assert_eq!(goes_on.state, RunState::Running);
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Succeeded, "{:?}", ended.reason);
}

#[tokio::test]
async fn a_step_that_is_refused_fails_and_what_needs_it_does_not_begin() {
    let scene = start(false).await;
    let mut events = scene.client.subscribe();
    let (plan, _) = scene.plan("lab", "ask").await.unwrap();
    let run = scene.begin(&plan, Consent::None).await.unwrap();
    let begun = moved_on(&run, &mut events).await;
    moved_on(&begun, &mut events).await;
    let waiting = scene.waiting().await;
    scene
        .decide(bob(), &waiting[0], Decision::Refuse)
        .await
        .unwrap();
    let ended = end_of(run.id, &mut events).await;
    assert_eq!(ended.state, RunState::Failed);
    let tasks = scene.client.history.tasks(run.id).unwrap();
    assert_eq!(
        tasks[0].reason.as_deref(),
        Some("refused by bob@bastion: as agreed")
    );
    assert!(
        tasks[1..]
            .iter()
            .all(|task| task.state == TaskState::Skipped)
    );
}
