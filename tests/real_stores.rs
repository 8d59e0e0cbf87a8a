//! Snapshots of real stores on loopback: etcd, PostgreSQL, Consul, OpenBao and Terraform. Each is taken, tried in a scratch
//! instance, restored over later changes, by the program as a person uses it.
//!
//! Ignored by default; `tests/run stores` gives them what they need. What is missing is told and passed over, or with `CI=true`
//! a failure.

#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "support/freeze.rs"]
mod freeze;
#[path = "support/program.rs"]
mod program;

use program::{expect, run};

/// Says what is missing: a failure where nothing may go untested.
macro_rules! needs {
    ($($program:literal),+) => {
        for program in [$($program),+] {
            if crate::which(program).is_none() {
                assert!(std::env::var("CI").is_err(), "needs {program}");
                eprintln!("skipped: needs {program}");
                return;
            }
        }
    };
}

#[path = "real_stores/consul.rs"]
mod consul;
#[path = "real_stores/cut_off.rs"]
mod cut_off;
#[path = "real_stores/etcd.rs"]
mod etcd;
#[path = "real_stores/openbao.rs"]
mod openbao;
#[path = "real_stores/postgresql.rs"]
mod postgresql;
#[path = "real_stores/terraform.rs"]
mod terraform;

fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.map(|version| version.unwrap().path().join("bin")));
    }
    folders
        .into_iter()
        .map(|folder| folder.join(program))
        .find(|place| place.is_file())
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that ends with the test.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until it is so.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::sleep(Duration::from_millis(100));
    }
}

/// One request, as `curl` makes it; the status and the body.
fn http(method: &str, url: &str, token: Option<(&str, &str)>, body: &str) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "10", "-X", method, "-w", "\n%{http_code}"]);
    if let Some((name, value)) = token {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    if !body.is_empty() {
        command.args(["-d", body]);
    }
    let output = command.arg(url).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// A workspace with one environment called `practice`.
struct Workspace(tempfile::TempDir);

impl Workspace {
    fn new(rest: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("ws");
        fs::create_dir_all(root.join("environments")).unwrap();
        fs::write(root.join("quarterdeck.yaml"), "name: stores\n").unwrap();
        let this = Self(dir);
        this.environment(rest);
        this
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("ws")
    }

    /// Writes the environment anew.
    fn environment(&self, rest: &str) {
        let head = "environment: { name: practice, protection: open }\n";
        fs::write(
            self.root().join("environments/practice.yaml"),
            format!("{head}{rest}"),
        )
        .unwrap();
    }

    /// A file that only its owner reads.
    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.root().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self, args: &[&str]) -> Output {
        let root = self.root();
        let mut all = vec!["--workspace", root.to_str().unwrap(), "--own-engine"];
        all.extend(args);
        run(self.0.path(), &all)
    }

    /// Every snapshot, as the command line tells it.
    fn snapshots(&self) -> Vec<Value> {
        let (text, _) = expect(&self.run(&["snapshots", "--json"]), 0);
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Takes one and drills it; what the scratch instance answered.
    fn take_and_drill(&self, store: &str) -> String {
        expect(&self.run(&["snapshots", "take", store]), 0);
        expect(&self.run(&["snapshots", "drill", store]), 0);
        let newest = self.snapshots().pop().unwrap();
        assert_eq!(newest["drill"]["flaw"], Value::Null, "{newest}");
        assert!(newest["drill"]["took_ms"].as_u64().unwrap() > 0, "{newest}");
        newest["drill"]["answers"].as_str().unwrap().to_owned()
    }

    /// Looks for drift; the keys of what differs.
    fn drift(&self, status: i32) -> Vec<String> {
        let (text, said) = expect(&self.run(&["drift", "--check", "--json"]), status);
        let board: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{said}"));
        let rows = board["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let key = &row["key"];
            let word = |name: &str| key[name].as_str().unwrap().to_owned();
            format!("{}:{}#{}", word("source"), word("object"), word("field"))
        })
        .collect()
    }

    /// Restores the newest; what was shown before.
    fn restore(&self, store: &str) -> String {
        expect(&self.run(&["snapshots", "restore", store, "--yes"]), 0).1
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
