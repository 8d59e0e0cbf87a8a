//! How an engine begins, outlives its clients, is replaced, and ends.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use serde_json::{Value, json};

use super::program::expect;
use super::{Scene, is_alive, signal, until};

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
fn an_engine_that_is_still_ending_is_waited_for_and_one_that_stays_is_named() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    place.expect(&["engine", "stop"], 0);
    let path = place.state().join("engine.lock");
    let ending = fs::File::open(&path).unwrap();
    until("the engine has ended", || ending.try_lock().is_ok());
    let starting = |place: &Scene| {
        let mut command = place.command(&["run", "look"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut started = starting(&place);
    thread::sleep(Duration::from_secs(2));
    assert!(started.try_wait().unwrap().is_none(), "it waits");
    ending.unlock().unwrap();
    expect(&started.wait_with_output().unwrap(), 0);

    place.expect(&["engine", "stop"], 0);
    until("the engine has ended", || ending.try_lock().is_ok());
    fs::write(&path, "4711\n").unwrap();
    let (_, said) = expect(&starting(&place).wait_with_output().unwrap(), 3);
    assert!(said.contains("another engine (process 4711)"), "{said}");
}

#[test]
fn one_that_hangs_up_because_it_ends_is_replaced() {
    let place = Scene::new();
    place.expect(&["run", "look"], 0);
    place.expect(&["engine", "stop"], 0);
    let socket = place.state().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let ending = thread::spawn(move || {
        // One connection is to see whether it is there, the other for the greeting.
        let both = [listener.accept().unwrap(), listener.accept().unwrap()];
        thread::sleep(Duration::from_millis(100));
        drop(both);
        fs::remove_file(socket).unwrap();
    });
    place.expect(&["run", "look"], 0);
    ending.join().unwrap();
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
