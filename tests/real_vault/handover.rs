//! Who gets the keys of a new Vault, other than whoever made it: the owners of PGP keys, and operators of a Vault that unseals
//! itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::canary::Canary;
use super::cluster::{Cluster, eventually, keys};

/// Runs `gpg` with a home of the test's own, and gives what it prints.
fn gpg(home: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("gpg")
        .arg("--homedir")
        .arg(home)
        .args(["--batch", "--quiet", "--pinentry-mode", "loopback"])
        .args(["--passphrase", ""])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    output.stdout
}

#[test]
#[ignore = "needs OpenBao: tests/run vault"]
fn shares_for_pgp_keys_are_in_files_that_only_their_owners_can_read_and_open_the_vault() {
    use std::os::unix::fs::PermissionsExt;

    let Some(mut cluster) = Cluster::start(1, "") else {
        println!("skipped: needs QUARTERDECK_OPENBAO, see tests/real/openbao");
        return;
    };
    let home = cluster.dir.path().join("gpg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).unwrap();
    let owners = ["ada@example.org", "bob@example.org", "eve@example.org"];
    // One key in binary, the others in armour.
    let public = owners.map(|owner| {
        gpg(
            &home,
            &["--quick-gen-key", owner, "default", "default", "never"],
        );
        let form = if owner.starts_with("ada") {
            "--no-armor"
        } else {
            "--armor"
        };
        let file = home.join(format!("{owner}.key"));
        std::fs::write(&file, gpg(&home, &[form, "--export", owner])).unwrap();
        file.display().to_string()
    });
    let mut arguments = vec![
        "vault",
        "init",
        "--yes",
        "--shares",
        "3",
        "--threshold",
        "2",
    ];
    for key in &public {
        arguments.extend(["--pgp-key", key]);
    }
    let log = cluster.done(&arguments, &[]);
    assert!(log.contains("for the owners of the PGP keys"), "{log}");

    let told = log
        .lines()
        .filter_map(|line| line.split("encrypted in ").nth(1));
    let mut found: Vec<PathBuf> = told.map(|path| PathBuf::from(path.trim())).collect();
    found.sort();
    let names = found
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    let names: Vec<String> = names.collect();
    assert_eq!(
        names,
        [
            "root-token.gpg",
            "share-1.gpg",
            "share-2.gpg",
            "share-3.gpg"
        ]
    );
    for path in &found {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let shares: Vec<String> = found[1..]
        .iter()
        .map(|path| gpg(&home, &["--decrypt", &path.display().to_string()]))
        .map(|text| String::from_utf8(text).unwrap().trim().to_owned())
        .collect();
    let log = cluster.done(&["unseal", "--yes"], &[&shares[2], &shares[0]]);
    assert_eq!(cluster.states(), ["active"], "{log}");

    let canary = Canary::of(&shares, &[]);
    canary.absent(&cluster.said, "what was said");
    canary.absent_below(&cluster.dir.path().join("state"));
    // The agent that gpg started belongs to this home.
    let _ = Command::new("gpgconf")
        .arg("--homedir")
        .arg(&home)
        .args(["--kill", "all"])
        .status();
}

#[test]
#[ignore = "needs OpenBao: tests/run vault"]
fn a_vault_that_unseals_itself_gives_recovery_keys_and_nobody_is_asked_for_shares() {
    let seal = "seal \"static\" {\n  current_key_id = \"1\"\n  current_key = \"file://{dir}/static-key\"\n}\n";
    let Some(mut cluster) = Cluster::start(2, seal) else {
        println!("skipped: needs QUARTERDECK_OPENBAO, see tests/real/openbao");
        return;
    };
    assert_eq!(cluster.states(), ["not initialized"; 2]);
    let printed = cluster.done(&["vault", "init", "--yes", "--json"], &[]);
    let (recovery, token) = keys(&printed);
    assert_eq!(recovery.len(), 5);
    assert!(token.is_some());
    assert!(printed.contains("\"recovery\":true"));
    assert_eq!(cluster.active(), 0);

    // The other one joins, and unseals itself: there is nobody on standard input to give a share.
    let log = cluster.done(&["unseal", "--yes"], &[]);
    assert!(log.contains("joins the cluster"), "{log}");
    assert_eq!(cluster.states(), ["active", "standby"], "{log}");

    // After a power cut as well.
    let leader = cluster.active();
    cluster.kill(leader);
    cluster.boot(leader);
    eventually("both are open again", || {
        cluster
            .states()
            .iter()
            .all(|state| state == "active" || state == "standby")
    });
    let log = cluster.done(&["unseal", "--yes"], &[]);
    assert!(!log.contains("share"), "{log}");
    let canary = Canary::of(&recovery, &[token.as_deref().unwrap()]);
    canary.absent_below(&cluster.dir.path().join("state"));
}
