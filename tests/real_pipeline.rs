//! The recipe `pipeline` with the real Terraform (its built-in provider) and the real ansible-core, against real OpenSSH
//! servers on loopback. `tests/run pipeline` installs Ansible and calls this with
//!
//! * `QUARTERDECK_PYTHON`: the directory of the Python programs: Ansible's, and the interpreter of a Terraform provider
//!
//! The servers share this machine's file system, so every host works on files of its own name.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what does not answer fails the test"
)]

#[path = "support/place.rs"]
#[allow(dead_code, reason = "shared: each test uses its part")]
mod place;
#[path = "support/program.rs"]
#[allow(dead_code, reason = "shared: each test uses its part")]
mod program;
#[path = "support/sshd.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared: each test uses its part")]
mod sshd;

#[path = "real_pipeline/ansible.rs"]
mod ansible;
#[path = "real_pipeline/drift.rs"]
mod drift;
#[path = "real_pipeline/terraform.rs"]
mod terraform;
#[path = "real_pipeline/whole.rs"]
mod whole;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use place::Place;
use sshd::{Sshd, Yard, me};

/// How long anything may take; nothing here takes longer than a few seconds on an idle machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A workspace with two hosts that are reached by SSH, and the machines' files.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) yard: Yard,
    pub(crate) hosts: Vec<Sshd>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let (place, yard) = (Place::new(), Yard::new());
        let hosts = vec![yard.sshd("n1"), yard.sshd("n2")];
        for dir in ["terraform", "ansible"] {
            fs::create_dir_all(place.root().join(dir)).unwrap();
        }
        let site = Self { place, yard, hosts };
        let mut text = format!(
            "environment: {{name: here, protection: open}}\nssh:\n  user: {}\n  identities: [{}]\n  known_hosts: {}\n  \
             config: none\n  elevate: \"no\"\nnodes:\n",
            me(),
            site.yard.id().display(),
            site.yard.known_hosts().display(),
        );
        for host in &site.hosts {
            writeln!(
                text,
                "  - {{name: {}, address: 127.0.0.1, platform: generic, arch: amd64, ssh: {{port: {}}}}}",
                host.name, host.port
            )
            .unwrap();
        }
        site.place.write("environments/here.yaml", &text);
        site.machines(&["n1", "n2"], "");
        site
    }

    /// The configuration of Terraform for these machines, and what else is in it.
    pub(crate) fn machines(&self, names: &[&str], more: &str) {
        let port = |name: &str| {
            let host = self.hosts.iter().find(|host| host.name == name);
            host.map_or(22, |host| host.port)
        };
        let machines: Vec<String> = names
            .iter()
            .map(|name| {
                format!(
                    "    {name} = {{ address = \"127.0.0.1\", port = {}, groups = [\"web-servers\"] }}",
                    port(name)
                )
            })
            .collect();
        let text = format!(
            "locals {{\n  machines = {{\n{}\n  }}\n}}\nresource \"terraform_data\" \"machine\" {{\n  for_each = local.machines\n  \
             input    = each.value\n}}\noutput \"nodes\" {{\n  value = {{ for name, one in terraform_data.machine : name => \
             one.output }}\n}}\noutput \"password\" {{\n  value     = \"{SECRET}\"\n  sensitive = true\n}}\n{more}",
            machines.join("\n")
        );
        self.place.write("terraform/main.tf", &text);
    }

    /// A directory for what the playbooks write.
    pub(crate) fn files(&self) -> PathBuf {
        let dir = self.place.home.path().join("files");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Terraform's own configuration, where a test has providers other than the built-in one.
    pub(crate) fn providers(&self) -> PathBuf {
        self.place.home.path().join("providers.tfrc")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(args);
        let python = std::env::var("QUARTERDECK_PYTHON").unwrap();
        let path = format!("{python}:{}", std::env::var("PATH").unwrap());
        command
            .env("PATH", path)
            .env("ANSIBLE_PYTHON_INTERPRETER", format!("{python}/python"))
            .env("QD_TEST_VAULT", VAULT)
            .env("QD_TEST_TOKEN", TOKEN)
            .env_remove("TF_CLI_CONFIG_FILE");
        let providers = self.providers();
        if providers.exists() {
            command.env("TF_CLI_CONFIG_FILE", providers);
        }
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs to the end, which must be `code`; both streams.
    pub(crate) fn expect(&self, args: &[&str], code: i32) -> String {
        let (out, err) = program::expect(&self.output(args), code);
        format!("{out}{err}")
    }

    /// Begins a run that will wait for an approval.
    pub(crate) fn begin(&self, args: &[&str]) -> Under<'_> {
        let child = self
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Under { site: self, child }
    }

    /// What waits for an approval, as soon as something does.
    pub(crate) fn waiting(&self) -> Value {
        until("something waits for an approval", || self.asked())
    }

    /// What waits for an approval.
    fn asked(&self) -> Option<Value> {
        let (out, _) = program::expect(&self.output(&["approvals", "--json"]), 0);
        let waiting: Value = serde_json::from_str(&out).unwrap();
        waiting.get(0).cloned()
    }

    /// Approves of what waits; the command must end with `code`.
    pub(crate) fn approve(&self, waiting: &Value, code: i32) -> String {
        let run = waiting["number"].to_string();
        let hash = waiting["hash"].as_str().unwrap();
        self.expect(&["approve", &run, "--hash", hash], code)
    }

    /// Every run with its log, for a test that waited in vain.
    fn account(&self) -> String {
        let text = |args: &[&str]| String::from_utf8(self.output(args).stdout).unwrap();
        let runs = text(&["runs"]);
        let logs = (1..runs.lines().count()).map(|number| text(&["logs", &number.to_string()]));
        format!("waited in vain:\n{runs}{}", logs.collect::<String>())
    }

    /// The log of the newest run.
    pub(crate) fn log(&self, run: &str) -> String {
        self.expect(&["logs", run], 0)
    }
}

/// A run under way; left alone when dropped.
pub(crate) struct Under<'a> {
    site: &'a Site,
    child: Child,
}

impl Under<'_> {
    /// Its end, which must be `code`.
    pub(crate) fn end(self, code: i32) -> String {
        let output = self.child.wait_with_output().unwrap();
        let (out, err) = program::expect(&output, code);
        format!("{out}{err}")
    }

    /// The same, after what it asks was approved of.
    pub(crate) fn approved(mut self, code: i32) -> String {
        let began = Instant::now();
        // What ends without asking says why.
        while self.child.try_wait().unwrap().is_none() {
            if let Some(waiting) = self.site.asked() {
                self.site.approve(&waiting, 0);
                break;
            }
            assert!(began.elapsed() < LIMIT, "{}", self.site.account());
            std::thread::sleep(Duration::from_millis(100));
        }
        self.end(code)
    }
}

/// An output of Terraform that is sensitive.
pub(crate) const SECRET: &str = "canary-output-4711";
/// The password of Ansible Vault.
pub(crate) const VAULT: &str = "canary-vault-4712";
/// An extra variable.
pub(crate) const TOKEN: &str = "canary-token-4713";

/// Looks until there is something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(100));
    }
}
