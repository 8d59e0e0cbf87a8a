//! Real OpenSSH servers on loopback, each with a host key, a configuration and a log of its own.
//!
//! They run as whoever runs the tests and let that user in by key. Everything is in a temporary directory; the servers are
//! ended by their process ids when they are dropped.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quarterdeck::domain::environment::{Environment, Protection};
use quarterdeck::domain::node::{Node, SshAccess};
use quarterdeck::domain::platform::{Arch, Platform};
use quarterdeck::domain::stack::Stack;
use quarterdeck::transport::ssh::{Pool, SshSettings};

/// Where the server program is; it insists on being started by its full path.
const SSHD: &str = "/usr/sbin/sshd";
/// User and group number of the user who is made when root runs the tests; nobody's, as Debian numbers them.
pub const GUEST: u32 = 64_321;

/// Who that is.
pub const GUEST_NAME: &str = "qdguest";

/// A user who is made for one server.
pub struct Guest<'a> {
    pub password: &'a str,
    pub root_password: &'a str,
    /// The login shell.
    pub shell: &'a str,
    /// Lines of the server's configuration.
    pub config: &'a str,
    /// Files of the home directory.
    pub home: &'a [(&'a str, &'a str)],
    /// Files of `/etc` with their modes.
    pub files: &'a [(&'a str, u32, &'a str)],
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            password: "correct horse",
            root_password: "battery staple",
            shell: "/bin/sh",
            config: "Subsystem sftp internal-sftp\n",
            home: &[],
            files: &[],
        }
    }
}

/// A password as it stands in `/etc/shadow`.
fn hash(password: &str) -> String {
    let crypt = "print crypt($ARGV[0], q($6$quarterdeck$))";
    text(Command::new("perl").args(["-e", crypt, password]))
}

/// A directory with a key that opens every server made in it, and their pinned host keys.
pub struct Yard {
    dir: tempfile::TempDir,
}

impl Yard {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A login user other than ours reads authorized_keys himself.
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let yard = Self { dir };
        let key = yard.key("id", "ed25519", "");
        std::fs::copy(public(&key), yard.path("authorized_keys")).unwrap();
        std::fs::write(yard.known_hosts(), "").unwrap();
        yard
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The key that is let in.
    pub fn id(&self) -> PathBuf {
        self.path("id")
    }

    /// The file with the host keys of all servers.
    pub fn known_hosts(&self) -> PathBuf {
        self.path("known_hosts")
    }

