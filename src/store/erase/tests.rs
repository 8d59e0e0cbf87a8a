//! Runs that go while others stay, and go on.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::domain::run::{RunState, Stream};
use crate::store::tests::{at, begin, id, line, open};
use crate::store::{Change, Handle, LineFilter, Reader, Writer, database_path};

async fn run(handle: &Handle, number: u128, lines: usize, ended: bool) {
    begin(handle, id(number)).await;
    for seq in 0..lines {
        let line = line(id(number), Some(0), Stream::Stdout, format!("line {seq}"));
        handle.line(line).await.unwrap();
    }
    if ended {
        let change = Change::Run {
            state: RunState::Failed,
            reason: None,
        };
        handle
            .commit(id(number), at(9), vec![change])
            .await
            .unwrap();
    }
}

async fn erase(handle: &Handle, number: i64) -> usize {
    let mut steps = 1;
    while handle.erase(number).await.unwrap() == Erased::Partly {
        steps += 1;
    }
    steps
}

fn count(dir: &TempDir, table: &str) -> i64 {
    let db = rusqlite::Connection::open(database_path(dir.path())).unwrap();
    db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
        row.get(0)
    })
    .unwrap()
}

#[tokio::test]
async fn a_removed_run_leaves_nothing_and_its_neighbours_everything() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    for number in 1..=3 {
        run(&handle, number, 12_000, true).await;
    }
    assert_eq!(
        erase(&handle, 2).await,
        4,
        "12,000 lines go in several steps"
    );
    assert_eq!(reader.run(id(2)).unwrap(), None);
    for number in [1, 3] {
        let lines = reader
            .lines(id(number), 0, usize::MAX, &LineFilter::default())
            .unwrap();
        assert_eq!(lines.len(), 12_000);
    }
    writer.close().await;
    let left =
        ["runs", "plans", "tasks", "lines", "erased"].map(|table| (table, count(&dir, table)));
    let expected = BTreeMap::from([
        ("runs", 2),
        ("plans", 2),
        ("tasks", 6),
        ("lines", 24_000),
        ("erased", 0),
    ]);
    assert_eq!(BTreeMap::from(left), expected);
}

#[tokio::test]
async fn the_number_of_a_removed_run_is_never_given_again() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    run(&handle, 1, 10, true).await;
    erase(&handle, 1).await;
    run(&handle, 2, 10, true).await;
    assert_eq!(reader.run(id(2)).unwrap().unwrap().number, 2);
}

#[tokio::test]
async fn a_run_that_goes_on_is_not_removed() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    run(&handle, 1, 10, false).await;
    let refusal = handle.erase(1).await.unwrap_err();
    assert!(
        refusal.to_string().contains("run 1 is running"),
        "{refusal}"
    );
    assert_eq!(reader.run(id(1)).unwrap().unwrap().lines, 10);
}

#[tokio::test]
async fn a_removal_that_a_crash_cut_short_is_found_and_finished() {
    let dir = TempDir::new().unwrap();
    let (writer, _) = open(&dir);
    let handle = writer.handle();
    run(&handle, 1, 12_000, true).await;
    handle.erase(1).await.unwrap();
    handle.erase(1).await.unwrap();
    writer.close().await;
    let writer = Writer::open(dir.path(), at(60)).unwrap();
    let reader = Reader::open(writer.handle().path()).unwrap();
    assert_eq!(reader.half_erased().unwrap(), [1]);
    erase(&writer.handle(), 1).await;
    assert_eq!(reader.half_erased().unwrap(), [0_i64; 0]);
    writer.close().await;
    assert_eq!(count(&dir, "lines"), 0);
}

#[tokio::test]
async fn the_room_of_removed_runs_is_given_back_while_lines_go_on_coming() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    run(&handle, 1, 40_000, true).await;
    begin(&handle, id(2)).await;
    handle.flush().await;
    let size = || {
        let db = rusqlite::Connection::open(database_path(dir.path())).unwrap();
        db.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    let before = size();
    let feed = {
        let handle = handle.clone();
        tokio::spawn(async move {
            for seq in 0..2_000 {
                let line = line(id(2), None, Stream::Stdout, format!("line {seq}"));
                handle.line(line).await.unwrap();
            }
        })
    };
    erase(&handle, 1).await;
    handle.give_back().await;
    feed.await.unwrap();
    handle.flush().await;
    assert!(size() * 2 < before, "{} of {before} pages are left", size());
    assert_eq!(reader.run(id(2)).unwrap().unwrap().lines, 2_000);
}

#[tokio::test]
async fn what_a_run_takes_is_told_by_its_share_of_the_lines() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    run(&handle, 1, 9_000, true).await;
    run(&handle, 2, 1_000, false).await;
    handle.flush().await;
    let kept = reader.kept().unwrap();
    assert_eq!(kept.len(), 2);
    assert!(kept[0].bytes > 5 * kept[1].bytes, "{kept:?}");
    assert_eq!((kept[0].ended_at, kept[1].ended_at), (Some(at(9)), None));
}
