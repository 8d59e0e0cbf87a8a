//! The audit under the hands of somebody who has the file and means to change the past.

use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::store::{Reader, Writer, database_path};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn ada() -> Operator {
    Operator {
        key: Some("SHA256:abc".into()),
        ..Operator::new("ada", "bastion", 1000)
    }
}

async fn written(dir: &TempDir, count: i64) -> Vec<Record> {
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let mut records = Vec::new();
    for number in 0..count {
        let entry = Entry::new(Act::LockBroken, "done")
            .by(&ada())
            .on(if number % 2 == 0 { "lab" } else { "production" })
            .saying(format!("number {number}"));
        records.push(writer.handle().audit(at(number), entry).await.unwrap());
    }
    writer.close().await;
    records
}

fn reader(dir: &TempDir) -> Reader {
    Reader::open(&database_path(dir.path())).unwrap()
}

/// Changes the past, with the triggers out of the way.
fn tamper(dir: &TempDir, sql: &str) {
    let db = Connection::open(database_path(dir.path())).unwrap();
    db.execute_batch(
        "DROP TRIGGER audit_is_not_edited; DROP TRIGGER audit_is_not_shortened; DROP TRIGGER audit_has_no_gaps;",
    )
    .unwrap();
    db.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn an_audit_that_nobody_touched_is_whole_and_is_read_back_as_it_was_written() {
    let dir = TempDir::new().unwrap();
    let mut records = written(&dir, 5).await;
    let verdict = reader(&dir).verify_audit().unwrap();
    assert!(verdict.is_whole(), "{verdict:?}");
    assert_eq!((verdict.good, &verdict.hash), (5, &records[4].hash));
    records.reverse();
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    assert_eq!(reader(&dir).audit(&filter).unwrap(), records);
}

#[tokio::test]
async fn records_are_found_by_environment_and_operator() {
    let dir = TempDir::new().unwrap();
    written(&dir, 6).await;
    let count = |environment: Option<&str>, who: Option<&str>, limit| {
        let filter = AuditFilter {
            environment: environment.map(Into::into),
            who: who.map(Into::into),
            limit,
        };
        reader(&dir).audit(&filter).unwrap().len()
    };
    assert_eq!(count(Some("production"), None, 10), 3);
    assert_eq!(count(None, Some("ada"), 10), 6);
    assert_eq!(count(None, Some("ada@bastion"), 4), 4);
    assert_eq!(count(None, Some("eve"), 10), 0);
}

#[rstest]
#[case::edited(
    "UPDATE audit SET detail = 'nothing' WHERE seq = 3",
    "record 3 was edited"
)]
#[case::other_operator("UPDATE audit SET user = 'eve' WHERE seq = 1", "record 1 was edited")]
#[case::one_removed("DELETE FROM audit WHERE seq = 2", "record 2 is missing")]
#[case::some_removed("DELETE FROM audit WHERE seq IN (2, 3)", "records 2 to 3 are missing")]
#[case::beginning_removed("DELETE FROM audit WHERE seq < 3", "records 1 to 2 are missing")]
#[case::beginning_removed_and_renumbered(
    "DELETE FROM audit WHERE seq < 3; UPDATE audit SET seq = seq - 2",
    "record 1 was edited"
)]
#[case::reordered(
    "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 99",
    "record 2 was edited"
)]
#[case::tail_cut(
    "DELETE FROM audit WHERE seq > 3",
    "records were cut off: there are 3, and the head knows 5"
)]
#[case::emptied(
    "DELETE FROM audit",
    "records were cut off: there are 0, and the head knows 5"
)]
#[tokio::test]
async fn a_changed_past_is_told_by_its_first_bad_record(#[case] sql: &str, #[case] says: &str) {
    let dir = TempDir::new().unwrap();
    written(&dir, 5).await;
    tamper(&dir, sql);
    let verdict = reader(&dir).verify_audit().unwrap();
    assert!(!verdict.is_whole());
    let flaw = verdict.flaw.unwrap();
    assert!(flaw.starts_with(says), "{flaw}");
}

