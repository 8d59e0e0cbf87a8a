//! `quarterdeck resume`: takes up a run that stopped, at its first unfinished task.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};

use clap::Args;
use serde_json::Value;

use super::exit::{Ended, Exit};
use super::follow::{Give, Planned, ask, carry_out, plan};
use super::run::parameter;
use super::session::Session;
use super::{Global, output};
use crate::domain::plan::{OnceAnswer, Origin, PlanRequest};
use crate::domain::run::{Run, RunState};
use crate::store::Reader;

/// Flags of `quarterdeck resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Number of the run; default: the newest that stopped before its end
    run: Option<i64>,
    /// Only on the hosts that failed or were cut off
    #[arg(long)]
    failed_hosts: bool,
    /// With the recipe as it is now; default: the steps as they were recorded
    #[arg(long)]
    current_recipe: bool,
    /// Carry this `once` task out again although it is not known how far it came
    #[arg(long, value_name = "TASK")]
    repeat: Vec<String>,
    /// Take this `once` task as done
    #[arg(long, value_name = "TASK")]
    take_as_done: Vec<String>,
    /// A parameter in place of the recorded one, such as a secret, which is not kept
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    #[command(flatten)]
    give: Give,
}

/// Plans the rest of a run, carries it out, and follows it to its end.
///
/// # Errors
/// When the run cannot be taken up; a run that fails is [`Exit::Failed`].
pub(super) async fn resume(global: &Global, args: ResumeArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "resume").await?;
    let outcome = begin(&session, args).await;
    session.close().await;
    outcome
}

async fn begin(session: &Session, args: ResumeArgs) -> color_eyre::Result<Exit> {
    let client = session.client();
    let stopped =
        |run: &Run| run.state.is_final() && run.state != RunState::Succeeded && !run.dry_run;
    let run = find(
        &client.history,
        args.run,
        stopped,
        "no run stopped before its end; name the one to take up",
    )?;
    let answers = |tasks: Vec<String>, answer| tasks.into_iter().map(move |task| (task, answer));
    let request = PlanRequest {
        environment: run.environment,
        recipe: run.recipe,
        params: args.params.into_iter().collect::<BTreeMap<_, _>>(),
        origin: Some(Origin::Resume {
            run: run.id,
            failed_hosts: args.failed_hosts,
            current_recipe: args.current_recipe,
        }),
        once: answers(args.repeat, OnceAnswer::Repeat)
            .chain(answers(args.take_as_done, OnceAnswer::Done))
            .collect(),
        ..PlanRequest::default()
    };
    let mut planned = plan(client, request.clone()).await?;
    output::remark(&format!("takes up run {}, which {}", run.number, run.state));
    if !planned.plan.undecided.is_empty() {
        let request = decide(&planned, request)?;
        planned = plan(client, request).await?;
    }
    planned.show(args.give.json)?;
    carry_out(session, planned, args.give).await
}

/// Asks about each task that must not be repeated and may have been done. The default is to stop.
fn decide(planned: &Planned, mut request: PlanRequest) -> color_eyre::Result<PlanRequest> {
    for task in &planned.plan.undecided {
        let open = format!(
            "{task} must not be repeated, and it is not known how far it came: look, then add --repeat {task} or \
             --take-as-done {task}"
        );
        if !io::stdin().is_terminal() {
            return Err(Ended::refused(open).into());
        }
        let question = format!(
            "{task} must not be repeated, and it is not known how far it came.\n\
             [r]epeat it, take it as [d]one, or stop? [r/d/S] "
        );
        let answer = match ask(&question)?.as_str() {
            "r" | "repeat" => OnceAnswer::Repeat,
            "d" | "done" => OnceAnswer::Done,
            _ => return Err(Ended::refused("stopped; nothing was done").into()),
        };
        request.once.insert(task.to_string(), answer);
    }
    Ok(request)
}

/// The run with this number; without one the newest that is `wanted` and that no other took up since. `none` says what to do
/// where there is none.
pub(super) fn find(
    history: &Reader,
    number: Option<i64>,
    wanted: impl Fn(&Run) -> bool,
    none: &str,
) -> color_eyre::Result<Run> {
    /// Runs that are looked at.
    const BACK: usize = 200;
    if let Some(number) = number {
        return history.run_by_number(number)?.ok_or_else(|| {
            Ended::unusable(format!(
                "there is no run {number}; `quarterdeck runs` lists those there are"
            ))
            .into()
        });
    }
    for run in history.runs(BACK)? {
        let taken_up = |other: &Run| matches!(other.origin, Some(Origin::Resume { .. }));
        if wanted(&run) && !history.descendants(run.id)?.iter().any(taken_up) {
            return Ok(run);
        }
    }
    Err(Ended::unusable(none).into())
}
