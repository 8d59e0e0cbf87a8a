//! `quarterdeck follow`: the journals, or a file, of several nodes, merged by time, until one has seen enough.

use std::fmt::Write as _;

use clap::Args;
use jiff::tz::TimeZone;

use super::exit::{Ended, Exit};
use super::session::{Endings, Session};
use super::{Global, output};
use crate::client::conversation::{
    Conversation, Down, FollowOpening, Followed, Opening, Source, SourceState, SourceWord,
};
use crate::domain::nodeset;
use crate::domain::structured::Level;
use crate::store::Pattern;

/// Flags of `quarterdeck follow`.
#[derive(Debug, Args)]
#[command(after_help = "\
A node whose connection is lost is attached to again where it stopped: journals by their cursor, files by their length. \
Lines are put into the order of their own times as far as they arrive within 0.6 s; later ones come out of order.")]
pub(super) struct FollowArgs {
    /// The nodes, such as pc1 or pc[1-3,5]; default: every node of the environment
    #[arg(value_name = "NODES")]
    nodes: Vec<String>,
    /// Only of these units of the journal
    #[arg(
        long,
        short,
        value_name = "UNIT",
        value_delimiter = ',',
        conflicts_with = "file"
    )]
    unit: Vec<String>,
    /// This file instead of the journal
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Begin with the last N lines of each node
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    lines: u32,
    /// Only lines that contain this text
    #[arg(long, value_name = "TEXT", conflicts_with = "regex")]
    grep: Option<String>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "EXPRESSION")]
    regex: Option<String>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Follows nodes until it is interrupted.
///
/// # Errors
/// When there is no such node, or nothing is left to follow.
pub(super) async fn follow(global: &Global, args: FollowArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "follow").await?;
    let outcome = carry_on(&session, args).await;
    session.close().await;
    outcome
}

async fn carry_on(session: &Session, args: FollowArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    let mut nodes = Vec::new();
    for text in &args.nodes {
        nodes.extend(nodeset::expand(text).map_err(Ended::unusable)?);
    }
    if nodes.is_empty() {
        nodes.extend(environment.nodes.iter().map(|node| node.name.clone()));
    }
    let matcher = match args.regex.as_ref().or(args.grep.as_ref()) {
        None => None,
        Some(text) => {
            let pattern = Pattern {
                text: text.clone(),
                regex: args.regex.is_some(),
                exact: false,
                invert: false,
            };
            Some(pattern.compile().map_err(Ended::unusable)?)
        }
    };
    let width = nodes.iter().map(|name| name.chars().count()).max();
    let opening = FollowOpening {
        environment: environment.name.clone(),
        nodes,
        source: match args.file {
            Some(path) => Source::File { path },
            None => Source::Journal { units: args.unit },
        },
        tail: args.lines,
    };
    let conversation = session
        .client()
        .open(Opening::Follow(opening))
        .await
        .map_err(Ended::refused)?;
    // Kept, because dropping it says that nobody listens any more.
    let Conversation { up: _up, mut down } = conversation;
    let mut endings = Endings::listen();
    let printer = Printer {
        json: args.json,
        colour: output::colour(),
        width: width.unwrap_or(0),
        zone: TimeZone::system(),
    };
    loop {
        let said = tokio::select! {
            said = down.recv() => said,
            _ = endings.next() => return Ok(Exit::Success),
        };
        match said {
            Some(Down::Lines(lines)) => {
                let mut text = String::new();
                let wanted = |line: &&Followed| {
                    matcher
                        .as_ref()
                        .is_none_or(|matcher| matcher.matches(&line.text))
                };
                for line in lines.iter().filter(wanted) {
                    printer.line(line, &mut text)?;
                }
                if !output::write(text.as_bytes())? {
                    return Ok(Exit::Success);
                }
            }
            Some(Down::Source(state)) => remark(&state),
            Some(Down::Ended(ending)) => {
                return Err(Ended::new(Exit::Failed, output::plain(&ending.to_string())).into());
            }
            Some(_) => {}
            None => return Err(Ended::new(Exit::Failed, "lost the engine").into()),
        }
    }
}

/// What should be known of a node; that all is well is not said.
fn remark(state: &SourceState) {
    let reason = state.reason.as_deref().map(output::plain);
    match (state.word, reason) {
        (SourceWord::Lost, reason) => output::remark(&format!(
            "{}: lost, attaching again: {}",
            state.node,
            reason.unwrap_or_default()
        )),
        (SourceWord::Over, reason) => output::remark(&format!(
            "{}: nothing to follow: {}",
            state.node,
            reason.unwrap_or_default()
        )),
        (SourceWord::Following, Some(reason)) => {
            output::remark(&format!("{}: {reason}", state.node));
        }
        (SourceWord::Following | SourceWord::Attaching, _) => {}
    }
}

struct Printer {
    json: bool,
    colour: bool,
    width: usize,
    zone: TimeZone,
}

impl Printer {
    fn line(&self, line: &Followed, text: &mut String) -> serde_json::Result<()> {
        if self.json {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
            return Ok(());
        }
        let time = line.at.unwrap_or(line.arrived);
        let time = time.to_zoned(self.zone.clone());
        let unit = line.unit.as_deref().map(output::plain).unwrap_or_default();
        let separator = if unit.is_empty() { "" } else { ": " };
        let (start, end) = match line.level {
            Some(Level::Error) if self.colour => ("\x1b[31m", "\x1b[0m"),
            Some(Level::Warn) if self.colour => ("\x1b[33m", "\x1b[0m"),
            _ => ("", ""),
        };
        let width = self.width;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:width$} {} {start}{unit}{separator}{}{end}",
            line.node,
            time.strftime("%H:%M:%S%.3f"),
            output::plain(&line.text)
        );
        Ok(())
    }
}
