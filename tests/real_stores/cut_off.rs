//! Snapshots that are cut off in their middle: Consul's leader loses its power, the engine is killed, the disk is full. Nothing
//! of what came counts, nothing of it stays, it is a finding, and the next one succeeds.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use super::freeze::{Frozen, unfinished};
use super::program::{expect, quarterdeck};
use super::{Server, Workspace, free_port, http, is_root, until};

/// So much that the leader cannot have handed all of it to the kernel when it loses its power, bytes.
const KEYS: usize = 44;
const KEY: usize = 480_000;

/// Three servers of Consul, each with an address of its own on loopback.
struct Consul {
    servers: Vec<Option<Server>>,
    dir: tempfile::TempDir,
    port: u16,
}

impl Consul {
    fn start() -> Self {
        let mut consul = Self {
            servers: Vec::new(),
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
        };
        for number in 0..3 {
            let server = consul.boot(number);
            consul.servers.push(Some(server));
        }
        until("Consul's leader", || consul.leader(0));
        consul
    }

    /// An address that no other run on this machine uses.
    fn address(number: usize) -> String {
        let pid = std::process::id();
        format!(
            "127.{}.{}.{}",
            64 + (pid >> 8) % 128,
            pid % 250 + 1,
            100 + number
        )
    }

    fn url(&self, number: usize) -> String {
        format!("http://{}:{}", Self::address(number), self.port)
    }

    fn boot(&self, number: usize) -> Server {
        let own = self.dir.path().join(number.to_string());
        fs::create_dir_all(&own).unwrap();
        let others: Vec<String> = (0..3).map(Self::address).collect();
        let config = json!({
            "server": true, "bootstrap_expect": 3, "node_name": format!("s{number}"), "data_dir": own.join("data"),
            "bind_addr": Self::address(number), "client_addr": Self::address(number),
            "retry_join": others, "retry_interval": "1s", "performance": { "raft_multiplier": 1 },
            "ports": { "http": self.port, "serf_wan": -1, "dns": -1, "grpc": -1 },
        });
        fs::write(own.join("c.json"), config.to_string()).unwrap();
        let mut command = Command::new("consul");
        command
            .args(["agent", "-config-file"])
            .arg(own.join("c.json"));
        Server::start(&mut command, &own.join("log"))
    }

    /// Which server leads, as one of them says.
    fn leader(&self, asked: usize) -> Option<usize> {
        let (_, body) = http(
            "GET",
            &format!("{}/v1/status/leader", self.url(asked)),
            None,
            "",
        );
        (0..3).find(|number| body.contains(&format!("\"{}:", Self::address(*number))))
    }

    /// Fills it with what cannot be compressed much.
    fn fill(&self, leader: usize) {
        let mut chance = fastrand::Rng::with_seed(0x0d_15_c0);
        let file = self.dir.path().join("value");
        for key in 0..KEYS {
            let value: String = (0..KEY).map(|_| chance.alphanumeric()).collect();
            fs::write(&file, value).unwrap();
            let url = format!("{}/v1/kv/noise/{key}", self.url(leader));
            let put = http("PUT", &url, None, &format!("@{}", file.display()));
            assert_eq!(put, (200, "true".into()));
        }
    }
}

