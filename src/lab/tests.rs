//! The lab through the eyes of an SSH client.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, AuthResult, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, Sig};
use russh_sftp::client::SftpSession;
use russh_sftp::protocol::OpenFlags;
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::clock::SystemClock;

struct Client {
    expected: PublicKey,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(matches!(
            offered,
            PublicKeyOrCertificate::PublicKey { key, .. } if key.key_data() == self.expected.key_data()
        ))
    }
}

struct Ran {
    status: Option<u32>,
    signal: Option<String>,
    out: String,
    err: String,
}

struct Fixture {
    lab: Lab,
    _dir: tempfile::TempDir,
}

const SEED: u64 = 42;

async fn start(pace: f32) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let lab = Lab::start(LabSettings {
        seed: SEED,
        clock: Arc::new(SystemClock),
        pace,
        dir: dir.path().join("workspace"),
    })
    .await
    .unwrap();
    Fixture { lab, _dir: dir }
}

impl Fixture {
    fn port(&self, node: &str) -> u16 {
        let text =
            std::fs::read_to_string(self.lab.workspace().join("environments/lab.yaml")).unwrap();
        let (_, after) = text.split_once(&format!("- name: {node}\n")).unwrap();
        let (_, after) = after.split_once("port: ").unwrap();
        after.lines().next().unwrap().parse().unwrap()
    }

    async fn try_connect(&self, node: &str) -> Result<Handle<Client>, russh::Error> {
        let expected = ssh::host_key(SEED, node).public_key().clone();
        let config = Arc::new(client::Config::default());
        client::connect(config, ("127.0.0.1", self.port(node)), Client { expected }).await
    }

    async fn login(&self, node: &str) -> Handle<Client> {
        let mut handle = self.try_connect(node).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(ssh::client_key(SEED)), None);
        let result = handle.authenticate_publickey("root", key).await.unwrap();
        assert!(matches!(result, AuthResult::Success));
        handle
    }

    async fn sftp(&self, handle: &Handle<Client>) -> SftpSession {
        let channel = handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        SftpSession::new(channel.into_stream()).await.unwrap()
    }
}

async fn run(handle: &Handle<Client>, line: &str) -> Ran {
    let channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, line).await.unwrap();
    collect(channel).await
}

async fn collect(mut channel: russh::Channel<client::Msg>) -> Ran {
    let mut ran = Ran {
        status: None,
        signal: None,
        out: String::new(),
        err: String::new(),
    };
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => ran.out.push_str(&String::from_utf8_lossy(&data)),
            ChannelMsg::ExtendedData { data, .. } => {
                ran.err.push_str(&String::from_utf8_lossy(&data));
            }
            ChannelMsg::ExitStatus { exit_status } => ran.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => {
                ran.signal = Some(format!("{signal_name:?}"));
            }
            _ => {}
        }
    }
    ran
}

#[tokio::test]
async fn commands_give_output_status_and_complaints_as_on_a_board() {
    let lab = start(0.0).await;
    let pc1 = lab.login("pc1").await;
    let ran = run(&pc1, "uname -srm; hostname; nproc; id -u").await;
    assert_eq!(ran.out, "Linux 6.8.0-1040-raspi aarch64\npc1\n4\n0\n");
    assert_eq!(ran.status, Some(0));
    let ran = run(&pc1, "cat /nothing").await;
    assert_eq!(ran.err, "cat: /nothing: No such file or directory\n");
    assert_eq!(ran.status, Some(1));
    let ran = run(&pc1, "frobnicate --now").await;
    assert_eq!(ran.err, "sh: 1: frobnicate: not found\n");
    assert_eq!(ran.status, Some(127));
}

#[tokio::test]
async fn standard_input_reaches_a_command_that_wants_it() {
    let lab = start(0.0).await;
    let pc1 = lab.login("pc1").await;
    let channel = pc1.channel_open_session().await.unwrap();
    channel
        .exec(true, "sh -c 'umask 077; cat > \"$1\"' sh /tmp/secret")
        .await
        .unwrap();
    channel.data_bytes(vec![b'x'; 300_000]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.status, Some(0));
    let ran = run(&pc1, "stat -c '%a %U %s' /tmp/secret").await;
    assert_eq!(ran.out, "600 root 300000\n");
}

#[tokio::test]
async fn a_term_signal_ends_a_running_command() {
    let lab = start(1.0).await;
    let pc1 = lab.login("pc1").await;
    let channel = pc1.channel_open_session().await.unwrap();
    channel.exec(true, "sleep 600").await.unwrap();
    channel.signal(Sig::TERM).await.unwrap();
    let ran = collect(channel).await;
    assert_eq!((ran.signal.as_deref(), ran.status), (Some("TERM"), None));
}

#[tokio::test]
async fn fifty_commands_run_side_by_side_on_one_connection() {
    let lab = start(0.0).await;
    let pc2 = lab.login("pc2").await;
    let all = futures::future::join_all((0..50).map(|number| {
        let pc2 = &pc2;
        async move { run(pc2, &format!("sleep 0.01 && echo {number}")).await.out }
    }))
    .await;
    let expected: Vec<String> = (0..50).map(|number| format!("{number}\n")).collect();
    assert_eq!(all, expected);
}

