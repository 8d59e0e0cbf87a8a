//! What somebody changed by hand of what Terraform made: on the drift board attribute by attribute, and brought back, or taken
//! over, one resource at a time. The provider is `tests/real/terraform-provider.py`: its resources are files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use super::Site;

/// In a sensitive attribute.
const SECRET: &str = "canary-file-4714";
/// And what somebody wrote over it.
const LEAKED: &str = "canary-file-4715";

/// A site whose Terraform makes the files `one`, `two` and `three`.
fn site() -> Site {
    let site = Site::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/terraform-provider.py");
    let mirror = site.place.home.path().join("mirror");
    let provider = mirror.join("quarterdeck.test/tests/files/1.0.0/linux_amd64");
    fs::create_dir_all(&provider).unwrap();
    let program = provider.join("terraform-provider-files_v1.0.0");
    let python = std::env::var("QUARTERDECK_PYTHON").unwrap();
    let script = format!("#!/bin/sh\nexec {python}/python {}\n", here.display());
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let text = format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{}\"\n  }}\n}}\n",
        mirror.display()
    );
    fs::write(site.providers(), text).unwrap();
    let files = site.files();
    site.place.write(
        "terraform/main.tf",
        &format!(
            "terraform {{\n  required_providers {{\n    files = {{ source = \"quarterdeck.test/tests/files\" }}\n  }}\n}}\n\
             resource \"files_file\" \"it\" {{\n  for_each = toset([\"one\", \"two\", \"three\"])\n  path = \"{}/${{each.key}}\"\n  \
             content = \"as declared\"\n  secret = \"{SECRET}\"\n}}\n\
             output \"nodes\" {{\n  value = {{}}\n}}\n",
            files.display()
        ),
    );
    site.begin(&["run", "terraform-reconcile", "--yes"])
        .approved(0);
    for name in ["one", "two", "three"] {
        assert_eq!(read(&files, name), format!("as declared\n{SECRET}"));
    }
    site
}

fn read(files: &Path, name: &str) -> String {
    fs::read_to_string(files.join(name)).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The rows of the board, as `OBJECT#ATTRIBUTE: DESIRED / ACTUAL`.
fn board(site: &Site) -> Vec<String> {
    let output = site.output(&["drift", "--json"]);
    let board: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = board["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = &row["key"];
        let (object, field) = (text(&key["object"]), text(&key["field"]));
        let (desired, actual) = (text(&row["desired"]), text(&row["actual"]));
        format!("{object}#{field}: {desired} / {actual}")
    })
    .collect()
}

/// Brings the row back that is called `key`.
fn reconcile(site: &Site, key: &str) -> String {
    site.begin(&["drift", "reconcile", key, "--yes"])
        .approved(0)
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn what_was_changed_by_hand_is_on_the_board_and_brought_back_one_by_one() {
    let site = site();
    let files = site.files();
    fs::write(files.join("one"), format!("by hand\n{SECRET}")).unwrap();
    fs::remove_file(files.join("two")).unwrap();
    fs::write(files.join("three"), format!("as declared\n{LEAKED}")).unwrap();
    let told = site.expect(&["drift", "--check"], 5);
    assert!(told.contains("terraform: 3 drifted"), "{told}");
    let (one, two, three) = (
        r#"files_file.it["one"]#content: "as declared" / "by hand""#,
        r#"files_file.it["two"]#resource: there / gone"#,
        r#"files_file.it["three"]#secret: (sensitive) / (sensitive)"#,
    );
    assert_eq!(board(&site), [one, three, two]);
    assert_eq!(read(&files, "one"), format!("by hand\n{SECRET}"));

    // A rehearsal brings nothing back, and does not complain that it is not there.
    let rehearsal = [
        "run",
        "terraform-reconcile",
        "-p",
        r#"target=files_file.it["one"]"#,
        "--dry-run",
    ];
    let rehearsed = site.expect(&rehearsal, 0);
    assert!(rehearsed.contains("would apply"), "{rehearsed}");
    assert_eq!(read(&files, "one"), format!("by hand\n{SECRET}"));

    let told = reconcile(&site, r#"terraform:files_file.it["one"]#content"#);
    assert!(told.contains("applied: 1 of 1 changes"), "{told}");
    assert_eq!(read(&files, "one"), format!("as declared\n{SECRET}"));
    assert!(!files.join("two").exists(), "only the row is brought back");
    assert_eq!(board(&site), [three, two]);

    reconcile(&site, r#"terraform:files_file.it["two"]#resource"#);
    assert_eq!(read(&files, "two"), format!("as declared\n{SECRET}"));
    assert_eq!(board(&site), [three]);

    reconcile(&site, r#"terraform:files_file.it["three"]#secret"#);
    assert_eq!(read(&files, "three"), format!("as declared\n{SECRET}"));
    let calm = site.expect(&["drift", "--check"], 0);
    assert!(calm.contains("terraform: 0 drifted"), "{calm}");
    for secret in [SECRET, LEAKED] {
        assert!(!super::whole::holds(&site.place.state(), secret));
    }
}

#[test]
#[ignore = "needs Terraform, Ansible and OpenSSH: run tests/run pipeline"]
fn what_no_configuration_declares_is_taken_into_the_state() {
    let site = site();
    let file = site.files().join("one");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    site.expect(&["drift", "--check"], 5);
    let row = r#"files_file.it["one"]#mode: "0o644" / "0o600""#;
    assert_eq!(board(&site), [row]);

    // The configuration does not say which mode it has, so there is nothing to bring back.
    let key = r#"terraform:files_file.it["one"]#mode"#;
    let told = site.expect(&["drift", "reconcile", key, "--yes"], 1);
    assert!(told.contains("`terraform-accept` takes"), "{told}");
    assert_eq!(board(&site), [row]);
    // And it is left as well where all instances are meant at once.
    let all = [
        "run",
        "terraform-reconcile",
        "-p",
        "target=files_file.it",
        "--yes",
    ];
    let told = site.expect(&all, 1);
    assert!(told.contains("`terraform-accept` takes"), "{told}");

    let rehearsed = site.expect(&["run", "terraform-accept", "--dry-run"], 0);
    assert!(rehearsed.contains("changed outside"), "{rehearsed}");
    assert_eq!(board(&site), [row]);
    site.begin(&["run", "terraform-accept", "--yes"])
        .approved(0);
    assert!(board(&site).is_empty());
    assert_eq!(mode(&file), 0o600, "nothing that is there was changed");
}
