//! The store as its users see it: written by one handle, read by another connection.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::Timestamp;
use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::domain::action::Risk;
use crate::domain::plan::{Origin, Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::Step;
use crate::domain::run::{LogLine, RunChange, RunId, RunState, Task, TaskState};
use crate::domain::undo::{Before, Remembered};

fn plan() -> Plan {
    let step = |id: &str, hosts: Option<&[&str]>| PlannedStep {
        step: Step {
            id: id.into(),
            title: id.into(),
            ..Step::default()
        },
        hosts: hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
        preview: Vec::new(),
    };
    Plan {
        hash: "0".repeat(64),
        ..Plan::new(
            PlanRequest {
                environment: "lab".into(),
                recipe: "deploy".into(),
                ..PlanRequest::default()
            },
            "Deploy".into(),
            Risk::Change,
            vec![step("install", Some(&["pc1", "pc2"])), step("report", None)],
        )
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(super) fn id(number: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(number))
}

pub(super) async fn begin(handle: &Handle, run: RunId) {
    let new = NewRun {
        id: run,
        plan: plan(),
        started_by: "ada@bastion".into(),
        at: at(0),
    };
    handle.create(new).await.unwrap();
    let running = Change::Run {
        state: RunState::Running,
        reason: None,
    };
    handle.commit(run, at(1), vec![running]).await.unwrap();
}

fn task(ordinal: u32, state: TaskState) -> Change {
    Change::Task {
        ordinal,
        state,
        attempt: 1,
        reason: None,
    }
}

pub(super) fn line(
    run: RunId,
    task: Option<u32>,
    stream: Stream,
    text: impl Into<String>,
) -> NewLine {
    NewLine {
        run,
        task,
        stream,
        at: at(2),
        text: text.into(),
    }
}

pub(super) fn open(dir: &TempDir) -> (Writer, Reader) {
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let reader = Reader::open(writer.handle().path()).unwrap();
    (writer, reader)
}

pub(super) fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.text.as_str()).collect()
}

#[tokio::test]
async fn a_run_that_takes_up_another_is_found_by_it_and_begins_with_what_it_keeps() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let mut taken_up = plan();
    let origin = Origin::Undo {
        run: id(1),
        force: false,
    };
    taken_up.request.origin = Some(origin);
    let kept = Task {
        state: TaskState::Changed,
        attempts: 2,
        started_at: Some(at(1)),
        ended_at: Some(at(2)),
        reason: Some("done in run 1".into()),
        ..plan().tasks()[1].clone()
    };
    taken_up.kept = vec![kept.clone()];
    let new = NewRun {
        id: id(2),
        plan: taken_up,
        started_by: "ada@bastion".into(),
        at: at(3),
    };
    let run = handle.create(new).await.unwrap();
    assert_eq!(run.origin, Some(origin));
    assert_eq!((run.tally.changed, run.tally.pending), (1, 2));
    assert_eq!(reader.tasks(id(2)).unwrap()[1], kept);
    assert_eq!(reader.descendants(id(1)).unwrap(), [run]);
    assert_eq!(reader.descendants(id(2)).unwrap(), []);
    writer.close().await;
}

#[tokio::test]
async fn a_run_is_read_back_as_it_was_committed() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    handle
        .commit(id(1), at(2), vec![task(0, TaskState::Running)])
        .await
        .unwrap();
    let committed = handle
        .commit(
            id(1),
            at(3),
            vec![task(0, TaskState::Changed), task(1, TaskState::Running)],
        )
        .await
        .unwrap();
    assert_eq!(reader.run(id(1)).unwrap().as_ref(), Some(&committed.run));
    assert_eq!(reader.run_by_number(1).unwrap(), Some(committed.run));
    assert_eq!(reader.tasks(id(1)).unwrap()[..2], committed.tasks[..]);
    assert_eq!(reader.plan(id(1)).unwrap(), Some(plan()));
    let events = reader.events(id(1), 0).unwrap();
    assert_eq!(
        events.iter().map(|event| event.seq).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(events[3..], committed.events[..]);
    assert_eq!(reader.run(id(9)).unwrap(), None);
}

#[tokio::test]
async fn a_transition_that_the_state_machine_forbids_is_refused_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let before = reader.run(id(1)).unwrap();
    let changes = vec![task(0, TaskState::Running), task(1, TaskState::Changed)];
    let refusal = handle.commit(id(1), at(2), changes).await.unwrap_err();
    assert!(
        refusal.reason.contains("install@pc2"),
        "names the task: {refusal}"
    );
    assert_eq!(reader.run(id(1)).unwrap(), before);
    assert_eq!(reader.events(id(1), 0).unwrap().len(), 2);
}

