//! Searching a log as its readers do.

use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;

use super::*;
use crate::domain::run::Stream;
use crate::domain::structured::Level;
use crate::store::tests::{at, begin, id, line, open, texts};
use crate::store::{LINE_LIMIT, Reader, Writer};

async fn filled(dir: &TempDir, lines: impl IntoIterator<Item = String>) -> Reader {
    let (writer, reader) = open(dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    for (number, text) in lines.into_iter().enumerate() {
        let task = u32::try_from(number % 2).unwrap();
        handle
            .line(line(id(1), Some(task), Stream::Stdout, text))
            .await
            .unwrap();
    }
    handle.flush().await;
    // The writer goes; its lines stay.
    writer.close().await;
    reader
}

fn pattern(typed: &str) -> Pattern {
    Pattern::parse(typed)
}

#[tokio::test]
async fn a_search_goes_on_in_pieces_and_finds_what_one_reading_finds() {
    let dir = TempDir::new().unwrap();
    let reader = filled(&dir, (0..5_000).map(|n| format!("line {n}"))).await;
    let (filter, wanted) = (LineFilter::default(), pattern("~99$"));
    let mut found = Vec::new();
    let mut from = 0;
    let mut pieces = 0;
    loop {
        let window = Window::forward(id(1), from, 3).within(700);
        let slice = reader.search(&window, &filter, &wanted, 0).unwrap();
        assert!(slice.reached > from || slice.done, "every piece gets on");
        found.extend(slice.found.into_iter().map(|hit| hit.line.seq));
        from = slice.reached;
        pieces += 1;
        if slice.done {
            break;
        }
    }
    assert!(pieces > 7, "700 lines at a time: {pieces}");
    let expected: Vec<u64> = (0..50).map(|n| n * 100 + 99).collect();
    assert_eq!(found, expected);
    let mut backwards = Vec::new();
    let mut before = u64::MAX;
    loop {
        let window = Window::backward(id(1), before, 3).within(700);
        let slice = reader.search(&window, &filter, &wanted, 0).unwrap();
        backwards.extend(slice.found.iter().rev().map(|hit| hit.line.seq));
        before = slice.reached;
        if slice.done {
            break;
        }
    }
    backwards.reverse();
    assert_eq!(backwards, expected);
}

#[tokio::test]
async fn a_match_comes_with_the_lines_around_it_that_pass_the_filter() {
    let dir = TempDir::new().unwrap();
    let reader = filled(&dir, (0..20).map(|n| format!("line {n}"))).await;
    let filter = LineFilter {
        host: Some("pc1".into()),
        ..LineFilter::default()
    };
    let window = Window::forward(id(1), 0, 10);
    let slice = reader
        .search(&window, &filter, &pattern("line 10"), 2)
        .unwrap();
    let [hit] = &slice.found[..] else {
        panic!("{slice:?}")
    };
    assert_eq!(texts(&hit.before), ["line 6", "line 8"]);
    assert_eq!(hit.line.text, "line 10");
    assert_eq!(texts(&hit.after), ["line 12", "line 14"]);
}

#[rstest]
#[case::error(Some(Level::Error), 1)]
#[case::warnings_too(Some(Level::Warn), 2)]
#[case::information_too(Some(Level::Info), 3)]
#[case::all(None, 5)]
#[tokio::test]
async fn a_level_means_so_much_or_more(#[case] level: Option<Level>, #[case] count: usize) {
    let dir = TempDir::new().unwrap();
    let said = [
        "plain words",
        "level=debug msg=x",
        "[INFO] started",
        "WARN: disk is filling",
        r#"{"level":"error","msg":"failed"}"#,
    ];
    let reader = filled(&dir, said.map(String::from)).await;
    let filter = LineFilter {
        level,
        ..LineFilter::default()
    };
    assert_eq!(reader.lines(id(1), 0, 10, &filter).unwrap().len(), count);
}

#[tokio::test]
async fn a_span_of_time_holds_also_when_the_clock_jumped_back_and_the_order_is_kept() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    for (second, text) in [(10, "one"), (20, "two"), (5, "three"), (6, "four")] {
        let mut line = line(id(1), None, Stream::Note, text);
        line.at = at(second);
        handle.line(line).await.unwrap();
    }
    handle.flush().await;
    let all = reader.lines(id(1), 0, 10, &LineFilter::default()).unwrap();
    assert_eq!(texts(&all), ["one", "two", "three", "four"]);
    let filter = LineFilter {
        since: Some(at(6)),
        until: Some(at(20)),
        ..LineFilter::default()
    };
    let found = reader.lines(id(1), 0, 10, &filter).unwrap();
    assert_eq!(texts(&found), ["one", "four"]);
}

#[tokio::test]
async fn a_line_of_ten_megabytes_and_binary_junk_are_kept_whole_and_found() {
    let dir = TempDir::new().unwrap();
    let (writer, reader) = open(&dir);
    let handle = writer.handle();
    begin(&handle, id(1)).await;
    let mut long = "x".repeat(10 * 1024 * 1024);
    long.push_str("needle");
    let junk = String::from_utf8_lossy(&(0..=255).collect::<Vec<u8>>()).into_owned();
    for text in [long.clone(), junk.clone()] {
        let line = line(id(1), None, Stream::Stdout, text);
        handle.line(line).await.unwrap();
    }
    handle.flush().await;
    let lines = reader
        .lines(id(1), 0, 1_000, &LineFilter::default())
        .unwrap();
    assert_eq!(lines.last().unwrap().text, junk.replace('\0', "␀"));
    assert!(lines.iter().all(|line| line.text.len() <= LINE_LIMIT));
    let kept: usize = lines[..lines.len() - 1]
        .iter()
        .map(|line| line.text.trim_end_matches(super::super::CONTINUED).len())
        .sum();
    assert_eq!(kept, long.len());
    let slice = reader
        .search(
            &Window::forward(id(1), 0, 10),
            &LineFilter::default(),
            &pattern("~needle$"),
            0,
        )
        .unwrap();
    assert_eq!(slice.found.len(), 1);
}

#[tokio::test]
async fn an_expression_that_is_none_is_an_error_with_its_place() {
    let dir = TempDir::new().unwrap();
    let writer = Writer::open(dir.path(), at(0)).unwrap();
    let reader = Reader::open(writer.handle().path()).unwrap();
    let window = Window::forward(id(1), 0, 10);
    let error = reader
        .search(&window, &LineFilter::default(), &pattern("~[a"), 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unclosed character class (character 1"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn a_search_finds_exactly_what_comparing_every_line_finds(
        lines in prop::collection::vec("[a-cA-C \u{1b}äÄ]{0,8}", 1..60),
        text in "[a-cä]{1,3}",
        rows in 1_u64..20,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let dir = TempDir::new().unwrap();
        let reader = runtime.block_on(filled(&dir, lines.clone()));
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let window = Window::forward(id(1), from, 4).within(rows);
            let slice = reader.search(&window, &LineFilter::default(), &pattern(&text), 0).unwrap();
            found.extend(slice.found.into_iter().map(|hit| hit.line.seq));
            from = slice.reached;
            if slice.done { break; }
        }
        let expected: Vec<u64> = (0..).zip(&lines)
            .filter(|(_, line)| crate::domain::structured::strip(line).to_lowercase().contains(&text))
            .map(|(seq, _)| seq)
            .collect();
        prop_assert_eq!(found, expected);
    }
}
