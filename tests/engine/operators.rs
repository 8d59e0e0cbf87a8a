//! Two operators: an approval is for what was shown, and one changes an environment at a time.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::program::expect;
use super::{Scene, until};

#[test]
fn an_approval_is_void_when_the_workspace_was_edited_since_the_plan_was_shown() {
    let place = Scene::new();
    place.write(
        "environments/here.yaml",
        "environment: {name: here, protection: two-person}\n",
    );
    // Two people who share an account, told apart by the keys of their sessions as sshd tells them.
    let person = |name: &str, args: &[&str]| {
        let told = place.home.path().join(name);
        let key = format!("publickey ssh-ed25519 {}\n", name.repeat(4));
        fs::write(&told, key).unwrap();
        place
            .command(args)
            .env("SSH_USER_AUTH", told)
            .output()
            .unwrap()
    };
    let begin = || {
        let args = ["run", "slow", "--confirm", "here", "--detach", "--json"];
        let (out, _) = expect(&person("adaa", &args), 0);
        let run: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        (
            run["number"].to_string(),
            run["plan_hash"].as_str().unwrap().to_owned(),
        )
    };
    let state = |number: &str| {
        let runs = place.json(&["runs", "--json"]);
        let runs = runs.as_array().unwrap().clone();
        let run = runs
            .into_iter()
            .find(|run| run["number"] == number.parse::<i64>().unwrap());
        run.unwrap()["state"].clone()
    };

    let (number, hash) = begin();
    let (_, said) = expect(&person("adaa", &["approve", &number, "--hash", &hash]), 4);
    assert!(said.contains("another operator"), "{said}");
    let look = fs::read_to_string(place.root().join("recipes/look.yaml")).unwrap();
    place.write("recipes/look.yaml", &look.replace("seen", "seen again"));
    let (_, said) = expect(&person("bert", &["approve", &number, "--hash", &hash]), 4);
    assert!(said.contains("void"), "{said}");
    until("the run ends", || state(&number) == "failed");

    // On a new engine, which has read the edit, the same two people get through.
    place.expect(&["engine", "restart"], 0);
    let (number, hash) = begin();
    expect(&person("bert", &["approve", &number, "--hash", &hash]), 0);
    place.release();
    until("the run ends", || state(&number) == "succeeded");
}

#[test]
fn of_two_operators_at_once_the_second_is_told_who_changes_what_and_nothing_happens_twice() {
    let place = Scene::new();
    let deeds = place.home.path().join("deeds");
    let slow = fs::read_to_string(place.root().join("recipes/slow.yaml")).unwrap();
    let counted = format!("[sh, -c, \"echo begun | tee -a {}\"]", deeds.display());
    place.write(
        "recipes/slow.yaml",
        &slow.replace("[echo, begun]", &counted),
    );
    place.expect(&["engine", "start"], 0);

    // Six of them in the same moment: one gets it, and the others hear of that one by its number and its owner.
    let begin = |args: &[&str]| {
        let mut command = place.command(&[args, &["run", "slow", "--detach"]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let all: Vec<Child> = (0..6).map(|_| begin(&[]).spawn().unwrap()).collect();
    let all = all
        .into_iter()
        .map(|child| child.wait_with_output().unwrap());
    let (began, refused): (Vec<_>, Vec<_>) = all.partition(|output| output.status.success());
    assert_eq!((began.len(), refused.len()), (1, 5));
    for output in &refused {
        let (_, said) = expect(output, 4);
        assert!(said.contains("here is being changed by "), "{said}");
        assert!(said.contains("(Wait for a sign, started by "), "{said}");
        assert!(said.contains("wait for it or cancel it"), "{said}");
    }
    let locks = place.json(&["locks", "--json"]).to_string();
    assert!(locks.contains("Wait for a sign"), "{locks}");
    place.expect(&["run", "look"], 0);

    // Neither does an engine of somebody else on the same workspace, who keeps his state elsewhere.
    let elsewhere = place.home.path().join("elsewhere");
    let other = ["--state-dir", elsewhere.to_str().unwrap()];
    let (_, said) = expect(&begin(&other).output().unwrap(), 4);
    assert!(
        said.contains("here is being changed by run 1 of another engine on this workspace (Wait for a sign, started by "),
        "{said}"
    );
    assert!(said.contains(place.state().to_str().unwrap()), "{said}");
    place.expect(&[other.as_slice(), &["run", "look"]].concat(), 0);

    // A lock does not outlive its engine, however that ends.
    let pid = place.engine()["pid"].to_string();
    let killed = Command::new("kill").args(["-9", &pid]).status().unwrap();
    assert!(killed.success());
    place.release();
    let run = [other.as_slice(), &["run", "slow"]].concat();
    place.expect(&run, 0);
    place.expect(&["run", "slow"], 0);
    let stop = [other.as_slice(), &["engine", "stop", "--force"]].concat();
    place.expect(&stop, 0);
    let deeds = fs::read_to_string(deeds).unwrap();
    assert_eq!(deeds.lines().count(), 3, "one of six, and two more");
}
