//! `quarterdeck shell` in a real terminal, on the lab: keys in, screen out, and a terminal that is as it was afterwards.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "support/terminal.rs"]
#[allow(dead_code, reason = "shared: each test uses its part")]
mod terminal;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use terminal::Terminal;

/// A lab without screens, and where its workspace is.
struct Headless {
    child: Child,
    workspace: String,
}

impl Headless {
    fn start(home: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(["lab", "--headless", "--pace", "0"])
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut workspace = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut workspace)
            .unwrap();
        Self {
            child,
            workspace: workspace.trim().to_owned(),
        }
    }

    /// `quarterdeck` with `args` on this lab, in a terminal.
    fn sit(&self, home: &Path, args: &[&str], env: &[(&str, &str)]) -> Terminal {
        let mut all = vec!["--own-engine", "--workspace", &self.workspace];
        all.extend(args);
        Terminal::start_with(&all, home, (80, 24), env)
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_shell_on_a_node_is_typed_in_resized_and_left_with_its_status() {
    let home = tempfile::tempdir().unwrap();
    let lab = Headless::start(home.path());
    let mut terminal = lab.sit(home.path(), &["shell", "pc1", "--yes"], &[]);
    terminal.wait_for("@pc1");
    terminal.press("hostname\r");
    terminal.wait_until("the host's name", |screen| {
        screen.lines().any(|line| line == "pc1")
    });
    terminal.press("stty size\r");
    terminal.wait_for("24 80");
    terminal.resize(100, 30);
    // The size goes a way of its own, and may arrive after what is typed next.
    for _ in 0..100 {
        terminal.press("stty size\r");
        std::thread::sleep(Duration::from_millis(100));
        if terminal.screen().contains("30 100") {
            break;
        }
    }
    terminal.wait_for("30 100");
    terminal.press("exit 3\r");
    assert_eq!(terminal.wait().code(), Some(3), "{}", terminal.screen());
}

#[test]
fn a_tilde_and_a_dot_hang_up() {
    let home = tempfile::tempdir().unwrap();
    let lab = Headless::start(home.path());
    let mut terminal = lab.sit(home.path(), &["shell", "pc2", "--yes"], &[]);
    terminal.wait_for("@pc2");
    terminal.press("\r~?");
    terminal.wait_for("~.  hang up");
    terminal.press("~.");
    assert_eq!(terminal.wait().code(), Some(255));
    terminal.wait_for("hung up");
}

#[test]
fn a_read_only_session_is_given_no_shell_and_both_are_on_record() {
    let home = tempfile::tempdir().unwrap();
    let lab = Headless::start(home.path());
    let mut refused = lab.sit(home.path(), &["--read-only", "shell", "pc1"], &[]);
    assert_eq!(refused.wait().code(), Some(4), "{}", refused.screen());
    let mut allowed = lab.sit(home.path(), &["shell", "pc1", "--yes"], &[]);
    allowed.wait_for("@pc1");
    allowed.press("echo a-secret-that-was-typed\rexit\r");
    assert!(allowed.wait().success());
    let audit = Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .args(["--workspace", &lab.workspace, "audit", "--json"])
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&audit.stdout);
    assert!(
        said.contains("shell-opened") && said.contains("shell-ended") && said.contains("pc1"),
        "{said}"
    );
    assert!(!said.contains("a-secret-that-was-typed"), "{said}");
}