#[tokio::test]
async fn a_record_replaced_by_one_with_a_right_hash_breaks_the_chain_behind_it() {
    let dir = TempDir::new().unwrap();
    written(&dir, 3).await;
    let db = Connection::open(database_path(dir.path())).unwrap();
    let (mut forged, _) = db
        .query_row(
            &format!("SELECT {COLUMNS} FROM audit WHERE seq = 2"),
            [],
            link,
        )
        .unwrap();
    forged.outcome = "refused".into();
    let hash = forged.hash();
    tamper(&dir, "SELECT 1");
    db.execute(
        "UPDATE audit SET outcome = 'refused', hash = ?1 WHERE seq = 2",
        [hash],
    )
    .unwrap();
    let flaw = reader(&dir).verify_audit().unwrap().flaw.unwrap();
    assert!(
        flaw.starts_with("record 3 does not follow on record 2"),
        "{flaw}"
    );
}

#[tokio::test]
async fn a_chain_written_anew_from_end_to_end_is_told_by_the_head() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    written(&dir, 3).await;
    let writer = Writer::open(other.path(), at(0)).unwrap();
    for _ in 0..3 {
        let entry = Entry::new(Act::Approved, "done");
        writer.handle().audit(at(9), entry).await.unwrap();
    }
    writer.close().await;
    std::fs::copy(database_path(other.path()), database_path(dir.path())).unwrap();
    let flaw = reader(&dir).verify_audit().unwrap().flaw.unwrap();
    assert!(
        flaw.contains("record 3 is not the one that the head knows"),
        "{flaw}"
    );
}

#[tokio::test]
async fn a_crash_between_a_record_and_the_head_is_no_false_alarm() {
    let dir = TempDir::new().unwrap();
    written(&dir, 3).await;
    let head = head::path(&database_path(dir.path()));
    let earlier = std::fs::read(&head).unwrap();
    written(&dir, 2).await;
    std::fs::write(&head, earlier).unwrap();
    assert!(reader(&dir).verify_audit().unwrap().is_whole());
    written(&dir, 1).await;
    let verdict = reader(&dir).verify_audit().unwrap();
    assert!(verdict.is_whole(), "{verdict:?}");
    assert_eq!(verdict.good, 6);
}

#[tokio::test]
async fn a_cut_tail_is_not_covered_up_by_going_on() {
    let dir = TempDir::new().unwrap();
    written(&dir, 5).await;
    tamper(&dir, "DELETE FROM audit WHERE seq > 3");
    written(&dir, 4).await;
    let verdict = reader(&dir).verify_audit().unwrap();
    assert_eq!(verdict.flaw, None, "the chain itself goes on");
    assert!(!verdict.is_whole());
    assert_eq!(
        verdict.earlier,
        ["records were cut off: there are 3, and the head knows 5"]
    );
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };
    let told = reader(&dir).audit(&filter).unwrap();
    assert!(told.iter().any(|record| record.act == "audit-broken"));
}

#[tokio::test]
async fn a_removed_head_is_told_before_and_after_the_next_engine() {
    let dir = TempDir::new().unwrap();
    written(&dir, 2).await;
    std::fs::remove_file(head::path(&database_path(dir.path()))).unwrap();
    let flaw = reader(&dir).verify_audit().unwrap().flaw.unwrap();
    assert!(flaw.starts_with("the head is missing"), "{flaw}");
    written(&dir, 1).await;
    assert!(!reader(&dir).verify_audit().unwrap().is_whole());
}

#[rstest]
#[case("UPDATE audit SET outcome = 'x' WHERE seq = 1")]
#[case("DELETE FROM audit WHERE seq = 2")]
#[case(
    "INSERT OR REPLACE INTO audit SELECT 1, at, user, host, uid, key, act, environment, run, plan_hash, outcome, \
        detail, prev, hash FROM audit WHERE seq = 2"
)]
#[tokio::test]
async fn the_table_refuses_to_be_changed(#[case] sql: &str) {
    let dir = TempDir::new().unwrap();
    written(&dir, 2).await;
    let db = Connection::open(database_path(dir.path())).unwrap();
    let refusal = db.execute_batch(sql).unwrap_err().to_string();
    assert!(refusal.contains("append-only"), "{refusal}");
}