    /// A new key pair.
    pub fn key(&self, name: &str, kind: &str, passphrase: &str) -> PathBuf {
        let path = self.path(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-t", kind, "-C", name, "-N", passphrase, "-f"])
            .arg(&path);
        run(&mut keygen);
        path
    }

    /// Signs the public half of `key` by `authority`; `options` are more of ssh-keygen's. The certificate.
    #[allow(clippy::unused_self)] // reads as what the yard does
    pub fn certify(&self, authority: &Path, key: &Path, options: &[&str]) -> PathBuf {
        let mut keygen = Command::new("ssh-keygen");
        keygen
            .args(["-q", "-I", "a certificate", "-s"])
            .arg(authority);
        run(keygen.args(options).arg(public(key)));
        PathBuf::from(format!("{}-cert.pub", key.display()))
    }

    /// Writes a file below `.ssh` of the home directory, such as `config`.
    pub fn dot_ssh(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(".ssh").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Lets the holder of `key` in as well.
    pub fn authorize(&self, key: &Path) {
        let mut all = std::fs::read_to_string(self.path("authorized_keys")).unwrap();
        all += &std::fs::read_to_string(public(key)).unwrap();
        std::fs::write(self.path("authorized_keys"), all).unwrap();
    }

    /// Settings that know no home but this directory, and no agent.
    pub fn settings(&self) -> SshSettings {
        SshSettings {
            agent: None,
            home: Some(self.dir.path().to_owned()),
            config_files: vec!["~/.ssh/config".into()],
            ..SshSettings::default()
        }
    }

    /// A server with SFTP and forwarding, its host key pinned.
    pub fn sshd(&self, name: &str) -> Sshd {
        self.sshd_with(name, &["ed25519"], "Subsystem sftp internal-sftp\n")
    }

    /// A server with host keys of these kinds and these further lines of configuration; the host keys are pinned.
    pub fn sshd_with(&self, name: &str, kinds: &[&str], lines: &str) -> Sshd {
        self.sshd_under(Vec::new(), "", name, kinds, lines)
    }

    /// A server of its own with sixteen addresses, the `number`th of several: as many as one sshd listens on. Its login shell
    /// is sh, as start-up files of a person's shell may do anything, such as waiting for each other.
    pub fn sshd_at(&self, number: usize) -> Sshd {
        let sftp = "Subsystem sftp internal-sftp\n".to_owned();
        let more = (0..15).fold(sftp, |mut lines, index| {
            writeln!(lines, "ListenAddress {}", Self::address(number, index)).unwrap();
            lines
        });
        let name = format!("many{number}");
        let mut prefix = Vec::new();
        if rustix::process::getuid().is_root() {
            let all = std::fs::read_to_string("/etc/passwd").unwrap();
            let (root, others) = all.split_once('\n').unwrap();
            let (root, _shell) = root.rsplit_once(':').unwrap();
            std::fs::write(self.path("passwd"), format!("{root}:/bin/sh\n{others}")).unwrap();
            prefix = self.over_the_systems("passwd");
        }
        let sshd = self.sshd_under(prefix, "", &name, &["ed25519"], &more);
        for index in 0..15 {
            self.pin_at(&Self::address(number, index), sshd.port, &sshd);
        }
        sshd
    }

    /// The address at which the `index`th host of the `number`th server of many is.
    pub fn address(number: usize, index: usize) -> String {
        match index {
            15 => "127.0.0.1".into(),
            _ => format!("127.0.{}.{}", number + 1, index + 11),
        }
    }

    /// Also pins the key of `sshd` where it is reached at another port of loopback.
    pub fn pin(&self, port: u16, sshd: &Sshd) {
        self.pin_at("127.0.0.1", port, sshd);
    }

    fn pin_at(&self, address: &str, port: u16, sshd: &Sshd) {
        let key = self.path(&format!("{}.ed25519", sshd.name));
        let key = std::fs::read_to_string(public(&key)).unwrap();
        let mut pinned = std::fs::read_to_string(self.known_hosts()).unwrap();
        writeln!(pinned, "[{address}]:{port} {}", key.trim()).unwrap();
        std::fs::write(self.known_hosts(), pinned).unwrap();
    }

    /// A server that lets in a user who is not root, and that user's name.
    ///
    /// As root there is one made for it, who exists for this server alone: his entries are mounted over the system's in a
    /// mount namespace of its own. His login shell is bash, his start-up file talks.
    ///
    /// His programs are looked for in `bin` first.
    pub fn sshd_for_guest(&self, name: &str, bin: &Path) -> (Sshd, String) {
        let lines = "Subsystem sftp internal-sftp\n";
        let path = format!("PATH={}:/usr/bin:/bin", bin.display());
        if !rustix::process::getuid().is_root() {
            let sshd = self.sshd_under(Vec::new(), &path, name, &["ed25519"], lines);
            return (sshd, me());
        }
        let home = self.path("home");
        std::fs::create_dir(&home).unwrap();
        std::fs::write(home.join(".bashrc"), "echo Welcome to the noisy host\n").unwrap();
        std::os::unix::fs::chown(&home, Some(GUEST), Some(GUEST)).unwrap();
        let entry = |file: &str, line: &str| {
            let all = std::fs::read_to_string(format!("/etc/{file}")).unwrap();
            std::fs::write(self.path(file), format!("{}\n{line}\n", all.trim_end())).unwrap();
        };
        let home = home.display();
        entry(
            "passwd",
            &format!("qdguest:x:{GUEST}:{GUEST}::{home}:/bin/bash"),
        );
        entry("shadow", "qdguest:*:19000:0:99999:7:::");
        entry("group", &format!("qdguest:x:{GUEST}:"));
        let prefix = self.over_the_systems("passwd shadow group");
        let sshd = self.sshd_under(prefix, &path, name, &["ed25519"], lines);
        (sshd, "qdguest".into())
    }

    /// What starts a program that sees these files of ours in the place of those in `/etc`.
    fn over_the_systems(&self, files: &str) -> Vec<String> {
        let mount = format!(
            r#"for f in {files}; do mount --bind "$0/$f" "/etc/$f" || exit 1; done; exec "$@""#
        );
        let directory = self.dir.path().to_str().unwrap();
        ["unshare", "-m", "sh", "-c", &mount, directory]
            .map(String::from)
            .into()
    }

    /// A server with a user who is not root, in an `/etc` of its own: a copy, mounted in a mount namespace of the server's.
    /// `None`, and a remark, unless root runs the tests.
    pub fn sshd_with_guest(&self, name: &str, guest: &Guest<'_>) -> Option<Sshd> {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let etc = self.path(&format!("{name}.etc"));
        run(Command::new("cp").arg("-a").arg("/etc").arg(&etc));
        let home = self.path(&format!("{name}.home"));
        std::fs::create_dir(&home).unwrap();
        for (file, text) in guest.home {
            std::fs::write(home.join(file), text).unwrap();
        }
        std::os::unix::fs::chown(&home, Some(GUEST), Some(GUEST)).unwrap();
        let append = |file: &str, line: String| {
            let path = etc.join(file);
            let all = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("{}\n{line}\n", all.trim_end())).unwrap();
        };
        let (home, shell) = (home.display(), guest.shell);
        append(
            "passwd",
            format!("{GUEST_NAME}:x:{GUEST}:{GUEST}::{home}:{shell}"),
        );
        append(
            "shadow",
            format!("{GUEST_NAME}:{}:19000:0:99999:7:::", hash(guest.password)),
        );
        append("group", format!("{GUEST_NAME}:x:{GUEST}:"));
        append("shells", shell.into());
        let shadow = std::fs::read_to_string(etc.join("shadow")).unwrap();
        let others = shadow.lines().filter(|line| !line.starts_with("root:"));
        let others: Vec<&str> = others.collect();
        let root = format!("root:{}:19000:0:99999:7:::", hash(guest.root_password));
        std::fs::write(
            etc.join("shadow"),
            format!("{root}\n{}\n", others.join("\n")),
        )
        .unwrap();
        for (file, mode, text) in guest.files {
            let path = etc.join(file);
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
        }
        let mount = r#"mount --bind "$0" /etc && exec "$@""#;
        let prefix = ["unshare", "-m", "sh", "-c", mount, etc.to_str().unwrap()];
        let prefix = prefix.map(String::from).into();
        // The first value of a keyword counts: what the guest's server needs stands before what all have.
        Some(self.sshd_under(prefix, "", name, &["ed25519"], guest.config))
    }

    fn sshd_under(
        &self,
        prefix: Vec<String>,
        variables: &str,
        name: &str,
        kinds: &[&str],
        lines: &str,
    ) -> Sshd {
        let port = free_port();
        let mut config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nPidFile none\nAuthorizedKeysFile {}\n\
             StrictModes no\nSetEnv QD_NODE={name} {variables}\n{lines}\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nMaxStartups 300\n",
            self.path("authorized_keys").display(),
        );
        let mut pinned = std::fs::read_to_string(self.known_hosts()).unwrap();
        for kind in kinds {
            let key = self.key(&format!("{name}.{kind}"), kind, "");
            writeln!(config, "HostKey {}", key.display()).unwrap();
            let public = std::fs::read_to_string(public(&key)).unwrap();
            writeln!(pinned, "[127.0.0.1]:{port} {}", public.trim()).unwrap();
        }
        std::fs::write(self.known_hosts(), pinned).unwrap();
        let file = self.path(&format!("{name}.config"));
        std::fs::write(&file, config).unwrap();
        let mut sshd = Sshd {
            name: name.into(),
            port,
            file,
            prefix,
            log: self.path(&format!("{name}.log")),
            process: None,
            id: self.id(),
            known_hosts: self.known_hosts(),
        };
        sshd.start();
        sshd
    }
}

