//! Plans of every shape: very long ones, such as are no graph, and ones made by chance.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_chain_of_ten_thousand_steps_runs_to_its_end() {
    const LENGTH: usize = 10_000;
    let steps = (0..LENGTH)
        .map(|number| {
            let before = number.checked_sub(1).map(|before| format!("s{before}"));
            let needs: Vec<&str> = before.as_deref().into_iter().collect();
            step(&format!("s{number}"), &needs, Some(&["pc1"]))
        })
        .collect();
    let run = Scene::new(plan(steps), Stage::default()).play().await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(run.tally.ok as usize, LENGTH);
}

#[tokio::test(start_paused = true)]
async fn a_long_chain_of_steps_without_hosts_is_passed_through() {
    let steps = (0..50_000)
        .map(|number: usize| {
            let before = number.checked_sub(1).map(|before| format!("s{before}"));
            let needs: Vec<&str> = before.as_deref().into_iter().collect();
            step(&format!("s{number}"), &needs, Some(&[]))
        })
        .chain([step("last", &["s49999"], None)])
        .collect();
    let mut scene = Scene::new(plan(steps), Stage::default());
    assert_eq!(scene.play().await.state, RunState::Succeeded);
    assert_eq!(scene.state("last", None).0, TaskState::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_no_graph_fails_and_says_why() {
    for (steps, says) in [
        (
            vec![step("a", &["b"], None), step("b", &["a"], None)],
            "in a circle: a, b",
        ),
        (vec![step("a", &["z"], None)], "needs \"z\""),
        (
            vec![step("a", &[], None), step("a", &[], None)],
            "two steps called \"a\"",
        ),
    ] {
        let run = Scene::new(plan(steps), Stage::default()).play().await;
        assert_eq!(run.state, RunState::Failed);
        let reason = run.reason.unwrap();
        assert!(reason.contains(says), "{reason}");
    }
}

/// A step of a random plan: its needs among earlier steps, its hosts (none: where the engine is), its parallelism, and what
/// its tasks do.
type Draw = (Vec<bool>, Option<BTreeSet<usize>>, Option<u32>, Vec<u8>);

fn draw() -> impl Strategy<Value = Vec<Draw>> {
    let one = (
        prop::collection::vec(prop::bool::weighted(0.25), 12),
        prop::option::weighted(0.8, prop::collection::btree_set(0..5_usize, 0..5)),
        prop::option::of(1..3_u32),
        prop::collection::vec(0..20_u8, 6),
    );
    prop::collection::vec(one, 1..12)
}

fn act(number: u8) -> Vec<Act> {
    match number {
        0 => vec![Act::Fail],
        1 => vec![Act::Panic],
        2 => vec![Act::Skip],
        3 => vec![Act::Stumble, Act::Changed],
        4 => vec![Act::Changed],
        5 => vec![Act::Stumble],
        millis => vec![Act::Take(u64::from(millis))],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_task_of_every_plan_ends_and_no_rule_is_broken(draws in draw(), cancel_at in prop::option::weighted(0.2, 0..40_u64)) {
        const NAMES: [&str; 5] = ["pc1", "pc2", "pc3", "pc4", "pc5"];
        let mut stage = Stage::default();
        let mut steps = Vec::new();
        for (number, (needs, hosts, parallel, acts)) in draws.iter().enumerate() {
            let id = format!("s{number}");
            let needs: Vec<String> = (0..number).filter(|other| needs[*other]).map(|other| format!("s{other}")).collect();
            let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            let hosts: Option<Vec<&str>> = hosts.as_ref().map(|hosts| hosts.iter().map(|host| NAMES[*host]).collect());
            match &hosts {
                None => stage = stage.with(&id, None, &act(acts[5])),
                Some(hosts) => for (host, number) in hosts.iter().zip(acts) {
                    stage = stage.with(&id, Some(host), &act(*number));
                },
            }
            let mut planned = step(&id, &needs, hosts.as_deref());
            planned.step.parallel = *parallel;
            planned.step.retries = 1;
            steps.push(planned);
        }
        let plan = plan(steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (run, scene) = runtime.block_on(async {
            let mut scene = Scene::new(plan.clone(), stage);
            if let Some(millis) = cancel_at {
                let stop = scene.stop.clone();
                tokio::spawn(async move { sleep(Duration::from_millis(millis)).await; stop.cancel("cancelled by ada@bastion".into()); });
            }
            (scene.play().await, scene)
        });
        let tasks = scene.tasks.snapshot();
        prop_assert!(run.state.is_final());
        prop_assert!(tasks.iter().all(|task| task.state.is_final()), "{tasks:?}");
        prop_assert_eq!(run.tally.done() as usize, tasks.len());
        let failed = tasks.iter().any(|task| task.state == TaskState::Failed);
        let cancelled = tasks.iter().any(|task| task.state == TaskState::Cancelled);
        prop_assert_eq!(run.state == RunState::Succeeded, !failed && !cancelled);
        prop_assert_eq!(run.state == RunState::Cancelled, cancelled);

        let seen = scene.stage.seen.lock().unwrap();
        let mut working: BTreeSet<(String, Option<String>)> = BTreeSet::new();
        for (key, begins) in &seen.moves {
            if !begins {
                working.remove(key);
                continue;
            }
            prop_assert!(working.len() < 4, "more than four at a time");
            prop_assert!(
                key.1.is_none() || working.iter().all(|other| other.1 != key.1),
                "two tasks on {:?}", key.1
            );
            let planned = plan.steps.iter().find(|planned| planned.step.id == key.0).unwrap();
            let beside = working.iter().filter(|other| other.0 == key.0).count();
            prop_assert!(planned.step.parallel.is_none_or(|most| beside < most as usize), "too many of {}", key.0);
            for need in &planned.step.needs {
                let needed = tasks.iter().filter(|task| task.key.step == *need);
                prop_assert!(needed.clone().all(|task| task.state.is_success()), "{} began in spite of {need}", key.0);
                prop_assert!(working.iter().all(|other| other.0 != *need), "{} began before {need} ended", key.0);
            }
            working.insert(key.clone());
        }
        let mut bad: BTreeMap<&str, bool> = BTreeMap::new();
        for planned in &plan.steps {
            let id = planned.step.id.as_str();
            let barred = planned.step.needs.iter().any(|need| bad[need.as_str()]);
            let own = tasks.iter().filter(|task| task.key.step == id);
            bad.insert(id, barred || own.clone().any(|task| task.state == TaskState::Failed));
            let held_back = planned.step.parallel.is_some() && bad[id];
            for task in own.filter(|_| !cancelled && !held_back) {
                prop_assert_eq!(task.attempts == 0, barred, "{}", &task.key);
            }
        }
    }
}
