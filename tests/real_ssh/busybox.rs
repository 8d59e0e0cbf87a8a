//! A host that is BusyBox and nothing else: its own root, no `/proc` at first, no systemd, no package manager.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::place::Place;
use super::sshd::{GUEST, GUEST_NAME, Guest, Sshd, Yard, text};

const BUSYBOX: &str = "/bin/busybox";

/// A root file system of BusyBox and what it is linked to. It lies where every directory above it is root's alone, which
/// `ChrootDirectory` insists on.
struct Root {
    dir: tempfile::TempDir,
    has_proc: bool,
}

impl Root {
    fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("quarterdeck-busybox-")
            .tempdir_in("/var/lib")
            .unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["bin", "dev", "etc", "proc", "tmp"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::set_permissions(at("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::copy(BUSYBOX, at("bin/busybox")).unwrap();
        for applet in text(Command::new(BUSYBOX).arg("--list")).lines() {
            let path = at("bin").join(applet);
            if !path.exists() {
                symlink("busybox", path).unwrap();
            }
        }
        // A static one is linked to nothing.
        let linked = Command::new("ldd").arg(BUSYBOX).output().unwrap();
        for library in String::from_utf8_lossy(&linked.stdout).split_whitespace() {
            if let Some(below) = library.strip_prefix('/') {
                fs::create_dir_all(at(below).parent().unwrap()).unwrap();
                fs::copy(library, at(below)).unwrap();
            }
        }
        fs::write(
            at("etc/os-release"),
            "ID=busybox\nPRETTY_NAME=\"BusyBox alone\"\n",
        )
        .unwrap();
        let guest = format!("{GUEST_NAME}:x:{GUEST}:{GUEST}::/:/bin/sh\n");
        fs::write(at("etc/passwd"), guest).unwrap();
        fs::write(at("etc/group"), format!("{GUEST_NAME}:x:{GUEST}:\n")).unwrap();
        let null = at("dev/null");
        text(
            Command::new("mknod")
                .args(["-m", "666"])
                .arg(null)
                .args(["c", "1", "3"]),
        );
        Self {
            dir,
            has_proc: false,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn mount_proc(&mut self) {
        let at = self.path().join("proc");
        text(Command::new("mount").args(["--bind", "/proc"]).arg(at));
        self.has_proc = true;
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        if self.has_proc {
            let at = self.path().join("proc");
            let _ = Command::new("umount").arg("-l").arg(at).status();
        }
    }
}

/// A server whose guest finds himself in such a root, and a workspace with it as its only node.
struct Alone {
    root: Root,
    place: Place,
    // Ends with the test, and the yard after it.
    _sshd: Sshd,
    _yard: Yard,
}

impl Alone {
    /// `None`, and a remark, unless root runs the tests.
    fn start(with_proc: bool) -> Option<Self> {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: needs root, to give the host a root of its own");
            return None;
        }
        let yard = Yard::new();
        let mut root = Root::new();
        if with_proc {
            // Before the server starts: it has mounts of its own.
            root.mount_proc();
        }
        let config = format!(
            "ChrootDirectory {}\nSubsystem sftp internal-sftp\n",
            root.path().display()
        );
        let guest = Guest {
            config: &config,
            ..Guest::default()
        };
        let sshd = yard.sshd_with_guest("box", &guest)?;
        let place = Place::new();
        place.write(
            "environments/here.yaml",
            &format!(
                "environment: {{name: here, protection: open}}\nssh: {{config: none}}\nnodes:\n- name: box\n  address: \
                 127.0.0.1\n  platform: generic\n  arch: amd64\n  ssh: {{port: {}, user: {GUEST_NAME}, elevate: 'no', \
                 identities: [{}], known_hosts: {}}}\n",
                sshd.port,
                yard.id().display(),
                yard.known_hosts().display(),
            ),
        );
        Some(Self {
            root,
            place,
            _sshd: sshd,
            _yard: yard,
        })
    }

    fn facts(&self) -> Value {
        let facts = self
            .place
            .json(&["facts", "box", "--env", "here", "--json"]);
        facts[0]["value"].clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_of_busybox_without_proc_is_known_by_what_it_has_and_nothing_is_made_up() {
    let Some(alone) = Alone::start(false) else {
        return;
    };
    let seen = alone.facts();
    let kernel = text(Command::new("uname").arg("-r"));
    assert_eq!(seen["facts"]["kernel"], kernel.trim(), "{seen}");
    assert_eq!(seen["facts"]["os"], "BusyBox alone", "{seen}");
    let lacks = seen["facts"]["lacks"].to_string();
    assert!(lacks.contains("memory (no /proc/meminfo)"), "{seen}");
    assert_eq!(seen["sample"]["cpu_percent"], Value::Null, "{seen}");
    assert_eq!(seen["sample"]["memory_total"], 0, "{seen}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_host_of_busybox_is_measured_and_configured_like_any_other() {
    let Some(alone) = Alone::start(true) else {
        return;
    };
    let seen = alone.facts();
    assert_eq!(seen["facts"]["lacks"], json!([]), "{seen}");
    assert!(seen["facts"]["cpus"].as_u64().unwrap() > 0, "{seen}");
    for figure in ["memory_total", "uptime"] {
        assert!(seen["sample"][figure].as_u64().unwrap() > 0, "{seen}");
    }

    let place = &alone.place;
    place.write(
        "recipes/set.yaml",
        "name: set\ntitle: Set\nrisk: change\nsteps:\n- id: set\n  title: Set\n  on: {}\n  ensure:\n  - directory: {path: \
         /tmp/app, owner: qdguest, group: qdguest}\n  - file: {path: /tmp/app/conf, mode: '0640', owner: qdguest, group: \
         qdguest, content: \"a=1\\n\"}\n",
    );
    place.expect(&["run", "set", "--env", "here", "--yes"], 0);
    let conf = alone.root.path().join("tmp/app/conf");
    assert_eq!(fs::read_to_string(&conf).unwrap(), "a=1\n");
    let mode = fs::metadata(&conf).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let (_, said) = place.expect(&["run", "set", "--env", "here", "--yes"], 0);
    assert!(said.contains("1 ok, 0 changed"), "{said}");
    place.expect(&["undo", "1", "--yes"], 0);
    assert!(!conf.exists());
}
