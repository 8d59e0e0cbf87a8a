//! `quarterdeck runs export`: a run as one file, to be kept, sent or read elsewhere.
//!
//! The file appears whole or not at all, and only its owner can read it. What is in it was redacted when it was stored.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::{Ended, Exit};
use super::session::State;
use super::tail::{self, Printer};
use super::{Global, output};
use crate::domain::run::{Run, RunChange, RunEvent, Task};
use crate::store::{LineFilter, Reader, StoreError, Window};

/// Flags of `quarterdeck runs export`.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Number of the run
    run: i64,
    /// The log as text, the log as JSON lines, or everything as a tar.gz
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to; default: standard output, except for tar
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Jsonl,
    Tar,
}

/// Lines read from the store at a time.
const PAGE: usize = 5_000;

/// Writes a run to a file.
///
/// # Errors
/// When there is no such run, it cannot be read, or the file cannot be written.
pub(super) async fn export(global: &Global, args: ExportArgs) -> color_eyre::Result<Exit> {
    let reader = State::of(global)?.reader()?;
    let run = tail::find(&reader, Some(args.run))?;
    if args.output.is_none() && args.format == Format::Tar {
        return Err(Ended::unusable("say with --output where the archive shall go").into());
    }
    let state = run.state;
    tokio::task::spawn_blocking(move || match &args.output {
        Some(path) => to_file(&reader, &run, args.format, path, args.force),
        None => to_pipe(&reader, &run, args.format),
    })
    .await??;
    if !state.is_final() {
        output::remark(&format!(
            "run {} is {state}: this is what it had said so far",
            args.run
        ));
    }
    Ok(Exit::Success)
}

fn to_pipe(reader: &Reader, run: &Run, format: Format) -> color_eyre::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match log(reader, run, format == Format::Jsonl, &mut out).and_then(|()| Ok(out.flush()?)) {
        // The reader has seen enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        other => other,
    }
}

fn to_file(
    reader: &Reader,
    run: &Run,
    format: Format,
    path: &Path,
    force: bool,
) -> color_eyre::Result<()> {
    if !force && path.exists() {
        let message = format!("{} is there already; --force replaces it", path.display());
        return Err(Ended::new(Exit::Refused, message).into());
    }
    let unusable =
        |error: io::Error| Ended::new(Exit::Failed, format!("{}: {error}", path.display()));
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Created with mode 0600; gone again when anything fails before the last step.
    let mut next = tempfile::NamedTempFile::new_in(directory).map_err(unusable)?;
    {
        let mut out = BufWriter::new(next.as_file_mut());
        match format {
            Format::Text => log(reader, run, false, &mut out)?,
            Format::Jsonl => log(reader, run, true, &mut out)?,
            Format::Tar => archive(reader, run, &mut out)?,
        }
        out.flush().map_err(unusable)?;
    }
    next.as_file().sync_all().map_err(unusable)?;
    let persisted = if force {
        next.persist(path).map(drop)
    } else {
        next.persist_noclobber(path).map(drop)
    };
    persisted.map_err(|error| unusable(error.error))?;
    Ok(())
}

/// Everything that the store has of a run, as `run-N/…` in a tar.gz.
fn archive(reader: &Reader, run: &Run, out: &mut impl Write) -> color_eyre::Result<()> {
    let tasks = reader.tasks(run.id)?;
    let events = reader.events(run.id, 0)?;
    let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    let mut member = |name: &str, content: &mut File| -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.metadata()?.len());
        header.set_mtime(u64::try_from(run.created_at.as_second()).unwrap_or(0));
        content.rewind()?;
        tar.append_data(&mut header, format!("run-{}/{name}", run.number), content)
    };
    member(
        "report.txt",
        &mut filled(|out| Ok(out.write_all(report(run, &tasks, &events).as_bytes())?))?,
    )?;
    member("run.json", &mut filled(|out| json(out, run))?)?;
    member(
        "plan.json",
        &mut filled(|out| json(out, &reader.plan(run.id)?))?,
    )?;
    member("tasks.json", &mut filled(|out| json(out, &tasks))?)?;
    member(
        "events.jsonl",
        &mut filled(|out| events.iter().try_for_each(|event| line(out, event)))?,
    )?;
    member("log.jsonl", &mut filled(|out| log(reader, run, true, out))?)?;
    member("log.txt", &mut filled(|out| log(reader, run, false, out))?)?;
    tar.into_inner()?.finish()?;
    Ok(())
}

