//! The five boards as they are when the lab starts: what is installed, which units run, what is on disk.
//!
//! pc1 to pc3 are a working three-server Consul cluster; pc4 and pc5 are yet to get their Consul agent, so that the first
//! `deploy` has something to do and the second has nothing. Boards that are bare have nothing of all that: a stack is to be
//! deployed on them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use super::files::{Files, parent};
use super::node::{Board, NodeState, Package};
use super::proc;
use crate::domain::node::Role;
use crate::domain::platform::{Arch, Platform};
use crate::domain::stack::Stack;
use crate::lab::shell::set_up;

/// The version of Consul that the lab's environment pins, as Debian writes it.
pub const CONSUL_VERSION: &str = "1.8.7+dfsg1-6";

/// Where Debian's package keeps Consul's configuration.
const CONSUL_CONFIG: &str = "/etc/consul.d/consul.hcl";

const GIB: u64 = 1024 * 1024 * 1024;

const UBUNTU: (&str, &str) = ("Ubuntu 24.04.3 LTS", "6.8.0-1040-raspi");
const UBUNTU_PC: (&str, &str) = ("Ubuntu 24.04.3 LTS", "6.8.0-87-generic");
const ARMBIAN: (&str, &str) = ("Ubuntu 24.04.2 LTS", "5.15.153-odroid-arm64");

/// What runs on bare boards when `stack` is deployed on them, by the last digit of their name.
fn roles_in(stack: Stack, board: &str) -> &'static [Role] {
    use Role::{
        ConsulClient, ConsulServer, Grafana, KubernetesAgent, KubernetesServer, NomadClient,
        NomadServer, Traefik, Vault,
    };
    match (stack, board) {
        (Stack::Nomad, "pc1") => &[ConsulServer, NomadServer, Vault, Traefik],
        (Stack::Nomad, "pc2" | "pc3") => &[ConsulServer, NomadServer, Vault],
        (Stack::Nomad, "pc4") => &[ConsulClient, NomadClient, Grafana],
        (Stack::Nomad, _) => &[ConsulClient, NomadClient],
        (Stack::Kubernetes, "pc1") => &[ConsulServer, KubernetesServer, Traefik],
        (Stack::Kubernetes, "pc2" | "pc3") => &[ConsulServer, KubernetesServer],
        (Stack::Kubernetes, "pc4") => &[ConsulClient, KubernetesAgent, Grafana],
        (Stack::Kubernetes, _) => &[ConsulClient, KubernetesAgent],
        (_, "pc1" | "pc2" | "pc3") => &[ConsulServer],
        _ => &[ConsulClient],
    }
}

/// Every node, by name; bare, to deploy a stack on them, when one is named.
pub(super) fn nodes(seed: u64, now: Timestamp, bare: Option<Stack>) -> BTreeMap<String, NodeState> {
    let mut random = fastrand::Rng::with_seed(seed);
    boards()
        .into_iter()
        .map(|mut board| {
            if let Some(stack) = bare {
                board.roles = roles_in(stack, board.name);
            }
            let seed = random.u64(..);
            // Between two hours and forty days ago.
            let age = SignedDuration::from_secs(random.i64(7_200..3_456_000));
            let booted_at = now.checked_sub(age).unwrap_or(now);
            (
                board.name.to_owned(),
                furnish(board, seed, booted_at, bare.is_some()),
            )
        })
        .collect()
}

