//! What the engine costs, measured: `cargo bench --bench engine [-- --steps N --lines N]`.
//!
//! Nothing is asserted: the table says what was measured on this machine, beside a shell that does the same work without
//! writing anything down. Ratios travel between machines, figures do not.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends when it cannot go on"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quarterdeck::client::socket::{Dial, Remote};
use quarterdeck::client::wire::{Hello, PROTOCOL};
use quarterdeck::client::{Client, EngineReport, Event, Link as _, Request, Response};
use quarterdeck::config::{environment_from, recipe_from};
use quarterdeck::domain::action::Consent;
use quarterdeck::domain::plan::PlanRequest;
use quarterdeck::domain::run::Run;
use quarterdeck::engine::{Engine, EngineSettings, Network, socket_path};
use quarterdeck::store::{Reader, database_path};
use quarterdeck::transport::ssh::{Pool, SshSettings};

/// Measurements of what is short; the middle one is told.
const TIMES: usize = 51;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: u64| {
        let at = arguments.iter().position(|word| word == flag);
        at.and_then(|at| arguments.get(at + 1))
            .map_or(default, |number| number.parse().unwrap())
    };
    let (steps, lines) = (number("--steps", 10_000), number("--lines", 1_000_000));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("| what | measured | beside |");
    println!("|---|---|---|");
    runtime.block_on(async {
        overhead(steps).await;
        flood(lines).await;
        attach().await;
        witness().await;
    });
}

/// An engine with one recipe, in a directory of its own.
struct Scene {
    engine: Engine,
    client: Client,
    dir: tempfile::TempDir,
}

impl Scene {
    async fn start(recipe: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let world =
            Network::new(|environment| Arc::new(Pool::new(environment, SshSettings::default())));
        let mut settings = EngineSettings::new(
            "bench",
            Arc::new(world),
            dir.path().join("state"),
            dir.path().join("cache"),
        );
        let environment = "environment: {name: here, protection: open}\n";
        settings.environments = vec![
            environment_from(Path::new("here.yaml"), environment)
                .0
                .unwrap(),
        ];
        settings.recipes = vec![recipe_from(Path::new("bench.yaml"), recipe).0.unwrap()];
        let mut engine = Engine::start(settings).await.unwrap();
        engine.open_door().unwrap();
        let client = engine.own_client();
        Self {
            engine,
            client,
            dir,
        }
    }

    /// Runs the recipe to its end.
    async fn run(&self) -> Run {
        let request = Request::Plan(PlanRequest {
            environment: "here".into(),
            recipe: "bench".into(),
            ..PlanRequest::default()
        });
        let Response::Plan { plan, .. } = self.client.call(request).await.unwrap() else {
            panic!("no plan");
        };
        let mut events = self.client.subscribe();
        let start = Request::Start {
            hash: plan.hash,
            consent: Consent::Yes,
        };
        let Response::Started(run) = self.client.call(start).await.unwrap() else {
            panic!("no run");
        };
        loop {
            match events.next().await.unwrap() {
                Event::Run(now) if now.id == run.id && now.state.is_final() => return *now,
                Event::Missed(_) => {
                    let now = self.client.history.run(run.id).unwrap().unwrap();
                    if now.state.is_final() {
                        return now;
                    }
                }
                _ => {}
            }
        }
    }

    async fn report(&self) -> EngineReport {
        match self.client.call(Request::Engine).await.unwrap() {
            Response::Engine(report) => *report,
            other => panic!("{other:?}"),
        }
    }

    async fn end(self) {
        self.engine.shutdown(Duration::from_secs(5)).await;
    }
}

