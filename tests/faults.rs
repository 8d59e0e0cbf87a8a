//! Killed at any moment: a hundred engines in the middle of runs, and a hundred screens that watched.
//!
//! What is counted at the end is what an operator cares for: transitions that somebody was told of and that the store has
//! not (must be 0), steps marked `once` that were carried out twice (0), runs that are stuck (0). The seed is fixed; the
//! moments are drawn from it in steps of the run's own progress, so a slow machine is hit at the same places as a fast one.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]
#![allow(clippy::print_stdout, reason = "the counts are the result")]
#![allow(dead_code, reason = "of what the tests share, each uses what it needs")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use quarterdeck::client::socket::{Dial, Remote};
use quarterdeck::client::wire::{Hello, PROTOCOL};
use quarterdeck::client::{Event, Link as _, Request, Response};
use quarterdeck::domain::action::Consent;
use quarterdeck::domain::plan::{OnceAnswer, Origin, Plan, PlanRequest};
use quarterdeck::domain::run::{Run, RunChange, RunId, RunState, TaskKey, TaskState};
use quarterdeck::engine::socket_path;
use quarterdeck::store::{Reader, database_path};
use tokio::time::{sleep, timeout};

#[path = "support/place.rs"]
mod place;
#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
mod terminal;

use place::Place;
use terminal::Terminal;

/// How long anything may take before a test fails; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
const KILLS: u32 = 100;
const STEPS: usize = 200;
/// Every so many steps one must not be repeated.
const ONCE: usize = 10;

/// What was done: every step appends its name to a file.
struct Deeds(PathBuf);

impl Deeds {
    /// How often each step was carried out.
    fn count(&self) -> BTreeMap<String, usize> {
        let mut count = BTreeMap::new();
        for step in std::fs::read_to_string(&self.0).unwrap_or_default().lines() {
            *count.entry(step.to_owned()).or_default() += 1;
        }
        count
    }

    /// The steps that must not be repeated and were.
    fn repeated(&self) -> Vec<String> {
        let count = self.count();
        let once = (0..STEPS).filter(|step| is_once(*step));
        once.map(|step| format!("s{step}"))
            .filter(|step| count.get(step).is_some_and(|times| *times > 1))
            .collect()
    }

    fn forget(&self) {
        std::fs::write(&self.0, "").unwrap();
    }
}

/// A place with a recipe of [`STEPS`] steps in eight chains, and what they do.
fn place() -> (Place, Deeds) {
    let place = Place::new();
    let deeds = Deeds(place.home.path().join("deeds"));
    let mut recipe = String::from("name: long\ntitle: A long way\nrisk: change\nsteps:\n");
    for step in 0..STEPS {
        let needs = step
            .checked_sub(8)
            .map_or_else(String::new, |before| format!("needs: [s{before}], "));
        let once = if is_once(step) { "once: true, " } else { "" };
        writeln!(
            recipe,
            "- {{id: s{step}, title: Step, {needs}{once}local: {{argv: [sh, -c, \"echo s{step} >> {}\"]}}}}",
            deeds.0.display()
        )
        .unwrap();
    }
    place.write("recipes/long.yaml", &recipe);
    (place, deeds)
}

fn is_once(step: usize) -> bool {
    step % ONCE == 3
}

/// An engine as a child of this test, so that it can be killed and collected.
struct Engine {
    child: Child,
}