/// One server.
pub struct Sshd {
    pub name: String,
    pub port: u16,
    /// A program and arguments that start it in surroundings of its own.
    prefix: Vec<String>,
    file: PathBuf,
    log: PathBuf,
    process: Option<Child>,
    id: PathBuf,
    known_hosts: PathBuf,
}

impl Sshd {
    /// Starts it, again if it was stopped.
    pub fn start(&mut self) {
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = std::fs::File::create(&self.log).unwrap();
        let argv = [
            self.prefix.as_slice(),
            &[SSHD.into(), "-D".into(), "-e".into(), "-f".into()],
        ]
        .concat();
        let process = Command::new(&argv[0])
            .args(&argv[1..])
            .arg(&self.file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{} does not start: {}",
                self.name,
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the server and the connections it has.
    pub fn stop(&mut self) {
        self.cut();
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Ends the connections it has, as a reset would, and then what ran over them; it goes on listening.
    pub fn cut(&self) {
        let server = self.process.as_ref().map(Child::id);
        let connections = server.map(children).unwrap_or_default();
        let (mut doors, mut rest) = (connections.clone(), Vec::new());
        for process in connections.into_iter().flat_map(children) {
            let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
            if name.starts_with("sshd") {
                &mut doors
            } else {
                &mut rest
            }
            .push(process);
        }
        // The doors first: a command must not get to say how it ended.
        for process in doors.into_iter().chain(rest) {
            let _ = kill(process);
        }
    }

    /// How many connections have been let in since it was started.
    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A node that is reached here, its access adjusted by `adjust`.
    pub fn node(&self, adjust: impl FnOnce(&mut SshAccess)) -> Node {
        let mut ssh = SshAccess {
            port: Some(self.port),
            user: Some(me()),
            identities: vec![self.id.clone()],
            known_hosts: Some(self.known_hosts.clone()),
            ..SshAccess::default()
        };
        adjust(&mut ssh);
        node(&self.name, ssh)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An agent that ends with the test.
pub struct Agent {
    process: Child,
    pub socket: PathBuf,
}

impl Agent {
    pub fn start(yard: &Yard) -> Self {
        let socket = yard.path("agent.sock");
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null());
        let process = agent.spawn().unwrap();
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { process, socket }
    }

    /// Adds a key, with the certificate beside it if there is one.
    pub fn add(&self, key: &Path) {
        let mut add = Command::new("ssh-add");
        run(add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// A node of that name on loopback.
pub fn node(name: &str, ssh: SshAccess) -> Node {
    Node {
        name: name.into(),
        address: "127.0.0.1".into(),
        platform: Platform::Generic,
        arch: Arch::Amd64,
        roles: [].into(),
        labels: [].into(),
        ssh,
    }
}

/// A pool for an environment of these nodes.
pub fn pool(nodes: impl IntoIterator<Item = Node>, settings: SshSettings) -> Pool {
    let environment = Environment {
        name: "yard".into(),
        protection: Protection::Open,
        marking: None,
        stack: Stack::Consul,
        versions: [].into(),
        nodes: nodes.into_iter().collect(),
        services: vec![],
        artifacts: [].into(),
        variables: [].into(),
        backups: quarterdeck::domain::backup::Backups::default(),
        desired: Vec::new(),
    };
    Pool::new(Arc::new(environment), settings)
}

/// Who runs the tests.
pub fn me() -> String {
    text(Command::new("id").arg("-un"))
}

/// My main group.
pub fn my_group() -> String {
    text(Command::new("id").arg("-gn"))
}

/// The public half of a key file.
pub fn public(key: &Path) -> PathBuf {
    PathBuf::from(format!("{}.pub", key.display()))
}

/// The fingerprint of a key file, as `ssh-keygen` shows it.
pub fn fingerprint(key: &Path) -> String {
    let line = text(Command::new("ssh-keygen").arg("-lf").arg(key));
    line.split(' ').nth(1).unwrap().to_owned()
}

/// Runs a program that must succeed; its output, trimmed.
pub fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn run(command: &mut Command) {
    text(command);
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// The processes that `parent` has started.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // "id (name) state parent …", and the name may contain anything.
            let after = stat.rsplit(") ").next().unwrap_or_default();
            after.split(' ').nth(1) == Some(&parent.to_string())
        })
        .collect()
}

fn kill(process: u32) -> rustix::io::Result<()> {
    let id = i32::try_from(process)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.unwrap(), rustix::process::Signal::KILL)
}

/// Whether the process is there and is more than a zombie.
pub fn lives(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.contains(") Z "))
}
