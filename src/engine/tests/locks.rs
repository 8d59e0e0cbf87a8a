//! One changing run per environment, seen and broken.

use super::*;
use crate::domain::live::Lock;

impl Scene {
    async fn lock(&self) -> Option<Lock> {
        match self.client.call(Request::Live).await.unwrap() {
            Response::Live(live) => live["lab"].lock.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn unlock(&self, consent: Consent, force: bool) -> Result<Response, Refusal> {
        let request = Request::BreakLock {
            environment: "lab".into(),
            consent,
            force,
        };
        let bob = Operator::new("bob", "bastion", 1001);
        self.engine.client(bob).call(request).await
    }

    /// A run that is in the middle of its tasks.
    async fn at_work(&self, events: &mut Subscription) -> Run {
        let (plan, _) = self.plan("lab", "hang").await.unwrap();
        let run = self.begin(&plan, Consent::None).await.unwrap();
        loop {
            if let Event::Run(seen) = events.next().await.unwrap()
                && seen.id == run.id
                && seen.tally.running == 2
            {
                return *seen;
            }
        }
    }
}

#[tokio::test]
async fn a_lock_is_seen_told_and_named_with_its_age() {
    let scene = start(false).await;
    assert_eq!(scene.lock().await, None);
    let mut events = scene.client.subscribe();
    let run = scene.at_work(&mut scene.client.subscribe()).await;
    let lock = scene.lock().await.unwrap();
    assert_eq!((lock.run, lock.number), (run.id, 1));
    assert_eq!(lock.by, "ada@bastion");
    let (other, _) = scene.plan("lab", "work").await.unwrap();
    let refusal = scene.begin(&other, Consent::None).await.unwrap_err();
    assert!(
        refusal
            .message
            .contains("run 1 (hang, started by ada@bastion, for "),
        "{refusal}"
    );
    scene
        .client
        .call(Request::Cancel { run: run.id })
        .await
        .unwrap();
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Event::Lock { environment, lock } = events.next().await.unwrap() {
            assert_eq!(environment, "lab");
            told.push(lock.map(|lock| lock.number));
        }
    }
    assert_eq!(told, [Some(1), None]);
    assert_eq!(scene.lock().await, None);
}

#[tokio::test]
async fn a_lock_is_broken_with_consent_and_in_the_middle_of_work_only_by_force() {
    let scene = start(false).await;
    let nothing = scene.unlock(Consent::Yes, false).await.unwrap_err();
    assert!(nothing.message.contains("not locked"), "{nothing}");
    let mut events = scene.client.subscribe();
    let run = scene.at_work(&mut events).await;
    assert!(scene.unlock(Consent::None, true).await.is_err());
    let busy = scene.unlock(Consent::Yes, false).await.unwrap_err();
    assert!(busy.message.contains("do@pc1, do@pc2"), "{busy}");
    assert!(scene.lock().await.is_some());

    let Response::Unlocked {
        run: ended,
        half_done,
    } = scene.unlock(Consent::Yes, true).await.unwrap()
    else {
        panic!("not the answer to the question");
    };
    assert_eq!((ended.id, ended.state), (run.id, RunState::Cancelled));
    assert_eq!(half_done.len(), 2);
    let reason = ended.reason.unwrap();
    assert!(
        reason.starts_with(
            "lock broken by bob@bastion: 0 of 2 tasks done, stopped while in progress"
        ),
        "{reason}"
    );
    assert_eq!(scene.lock().await, None);
}

#[tokio::test]
async fn the_same_plan_shown_to_two_is_good_for_a_run_of_each_and_for_no_third() {
    let scene = start(false).await;
    let other = scene.engine.client(Operator::new("bob", "bastion", 1001));
    let [looked, changed] = ["look", "hang"];
    let (look, _) = scene.plan("lab", looked).await.unwrap();
    let (change, _) = scene.plan("lab", changed).await.unwrap();
    let start_of = |plan: &Plan| Request::Start {
        hash: plan.hash.clone(),
        consent: Consent::None,
    };
    for (recipe, own) in [(looked, &look), (changed, &change)] {
        let answer = other.call(Request::Plan(request("lab", recipe))).await;
        let Ok(Response::Plan { plan, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(plan.hash, own.hash);
    }

    scene.begin(&look, Consent::None).await.unwrap();
    let run = scene.begin(&change, Consent::None).await.unwrap();
    assert!(other.call(start_of(&look)).await.is_ok());
    let refusal = other.call(start_of(&change)).await.unwrap_err();
    let named = format!("lab is being changed by run {} (hang, ", run.number);
    assert!(refusal.message.starts_with(&named), "{refusal}");
    for plan in [&look, &change] {
        let refusal = scene.begin(plan, Consent::None).await.unwrap_err();
        assert!(refusal.message.contains("good for one run"), "{refusal}");
    }

    // What was refused may be tried again, once the other is done.
    let mut events = scene.client.subscribe();
    let stop = Request::Cancel { run: run.id };
    scene.client.call(stop).await.unwrap();
    end_of(run.id, &mut events).await;
    assert!(other.call(start_of(&change)).await.is_ok());
}
