//! The engine replaced from the screens, which stay.

use std::process::{Command, ExitStatus};

use super::terminal::Terminal;
use super::{Scene, until};

/// The screens on `place`, with these options.
fn sit(place: &Scene, options: &[&str]) -> Terminal {
    let root = place.root();
    let args = [&["--workspace", root.to_str().unwrap()], options].concat();
    let terminal = Terminal::start(&args, place.home.path(), (80, 24));
    terminal.wait_for("Quarterdeck");
    terminal
}

fn kill(signal: &str, pid: u64) -> ExitStatus {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    sent.unwrap()
}

fn restart(terminal: &Terminal) {
    terminal.press(":");
    terminal.press("restart engine\r");
}

#[test]
fn the_engine_is_restarted_from_the_screens_and_has_read_the_workspace_anew() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = || place.engine()["pid"].as_u64().unwrap();
    let first = pid();
    let terminal = sit(&place, &[]);
    terminal.press(":recipes\r");
    terminal.wait_for("Install Consul");

    let mut client = place.begin();
    restart(&terminal);
    terminal.wait_for("busy with run 1");
    assert_eq!(pid(), first);
    place.release();
    client.wait().unwrap();
    until("the run ends", || place.run_state() == "succeeded");

    let onlooker = sit(&place, &["--read-only"]);
    restart(&onlooker);
    onlooker.wait_for("is read-only;");
    assert_eq!(pid(), first);
    drop(onlooker);

    place.write(
        "recipes/anew.yaml",
        "name: anew\ntitle: Written just now\nrisk: read\nsteps:\n\
         - {id: look, title: Look, local: {argv: [echo, seen], changes: false}}\n",
    );
    restart(&terminal);
    terminal.wait_for("everything was read anew");
    // The cursor stays on its row, and the new one is above it.
    terminal.press("g");
    terminal.wait_for("Written just now");
    assert_ne!(pid(), first);
}

#[test]
fn screens_wait_for_another_engine_when_theirs_is_stopped_and_start_it_when_told_to() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let pid = || place.engine()["pid"].as_u64().unwrap();
    let terminal = sit(&place, &[]);
    let onlooker = sit(&place, &["--read-only"]);
    terminal.wait_for("here · open");

    // Nobody starts it behind the back of who stopped it.
    place.expect(&["engine", "stop"], 0);
    for screens in [&terminal, &onlooker] {
        screens.wait_for("NO ENGINE");
        screens.wait_for("engine start");
    }
    place.expect(&["engine", "status"], 1);
    place.expect(&["engine", "start"], 0);
    for screens in [&terminal, &onlooker] {
        screens.wait_for("everything was read anew");
        assert!(!screens.screen().contains("NO ENGINE"));
    }
    let second = pid();

    place.expect(&["engine", "stop"], 0);
    for screens in [&terminal, &onlooker] {
        screens.wait_for("NO ENGINE");
    }
    restart(&onlooker);
    onlooker.wait_for("is read-only;");
    place.expect(&["engine", "status"], 1);
    restart(&terminal);
    for screens in [&terminal, &onlooker] {
        screens.wait_for("everything was read anew");
    }
    assert_ne!(pid(), second);

    // As a service manager does when it restarts its unit.
    let third = pid();
    assert!(kill("-TERM", third).success());
    terminal.wait_for("NO ENGINE");
    place.expect(&["engine", "start"], 0);
    terminal.wait_for("everything was read anew");
    assert_ne!(pid(), third);
}

#[test]
fn a_plan_that_is_open_when_the_engine_is_replaced_is_made_anew_and_can_be_started() {
    let place = Scene::new();
    place.expect(&["engine", "start"], 0);
    let terminal = sit(&place, &[]);
    terminal.wait_for("here · open");
    terminal.press(":run look\r");
    terminal.wait_for("[ Start ]");
    let pid = place.engine()["pid"].as_u64().unwrap();
    assert!(kill("-KILL", pid).success());
    terminal.wait_for("planned anew");
    terminal.wait_until("the careful button to have the focus", |screen| {
        screen.contains("[ Cancel ]")
    });
    terminal.press("\t");
    terminal.wait_for("[ Start ]");
    terminal.press("\r");
    until("the run ends", || {
        let runs = place.json(&["runs", "--json"]);
        runs[0]["state"] == "succeeded"
    });
}
