//! Who may open a store, what is refused as none, and what becomes of it at the end.

use std::os::unix::fs::PermissionsExt;

use rstest::rstest;

use super::*;

#[tokio::test]
async fn a_second_engine_is_refused_by_the_process_id_of_the_first() {
    let dir = TempDir::new().unwrap();
    let (writer, _) = open(&dir);
    let refusal = Writer::open(dir.path(), at(0)).err().unwrap();
    let expected = format!("another engine (process {})", std::process::id());
    assert!(refusal.to_string().contains(&expected), "{refusal}");
    assert!(refusal.is_taken);
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
