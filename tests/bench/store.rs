//! What the store can do, measured: `cargo bench --bench store [-- --lines N]`, 1,000,000 lines unless said otherwise.
//!
//! Nothing is asserted: the table says what was measured on this machine, beside tools that people would use on the same
//! text instead (`grep`, `rg`, `sqlite3`), where they are installed. Ratios travel between machines, figures do not.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and ends when it cannot go on"
)]

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use quarterdeck::domain::action::Risk;
use quarterdeck::domain::plan::{Plan, PlanRequest, PlannedStep};
use quarterdeck::domain::recipe::Step;
use quarterdeck::domain::run::{RunId, RunState, Stream};
use quarterdeck::domain::structured::Level;
use quarterdeck::store::{
    Change, LineFilter, NewLine, NewRun, Pattern, Reader, Window, Writer, database_path,
};

const RUN: RunId = RunId(uuid::Uuid::from_u128(1));
/// Measurements of what is short; the middle one is told.
const TIMES: usize = 25;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = arguments.iter().position(|word| word == flag)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(path) = after("--reader") {
        read_as_a_screen_does(Path::new(&path));
        return;
    }
    let count: u64 = after("--lines").map_or(1_000_000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("log.txt");
    write_text(&text, count);
    println!(
        "| what, {count} lines of {} bytes on average | measured | beside |",
        fs::metadata(&text).unwrap().len() / count
    );
    println!("|---|---|---|");
    ingest(dir.path(), &text, count);
    windows(dir.path(), count);
    searches(dir.path(), &text, count);
    memory(dir.path());
}

/// What tools say: most of it plain, some as logfmt, some coloured, few errors.
fn line(number: u64) -> String {
    match number % 10 {
        0 => format!(
            "time=2026-11-21T13:28:19Z level=info msg=\"block {number} copied\" host=pc{} took={}ms",
            number % 7,
            number % 997
        ),
        1 => format!(
            "\u{1b}[32mok\u{1b}[0m: [pc{}] task {number} is as it should be",
            number % 7
        ),
        2 if number % 1000 == 2 => format!(
            "ERROR cannot reach 10.0.0.{}: connection refused ({number})",
            number % 250
        ),
        _ => format!(
            "Get:{number} http://deb.debian.org/debian bookworm/main arm64 package-{} arm64 1.{}.0-1 [{} kB]",
            number * 7919 % 10_007,
            number % 90,
            number % 5000
        ),
    }
}

fn write_text(path: &Path, count: u64) {
    let mut out = BufWriter::new(fs::File::create(path).unwrap());
    for number in 0..count {
        writeln!(out, "{}", line(number)).unwrap();
    }
    out.flush().unwrap();
}

fn plan() -> Plan {
    let step = PlannedStep {
        step: Step {
            id: "install".into(),
            ..Step::default()
        },
        hosts: Some(vec!["pc1".into(), "pc2".into()]),
        preview: Vec::new(),
    };
    let request = PlanRequest {
        environment: "lab".into(),
        recipe: "deploy".into(),
        ..PlanRequest::default()
    };
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(request, "Deploy".into(), Risk::Change, vec![step])
    }
}

fn ingest(dir: &Path, text: &Path, count: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let took = runtime.block_on(async {
        let now = Timestamp::now();
        let writer = Writer::open(dir, now).unwrap();
        let handle = writer.handle();
        let new = NewRun {
            id: RUN,
            plan: plan(),
            started_by: "ada@bastion".into(),
            at: now,
        };
        handle.create(new).await.unwrap();
        let change = |state| {
            let reason = None;
            vec![Change::Run { state, reason }]
        };
        handle
            .commit(RUN, now, change(RunState::Running))
            .await
            .unwrap();
        let begun = Instant::now();
        // In a task, as the engine's are.
        let feeder = handle.clone();
        tokio::spawn(async move {
            for number in 0..count {
                let line = NewLine {
                    run: RUN,
                    task: Some(u32::try_from(number % 2).unwrap()),
                    stream: Stream::Stdout,
                    at: now,
                    text: line(number),
                };
                feeder.line(line).await.unwrap();
            }
        })
        .await
        .unwrap();
        handle.flush().await;
        let took = begun.elapsed();
        handle
            .commit(RUN, now, change(RunState::Succeeded))
            .await
            .unwrap();
        writer.close().await;
        took
    });
    let peer = sqlite(dir, text).map_or_else(
        || "sqlite3 is not installed".to_owned(),
        |theirs| {
            format!(
                "`sqlite3 .import` of the text alone: {}",
                rate(count, theirs)
            )
        },
    );
    row("ingest, on the disk at the end", &rate(count, took), &peer);
    let size = fs::metadata(database_path(dir)).unwrap().len();
    let raw = fs::metadata(text).unwrap().len();
    row(
        "size of the store",
        &format!("{} MiB", size >> 20),
        &format!("the text: {} MiB", raw >> 20),
    );
}