fn boards() -> [Board; 5] {
    use Role::{
        CephMon, CephOsd, ConsulClient, ConsulServer, Grafana, Harbor, KubernetesAgent,
        KubernetesServer, NomadClient, NomadServer, Traefik, Vault,
    };
    let raspberry = |name, last, roles| Board {
        name,
        platform: Platform::Rpi5Ubuntu,
        arch: Arch::Arm64,
        roles,
        address: Ipv4Addr::new(10, 20, 0, last),
        model: "Raspberry Pi 5 Model B Rev 1.0",
        os: UBUNTU.0,
        kernel: UBUNTU.1,
        cpus: 4,
        memory: 8 * GIB,
        idle: 0.35,
        cool: 46.0,
    };
    [
        raspberry(
            "pc1",
            11,
            &[ConsulServer, NomadServer, Vault, CephMon, CephOsd, Traefik],
        ),
        raspberry(
            "pc2",
            12,
            &[ConsulServer, NomadServer, Vault, CephMon, CephOsd],
        ),
        raspberry(
            "pc3",
            13,
            &[ConsulServer, NomadServer, Vault, CephMon, CephOsd],
        ),
        Board {
            name: "pc4",
            platform: Platform::OdroidH4,
            arch: Arch::Amd64,
            roles: &[ConsulClient, NomadClient, KubernetesServer, Harbor, Grafana],
            address: Ipv4Addr::new(10, 20, 0, 14),
            model: "ODROID-H4",
            os: UBUNTU_PC.0,
            kernel: UBUNTU_PC.1,
            cpus: 4,
            memory: 32 * GIB,
            idle: 0.9,
            cool: 41.0,
        },
        Board {
            name: "pc5",
            platform: Platform::OdroidC5,
            arch: Arch::Arm64,
            roles: &[ConsulClient, NomadClient, KubernetesAgent],
            address: Ipv4Addr::new(10, 20, 0, 15),
            model: "Hardkernel ODROID-C5",
            os: ARMBIAN.0,
            kernel: ARMBIAN.1,
            cpus: 4,
            memory: 4 * GIB,
            idle: 0.6,
            cool: 51.0,
        },
    ]
}

fn furnish(board: Board, seed: u64, booted_at: Timestamp, bare: bool) -> NodeState {
    let installed = booted_at
        .checked_sub(SignedDuration::from_hours(24 * 30))
        .unwrap_or(booted_at);
    let (capacity, base) = match board.platform {
        Platform::OdroidH4 => (480 * GIB, 96 * GIB),
        Platform::OdroidC5 => (29 * GIB, 11 * GIB),
        _ => (58 * GIB, 14 * GIB),
    };
    let files = Files::new(capacity, base, installed);
    let mut node = NodeState::new(board, seed, files, booted_at);
    let mut setup = Setup {
        node: &mut node,
        installed,
        booted_at,
    };
    setup.operating_system();
    if !bare {
        setup.software();
    }
    node
}

struct Setup<'a> {
    node: &'a mut NodeState,
    installed: Timestamp,
    booted_at: Timestamp,
}

