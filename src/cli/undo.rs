//! `quarterdeck undo`: takes back what a run changed, as a run of its own.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use super::exit::Exit;
use super::follow::{Give, carry_out, plan};
use super::resume::find;
use super::run::parameter;
use super::session::Session;
use super::{Global, output};
use crate::domain::plan::{Origin, PlanRequest};
use crate::domain::run::Run;

/// Flags of `quarterdeck undo`.
#[derive(Debug, Args)]
pub(super) struct UndoArgs {
    /// Number of the run; default: the newest that changed something and was not undone
    run: Option<i64>,
    /// Only on these nodes: names, or an expression such as `role:vault and not arch:arm64`
    #[arg(long, value_name = "NODES")]
    on: Vec<String>,
    /// Only say what would be taken back, with diffs
    #[arg(long)]
    dry_run: bool,
    /// Overwrite what somebody changed since
    #[arg(long)]
    force: bool,
    /// A parameter in place of the recorded one, such as a secret, which is not kept
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    #[command(flatten)]
    give: Give,
}

/// Plans to take a run back, carries that out, and follows it to its end.
///
/// # Errors
/// When the run cannot be taken back; a run that fails is [`Exit::Failed`].
pub(super) async fn undo(global: &Global, args: UndoArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "undo").await?;
    let outcome = begin(&session, args).await;
    session.close().await;
    outcome
}

async fn begin(session: &Session, args: UndoArgs) -> color_eyre::Result<Exit> {
    let client = session.client();
    let changed = |run: &Run| {
        let tally = run.tally;
        let own = !matches!(run.origin, Some(Origin::Undo { .. }));
        own && run.state.is_final() && !run.dry_run && tally.changed + tally.failed > 0
    };
    let run = find(
        &client.history,
        args.run,
        changed,
        "no run left changes that could be taken back; name the one to undo",
    )?;
    let request = PlanRequest {
        environment: run.environment,
        recipe: run.recipe,
        params: args.params.into_iter().collect::<BTreeMap<_, _>>(),
        nodes: args.on,
        dry_run: args.dry_run,
        origin: Some(Origin::Undo {
            run: run.id,
            force: args.force,
        }),
        ..PlanRequest::default()
    };
    let planned = plan(client, request).await?;
    output::remark(&format!(
        "takes back run {}, which {}",
        run.number, run.state
    ));
    planned.show(args.give.json)?;
    carry_out(session, planned, args.give).await
}
