//! `quarterdeck facts`: what nodes are and how they fare, everything that the probe brings home.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::exit::{Ended, Exit};
use super::look::settle;
use super::session::Session;
use super::{Global, output};
use crate::client::{Request, Response};
use crate::domain::environment::Environment;
use crate::domain::history::Point;
use crate::domain::live::{NodeReport, Observed};
use crate::domain::table::{Cell, Table, Tone};

/// Flags of `quarterdeck facts`.
#[derive(Debug, Args)]
pub(super) struct FactsArgs {
    /// The nodes; default: all of the environment
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// How many seconds to wait for answers
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// With --json: also how the nodes fared lately, as long as the engine has watched them
    #[arg(long, requires = "json")]
    history: bool,
}

/// A node as JSON.
#[derive(Serialize)]
struct Known {
    name: String,
    #[serde(flatten)]
    observed: Observed<NodeReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Point>>,
}

/// Asks nodes what they are and prints it.
///
/// # Errors
/// When the workspace cannot be used, or has no such node.
pub(super) async fn facts(global: &Global, args: &FactsArgs) -> color_eyre::Result<Exit> {
    let session = Session::observe(global, "facts").await?;
    let environment = chosen(
        session.environment(args.environment.as_deref())?,
        &args.nodes,
    )?;
    let live = settle(&session, &environment, Duration::from_secs(args.wait)).await?;
    let mut history = if args.history {
        history(&session, &environment.name).await?
    } else {
        BTreeMap::new()
    };
    session.close().await;
    let known: Vec<Known> = environment
        .nodes
        .iter()
        .map(|node| Known {
            name: node.name.clone(),
            observed: live.nodes.get(&node.name).cloned().unwrap_or_default(),
            history: args
                .history
                .then(|| history.remove(&node.name).unwrap_or_default()),
        })
        .collect();
    if args.json {
        output::json(&known)?;
    } else {
        output::table(&table(&known))?;
    }
    let all_well = known.iter().all(|node| node.observed.fresh().is_some());
    Ok(if all_well {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// The environment with only the nodes that were asked for, and nothing else to wait for.
fn chosen(environment: &Environment, names: &[String]) -> color_eyre::Result<Environment> {
    let mut chosen = environment.clone();
    chosen.services.clear();
    if let Some(unknown) = names.iter().find(|name| environment.node(name).is_none()) {
        let known: Vec<&str> = environment
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        let message = format!(
            "{} has no node {unknown:?}; it has: {}",
            environment.name,
            known.join(", ")
        );
        return Err(Ended::unusable(message).into());
    }
    if !names.is_empty() {
        chosen.nodes.retain(|node| names.contains(&node.name));
    }
    Ok(chosen)
}

async fn history(
    session: &Session,
    environment: &str,
) -> color_eyre::Result<BTreeMap<String, Vec<Point>>> {
    let request = Request::History {
        environment: environment.into(),
        node: None,
        most: usize::MAX,
    };
    match session.client().call(request).await? {
        Response::History(history) => Ok(history),
        _ => Err(Ended::unusable("the engine answered something else than a history").into()),
    }
}

fn table(known: &[Known]) -> Table {
    let mut table = Table::new(
        "Facts",
        ["NODE", "FACT", "VALUE"],
        "this environment has no nodes; add some under `nodes:` in its file",
    );
    for node in known {
        let mut row = |fact: &str, value: Cell| {
            let id = format!("{}/{fact}", node.name);
            table.push(id, [node.name.as_str().into(), fact.into(), value]);
        };
        if let Some(trouble) = &node.observed.trouble {
            row("unreachable", Cell::new(trouble.reason.as_str(), Tone::Bad));
        }
        let Some(report) = &node.observed.value else {
            if node.observed.trouble.is_none() {
                row("state", Cell::new("no answer", Tone::Warn));
            }
            continue;
        };
        for (fact, value) in report.facts.in_words() {
            row(fact, value.into());
        }
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        if let Some(percent) = report.sample.memory_used_percent() {
            let total = gib(report.sample.memory_total);
            row("memory", format!("{percent:.0}% of {total}").into());
        }
        for disk in &report.sample.disks {
            if let Some(percent) = disk.used_percent() {
                let value = format!("{}: {percent:.0}% of {}", disk.mount, gib(disk.total));
                row("disk", value.into());
            }
        }
    }
    table
}
