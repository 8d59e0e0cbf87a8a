//! The tools beside which Quarterdeck is measured, each set up as its documentation advises for speed.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use crate::place::{CONTENT, DIRECTORIES, FILES, Place, Quarterdeck};
use crate::sshd::me;

type Build = fn(&Place, usize) -> Command;

/// A tool that is here.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    build: Build,
}

impl Tool {
    /// What it is called with, to work on the first `count` hosts.
    pub(crate) fn on(&self, place: &Place, count: usize) -> Command {
        (self.build)(place, count)
    }
}

/// Those that can run one command on many hosts.
pub(crate) fn first_contact(place: &Place) -> Vec<Tool> {
    let before = place.logins();
    let all: [(&'static str, &str, Build); 6] = [
        ("quarterdeck", "true", |place, count| {
            Quarterdeck::new(place, count).hello()
        }),
        ("xargs -P64 ssh", "ssh", xargs),
        ("pssh -p 64", "parallel-ssh", pssh),
        ("clush -f 64", "clush", clush),
        ("ansible -m raw -f 64", "ansible", |place, count| {
            ansible(place, count, "raw")
        }),
        ("ansible -m ping -f 64", "ansible", |place, count| {
            ansible(place, count, "ping")
        }),
    ];
    let tools = here(all);
    // Each of them once, on one host: caches are warm, and a tool that does not log in is found out.
    for (number, tool) in tools.iter().enumerate() {
        crate::measure(&mut tool.on(place, 1));
        assert!(
            place.logins() > before + number,
            "{} does not log in",
            tool.name
        );
    }
    tools
}

/// Those that know states.
pub(crate) fn ten_checks(_place: &Place) -> Vec<Tool> {
    let all: [(&'static str, &str, Build); 2] = [
        (
            "ansible-playbook -f 64, pipelining, ControlPersist",
            "ansible-playbook",
            playbook,
        ),
        ("pyinfra", "pyinfra", pyinfra),
    ];
    here(all)
}

fn here<const N: usize>(all: [(&'static str, &str, Build); N]) -> Vec<Tool> {
    let there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    all.into_iter()
        .filter(|(name, program, _)| {
            let found = there(program);
            if !found {
                eprintln!("left out: {name} ({program} is not on the PATH)");
            }
            found
        })
        .map(|(name, _, build)| Tool { name, build })
        .collect()
}

fn hosts_file(place: &Place, count: usize) -> PathBuf {
    let lines = place.names(count).join("\n") + "\n";
    place.write(&format!("hosts{count}"), &lines)
}

fn ssh_options(place: &Place) -> String {
    format!("-F {}", place.path("ssh_config").display())
}

fn xargs(place: &Place, count: usize) -> Command {
    let mut command = Command::new("xargs");
    command
        .args(["-a"])
        .arg(hosts_file(place, count))
        .args(["-P64", "-I{}", "ssh", "-F"])
        .arg(place.path("ssh_config"))
        .args(["{}", "true"]);
    command
}

fn pssh(place: &Place, count: usize) -> Command {
    let mut command = Command::new("parallel-ssh");
    command
        .args(["-p", "64", "-t", "120", "-h"])
        .arg(hosts_file(place, count))
        .args(["-x", &ssh_options(place), "true"]);
    command
}

fn clush(place: &Place, count: usize) -> Command {
    let mut command = Command::new("clush");
    command
        .args(["-f", "64", "-S", "-o", &ssh_options(place), "-w"])
        .arg(place.names(count).join(","))
        .arg("true");
    command
}

/// Ansible's settings: pipelining, no facts, connections kept only when `persist` says how long.
fn ansible_home(place: &Place, count: usize, persist: &str) -> [PathBuf; 2] {
    let mut inventory = String::new();
    for (name, address, port) in &place.hosts[..count] {
        writeln!(
            inventory,
            "{name} ansible_host={address} ansible_port={port} ansible_user={} ansible_ssh_private_key_file={} \
             ansible_python_interpreter=/usr/bin/python3",
            me(),
            place.id().display()
        )
        .unwrap();
    }
    let control = place.path(&format!("control-{persist}"));
    std::fs::create_dir_all(&control).unwrap();
    let config = format!(
        "[defaults]\nforks = 64\ngathering = explicit\nlocal_tmp = {tmp}\nremote_tmp = {tmp}\n\
         [ssh_connection]\npipelining = True\ncontrol_path_dir = {control}\n\
         ssh_args = -o ControlMaster={master} -o ControlPersist={persist} -o UserKnownHostsFile={known} -o LogLevel=ERROR\n",
        tmp = place.path("ansible-tmp").display(),
        control = control.display(),
        master = if persist == "no" { "no" } else { "auto" },
        known = place.known_hosts().display(),
    );
    [
        place.write(&format!("inventory{count}"), &inventory),
        place.write(&format!("ansible-{persist}.cfg"), &config),
    ]
}

fn ansible(place: &Place, count: usize, module: &str) -> Command {
    let [inventory, config] = ansible_home(place, count, "no");
    let mut command = Command::new("ansible");
    command
        .env("ANSIBLE_CONFIG", config)
        .arg("-i")
        .arg(inventory)
        .args(["-f", "64", "-m", module]);
    if module == "raw" {
        command.args(["-a", "true"]);
    }
    command.arg("all");
    command
}

fn playbook(place: &Place, count: usize) -> Command {
    let [inventory, config] = ansible_home(place, count, "120s");
    let root = format!(
        "{}/ansible-{{{{ inventory_hostname }}}}",
        place.states.display()
    );
    let mut play = String::from("- hosts: all\n  gather_facts: false\n  tasks:\n");
    for directory in DIRECTORIES {
        writeln!(
            play,
            "  - ansible.builtin.file: {{path: \"{root}{directory}\", state: directory, mode: \"0755\", owner: {}}}",
            me()
        )
        .unwrap();
    }
    for file in FILES {
        writeln!(
            play,
            "  - ansible.builtin.copy: {{dest: \"{root}{file}\", content: \"{CONTENT}\", mode: \"0644\", owner: {}}}",
            me()
        )
        .unwrap();
    }
    let play = place.write("ten.yml", &play);
    let mut command = Command::new("ansible-playbook");
    command
        .env("ANSIBLE_CONFIG", config)
        .arg("-i")
        .arg(inventory)
        .arg(play);
    command
}

fn pyinfra(place: &Place, count: usize) -> Command {
    let mut inventory = String::from("hosts = [\n");
    for (name, address, port) in &place.hosts[..count] {
        writeln!(
            inventory,
            "  (\"{name}\", {{\"ssh_hostname\": \"{address}\", \"ssh_port\": {port}, \"ssh_user\": \"{}\", \
             \"ssh_key\": \"{}\", \"ssh_known_hosts_file\": \"{}\", \"ssh_allow_agent\": False}}),",
            me(),
            place.id().display(),
            place.known_hosts().display()
        )
        .unwrap();
    }
    inventory += "]\n";
    let root = format!("{}/pyinfra-", place.states.display());
    let mut deploy = String::from(
        "from io import StringIO\nfrom pyinfra import host\nfrom pyinfra.operations import files\n",
    );
    writeln!(deploy, "root = \"{root}\" + host.name").unwrap();
    for directory in DIRECTORIES {
        writeln!(
            deploy,
            "files.directory(path=root + \"{directory}\", mode=\"755\", user=\"{}\")",
            me()
        )
        .unwrap();
    }
    for file in FILES {
        writeln!(
            deploy,
            "files.put(src=StringIO(\"{CONTENT}\"), dest=root + \"{file}\", mode=\"644\", user=\"{}\")",
            me()
        )
        .unwrap();
    }
    let mut command = Command::new("pyinfra");
    command
        .args(["--parallel", "64", "-y"])
        .arg(place.write(&format!("inventory{count}.py"), &inventory))
        .arg(place.write("ten.py", &deploy));
    command
}