fn windows(dir: &Path, count: u64) {
    let path = database_path(dir);
    let filter = LineFilter::default();
    let first = middle(|| {
        let reader = Reader::open(&path).unwrap();
        assert_eq!(
            reader.lines_before(RUN, None, 60, &filter).unwrap().len(),
            60
        );
    });
    row(
        "open and read the last 60 lines",
        &millis(first),
        "budget: 100 ms",
    );
    let reader = Reader::open(&path).unwrap();
    let mut from = 0;
    let window = middle(|| {
        from = (from + count * 7 / 23) % (count - 1_000);
        let lines = reader.lines(RUN, from, 1_000, &filter).unwrap();
        assert_eq!(lines[0].seq, from);
    });
    row("read 1,000 lines anywhere", &millis(window), "");
}

fn searches(dir: &Path, text: &Path, count: u64) {
    let path = database_path(dir);
    let last = count - 1 - (count - 1) % 10 + 3;
    let late = format!("Get:{} ", last - 10);
    for (what, typed, grep) in [
        (
            "first match near the end, text, letter case ignored",
            late.clone(),
            vec!["-m1", "-i", "-F", &late],
        ),
        (
            "first match near the end, expression",
            format!("~^Get:{} .*arm64", last - 10),
            vec!["-m1", "-E", "^Get:.*no such thing"],
        ),
        (
            "through everything, nothing found",
            "no such thing".to_owned(),
            vec!["-c", "-i", "-F", "no such thing"],
        ),
    ] {
        let pattern = Pattern::parse(&typed);
        let took = middle(|| {
            let reader = Reader::open(&path).unwrap();
            let window = Window::forward(RUN, 0, 1);
            let found = reader
                .search(&window, &LineFilter::default(), &pattern, 3)
                .unwrap();
            assert_eq!(found.found.is_empty(), typed.starts_with("no such"));
        });
        let beside: Vec<String> = ["grep", "rg"]
            .iter()
            .filter_map(|tool| Some((tool, peer(tool, &grep, text)?)))
            .map(|(tool, theirs)| format!("`{tool}` on the text: {}", millis(theirs)))
            .collect();
        row(what, &millis(took), &beside.join(", "));
    }
    let filter = LineFilter {
        level: Some(Level::Error),
        ..LineFilter::default()
    };
    let took = middle(|| {
        let reader = Reader::open(&path).unwrap();
        let found = reader.lines(RUN, 0, usize::MAX, &filter).unwrap();
        assert_eq!(found.len() as u64, count.div_ceil(1000));
    });
    row("every error of the run", &millis(took), "");
    let piece = middle(|| {
        let reader = Reader::open(&path).unwrap();
        let window = Window::forward(RUN, 0, 1).within(200_000);
        let found = reader.search(
            &window,
            &LineFilter::default(),
            &Pattern::literal("no such thing"),
            0,
        );
        assert!(found.unwrap().found.is_empty());
    });
    row(
        "one piece of a search, 200,000 lines: how soon it can be stopped",
        &millis(piece),
        "",
    );
}

fn memory(dir: &Path) {
    let own = std::env::current_exe().unwrap();
    let output = Command::new(own)
        .arg("--reader")
        .arg(database_path(dir))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    row(
        "memory of a process that shows, scrolls and searches it (VmHWM)",
        said.trim(),
        "budget of the TUI: 64 MiB",
    );
}

/// Windows from one end to the other, a search through everything, then what it took.
fn read_as_a_screen_does(path: &Path) {
    let reader = Reader::open(path).unwrap();
    let total = reader.run(RUN).unwrap().unwrap().lines;
    for part in 0..200 {
        let from = total / 200 * part;
        reader
            .lines(RUN, from, 1_000, &LineFilter::default())
            .unwrap();
    }
    let pattern = Pattern::literal("no such thing");
    let mut from = 0;
    loop {
        let window = Window::forward(RUN, from, 1_000).within(200_000);
        let slice = reader
            .search(&window, &LineFilter::default(), &pattern, 0)
            .unwrap();
        if slice.done {
            break;
        }
        from = slice.reached;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{:.1} MiB", kib as f64 / 1024.0);
}

/// Bulk import by SQLite's own shell, into a table of one column.
fn sqlite(dir: &Path, text: &Path) -> Option<Duration> {
    let database: PathBuf = dir.join("peer.db");
    let begun = Instant::now();
    let status = Command::new("sqlite3")
        .arg(&database)
        .args([
            "PRAGMA journal_mode=WAL; CREATE TABLE lines (text TEXT);",
            ".mode ascii",
            ".separator \u{1} \\n",
        ])
        .arg(format!(".import {} lines", text.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    status.success().then(|| begun.elapsed())
}

/// How long a tool takes on the same text; `None` when it is not installed.
fn peer(tool: &str, arguments: &[&str], text: &Path) -> Option<Duration> {
    let run = || {
        Command::new(tool)
            .args(arguments)
            .arg(text)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()
    };
    run()?;
    Some(middle(|| {
        run();
    }))
}

fn middle(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[TIMES / 2]
}

fn rate(count: u64, took: Duration) -> String {
    format!("{:.0} lines/s", count as f64 / took.as_secs_f64())
}

fn millis(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1000.0)
}

fn row(what: &str, measured: &str, beside: &str) {
    println!("| {what} | {measured} | {beside} |");
}
