//! Real servers of Vault's API on loopback, a workspace that knows them, and the program that is tried on them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Servers, and a workspace that knows them.
pub(crate) struct Cluster {
    pub(crate) dir: TempDir,
    number: usize,
    servers: Vec<Option<Child>>,
    /// Stands at the end of each server's configuration.
    extra: String,
    /// Everything that commands said, for the search.
    pub(crate) said: Vec<u8>,
}

/// Tests of one program go on side by side, each with addresses of its own.
static CLUSTERS: AtomicUsize = AtomicUsize::new(0);

impl Cluster {
    /// So many servers, each with `extra` in its configuration; `{dir}` in it is a directory of the test. `None` where there is
    /// no server's program, which in CI is a failure.
    pub(crate) fn start(count: usize, extra: &str) -> Option<Self> {
        if std::env::var_os("QUARTERDECK_OPENBAO").is_none() {
            assert_ne!(
                std::env::var("CI").as_deref(),
                Ok("true"),
                "needs QUARTERDECK_OPENBAO"
            );
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let extra = extra.replace("{dir}", &dir.path().display().to_string());
        let key: Vec<u8> = (0..32).map(|at| at * 7 + 1).collect();
        fs::write(dir.path().join("static-key"), key).unwrap();
        let mut cluster = Self {
            dir,
            number: CLUSTERS.fetch_add(1, Ordering::Relaxed),
            servers: (0..count).map(|_| None).collect(),
            extra,
            said: Vec::new(),
        };
        for node in 0..count {
            cluster.boot(node);
        }
        let workspace = cluster.dir.path().join("workspace");
        fs::create_dir_all(workspace.join("environments")).unwrap();
        fs::write(
            workspace.join("quarterdeck.yaml"),
            "name: real\ndefault_environment: staging\npoll:\n  services: 1s\n",
        )
        .unwrap();
        let urls = (0..count).map(|node| format!("http://{}:8200", cluster.address(node)));
        let urls: Vec<String> = urls.collect();
        fs::write(
            workspace.join("environments/staging.yaml"),
            format!(
                "environment:\n  name: staging\n  protection: confirm\n  stack: consul\nnodes: []\nservices:\n  - kind: vault\n    \
                 urls: [{}]\n    secret:\n      file: ../token\n",
                urls.join(", ")
            ),
        )
        .unwrap();
        Some(cluster)
    }

    /// An address of loopback that no other run on this machine uses.
    pub(crate) fn address(&self, node: usize) -> String {
        let pid = std::process::id();
        format!(
            "127.{}.{}.{}",
            64 + (pid >> 8) % 128,
            pid % 250 + 1,
            self.number * 10 + node + 1
        )
    }

    pub(crate) fn boot(&mut self, node: usize) {
        let own = self.dir.path().join(format!("n{node}"));
        fs::create_dir_all(own.join("data")).unwrap();
        let address = self.address(node);
        fs::write(
            own.join("config.hcl"),
            format!(
                "api_addr = \"http://{address}:8200\"\ncluster_addr = \"https://{address}:8201\"\n\
                 listener \"tcp\" {{\n  address = \"{address}:8200\"\n  cluster_address = \"{address}:8201\"\n  tls_disable = true\n}}\n\
                 storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"n{node}\"\n  performance_multiplier = 1\n}}\n{}",
                own.join("data").display(),
                self.extra
            ),
        )
        .unwrap();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(own.join("log"))
            .unwrap();
        let server = Command::new(std::env::var_os("QUARTERDECK_OPENBAO").unwrap())
            .arg("server")
            .arg(format!("-config={}", own.join("config.hcl").display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.servers[node] = Some(server);
        eventually("the server listens", || {
            TcpStream::connect((address.as_str(), 8200)).is_ok()
        });
    }

    /// As a power cut does.
    pub(crate) fn kill(&mut self, node: usize) {
        let mut server = self.servers[node].take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // What waits for ever must not: `timeout` hands signals on, and ends with the status of what it ran.
        let mut command = Command::new("timeout");
        command
            .arg("--kill-after=5s")
            .arg(format!("{}s", PATIENCE.as_secs()))
            .arg(env!("CARGO_BIN_EXE_quarterdeck"))
            .args(arguments)
            .env("QUARTERDECK_WORKSPACE", self.dir.path().join("workspace"))
            .env("QUARTERDECK_STATE_DIR", self.dir.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.dir.path())
            .env("QUARTERDECK_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program with these lines on its standard input.
    pub(crate) fn quarterdeck(&mut self, arguments: &[&str], input: &[&str]) -> Output {
        let child = self.begin(arguments, input);
        self.end(arguments, child)
    }

    pub(crate) fn begin(&self, arguments: &[&str], input: &[&str]) -> Child {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for line in input {
            // A command that refuses at once does not read.
            let _ = writeln!(stdin, "{line}");
        }
        child
    }

    pub(crate) fn end(&mut self, arguments: &[&str], child: Child) -> Output {
        let output = child.wait_with_output().unwrap();
        // What `init` and `rekey` print is the keys themselves, for the one who asked.
        if !arguments.contains(&"init") && !arguments.contains(&"rekey") {
            self.said.extend(&output.stdout);
        }
        self.said.extend(&output.stderr);
        output
    }

    pub(crate) fn done(&mut self, arguments: &[&str], input: &[&str]) -> String {
        let output = self.quarterdeck(arguments, input);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {text}\n{errors}");
        text
    }

    pub(crate) fn nodes(&mut self) -> Vec<Value> {
        let output = self.quarterdeck(&["vault", "status", "--json"], &[]);
        let board: Value = serde_json::from_slice(&output.stdout).unwrap();
        board["nodes"].as_array().unwrap().clone()
    }

    pub(crate) fn states(&mut self) -> Vec<String> {
        let nodes = self.nodes();
        let states = nodes.iter().map(|node| node["state"].as_str().unwrap());
        states.map(ToOwned::to_owned).collect()
    }

    pub(crate) fn active(&mut self) -> usize {
        let mut active = None;
        eventually("a node is active", || {
            active = self.states().iter().position(|state| state == "active");
            active.is_some()
        });
        active.unwrap()
    }

    /// How many servers vote in Raft, as the leader says.
    pub(crate) fn voters(&self, leader: usize, token: &str) -> usize {
        let Ok(mut stream) = TcpStream::connect((self.address(leader).as_str(), 8200)) else {
            return 0;
        };
        let request = format!(
            "GET /v1/sys/storage/raft/configuration HTTP/1.0\r\nHost: x\r\nX-Vault-Token: {token}\r\n\r\n"
        );
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes());
        if asked.is_err() || stream.read_to_string(&mut answer).is_err() {
            return 0;
        }
        answer.matches("\"voter\":true").count()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.quarterdeck(&["engine", "stop", "--force"], &[]);
        for server in self.servers.iter_mut().flatten() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The keys among the lines that `--json` prints.
pub(crate) fn keys(printed: &str) -> (Vec<String>, Option<String>) {
    let lines = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let keys = lines
        .into_iter()
        .find(|value| value["shares"].is_array())
        .expect("keys are printed");
    let shares = keys["shares"].as_array().unwrap().iter();
    let shares = shares.map(|share| share.as_str().unwrap().to_owned());
    let token = keys["root_token"].as_str().map(ToOwned::to_owned);
    (shares.collect(), token)
}
