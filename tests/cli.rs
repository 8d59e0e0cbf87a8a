//! The command line: what it prints, how it ends, and that it works on a cluster as the screens do.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

#[path = "support/program.rs"]
mod program;

use program::{expect, quarterdeck, run};

/// A practice cluster without screens, ended when dropped.
struct Lab {
    child: Child,
    home: PathBuf,
    /// Directory of its workspace.
    workspace: PathBuf,
}

impl Lab {
    /// Starts it; its files are under `home`.
    fn start(home: &Path) -> Self {
        let mut child = quarterdeck(home, &["lab", "--headless", "--pace", "0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self {
            child,
            home: home.into(),
            workspace: line.trim().into(),
        }
    }

    /// `args` for the program, to use this workspace.
    fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--workspace", self.workspace.to_str().unwrap()], args].concat()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // An engine that was started for it lives on otherwise.
        let _ = run(&self.home, &self.args(&["engine", "stop", "--force"]));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn help_tells_the_exit_statuses() {
    let home = tempfile::tempdir().unwrap();
    let (text, _) = expect(&run(home.path(), &["--help"]), 0);
    assert!(
        text.contains("Exit status") && text.contains("quarterdeck lab"),
        "{text}"
    );
}

#[test]
fn without_a_workspace_it_says_how_to_begin() {
    let home = tempfile::tempdir().unwrap();
    for command in [&["nodes"][..], &["runs"], &["check"], &["run", "deploy"]] {
        let (_, said) = expect(&run(home.path(), command), 3);
        assert!(
            said.contains("quarterdeck lab") && said.contains("--workspace"),
            "{said}"
        );
    }
}

#[test]
fn the_example_workspace_has_no_mistakes() {
    let home = tempfile::tempdir().unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let (_, said) = expect(&run(home.path(), &["-w", example, "check"]), 0);
    assert!(said.contains("4 environments"), "{said}");
}

#[test]
fn every_mistake_is_told_at_its_place_in_one_go() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("broken");
    fs::create_dir_all(root.join("environments")).unwrap();
    fs::write(root.join("quarterdeck.yaml"), "name: broken\nthem: mono\n").unwrap();
    fs::write(
        root.join("environments/lab.yaml"),
        "environment: { name: lab }\nnodes:\n  - { name: a, address: 192.0.2.1, platform: rpi6, roles: [consul-servr] }\n",
    )
    .unwrap();
    let (text, _) = expect(
        &run(home.path(), &["-w", root.to_str().unwrap(), "check"]),
        1,
    );
    for place in ["quarterdeck.yaml:2:1", "lab.yaml:3:46", "lab.yaml:3:60"] {
        assert!(text.contains(place), "{place} is missing in:\n{text}");
    }
    let (json, _) = expect(
        &run(
            home.path(),
            &["-w", root.to_str().unwrap(), "check", "--json"],
        ),
        1,
    );
    assert_eq!(
        serde_json::from_str::<Value>(&json)
            .unwrap()
            .as_array()
            .unwrap()
            .len(),
        3,
        "{json}"
    );
    let (_, said) = expect(
        &run(home.path(), &["-w", root.to_str().unwrap(), "nodes"]),
        3,
    );
    assert!(said.contains("lab.yaml:3:46"), "{said}");
}

#[test]
fn schemas_are_json_and_completions_are_a_script() {
    let home = tempfile::tempdir().unwrap();
    for file in ["environment", "workspace", "recipe"] {
        let (text, _) = expect(&run(home.path(), &["schema", file]), 0);
        assert!(
            serde_json::from_str::<Value>(&text)
                .unwrap()
                .get("properties")
                .is_some(),
            "{file}"
        );
    }
    let (script, _) = expect(&run(home.path(), &["completions", "bash"]), 0);
    assert!(script.contains("complete -F"), "{script}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child = quarterdeck(home.path(), &["schema"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let inside = file.join("state");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config");
    let args = [
        "-w",
        example,
        "--state-dir",
        inside.to_str().unwrap(),
        "run",
        "verify",
        "-e",
        "local",
    ];
    let (_, said) = expect(&run(home.path(), &args), 3);
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

#[test]
fn the_lab_is_deployed_looked_at_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let lab = Lab::start(home);
    let json = |args: &[&str], code| -> Value {
        let (text, _) = expect(&run(home, &lab.args(args)), code);
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    };

    let nodes = json(&["nodes", "--json"], 0);
    assert_eq!(nodes.as_array().unwrap().len(), 5);
    assert_eq!(nodes[0]["value"]["facts"]["systemd"], true, "{nodes}");
    let services = json(&["services", "--json"], 0);
    assert_eq!(services.as_array().unwrap().len(), 8);
    let members = json(&["services", "consul", "--json"], 0);
    assert_eq!(
        members["rows"].as_array().unwrap().len(),
        3,
        "the clients are not deployed yet: {members}"
    );

    // Nobody said yes, nobody can be asked.
    let (_, said) = expect(&run(home, &lab.args(&["run", "deploy"])), 4);
    assert!(said.contains("--yes"), "{said}");
    let (_, said) = expect(
        &run(home, &lab.args(&["--read-only", "run", "deploy", "--yes"])),
        4,
    );
    assert!(said.contains("read-only"), "{said}");
    let (_, said) = expect(&run(home, &lab.args(&["run", "deplyo"])), 3);
    assert!(said.contains("deploy"), "{said}");

    let dry = json(&["run", "deploy", "--dry-run", "--json"], 0);
    let again = json(&["run", "deploy", "--dry-run", "--json"], 0);
    assert_eq!(dry["tally"], again["tally"], "a dry run changes nothing");
    assert!(dry["tally"]["changed"].as_u64().unwrap() > 0, "{dry}");

    let first = json(&["run", "deploy", "--yes", "--json"], 0);
    assert_eq!(first["state"], "succeeded");
    assert!(first["tally"]["changed"].as_u64().unwrap() > 0, "{first}");
    let second = json(&["run", "deploy", "--yes", "--json"], 0);
    assert_eq!(
        (
            second["state"].as_str(),
            second["tally"]["changed"].as_u64()
        ),
        (Some("succeeded"), Some(0))
    );
    let members = json(&["services", "consul", "--json"], 0);
    assert_eq!(members["rows"].as_array().unwrap().len(), 5, "{members}");

    let runs = json(&["runs", "--json"], 0);
    assert_eq!(
        runs.as_array().unwrap().len(),
        4,
        "what was refused is no run: {runs}"
    );
    let number = runs[0]["number"].to_string();
    let (log, _) = expect(&run(home, &lab.args(&["logs", "-f", &number])), 0);
    assert!(log.contains("as declared"), "{log}");
    let (lines, _) = expect(
        &run(
            home,
            &lab.args(&["logs", &number, "--json", "--host", "pc4"]),
        ),
        0,
    );
    assert!(!lines.is_empty());
    for line in lines.lines() {
        assert_eq!(
            serde_json::from_str::<Value>(line).unwrap()["task"]["host"],
            "pc4"
        );
    }
}

#[test]
fn what_runs_bring_is_fetched_beforehand_and_a_damaged_file_anew() {
    let home = tempfile::tempdir().unwrap();
    let lab = Lab::start(home.path());
    let json = |args: &[&str], status: i32| -> Vec<Value> {
        let (text, _) = expect(&run(&lab.home, &lab.args(args)), status);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let before = json(&["cache", "--json"], 1);
    assert_eq!(before.len(), 2, "one for each architecture: {before:?}");
    for item in &before {
        assert_eq!(item["state"], "missing");
        let recipes = item["needed_by"]["lab"].as_array().unwrap();
        assert!(recipes.contains(&"deploy".into()), "{recipes:?}");
    }
    let filled = json(&["cache", "fill", "lab", "--json"], 0);
    assert!(
        filled.iter().all(|item| item["state"] == "here"),
        "{filled:?}"
    );

    let path = filled[0]["path"].as_str().unwrap();
    let whole = fs::read(path).unwrap();
    fs::write(path, &whole[..10]).unwrap();
    let (text, _) = expect(&run(&lab.home, &lab.args(&["cache"])), 1);
    assert!(text.contains("damaged"), "{text}");
    let (_, told) = expect(&run(&lab.home, &lab.args(&["cache", "fill"])), 0);
    assert!(told.contains("fetched"), "{told}");
    assert_eq!(fs::read(path).unwrap(), whole);

    // What nobody needs any more is told, and is no fault.
    let odd = Path::new(path).with_file_name("0".repeat(64));
    fs::write(odd, "old").unwrap();
    let (text, _) = expect(&run(&lab.home, &lab.args(&["cache"])), 0);
    assert!(text.contains("unused"), "{text}");
    expect(&run(&lab.home, &lab.args(&["cache", "-e", "nowhere"])), 3);
}

#[test]
fn an_interrupt_cancels_the_run_a_second_change_is_refused_meanwhile_and_the_rest_is_taken_up() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let lab = Lab::start(home);
    let mut child = quarterdeck(home, &lab.args(&["run", "deploy", "--yes"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let (_, said) = expect(&run(home, &lab.args(&["run", "deploy", "--yes"])), 4);
    assert!(said.contains("run 1"), "who changes it is named: {said}");
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let reader = thread::spawn(move || lines.map_while(Result::ok).count());
    let mut waited = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        waited += 1;
        assert!(waited < 600, "the run does not end");
        thread::sleep(Duration::from_millis(100));
    };
    reader.join().unwrap();
    assert_eq!(status.code(), Some(130));
    let (runs, _) = expect(&run(home, &lab.args(&["runs", "--json"])), 0);
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!(runs[0]["state"], "cancelled", "{runs}");

    let (locks, _) = expect(&run(home, &lab.args(&["locks", "--json"])), 0);
    assert_eq!(locks.trim(), "{}");
    let (_, refused) = expect(&run(home, &lab.args(&["cancel"])), 4);
    assert!(refused.contains("no run is under way"), "{refused}");
    let (_, refused) = expect(&run(home, &lab.args(&["cancel", "1"])), 4);
    assert!(refused.contains("ended already"), "{refused}");
    let (nothing, _) = expect(&run(home, &lab.args(&["approvals", "--json"])), 0);
    assert_eq!(nothing.trim(), "[]");
    let (_, refused) = expect(&run(home, &lab.args(&["approve", "1"])), 4);
    assert!(refused.contains("does not wait"), "{refused}");
    let (_, refused) = expect(
        &run(home, &lab.args(&["unlock", "lab", "--confirm", "lab"])),
        4,
    );
    assert!(refused.contains("not locked"), "{refused}");
    let (_, said) = expect(&run(home, &lab.args(&["resume", "--yes"])), 0);
    assert!(said.contains("takes up run 1"), "{said}");
    let (runs, _) = expect(&run(home, &lab.args(&["runs", "--json"])), 0);
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!(runs[0]["state"], "succeeded", "{runs}");
    assert_eq!(runs[0]["origin"]["run"], runs[1]["id"], "{runs}");
}

#[test]
fn a_run_that_somebody_else_started_is_cancelled_from_another_terminal() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let lab = Lab::start(home);
    let (number, _) = expect(
        &run(home, &lab.args(&["run", "deploy", "--yes", "--detach"])),
        0,
    );
    assert_eq!(number.trim(), "1");
    let (ended, _) = expect(&run(home, &lab.args(&["cancel", "--json"])), 0);
    let ended: Value = serde_json::from_str(&ended).unwrap();
    assert_eq!(ended["state"], "cancelled", "{ended}");
    assert_eq!(ended["number"], 1, "{ended}");
}