#[tokio::test]
async fn runs_are_numbered_from_one_and_listed_newest_first() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    for number in 1..=5 {
        begin(&writer.handle(), id(number)).await;
    }
    let numbers: Vec<i64> = reader
        .runs(3)
        .unwrap()
        .iter()
        .map(|run| run.number)
        .collect();
    assert_eq!(numbers, [5, 4, 3]);
}

#[tokio::test]
async fn a_hundred_thousand_lines_of_two_runs_keep_their_order_and_are_found() {
    const EACH: u64 = 50_000;
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    begin(&handle, id(2)).await;
    let feeds = [1, 2].map(|run| {
        let handle = handle.clone();
        tokio::spawn(async move {
            for number in 0..EACH {
                let task = u32::try_from(number % 3).unwrap();
                let stream = if number % 10 == 0 {
                    Stream::Stderr
                } else {
                    Stream::Stdout
                };
                let text = format!("run {run} writes line {number}");
                handle
                    .line(line(id(run), Some(task), stream, text))
                    .await
                    .unwrap();
            }
        })
    });
    for feed in feeds {
        feed.await.unwrap();
    }
    handle.flush().await;
    for run in [1, 2] {
        assert_eq!(reader.run(id(run)).unwrap().unwrap().lines, EACH);
        let all = reader
            .lines(id(run), 0, usize::MAX, &LineFilter::default())
            .unwrap();
        assert_eq!(all.len() as u64, EACH);
        for (number, line) in all.iter().enumerate() {
            assert_eq!(line.seq, number as u64);
            assert_eq!(line.text, format!("run {run} writes line {number}"));
        }
    }
    let window = reader
        .lines(id(2), 40_000, 3, &LineFilter::default())
        .unwrap();
    assert_eq!(window[0].seq, 40_000);
    assert_eq!(window.len(), 3);
    let tail = reader
        .lines_before(id(1), None, 2, &LineFilter::default())
        .unwrap();
    assert_eq!(
        texts(&tail),
        ["run 1 writes line 49998", "run 1 writes line 49999"]
    );
    let filter = LineFilter {
        step: Some("install".into()),
        host: Some("pc2".into()),
        streams: vec![Stream::Stderr],
        text: Some(Pattern::literal("LINE 100")),
        ..LineFilter::default()
    };
    let found = reader.lines(id(1), 0, 100, &filter).unwrap();
    assert_eq!(
        texts(&found),
        [
            "run 1 writes line 100",
            "run 1 writes line 1000",
            "run 1 writes line 10000",
            "run 1 writes line 10030",
            "run 1 writes line 10060",
            "run 1 writes line 10090"
        ]
    );
    assert!(
        found
            .iter()
            .all(|line| line.task.as_ref().unwrap().to_string() == "install@pc2")
    );
    let before = reader
        .lines_before(id(1), Some(10_060), 2, &filter)
        .unwrap();
    assert_eq!(
        texts(&before),
        ["run 1 writes line 10000", "run 1 writes line 10030"]
    );
}

#[rstest]
#[case("ünïcode", true)]
#[case("100%", true)]
#[case("under_score", true)]
#[case("underXscore", false)]
#[case("a.c", false)]
#[tokio::test]
async fn search_takes_the_text_literally_and_ignores_letter_case(
    #[case] text: &str,
    #[case] found: bool,
) {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    handle
        .line(line(
            id(1),
            None,
            Stream::Note,
            "ÜNÏCODE 100% UNDER_SCORE abc",
        ))
        .await
        .unwrap();
    handle.flush().await;
    let filter = LineFilter {
        text: Some(Pattern::literal(text)),
        ..LineFilter::default()
    };
    assert_eq!(
        reader.lines(id(1), 0, 10, &filter).unwrap().len() == 1,
        found
    );
}

#[tokio::test]
async fn a_filter_for_a_host_that_took_no_part_finds_nothing() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    handle
        .line(line(id(1), Some(0), Stream::Stdout, "x"))
        .await
        .unwrap();
    handle.flush().await;
    let filter = LineFilter {
        host: Some("pc9".into()),
        ..LineFilter::default()
    };
    assert_eq!(reader.lines(id(1), 0, 10, &filter).unwrap(), []);
}