/// A nameless file with this content: an archive wants to know a member's size before the member.
fn filled(
    fill: impl FnOnce(&mut BufWriter<&File>) -> color_eyre::Result<()>,
) -> color_eyre::Result<File> {
    let file = tempfile::tempfile()?;
    let mut out = BufWriter::new(&file);
    fill(&mut out)?;
    out.flush()?;
    drop(out);
    Ok(file)
}

fn json(out: &mut impl Write, value: &impl Serialize) -> color_eyre::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(out.write_all(b"\n")?)
}

fn line(out: &mut impl Write, value: &impl Serialize) -> color_eyre::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(out.write_all(b"\n")?)
}

/// The log, a page at a time.
fn log(reader: &Reader, run: &Run, json: bool, out: &mut impl Write) -> color_eyre::Result<()> {
    let mut printer = Printer {
        json,
        columns: false,
        width: 0,
    };
    let mut from = 0;
    loop {
        let page: Result<_, StoreError> =
            reader.slice(&Window::forward(run.id, from, PAGE), &LineFilter::default());
        let page = page?;
        out.write_all(printer.text(&page.found)?.as_bytes())?;
        if page.done {
            return Ok(());
        }
        from = page.reached;
    }
}

/// What a person wants to know first.
fn report(run: &Run, tasks: &[Task], events: &[RunEvent]) -> String {
    let stamp = |at: Option<Timestamp>| {
        at.map_or_else(
            || "-".into(),
            |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        )
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Run {}: {}", run.number, run.title);
    for (name, value) in [
        ("state", run.state.to_string()),
        ("why", run.reason.clone().unwrap_or_else(|| "-".into())),
        ("recipe", run.recipe.clone()),
        ("environment", run.environment.clone()),
        ("dry run", if run.dry_run { "yes" } else { "no" }.into()),
        ("started by", run.started_by.clone()),
        ("accepted", stamp(Some(run.created_at))),
        ("began", stamp(run.started_at)),
        ("ended", stamp(run.ended_at)),
        ("plan", run.plan_hash.clone()),
        ("id", run.id.to_string()),
        ("log lines", run.lines.to_string()),
    ] {
        let _ = writeln!(text, "{name:<12} {}", output::plain(&value));
    }
    let width = tasks
        .iter()
        .map(|task| task.key.to_string().chars().count());
    let width = width.max().unwrap_or(0);
    let _ = writeln!(text, "\nTasks");
    for task in tasks {
        let (key, state) = (task.key.to_string(), task.state);
        let reason = output::plain(task.reason.as_deref().unwrap_or_default());
        let told = format!(
            "{key:width$}  {state:<9}  tries {}  {}  {reason}",
            task.attempts,
            stamp(task.ended_at)
        );
        let _ = writeln!(text, "{}", told.trim_end());
    }
    let _ = writeln!(text, "\nEvents");
    for event in events {
        let (what, reason) = match &event.change {
            RunChange::Run { state, reason } => (format!("run {state}"), reason),
            RunChange::Task {
                key, state, reason, ..
            } => (format!("{key} {state}"), reason),
        };
        let reason = output::plain(reason.as_deref().unwrap_or_default());
        let told = format!("{}  {what}  {reason}", stamp(Some(event.at)));
        let _ = writeln!(text, "{}", told.trim_end());
    }
    text
}
