//! The built program in a terminal, as a person sits before it: keys in, screen out.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "support/terminal.rs"]
mod terminal;

use std::io::Read as _;
use std::process::Command;
use std::time::{Duration, Instant};

use terminal::{PATIENCE, Terminal};

const ENTER: &str = "\r";
const TAB: &str = "\t";

/// The lab on a terminal of `size`, at a fifth of life's delays, once its Bridge shows all nodes.
fn lab(home: &tempfile::TempDir, size: (u16, u16)) -> Terminal {
    let terminal = Terminal::start(&["lab", "--pace", "0.2"], home.path(), size);
    terminal.wait_until("the Bridge with five nodes up", |screen| {
        screen.contains("LAB") && screen.contains("Bridge") && screen.contains("5/5 up")
    });
    terminal
}

#[test]
fn a_stranger_deploys_the_lab_and_leaves_a_clean_terminal() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = lab(&home, (80, 24));
    terminal.press("1");
    terminal.press("a");
    terminal.wait_for("Actions on lab");
    terminal.press(ENTER); // Deploy the stack
    terminal.wait_for("min_free_mib");
    terminal.press(ENTER); // the parameters as they are
    terminal.wait_for("Plan: Deploy the stack");
    // What the gate wants, and that the default is to do nothing.
    terminal.wait_for("lab asks for a yes");
    terminal.wait_for("[ Cancel ]");
    terminal.press(TAB);
    terminal.wait_for("[ Start ]");
    terminal.press(ENTER);
    terminal.wait_for("Runs › #1 Deploy the stack");
    terminal.wait_until("the deploy to succeed", |screen| {
        screen.contains("succeeded")
    });
    // Every screen says that this is the lab.
    terminal.wait_for("LAB");
    terminal.press("q");
    assert!(terminal.wait().success());
    assert!(
        !terminal.is_in_alternate_screen() && terminal.shows_cursor(),
        "the terminal is as it was"
    );
    // The scrollback says what became of the run.
    terminal.wait_for("succeeded");
}

#[test]
fn a_power_cut_from_the_palette_becomes_a_finding() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = lab(&home, (120, 40));
    terminal.press(":");
    terminal.press("lab kill pc2");
    terminal.wait_for("lab kill");
    terminal.press(ENTER);
    terminal.wait_for("pc2 cannot be reached");
    terminal.wait_for("4/5 up");
    terminal.press("q");
    assert!(terminal.wait().success());
}

#[test]
fn every_size_is_survived() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = lab(&home, (80, 24));
    for (columns, rows) in [(20, 5), (300, 100), (41, 9), (200, 60)] {
        terminal.resize(columns, rows);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    terminal.wait_until("the Bridge again", |screen| {
        screen.contains("Bridge") && screen.contains("pc5")
    });
    terminal.press("q");
    assert!(terminal.wait().success());
}

#[test]
fn signals_restore_the_terminal() {
    for signal in ["TERM", "HUP"] {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = lab(&home, (80, 24));
        assert!(terminal.is_in_alternate_screen());
        let pid = terminal.pid().to_string();
        assert!(
            Command::new("kill")
                .args([&format!("-{signal}"), &pid])
                .status()
                .unwrap()
                .success()
        );
        terminal.wait();
        assert!(
            !terminal.is_in_alternate_screen() && terminal.shows_cursor(),
            "after {signal}:\n{}",
            terminal.screen()
        );
    }
}

#[test]
fn a_dumb_terminal_is_told_what_is_missing() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start_with(&["lab"], home.path(), (80, 24), &[("TERM", "dumb")]);
    let status = terminal.wait();
    assert_eq!(status.code(), Some(3), "{}", terminal.screen());
    assert!(
        terminal.screen().contains("TERM=dumb"),
        "{}",
        terminal.screen()
    );
}

#[test]
fn without_a_terminal_the_screens_say_so() {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .arg("lab")
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a terminal"));
}

#[test]
fn a_terminal_that_goes_away_takes_the_screens_with_it() {
    for _ in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let (mut pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(24, 80)).unwrap();
        let mut child = pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .arg("lab")
            .env("HOME", home.path())
            .env("TERM", "xterm-256color")
            .env("XDG_STATE_HOME", home.path().join("state"))
            .env("XDG_CACHE_HOME", home.path().join("cache"))
            .spawn(pts)
            .unwrap();
        let mut drawn = 0;
        let mut buffer = [0; 4096];
        while drawn < 4096 {
            drawn += pty.read(&mut buffer).unwrap();
        }
        drop(pty);
        let since = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if since.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("the screens outlive their terminal");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
