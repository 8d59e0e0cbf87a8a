//! Detached commands over real OpenSSH: lines that break in the middle, an engine that is killed, a cancelled command.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quarterdeck::domain::run::{RunState, Stream};
use quarterdeck::store::{LineFilter, Reader, database_path};
use quarterdeck::transport::detached::{self, Listener};
use quarterdeck::transport::{Chunk, ChunkSink, Command, Exit, Reach as _, ReachError};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::proxy::Proxy;
use super::says;
use super::sshd::{Yard, pool};

/// How long anything may take before a test fails; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Ear {
    out: Vec<u8>,
    notes: Vec<String>,
}

#[async_trait]
impl ChunkSink for Ear {
    async fn chunk(&mut self, chunk: Chunk) {
        if let Chunk::Stdout(bytes) = chunk {
            self.out.extend_from_slice(&bytes);
        }
    }
}

#[async_trait]
impl Listener for Ear {
    async fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

/// A name that no other test uses.
fn fresh(what: &str) -> String {
    format!("test-{:016x}.{what}.0", fastrand::u64(..))
}

/// Prints numbered lines, with pauses so that the line can break between them.
fn numbered(count: u32, pause_every: u32) -> String {
    format!(
        "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo $i; [ $((i % {pause_every})) = 0 ] && sleep 1; done; true"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_hundred_thousand_lines_arrive_once_and_in_order_over_a_line_that_breaks() {
    let yard = Yard::new();
    let sshd = yard.sshd("long");
    let line = Proxy::before(sshd.port).await;
    yard.pin(line.port, &sshd);
    let pool = pool(
        [sshd.node(|access| access.port = Some(line.port))],
        yard.settings(),
    );
    let host = pool.host("long").unwrap();
    // Each connection breaks after so many bytes, the greeting included.
    line.reset_after(Some(90_000));
    let name = fresh("lines");
    let command = Command::new(["sh", "-c", &numbered(100_000, 40_000)]).within(PATIENCE);
    let mut ear = Ear::default();
    let never = CancellationToken::new();
    let exit = detached::run(host.as_ref(), &command, &name, &mut ear, &never).await;
    line.reset_after(None);
    assert_eq!(exit.unwrap(), Exit::Code(0));
    let text = String::from_utf8(ear.out).unwrap();
    let mut expected = 0_u32;
    for found in text.lines() {
        expected += 1;
        assert_eq!(found, expected.to_string());
    }
    assert_eq!(expected, 100_000);
    let attached = ear
        .notes
        .iter()
        .filter(|note| note.contains("attached again"))
        .count();
    assert!(attached >= 5, "{:?}", ear.notes);
    detached::drop_spool(host.as_ref(), &command, &name).await;
    let prefix = name.split('.').next().unwrap();
    assert_eq!(detached::list(host.as_ref(), prefix).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn cancelling_while_the_line_is_fine_ends_what_the_command_began() {
    let yard = Yard::new();
    let sshd = yard.sshd("stop");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("stop").unwrap();
    let name = fresh("stop");
    let pids = yard.path("pids");
    let script = format!(
        "sleep 600 & echo $! >>{0}; (trap '' TERM; sleep 600) & echo $! >>{0}; echo ready; wait",
        pids.display()
    );
    let command = Command::new(["sh", "-c", &script]).within(PATIENCE);
    let cancel = CancellationToken::new();
    let mut ear = Ear::default();
    let ended = {
        let work = detached::run(host.as_ref(), &command, &name, &mut ear, &cancel);
        let stop = async {
            while std::fs::read_to_string(&pids)
                .unwrap_or_default()
                .lines()
                .count()
                < 2
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            cancel.cancel();
        };
        tokio::join!(work, stop).0
    };
    assert!(
        matches!(ended, Err(ReachError::Cancelled { .. })),
        "{ended:?}"
    );
    for pid in std::fs::read_to_string(&pids).unwrap().lines() {
        let state = says(
            &host,
            &[
                "sh",
                "-c",
                "sed 's/.*) //' /proc/$0/stat 2>/dev/null | cut -c 1",
                pid,
            ],
        )
        .await;
        let state = state.unwrap();
        assert!(state.is_empty() || state == "Z", "{pid} is {state}");
    }
}

/// An engine as a child of this test, so that it can be killed and collected.
struct Engine(Child);

impl Engine {
    fn start(place: &Place) -> Self {
        let mut command = place.command(&["engine", "run"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        // Before it answers, a command would start another one in the background.
        let answers = || {
            let status = place.command(&["engine", "status", "--json"]).output();
            let status: Result<Value, _> = serde_json::from_slice(&status.unwrap().stdout);
            status.is_ok_and(|status| status["pid"] == child.id())
        };
        let until = Instant::now() + PATIENCE;
        while !answers() {
            assert!(Instant::now() < until, "the engine does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_engine_that_is_killed_in_the_middle_leaves_the_command_to_the_one_that_resumes() {
    let yard = Yard::new();
    let sshd = yard.sshd("pc1");
    let place = Place::new();
    let node = sshd.node(|_| {});
    place.write(
        "environments/here.yaml",
        &format!(
            "environment: {{name: here, protection: open}}\nssh: {{config: none}}\nnodes:\n- name: pc1\n  address: 127.0.0.1\n  \
             platform: generic\n  arch: amd64\n  ssh: {{port: {}, user: {}, identities: [{}], known_hosts: {}}}\n",
            sshd.port,
            node.ssh.user.as_deref().unwrap(),
            yard.id().display(),
            yard.known_hosts().display(),
        ),
    );
    let begun = yard.path("begun");
    let script = format!(
        "echo begun >> {}; {}",
        begun.display(),
        numbered(3_000, 500)
    );
    place.write(
        "recipes/long.yaml",
        &format!(
            "name: long\ntitle: A long command\nrisk: change\nsteps:\n- id: work\n  title: Work\n  on: {{}}\n  once: true\n  run:\n    \
             detached: true\n    argv: [sh, -c, {script:?}]\n"
        ),
    );
    let engine = Engine::start(&place);
    place.expect(&["run", "long", "--env", "here", "--yes", "--detach"], 0);
    let started = tokio::time::timeout(PATIENCE, async {
        while !begun.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    started.await.unwrap();
    engine.kill();

    let engine = Engine::start(&place);
    place.expect(&["resume", "1", "--yes", "--repeat", "work@pc1"], 0);
    let reader = Reader::open(&database_path(&place.state())).unwrap();
    let runs = reader.runs(10).unwrap();
    let (first, second) = (&runs[1], &runs[0]);
    assert_eq!(
        (first.state, second.state),
        (RunState::Interrupted, RunState::Succeeded)
    );
    let lines = reader
        .lines(second.id, 0, 10_000, &LineFilter::default())
        .unwrap();
    let numbers: Vec<String> = lines
        .iter()
        .filter(|line| line.stream == Stream::Stdout)
        .map(|line| line.text.clone())
        .collect();
    let expected: Vec<String> = (1..=3_000).map(|number: u32| number.to_string()).collect();
    assert!(numbers == expected, "{} lines", numbers.len());
    assert_eq!(std::fs::read_to_string(&begun).unwrap(), "begun\n", "once");
    let pool = pool([node], yard.settings());
    let host = pool.host("pc1").unwrap();
    let gone = tokio::time::timeout(PATIENCE, async {
        while !detached::list(host.as_ref(), &first.id.to_string())
            .await
            .unwrap()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    gone.await
        .expect("the spool is removed once the end is on record");
    engine.kill();
}
