//! `quarterdeck logs`: the log of a run, now or as it grows, filtered and searched.
//!
//! Reads the store, not the engine, so it can follow a run that another process owns.

use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::exit::{Ended, Exit};
use super::session::{Endings, State};
use super::{Global, output};
use crate::domain::run::{LogLine, Run, RunId, RunState, Stream};
use crate::domain::structured::{Columns, Level};
use crate::store::{LineFilter, Pattern, Reader, Window};

/// Flags of `quarterdeck logs`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the operator"
)]
pub(super) struct LogsArgs {
    /// Number of the run; default: the newest
    run: Option<i64>,
    /// Go on until the run has ended
    #[arg(long, short)]
    follow: bool,
    /// Only the last N lines to begin with
    #[arg(long, short = 'n', value_name = "N")]
    lines: Option<usize>,
    /// Only lines of this step
    #[arg(long)]
    step: Option<String>,
    /// Only lines of this node
    #[arg(long)]
    host: Option<String>,
    /// Only lines from here; may be given several times
    #[arg(long, value_enum)]
    stream: Vec<From>,
    /// Only lines that say that they matter so much, or more
    #[arg(long, value_enum)]
    level: Option<AtLeast>,
    /// Only lines that arrived since: a time (2026-11-21T13:00:00Z), or so long ago (90s, 15m, 2h)
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only lines that arrived before: as --since
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT", conflicts_with = "regex")]
    grep: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "EXPRESSION")]
    regex: Option<String>,
    /// Let letter case count in --grep and --regex
    #[arg(long)]
    case_sensitive: bool,
    /// Only lines that --grep or --regex does not find
    #[arg(long)]
    invert: bool,
    /// Print N lines around each that --grep or --regex finds
    #[arg(long, short = 'C', value_name = "N", conflicts_with_all = ["follow", "lines", "json"])]
    context: Option<usize>,
    /// Take JSON, logfmt and hclog lines apart: time, level, message, other fields
    #[arg(long)]
    columns: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// [`Stream`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    Stdout,
    Stderr,
    Note,
    Diff,
}

/// [`Level`] on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum AtLeast {
    Debug,
    Info,
    Warn,
    Error,
}

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Lines read from the store at a time.
const WINDOW: usize = 2_000;
/// Lines looked at at a time; an interrupt is heard in between.
const ROWS: u64 = 200_000;

impl LogsArgs {
    fn pattern(&self) -> color_eyre::Result<Option<Pattern>> {
        let Some(text) = self.regex.as_ref().or(self.grep.as_ref()) else {
            if self.context.is_some() || self.invert || self.case_sensitive {
                let message = "--context, --invert and --case-sensitive say how to search; say with --grep or --regex for what";
                return Err(Ended::unusable(message).into());
            }
            return Ok(None);
        };
        let pattern = Pattern {
            text: text.clone(),
            regex: self.regex.is_some(),
            exact: self.case_sensitive,
            invert: self.invert,
        };
        pattern.compile().map_err(Ended::unusable)?;
        Ok(Some(pattern))
    }

    fn filter(&self) -> LineFilter {
        LineFilter {
            step: self.step.clone(),
            host: self.host.clone(),
            streams: self
                .stream
                .iter()
                .map(|stream| match stream {
                    From::Stdout => Stream::Stdout,
                    From::Stderr => Stream::Stderr,
                    From::Note => Stream::Note,
                    From::Diff => Stream::Diff,
                })
                .collect(),
            level: self.level.map(|level| match level {
                AtLeast::Debug => Level::Debug,
                AtLeast::Info => Level::Info,
                AtLeast::Warn => Level::Warn,
                AtLeast::Error => Level::Error,
            }),
            since: self.since,
            until: self.until,
            text: None,
        }
    }
}

/// A point in time, or how long ago.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let expected =
        "expected a time such as 2026-11-21T13:00:00Z, or how long ago, such as 90s, 15m, 2h";
    let ago: SignedDuration = text.parse().map_err(|_| expected.to_owned())?;
    Timestamp::now()
        .checked_sub(ago.abs())
        .map_err(|error| format!("{error}; {expected}"))
}

/// Prints the log of a run.
///
/// # Errors
/// When there is no such run or the store cannot be read.
pub(super) async fn logs(global: &Global, args: LogsArgs) -> color_eyre::Result<Exit> {
    let pattern = args.pattern()?;
    let reader = State::of(global)?.reader()?;
    let run = find(&reader, args.run)?;
    let mut printer = Printer {
        json: args.json,
        columns: args.columns,
        width: 0,
    };
    let mut filter = args.filter();
    if let (Some(pattern), Some(context)) = (&pattern, args.context) {
        return in_context(&reader, run.id, &filter, pattern, context, &mut printer);
    }
    filter.text = pattern;
    let mut next = 0;
    if let Some(count) = args.lines {
        // What is in the store now; what comes later is read on from here.
        let total = reader.run(run.id)?.map_or(0, |run| run.lines);
        let tail = reader.lines_before(run.id, Some(total), count, &filter)?;
        next = total;
        if !printer.lines(&tail)? {
            return Ok(Exit::Success);
        }
    }
    // Only once the log is waited for: until then ctrl-c ends the program by itself.
    let mut endings: Option<Endings> = None;
    loop {
        // The state is read before the lines: a run seen as ended has all its lines in the store.
        let run = reader.run(run.id)?.unwrap_or_else(|| run.clone());
        loop {
            let window = Window::forward(run.id, next, WINDOW).within(ROWS);
            let slice = reader.slice(&window, &filter)?;
            next = slice.reached;
            if !printer.lines(&slice.found)? {
                return Ok(Exit::Success);
            }
            if slice.done {
                break;
            }
        }
        if !args.follow || run.state.is_final() {
            return Ok(if args.follow {
                exit_of(run.state)
            } else {
                Exit::Success
            });
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = endings.get_or_insert_with(Endings::listen).next() => return Ok(Exit::Cancelled),
        }
    }
}

