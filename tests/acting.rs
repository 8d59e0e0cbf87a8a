//! Acting on nodes from the command line, on the lab: one command on many, journals merged, files copied, machines rebooted,
//! nodes cordoned.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;

/// A lab without screens, an engine on it, and where its workspace is.
struct Headless {
    home: Arc<tempfile::TempDir>,
    lab: Child,
    workspace: String,
}

impl Headless {
    fn start() -> Self {
        Self::start_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    fn start_in(home: Arc<tempfile::TempDir>) -> Self {
        let mut lab = program(home.path())
            .args(["lab", "--headless", "--pace", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut workspace = String::new();
        BufReader::new(lab.stdout.take().unwrap())
            .read_line(&mut workspace)
            .unwrap();
        Self {
            home,
            lab,
            workspace: workspace.trim().to_owned(),
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(self.home.path());
        command
            .args(["--own-engine", "--workspace", &self.workspace])
            .args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Standard output of a command that must succeed.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        let _ = self.lab.kill();
        let _ = self.lab.wait();
    }
}

fn program(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
    command
        .env("HOME", home)
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null());
    command
}

#[test]
fn one_command_on_many_nodes_is_answered_in_groups() {
    let lab = Headless::start();
    let said = lab.says(&["exec", "--yes", "--on", "pc[1-3]", "--", "echo", "the same"]);
    assert_eq!(said, "pc[1-3] (3):\n  the same\n");
    let differing = "if [ $(hostname) = pc2 ]; then echo other; exit 3; else echo same; fi";
    let output = lab.run(&[
        "exec", "--yes", "--on", "pc[1-3]", "--json", "--", differing,
    ]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let groups = answer["answers"].as_array().unwrap();
    assert_eq!(groups.len(), 2, "{answer}");
    assert_eq!(groups[0]["folded"], "pc[1,3]");
    assert_eq!(groups[0]["stdout"][0], "same");
    assert_eq!(groups[1]["end"], "exit status 3");
    let audit = lab.says(&["audit", "--json"]);
    assert!(audit.contains("Run a command"), "{audit}");
}

#[test]
fn a_command_is_a_change_and_is_refused_when_read_only() {
    let lab = Headless::start();
    let refused = lab.run(&["--read-only", "exec", "--on", "pc1", "--", "id"]);
    assert_eq!(refused.status.code(), Some(4));
    let unconfirmed = lab.run(&["exec", "--on", "pc1", "--", "id"]);
    assert_eq!(unconfirmed.status.code(), Some(4));
}

#[test]
fn a_cordoned_node_is_left_out_with_the_reason_until_it_is_named() {
    let lab = Headless::start();
    lab.says(&["cordon", "pc2", "--reason", "disk is failing"]);
    let all = lab.run(&["run", "verify", "--dry-run"]);
    let told = String::from_utf8_lossy(&all.stderr).into_owned();
    assert!(
        told.contains("pc2 is left out") && told.contains("disk is failing"),
        "{told}"
    );
    let named = lab.says(&["exec", "--yes", "--on", "pc2", "--", "hostname"]);
    assert!(named.contains("pc2"));
    lab.says(&["uncordon", "pc2"]);
    let all = lab.run(&["run", "verify", "--dry-run"]);
    assert!(!String::from_utf8_lossy(&all.stderr).contains("left out"));
}

#[test]
fn a_reboot_is_done_when_the_boot_id_is_another_one() {
    let lab = Headless::start();
    let refused = lab.run(&["run", "reboot", "--on", "pc3", "--yes"]);
    assert_eq!(
        refused.status.code(),
        Some(4),
        "a reboot wants the name typed"
    );
    let before = lab.says(&[
        "exec",
        "--yes",
        "--on",
        "pc3",
        "--",
        "cat /proc/sys/kernel/random/boot_id",
    ]);
    let said = lab.says(&["run", "reboot", "--on", "pc3", "--confirm", "lab"]);
    assert!(said.contains("is back with boot id"), "{said}");
    let after = lab.says(&[
        "exec",
        "--yes",
        "--on",
        "pc3",
        "--",
        "cat /proc/sys/kernel/random/boot_id",
    ]);
    assert_ne!(before, after);
}

#[test]
fn files_and_directories_are_copied_both_ways() {
    let lab = Headless::start();
    let here = lab.home.path().join("here");
    std::fs::create_dir_all(here.join("sub")).unwrap();
    std::fs::write(here.join("sub/file"), "content\n").unwrap();
    let from = here.to_str().unwrap();
    lab.says(&["copy", "--yes", from, "pc[1-2]:/tmp/there"]);
    let said = lab.says(&[
        "exec",
        "--yes",
        "--on",
        "pc[1-2]",
        "--",
        "cat /tmp/there/sub/file",
    ]);
    assert_eq!(said, "pc[1-2] (2):\n  content\n");
    let back = lab.home.path().join("back");
    std::fs::create_dir(&back).unwrap();
    lab.says(&[
        "copy",
        "pc[1-2]:/tmp/there/sub/file",
        back.to_str().unwrap(),
    ]);
    for node in ["pc1", "pc2"] {
        let copy = std::fs::read_to_string(back.join(node).join("file")).unwrap();
        assert_eq!(copy, "content\n");
    }
}

#[test]
fn the_journals_of_two_nodes_are_followed_as_one() {
    let lab = Headless::start();
    let mut follower = lab
        .command(&["follow", "pc[1-2]", "-n", "3", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut nodes = std::collections::BTreeSet::new();
    for line in BufReader::new(follower.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        assert!(line["at"].is_string() && line["text"].is_string(), "{line}");
        nodes.insert(line["node"].as_str().unwrap().to_owned());
        if nodes.len() == 2 {
            break;
        }
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(Vec::from_iter(nodes), ["pc1", "pc2"]);
}

#[test]
fn a_deployment_is_restarted_and_a_pod_replaced() {
    let lab = Headless::start();
    let pods = || {
        let said = lab.says(&["services", "kubernetes", "pods", "--json"]);
        let table: Value = serde_json::from_str(&said).unwrap();
        let rows = table["rows"].as_array().unwrap().iter();
        let ids = rows.map(|row| row["id"].as_str().unwrap().to_owned());
        let mut ids: Vec<String> = ids.filter(|id| id.starts_with("shop/frontend-")).collect();
        ids.sort();
        ids
    };
    let before = pods();
    assert_eq!(before.len(), 2, "{before:?}");
    let restart = [
        "run",
        "restart-deployment",
        "-p",
        "deployment=shop/frontend",
        "--yes",
    ];
    let said = lab.says(&restart);
    assert!(
        said.contains("shop/frontend: 2 of 2 pods are new, 2 available"),
        "{said}"
    );
    let after = pods();
    assert!(before.iter().all(|pod| !after.contains(pod)), "{after:?}");

    let pod = format!("pod={}", after[0]);
    let said = lab.says(&["run", "replace-pod", "-p", &pod, "--yes"]);
    assert!(said.contains("makes another"), "{said}");
    assert!(!pods().contains(&after[0]));
    // Once more: it is gone, and that is all that is wanted.
    let said = lab.says(&["run", "replace-pod", "-p", &pod, "--yes"]);
    assert!(said.contains("there is no pod"), "{said}");

    let unknown = [
        "run",
        "restart-deployment",
        "-p",
        "deployment=shop/nobody",
        "--yes",
    ];
    let output = lab.run(&unknown);
    assert_eq!(output.status.code(), Some(1));
    let nonsense = [
        "run",
        "restart-deployment",
        "-p",
        "deployment=frontend",
        "--yes",
    ];
    let output = lab.run(&nonsense);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("write NAMESPACE/NAME"), "{said}");
}

#[test]
fn a_new_lab_keeps_the_recipes_that_were_written_in_the_last_one() {
    let lab = Headless::start();
    let recipes = Path::new(&lab.workspace).join("recipes");
    std::fs::create_dir(&recipes).unwrap();
    let text =
        "name: own\ntitle: Own\nrisk: read\nsteps: [{id: a, title: A, report: {text: hello}}]\n";
    std::fs::write(recipes.join("own.yaml"), text).unwrap();
    let home = Arc::clone(&lab.home);
    drop(lab);
    let lab = Headless::start_in(home);
    let said = lab.says(&["run", "own"]);
    assert!(said.contains("hello"), "{said}");
}
