//! `quarterdeck locks` and `unlock`: which run is changing an environment, and taking it away from one that is stuck.

use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;

use super::approvals::ago;
use super::exit::{Ended, Exit};
use super::follow::{consent, summary};
use super::session::Session;
use super::{Global, output};
use crate::client::{Request, Response};
use crate::domain::action::{Gate, Risk};
use crate::domain::live::Lock;

/// Flags of `quarterdeck locks`.
#[derive(Debug, Args)]
pub(super) struct LocksArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `quarterdeck unlock`.
#[derive(Debug, Args)]
pub(super) struct UnlockArgs {
    /// The environment
    environment: String,
    /// Also when tasks are in progress; they are stopped in the middle
    #[arg(long)]
    force: bool,
    /// Say yes where the environment asks for a confirmation
    #[arg(long, short)]
    yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Print the run that had the lock, and what was in progress, as JSON
    #[arg(long)]
    json: bool,
}

/// Lists the locks.
///
/// # Errors
/// When the engine cannot be asked.
pub(super) async fn list(global: &Global, args: &LocksArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "locks").await?;
    let answer = session.client().call(Request::Live).await;
    session.close().await;
    let Response::Live(live) = answer.map_err(Ended::unusable)? else {
        return Err(Ended::unusable("the engine answered something else than its view").into());
    };
    let locks: BTreeMap<String, Lock> = live
        .into_iter()
        .filter_map(|(environment, live)| Some((environment, live.lock?)))
        .collect();
    if args.json {
        output::json(&locks)?;
        return Ok(Exit::Success);
    }
    if locks.is_empty() {
        output::remark("no environment is locked");
    }
    for (environment, lock) in &locks {
        output::line(&output::plain(&format!(
            "{environment}: run {} ({}), started by {}, {}",
            lock.number,
            lock.title,
            lock.by,
            ago(lock.since, Timestamp::now())
        )))?;
    }
    Ok(Exit::Success)
}

/// Breaks a lock.
///
/// # Errors
/// [`Exit::Refused`] when the gate stays shut, nothing is locked, or tasks are in progress.
pub(super) async fn unlock(global: &Global, args: UnlockArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "unlock").await?;
    let outcome = break_lock(&session, args).await;
    session.close().await;
    outcome
}

async fn break_lock(session: &Session, args: UnlockArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(Some(&args.environment))?;
    let gate = Gate::of(Risk::Destroy, environment.protection, false).alone();
    let consent = consent(gate, &environment.name, args.yes, args.confirm)?;
    let request = Request::BreakLock {
        environment: environment.name.clone(),
        consent,
        force: args.force,
    };
    let answer = session
        .client()
        .call(request)
        .await
        .map_err(Ended::refused)?;
    let Response::Unlocked { run, half_done } = answer else {
        return Err(Ended::unusable("the engine answered something else").into());
    };
    if args.json {
        output::json(&serde_json::json!({ "run": run, "half_done": half_done }))?;
    } else {
        output::remark(&summary(&run));
    }
    Ok(Exit::Success)
}
