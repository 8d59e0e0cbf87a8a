//! Terraform: its state, and what a refresh finds otherwise.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Workspace, which};

/// What the real Terraform says in `directory`.
fn terraform(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("terraform")
        .current_dir(directory)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[ignore = "needs Terraform"]
fn the_state_of_terraform_is_saved_tried_and_restored_as_its_next_change() {
    // No registry of packages brings it: where it is not, that is told, also in CI.
    if which("terraform").is_none() {
        eprintln!("skipped: needs terraform");
        return;
    }
    let workspace = Workspace::new(
        "backups: { stores: [{ kind: terraform, name: infra, directory: ../terraform }] }\n",
    );
    let directory = workspace.root().join("terraform");
    fs::create_dir(&directory).unwrap();
    let write = |count: u32| {
        let text = format!(
            "resource \"terraform_data\" \"node\" {{\n  count = {count}\n  input = \"pc${{count.index}}\"\n}}\n"
        );
        fs::write(directory.join("main.tf"), text).unwrap();
    };
    let terraform = |args: &[&str]| terraform(&directory, args);
    write(2);
    terraform(&["init", "-input=false"]);
    terraform(&["apply", "-auto-approve", "-input=false"]);
    let answers = workspace.take_and_drill("infra");
    assert!(
        answers.starts_with("Terraform lists 2 resources"),
        "{answers}"
    );

    write(3);
    terraform(&["apply", "-auto-approve", "-input=false"]);
    let newest: Value = serde_json::from_str(&terraform(&["state", "pull"])).unwrap();
    let newest = newest["serial"].as_u64().unwrap();
    let shown = workspace.restore("infra");
    assert!(
        shown.contains("  resource terraform_data.node[2]"),
        "{shown}"
    );
    let serial = |text: &str| {
        let state: Value = serde_json::from_str(text).unwrap();
        state["serial"].as_u64().unwrap()
    };
    let listed = terraform(&["state", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let restored = serial(&terraform(&["state", "pull"]));
    assert!(restored > newest, "{restored} is not behind {newest}");
}

#[test]
#[ignore = "needs Terraform"]
fn what_terraforms_state_says_otherwise_than_a_refresh_is_on_the_drift_board() {
    if which("terraform").is_none() {
        eprintln!("skipped: needs terraform");
        return;
    }
    let workspace = Workspace::new("");
    let directory = workspace.root().join("terraform");
    fs::create_dir(&directory).unwrap();
    let terraform = |args: &[&str]| terraform(&directory, args);
    let main = "resource \"terraform_data\" \"node\" { input = \"pc1\" }\n\
                output \"node\" { value = terraform_data.node.output }\n";
    fs::write(directory.join("main.tf"), main).unwrap();
    terraform(&["init", "-input=false"]);
    terraform(&["workspace", "new", "practice"]);
    terraform(&["apply", "-auto-approve", "-input=false"]);
    assert_eq!(workspace.drift(0), Vec::<String>::new());

    // The built-in provider has nothing outside that could drift: somebody edits what the state says instead.
    let mut state: Value = serde_json::from_str(&terraform(&["state", "pull"])).unwrap();
    state["outputs"]["node"]["value"] = "pc9".into();
    state["serial"] = (state["serial"].as_u64().unwrap() + 1).into();
    let edited = directory.join("edited.tfstate");
    fs::write(&edited, state.to_string()).unwrap();
    terraform(&["state", "push", edited.to_str().unwrap()]);
    let pulled = terraform(&["state", "pull"]);
    assert_eq!(workspace.drift(5), ["terraform:output.node#value"]);
    assert_eq!(
        terraform(&["state", "pull"]),
        pulled,
        "looking wrote the state"
    );
}
