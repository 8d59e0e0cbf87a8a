//! Hosts whose disk is full.

use std::path::Path;
use std::process::Command;

use quarterdeck::transport::{FileMeta, Host, Reach as _, ReachError, Source};
use tokio_util::sync::CancellationToken;

use super::sshd::{Yard, me, my_group, pool, text};

/// A file system of one MiB, unmounted when it is dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn on(directory: &'a Path) -> Self {
        std::fs::create_dir(directory).unwrap();
        let mut mount = Command::new("mount");
        text(
            mount
                .args(["-t", "tmpfs", "-o", "size=1m", "small"])
                .arg(directory),
        );
        Self(directory)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

async fn put(host: &dyn Host, path: &Path, size: usize) -> Result<(), ReachError> {
    let meta = FileMeta {
        mode: 0o644,
        owner: me(),
        group: my_group(),
    };
    let content = Source::Bytes(vec![b'x'; size].into());
    let path = path.to_str().unwrap();
    host.write(path, content, &meta, &|_, _| {}, &CancellationToken::new())
        .await
}

async fn a_full_disk_keeps_the_old_file(lines: &str) {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root, to mount a small file system");
        return;
    }
    let yard = Yard::new();
    let sshd = yard.sshd_with("a", &["ed25519"], lines);
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let directory = yard.path("small");
    let _small = Small::on(&directory);
    let path = directory.join("file");
    put(&*host, &path, 600_000).await.unwrap();

    // There is no room for the new one beside the old one.
    let error = put(&*host, &path, 700_000).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, ReachError::File { .. }), "{said}");
    assert!(said.to_lowercase().contains("space"), "{said}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 600_000);
    let names = std::fs::read_dir(&directory).unwrap().count();
    assert_eq!(
        names, 1,
        "what could not be finished does not take the room that is left"
    );

    put(&*host, &path, 300_000).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 300_000);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_full_disk_keeps_the_old_file_over_sftp() {
    a_full_disk_keeps_the_old_file("Subsystem sftp internal-sftp\n").await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_full_disk_keeps_the_old_file_without_sftp() {
    a_full_disk_keeps_the_old_file("").await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_copy_that_fills_the_disk_gives_the_room_back() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: needs root, to mount a small file system");
        return;
    }
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let directory = yard.path("small");
    let _small = Small::on(&directory);
    let (from, to) = (yard.path("image"), directory.join("image"));
    std::fs::write(&from, vec![b'x'; 2_000_000]).unwrap();

    let error = host
        .push(&from, to.to_str().unwrap(), &|_, _| {})
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(said.contains("no space left"), "{said}");
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
}
