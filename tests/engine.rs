//! The engine as a process of its own: it outlives who started it, serves several at once, and can be asked, replaced and
//! ended.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "support/place.rs"]
mod place;
#[path = "support/program.rs"]
mod program;
#[path = "support/terminal.rs"]
#[allow(dead_code, reason = "shared: each test uses its part")]
mod terminal;

#[path = "engine/clients.rs"]
mod clients;
#[path = "engine/lifetime.rs"]
mod lifetime;
#[path = "engine/operators.rs"]
mod operators;
#[path = "engine/screens.rs"]
mod screens;

use place::Place;

/// How long anything may take before a test fails; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place with the recipes `look`, which ends at once, and `slow`, which waits for [`Scene::release`].
struct Scene {
    place: Place,
}

impl std::ops::Deref for Scene {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Scene {
    fn new() -> Self {
        let place = Self {
            place: Place::new(),
        };
        let go = place.go();
        place.write(
            "recipes/slow.yaml",
            &format!(
                "name: slow\ntitle: Wait for a sign\nrisk: change\nsteps:\n\
                 - {{id: begin, title: Begin, local: {{argv: [echo, begun]}}}}\n\
                 - {{id: work, title: Work, needs: [begin], local: {{argv: [sh, -c, \"echo waiting; until [ -e {} ]; do \
                 sleep 0.1; done; for i in 1 2 3; do echo line $i; done\"]}}}}\n\
                 - {{id: end, title: End, needs: [work], local: {{argv: [echo, ended]}}}}\n",
                go.display()
            ),
        );
        place.write(
            "recipes/look.yaml",
            "name: look\ntitle: Look\nrisk: read\nsteps:\n\
             - {id: look, title: Look, local: {argv: [echo, seen], changes: false}}\n",
        );
        place
    }

    /// The file whose presence lets the slow recipe end.
    fn go(&self) -> PathBuf {
        self.home.path().join("go")
    }

    /// Lets the slow recipe end.
    fn release(&self) {
        fs::write(self.go(), "").unwrap();
    }

    /// Begins the slow recipe with a client that follows it, and waits for its first line.
    fn begin(&self) -> Child {
        let mut child = self
            .command(&["run", "slow"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert!(line.contains("begin"), "{line}");
        // Read on, so that the client is never held up.
        thread::spawn(move || out.lines().map_while(Result::ok).count());
        child
    }

    fn run_state(&self) -> String {
        self.json(&["runs", "--json"])[0]["state"]
            .as_str()
            .unwrap()
            .into()
    }

    fn hello(&self, hello: &Value) -> UnixStream {
        let mut stream = UnixStream::connect(self.state().join("engine.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(stream, "{}", json!({ "hello": hello })).unwrap();
        stream
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(sent.success());
}

fn is_alive(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended; nobody has collected it yet.
    !stat.is_empty() && !stat.contains(") Z ")
}

/// The protocol that this program speaks.
fn protocol() -> Value {
    json!(quarterdeck::client::wire::PROTOCOL)
}
