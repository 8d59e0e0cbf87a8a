//! The engine as a process of its own: it outlives who started it, serves several at once, and can be asked, replaced and
//! ended.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[path = "support/place.rs"]
mod place;
#[path = "support/program.rs"]
mod program;

use place::Place;
use program::{expect, run};

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

#[test]
fn a_run_goes_on_when_its_client_is_killed_hung_up_or_told_to_leave_and_every_line_is_there_later()
{
    for name in ["-KILL", "-HUP", "-TERM"] {
        let place = Scene::new();
        let mut client = place.begin();
        signal(&client, name);
        client.wait().unwrap();
        assert_eq!(place.run_state(), "running", "{name}");
        place.release();
        let (log, _) = place.expect(&["logs", "--follow", "--json"], 0);
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for (position, line) in lines.iter().enumerate() {
            assert_eq!(line["seq"], json!(position), "{name}: {log}");
        }
        for text in ["begun", "line 1", "line 3", "ended"] {
            assert!(
                lines.iter().any(|line| line["text"] == text),
                "{name}: no {text} in {log}"
            );
        }
        assert_eq!(place.run_state(), "succeeded", "{name}");
    }
}

#[test]
fn the_engine_is_in_a_session_of_its_own_and_its_socket_is_for_its_owner_alone() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = place.engine()["pid"].as_u64().unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        session, pid,
        "it leads a session, so no terminal hangs it up"
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&place.state().join("engine.sock")), 0o600);
    assert_eq!(mode(&place.state()), 0o700);
    assert_eq!(mode(&place.state().join("engine.log")), 0o600);
}

#[test]
fn engines_that_are_started_at_once_become_one() {
    let place = Scene::new();
    let starting: Vec<Child> = (0..6)
        .map(|_| {
            place
                .command(&["engine", "start"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut pids: Vec<String> = starting
        .into_iter()
        .map(|child| {
            let (out, _) = expect(&child.wait_with_output().unwrap(), 0);
            let line = out
                .lines()
                .find(|line| line.starts_with("process"))
                .unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        })
        .collect();
    pids.dedup();
    assert_eq!(pids.len(), 1, "{pids:?}");
}

#[test]
fn what_a_killed_engine_leaves_behind_keeps_nobody_from_starting_another() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = place.engine()["pid"].as_u64().unwrap();
    assert!(
        Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    until("the engine is gone", || !is_alive(pid));
    // The socket is still there, and the process id in the lock may have become somebody else's: ours, say.
    assert!(place.state().join("engine.sock").exists());
    fs::write(
        place.state().join("engine.lock"),
        format!("{}\n", std::process::id()),
    )
    .unwrap();
    place.expect(&["run", "look"], 0);
    assert_ne!(place.engine()["pid"].as_u64().unwrap(), pid);
}

#[test]
fn a_busy_engine_is_stopped_by_force_only_and_says_what_it_works_on() {
    let place = Scene::new();
    let mut client = place.begin();
    let (_, said) = place.expect(&["engine", "stop"], 4);
    assert!(said.contains("run 1") && said.contains("--force"), "{said}");
    let (_, said) = place.expect(&["--read-only", "engine", "stop", "--force"], 4);
    assert!(said.contains("read-only"), "{said}");
    assert_eq!(place.engine()["running"], json!([1]));
    place.expect(&["engine", "stop", "--force"], 0);
    assert!(!client.wait().unwrap().success());
    place.expect(&["engine", "status"], 1);
    assert_eq!(place.run_state(), "interrupted");
}

#[test]
fn an_idle_engine_is_replaced_when_the_workspace_was_edited_and_a_busy_one_is_not() {
    let place = Scene::new();
    place.expect(&["run", "look"], 0);
    let first = place.engine()["pid"].clone();
    place.write(
        "recipes/look.yaml",
        "name: look\ntitle: Look again\nrisk: read\nsteps:\n\
         - {id: look, title: Look, local: {argv: [echo, edited], changes: false}}\n",
    );
    let (out, said) = place.expect(&["run", "look"], 0);
    assert!(
        out.contains("edited") && said.contains("workspace was edited"),
        "{out}{said}"
    );
    let second = place.engine()["pid"].clone();
    assert_ne!(first, second);
    let mut client = place.begin();
    place.write("recipes/look.yaml", "name: look\ntitle: Look\nrisk: read\nsteps: [{id: look, title: Look, local: {argv: [echo, third], changes: false}}]\n");
    let (out, said) = place.expect(&["run", "look"], 0);
    assert!(
        out.contains("edited") && said.contains("busy"),
        "{out}{said}"
    );
    assert_eq!(place.engine()["pid"], second);
    place.release();
    client.wait().unwrap();
    assert_eq!(place.run_state(), "succeeded");
}

#[test]
fn an_engine_can_be_ended_when_its_workspace_has_mistakes() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    place.write("quarterdeck.yaml", "nam: place\n");
    place.expect(&["engine", "restart"], 3);
    place.expect(&["engine", "status"], 0);
    place.expect(&["engine", "stop"], 0);
    place.expect(&["engine", "status"], 1);
}

#[test]
fn an_engine_that_nobody_needs_ends_by_itself() {
    let place = Scene::new();
    place.write(
        "quarterdeck.yaml",
        "name: place\nengine: {idle_exit: 500ms}\n",
    );
    place.expect(&["run", "look"], 0);
    let log = place.state().join("engine.log");
    until("it ends", || {
        fs::read_to_string(&log)
            .unwrap()
            .contains("nobody needed the engine")
    });
    until("its socket is gone", || {
        !place.state().join("engine.sock").exists()
    });
}

#[test]
fn an_engine_that_cannot_be_reached_any_more_ends_by_itself() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = place.engine()["pid"].as_u64().unwrap();
    fs::remove_file(place.state().join("engine.sock")).unwrap();
    until("it ends", || !is_alive(pid));
}

#[test]
fn an_engine_of_another_version_is_told_of_and_replaced_when_it_is_idle() {
    for running in [0, 2] {
        let place = Scene::new();
        place.expect(&["run", "look"], 0);
        place.expect(&["engine", "stop"], 0);
        let socket = place.state().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        // An older engine: it greets, answers nothing else, and leaves when it is asked to.
        let older = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let welcome = json!({"welcome": {
                    "protocol": 1, "version": "0.0.9", "pid": 1, "started_at": "2026-01-01T00:00:00Z", "running": running
                }});
                match lines.next() {
                    Some(Ok(_)) => writeln!(stream, "{welcome}").unwrap(),
                    _ => continue,
                }
                if let Some(Ok(line)) = lines.next()
                    && line.contains("stop")
                {
                    fs::remove_file(&socket).unwrap();
                    return true;
                }
            }
            false
        });
        if running == 0 {
            let (_, said) = place.expect(&["run", "look"], 0);
            assert!(said.contains("0.0.9"), "{said}");
            assert!(older.join().unwrap());
        } else {
            let (_, said) = place.expect(&["run", "look"], 3);
            assert!(
                said.contains("busy with 2") && said.contains("protocol 1"),
                "{said}"
            );
            let (said, _) = place.expect(&["engine", "status"], 0);
            assert!(said.contains("0.0.9"), "{said}");
        }
    }
}

