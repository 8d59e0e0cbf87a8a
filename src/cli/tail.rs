//! `quarterdeck logs`: the log of a run, now or as it grows.
//!
//! Reads the store, not the engine, so it can follow a run that another process owns.

use std::time::Duration;

use clap::Args;

use super::exit::{Ended, Exit};
use super::session::{State, asked_to_end};
use super::{Global, output};
use crate::domain::run::{LogLine, Run, RunState, Stream};
use crate::store::{LineFilter, Reader};

/// Flags of `quarterdeck logs`.
#[derive(Debug, Args)]
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
    /// Only lines that contain this text
    #[arg(long)]
    grep: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Lines read from the store at a time.
const WINDOW: usize = 2_000;

/// Prints the log of a run.
///
/// # Errors
/// When there is no such run or the store cannot be read.
pub(super) async fn logs(global: &Global, args: LogsArgs) -> color_eyre::Result<Exit> {
    let reader = State::of(global)?.reader()?;
    let run = find(&reader, args.run)?;
    let filter = LineFilter {
        step: args.step,
        host: args.host,
        text: args.grep,
        ..LineFilter::default()
    };
    let mut printer = Printer {
        json: args.json,
        width: 0,
    };
    let mut next = 0;
    if let Some(count) = args.lines {
        let tail = reader.lines_before(run.id, None, count, &filter)?;
        next = tail.last().map_or(0, |line| line.seq + 1);
        if !printer.lines(&tail)? {
            return Ok(Exit::Success);
        }
    }
    loop {
        // The state is read before the lines: a run seen as ended has all its lines in the store.
        let run = reader.run(run.id)?.unwrap_or_else(|| run.clone());
        loop {
            let window = reader.lines(run.id, next, WINDOW, &filter)?;
            next = window.last().map_or(next, |line| line.seq + 1);
            if !printer.lines(&window)? {
                return Ok(Exit::Success);
            }
            if window.len() < WINDOW {
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
            () = asked_to_end() => return Ok(Exit::Cancelled),
        }
    }
}

fn find(reader: &Reader, number: Option<i64>) -> color_eyre::Result<Run> {
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
        let mut text = String::new();
        for line in lines {
            if self.json {
                text.push_str(&serde_json::to_string(line)?);
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
                let said = output::plain(&line.text);
                text.extend([format!("{name:width$} {mark} "), said]);
            }
            text.push('\n');
        }
        output::write(text.as_bytes())
    }
}
