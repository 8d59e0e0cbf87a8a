use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::testing::{TempHost, ensure, fails, says, take_back as undo};
use super::*;
use crate::domain::resource::{Presence, Resource};

const KEY: &str = include_str!("../openpgp/test-key.asc");
const FINGERPRINT: &str = "6910 820F 09D8 CD25 8E31  E97C 9183 39F5 4F30 1401";

fn spec() -> AptRepositorySpec {
    AptRepositorySpec {
        name: "hashicorp".into(),
        state: Presence::Present,
        uris: vec!["https://apt.releases.hashicorp.com".into()],
        suites: vec!["bookworm".into()],
        components: vec!["main".into()],
        architectures: Vec::new(),
        key: KEY.into(),
        key_file: None,
        fingerprints: vec![FINGERPRINT.into()],
        signed: true,
    }
}

fn declared(spec: AptRepositorySpec) -> Resource {
    Resource::AptRepository(spec)
}

/// A host whose apt reaches the repository while `up` holds.
fn node(up: &Arc<AtomicBool>) -> TempHost {
    let up = Arc::clone(up);
    let host = TempHost::scripted(move |command| {
        command.contains("apt-get update").then(|| {
            if up.load(Ordering::Relaxed) {
                says("Get:1\n").unwrap()
            } else {
                fails(100, "E: The repository 'x' is not signed.").unwrap()
            }
        })
    });
    std::fs::create_dir_all(host.path("/etc/apt/sources.list.d")).unwrap();
    host
}

fn reachable() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn updates(host: &TempHost) -> usize {
    let ran = host.ran();
    ran.iter()
        .filter(|line| line.contains("apt-get update"))
        .count()
}

#[tokio::test]
async fn a_repository_is_tried_and_then_written_with_the_key_that_signs_it() {
    let host = node(&reachable());
    ensure(&declared(spec()), &host).await.unwrap();
    let text = std::fs::read_to_string(host.path(&sources_path("hashicorp"))).unwrap();
    assert_eq!(
        text,
        "# Written by Quarterdeck: what is changed here is overwritten by its recipe.\nTypes: deb\nURIs: \
         https://apt.releases.hashicorp.com\nSuites: bookworm\nComponents: main\nSigned-By: \
         /etc/apt/keyrings/hashicorp.asc\n"
    );
    assert_eq!(
        std::fs::read_to_string(host.path(&keyring_path("hashicorp"))).unwrap(),
        KEY
    );
    assert_eq!(updates(&host), 1);
    // Nothing changes, so nothing is fetched.
    ensure(&declared(spec()), &host).await.unwrap();
    assert_eq!(updates(&host), 1);
    let trial = host
        .ran()
        .into_iter()
        .find(|line| line.contains("apt-get update"))
        .unwrap();
    assert!(
        trial.contains("Dir::Etc::SourceList=/var/lib/quarterdeck/apt/hashicorp.sources"),
        "{trial}"
    );
}

#[tokio::test]
async fn a_repository_that_does_not_answer_stands_in_nobodys_way_and_is_tried_again() {
    let up = Arc::new(AtomicBool::new(false));
    let host = node(&up);
    let error = ensure(&declared(spec()), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("repository hashicorp is not added"),
        "{error}"
    );
    assert!(!host.path(&sources_path("hashicorp")).exists());
    up.store(true, Ordering::Relaxed);
    let changes = ensure(&declared(spec()), &host).await.unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(host.path(&sources_path("hashicorp")).exists());
}

#[tokio::test]
async fn a_key_that_is_not_the_declared_one_is_refused_before_anything_is_written() {
    let host = node(&reachable());
    let other = AptRepositorySpec {
        fingerprints: vec!["0".repeat(40)],
        ..spec()
    };
    let error = ensure(&declared(other), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it holds 6910820F09D8CD258E31E97C918339F54F301401"),
        "{error}"
    );
    let more = AptRepositorySpec {
        fingerprints: vec![FINGERPRINT.into(), "0".repeat(40)],
        ..spec()
    };
    let error = ensure(&declared(more), &host)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not hold 0000"), "{error}");
    assert!(!host.path(&keyring_path("hashicorp")).exists());
}

#[tokio::test]
async fn an_absent_repository_loses_both_files_and_gets_them_back() {
    let host = node(&reachable());
    let paths = [sources_path("hashicorp"), keyring_path("hashicorp")];
    for path in &paths {
        host.put(path, "old\n");
    }
    let absent = declared(AptRepositorySpec {
        state: Presence::Absent,
        ..spec()
    });
    assert_eq!(ensure(&absent, &host).await.unwrap().len(), 2);
    assert!(!paths.iter().any(|path| host.path(path).exists()));
    assert_eq!(updates(&host), 0);
    undo(&host).await.unwrap();
    assert!(
        paths
            .iter()
            .all(|path| std::fs::read(host.path(path)).unwrap() == b"old\n")
    );
}

#[tokio::test]
async fn a_new_repository_is_taken_back_whole() {
    let host = node(&reachable());
    ensure(&declared(spec()), &host).await.unwrap();
    undo(&host).await.unwrap();
    assert!(!host.path(&sources_path("hashicorp")).exists());
    assert!(!host.path(&keyring_path("hashicorp")).exists());
}

#[test]
fn declarations_that_apt_would_not_understand_are_refused() {
    let bad = |change: fn(&mut AptRepositorySpec)| {
        let mut spec = spec();
        change(&mut spec);
        fault(&spec).unwrap()
    };
    assert!(bad(|spec| spec.name = "a b".into()).contains("is no name"));
    assert!(bad(|spec| spec.uris.clear()).contains("`uris` and `suites`"));
    assert!(bad(|spec| spec.uris = vec!["a\nSigned-By: x".into()]).contains("holds a space"));
    assert!(bad(|spec| spec.components.clear()).contains("`components`"));
    assert!(bad(|spec| spec.suites = vec!["./".into()]).contains("`components`"));
    assert!(bad(|spec| spec.key.clear()).contains("needs the key"));
    assert!(bad(|spec| spec.fingerprints.clear()).contains("`fingerprints`"));
    assert!(bad(|spec| spec.signed = false).contains("takes no key"));
    assert_eq!(fault(&spec()), None);
}
