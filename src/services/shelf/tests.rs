//! A shelf in a temporary directory: what is put there is found again, what is broken is told, and nothing whole is lost.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::domain::backup::StoreKind;
use crate::domain::snapshot::{Inventory, Look};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn put(shelf: &Shelf, service: &str, second: i64) -> Snapshot {
    let file = shelf.place("lab", service, at(second)).unwrap();
    fs::write(&file, b"content").unwrap();
    let snapshot = Snapshot {
        environment: "lab".into(),
        service: service.into(),
        kind: StoreKind::Consul,
        taken_at: at(second),
        from: "pc1".into(),
        file,
        size: 7,
        sha256: crate::domain::hex(&Sha256::digest(b"content")),
        state: 1,
        index: 2,
        term: 3,
        recipients: Vec::new(),
        inventory: Inventory::default(),
        look: None,
        drill: None,
    };
    shelf.record(&snapshot).unwrap();
    snapshot
}

#[test]
fn what_was_recorded_is_listed_oldest_first_and_only_the_newest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    assert_eq!(shelf.list().unwrap(), (vec![], vec![]));
    let all: Vec<Snapshot> = [30, 10, 20]
        .map(|second| put(&shelf, "consul", second))
        .into();
    let other = put(&shelf, "vault", 5);
    let (listed, odd) = shelf.list().unwrap();
    let wanted = [&other, &all[1], &all[2], &all[0]].map(Clone::clone);
    assert_eq!((listed.as_slice(), odd.len()), (wanted.as_slice(), 0));

    let gone = shelf.prune("lab", "consul", 1).unwrap();
    assert_eq!(gone, [all[1].clone(), all[2].clone()]);
    assert!(!gone[0].file.exists());
    assert_eq!(shelf.list().unwrap().0, [other, all[0].clone()]);
}

#[test]
fn a_snapshot_without_its_account_is_none_and_a_torn_account_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    let whole = put(&shelf, "consul", 10);
    fs::write(shelf.place("lab", "consul", at(20)).unwrap(), b"half").unwrap();
    let torn = put(&shelf, "consul", 30);
    fs::write(account_of(&torn.file), b"{\"environment\":").unwrap();
    let (listed, odd) = shelf.list().unwrap();
    assert_eq!(listed, [whole]);
    assert_eq!(odd.len(), 1);
    assert!(odd[0].reason.contains("EOF"), "{odd:?}");
    assert_eq!((&*odd[0].environment, &*odd[0].service), ("lab", "consul"));
}

#[test]
fn a_file_that_changed_since_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = put(&Shelf::of(dir.path()), "consul", 10);
    fs::write(&snapshot.file, b"contents").unwrap();
    let flaw = inspect(&snapshot, None).unwrap_err().to_string();
    assert!(flaw.starts_with("its checksum is"), "{flaw}");
    fs::remove_file(&snapshot.file).unwrap();
    assert!(inspect(&snapshot, None).is_err());
}

#[test]
fn a_damaged_snapshot_takes_no_whole_ones_place() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    let [first, second] = [10, 20].map(|second| put(&shelf, "consul", second));
    let mut third = put(&shelf, "consul", 30);
    third.look = Some(Look {
        at: at(40),
        flaw: Some("cut off".into()),
    });
    shelf.record(&third).unwrap();
    assert_eq!(shelf.find("lab", "consul/latest").unwrap(), second);
    assert_eq!(shelf.prune("lab", "consul", 1).unwrap(), [first]);
    assert_eq!(shelf.list().unwrap().0, [second, third]);
}

#[test]
fn a_snapshot_is_found_by_its_name_and_others_are_suggested() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    let one = put(&shelf, "consul", 10);
    assert_eq!(shelf.find("lab", &one.id()).unwrap(), one);
    assert_eq!(shelf.find("lab", "consul").unwrap(), one);
    let unknown = shelf.find("lab", "consul/20200101T000000000Z").unwrap_err();
    assert!(unknown.contains(&one.id()), "{unknown}");
    assert!(shelf.find("lab", "vault/latest").is_err());
    assert!(shelf.find("other", &one.id()).is_err());
}

#[test]
fn what_a_killed_engine_left_is_swept_away_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    assert_eq!(shelf.sweep(at(50)).unwrap(), Swept::default());
    let one = put(&shelf, "consul", 10);
    let half = one.file.with_file_name(format!("{UNFINISHED}abc"));
    let account = one.file.with_extension("snap.next");
    for left in [&half, &account] {
        fs::write(left, b"half").unwrap();
    }
    // Killed between its place and its account, and in the middle of removing an old one: only the first is news.
    let nameless = shelf.place("lab", "vault", at(30)).unwrap();
    fs::write(&nameless, b"content").unwrap();
    let other = put(&shelf, "nomad", 40);
    let old = shelf.place("lab", "nomad", at(20)).unwrap();
    fs::write(&old, b"content").unwrap();
    let scratch = shelf.scratch().unwrap().keep();
    fs::write(scratch.join("data"), b"x").unwrap();
    let swept = shelf.sweep(at(50)).unwrap();
    assert_eq!(swept.removed, 5);
    let unfinished = ["consul", "vault"].map(|store| ("lab".to_owned(), store.to_owned()));
    assert_eq!(swept.unfinished, unfinished.clone().into());
    let failures = shelf.all().unwrap().failures;
    let failed = failures
        .into_iter()
        .map(|one| (one.environment, one.service));
    assert_eq!(failed.collect::<BTreeSet<_>>(), unfinished.into());
    for gone in [half, account, nameless, old, scratch] {
        assert!(!gone.exists(), "{}", gone.display());
    }
    assert_eq!(shelf.list().unwrap().0, [one, other]);
    assert_eq!(shelf.sweep(at(50)).unwrap(), Swept::default());
}

#[test]
fn a_failure_that_the_disk_does_not_take_is_known_until_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    // A file where the directory should be, as nothing keeps root from writing.
    fs::create_dir_all(dir.path().join("snapshots/lab")).unwrap();
    fs::write(dir.path().join("snapshots/lab/vault"), b"").unwrap();
    let failure = Failure {
        environment: "lab".into(),
        service: "vault".into(),
        at: at(10),
        reason: "no space is left".into(),
    };
    assert!(shelf.fail(&failure).is_err());
    let known = |shelf: &Shelf| shelf.all().unwrap().failures;
    assert_eq!(known(&shelf.clone()), [failure]);
    fs::remove_file(dir.path().join("snapshots/lab/vault")).unwrap();
    shelf.forget_failure("lab", "vault").unwrap();
    assert_eq!(known(&shelf), []);
}

#[test]
fn a_failed_attempt_is_remembered_until_one_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::of(dir.path());
    let failure = Failure {
        environment: "lab".into(),
        service: "vault".into(),
        at: at(10),
        reason: "it ends in the middle".into(),
    };
    shelf.fail(&failure).unwrap();
    let all = shelf.all().unwrap();
    assert_eq!((all.failures, all.unread), (vec![failure], Vec::new()));
    shelf.forget_failure("lab", "vault").unwrap();
    shelf.forget_failure("lab", "vault").unwrap();
    assert!(shelf.all().unwrap().failures.is_empty());
}
