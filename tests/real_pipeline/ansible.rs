//! Playbooks: what goes wrong host by host, secrets that stay secret, hosts that do not answer.

use std::process::{Command, Stdio};

use super::{Site, TOKEN, VAULT};

fn recipe(with: &str) -> String {
    format!(
        "name: play\ntitle: Play\nrisk: change\nsteps:\n  - id: play\n    title: Play\n    ansible: {{do: playbook, playbook: \
         ansible/site.yml{with}}}\n  - {{id: report, title: Report, needs: [play], report: {{}}}}\n"
    )
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn a_task_that_fails_on_one_host_is_told_with_host_task_and_reason_and_the_others_go_on() {
    let mut site = Site::new();
    site.place.write("recipes/play.yaml", &recipe(""));
    site.place.write(
        "ansible/site.yml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Look here\n      ansible.builtin.command: \"true\"\n    \
         - name: Look there\n      ansible.builtin.command: \"{{ 'false' if inventory_hostname == 'n2' else 'true' }}\"\n",
    );
    let failed = site.expect(&["run", "play", "--yes"], 1);
    assert!(
        failed.contains("n2 failed: Look there: non-zero return code"),
        "{failed}"
    );
    assert!(failed.contains("n1  2 ok, 2 changed, 0 failed"), "{failed}");

    // A host that does not answer is another thing than one that fails.
    site.hosts[1].stop();
    let away = site.expect(&["run", "play", "--yes"], 1);
    assert!(away.contains("n2 unreachable: Look here"), "{away}");
    assert!(
        away.contains("n2  0 ok, 0 changed, 0 failed, 1 unreachable"),
        "{away}"
    );
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn secrets_reach_the_playbook_and_nothing_else() {
    let site = Site::new();
    let with = ", variables: {greeting: hello}, secrets: {token: {env: QD_TEST_TOKEN}}, vault_password: {env: QD_TEST_VAULT}";
    site.place.write("recipes/play.yaml", &recipe(with));
    let hidden = encrypt(&site);
    site.place.write(
        "ansible/site.yml",
        &format!(
            "- hosts: n1\n  gather_facts: false\n  vars:\n    hidden: !vault |\n{hidden}\n  tasks:\n    - name: Everything is \
             there\n      ansible.builtin.assert:\n        that:\n          - hidden == 'in the vault'\n          - token == \
             lookup('env', 'QD_TEST_TOKEN')\n          - greeting == 'hello'\n    - name: Says it aloud\n      \
             ansible.builtin.command: echo {{{{ token }}}}\n    - name: Fails with it\n      ansible.builtin.command: sh -c \
             'echo {{{{ token }}}} >&2; exit 1'\n      ignore_errors: true\n    - name: Is told not to say\n      \
             ansible.builtin.command: sh -c 'echo something-private >&2; exit 1'\n      no_log: true\n      ignore_errors: \
             true\n"
        ),
    );
    let told = site.expect(&["run", "play", "--yes"], 0);
    assert!(told.contains("n1  4 ok"), "{told}");
    assert!(told.contains("[redacted]"), "{told}");
    assert!(told.contains("hidden (no_log)"), "{told}");
    for secret in [TOKEN, VAULT, "something-private"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

/// A text as Ansible Vault keeps it, indented for a playbook.
fn encrypt(site: &Site) -> String {
    let programs = std::env::var("QUARTERDECK_PYTHON").unwrap();
    let password = site.files().join("password");
    std::fs::write(&password, VAULT).unwrap();
    let output = Command::new(format!("{programs}/ansible-vault"))
        .args(["encrypt_string", "--vault-password-file"])
        .arg(&password)
        .arg("in the vault")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    std::fs::remove_file(&password).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.contains("!vault"));
    let indented: Vec<String> = lines.map(|line| format!("      {}", line.trim())).collect();
    indented.join("\n") + "\n"
}