#[test]
fn one_operators_run_is_seen_by_the_other_while_it_happens_with_who_did_it() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let other = place.hello(&json!({"protocol": protocol(), "role": "test", "events": true}));
    let mut told = BufReader::new(other)
        .lines()
        .map(|line| -> Value { serde_json::from_str(&line.unwrap()).unwrap() });
    assert!(told.next().unwrap()["welcome"]["pid"].is_u64());
    let mut client = place.begin();
    let run = told
        .by_ref()
        .map(|told| told["event"].clone())
        .find(|event| event["event"] == "run")
        .unwrap();
    let who = run["with"]["started_by"].as_str().unwrap().to_owned();
    assert!(who.contains('@') && !who.starts_with('@'), "{who}");
    assert_eq!(
        place.engine()["clients"].as_array().unwrap().len(),
        3,
        "the other, the one that runs, and who asks"
    );
    place.release();
    let last = told
        .map(|told| told["event"].clone())
        .find(|event| event["event"] == "run" && event["with"]["state"] == "succeeded");
    assert!(last.is_some());
    client.wait().unwrap();
}

#[test]
fn a_client_that_stops_reading_disturbs_nobody_and_is_told_what_it_missed() {
    let place = Scene::new();
    // Many transitions: each of them is an event.
    let long = "long ".repeat(20);
    let mut recipe = "name: many\ntitle: Many\nrisk: read\nsteps:\n".to_owned();
    for step in 0..3000 {
        writeln!(
            recipe,
            "- {{id: s{step}, title: \"{long}\", tcp: {{host: 127.0.0.1, port: \"1\"}}, when: \"false\"}}"
        )
        .unwrap();
    }
    place.write("recipes/many.yaml", &recipe);
    place.expect(&["engine", "start"], 0);
    let deaf = place.hello(&json!({"protocol": protocol(), "role": "deaf", "events": true}));
    for _ in 0..3 {
        place.expect(&["run", "many"], 0);
    }
    let report = place.engine();
    assert!(
        report["memory"].as_u64().unwrap() < 400 * 1024 * 1024,
        "{report}"
    );
    // Now it reads: what is there, that something is missing, and what comes next.
    place.expect(&["run", "look"], 0);
    let mut lines = BufReader::new(deaf).lines();
    let missed = lines.find_map(|line| {
        let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (told["event"]["event"] == "missed").then(|| told["event"]["with"].as_u64().unwrap())
    });
    assert!(missed.is_some_and(|missed| missed > 0), "{missed:?}");
}

