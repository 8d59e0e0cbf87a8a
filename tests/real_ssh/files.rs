//! Reading and replacing files: by SFTP, by commands, by sudo; interrupted in the middle.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quarterdeck::domain::node::Elevate;
use quarterdeck::transport::{Command, FileMeta, Host, Reach as _, ReachError, Source};
use tokio_util::sync::CancellationToken;

use super::says;
use super::sshd::{Sshd, Yard, me, my_group, pool};

fn mine(mode: u32) -> FileMeta {
    FileMeta {
        mode,
        owner: me(),
        group: my_group(),
    }
}

async fn put(
    host: &Arc<dyn Host>,
    path: &Path,
    content: &[u8],
    meta: &FileMeta,
) -> Result<(), ReachError> {
    let source = Source::Bytes(content.to_vec().into());
    let path = path.to_str().unwrap();
    host.write(path, source, meta, &|_, _| {}, &CancellationToken::new())
        .await
}

/// What the directory holds, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn directory(yard: &Yard) -> PathBuf {
    let path = yard.path("files");
    std::fs::create_dir(&path).unwrap();
    // Also for the user who is not us.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
    path
}

/// What must hold whichever way files go.
async fn files_are_replaced_and_read(yard: &Yard, host: &Arc<dyn Host>, owner: &FileMeta) {
    let with = |mode| FileMeta {
        mode,
        ..owner.clone()
    };
    let directory = directory(yard);
    let path = directory.join("it's a file");
    let name = path.to_str().unwrap();
    assert_eq!(host.read(name).await.unwrap(), None);

    let content: Vec<u8> = (0..=255).cycle().take(1_000_003).collect();
    put(host, &path, &content, &with(0o640)).await.unwrap();
    assert!(host.read(name).await.unwrap().unwrap() == content);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);

    let before = std::fs::metadata(&path).unwrap().ino();
    put(host, &path, b"", &with(0o4755)).await.unwrap();
    assert_eq!(host.read(name).await.unwrap().unwrap(), b"");
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o4755);
    assert_ne!(after.ino(), before, "replaced, not overwritten");

    let file = yard.path("source");
    std::fs::write(&file, &content).unwrap();
    let most = AtomicU64::new(0);
    let note = |done: u64, total: u64| {
        assert!(done <= total && total == content.len() as u64);
        assert!(most.fetch_max(done, Ordering::Relaxed) <= done);
    };
    let cancel = CancellationToken::new();
    host.write(name, Source::File(file), &with(0o600), &note, &cancel)
        .await
        .unwrap();
    assert_eq!(most.into_inner(), content.len() as u64);
    assert!(std::fs::read(&path).unwrap() == content);
    assert_eq!(names(&directory), ["it's a file"]);

    let subdirectory = directory.join("sub");
    std::fs::create_dir(&subdirectory).unwrap();
    std::fs::set_permissions(&subdirectory, PermissionsExt::from_mode(0o755)).unwrap();
    for (wrong, why) in [
        (subdirectory.clone(), "a directory"),
        (directory.join("none/file"), "no directory"),
    ] {
        let error = put(host, &wrong, b"x", &with(0o644)).await.unwrap_err();
        assert!(matches!(error, ReachError::File { .. }), "{why}: {error}");
    }
    assert_eq!(names(&subdirectory), [] as [&str; 0]);
    let error = host.read(subdirectory.to_str().unwrap()).await.unwrap_err();
    assert!(matches!(error, ReachError::File { .. }), "{error}");

    let large = directory.join("large");
    std::fs::File::create(&large)
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    let error = host.read(large.to_str().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn files_are_replaced_and_read_over_sftp() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    files_are_replaced_and_read(&yard, &pool.host("a").unwrap(), &mine(0)).await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn files_are_replaced_and_read_without_sftp() {
    let yard = Yard::new();
    let sshd = yard.sshd_with("a", &["ed25519"], "");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    files_are_replaced_and_read(&yard, &pool.host("a").unwrap(), &mine(0)).await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn files_are_replaced_and_read_with_one_session_at_a_time() {
    let yard = Yard::new();
    let sshd = yard.sshd_with(
        "a",
        &["ed25519"],
        "MaxSessions 1\nSubsystem sftp internal-sftp\n",
    );
    let pool = pool([sshd.node(|_| {})], yard.settings());
    files_are_replaced_and_read(&yard, &pool.host("a").unwrap(), &mine(0)).await;
}

/// A copy that is interrupted by `interrupt` in its middle, then done again.
async fn interrupted(
    yard: &Yard,
    sshd: &Sshd,
    interrupt: impl Fn(&Sshd, &CancellationToken) + Sync,
) {
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let directory = directory(yard);
    let path = directory.join("file");
    put(&host, &path, b"old", &mine(0o644)).await.unwrap();
    let file = yard.path("source");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    let cancel = CancellationToken::new();
    let at_half = |done: u64, total: u64| {
        if done > total / 2 {
            interrupt(sshd, &cancel);
        }
    };
    let name = path.to_str().unwrap();
    let error = host
        .write(name, Source::File(file), &mine(0o644), &at_half, &cancel)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            ReachError::Lost { .. } | ReachError::Cancelled { .. }
        ),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(
        names(&directory).len(),
        2,
        "the rest of the attempt is beside it"
    );
    put(&host, &path, b"new", &mine(0o644)).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names(&directory), ["file"], "and is gone after the next");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_cut_connection_leaves_the_old_file() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    interrupted(&yard, &sshd, |sshd, _| sshd.cut()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_cancelled_copy_leaves_the_old_file() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    interrupted(&yard, &sshd, |_, cancel| cancel.cancel()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn many_writers_of_one_file_leave_one_whole_version() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let path = directory(&yard).join("file");
    let writers = (0..8_u8).map(|number| {
        let (host, path) = (host.clone(), path.clone());
        async move { put(&host, &path, &vec![number; 300_000], &mine(0o644)).await }
    });
    futures::future::try_join_all(writers).await.unwrap();
    let content = std::fs::read(&path).unwrap();
    assert_eq!(content.len(), 300_000);
    assert!(content.iter().all(|byte| *byte == content[0]));
}

/// A server whose login user is not root, with a `sudo` that does what `script` says.
fn with_sudo(yard: &Yard, script: &str) -> (Sshd, String) {
    let bin = yard.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let sudo = bin.join("sudo");
    std::fs::write(&sudo, format!("#!/bin/sh\n{script}\n")).unwrap();
    for path in [&bin, &sudo] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    yard.sshd_for_guest("a", &bin)
}

/// `sudo -n -- command`, as whoever we are; anything else is a mistake of the client's.
const OBEDIENT: &str = r#"[ "$1 $2" = "-n --" ] || exit 99; shift 2; QD_SUDO=yes exec "$@""#;

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn roots_work_goes_through_sudo_and_the_login_users_does_not() {
    let yard = Yard::new();
    let (sshd, user) = with_sudo(&yard, OBEDIENT);
    let node = sshd.node(|access| {
        access.user = Some(user.clone());
        access.elevate = Some(Elevate::Sudo);
    });
    let pool = pool([node], yard.settings());
    let host = pool.host("a").unwrap();
    let probe = Command::new(["sh", "-c", "echo sudo: ${QD_SUDO-no}"]);
    let output = host.output(&probe).await.unwrap();
    assert!(output.text().ends_with("sudo: yes\n"), "{output:?}");
    let output = host.output(&probe.as_login_user()).await.unwrap();
    assert!(output.text().ends_with("sudo: no\n"), "{output:?}");
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn files_are_replaced_and_read_through_sudo_on_a_host_whose_shell_talks() {
    let yard = Yard::new();
    let (sshd, user) = with_sudo(&yard, OBEDIENT);
    let node = sshd.node(|access| {
        access.user = Some(user.clone());
        access.elevate = Some(Elevate::Sudo);
    });
    let pool = pool([node], yard.settings());
    let owner = if user == me() {
        mine(0)
    } else {
        FileMeta {
            mode: 0,
            owner: user.clone(),
            group: user,
        }
    };
    files_are_replaced_and_read(&yard, &pool.host("a").unwrap(), &owner).await;
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_sudo_that_wants_a_password_is_told_from_a_command_that_fails() {
    let yard = Yard::new();
    let (sshd, user) = with_sudo(&yard, "echo 'sudo: a password is required' >&2; exit 1");
    let node = sshd.node(|access| {
        access.user = Some(user);
        access.elevate = Some(Elevate::Sudo);
    });
    let pool = pool([node], yard.settings());
    let host = pool.host("a").unwrap();
    let error = says(&host, &["true"]).await.unwrap_err();
    assert!(
        matches!(&error, ReachError::Unanswered { wants, .. } if wants.contains("password")),
        "{error}"
    );
    let plain = Command::new(["false"]).as_login_user();
    assert!(!host.output(&plain).await.unwrap().exit.success());
}