impl Engine {
    fn start(place: &Place) -> Self {
        let child = place
            .command(&["engine", "run"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(place: &Place) -> Remote {
    // The first engine makes the directory.
    let greeted = timeout(PATIENCE, async {
        loop {
            let all = place.home.path().join("state/quarterdeck");
            let state = std::fs::read_dir(all)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.is_dir());
            if let Some(state) = state {
                let dial = Dial {
                    socket: socket_path(&state),
                    hello: Hello {
                        protocol: PROTOCOL,
                        role: "fault test".into(),
                        events: true,
                        ..Hello::default()
                    },
                    starter: None,
                };
                if let Ok(greeted) = dial.greet().await {
                    return greeted.keep(dial).unwrap();
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    greeted.await.unwrap()
}

async fn plan(link: &Remote, origin: Option<Origin>, once: BTreeMap<String, OnceAnswer>) -> Plan {
    let request = Request::Plan(PlanRequest {
        environment: "here".into(),
        recipe: "long".into(),
        origin,
        once,
        ..PlanRequest::default()
    });
    match link.call(request).await.unwrap() {
        Response::Plan { plan, .. } => *plan,
        other => panic!("{other:?}"),
    }
}

async fn begin(link: &Remote, plan: &Plan) -> Run {
    let start = Request::Start {
        hash: plan.hash.clone(),
        consent: Consent::Yes,
    };
    match link.call(start).await.unwrap() {
        Response::Started(run) => *run,
        other => panic!("{other:?}"),
    }
}

/// The rest of a run that was cut off: where it is not known whether a `once` step was done, somebody looks.
async fn the_rest(link: &Remote, run: RunId, deeds: &Deeds) -> Plan {
    let origin = || {
        Some(Origin::Resume {
            run,
            failed_hosts: false,
            current_recipe: false,
        })
    };
    let open = plan(link, origin(), BTreeMap::new()).await;
    if open.undecided.is_empty() {
        return open;
    }
    let done = deeds.count();
    let answer = |task: &TaskKey| {
        if done.contains_key(&task.step) {
            OnceAnswer::Done
        } else {
            OnceAnswer::Repeat
        }
    };
    let answers = open
        .undecided
        .iter()
        .map(|task| (task.to_string(), answer(task)))
        .collect();
    plan(link, origin(), answers).await
}

/// Hears `count` transitions of tasks, or all until the run ends; whether it has ended.
async fn hear(
    events: &mut quarterdeck::client::Subscription,
    run: RunId,
    count: usize,
    heard: &mut BTreeSet<(RunId, TaskKey, TaskState)>,
) -> bool {
    let mut left = count;
    while left > 0 {
        match timeout(PATIENCE, events.next())
            .await
            .expect("the run goes on")
        {
            Some(Event::Task { run: of, task }) if of == run => {
                heard.insert((run, task.key.clone(), task.state));
                left -= 1;
            }
            Some(Event::Run(now)) if now.id == run && now.state.is_final() => return true,
            Some(_) => {}
            None => panic!("the engine left"),
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_killed_engines_lose_nothing_and_repeat_nothing_that_must_not_be() {
    let (place, deeds) = place();
    let mut chance = fastrand::Rng::with_seed(0x51_7e_ab);
    let mut heard = BTreeSet::new();
    let (mut kills, mut finished, mut twice) = (0, 0, Vec::new());
    let mut cut_off: Option<RunId> = None;
    while kills < KILLS || cut_off.is_some() {
        let engine = Engine::start(&place);
        let link = connect(&place).await;
        let mut events = link.subscribe();
        // It may have ended in the moment before the kill.
        let unfinished = cut_off.take().filter(|run| {
            let reader = Reader::open(&database_path(&place.state())).unwrap();
            reader.run(*run).unwrap().unwrap().state == RunState::Interrupted
        });
        let what = if let Some(run) = unfinished {
            the_rest(&link, run, &deeds).await
        } else {
            twice.extend(deeds.repeated());
            deeds.forget();
            plan(&link, None, BTreeMap::new()).await
        };
        let run = begin(&link, &what).await;
        let count = if kills < KILLS {
            chance.usize(1..40)
        } else {
            usize::MAX
        };
        let ended = hear(&mut events, run.id, count, &mut heard).await;
        if ended {
            finished += 1;
            let done = deeds.count();
            assert_eq!(
                done.len(),
                STEPS,
                "run {}: some step was never done",
                run.number
            );
            twice.extend(deeds.repeated());
            deeds.forget();
        } else {
            // Somewhere within the next commit.
            sleep(Duration::from_micros(chance.u64(0..4_000))).await;
            cut_off = Some(run.id);
            kills += 1;
        }
        engine.kill();
    }
    // One more engine accounts for the last one.
    let engine = Engine::start(&place);
    drop(connect(&place).await);
    engine.kill();

    let reader = Reader::open(&database_path(&place.state())).unwrap();
    let runs = reader.runs(10_000).unwrap();
    let stuck = runs.iter().filter(|run| !run.state.is_final()).count();
    let mut stored = BTreeSet::new();
    for run in &runs {
        for event in reader.events(run.id, 0).unwrap() {
            if let RunChange::Task { key, state, .. } = event.change {
                stored.insert((run.id, key, state));
            }
        }
    }
    let lost: Vec<_> = heard.difference(&stored).collect();
    let interrupted = runs.iter().filter(|run| run.state == RunState::Interrupted);
    for run in interrupted.clone() {
        let account = run.reason.as_deref().unwrap_or_default();
        assert!(
            account.contains("tasks done"),
            "run {}: {account}",
            run.number
        );
    }
    println!(
        "{kills} engines killed, {} attempts, {finished} runs finished, {} transitions heard: {} lost, {} once steps twice, {stuck} stuck",
        runs.len(),
        heard.len(),
        lost.len(),
        twice.len(),
    );
    assert!(lost.is_empty(), "told, and not stored: {lost:?}");
    assert!(twice.is_empty(), "carried out twice: {twice:?}");
    assert_eq!(stuck, 0);
    assert!(finished > 0 && interrupted.count() > 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_killed_screens_leave_the_runs_alone() {
    let (place, deeds) = place();
    let engine = Engine::start(&place);
    let link = connect(&place).await;
    let mut chance = fastrand::Rng::with_seed(0x5c_7e_e5);
    let root = place.root();
    let mut run: Option<Run> = None;
    let mut ended: Vec<RunState> = Vec::new();
    for _ in 0..KILLS {
        let reader = Reader::open(&database_path(&place.state())).unwrap();
        let now = run.as_ref().and_then(|run| reader.run(run.id).unwrap());
        if now.as_ref().is_none_or(|run| run.state.is_final()) {
            ended.extend(now.map(|run| run.state));
            deeds.forget();
            let what = plan(&link, None, BTreeMap::new()).await;
            run = Some(begin(&link, &what).await);
        }
        let screen = Terminal::start(
            &["--workspace", root.to_str().unwrap()],
            place.home.path(),
            (80, 24),
        );
        if chance.bool() {
            screen.wait_for("Quarterdeck");
        }
        sleep(Duration::from_millis(chance.u64(0..60))).await;
        drop(screen);
    }
    let reader = Reader::open(&database_path(&place.state())).unwrap();
    let last = run.unwrap().id;
    timeout(PATIENCE, async {
        while !reader.run(last).unwrap().unwrap().state.is_final() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    ended.push(reader.run(last).unwrap().unwrap().state);
    println!("{KILLS} screens killed during {} runs", ended.len());
    assert!(
        ended.iter().all(|state| *state == RunState::Succeeded),
        "{ended:?}"
    );
    assert!(deeds.count().values().all(|count| *count == 1));
    // Nobody is left in the engine's book of clients.
    timeout(PATIENCE, async {
        loop {
            match link.call(Request::Engine).await.unwrap() {
                Response::Engine(report) if report.clients.len() == 1 => return,
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    })
    .await
    .unwrap();
    drop(engine);
}
