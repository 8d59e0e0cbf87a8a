//! `quarterdeck approvals`, `approve` and `refuse`: what waits for an operator's decision, and the decision.

use std::io::{self, IsTerminal as _};

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::exit::{Ended, Exit};
use super::follow::{ask, show};
use super::session::Session;
use super::{Global, output};
use crate::client::{Client, Request, Response};
use crate::domain::approval::{Decision, Waiting};

/// Flags of `quarterdeck approvals`.
#[derive(Debug, Args)]
pub(super) struct ApprovalsArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `quarterdeck approve`.
#[derive(Debug, Args)]
pub(super) struct ApproveArgs {
    /// Number of the run
    run: i64,
    /// The step that asks, where several do
    #[arg(long)]
    step: Option<String>,
    /// What to put on record with it
    #[arg(long)]
    note: Option<String>,
    /// Approve of exactly the plan with this hash, without being asked
    #[arg(long, value_name = "HASH")]
    hash: Option<String>,
}

/// Flags of `quarterdeck refuse`.
#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// Number of the run
    run: i64,
    /// The step that asks, where several do
    #[arg(long)]
    step: Option<String>,
    /// Why; goes on record
    #[arg(long)]
    note: String,
}

/// Lists what waits.
///
/// # Errors
/// When the engine cannot be asked.
pub(super) async fn list(global: &Global, args: &ApprovalsArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "approvals").await?;
    let waiting = waiting(session.client()).await;
    session.close().await;
    let waiting = waiting?;
    if args.json {
        output::json(&waiting)?;
        return Ok(Exit::Success);
    }
    if waiting.is_empty() {
        output::remark("nothing waits for an approval");
    }
    for one in &waiting {
        output::line(&line(one, Timestamp::now()))?;
    }
    Ok(Exit::Success)
}

/// Shows the plan and approves of it.
///
/// # Errors
/// [`Exit::Refused`] when the decision is not his to make, comes too late or is void.
pub(super) async fn approve(global: &Global, args: ApproveArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "approve").await?;
    let outcome = decide_to_approve(session.client(), args).await;
    session.close().await;
    outcome
}

async fn decide_to_approve(client: &Client, args: ApproveArgs) -> color_eyre::Result<Exit> {
    let one = find(client, args.run, args.step.as_deref()).await?;
    let plan = client.history.plan(one.run)?.ok_or_else(|| {
        Ended::unusable(format!(
            "the plan of run {} is not in the store",
            one.number
        ))
    })?;
    show(&plan, false)?;
    for detail in &one.details {
        output::remark(&output::plain(detail));
    }
    output::remark(&line(&one, Timestamp::now()));
    output::remark(&format!("plan {}", one.hash));
    match &args.hash {
        Some(hash) if *hash == one.hash => {}
        Some(_) => {
            return Err(Ended::refused("another plan waits than the one with this hash").into());
        }
        None if io::stdin().is_terminal() => {
            let question = format!(
                "Approve of run {}? Type its number to approve: ",
                one.number
            );
            if ask(&question)? != one.number.to_string() {
                return Err(Ended::refused("not approved; it goes on waiting").into());
            }
        }
        None => {
            let message = format!(
                "an approval is for a plan that was looked at: add --hash {}",
                one.hash
            );
            return Err(Ended::refused(message).into());
        }
    }
    send(client, &one, Decision::Approve, args.note).await?;
    output::remark(&format!("run {} is approved", one.number));
    Ok(Exit::Success)
}

/// Refuses.
///
/// # Errors
/// [`Exit::Refused`] when nothing waits for it.
pub(super) async fn refuse(global: &Global, args: RefuseArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "refuse").await?;
    let outcome = decide_to_refuse(session.client(), args).await;
    session.close().await;
    outcome
}

async fn decide_to_refuse(client: &Client, args: RefuseArgs) -> color_eyre::Result<Exit> {
    let one = find(client, args.run, args.step.as_deref()).await?;
    send(client, &one, Decision::Refuse, Some(args.note)).await?;
    output::remark(&format!("run {} is refused", one.number));
    Ok(Exit::Success)
}

async fn send(
    client: &Client,
    one: &Waiting,
    decision: Decision,
    note: Option<String>,
) -> color_eyre::Result<()> {
    let request = Request::Approve {
        run: one.run,
        step: one.step.clone(),
        hash: one.hash.clone(),
        decision,
        note,
    };
    client.call(request).await.map_err(Ended::refused)?;
    Ok(())
}

async fn waiting(client: &Client) -> color_eyre::Result<Vec<Waiting>> {
    match client
        .call(Request::Approvals)
        .await
        .map_err(Ended::unusable)?
    {
        Response::Approvals(waiting) => Ok(waiting),
        _ => Err(Ended::unusable("the engine answered something else than approvals").into()),
    }
}

/// The one question of this run, or the one that its step asks.
async fn find(client: &Client, run: i64, step: Option<&str>) -> color_eyre::Result<Waiting> {
    let mut found: Vec<Waiting> = waiting(client)
        .await?
        .into_iter()
        .filter(|one| one.number == run && (step.is_none() || one.step.as_deref() == step))
        .collect();
    let refusal = match found.len() {
        0 => format!(
            "run {run} does not wait for an approval; `quarterdeck approvals` lists what does"
        ),
        1 => return Ok(found.remove(0)),
        _ => {
            let steps: Vec<&str> = found.iter().filter_map(|one| one.step.as_deref()).collect();
            format!(
                "several steps of run {run} ask: add --step with one of {}",
                steps.join(", ")
            )
        }
    };
    Err(Ended::refused(refusal).into())
}

fn line(one: &Waiting, now: Timestamp) -> String {
    let step = one
        .step
        .as_ref()
        .map(|step| format!(" step {step}"))
        .unwrap_or_default();
    output::plain(&format!(
        "run {}{step}: {} ({} on {}, started by {}, waits for {} since {})",
        one.number,
        one.text,
        one.title,
        one.environment,
        one.asked_by,
        match one.approver {
            crate::domain::approval::Approver::Anyone => "any operator",
            crate::domain::approval::Approver::Second => "a second operator",
        },
        ago(one.since, now)
    ))
}

/// How long ago, such as `5m 3s ago`.
pub(super) fn ago(since: Timestamp, now: Timestamp) -> String {
    let age = now.duration_since(since).max(SignedDuration::ZERO);
    format!("{:#} ago", SignedDuration::from_secs(age.as_secs()))
}
