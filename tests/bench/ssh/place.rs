//! The hosts, and what each tool must be told about them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::sshd::{Sshd, Yard, me, my_group};

/// Many hosts on loopback: several servers with many addresses each.
pub(crate) struct Place {
    yard: Yard,
    servers: Vec<Sshd>,
    /// Name, address and port of each host.
    pub(crate) hosts: Vec<(String, String, u16)>,
    /// Where the states are that the checks look at; a directory for each host and tool.
    pub(crate) states: PathBuf,
}

impl Place {
    pub(crate) fn new(hosts: usize, each: usize) -> Self {
        let yard = Yard::new();
        let servers: Vec<Sshd> = (0..hosts / each)
            .map(|number| yard.sshd_at(number))
            .collect();
        let hosts = servers
            .iter()
            .enumerate()
            .flat_map(|(number, sshd)| {
                (0..each).map(move |index| {
                    let name = format!("pc{}", number * each + index + 1);
                    (name, Yard::address(number, index), sshd.port)
                })
            })
            .collect();
        let states = yard.path("states");
        fs::create_dir(&states).unwrap();
        let place = Self {
            yard,
            servers,
            hosts,
            states,
        };
        place.write("ssh_config", &place.ssh_config());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.yard.path(name)
    }

    /// Writes a file of this name; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.yard.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn id(&self) -> PathBuf {
        self.yard.id()
    }

    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.yard.known_hosts()
    }

    /// `Host` entries for OpenSSH's client, the same that Quarterdeck is told.
    fn ssh_config(&self) -> String {
        let mut text = String::new();
        for (name, address, port) in &self.hosts {
            writeln!(text, "Host {name}\n  HostName {address}\n  Port {port}").unwrap();
        }
        writeln!(
            text,
            "Host *\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  \
             StrictHostKeyChecking yes\n  LogLevel ERROR",
            me(),
            self.id().display(),
            self.known_hosts().display()
        )
        .unwrap();
        text
    }

    /// The first `count` hosts by name.
    pub(crate) fn names(&self, count: usize) -> Vec<String> {
        let names = self.hosts.iter().map(|(name, ..)| name.clone());
        names.take(count).collect()
    }

    /// Logins so far.
    pub(crate) fn logins(&self) -> usize {
        self.servers.iter().map(Sshd::logins).sum()
    }
}

/// The built program on a workspace of those hosts.
pub(crate) struct Quarterdeck<'a> {
    place: &'a Place,
    count: usize,
    /// The engine's process, if it has one of its own.
    pub(crate) pid: u32,
}

impl<'a> Quarterdeck<'a> {
    /// The program with the first `count` hosts and no engine.
    pub(crate) fn new(place: &'a Place, count: usize) -> Self {
        let at = |file: &str| format!("workspace{count}/{file}");
        // Nothing but what is measured: no polling within the time of a bench.
        place.write(
            &at("quarterdeck.yaml"),
            "name: bench\npoll: {nodes: 1h, services: 1h}\nconcurrency: 64\n",
        );
        let mut environment = format!(
            "environment: {{name: bench, protection: open}}\nssh: {{user: {}, elevate: \"no\", identities: [{}], known_hosts: {}}}\nnodes:\n",
            me(),
            place.id().display(),
            place.known_hosts().display()
        );
        for (name, address, port) in &place.hosts[..count] {
            writeln!(
                environment,
                "- {{name: {name}, address: {address}, platform: generic, arch: amd64, ssh: {{port: {port}}}}}"
            )
            .unwrap();
        }
        place.write(&at("environments/bench.yaml"), &environment);
        place.write(
            &at("recipes/hello.yaml"),
            "name: hello\ntitle: One command\nrisk: read\nsteps:\n- {id: hello, title: One command, on: {}, run: {argv: [\"true\"], changes: false}}\n",
        );
        place.write(&at("recipes/ten.yaml"), &ten(&place.states));
        Self {
            place,
            count,
            pid: 0,
        }
    }

    /// The program with all hosts and an engine in a process of its own.
    pub(crate) fn engine(place: &'a Place) -> Self {
        let mut program = Self::new(place, place.hosts.len());
        let output = program.command(&["engine", "start"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let status = program.command(&["engine", "status", "--json"]);
        let status = { status }.output().unwrap().stdout;
        let status: Value = serde_json::from_slice(&status).unwrap();
        program.pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
        program
    }

    /// One command on every host by an engine that lives as long as it takes.
    pub(crate) fn hello(&self) -> Command {
        self.command(&["--own-engine", "run", "hello"])
    }

    /// The ten states brought about, or found as they should be.
    pub(crate) fn checks(&self) -> Command {
        self.command(&["run", "ten"])
    }

    fn command(&self, args: &[&str]) -> Command {
        let workspace = self.place.path(&format!("workspace{}", self.count));
        let mut command = Command::new(env!("CARGO_BIN_EXE_quarterdeck"));
        command
            .arg("--workspace")
            .arg(workspace)
            .args(args)
            .env("XDG_STATE_HOME", self.place.path("state"))
            .env("XDG_CACHE_HOME", self.place.path("cache"))
            .env_remove("SSH_AUTH_SOCK");
        command
    }
}

impl Drop for Quarterdeck<'_> {
    fn drop(&mut self) {
        if self.pid != 0 {
            let _ = self.command(&["engine", "stop", "--force"]).output();
        }
    }
}

/// The ten states as Quarterdeck is told: four directories and six files.
fn ten(states: &Path) -> String {
    let root = format!("{}/quarterdeck-{{{{ node.name }}}}", states.display());
    let (user, group) = (me(), my_group());
    let mut text = String::from(
        "name: ten\ntitle: Ten states\nrisk: change\nsteps:\n- id: ten\n  title: Ten states\n  on: {}\n  ensure:\n",
    );
    for directory in DIRECTORIES {
        writeln!(
            text,
            "  - directory: {{path: \"{root}{directory}\", mode: \"0755\", owner: {user}, group: {group}}}"
        )
        .unwrap();
    }
    for file in FILES {
        writeln!(
            text,
            "  - file: {{path: \"{root}{file}\", content: \"{CONTENT}\", mode: \"0644\", owner: {user}, group: {group}}}"
        )
        .unwrap();
    }
    text
}

/// Directories of the ten states, below the root of the host and tool.
pub(crate) const DIRECTORIES: [&str; 4] = ["", "/a", "/a/b", "/c"];
/// Files of the ten states.
pub(crate) const FILES: [&str; 6] = ["/1", "/2", "/a/3", "/a/b/4", "/c/5", "/c/6"];
/// What is in each file.
pub(crate) const CONTENT: &str = "listen = 127.0.0.1";
