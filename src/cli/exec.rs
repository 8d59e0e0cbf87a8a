//! `quarterdeck exec`: one command on many nodes, the answers grouped. It is a run: gated, logged, audited, cancellable.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::{Value, json};

use super::exit::{Ended, Exit};
use super::follow::{Planned, Watch, plan};
use super::session::Session;
use super::{Global, output};
use crate::domain::answers::{End, Group, Told, told};
use crate::domain::nodeset;
use crate::domain::plan::{Limits, PlanRequest};
use crate::domain::run::{Run, RunState, Stream};
use crate::transport::quote;

/// Flags of `quarterdeck exec`.
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
#[command(after_help = "\
One word after -- is a shell command, such as 'uname -r; uptime'; several are run as they are. The exit status is 0 when the \
command ended with 0 on every node, else 1.")]
pub(super) struct ExecArgs {
    /// Only on these nodes: names such as pc1 or pc[1-3,5], or a group such as 'role:vault and not pc1'; default: all
    #[arg(long, value_name = "NODES")]
    on: Vec<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// As root instead of the login user
    #[arg(long)]
    root: bool,
    /// At most so many nodes at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    at_once: Option<u32>,
    /// The longest it may take on a node, such as 30s or 1h
    #[arg(long, value_name = "TIME")]
    timeout: Option<String>,
    /// Show answers that differ from the most frequent one as differences to it
    #[arg(long)]
    diff: bool,
    /// Say yes where the environment asks for a confirmation
    #[arg(long, short)]
    yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Print one JSON object with the run and the grouped answers
    #[arg(long)]
    json: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs a command on nodes and prints the grouped answers.
///
/// # Errors
/// When it cannot be planned or started; [`Exit::Failed`] when it failed on a node.
pub(super) async fn exec(global: &Global, args: ExecArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "exec").await?;
    let outcome = carry_out(&session, args).await;
    session.close().await;
    outcome
}

async fn carry_out(session: &Session, args: ExecArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?;
    let mut nodes = Vec::new();
    for text in &args.on {
        if text.contains('[') {
            nodes.extend(nodeset::expand(text).map_err(Ended::unusable)?);
        } else {
            nodes.push(text.clone());
        }
    }
    let command = match args.command.as_slice() {
        [line] => line.clone(),
        words => quote(words),
    };
    let request = PlanRequest {
        environment: environment.name.clone(),
        recipe: "exec".into(),
        params: BTreeMap::from([
            ("command".to_owned(), Value::from(command)),
            ("root".to_owned(), Value::from(args.root)),
        ]),
        nodes,
        limits: Limits {
            at_once: args.at_once,
            timeout: args.timeout,
            ..Limits::default()
        },
        ..PlanRequest::default()
    };
    let planned: Planned = plan(session.client(), request).await?;
    for caution in &planned.plan.cautions {
        output::remark(&format!("note: {}", output::plain(caution)));
    }
    let live = std::io::stderr().is_terminal() && !args.json;
    let watch = Watch::start(session, planned, args.yes, args.confirm).await?;
    let Some(run) = watch.until_the_end(|run| progress(run, live)).await? else {
        return Ok(Exit::Cancelled);
    };
    clear(live);
    let groups = groups(session, &run).await?;
    if args.json {
        output::json(
            &json!({ "run": run, "answers": groups.iter().map(shown).collect::<Vec<_>>() }),
        )?;
    } else {
        print(&groups, args.diff)?;
        output::remark(&format!("run {} {}", run.number, run.state));
    }
    Ok(match run.state {
        RunState::Succeeded => Exit::Success,
        RunState::Cancelled => Exit::Cancelled,
        _ => Exit::Failed,
    })
}

fn progress(run: &Run, live: bool) {
    if live {
        let tally = run.tally;
        let text = format!(
            "\r\x1b[K{} of {} nodes, {} failed",
            tally.done(),
            tally.total(),
            tally.failed
        );
        output::hint(&text);
    }
}

fn clear(live: bool) {
    if live {
        output::hint("\r\x1b[K");
    }
}

async fn groups(session: &Session, run: &Run) -> color_eyre::Result<Vec<Group>> {
    let (history, id) = (session.client().history.clone(), run.id);
    Ok(tokio::task::spawn_blocking(move || history.answers(id)).await??)
}

/// A group as JSON.
fn shown(group: &Group) -> Value {
    let of = |wanted: Stream| -> Vec<&str> {
        let lines = group.lines.iter().filter(|(stream, _)| *stream == wanted);
        lines.map(|(_, text)| text.as_str()).collect()
    };
    let (end, reason) = match &group.end {
        End::Well => ("exit status 0", None),
        End::Badly(exit) => (exit.as_str(), None),
        End::Not(reason) => ("did not run", Some(reason)),
    };
    json!({
        "nodes": group.nodes,
        "folded": nodeset::fold(group.nodes.iter().map(String::as_str)),
        "end": end,
        "reason": reason,
        "stdout": of(Stream::Stdout),
        "stderr": of(Stream::Stderr),
        "more_lines": group.more,
    })
}

fn print(groups: &[Group], diff: bool) -> std::io::Result<()> {
    let mut text = Vec::new();
    for (what, line) in told(groups, diff) {
        let line = output::plain(&line);
        match what {
            Told::Heading if output::colour() => writeln!(text, "\x1b[1m{line}\x1b[0m")?,
            Told::Heading => writeln!(text, "{line}")?,
            Told::Said => writeln!(text, "  {line}")?,
        }
    }
    output::bytes(&text)
}