#[tokio::test]
async fn a_line_that_is_too_long_is_stored_in_pieces_that_join_to_the_same_text() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let long = "äöü\0".repeat(40_000);
    handle
        .line(line(id(1), None, Stream::Stdout, long.clone()))
        .await
        .unwrap();
    handle.flush().await;
    let lines = reader.lines(id(1), 0, 100, &LineFilter::default()).unwrap();
    assert!(lines.len() > 1);
    assert!(lines.iter().all(|line| line.text.len() <= LINE_LIMIT));
    let (last, pieces) = lines.split_last().unwrap();
    let mut joined: String = pieces
        .iter()
        .map(|line| line.text.strip_suffix(CONTINUED).unwrap())
        .collect();
    joined += &last.text;
    assert_eq!(joined, long.replace('\0', "␀"));
}

#[tokio::test]
async fn growth_is_told_after_the_lines_can_be_read() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    handle
        .line(line(id(1), None, Stream::Note, "one"))
        .await
        .unwrap();
    let grown = handle.grown().await;
    assert_eq!(grown, BTreeMap::from([(id(1), 1)]));
    assert_eq!(reader.run(id(1)).unwrap().unwrap().lines, 1);
}

#[tokio::test]
async fn an_unfinished_run_is_interrupted_with_an_exact_account() {
    let dir = TempDir::new().unwrap();
    let (writer, _) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let changes = vec![task(0, TaskState::Running), task(1, TaskState::Running)];
    handle.commit(id(1), at(2), changes).await.unwrap();
    handle
        .commit(id(1), at(3), vec![task(0, TaskState::Ok)])
        .await
        .unwrap();
    writer.close().await;

    let writer = Writer::open(dir.path(), at(60)).unwrap();
    assert_eq!(writer.unfinished, [id(1)]);
    let reader = Reader::open(writer.handle().path()).unwrap();
    let run = reader.run(id(1)).unwrap().unwrap();
    assert_eq!(run.state, RunState::Interrupted);
    assert_eq!(run.ended_at, Some(at(60)));
    assert_eq!(
        run.reason.as_deref(),
        Some(
            "the engine ended during this run: 1 of 3 tasks done, in progress: install@pc2, 1 not started"
        )
    );
    let states: Vec<TaskState> = reader
        .tasks(id(1))
        .unwrap()
        .iter()
        .map(|task| task.state)
        .collect();
    assert_eq!(
        states,
        [TaskState::Ok, TaskState::Failed, TaskState::Cancelled]
    );
    let last = reader.events(id(1), 0).unwrap().pop().unwrap();
    assert!(matches!(
        last.change,
        RunChange::Run {
            state: RunState::Interrupted,
            ..
        }
    ));
    writer.close().await;
    let again = Writer::open(dir.path(), at(90)).unwrap();
    assert_eq!(again.unfinished, []);
}

#[tokio::test]
async fn a_run_whose_last_task_had_ended_ends_as_its_tasks_did() {
    for (last, state, account) in [
        (
            TaskState::Changed,
            RunState::Succeeded,
            "all 3 tasks had ended when the engine did",
        ),
        (
            TaskState::Failed,
            RunState::Failed,
            "report failed: no reason given; all 3 tasks had ended when the engine did",
        ),
    ] {
        let dir = TempDir::new().unwrap();
        let (writer, _) = open(&dir);
        let handle = writer.handle();
        begin(&handle, id(1)).await;
        for (ordinal, state) in [(0, TaskState::Ok), (1, TaskState::Ok), (2, last)] {
            let changes = vec![task(ordinal, TaskState::Running)];
            handle.commit(id(1), at(2), changes).await.unwrap();
            let changes = vec![task(ordinal, state)];
            handle.commit(id(1), at(3), changes).await.unwrap();
        }
        writer.close().await;

        let writer = Writer::open(dir.path(), at(60)).unwrap();
        assert_eq!(writer.unfinished, [id(1)]);
        let reader = Reader::open(writer.handle().path()).unwrap();
        let run = reader.run(id(1)).unwrap().unwrap();
        assert_eq!((run.state, run.ended_at), (state, Some(at(60))));
        assert_eq!(run.reason.as_deref(), Some(account));
        writer.close().await;
    }
}

#[tokio::test]
async fn a_second_engine_is_refused_by_the_process_id_of_the_first() {
    let dir = TempDir::new().unwrap();
    let (writer, _) = open(&dir);
    let refusal = Writer::open(dir.path(), at(0)).err().unwrap();
    let expected = format!("another engine (process {})", std::process::id());
    assert!(refusal.to_string().contains(&expected), "{refusal}");
    writer.close().await;
    assert!(Writer::open(dir.path(), at(0)).is_ok());
}

#[tokio::test]
async fn others_can_read_neither_the_history_nor_its_directory() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("state");
    let writer = Writer::open(&dir, at(0)).unwrap();
    begin(&writer.handle(), id(1)).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let mut seen = 0;
    for entry in dir.read_dir().unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "database, write-ahead log and lock");
}

