//! How a window of a log follows, scrolls and searches.

use jiff::Timestamp;

use super::*;

const RUN: RunId = RunId(uuid::Uuid::nil());

fn lines(range: std::ops::Range<u64>) -> Vec<LogLine> {
    range
        .map(|seq| LogLine {
            seq,
            at: Timestamp::UNIX_EPOCH,
            task: None,
            stream: Stream::Stdout,
            text: format!("line {seq}"),
        })
        .collect()
}

fn query(effects: &[Effect]) -> LogQuery {
    match effects {
        [Effect::Lines(query)] => query.clone(),
        other => panic!("expected one query, got {other:?}"),
    }
}

fn page(range: std::ops::Range<u64>) -> LogPage {
    LogPage {
        lines: lines(range),
        found: None,
    }
}

#[test]
fn a_flood_is_followed_with_one_question_at_a_time() {
    let mut log = LogModel::new(LogOwner::Dock);
    let first = query(&log.open(RUN, 10));
    assert_eq!(first.ask, LogAsk::Tail);
    for total in 11..5000 {
        assert!(log.grew(total).is_empty());
    }
    let next = query(&log.take(&first, Ok(page(0..10)), 5));
    assert_eq!(next.ask, LogAsk::Tail, "thousands behind: jump to the end");
    assert_eq!(log.lag(), 4989);
    assert!(log.take(&next, Ok(page(3999..4999)), 5).is_empty());
    assert_eq!(log.lag(), 0);
}

#[test]
fn a_few_new_lines_are_appended() {
    let mut log = LogModel::new(LogOwner::Dock);
    let first = query(&log.open(RUN, 10));
    log.take(&first, Ok(page(0..10)), 5);
    let next = query(&log.grew(12));
    assert_eq!(next.ask, LogAsk::After(10));
    log.take(&next, Ok(page(10..12)), 5);
    assert_eq!((log.lines.len(), log.end), (12, 12));
}

#[test]
fn scrolling_up_stops_following_and_reads_backwards_in_a_bounded_window() {
    let mut log = LogModel::new(LogOwner::Run);
    let first = query(&log.open(RUN, 100_000));
    log.take(&first, Ok(page(99_000..100_000)), 20);
    let mut oldest = 99_000;
    let mut effects = log.scroll(-900, 20);
    for _ in 0..8 {
        let asked = query(&effects);
        assert_eq!(asked.ask, LogAsk::Before(oldest));
        log.take(&asked, Ok(page(oldest - 1000..oldest)), 20);
        oldest -= 1000;
        effects = log.scroll(-1000, 20);
    }
    assert!(!log.follow);
    assert!(log.lines.len() <= WINDOW);
    assert_eq!(log.lines.front().map(|line| line.seq), Some(oldest));
}

#[test]
fn searching_leaves_the_window_only_when_it_must() {
    let mut log = LogModel::new(LogOwner::Run);
    let first = query(&log.open(RUN, 2000));
    log.take(&first, Ok(page(1000..2000)), 20);
    log.needle = "LINE 1500".into();
    assert!(log.find(true, 20).is_empty());
    assert_eq!(log.found, Some(1500));
    log.needle = "line 7".into();
    log.found = Some(1000);
    let asked = query(&log.find(true, 20));
    assert!(matches!(
        asked.ask,
        LogAsk::Find {
            from: 1000,
            back: true,
            ..
        }
    ));
}

#[test]
fn an_answer_to_an_old_question_is_ignored() {
    let mut log = LogModel::new(LogOwner::Run);
    let old = query(&log.open(RUN, 10));
    let new = query(&log.restart());
    log.take(&old, Ok(page(0..10)), 5);
    assert!(log.lines.is_empty());
    log.take(&new, Ok(page(0..10)), 5);
    assert_eq!(log.lines.len(), 10);
}
