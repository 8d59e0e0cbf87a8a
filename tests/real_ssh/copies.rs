//! Copies of any size both ways: cut off in the middle, gone on with, never half under the target's name.

use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quarterdeck::transport::{Reach as _, ReachError};
use sha2::{Digest as _, Sha256};

use super::sshd::{Sshd, Yard, pool};

/// Large enough that a cut in the middle is in the middle.
const LARGE: u64 = 200 * 1024 * 1024;

/// A file of noise that no shortcut compresses or repeats.
fn noise(path: &Path, bytes: u64) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut random = fastrand::Rng::with_seed(7);
    let mut block = vec![0; 1 << 20];
    let mut left = usize::try_from(bytes).unwrap();
    while left > 0 {
        random.fill(&mut block);
        let count = left.min(block.len());
        file.write_all(&block[..count]).unwrap();
        left -= count;
    }
    file.flush().unwrap();
}

/// Cuts every connection to `sshd` once, as soon as more than `after` bytes are there.
fn cut_after(sshd: &Sshd, after: u64) -> impl Fn(u64, u64) {
    let cut = AtomicBool::new(false);
    move |done, _| {
        if done > after && !cut.swap(true, Ordering::Relaxed) {
            sshd.cut();
        }
    }
}

fn digest(path: &Path) -> Vec<u8> {
    Sha256::digest(std::fs::read(path).unwrap()).to_vec()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_large_copy_to_a_node_that_is_cut_off_goes_on_where_it_was() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let from = yard.path("image");
    noise(&from, LARGE);
    let folder = yard.path("there");
    std::fs::create_dir(&folder).unwrap();
    let to = folder.join("image.img");
    std::fs::write(&to, "what was there before").unwrap();
    let target = to.to_str().unwrap();

    let error = host
        .push(&from, target, &cut_after(&sshd, LARGE / 2))
        .await
        .unwrap_err();
    assert!(matches!(error, ReachError::Lost { .. }), "{error}");
    assert_eq!(std::fs::read(&to).unwrap(), b"what was there before");
    assert_eq!(names(&folder).len(), 2, "the part lies beside the target");

    let first = AtomicU64::new(u64::MAX);
    let copied = host
        .push(&from, target, &|done, _| {
            first.fetch_min(done, Ordering::Relaxed);
        })
        .await
        .unwrap();
    assert_eq!(copied.size, LARGE);
    assert!(copied.kept > LARGE / 4, "{copied:?}");
    assert!(
        first.load(Ordering::Relaxed) > copied.kept,
        "nothing is sent twice"
    );
    assert_eq!(digest(&to), digest(&from));
    assert_eq!(names(&folder), ["image.img"], "no part is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_large_copy_from_a_node_that_is_cut_off_goes_on_where_it_was() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let from = yard.path("image");
    noise(&from, LARGE);
    let folder = yard.path("here");
    std::fs::create_dir(&folder).unwrap();
    let to = folder.join("image.img");

    let source = from.to_str().unwrap();
    let error = host
        .pull(source, &to, &cut_after(&sshd, LARGE / 2))
        .await
        .unwrap_err();
    assert!(matches!(error, ReachError::Lost { .. }), "{error}");
    assert!(
        !to.exists(),
        "there is no half file under the target's name"
    );

    let copied = host.pull(source, &to, &|_, _| {}).await.unwrap();
    assert!(copied.kept > LARGE / 4, "{copied:?}");
    assert_eq!(digest(&to), digest(&from));
    assert_eq!(names(&folder), ["image.img"]);
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_part_that_is_not_the_beginning_of_the_file_is_not_gone_on_with() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let from = yard.path("file");
    noise(&from, 3 << 20);
    let folder = yard.path("there");
    std::fs::create_dir(&folder).unwrap();
    let to = folder.join("file");
    let target = to.to_str().unwrap();
    let _ = host.push(&from, target, &cut_after(&sshd, 1 << 20)).await;
    let part = folder.join(&names(&folder)[0]);
    let length = std::fs::metadata(&part).unwrap().len();
    std::fs::write(&part, vec![0; usize::try_from(length).unwrap()]).unwrap();
    let copied = host.push(&from, target, &|_, _| {}).await.unwrap();
    assert_eq!(copied.kept, 0);
    assert_eq!(digest(&to), digest(&from));
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn a_tree_is_told_with_directories_first_and_a_directory_is_made_once() {
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let folder = yard.path("tree");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    for name in ["", "sub", "sub"] {
        host.make_directory(path(name).trim_end_matches('/'))
            .await
            .unwrap();
    }
    std::fs::write(folder.join("sub/file"), "12345").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    let tree = host.tree(folder.to_str().unwrap()).await.unwrap();
    let told: Vec<(&str, bool, u64)> = tree
        .iter()
        .map(|entry| (entry.path.as_str(), entry.directory, entry.size))
        .collect();
    assert_eq!(
        told,
        [("", true, 0), ("sub", true, 0), ("sub/file", false, 5)]
    );
}

#[tokio::test]
#[ignore = "needs OpenSSH server: run tests/run real"]
async fn an_empty_file_and_its_mode_are_copied() {
    use std::os::unix::fs::PermissionsExt as _;
    let yard = Yard::new();
    let sshd = yard.sshd("a");
    let pool = pool([sshd.node(|_| {})], yard.settings());
    let host = pool.host("a").unwrap();
    let (from, to) = (yard.path("empty"), yard.path("copy"));
    std::fs::write(&from, "").unwrap();
    std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o750)).unwrap();
    host.push(&from, to.to_str().unwrap(), &|_, _| {})
        .await
        .unwrap();
    let meta = std::fs::metadata(&to).unwrap();
    assert_eq!((meta.len(), meta.permissions().mode() & 0o777), (0, 0o750));
}
