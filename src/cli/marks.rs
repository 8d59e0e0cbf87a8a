//! `quarterdeck cordon`, `uncordon` and `label`: what operators put on nodes while the cockpit runs.

use clap::Args;

use super::Global;
use super::exit::{Ended, Exit};
use super::output;
use super::session::Session;
use crate::client::Request;
use crate::domain::mark::MarkChange;
use crate::domain::nodeset;

/// Flags of `quarterdeck cordon`.
#[derive(Debug, Args)]
pub(super) struct CordonArgs {
    /// The nodes, such as pc1 or pc[1-3,5]
    #[arg(required = true, value_name = "NODES")]
    nodes: Vec<String>,
    /// Why, for those who find it
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
}

/// Flags of `quarterdeck uncordon`.
#[derive(Debug, Args)]
pub(super) struct UncordonArgs {
    /// The nodes, such as pc1 or pc[1-3,5]
    #[arg(required = true, value_name = "NODES")]
    nodes: Vec<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
}

/// Flags of `quarterdeck label`.
#[derive(Debug, Args)]
#[command(after_help = "\
The engine keeps these labels and lays them over those of the environment's file whenever something is planned; the file is \
not touched.")]
pub(super) struct LabelArgs {
    /// The nodes, such as pc1 or pc[1-3,5]
    #[arg(value_name = "NODES")]
    nodes: String,
    /// NAME=VALUE sets one, NAME- takes one away, NAME+ has it again as the environment's file says
    #[arg(required = true, value_name = "LABEL", value_parser = MarkChange::label)]
    labels: Vec<MarkChange>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
}

/// Has recipes leave nodes alone.
///
/// # Errors
/// When there is no such node, or the session is read-only.
pub(super) async fn cordon(global: &Global, args: CordonArgs) -> color_eyre::Result<Exit> {
    let change = MarkChange::Cordon {
        reason: args.reason,
    };
    mark(global, &args.nodes, args.environment.as_deref(), &[change]).await
}

/// Has recipes use nodes again.
///
/// # Errors
/// As [`cordon`].
pub(super) async fn uncordon(global: &Global, args: UncordonArgs) -> color_eyre::Result<Exit> {
    let change = MarkChange::Uncordon;
    mark(global, &args.nodes, args.environment.as_deref(), &[change]).await
}

/// Sets labels of nodes, or takes them away.
///
/// # Errors
/// As [`cordon`].
pub(super) async fn label(global: &Global, args: LabelArgs) -> color_eyre::Result<Exit> {
    let environment = args.environment.as_deref();
    mark(global, &[args.nodes], environment, &args.labels).await
}

async fn mark(
    global: &Global,
    nodes: &[String],
    environment: Option<&str>,
    changes: &[MarkChange],
) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "mark").await?;
    let outcome = put(&session, nodes, environment, changes).await;
    session.close().await;
    outcome
}

async fn put(
    session: &Session,
    nodes: &[String],
    environment: Option<&str>,
    changes: &[MarkChange],
) -> color_eyre::Result<Exit> {
    let environment = session.environment(environment)?;
    for text in nodes {
        for node in nodeset::expand(text).map_err(Ended::unusable)? {
            for change in changes {
                let request = Request::Mark {
                    environment: environment.name.clone(),
                    node: node.clone(),
                    change: change.clone(),
                };
                session
                    .client()
                    .call(request)
                    .await
                    .map_err(Ended::refused)?;
                output::remark(&output::plain(&format!("{node}: {change}")));
            }
        }
    }
    Ok(Exit::Success)
}
