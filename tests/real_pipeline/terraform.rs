//! Plans that are bound, states that are locked, applies that are cut off, drift.

use std::fs;
use std::process::{Command, Stdio};

use super::{Site, until};

/// A recipe of plan, approval and apply.
const RECIPE: &str = "name: infra\ntitle: Infrastructure\nrisk: change\nsteps:\n  \
    - {id: plan, title: Plan, terraform: {do: plan, lock_timeout: 1s}}\n  \
    - {id: approve, title: Approve, needs: [plan], approve: {of: plan, text: \"Apply?\"}}\n  \
    - {id: apply, title: Apply, needs: [approve], terraform: {do: apply, of: plan, grace: 20s}}\n";

fn site() -> Site {
    let site = Site::new();
    site.place.write("recipes/infra.yaml", RECIPE);
    site
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn a_plan_shows_destruction_first_and_an_approval_is_void_once_a_file_was_edited() {
    let site = site();
    site.begin(&["run", "infra", "--yes"]).approved(0);

    site.machines(&["n2", "n3"], "");
    let run = site.begin(&["run", "infra", "--yes"]);
    let waiting = site.waiting();
    let details: Vec<&str> = waiting["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(
        details[0].starts_with("- terraform_data.machine[\"n1\"]"),
        "{details:?}"
    );
    assert!(
        waiting["text"]
            .as_str()
            .unwrap()
            .contains("1 to destroy, 1 to create")
    );

    // The file is another one now: what was shown is not what would be planned.
    site.machines(&["n2", "n3", "n4"], "");
    let refused = site.approve(&waiting, 4);
    assert!(refused.contains("main.tf was edited"), "{refused}");
    let failed = run.end(1);
    assert!(failed.contains("void"), "{failed}");

    // Taken up again, it is planned and shown anew.
    let number = waiting["number"].to_string();
    let resumed = site.begin(&["resume", &number, "--yes"]);
    let again = site.waiting();
    assert!(
        again["text"].as_str().unwrap().contains("2 to create"),
        "{again}"
    );
    assert_ne!(again["hash"], waiting["hash"]);
    site.approve(&again, 0);
    let told = resumed.end(0);
    assert!(told.contains("applied: 3 of 3 changes"), "{told}");

    // It cannot be undone, and says so instead of pretending.
    let newest = again["number"].to_string();
    let undo = site.expect(&["undo", &newest], 3);
    assert!(undo.contains("cannot be undone"), "{undo}");
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn a_state_that_moved_makes_the_plan_void_and_a_locked_one_is_told_with_its_owner() {
    let site = site();
    site.begin(&["run", "infra", "--yes"]).approved(0);
    site.machines(&["n1"], "");
    let run = site.begin(&["run", "infra", "--yes"]);
    let waiting = site.waiting();
    // Somebody else applies by hand meanwhile, and takes his time.
    let mut other = terraform(&site, &["init", "-input=false"]);
    assert!(other.status().unwrap().success());
    let slow = "resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" { command = \"sleep 6\" }\n}\n";
    fs::write(site.place.root().join("terraform/slow.tf"), slow).unwrap();
    let mut by_hand = terraform(&site, &["apply", "-auto-approve", "-input=false"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the state is locked", || {
        let lock = site
            .place
            .root()
            .join("terraform/.terraform.tfstate.lock.info");
        lock.exists().then_some(())
    });
    let locked = site.expect(&["run", "infra", "--dry-run"], 1);
    assert!(locked.contains("the state is locked by "), "{locked}");
    assert!(by_hand.wait().unwrap().success());
    fs::remove_file(site.place.root().join("terraform/slow.tf")).unwrap();
    let refused = site.approve(&waiting, 4);
    assert!(refused.contains("serial"), "{refused}");
    run.end(1);
}

/// Terraform as an operator would call it by hand.
fn terraform(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new("terraform");
    command
        .args(args)
        .current_dir(site.place.root().join("terraform"))
        .env("TF_IN_AUTOMATION", "1")
        .env_remove("TF_CLI_CONFIG_FILE")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn an_apply_that_is_cancelled_ends_in_good_order_and_says_what_is_half_done() {
    let site = site();
    let slow = "resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" {\n    command = \"exec sleep 97\"\n  }\n}\n";
    site.machines(&["n1"], slow);
    let run = site.begin(&["run", "infra", "--yes"]);
    let waiting = site.waiting();
    let number = waiting["number"].to_string();
    site.approve(&waiting, 0);
    until("the slow resource is begun", || {
        site.log(&number).contains("Executing").then_some(())
    });
    site.expect(&["cancel", &number], 0);
    let ended = run.end(130);
    assert!(
        ended.contains("half done may be terraform_data.slow"),
        "{ended}"
    );
    assert!(ended.contains("after SIGINT"), "{ended}");
    assert!(!ended.contains("was killed"), "{ended}");
    // The lock was given back and the state written: the next plan knows what is left.
    let again = site.expect(&["run", "infra", "--dry-run"], 0);
    assert!(again.contains("terraform_data.slow"), "{again}");
    assert!(again.contains("it is tainted"), "{again}");
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn an_apply_whose_engine_is_killed_ends_in_good_order_and_is_planned_anew() {
    let site = site();
    let slow = "resource \"terraform_data\" \"slow\" {\n  provisioner \"local-exec\" {\n    command = \"sleep 8\"\n  }\n}\n";
    site.machines(&["n1"], slow);
    let run = site.begin(&["run", "infra", "--yes"]);
    let waiting = site.waiting();
    let number = waiting["number"].to_string();
    site.approve(&waiting, 0);
    until("the slow resource is begun", || {
        site.log(&number).contains("Executing").then_some(())
    });
    let engine = site.place.engine()["pid"].to_string();
    let killed = Command::new("kill").args(["-9", &engine]).status().unwrap();
    assert!(killed.success());
    drop(run);
    // Terraform goes on: it makes what it had begun, writes its state and gives back the lock.
    let lock = site
        .place
        .root()
        .join("terraform/.terraform.tfstate.lock.info");
    until("the state is free again", || (!lock.exists()).then_some(()));
    let resumed = site.expect(&["resume", &number, "--yes"], 0);
    assert!(resumed.contains("nothing to change"), "{resumed}");
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn what_changed_outside_of_terraform_fails_the_look_for_drift() {
    let site = Site::new();
    site.place.write(
        "recipes/infra.yaml",
        &RECIPE.replace("do: plan,", "do: plan, root: {workspace: here},"),
    );
    let file = site.files().join("watched");
    fs::write(&file, "one").unwrap();
    let more = format!(
        "output \"watched\" {{\n  value = file(\"{}\")\n}}\n",
        file.display()
    );
    site.machines(&["n1"], &more);
    site.begin(&["run", "infra", "--yes"]).approved(0);
    let calm = site.expect(&["run", "terraform-drift"], 0);
    assert!(calm.contains("nothing has drifted"), "{calm}");
    fs::write(&file, "two").unwrap();
    let drifted = site.expect(&["run", "terraform-drift"], 1);
    assert!(
        drifted.contains("outputs would change: watched"),
        "{drifted}"
    );
}
