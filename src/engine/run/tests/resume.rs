//! Runs that are taken up again and again, from the plan of the rest to its end.

use super::*;
use crate::domain::plan::{OnceAnswer, Origin};
use crate::steps::testing::staging;
use crate::steps::{self, Earlier};

/// Ends well, fails, takes its time (so that a cancellation meets it), or does not know where it stands.
fn act(number: u8) -> Act {
    match number {
        0..4 => Act::Changed,
        4 => Act::Skip,
        5 => Act::Fail,
        6 => Act::Panic,
        _ => Act::Hang,
    }
}

/// What was done in all the attempts together.
#[derive(Default)]
struct History {
    /// How often each task ended well.
    done: BTreeMap<(String, Option<String>), usize>,
    /// How often each was begun.
    begun: BTreeMap<(String, Option<String>), usize>,
}

impl History {
    /// Takes in one attempt.
    fn add(&mut self, scene: &Scene, plan: &Plan) {
        for task in scene.tasks.snapshot() {
            let key = (task.key.step.clone(), task.key.host.clone());
            let attempts = scene.stage.attempts(&key.0, key.1.as_deref());
            *self.begun.entry(key.clone()).or_default() += attempts;
            let own = plan.kept.iter().all(|kept| kept.key != task.key);
            if own && task.attempts > 0 && task.state.is_success() {
                *self.done.entry(key).or_default() += 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn however_often_a_run_is_taken_up_nothing_that_is_done_is_done_again(
        needs in prop::collection::vec(prop::collection::vec(prop::bool::weighted(0.3), 5), 1..6),
        once in prop::collection::vec(prop::bool::ANY, 6),
        rolling in prop::collection::vec(prop::bool::weighted(0.3), 6),
        rounds in prop::collection::vec((prop::collection::vec(0..9_u8, 18), prop::bool::ANY, prop::bool::ANY), 6),
    ) {
        const HOSTS: [&str; 3] = ["pc1", "pc2", "pc3"];
        let steps: Vec<PlannedStep> = needs.iter().enumerate().map(|(number, needs)| {
            let needs: Vec<String> = (0..number).filter(|other| needs[*other]).map(|other| format!("s{other}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let mut planned = step(&format!("s{number}"), &needs, Some(&HOSTS));
            planned.step.once = once[number];
            planned.step.parallel = rolling[number].then_some(1);
            planned.step.run = Some(crate::domain::recipe::RunCommand { detached: false, elsewhere: Vec::new(), distinct: false, argv: vec!["do".into()], changes: true, check: None, otherwise: None, expect: None });
            planned
        }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut plan = plan(steps);
        let mut history = History::default();
        let mut last = None;
        for (number, (acts, repeat, failed_hosts)) in (1..).zip(&rounds) {
            // The last round lets everything work, so that the run must come to its end.
            let calm = number == rounds.len();
            let mut stage = Stage::default();
            for (key, number) in plan.tasks().iter().zip(acts.iter().cycle()) {
                let act = if calm { Act::Ok } else { act(*number) };
                stage = stage.with(&key.key.step, key.key.host.as_deref(), &[act]);
            }
            let (run, scene) = runtime.block_on(async {
                let mut scene = Scene::new(plan.clone(), stage);
                let stop = scene.stop.clone();
                tokio::spawn(async move { sleep(Duration::from_millis(20)).await; stop.interrupt(); });
                (scene.play().await, scene)
            });
            history.add(&scene, &plan);
            let earlier = Earlier { run: Run { number: i64::try_from(number).unwrap(), ..run.clone() }, plan: plan.clone(), tasks: scene.tasks.snapshot(), owed: Vec::new() };
            last = Some(run);
            let origin = |failed_hosts| Origin::Resume { run: RunId(uuid::Uuid::nil()), failed_hosts, current_recipe: false };
            let asked = |origin| PlanRequest { origin: Some(origin), ..PlanRequest::default() };
            let mut request = asked(origin(*failed_hosts && number + 1 < rounds.len()));
            if steps::resume(&earlier, &staging(), None, &request).is_err() {
                request = asked(origin(false));
            }
            // Nothing is left to do.
            let Ok(open) = steps::resume(&earlier, &staging(), None, &request) else { break };
            let answer = if *repeat { OnceAnswer::Repeat } else { OnceAnswer::Done };
            request.once = open.undecided.iter().map(|key| (key.to_string(), answer)).collect();
            plan = steps::resume(&earlier, &staging(), None, &request).unwrap();
            prop_assert_eq!(&plan.undecided, &[]);
            for task in open.undecided.iter().filter(|_| !repeat) {
                prop_assert!(plan.kept.iter().any(|kept| kept.key == *task), "{} was taken as done", task);
            }
        }
        for (key, times) in &history.done {
            prop_assert!(*times <= 1, "{:?} was done {} times", key, times);
        }
        for (number, once) in once.iter().enumerate().take(needs.len()).filter(|(_, once)| **once) {
            // Without a word of the operator to repeat it, a once task begins once at most.
            let repeats = rounds.iter().filter(|(_, repeat, _)| *repeat).count();
            for host in HOSTS {
                let begun = history.begun.get(&(format!("s{number}"), Some(host.to_owned()))).copied().unwrap_or(0);
                prop_assert!(begun <= 1 + repeats, "{} {} {}", once, number, begun);
            }
        }
        prop_assert_eq!(last.unwrap().state, RunState::Succeeded);
    }
}
