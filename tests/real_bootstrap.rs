//! The first start on three real machines: Debian with systemd, OpenSSH, and the real Consul from Debian's package.
//!
//! `tests/run nodes` boots fresh nodes and calls this with the variables that `tests/real_nodes.rs` names. Everything goes
//! through a terminal of 80 columns and 24 rows; what came of it is asked of Consul itself.

#![allow(
    clippy::unwrap_used,
    reason = "a node that does not answer fails the test"
)]

#[path = "support/first_start.rs"]
#[allow(dead_code, reason = "no test uses all of it")]
mod first_start;
#[path = "support/terminal.rs"]
#[allow(dead_code, reason = "no test uses all of it")]
mod terminal;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use first_start::{ENTER, carry_out};
use terminal::Terminal;

fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    PathBuf::from(value.unwrap_or_else(|| panic!("{name} is not set: run tests/run nodes")))
}

/// Types `text` for the row under the cursor.
fn fill(terminal: &Terminal, label: &str, text: &str) {
    terminal.press(ENTER);
    terminal.wait_for(&format!("{label}: "));
    terminal.press(text);
    terminal.press(ENTER);
}

#[test]
#[ignore = "needs real nodes: run tests/run nodes"]
fn a_newcomer_builds_consul_on_three_hosts_and_ends_on_the_bridge() {
    let (state, package) = (
        variable("QUARTERDECK_REAL_NODES"),
        variable("QUARTERDECK_CONSUL_DEB"),
    );
    let home = tempfile::tempdir().unwrap();
    let ssh = home.path().join(".ssh");
    std::fs::create_dir(&ssh).unwrap();
    std::fs::copy(state.join("known_hosts"), ssh.join("known_hosts")).unwrap();

    let mut terminal = Terminal::start(&["bootstrap", "--dir", "cluster"], home.path(), (80, 24));
    terminal.wait_for("What would you like to do?");
    terminal.press("jj");
    terminal.press(ENTER);
    terminal.wait_for("Which hosts?");
    fill(&terminal, "Add hosts", "10.77.0.11-13");
    terminal.wait_for("[x] 10.77.0.13");
    terminal.press("j");
    fill(&terminal, "Log in as", "root");
    terminal.wait_until("the login name", |screen| {
        screen
            .lines()
            .any(|line| line.contains("Log in as") && line.contains("root  "))
    });
    fill(&terminal, "Key file", &state.join("id").to_string_lossy());
    terminal.press("n");
    terminal.wait_until("three hosts to tell what they are", |screen| {
        screen.matches("Debian").count() == 3
    });
    terminal.press("n");
    terminal.wait_for("What shall be built?");
    terminal.press("n");
    terminal.wait_for("Who does what?");
    terminal.wait_until("three servers, of which one may fail", |roles| {
        roles.matches("consul-server").count() == 3 && roles.contains("1 may fail")
    });
    terminal.press("n");
    terminal.wait_for("Which versions, and from where?");
    let versions = terminal.wait_until("a version of Consul", |screen| {
        let row = screen.lines().find(|line| line.contains("consul version"));
        row.is_some_and(|row| row.contains(|c: char| c.is_ascii_digit()))
    });
    if versions.contains("1.8.7") {
        terminal.press("j");
    } else {
        fill(&terminal, "consul version", "1.8.7");
    }
    terminal.press(" ");
    terminal.wait_for("a package you bring");
    terminal.press("j");
    fill(&terminal, "amd64 from", &package.to_string_lossy());
    terminal.wait_until("the sum of the package", |screen| {
        let sum = screen.lines().find(|line| line.contains("  SHA-256"));
        sum.is_some_and(|line| line.split_whitespace().any(|word| word.len() > 30))
    });
    terminal.press("n");
    terminal.wait_for("Name, network, secrets, backups");
    terminal.press("n");
    terminal.wait_for("enter writes them");
    assert!(!home.path().join("cluster").exists(), "written unseen");
    terminal.press(ENTER);

    carry_out(&terminal, "Rehearse the deployment");
    carry_out(&terminal, "Deploy");
    terminal.wait_for("the stack consul has no Vault");
    carry_out(&terminal, "Take the first snapshot");
    terminal.wait_for("all is done");
    terminal.press(ENTER);
    terminal.wait_until("the Bridge with three nodes up", |screen| {
        screen.contains("Bridge") && screen.contains("3/3 up")
    });
    terminal.press("q");
    assert!(terminal.wait().success());
    terminal_is_clean(&terminal);

    // By Consul's own word, on a node, without any code of ours.
    let token = "-token-file=/etc/consul.d/management.token";
    let members = on_node(&state, &["consul", "members", token]);
    assert_eq!(members.matches("alive").count(), 3, "{members}");

    // Once more by the answers that were kept: nothing is left to do.
    let again = quarterdeck(home.path(), &["snapshots", "-w", "cluster", "--json"]);
    assert!(again.contains("\"service\":\"consul\""), "{again}");
    quarterdeck(home.path(), &["engine", "stop", "-w", "cluster"]);

    adopt(home.path(), &state);
}

/// Another workspace takes in the Consul that runs now, without a terminal: its members become the hosts.
fn adopt(home: &Path, state: &Path) {
    let answers = |secret: &str| {
        let text = format!(
            "purpose: adopt\nenvironment: found\nssh: {{ user: root, identities: [{}] }}\n\
             adopt: {{ consul: {{ url: 'http://10.77.0.12:8500'{secret} }} }}\n",
            state.join("id").display()
        );
        std::fs::write(home.join("adopt.yaml"), text).unwrap();
    };
    let arguments = ["bootstrap", "--dir", "adopted", "--answers", "adopt.yaml"];
    answers("");
    let refused = run(home, &[&arguments[..], &["--dry-run"]].concat());
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("no members to who has no token"), "{told}");

    let token = on_node(state, &["cat", "/etc/consul.d/management.token"]);
    let file = home.join("token");
    std::fs::write(&file, token).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    answers(", secret: { file: token }");
    let written = quarterdeck(home, &[&arguments[..], &["--yes"]].concat());
    assert_eq!(
        written.matches("roles: [consul-server]").count(),
        3,
        "{written}"
    );
    let saved = quarterdeck(home, &["snapshots", "-w", "adopted", "--json"]);
    assert!(saved.contains("\"service\":\"consul\""), "{saved}");
    quarterdeck(home, &["engine", "stop", "-w", "adopted"]);
}

/// What a command says on the second node.
fn on_node(state: &Path, argv: &[&str]) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/nodes"))
        .args(["exec", "n2"])
        .args(argv)
        .env("QUARTERDECK_REAL_NODES", state)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn terminal_is_clean(terminal: &Terminal) {
    assert!(!terminal.is_in_alternate_screen() && terminal.shows_cursor());
}

fn run(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quarterdeck"))
        .args(args)
        .current_dir(home)
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env("XDG_CONFIG_HOME", home.join("config"))
        .output()
        .unwrap()
}

fn quarterdeck(home: &Path, args: &[&str]) -> String {
    let output = run(home, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
