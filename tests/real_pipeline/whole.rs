//! From machines that do not exist to checked ones, and again.

use std::fs;
use std::path::Path;

use super::{SECRET, Site};

/// Writes a file of the host's name; validates it; a smoke test.
fn playbooks(site: &Site) {
    let files = site.files();
    let files = files.display();
    site.place.write(
        "ansible/site.yml",
        &format!(
            "- name: Site\n  hosts: web_servers\n  gather_facts: false\n  tasks:\n    - name: Write the file\n      \
             ansible.builtin.copy:\n        content: \"{{{{ inventory_hostname }}}}\\n\"\n        dest: \
             \"{files}/{{{{ inventory_hostname }}}}\"\n        mode: \"0644\"\n"
        ),
    );
    site.place.write(
        "ansible/validate.yml",
        &format!(
            "- name: Validate\n  hosts: all\n  gather_facts: false\n  tasks:\n    - name: The file is there\n      \
             ansible.builtin.command: grep -x {{{{ inventory_hostname }}}} {files}/{{{{ inventory_hostname }}}}\n      \
             changed_when: false\n"
        ),
    );
}

/// Whether any file below `dir` holds the text.
pub(crate) fn holds(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            let path = entry.path();
            if path.is_dir() {
                return holds(&path, text);
            }
            // A state file is a state file, wherever it is kept: its secrets are in it, for its owner alone.
            let is_state = path.to_string_lossy().contains(".tfstate");
            !is_state
                && fs::read(&path).is_ok_and(|bytes| {
                    bytes
                        .windows(text.len())
                        .any(|window| window == text.as_bytes())
                })
        })
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn the_pipeline_provisions_configures_and_checks_and_the_second_run_changes_nothing() {
    let site = Site::new();
    playbooks(&site);

    // Looking first: nothing is made, nothing is asked.
    let rehearsal = site.expect(&["run", "pipeline", "--dry-run"], 0);
    assert!(rehearsal.contains("2 to create"), "{rehearsal}");
    assert!(rehearsal.contains("would ask"), "{rehearsal}");
    assert!(fs::read_dir(site.files()).unwrap().next().is_none());
    let states = site.place.root().join("terraform/terraform.tfstate.d/here");
    assert!(!states.join("terraform.tfstate").exists());
    site.expect(&["--read-only", "run", "pipeline"], 4);

    let run = site.begin(&["run", "pipeline", "--yes"]);
    let waiting = site.waiting();
    assert_eq!(waiting["step"], "approve");
    let details = waiting["details"].to_string();
    assert!(
        details.contains(r#"+ terraform_data.machine[\"n1\"]"#),
        "{details}"
    );
    site.approve(&waiting, 0);
    let told = run.end(0);
    for line in [
        "host n1: ",
        "group web_servers: n1, n2",
        "n1: lets us in",
        "n2: changed",
        "n1  1 ok, 1 changed, 0 failed, 0 unreachable",
        "output password (sensitive)",
        "applied: 2 of 2 changes",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    for host in ["n1", "n2"] {
        let text = fs::read_to_string(site.files().join(host)).unwrap();
        assert_eq!(text.trim(), host);
    }

    // Again: nothing to approve of, nothing changes, and there is a copy of the state now.
    let again = site.expect(&["run", "pipeline", "--yes"], 0);
    assert!(again.contains("the plan changes nothing"), "{again}");
    assert!(again.contains("n1  1 ok, 0 changed"), "{again}");
    let kept = site.place.state().join("snapshots/here/terraform-here");
    let copies = fs::read_dir(&kept).unwrap().flatten();
    assert_eq!(
        copies
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "tfstate"))
            .count(),
        1
    );
    let drift = site.expect(&["run", "terraform-drift"], 0);
    assert!(drift.contains("nothing has drifted"), "{drift}");

    // What is sensitive is in the state and in copies of it, and nowhere else; a run's private files went with it.
    assert!(!holds(&site.place.state(), SECRET));
    let left = fs::read_dir(site.place.state().join("work"));
    assert_eq!(left.map_or(0, Iterator::count), 0);

    // What Terraform has made goes the same way.
    let gone = site
        .begin(&["run", "terraform-destroy", "--yes"])
        .approved(0);
    assert!(gone.contains("- terraform_data.machine[\"n1\"]"), "{gone}");
    assert!(gone.contains("applied: 2 of 2 changes"), "{gone}");
}
