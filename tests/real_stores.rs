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

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

#[path = "support/freeze.rs"]
mod freeze;
#[path = "support/program.rs"]
mod program;

use program::{expect, run};

/// Says what is missing: a failure where nothing may go untested.
macro_rules! needs {
    ($($program:literal),+) => {
        for program in [$($program),+] {
            if which(program).is_none() {
                assert!(std::env::var("CI").is_err(), "needs {program}");
                eprintln!("skipped: needs {program}");
                return;
            }
        }
    };
}

#[path = "real_stores/cut_off.rs"]
mod cut_off;

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

#[test]
#[ignore = "needs PostgreSQL"]
fn postgresql_is_saved_tried_and_restored_over_later_changes() {
    needs!(
        "initdb",
        "postgres",
        "pg_dump",
        "pg_restore",
        "psql",
        "setpriv"
    );
    // The path of its socket must be short, and the server's user must own it.
    let dir = tempfile::tempdir().unwrap();
    let root = is_root();
    let as_user = |program: &Path| {
        if !root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    };
    if root {
        let owner = Command::new("chown")
            .arg("postgres")
            .arg(dir.path())
            .status();
        assert!(owner.unwrap().success());
    }
    let data = dir.path().join("data");
    let password = dir.path().join("password");
    fs::write(&password, "practice-only\n").unwrap();
    if root {
        let owner = Command::new("chown")
            .arg("postgres")
            .arg(&password)
            .status();
        assert!(owner.unwrap().success());
    }
    let made = as_user(&which("initdb").unwrap())
        .args(["--auth=scram-sha-256", "--username=backup", "--no-sync"])
        .arg(format!("--pwfile={}", password.display()))
        .arg(format!("--pgdata={}", data.display()))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = free_port();
    let log = tempfile::tempdir().unwrap();
    let _server = Server::start(
        as_user(&which("postgres").unwrap())
            .arg("-D")
            .arg(&data)
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                &format!("port={port}"),
                "-c",
                "fsync=off",
            ])
            .args([
                "-c",
                &format!("unix_socket_directories={}", dir.path().display()),
            ]),
        &log.path().join("log"),
    );
    let url = |database: &str| format!("postgresql://backup@127.0.0.1:{port}/{database}");
    let sql = |database: &str, text: &str| {
        let output = Command::new("psql")
            .env("PGPASSWORD", "practice-only")
            .args(["-XAtq", "--dbname", &url(database), "-c", text])
            .output()
            .unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    };
    until("PostgreSQL's readiness", || sql("postgres", "select 1"));
    sql("postgres", "create database orders").unwrap();
    sql(
        "orders",
        "create table sold (id int primary key, what text); insert into sold select n, 'thing ' || n from generate_series(1, 5000) n; \
         create table empty (a int)",
    )
    .unwrap();
    let workspace = Workspace::new(&format!(
        "backups: {{ stores: [{{ kind: postgresql, name: orders, url: \"{}\", secret: {{ file: ../pg }} }}] }}\n",
        url("orders")
    ));
    workspace.secret("pg", "practice-only\n");
    let answers = workspace.take_and_drill("orders");
    assert!(answers.starts_with("it has 2 tables"), "{answers}");

    sql(
        "orders",
        "delete from sold where id > 10; create table later (a int)",
    )
    .unwrap();
    let shown = workspace.restore("orders");
    for line in [
        "lost, because it is newer than the snapshot: 1",
        "  table public.later",
        "  table public.sold",
    ] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    assert_eq!(
        sql("orders", "select count(*) from sold").unwrap(),
        "5000\n"
    );

    // A dump that breaks off is never kept.
    workspace.secret("pg", "wrong-password\n");
    let (_, said) = expect(&workspace.run(&["snapshots", "take", "orders"]), 1);
    assert!(said.contains("password authentication failed"), "{said}");
    assert_eq!(workspace.snapshots().len(), 1);
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
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
    let terraform = |args: &[&str]| {
        let output = Command::new("terraform")
            .current_dir(&directory)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
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
    let terraform = |args: &[&str]| {
        let output = Command::new("terraform")
            .current_dir(&directory)
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
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

#[test]
#[ignore = "needs Consul"]
fn consul_is_saved_tried_and_restored_over_later_changes() {
    needs!("consul", "curl");
    let dir = tempfile::tempdir().unwrap();
    let [http_port, server, serf] = [free_port(), free_port(), free_port()];
    let token = "7d6a1d5e-2f3b-4f1c-9a54-0c1b2d3e4f50";
    let config = json!({
        "acl": { "enabled": true, "default_policy": "deny", "tokens": { "master": token } },
        "ports": { "http": http_port, "server": server, "serf_lan": serf, "serf_wan": -1, "dns": -1, "grpc": -1 },
    });
    fs::write(dir.path().join("c.json"), config.to_string()).unwrap();
    let _server = Server::start(
        Command::new("consul").args([
            "agent",
            "-server",
            "-bootstrap-expect=1",
            "-bind=127.0.0.1",
            &format!("-config-file={}", dir.path().join("c.json").display()),
            &format!("-data-dir={}", dir.path().join("data").display()),
        ]),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{http_port}");
    let allowed = Some(("X-Consul-Token", token));
    let kv = |method: &str, key: &str, value: &str| {
        http(method, &format!("{url}/v1/kv/{key}"), allowed, value)
    };
    until("Consul's first key", || {
        (kv("PUT", "config/one", "1") == (200, "true".into())).then_some(())
    });
    kv("PUT", "config/two", "2");
    let workspace = Workspace::new(&format!(
        "services: [{{ kind: consul, url: \"{url}\", secret: {{ file: ../token }} }}]\n"
    ));
    workspace.secret("token", token);
    let answers = workspace.take_and_drill("consul");
    assert!(answers.starts_with("it leads, and has 2 keys"), "{answers}");

    kv("PUT", "config/three", "3");
    kv("DELETE", "config/two", "");
    let shown = workspace.restore("consul");
    for line in ["  key config/three", "  key config/two"] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
    assert_eq!(kv("GET", "config/three", "").0, 404);
    assert_eq!(kv("GET", "config/two?raw", "").1, "2");

    // What is declared of it is compared, and brought back key by key.
    let service = |port: u16| json!({ "Name": "web", "Port": port }).to_string();
    let register = format!("{url}/v1/agent/service/register");
    assert_eq!(http("PUT", &register, allowed, &service(80)).0, 200);
    workspace.environment(&format!(
        "services: [{{ kind: consul, url: \"{url}\", secret: {{ file: ../token }} }}]\n\
         desired: [{{ service: consul, kv: {{ config/one: \"1\", config/two: \"2\" }}, services: {{ web: {{ port: 80 }} }} }}]\n"
    ));
    assert_eq!(workspace.drift(0), Vec::<String>::new());
    kv("PUT", "config/one", "changed by somebody");
    kv("DELETE", "config/two", "");
    http("PUT", &register, allowed, &service(81));
    let index = |key: &str| -> Value {
        let (_, body) = kv("GET", key, "");
        serde_json::from_str::<Value>(&body).unwrap()[0]["ModifyIndex"].clone()
    };
    let before = index("config/one");
    let drifted = [
        "consul:consul/kv/config/one#value",
        "consul:consul/kv/config/two#value",
        "consul:consul/service/web#port",
    ];
    assert_eq!(workspace.drift(5), drifted);
    assert_eq!(index("config/one"), before, "looking wrote something");
    for key in &drifted[..2] {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(kv("GET", "config/one?raw", "").1, "1");
    assert_eq!(kv("GET", "config/two?raw", "").1, "2");
    let refused = workspace.run(&["--read-only", "drift", "reconcile", drifted[2], "--yes"]);
    expect(&refused, 4);
    let ignore = [
        "drift", "ignore", drifted[2], "--days", "1", "--reason", "a window",
    ];
    expect(&workspace.run(&ignore), 0);
    expect(&workspace.run(&["drift"]), 0);

    // Without a right to it there is none, and that is told; and what drifted is not known, which is not the same as none.
    workspace.secret("token", "11111111-2222-3333-4444-555555555555");
    let (_, said) = expect(&workspace.run(&["snapshots", "take", "consul"]), 1);
    assert!(said.contains("403"), "{said}");
    let (_, said) = expect(&workspace.run(&["drift", "--check"]), 1);
    assert!(said.contains("not known: consul consul"), "{said}");
}

#[test]
#[ignore = "needs OpenBao"]
fn openbao_is_saved_tried_and_restored_over_later_changes() {
    needs!("bao", "curl");
    let dir = tempfile::tempdir().unwrap();
    let (api, cluster) = (free_port(), free_port());
    fs::create_dir(dir.path().join("data")).unwrap();
    let config = format!(
        "api_addr = \"http://127.0.0.1:{api}\"\ncluster_addr = \"https://127.0.0.1:{cluster}\"\n\
         listener \"tcp\" {{\n address = \"127.0.0.1:{api}\"\n cluster_address = \"127.0.0.1:{cluster}\"\n tls_disable = true\n}}\n\
         storage \"raft\" {{\n path = \"{}\"\n node_id = \"n1\"\n performance_multiplier = 1\n}}\n",
        dir.path().join("data").display()
    );
    fs::write(dir.path().join("c.hcl"), config).unwrap();
    let _server = Server::start(
        Command::new("bao").args([
            "server",
            &format!("-config={}", dir.path().join("c.hcl").display()),
        ]),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{api}");
    let ask = |method: &str, path: &str, token: &str, body: &str| {
        let token = (!token.is_empty()).then_some(("X-Vault-Token", token));
        http(method, &format!("{url}/v1/{path}"), token, body)
    };
    let shares = until("OpenBao's shares", || {
        let (status, body) = ask(
            "PUT",
            "sys/init",
            "",
            r#"{"secret_shares":3,"secret_threshold":2}"#,
        );
        (status == 200).then(|| serde_json::from_str::<Value>(&body).unwrap())
    });
    for share in [0, 1] {
        let body = json!({ "key": shares["keys"][share] }).to_string();
        assert_eq!(ask("PUT", "sys/unseal", "", &body).0, 200);
    }
    let root = shares["root_token"].as_str().unwrap().to_owned();
    until("OpenBao's activity", || {
        (ask("GET", "sys/health", "", "").0 == 200).then_some(())
    });
    ask("POST", "sys/mounts/kv", &root, r#"{"type":"kv"}"#);
    ask("POST", "kv/one", &root, r#"{"word":"first"}"#);
    let workspace = Workspace::new(&format!(
        "services: [{{ kind: vault, url: \"{url}\", secret: {{ file: ../token }} }}]\n"
    ));
    workspace.secret("token", &root);
    let answers = workspace.take_and_drill("vault");
    assert!(answers.contains("asks for 2 of the 3 shares"), "{answers}");

    ask("POST", "sys/mounts/later", &root, r#"{"type":"kv"}"#);
    ask("POST", "kv/one", &root, r#"{"word":"second"}"#);
    let shown = workspace.restore("vault");
    assert!(shown.contains("  mount later/"), "{shown}");
    let (_, body) = ask("GET", "kv/one", &root, "");
    assert!(body.contains("first"), "{body}");

    // What is declared of it is compared, and brought back one by one.
    let policy = "path \"kv/*\" {\n  capabilities = [\"read\"]\n}\n";
    fs::write(workspace.root().join("app.hcl"), policy).unwrap();
    workspace.environment(&format!(
        "services: [{{ kind: vault, url: \"{url}\", secret: {{ file: ../token }} }}]\n\
         desired: [{{ service: vault, policies: {{ app: ../app.hcl }}, mounts: [{{ path: kv, type: kv }}, \
         {{ path: notes, type: kv, description: ours, options: {{ version: \"2\" }} }}] }}]\n"
    ));
    let missing = [
        "vault:vault/mount/notes#type",
        "vault:vault/policy/app#policy",
    ];
    assert_eq!(workspace.drift(5), missing);
    assert_eq!(ask("GET", "sys/policies/acl/app", &root, "").0, 404);
    for key in missing {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(workspace.drift(0), Vec::<String>::new());
    let meddled = json!({ "policy": "path \"*\" { capabilities = [\"sudo\"] }" }).to_string();
    ask("POST", "sys/policies/acl/app", &root, &meddled);
    ask(
        "POST",
        "sys/mounts/notes/tune",
        &root,
        r#"{"description":"theirs"}"#,
    );
    let drifted = [
        "vault:vault/mount/notes#description",
        "vault:vault/policy/app#policy",
    ];
    assert_eq!(workspace.drift(5), drifted);
    for key in drifted {
        expect(&workspace.run(&["drift", "reconcile", key, "--yes"]), 0);
    }
    assert_eq!(workspace.drift(0), Vec::<String>::new());
}