#[tokio::test]
async fn nobody_gets_in_with_another_key() {
    let lab = start(0.0).await;
    let mut handle = lab.try_connect("pc1").await.unwrap();
    let key = PrivateKeyWithHashAlg::new(Arc::new(ssh::client_key(SEED + 1)), None);
    let result = handle.authenticate_publickey("root", key).await.unwrap();
    assert!(!matches!(result, AuthResult::Success));
}

#[tokio::test]
async fn a_file_written_beside_and_renamed_over_replaces_the_old_one() {
    let lab = start(0.0).await;
    let pc1 = lab.login("pc1").await;
    let sftp = lab.sftp(&pc1).await;
    for (path, content) in [("/etc/motd", "old"), ("/etc/.motd.new", "new")] {
        let flags = OpenFlags::CREATE | OpenFlags::WRITE | OpenFlags::TRUNCATE;
        let mut file = sftp.open_with_flags(path, flags).await.unwrap();
        file.write_all(content.as_bytes()).await.unwrap();
        file.shutdown().await.unwrap();
    }
    let refused = sftp.rename("/etc/.motd.new", "/etc/motd").await;
    assert!(refused.is_err(), "version 3 does not replace");
    let ran = run(&pc1, "mv -fT -- /etc/.motd.new /etc/motd && cat /etc/motd").await;
    assert_eq!(ran.out, "new");
    let names: Vec<String> = sftp
        .read_dir("/etc/systemd/system")
        .await
        .unwrap()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["multi-user.target.wants"]);
    assert_eq!(sftp.read("/etc/hostname").await.unwrap(), b"pc1\n");
    assert_eq!(sftp.canonicalize(".").await.unwrap(), "/root");
    assert!(sftp.metadata("/proc/uptime").await.is_ok());
}

#[tokio::test]
async fn a_power_cut_drops_connections_and_closes_the_port_until_power_returns() {
    let lab = start(0.0).await;
    let pc2 = lab.login("pc2").await;
    let before = run(&pc2, "cat /proc/sys/kernel/random/boot_id").await.out;
    let channel = pc2.channel_open_session().await.unwrap();
    channel.exec(true, "sleep 600").await.unwrap();
    let running = tokio::spawn(collect(channel));
    lab.lab.world().command("kill pc2").unwrap();
    let ran = running.await.unwrap();
    assert_eq!((ran.status, ran.signal), (None, None));
    assert!(lab.try_connect("pc2").await.is_err());
    lab.lab.world().command("start pc2").unwrap();
    let pc2 = loop {
        match lab.try_connect("pc2").await {
            Ok(_) => break lab.login("pc2").await,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let after = run(&pc2, "cat /proc/sys/kernel/random/boot_id").await.out;
    assert_ne!(before, after);
    assert!(lab.lab.world().unit_active("pc2", "consul.service"));
}

#[tokio::test]
async fn a_package_for_another_architecture_is_refused_as_dpkg_refuses_it() {
    let lab = start(0.0).await;
    let pc4 = lab.login("pc4").await;
    let artifacts =
        std::fs::read_to_string(lab.lab.workspace().join("environments/lab.yaml")).unwrap();
    let source = |arch: &str| {
        let (_, after) = artifacts
            .split_once(&format!("    {arch}:\n      source: "))
            .unwrap();
        after.lines().next().unwrap().to_owned()
    };
    let sftp = lab.sftp(&pc4).await;
    for arch in ["amd64", "arm64"] {
        let bytes = reqwest_get(&source(arch)).await;
        let flags = OpenFlags::CREATE | OpenFlags::WRITE | OpenFlags::TRUNCATE;
        let path = format!("/tmp/{arch}.deb");
        let mut file = sftp.open_with_flags(path, flags).await.unwrap();
        file.write_all(&bytes).await.unwrap();
        file.shutdown().await.unwrap();
    }
    let ran = run(&pc4, "dpkg -i /tmp/arm64.deb").await;
    assert_eq!(ran.status, Some(1));
    assert!(
        ran.err
            .contains("package architecture (arm64) does not match system (amd64)"),
        "{}",
        ran.err
    );
    let ran = run(&pc4, "env LC_ALL=C dpkg -i --force-confold /tmp/amd64.deb").await;
    assert_eq!(ran.status, Some(0), "{}", ran.err);
    assert!(ran.out.contains("Setting up consul"));
    let ran = run(
        &pc4,
        "dpkg-query -W -f '${db:Status-Abbrev}|${Version}\\n' consul; consul version",
    )
    .await;
    assert!(ran.out.starts_with("ii |1.8.7"), "{}", ran.out);
    assert!(ran.out.contains("Consul v1.8.7"));
    let ran = run(
        &pc4,
        "chown consul:consul /tmp/amd64.deb && stat -c %U:%G /tmp/amd64.deb",
    )
    .await;
    assert_eq!(ran.out, "consul:consul\n", "{}", ran.err);
}

/// A GET without another client than a socket.
async fn reqwest_get(url: &str) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    answer.split_off(end + 4)
}

#[tokio::test]
async fn dropping_the_lab_closes_its_ports() {
    let lab = start(0.0).await;
    let port = lab.port("pc1");
    lab.lab.stop().await;
    let refused = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
    assert!(refused.is_err());
}