impl Setup<'_> {
    fn operating_system(&mut self) {
        for directory in [
            "/boot",
            "/dev",
            "/etc/systemd/system/multi-user.target.wants",
            "/etc/default",
            "/etc/apt/sources.list.d",
            "/home",
            "/mnt",
            "/opt",
            "/root",
            "/run/systemd/system",
            "/srv",
            "/tmp",
            "/usr/bin",
            "/usr/sbin",
            "/usr/lib/systemd/system",
            "/usr/local/bin",
            "/usr/share",
            "/var/cache/apt/archives",
            "/var/lib/dpkg",
            "/var/log",
            "/var/tmp",
        ]
        .into_iter()
        .chain(proc::DIRECTORIES)
        {
            self.directory(directory, "root");
        }
        for (target, link) in [
            ("usr/bin", "/bin"),
            ("usr/sbin", "/sbin"),
            ("usr/lib", "/lib"),
        ] {
            self.must(|node, now| node.files.symlink(target, link, now));
        }
        for path in ["/tmp", "/var/tmp"] {
            self.must(|node, _| node.files.set(path, |entry| entry.mode = 0o1777));
        }
        self.must(|node, _| node.files.set("/root", |entry| entry.mode = 0o700));
        let board = self.node.board.clone();
        let release = board.os.trim_start_matches("Ubuntu ");
        let number = release.split(' ').next().unwrap_or(release);
        let short = number.get(..5).unwrap_or(number);
        self.file(
            "/etc/os-release",
            &format!(
                "PRETTY_NAME=\"{}\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"{short}\"\nVERSION=\"{release} (Noble Numbat)\"\n\
                 VERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n",
                board.os
            ),
        );
        let mut random = fastrand::Rng::with_seed(self.node.seed ^ 0x1d);
        self.file("/etc/machine-id", &format!("{:032x}\n", random.u128(..)));
        self.file("/etc/hostname", &format!("{}\n", board.name));
        self.file(
            "/etc/hosts",
            &format!("127.0.0.1 localhost\n127.0.1.1 {}\n", board.name),
        );
        self.file("/etc/debian_version", "trixie/sid\n");
        self.file(
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1000:1000:Ubuntu:/home/ubuntu:/bin/bash\n",
        );
        self.file(
            "/etc/group",
            "root:x:0:\nadm:x:4:ubuntu\nsudo:x:27:ubuntu\nvideo:x:44:\nubuntu:x:1000:\n",
        );
        self.file(
            "/etc/shadow",
            "root:*:20000:0:99999:7:::\nubuntu:!:20000:0:99999:7:::\n",
        );
        self.must(|node, _| node.files.set("/etc/shadow", |entry| entry.mode = 0o640));
        for zone in [
            "Etc/UTC",
            "Europe/Berlin",
            "Europe/London",
            "America/New_York",
            "Asia/Tokyo",
        ] {
            self.file(&format!("/usr/share/zoneinfo/{zone}"), "TZif2\n");
        }
        self.must(|node, now| {
            node.files
                .symlink("/usr/share/zoneinfo/Etc/UTC", "/etc/localtime", now)
        });
        self.file("/etc/timezone", "Etc/UTC\n");
        self.file(
            "/etc/login.defs",
            "MAIL_DIR\t/var/mail\nUMASK\t\t022\nUSERGROUPS_ENAB yes\n",
        );
        self.file(
            "/etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
        );
        for program in [
            "sh",
            "cat",
            "ls",
            "dpkg",
            "apt-get",
            "systemctl",
            "journalctl",
            "sudo",
        ] {
            self.program(&format!("/usr/bin/{program}"));
        }
        self.package(
            "openssh-server",
            "1:9.6p1-3ubuntu13.14",
            &["/usr/sbin/sshd"],
        );
        self.package("chrony", "4.5-1ubuntu4.2", &["/usr/sbin/chronyd"]);
        self.package("curl", "8.5.0-2ubuntu10.6", &["/usr/bin/curl"]);
        self.service("ssh", "OpenBSD Secure Shell server", "/usr/sbin/sshd -D");
        self.service(
            "chrony",
            "chrony, an NTP client/server",
            "/usr/sbin/chronyd -F 1",
        );
    }

    fn software(&mut self) {
        for role in self.node.board.roles {
            match role {
                Role::ConsulServer => self.consul_server(),
                Role::Vault => self.simple(
                    "vault",
                    "HashiCorp Vault",
                    "1.20.4-1",
                    "server -config=/etc/vault.d/vault.hcl",
                ),
                Role::NomadServer | Role::NomadClient => {
                    self.simple("nomad", "Nomad", "1.10.5-1", "agent -config /etc/nomad.d");
                }
                Role::CephMon => {
                    self.ceph("mon", "Ceph cluster monitor daemon");
                    self.ceph("mgr", "Ceph cluster manager daemon");
                }
                Role::CephOsd => self.ceph("osd", "Ceph object storage daemon"),
                Role::Harbor => self.simple(
                    "harbor",
                    "Harbor registry",
                    "2.14.0-1",
                    "--config /etc/harbor/harbor.yml",
                ),
                Role::Traefik => self.simple(
                    "traefik",
                    "Traefik proxy",
                    "3.5.3-1",
                    "--configfile=/etc/traefik/traefik.yml",
                ),
                Role::Grafana => self.simple(
                    "grafana-server",
                    "Grafana instance",
                    "12.2.0",
                    "--config=/etc/grafana/grafana.ini",
                ),
                Role::KubernetesServer => {
                    self.simple("k3s", "Lightweight Kubernetes", "1.33.5+k3s1", "server");
                }
                Role::KubernetesAgent => self.simple(
                    "k3s-agent",
                    "Lightweight Kubernetes",
                    "1.33.5+k3s1",
                    "agent",
                ),
                _ => {}
            }
        }
    }

    fn consul_server(&mut self) {
        self.must(|node, now| set_up(node, "consul", now));
        self.package("consul", CONSUL_VERSION, &["/usr/bin/consul"]);
        self.directory("/etc/consul.d", "root");
        self.directory("/var/lib/consul", "root");
        let board = self.node.board.clone();
        self.file(
            CONSUL_CONFIG,
            &format!(
                "node_name = \"{}\"\ndatacenter = \"lab\"\nserver = true\nbootstrap_expect = 3\nbind_addr = \"{}\"\n\
                 data_dir = \"/var/lib/consul\"\nretry_join = [\"10.20.0.11\", \"10.20.0.12\", \"10.20.0.13\"]\n",
                board.name, board.address
            ),
        );
        self.service(
            "consul",
            "Consul agent",
            "/usr/bin/consul agent -config-dir=/etc/consul.d",
        );
    }

    fn ceph(&mut self, daemon: &str, description: &str) {
        let program = format!("/usr/bin/ceph-{daemon}");
        self.package(
            &format!("ceph-{daemon}"),
            "19.2.3-0ubuntu0.24.04.1",
            &[&program],
        );
        let instance = match daemon {
            "osd" => self
                .node
                .board
                .name
                .trim_start_matches("pc")
                .parse()
                .map_or(0, |n: u32| n - 1)
                .to_string(),
            _ => self.node.board.name.to_owned(),
        };
        self.file(
            &format!("/usr/lib/systemd/system/ceph-{daemon}@.service"),
            &unit_file(description, &format!("{program} -f --id %i")),
        );
        self.start(&format!("ceph-{daemon}@{instance}.service"));
    }

    fn simple(&mut self, name: &str, description: &str, version: &str, arguments: &str) {
        let program = format!("/usr/bin/{name}");
        self.package(name, version, &[&program]);
        self.service(name, description, &format!("{program} {arguments}"));
    }

    fn service(&mut self, name: &str, description: &str, exec: &str) {
        self.file(
            &format!("/usr/lib/systemd/system/{name}.service"),
            &unit_file(description, exec),
        );
        self.start(&format!("{name}.service"));
    }

    fn start(&mut self, unit: &str) {
        let at = self.booted_at;
        self.must(|node, now| node.enable(unit, now).map(|_| ()));
        self.node.load_unit(unit);
        let outcome = self.node.try_start(unit);
        self.node.settle_start(unit, &outcome, at);
    }

    fn package(&mut self, name: &str, version: &str, programs: &[&str]) {
        for program in programs {
            self.program(program);
        }
        self.node.packages.insert(
            name.to_owned(),
            Package {
                version: version.to_owned(),
                arch: self.node.board.arch.word().to_owned(),
                files: programs
                    .iter()
                    .map(|program| (*program).to_owned())
                    .collect(),
                held: false,
            },
        );
    }

    fn program(&mut self, path: &str) {
        self.file(path, "\u{7f}ELF simulated program\n");
        self.must(|node, _| node.files.set(path, |entry| entry.mode = 0o755));
    }

    fn directory(&mut self, path: &str, owner: &str) {
        self.must(|node, now| {
            node.files.mkdir_all(path, 0o755, now)?;
            node.files
                .set(path, |entry| owner.clone_into(&mut entry.owner))
        });
    }

    fn file(&mut self, path: &str, content: &str) {
        self.must(|node, now| {
            node.files.mkdir_all(parent(path), 0o755, now)?;
            node.files.write(path, content, 0o644, now)
        });
    }

    fn must(
        &mut self,
        change: impl FnOnce(&mut NodeState, Timestamp) -> Result<(), super::files::FsError>,
    ) {
        let result = change(self.node, self.installed);
        debug_assert_eq!(result, Ok(()), "the blueprint contradicts itself");
    }
}

fn unit_file(description: &str, exec: &str) -> String {
    format!(
        "[Unit]\nDescription={description}\nAfter=network-online.target\n\n[Service]\nExecStart={exec}\nRestart=on-failure\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}