/// A chain of steps that do next to nothing, each of which is durable before the next begins.
async fn overhead(steps: u64) {
    let mut recipe = "name: bench\ntitle: Bench\nrisk: change\nsteps:\n".to_owned();
    for step in 0..steps {
        let needs = step
            .checked_sub(1)
            .map_or_else(String::new, |before| format!("needs: [s{before}], "));
        writeln!(
            recipe,
            "- {{id: s{step}, title: Step, {needs}local: {{argv: [/bin/true]}}}}"
        )
        .unwrap();
    }
    let begun = Instant::now();
    let status = Command::new("sh")
        .args([
            "-c",
            &format!("i=0; while [ $i -lt {steps} ]; do /bin/true; i=$((i+1)); done"),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    let shell = begun.elapsed();
    let scene = Scene::start(&recipe).await;
    let begun = Instant::now();
    let run = scene.run().await;
    let took = begun.elapsed();
    assert_eq!(u64::from(run.tally.changed), steps, "{:?}", run.reason);
    let each = |time: Duration| time.as_secs_f64() * 1000.0 / steps as f64;
    let per_step = each(took.saturating_sub(shell));
    row(
        &format!(
            "a chain of {steps} steps, each a process, each transition on the disk before it is acted on"
        ),
        &format!(
            "{:.1} s, {per_step:.2} ms a step beyond the process itself",
            took.as_secs_f64()
        ),
        &format!(
            "sh, which writes nothing down: {:.1} s ({:.1}x)",
            shell.as_secs_f64(),
            ratio(took, shell)
        ),
    );
    let report = scene.report().await;
    row(
        "memory of the engine after it",
        &mebibytes(report.memory_peak),
        "",
    );
    scene.end().await;
}

/// One command that says a great deal.
async fn flood(lines: u64) {
    let script =
        format!("seq -f 'line %.0f of what a build says when it says a great deal' 1 {lines}");
    let recipe = format!(
        "name: bench\ntitle: Bench\nrisk: change\nsteps:\n- {{id: flood, title: Flood, timeout: 1h, local: {{argv: [sh, -c, \"{script}\"]}}}}\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("log");
    let begun = Instant::now();
    let status = Command::new("sh")
        .args([
            "-c",
            &format!(
                "{script} | cat > {}; sync {}",
                file.display(),
                file.display()
            ),
        ])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let plain = begun.elapsed();
    let scene = Scene::start(&recipe).await;
    let begun = Instant::now();
    let run = scene.run().await;
    let took = begun.elapsed();
    assert!(
        run.lines >= lines,
        "{} of {lines}: {:?}",
        run.lines,
        run.reason
    );
    row(
        &format!("{lines} lines of one command, through pipe, redaction and store"),
        &format!("{:.0} lines/s", lines as f64 / took.as_secs_f64()),
        &format!(
            "the same through `| cat > file`: {:.0} lines/s",
            lines as f64 / plain.as_secs_f64()
        ),
    );
    row(
        "memory of the engine after it",
        &mebibytes(scene.report().await.memory_peak),
        "",
    );
    scene.end().await;
}

/// From nothing to a client that knows the workspace, the live state and the newest runs.
async fn attach() {
    let scene = Scene::start(
        "name: bench\ntitle: Bench\nrisk: change\nsteps:\n- {id: one, title: One, local: {argv: [/bin/true]}}\n",
    )
    .await;
    scene.run().await;
    let state = scene.dir.path().join("state");
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let begun = Instant::now();
        let link = reach(&state).await;
        let path = database_path(&state);
        let history = tokio::task::spawn_blocking(move || Reader::open(&path))
            .await
            .unwrap()
            .unwrap();
        link.call(Request::Workspace).await.unwrap();
        link.call(Request::Live).await.unwrap();
        assert_eq!(history.runs(50).unwrap().len(), 1);
        times.push(begun.elapsed());
    }
    times.sort();
    row(
        "attaching: connect, greet, workspace, live state, newest runs",
        &format!(
            "{:.2} ms (middle of {TIMES})",
            times[TIMES / 2].as_secs_f64() * 1000.0
        ),
        "",
    );
    scene.end().await;
}

/// From one operator's start of a run to the screen of another.
async fn witness() {
    let scene = Scene::start(
        "name: bench\ntitle: Bench\nrisk: change\nsteps:\n- {id: one, title: One, local: {argv: [/bin/true]}}\n",
    )
    .await;
    let other = reach(&scene.dir.path().join("state")).await;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let mut seen = other.subscribe();
        let watching = tokio::spawn(async move {
            while let Some(event) = seen.next().await {
                if matches!(event, Event::Run(_)) {
                    return Instant::now();
                }
            }
            panic!("the engine left");
        });
        let begun = Instant::now();
        scene.run().await;
        times.push(watching.await.unwrap() - begun);
        // What still is on its way belongs to this run, not to the next.
        other.call(Request::Live).await.unwrap();
    }
    times.sort();
    row(
        "one operator's run on another's screen: planned, started, stored, told",
        &format!(
            "{:.1} ms (middle of {TIMES})",
            times[TIMES / 2].as_secs_f64() * 1000.0
        ),
        "",
    );
    scene.end().await;
}

async fn reach(state: &Path) -> Remote {
    let dial = Dial {
        socket: socket_path(state),
        hello: Hello {
            protocol: PROTOCOL,
            role: "bench".into(),
            events: true,
            ..Hello::default()
        },
        starter: None,
    };
    dial.greet().await.unwrap().keep(dial).unwrap()
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(f64::EPSILON)
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "unknown".into(),
        |bytes| format!("{} MiB at most", bytes / (1024 * 1024)),
    )
}

fn row(what: &str, measured: &str, beside: &str) {
    println!("| {what} | {measured} | {beside} |");
}