impl Workspace {
    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// Begins to take a snapshot of Consul, with an engine within the program.
    fn begin_to_take(&self) -> Child {
        let root = self.root();
        let args = ["--workspace", root.to_str().unwrap(), "--own-engine"];
        let args = [args.as_slice(), &["snapshots", "take", "consul"]].concat();
        quarterdeck(self.0.path(), &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What is wrong with its snapshots, as an engine knows that stays: one that only looks has no shelf.
    fn findings(&self) -> Vec<(String, String)> {
        let root = self.root();
        let engine = |verb: &[&str]| {
            let args = [&["--workspace", root.to_str().unwrap(), "engine"], verb].concat();
            expect(&quarterdeck(self.0.path(), &args).output().unwrap(), 0);
        };
        engine(&["start"]);
        let output = self.run(&["findings", "--json"]);
        engine(&["stop", "--force"]);
        let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let word = |one: &Value, name: &str| one[name].as_str().unwrap().to_owned();
        let all = all
            .iter()
            .map(|one| (word(one, "key"), word(one, "evidence")));
        all.filter(|(key, _)| key.starts_with("snapshot:"))
            .collect()
    }
}

fn text(output: &Output) -> String {
    let [said, complained] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{said}{complained}")
}

#[test]
#[ignore = "needs Consul"]
fn a_snapshot_that_is_cut_off_never_counts_and_the_next_one_succeeds() {
    needs!("consul", "curl", "unshare");
    let mut consul = Consul::start();
    let workspace = Workspace::new(&format!(
        "services: [{{ kind: consul, urls: [{}] }}]\n",
        (0..3)
            .map(|number| format!("\"{}\"", consul.url(number)))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    let leader = consul.leader(0).unwrap();
    consul.fill(leader);

    // The leader loses its power in the middle: another one is asked, and only what came from that one counts.
    let taking = workspace.begin_to_take();
    let frozen = Frozen::in_the_middle(&workspace.state(), taking.id());
    consul.servers[leader] = None;
    drop(frozen);
    let output = taking.wait_with_output().unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("nothing of it is kept, it is asked again in 2 s"),
        "{said}"
    );
    let snapshots = workspace.snapshots();
    assert_eq!(snapshots.len(), 1, "{snapshots:?}");
    let from = snapshots[0]["from"].as_str().unwrap();
    assert!(!from.starts_with(&Consul::address(leader)), "{from}");
    assert!(snapshots[0]["size"].as_u64().unwrap() > 14_000_000);
    expect(&workspace.run(&["snapshots", "verify"]), 0);
    assert_eq!(unfinished(&workspace.state()), Vec::<PathBuf>::new());
    assert_eq!(workspace.findings(), []);

    // The engine is killed in the middle. The next one clears away what had come, and says that there is none.
    let mut taking = workspace.begin_to_take();
    Frozen::in_the_middle(&workspace.state(), taking.id()).kill();
    assert!(!taking.wait().unwrap().success());
    assert_eq!(unfinished(&workspace.state()).len(), 1);
    let listed = workspace.snapshots();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["file"], snapshots[0]["file"]);
    let (key, evidence) = until("a finding", || workspace.findings().pop());
    assert_eq!(key, "snapshot:failed:consul");
    assert!(
        evidence.contains("the engine ended in the middle of it"),
        "{evidence}"
    );
    assert_eq!(unfinished(&workspace.state()), Vec::<PathBuf>::new());
    expect(&workspace.run(&["snapshots", "take", "consul"]), 0);
    assert_eq!(workspace.snapshots().len(), 2);
    assert_eq!(workspace.findings(), []);

    // The disk is full: a mount of its own, which nobody else sees, too small for it and then large enough.
    let shelf = fs::read_dir(workspace.state().join("quarterdeck")).unwrap();
    let mut shelf = shelf.map(|entry| entry.unwrap().path().join("snapshots"));
    let shelf = shelf.find(|path| path.is_dir()).unwrap();
    let script = r#"
        mount -t tmpfs -o size=4m tmpfs "$1" || exit 99
        shelf=$1; shift
        "$@" snapshots take consul; echo "taken: $?"
        "$@" findings --json | grep -o '"snapshot:failed:consul"' | sort -u
        "$@" snapshots --json; echo "listed: $?"
        find "$shelf" -name '.taking-*' -o -name '*.snap'; echo "left"
        mount -o remount,size=200m "$shelf"
        "$@" snapshots take consul; echo "taken: $?"
        "$@" findings --json | grep -o '"snapshot:failed:consul"' | sort -u
        "$@" snapshots verify >/dev/null; echo "verified: $?"
        "$@" engine stop --force"#;
    let root = workspace.root();
    let program = quarterdeck(workspace.0.path(), &[]);
    let mut command = Command::new("unshare");
    command
        .arg(if is_root() { "-m" } else { "-rm" })
        .args(["sh", "-c", script, "sh"])
        .arg(&shelf)
        .arg(program.get_program())
        .args(["--workspace", root.to_str().unwrap()])
        .current_dir(workspace.0.path())
        .stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.process_group(0);
    let said = text(&command.output().unwrap());
    let marks = [
        "taken: ",
        "\"snapshot:failed",
        "listed: ",
        "left",
        "verified: ",
    ];
    let lines = said
        .lines()
        .filter(|line| marks.iter().any(|mark| line.starts_with(mark)));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "taken: 1",
            "\"snapshot:failed:consul\"",
            "listed: 0",
            "left",
            "taken: 0",
            "verified: 0"
        ],
        "{said}"
    );
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("make room there, or keep fewer"), "{said}");
}
