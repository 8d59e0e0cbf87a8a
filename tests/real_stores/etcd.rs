//! etcd: its keys come back as they were; a snapshot that is encrypted needs its key, one that was altered is a finding, and so is
//! an etcd that is full.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::program::expect;
use super::{Server, Workspace, free_port, http, until};

/// One member of etcd.
struct Etcd {
    _server: Server,
    _dir: tempfile::TempDir,
    url: String,
}

impl Etcd {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (client, peer) = (free_port(), free_port());
        let url = format!("http://127.0.0.1:{client}");
        let member = format!("http://127.0.0.1:{peer}");
        let mut command = Command::new("etcd");
        command.args([
            format!("--data-dir={}", dir.path().join("data").display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={member}"),
            format!("--initial-advertise-peer-urls={member}"),
            format!("--initial-cluster=default={member}"),
        ]);
        command.args(more);
        let server = Server::start(&mut command, &dir.path().join("log"));
        until("etcd's health", || {
            let (status, body) = http("GET", &format!("{url}/health"), None, "");
            (status == 200 && body.contains("true")).then_some(())
        });
        Self {
            _server: server,
            _dir: dir,
            url,
        }
    }

    fn ctl(&self, args: &[&str]) -> String {
        let output = self.try_ctl(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn try_ctl(&self, args: &[&str]) -> Output {
        Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url))
            .args(args)
            .output()
            .unwrap()
    }
}

#[test]
#[ignore = "needs etcd"]
fn an_etcd_that_is_full_is_a_finding_whose_repair_makes_room() {
    needs!("etcd", "etcdctl", "curl");
    let etcd = Etcd::start_with(&["--quota-backend-bytes=2097152"]);
    let workspace = Workspace::new(&format!(
        "services: [{{ name: etcd, kind: etcd, urls: [\"{}\"] }}]\n",
        etcd.url
    ));
    let found = || {
        let output = workspace.run(&["findings", "--json"]);
        let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let keys = all
            .iter()
            .map(|one| one["key"].as_str().unwrap().to_owned());
        keys.collect::<Vec<_>>()
    };
    assert!(found().is_empty());
    // Revisions of one key: what fills it up is the past, and not what is stored.
    let value = "x".repeat(100_000);
    let writes = (0..60).find(|_| !etcd.try_ctl(&["put", "log", &value]).status.success());
    assert!(writes.is_some(), "60 times 100 kB fit into 2 MiB");
    assert_eq!(found(), ["alarm:NOSPACE:default"]);

    let refused = workspace.run(&["--read-only", "repair", "etcd", "--yes"]);
    expect(&refused, 4);
    let (said, told) = expect(&workspace.run(&["repair", "etcd", "--yes"]), 0);
    let told = format!("{said}{told}");
    assert!(told.contains("KiB are left"), "{told}");
    assert!(
        told.contains("KiB were won, and the alarm is disarmed"),
        "{told}"
    );
    assert!(found().is_empty());
    etcd.ctl(&["put", "log", "short"]);

    let (said, _) = expect(&workspace.run(&["run", "etcd-reclaim", "--yes"]), 0);
    assert!(said.contains("no member's database is full"), "{said}");
}

#[test]
#[ignore = "needs etcd"]
fn etcd_is_saved_tried_and_restored_over_later_changes() {
    needs!("etcd", "etcdctl", "curl");
    let etcd = Etcd::start();
    for number in 0..40 {
        etcd.ctl(&["put", &format!("/registry/pods/{number:02}"), "first"]);
    }
    let workspace = Workspace::new(&format!(
        "backups: {{ stores: [{{ kind: etcd, url: \"{}\" }}] }}\n",
        etcd.url
    ));
    let answers = workspace.take_and_drill("etcd");
    assert!(
        answers.starts_with("it leads, and has 40 keys"),
        "{answers}"
    );

    etcd.ctl(&["put", "/registry/pods/new", "later"]);
    etcd.ctl(&["put", "/registry/pods/07", "later"]);
    etcd.ctl(&["del", "/registry/pods/13"]);
    let shown = workspace.restore("etcd");
    for line in [
        "lost, because it is newer than the snapshot: 1",
        "  key /registry/pods/new",
        "  key /registry/pods/07",
        "brought back: 1",
        "  key /registry/pods/13",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    let all = etcd.ctl(&["get", "/registry/", "--prefix", "--keys-only"]);
    assert_eq!(all.split_whitespace().count(), 40, "{all}");
    assert_eq!(
        etcd.ctl(&["get", "/registry/pods/07", "--print-value-only"]),
        "first\n"
    );
}

#[test]
#[ignore = "needs etcd"]
fn an_encrypted_snapshot_needs_its_key_and_an_altered_one_is_a_finding() {
    needs!("etcd", "etcdctl", "curl");
    let etcd = Etcd::start();
    etcd.ctl(&["put", "secret", "a-value-that-is-looked-for"]);
    let [own, stranger] = [(); 2].map(|()| age::x25519::Identity::generate());
    let text = |identity: &str| {
        format!(
            "backups:\n  recipients: [{}]\n  stores: [{{ kind: etcd, url: \"{}\" }}]\n{identity}",
            own.to_public(),
            etcd.url
        )
    };
    let workspace = Workspace::new(&text(""));
    expect(&workspace.run(&["snapshots", "take", "etcd"]), 0);
    let taken = workspace.snapshots().pop().unwrap();
    let file = PathBuf::from(taken["file"].as_str().unwrap());
    let bytes = fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    assert!(!format!("{:?}", fs::read(file.with_extension("snap.json"))).contains("key secret"));

    // Without a key, with a stranger's, with the right one.
    let (_, said) = expect(&workspace.run(&["snapshots", "drill", "etcd"]), 1);
    assert!(said.contains("backups.identity"), "{said}");
    workspace.secret("key", stranger.to_string().expose_secret());
    workspace.environment(&text("  identity: { file: ../key }\n"));
    let (_, said) = expect(&workspace.run(&["snapshots", "drill", "etcd"]), 1);
    assert!(
        said.contains("was not encrypted for this secret key"),
        "{said}"
    );
    assert!(!said.contains("AGE-SECRET"), "{said}");
    workspace.secret("key", own.to_string().expose_secret());
    expect(&workspace.run(&["snapshots", "drill", "etcd"]), 0);
    expect(&workspace.run(&["snapshots", "verify"]), 0);

    let mut altered = bytes;
    let at = altered.len() / 2;
    altered[at] ^= 1;
    fs::write(&file, altered).unwrap();
    expect(&workspace.run(&["snapshots", "verify"]), 1);
    let (_, said) = expect(
        &workspace.run(&["snapshots", "restore", "etcd", "--yes"]),
        3,
    );
    assert!(said.contains("damaged"), "{said}");
    expect(&workspace.run(&["snapshots", "--verify"]), 1);
}