#[rstest]
#[case::text(b"this is a text file that somebody put here; it is longer than a header\n".repeat(20), "not a Quarterdeck store")]
#[case::damaged([&b"SQLite format 3\0"[..], &[0xff; 8176]].concat(), "")]
fn a_file_that_is_not_a_store_is_refused_and_left_alone(
    #[case] content: Vec<u8>,
    #[case] says: &str,
) {
    let dir = TempDir::new().unwrap();
    let path = database_path(dir.path());
    std::fs::write(&path, &content).unwrap();
    let refusal = Writer::open(dir.path(), at(0)).err().unwrap();
    assert!(refusal.to_string().contains(says), "{refusal}");
    assert!(Reader::open(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn the_database_of_another_program_is_refused() {
    let dir = TempDir::new().unwrap();
    let path = database_path(dir.path());
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE songs (title TEXT)")
        .unwrap();
    drop(other);
    let refusal = Writer::open(dir.path(), at(0)).err().unwrap();
    assert!(refusal.reason.contains("another program"), "{refusal}");
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_writer_and_reader() {
    let dir = TempDir::new().unwrap();
    drop(Writer::open(dir.path(), at(0)).unwrap());
    let path = database_path(dir.path());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    // The thread of the dropped writer gives up its lock when it ends.
    let refusal = loop {
        let refusal = Writer::open(dir.path(), at(0)).err().unwrap();
        if !refusal.reason.contains("another engine") {
            break refusal;
        }
        std::thread::yield_now();
    };
    assert!(refusal.reason.contains("newer Quarterdeck"), "{refusal}");
    assert!(
        Reader::open(&path)
            .unwrap_err()
            .reason
            .contains("newer Quarterdeck")
    );
}

#[test]
fn reading_where_there_is_no_history_says_so_and_creates_nothing() {
    let dir = TempDir::new().unwrap();
    let path = database_path(dir.path());
    let refusal = Reader::open(&path).unwrap_err();
    assert!(refusal.reason.contains("no history"), "{refusal}");
    assert!(!path.exists());
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refusal = Writer::open(&file.join("state"), at(0)).err().unwrap();
    assert!(
        refusal.to_string().starts_with(&file.display().to_string()),
        "{refusal}"
    );
}

#[tokio::test]
async fn after_closing_sends_are_refused_and_everything_sent_before_is_there() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    for number in 0..100 {
        handle
            .line(line(id(1), None, Stream::Note, number.to_string()))
            .await
            .unwrap();
    }
    writer.close().await;
    assert!(
        handle
            .line(line(id(1), None, Stream::Note, "late"))
            .await
            .is_err()
    );
    assert_eq!(reader.run(id(1)).unwrap().unwrap().lines, 100);
}

#[tokio::test]
async fn the_first_record_of_a_resource_stays_and_is_read_back_in_the_order_of_the_plan() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let store = writer.handle();
    begin(&store, id(1)).await;
    let record = |ordinal, position, label: &str| Remembered {
        ordinal,
        position,
        before: Before::Command {
            label: label.into(),
        },
    };
    let first = [record(0, 1, "b"), record(0, 0, "a"), record(1, 0, "c")];
    for record in first.iter().cloned().chain([record(0, 0, "again")]) {
        store.remember(id(1), record).await.unwrap();
    }
    assert!(store.remember(id(99), record(0, 0, "x")).await.is_err());
    let reader = Reader::open(store.path()).unwrap();
    let read = reader.remembered(id(1)).unwrap();
    assert_eq!(read, [first[1].clone(), first[0].clone(), first[2].clone()]);
    writer.close().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_the_order_and_makes_nothing_end_before_it_began() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let steps = [
        (100, vec![task(0, TaskState::Running)]),
        (20, vec![task(0, TaskState::Ok)]),
    ];
    for (second, changes) in steps {
        handle.commit(id(1), at(second), changes).await.unwrap();
    }
    let ended = Change::Run {
        state: RunState::Failed,
        reason: None,
    };
    handle.commit(id(1), at(-50), vec![ended]).await.unwrap();
    let run = reader.run(id(1)).unwrap().unwrap();
    assert!(run.ended_at >= run.started_at, "{run:?}");
    let first = &reader.tasks(id(1)).unwrap()[0];
    assert_eq!(
        (first.started_at, first.ended_at),
        (Some(at(100)), Some(at(100)))
    );
    let events = reader.events(id(1), 0).unwrap();
    let order: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
}
