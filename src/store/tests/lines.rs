//! Log lines: their order, the searches over them, and what is told of them.

use rstest::rstest;

use super::*;

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
