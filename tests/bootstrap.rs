//! The first start as a newcomer meets it: an empty directory, a small terminal, the keys that the screens name.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "support/first_start.rs"]
mod first_start;
#[path = "support/terminal.rs"]
#[allow(dead_code, reason = "no test uses all of it")]
mod terminal;

use std::process::Command;

use first_start::{ENTER, ESC, PLAN_NOW, begin_stage, carry_out, start_plan};
use terminal::Terminal;

#[test]
fn a_newcomer_builds_a_stack_in_the_lab_takes_its_keys_and_ends_on_the_bridge() {
    let home = tempfile::tempdir().unwrap();
    let env = [("QUARTERDECK_LAB_PACE", "0")];
    let mut terminal = Terminal::start_with(&[], home.path(), (80, 24), &env);
    terminal.wait_for("What would you like to do?");
    terminal.press(" ");
    terminal.wait_for("< nomad >");
    terminal.press(ENTER);

    carry_out(&terminal, "Rehearse the deployment");
    carry_out(&terminal, "Deploy");

    // The keys of the new Vault are shown once.
    begin_stage(&terminal, "Hand over Vault's keys");
    terminal.wait_for("enter makes a new one");
    terminal.press(ENTER);
    terminal.wait_for("threshold");
    terminal.press(PLAN_NOW);
    start_plan(&terminal);
    terminal.wait_for("enter takes the new keys");
    terminal.press(ENTER);
    let shown = terminal.wait_for("Type kept when");
    let shares = shares(&shown);
    assert_eq!(shares.len(), 5, "{shown}");
    terminal.press("kept");
    terminal.press(ENTER);

    // Three of the five open it.
    terminal.wait_for("enter begins the ceremony");
    terminal.press(ENTER);
    terminal.wait_for("separate");
    terminal.press(PLAN_NOW);
    start_plan(&terminal);
    terminal.wait_for("enter gives a share");
    terminal.press(ENTER);
    for (at, share) in shares.iter().take(3).enumerate() {
        terminal.wait_for(&format!("Share {} of 3", at + 1));
        terminal.press(share);
        terminal.press(ENTER);
    }
    terminal.wait_for("Every node is unsealed");
    terminal.press(ESC);

    carry_out(&terminal, "Take the first snapshot");
    terminal.wait_for("all is done");
    terminal.press(ENTER);
    terminal.wait_until("the Bridge", |screen| {
        screen.contains("Bridge") && screen.contains("LAB")
    });
    terminal.press("q");
    assert!(terminal.wait().success());
    assert!(!terminal.is_in_alternate_screen() && terminal.shows_cursor());
}

/// What follows the numbers of the shares.
fn shares(screen: &str) -> Vec<String> {
    let lines = screen.lines().filter_map(|line| {
        let (number, share) = line.trim_matches(['│', ' ']).split_once(' ')?;
        let long = share.len() >= 40 && !share.contains(' ');
        (number.parse::<u8>().is_ok() && long).then(|| share.to_owned())
    });
    lines.collect()
}

#[test]
fn who_quits_finds_the_answers_again() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(&["bootstrap"], home.path(), (80, 24));
    terminal.wait_for("What would you like to do?");
    terminal.press("jj");
    terminal.press(ENTER);
    terminal.wait_for("Which hosts?");
    terminal.press("j");
    terminal.press(ENTER);
    terminal.wait_for("Log in as:");
    terminal.press("ops");
    terminal.press(ENTER);
    terminal.wait_for("Log in as  ops");
    terminal.press("q");
    assert!(terminal.wait().success());
    assert!(
        !home.path().join("quarterdeck").exists(),
        "nothing was written"
    );

    let mut again = Terminal::start(&["bootstrap"], home.path(), (80, 24));
    again.wait_for("What you answered last time is filled in");
    // The cursor is on what was chosen.
    again.press(ENTER);
    again.wait_for("Log in as  ops");
    again.press("q");
    assert!(again.wait().success());
}

#[test]
fn a_wrong_file_of_answers_is_told_where_and_what_was_expected() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("answers.yaml");
    std::fs::write(&file, "hosts:\n  - adress: 10.0.0.11\nstack: consull\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .args(["bootstrap", "--dry-run", "--answers"])
        .arg(&file)
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    for part in ["answers.yaml:2", "adress", "answers.yaml:3", "consul"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
