//! The stages after the files, on the command line: rehearse, deploy, hand over, save; each an ordinary run.

use crate::cli::Global;
use crate::cli::exit::{Ended, Exit};
use crate::cli::follow::{Give, carry_out, plan};
use crate::cli::output;
use crate::cli::session::Session;
use crate::cli::unseal::hold;
use crate::cli::vault::seals;
use crate::client::{Request, Response};
use crate::domain::bootstrap::Answers;
use crate::domain::bootstrap::Purpose;
use crate::domain::bootstrap::stage::{Known, Stage, Standing, snapshot_of};
use crate::domain::plan::PlanRequest;

/// Runs looked through for what was done before.
const RUNS: usize = 200;

/// Goes through the stages that are not done, and stops at the first that does not end well.
///
/// # Errors
/// When a stage cannot be begun; [`Exit::Refused`] when nobody agrees to it.
pub(super) async fn stages(
    global: &Global,
    answers: &Answers,
    give: &Give,
) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "bootstrap").await?;
    let outcome = go(&session, answers, give).await;
    session.close().await;
    outcome
}

async fn go(session: &Session, answers: &Answers, give: &Give) -> color_eyre::Result<Exit> {
    let environment = session.environment(Some(&answers.environment))?;
    let mut waiting = None;
    for stage in Stage::ALL {
        match standing(session, answers, *stage).await? {
            Standing::Done => {
                output::remark(&format!("{stage}: done"));
                continue;
            }
            Standing::Skipped(reason) => {
                output::remark(&format!("{stage}: left out: {reason}"));
                continue;
            }
            Standing::Going(run) => {
                let message = format!(
                    "{stage}: run {run} is under way; `quarterdeck logs {run} --follow` shows it, then call this again"
                );
                return Err(Ended::refused(message).into());
            }
            Standing::Open => {}
        }
        let mut request = PlanRequest {
            environment: environment.name.clone(),
            ..PlanRequest::default()
        };
        match stage {
            Stage::Preflight | Stage::Deploy => {
                request.recipe = "deploy".into();
                request.dry_run = *stage == Stage::Preflight;
            }
            Stage::Handover => {
                if let Some(what) = hand_over(session, answers, request, give).await? {
                    output::remark(&format!("{stage}: {what}"));
                    waiting = Some(what);
                }
                continue;
            }
            Stage::Snapshot => {
                request.recipe = "snapshot".into();
                let service = snapshot_of(environment).unwrap_or_else(|| "*".into());
                request.params.insert("service".into(), service.into());
            }
            Stage::Done => break,
        }
        output::remark(&format!("{stage}: begins"));
        let planned = plan(session.client(), request).await?;
        planned.show(give.json)?;
        let exit = carry_out(session, planned, give.clone()).await?;
        if exit != Exit::Success {
            output::remark(&format!(
                "{stage}: did not end well; once that is mended, the same command goes on here"
            ));
            return Ok(exit);
        }
    }
    match waiting {
        Some(what) => Err(Ended::new(Exit::Failed, what).into()),
        None => Ok(Exit::Success),
    }
}

/// How a stage stands now.
async fn standing(
    session: &Session,
    answers: &Answers,
    stage: Stage,
) -> color_eyre::Result<Standing> {
    let environment = session.environment(Some(&answers.environment))?;
    let runs = session.client().history.runs(RUNS)?;
    let boards = match stage {
        Stage::Handover => Some(seals(session, &environment.name).await?),
        _ => None,
    };
    let kept = match stage {
        Stage::Snapshot => snapshots(session, &environment.name).await?,
        _ => 0,
    };
    let adopted = answers.purpose == Purpose::Adopt;
    let known = Known::of_environment(environment, adopted, &runs, boards.as_deref(), kept);
    Ok(known.standing(stage))
}

/// The number of snapshots of `environment`.
async fn snapshots(session: &Session, environment: &str) -> color_eyre::Result<usize> {
    let request = Request::Snapshots {
        environment: environment.to_owned(),
    };
    let answer = session.client().call(request).await;
    let Response::Snapshots(snapshots) = answer.map_err(Ended::unusable)? else {
        return Err(Ended::unusable("the engine answered something else than snapshots").into());
    };
    Ok(snapshots.len())
}

/// Makes a new Vault whose shares are encrypted for their keepers; what is still to be done by people, if anything.
async fn hand_over(
    session: &Session,
    answers: &Answers,
    mut request: PlanRequest,
    give: &Give,
) -> color_eyre::Result<Option<String>> {
    let boards = seals(session, &request.environment).await?;
    let here = session.environment(Some(&answers.environment))?;
    let known = Known::of_environment(here, false, &[], Some(&boards), 0);
    let Some(new) = known.is_new_vault() else {
        return Ok(Some(
            "no node of Vault answers, so that nobody knows whether it has keys; `quarterdeck vault status` says why".into(),
        ));
    };
    let secrets = &answers.secrets;
    if new {
        if secrets.vault_recipients.is_empty() {
            return Ok(Some(
                "Vault has no keys yet: `quarterdeck vault init` hands them over, then `quarterdeck unseal`; or name \
                 `keys: vault_recipients:` in the answers"
                    .into(),
            ));
        }
        request.recipe = "vault-init".into();
        let params = &mut request.params;
        params.insert("shares".into(), secrets.vault_shares.into());
        params.insert("threshold".into(), secrets.vault_threshold.into());
        params.insert(
            "recipients".into(),
            secrets.vault_recipients.join(",").into(),
        );
        let planned = plan(session.client(), request).await?;
        planned.show(give.json)?;
        if hold(session, planned, give.clone()).await? != Exit::Success {
            return Ok(Some(
                "Vault was not initialised; `quarterdeck vault init` tries again".into(),
            ));
        }
    }
    Ok(Some(
        "Vault waits for its keepers: `quarterdeck unseal`".into(),
    ))
}
