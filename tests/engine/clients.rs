//! Several clients at once: those that look on, those that stop reading, nonsense, and many.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;

use serde_json::{Value, json};

use super::program::run;
use super::{PATIENCE, Scene, protocol, until};

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