#[test]
fn nonsense_at_the_socket_is_answered_and_harms_nobody() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    for words in [
        "GET / HTTP/1.1\r\n\r\n",
        "{}\n",
        "\0\0\0\n",
        "{\"call\":{\"id\":1,\"request\":{\"request\":\"live\"}}}\n",
    ] {
        let mut stream = UnixStream::connect(place.state().join("engine.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(words.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("must be a hello"), "{words:?}: {answer}");
    }
    let mut stream = place.hello(&json!({"protocol": 99}));
    writeln!(
        stream,
        "{{\"call\":{{\"id\":1,\"request\":{{\"request\":\"live\"}}}}}}\nnonsense"
    )
    .unwrap();
    let mut lines = BufReader::new(stream).lines().skip(1);
    assert!(lines.next().unwrap().unwrap().contains("speaks protocol"));
    assert!(
        lines
            .next()
            .unwrap()
            .unwrap()
            .contains("cannot be understood")
    );
    place.expect(&["run", "look"], 0);
}

#[test]
fn thirty_two_clients_come_and_go_while_a_run_is_under_way() {
    let place = Scene::new();
    let mut client = place.begin();
    let state = place.state();
    let guests: Vec<_> = (0..32)
        .map(|number: u64| {
            let socket = state.join("engine.sock");
            thread::spawn(move || {
                for round in 0..8 {
                    let mut stream = UnixStream::connect(&socket).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let hello = json!({"hello": {"protocol": protocol(), "role": "guest", "events": number.is_multiple_of(2)}});
                    writeln!(stream, "{hello}").unwrap();
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    assert!(lines.next().unwrap().unwrap().contains("welcome"));
                    if !(number + round).is_multiple_of(3) {
                        let id = number * 100 + round;
                        writeln!(stream, "{}", json!({"call": {"id": id, "request": {"request": "live"}}})).unwrap();
                        let answered = lines.any(|line| {
                            let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
                            told["answer"]["id"] == json!(id)
                        });
                        assert!(answered);
                    }
                }
            })
        })
        .collect();
    for guest in guests {
        guest.join().unwrap();
    }
    place.release();
    client.wait().unwrap();
    assert_eq!(place.run_state(), "succeeded");
    until("only who asks is connected", || {
        place.engine()["clients"].as_array().unwrap().len() == 1
    });
}

#[test]
fn a_run_can_be_left_at_once_and_found_again_by_its_number() {
    let place = Scene::new();
    let (number, _) = place.expect(&["run", "slow", "--detach"], 0);
    assert_eq!(number.trim(), "1");
    assert_eq!(place.run_state(), "running");
    place.release();
    place.expect(&["logs", "1", "--follow"], 0);
    assert_eq!(place.run_state(), "succeeded");
}

#[test]
fn an_engine_within_the_program_serves_others_too_and_ends_with_it() {
    let place = Scene::new();
    let mut child = place
        .command(&["--own-engine", "run", "slow"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("it listens", || {
        run(
            place.home.path(),
            &["-w", place.root().to_str().unwrap(), "engine", "status"],
        )
        .status
        .success()
    });
    assert_eq!(place.engine()["pid"], json!(child.id()));
    place.expect(&["run", "look"], 0);
    place.release();
    assert!(child.wait().unwrap().success());
    place.expect(&["engine", "status"], 1);
}

#[test]
fn an_approval_is_void_when_the_workspace_was_edited_since_the_plan_was_shown() {
    let place = Scene::new();
    place.write(
        "environments/here.yaml",
        "environment: {name: here, protection: two-person}\n",
    );
    // Two people who share an account, told apart by the keys of their sessions as sshd tells them.
    let person = |name: &str, args: &[&str]| {
        let told = place.home.path().join(name);
        let key = format!("publickey ssh-ed25519 {}\n", name.repeat(4));
        fs::write(&told, key).unwrap();
        place
            .command(args)
            .env("SSH_USER_AUTH", told)
            .output()
            .unwrap()
    };
    let begin = || {
        let args = ["run", "slow", "--confirm", "here", "--detach", "--json"];
        let (out, _) = expect(&person("adaa", &args), 0);
        let run: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        (
            run["number"].to_string(),
            run["plan_hash"].as_str().unwrap().to_owned(),
        )
    };
    let state = |number: &str| {
        let runs = place.json(&["runs", "--json"]);
        let runs = runs.as_array().unwrap().clone();
        let run = runs
            .into_iter()
            .find(|run| run["number"] == number.parse::<i64>().unwrap());
        run.unwrap()["state"].clone()
    };

    let (number, hash) = begin();
    let (_, said) = expect(&person("adaa", &["approve", &number, "--hash", &hash]), 4);
    assert!(said.contains("another operator"), "{said}");
    let look = fs::read_to_string(place.root().join("recipes/look.yaml")).unwrap();
    place.write("recipes/look.yaml", &look.replace("seen", "seen again"));
    let (_, said) = expect(&person("bert", &["approve", &number, "--hash", &hash]), 4);
    assert!(said.contains("void"), "{said}");
    until("the run ends", || state(&number) == "failed");

    // On a new engine, which has read the edit, the same two people get through.
    place.expect(&["engine", "restart"], 0);
    let (number, hash) = begin();
    expect(&person("bert", &["approve", &number, "--hash", &hash]), 0);
    place.release();
    until("the run ends", || state(&number) == "succeeded");
}

#[test]
fn of_two_operators_at_once_the_second_is_told_who_changes_what_and_nothing_happens_twice() {
    let place = Scene::new();
    let deeds = place.home.path().join("deeds");
    let slow = fs::read_to_string(place.root().join("recipes/slow.yaml")).unwrap();
    let counted = format!("[sh, -c, \"echo begun | tee -a {}\"]", deeds.display());
    place.write(
        "recipes/slow.yaml",
        &slow.replace("[echo, begun]", &counted),
    );
    place.expect(&["engine", "start"], 0);

    // Six of them in the same moment: one gets it, and the others hear of that one by its number and its owner.
    let begin = |args: &[&str]| {
        let mut command = place.command(&[args, &["run", "slow", "--detach"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let all: Vec<Child> = (0..6).map(|_| begin(&[]).spawn().unwrap()).collect();
    let all = all
        .into_iter()
        .map(|child| child.wait_with_output().unwrap());
    let (began, refused): (Vec<_>, Vec<_>) = all.partition(|output| output.status.success());
    assert_eq!((began.len(), refused.len()), (1, 5));
    for output in &refused {
        let (_, said) = expect(output, 4);
        assert!(said.contains("here is being changed by "), "{said}");
        assert!(said.contains("(Wait for a sign, started by "), "{said}");
        assert!(said.contains("wait for it or cancel it"), "{said}");
    }
    let locks = place.json(&["locks", "--json"]).to_string();
    assert!(locks.contains("Wait for a sign"), "{locks}");
    place.expect(&["run", "look"], 0);

    // Neither does an engine of somebody else on the same workspace, who keeps his state elsewhere.
    let elsewhere = place.home.path().join("elsewhere");
    let other = ["--state-dir", elsewhere.to_str().unwrap()];
    let (_, said) = expect(&begin(&other).output().unwrap(), 4);
    assert!(
        said.contains("here is being changed by run 1 of another engine on this workspace (Wait for a sign, started by "),
        "{said}"
    );
    assert!(said.contains(place.state().to_str().unwrap()), "{said}");
    place.expect(&[other.as_slice(), &["run", "look"]].concat(), 0);

    // A lock does not outlive its engine, however that ends.
    let pid = place.engine()["pid"].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    place.release();
    let run = [other.as_slice(), &["run", "slow"]].concat();
    place.expect(&run, 0);
    place.expect(&["run", "slow"], 0);
    let stop = [other.as_slice(), &["engine", "stop", "--force"]].concat();
    place.expect(&stop, 0);
    let deeds = fs::read_to_string(deeds).unwrap();
    assert_eq!(deeds.lines().count(), 3, "one of six, and two more");
}
