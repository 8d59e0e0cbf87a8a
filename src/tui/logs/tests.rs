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
            level: None,
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

/// An answer that went towards the beginning.
fn back(range: std::ops::Range<u64>) -> LogPage {
    LogPage {
        reached: range.start,
        done: range.start == 0,
        lines: lines(range),
        found: None,
    }
}

/// An answer that went towards the end.
fn on(range: std::ops::Range<u64>) -> LogPage {
    LogPage {
        reached: range.end,
        done: true,
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
    let next = query(&log.take(&first, Ok(back(0..10)), 5));
    assert_eq!(next.ask, LogAsk::Tail, "thousands behind: jump to the end");
    assert_eq!(log.lag(), 4989);
    assert!(log.take(&next, Ok(back(3999..4999)), 5).is_empty());
    assert_eq!(log.lag(), 0);
    assert_eq!(log.skipped, 3989, "what was passed over is told");
}

#[test]
fn a_few_new_lines_are_appended() {
    let mut log = LogModel::new(LogOwner::Dock);
    let first = query(&log.open(RUN, 10));
    log.take(&first, Ok(back(0..10)), 5);
    let next = query(&log.grew(12));
    assert_eq!(next.ask, LogAsk::After(10));
    log.take(&next, Ok(on(10..12)), 5);
    assert_eq!((log.lines.len(), log.end), (12, 12));
}

#[test]
fn scrolling_up_stops_following_and_reads_backwards_in_a_bounded_window() {
    let mut log = LogModel::new(LogOwner::Run);
    let first = query(&log.open(RUN, 100_000));
    log.take(&first, Ok(back(99_000..100_000)), 20);
    let mut oldest = 99_000;
    let mut effects = log.scroll(-900, 20);
    for _ in 0..8 {
        let asked = query(&effects);
        assert_eq!(asked.ask, LogAsk::Before(oldest));
        log.take(&asked, Ok(back(oldest - 1000..oldest)), 20);
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
    log.take(&first, Ok(back(1000..2000)), 20);
    log.seek("LINE 1500");
    assert!(log.find(true, 20).is_empty());
    assert_eq!(log.found, Some(1500));
    log.seek("line 7");
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
    log.take(&old, Ok(back(0..10)), 5);
    assert!(log.lines.is_empty());
    log.take(&new, Ok(back(0..10)), 5);
    assert_eq!(log.lines.len(), 10);
}

#[test]
fn a_search_through_a_long_log_goes_on_in_pieces_and_stops_when_one_moves() {
    let mut log = LogModel::new(LogOwner::Run);
    let first = query(&log.open(RUN, 1_000_000));
    log.take(&first, Ok(back(999_000..1_000_000)), 20);
    log.seek("~needle [0-9]");
    let mut asked = query(&log.find(true, 20));
    for reached in [800_000, 600_000] {
        let nothing = LogPage {
            reached,
            ..LogPage::default()
        };
        asked = query(&log.take(&asked, Ok(nothing), 20));
        assert!(matches!(asked.ask, LogAsk::Find { from, back: true, .. } if from == reached));
        assert_eq!(log.searching, Some(reached));
    }
    log.scroll(-1, 20);
    assert_eq!(log.searching, None);
    let late = LogPage {
        found: Some(500_000),
        ..back(499_500..500_500)
    };
    log.take(&asked, Ok(late), 20);
    assert_eq!(log.found, None, "nobody waits for it any more");
}

#[test]
fn a_filter_that_passes_few_lines_reads_on_until_the_screen_is_full() {
    let mut log = LogModel::new(LogOwner::Run);
    let first = query(&log.open(RUN, 1_000_000));
    log.take(&first, Ok(back(999_000..1_000_000)), 20);
    let asked = query(&log.narrow("rare"));
    let sparse = |range: std::ops::Range<u64>| LogPage {
        reached: range.start,
        done: range.start == 0,
        lines: lines(range.start + 5..range.start + 6),
        found: None,
    };
    let asked = query(&log.take(&asked, Ok(sparse(800_000..1_000_000)), 20));
    assert_eq!(asked.ask, LogAsk::Before(800_000));
    let effects = log.take(&asked, Ok(sparse(0..800_000)), 20);
    assert!(effects.is_empty(), "the beginning is reached");
    assert_eq!((log.lines.len(), log.start), (2, 0));
}

#[test]
fn a_mistake_in_an_expression_is_told_and_nothing_is_looked_for() {
    let mut log = LogModel::new(LogOwner::Run);
    log.open(RUN, 10);
    log.seek("~a(b");
    assert!(log.find(true, 20).is_empty());
    let trouble = log.trouble.clone().unwrap();
    assert!(trouble.contains("unclosed group (character 2"), "{trouble}");
}