/// Prints what is found with the lines around it, as grep does: overlapping groups as one, `--` between others.
fn in_context(
    reader: &Reader,
    run: RunId,
    filter: &LineFilter,
    pattern: &Pattern,
    context: usize,
    printer: &mut Printer,
) -> color_eyre::Result<Exit> {
    let mut next = 0;
    // The line after the last that was printed.
    let mut printed: Option<u64> = None;
    loop {
        let window = Window::forward(run, next, WINDOW).within(ROWS);
        let slice = reader.search(&window, filter, pattern, context)?;
        for hit in slice.found {
            let group = hit.before.into_iter().chain([hit.line]).chain(hit.after);
            let fresh: Vec<LogLine> = group
                .filter(|line| printed.is_none_or(|printed| line.seq >= printed))
                .collect();
            let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else {
                continue;
            };
            if printed.is_some_and(|printed| first.seq > printed) && !output::write(b"--\n")? {
                return Ok(Exit::Success);
            }
            printed = Some(last.seq + 1);
            if !printer.lines(&fresh)? {
                return Ok(Exit::Success);
            }
        }
        if slice.done {
            return Ok(Exit::Success);
        }
        next = slice.reached;
    }
}

/// The run with this number, or the newest.
///
/// # Errors
/// [`Exit::Failed`] when there is none.
pub(super) fn find(reader: &Reader, number: Option<i64>) -> color_eyre::Result<Run> {
    let found = match number {
        Some(number) => reader.run_by_number(number)?,
        None => reader.runs(1)?.into_iter().next(),
    };
    found.ok_or_else(|| {
        let message = match number {
            Some(number) => {
                format!("there is no run {number}; `quarterdeck runs` lists those there are")
            }
            None => {
                "there are no runs yet; `quarterdeck run deploy --dry-run` would be a first one"
                    .into()
            }
        };
        Ended::new(Exit::Failed, message).into()
    })
}

/// The exit status that tells how a run ended.
pub(super) const fn exit_of(state: RunState) -> Exit {
    match state {
        RunState::Succeeded => Exit::Success,
        RunState::Cancelled => Exit::Cancelled,
        _ => Exit::Failed,
    }
}

/// Prints log lines, the task's name in a column that widens as it must.
pub(super) struct Printer {
    /// One JSON object per line instead.
    pub(super) json: bool,
    /// Whether JSON, logfmt and hclog lines are taken apart.
    pub(super) columns: bool,
    /// Width of the widest name so far.
    pub(super) width: usize,
}

impl Printer {
    /// Prints lines in order; `false` when nobody reads them any more.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(super) fn lines(&mut self, lines: &[LogLine]) -> std::io::Result<bool> {
        if lines.is_empty() {
            return Ok(true);
        }
        output::write(self.text(lines)?.as_bytes())
    }

    /// Lines in order, as they are printed.
    ///
    /// # Errors
    /// When a line cannot be written as JSON.
    pub(super) fn text(&mut self, lines: &[LogLine]) -> serde_json::Result<String> {
        let mut text = String::new();
        for line in lines {
            let columns = self.columns.then(|| Columns::of(&line.text)).flatten();
            if self.json {
                text.push_str(&serde_json::to_string(&Told { line, columns })?);
            } else {
                let name = line
                    .task
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                self.width = self.width.max(name.chars().count());
                let mark = match line.stream {
                    Stream::Stdout => '|',
                    Stream::Stderr => '!',
                    Stream::Note => ' ',
                    Stream::Diff => '~',
                };
                let width = self.width;
                let said = match columns {
                    Some(columns) => output::plain(&row(&columns)),
                    None => output::plain(&line.text),
                };
                text.extend([format!("{name:width$} {mark} "), said]);
            }
            text.push('\n');
        }
        Ok(text)
    }
}

/// A line as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    line: &'a LogLine,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Columns>,
}

/// Time, level and message in columns, then the other fields.
fn row(columns: &Columns) -> String {
    let time = columns.time.as_deref().unwrap_or("-");
    let level = columns.level.map_or("-", Level::word);
    let message = columns.message.as_deref().unwrap_or_default();
    let fields: Vec<String> = columns
        .fields
        .iter()
        .map(|(key, value)| format!("  {key}={value}"))
        .collect();
    format!("{time:<24} {level:<5} {message}{}", fields.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let at = moment("2026-11-21T13:00:00Z").unwrap();
        assert_eq!(at.as_second(), 1_795_266_000);
        let ago = moment("15m").unwrap();
        let passed = Timestamp::now().duration_since(ago).as_secs();
        assert!((900..960).contains(&passed), "{passed}");
        assert!(moment("yesterday").unwrap_err().contains("such as"));
    }
}
