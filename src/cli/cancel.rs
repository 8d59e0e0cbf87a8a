//! `quarterdeck cancel`: stops a run that is under way, wherever it was started.

use clap::Args;

use super::exit::{Ended, Exit};
use super::follow::{Watch, summary};
use super::session::Session;
use super::{Global, output};
use crate::client::Request;
use crate::domain::run::{Run, RunState};
use crate::store::Reader;

/// Runs under way that are looked for among the newest.
const BACK: usize = 200;

/// Flags of `quarterdeck cancel`.
#[derive(Debug, Args)]
#[command(after_help = "\
What runs is told to stop and given time for it, on nodes too; what has not begun does not begin. What was done stays done: \
`quarterdeck undo` takes it back, `quarterdeck resume` carries on. Exit status 0 means that the run was cancelled, 1 that it \
ended in another way before that.")]
pub(super) struct CancelArgs {
    /// Number of the run; default: the only one under way
    run: Option<i64>,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
    /// Print the ended run as JSON
    #[arg(long)]
    json: bool,
}

/// Tells a run to stop, and waits until it has.
///
/// # Errors
/// When there is no such run under way, or the session is read-only.
pub(super) async fn cancel(global: &Global, args: CancelArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "cancel").await?;
    let outcome = stop(&session, &args).await;
    session.close().await;
    outcome
}

async fn stop(session: &Session, args: &CancelArgs) -> color_eyre::Result<Exit> {
    let client = session.client();
    let watch = Watch::attach(session, under_way(&client.history, args.run)?)?;
    let run = watch.run().id;
    client
        .call(Request::Cancel { run })
        .await
        .map_err(Ended::refused)?;
    if args.detach {
        output::remark(&format!("run {} was told to stop", watch.run().number));
        return Ok(Exit::Success);
    }
    let Some(ended) = watch.until_the_end(|_| {}).await? else {
        return Ok(Exit::Cancelled);
    };
    if args.json {
        output::json(&ended)?;
    } else {
        output::remark(&summary(&ended));
    }
    Ok(if ended.state == RunState::Cancelled {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// The run with this number, or the only one under way.
fn under_way(history: &Reader, number: Option<i64>) -> color_eyre::Result<Run> {
    if let Some(number) = number {
        let run = history.run_by_number(number)?.ok_or_else(|| {
            let text =
                format!("there is no run {number}; `quarterdeck runs` lists those there are");
            Ended::unusable(text)
        })?;
        if run.state.is_final() {
            let text = format!("run {number} has ended already: {}", run.state);
            return Err(Ended::refused(text).into());
        }
        return Ok(run);
    }
    let mut runs = history.runs(BACK)?;
    runs.retain(|run| !run.state.is_final());
    match <[Run; 1]>::try_from(runs) {
        Ok([run]) => Ok(run),
        Err(none) if none.is_empty() => Err(Ended::refused("no run is under way").into()),
        Err(several) => {
            let names: Vec<String> = several
                .iter()
                .map(|run| format!("{} ({} on {})", run.number, run.recipe, run.environment))
                .collect();
            let text = format!("several runs are under way, name one: {}", names.join(", "));
            Err(Ended::unusable(text).into())
        }
    }
}
