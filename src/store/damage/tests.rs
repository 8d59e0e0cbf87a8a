//! Files that were cut off or changed behind the engine's back.

use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::domain::audit::{Act, Entry};
use crate::domain::run::{RunState, Stream};
use crate::store::tests::{at, begin, id, line};
use crate::store::{Change, LineFilter, Reader, Writer, database_path, recover};

const LINES: usize = 3_000;

/// A store with a finished run, closed in good order.
async fn filled(dir: &Path) {
    let writer = Writer::open(dir, at(0)).unwrap();
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    for number in 0..LINES {
        let line = line(id(1), Some(0), Stream::Stdout, format!("line {number}"));
        handle.line(line).await.unwrap();
    }
    let entry = Entry::new(Act::RunEnded, "failed");
    handle.audit(at(8), entry).await.unwrap();
    let change = Change::Run {
        state: RunState::Failed,
        reason: None,
    };
    handle.commit(id(1), at(9), vec![change]).await.unwrap();
    writer.close().await;
}

/// What a killed engine leaves.
fn cut_off(dir: &Path) {
    fs::write(dir.join("engine.lock"), "4711\n").unwrap();
}

fn copies(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap();
    names
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("damaged-")
        })
        .count()
}

/// Overwrites the interior of a page that holds log lines.
fn spoil(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes
        .windows(9)
        .position(|window| window == b"line 1500")
        .unwrap();
    let page = at - at % 4096;
    bytes[page..page + 64].fill(0xa5);
    fs::write(path, &bytes).unwrap();
    bytes
}

#[tokio::test]
async fn damage_after_a_crash_is_refused_with_a_copy_kept_and_the_file_untouched() {
    let dir = TempDir::new().unwrap();
    filled(dir.path()).await;
    let path = database_path(dir.path());
    let spoilt = spoil(&path);
    for _ in 0..2 {
        cut_off(dir.path());
        let refusal = Writer::open(dir.path(), at(60)).err().unwrap().to_string();
        assert!(refusal.contains("damaged"), "{refusal}");
        assert!(refusal.contains("quarterdeck store recover"), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), spoilt, "nothing was changed");
        assert_eq!(copies(dir.path()), 1, "one copy of one state");
    }
}

#[rstest]
#[case::half(2)]
#[case::nearly_all(50)]
#[tokio::test]
async fn a_file_that_was_cut_short_is_refused_even_after_a_good_end(#[case] part: u64) {
    let dir = TempDir::new().unwrap();
    filled(dir.path()).await;
    let path = database_path(dir.path());
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length / part).unwrap();
    let refusal = Writer::open(dir.path(), at(60)).err().unwrap().to_string();
    assert!(refusal.contains("damaged"), "{refusal}");
    assert_eq!(fs::metadata(&path).unwrap().len(), length / part);
    assert_eq!(copies(dir.path()), 1);
}

#[tokio::test]
async fn a_whole_file_is_opened_after_a_crash() {
    let dir = TempDir::new().unwrap();
    filled(dir.path()).await;
    cut_off(dir.path());
    assert!(Writer::open(dir.path(), at(60)).is_ok());
    assert_eq!(
        crate::store::check(&database_path(dir.path())).unwrap(),
        None
    );
}

#[tokio::test]
async fn what_can_be_read_is_recovered_and_the_rest_is_told() {
    let dir = TempDir::new().unwrap();
    filled(dir.path()).await;
    let path = database_path(dir.path());
    let spoilt = spoil(&path);
    assert!(crate::store::check(&path).unwrap().is_some());
    let recovered = recover(dir.path()).unwrap();
    assert_eq!(fs::read(&recovered.kept).unwrap(), spoilt);
    let of = |table: &str| {
        let mut found = recovered.saved.iter();
        found.find(|saved| saved.table == table).unwrap()
    };
    assert_eq!((of("runs").rows, of("audit").rows), (1, 1));
    assert!(of("lines").lost.is_some());
    let saved = of("lines").rows;
    assert!(saved > 2_000 && saved < LINES as u64, "{saved} lines");

    let writer = Writer::open(dir.path(), at(60)).unwrap();
    let reader = Reader::open(writer.handle().path()).unwrap();
    assert!(reader.verify_audit().unwrap().is_whole());
    let lines = reader
        .lines(id(1), 0, usize::MAX, &LineFilter::default())
        .unwrap();
    assert_eq!(lines.len() as u64, saved);
    assert_eq!(lines[0].text, "line 0");
    assert_eq!(lines.last().unwrap().text, "line 2999", "from both ends");
    begin(&writer.handle(), id(2)).await;
    assert_eq!(reader.run(id(2)).unwrap().unwrap().number, 2);
}

#[tokio::test]
async fn recovery_is_refused_while_an_engine_uses_the_store() {
    let dir = TempDir::new().unwrap();
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let refusal = recover(dir.path()).unwrap_err().to_string();
    assert!(refusal.contains("another engine"), "{refusal}");
    writer.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_changed_bytes_make_anything_panic_or_replace_the_file(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let dir = TempDir::new().unwrap();
        runtime.block_on(filled(dir.path()));
        let path = database_path(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        for (place, value) in changes {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        fs::write(&path, &bytes).unwrap();
        cut_off(dir.path());
        let opened = runtime.block_on(async { Writer::open(dir.path(), at(60)) });
        if let Ok(writer) = opened {
            runtime.block_on(writer.close());
        } else {
            prop_assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        let _ = crate::store::check(&path);
        let _ = recover(dir.path());
    }
}
