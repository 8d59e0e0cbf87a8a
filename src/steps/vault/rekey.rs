//! Replaces the shares by others. The old ones stay in force until the new have arrived where they are kept: only then the new
//! are shown to Vault, which is what makes them count.

use super::super::{Outcome, StepError};
use super::ceremony::{Chair, Heard, out_of_turn};
use super::handover::{Handover, give, read, taker};
use super::shares::Shares;
use super::{Site, closed, in_state};
use crate::domain::recipe::VaultStep;
use crate::domain::seal::{CeremonyKind, NewKeys, SealState, Wants, Word};
use crate::domain::secret::Secret;
use crate::services::{Rekey, Rekeyed, ServiceError};

pub(super) async fn execute(site: &Site<'_>, step: &VaultStep) -> Result<Outcome, StepError> {
    let nodes = site.nodes().await?;
    let open = nodes.iter().all(|node| node.state.is_open());
    let Some(active) = in_state(&nodes, SealState::Active).first().copied() else {
        return Err(StepError::lasting(format!(
            "no node is active: {}; unseal it first",
            closed(&nodes)
        )));
    };
    if !open {
        return Err(StepError::lasting(format!(
            "not every node is unsealed: {}. One that is not there when the shares are replaced would go on wanting the old \
             ones",
            closed(&nodes)
        )));
    }
    if nodes
        .iter()
        .any(crate::domain::seal::NodeSeal::unseals_itself)
    {
        return Err(StepError::lasting(
            "it unseals itself: what operators hold are recovery keys, which this does not replace",
        ));
    }
    if site.context.dry_run {
        site.note(format!("would ask {active} for other shares"))
            .await;
        return Ok(Outcome::Changed);
    }
    let (scheme, handover) = read(site, step)?;
    let mut chair = site
        .context
        .ceremonies
        .open(&site.service, CeremonyKind::Rekey);
    chair.see(&nodes);
    let rekey = site.seals.rekey(active, &scheme).await.map_err(|error| {
        StepError::lasting(format!("{active} does not begin to rekey: {error}"))
    })?;
    let cut = format!("{} of {}", scheme.threshold, scheme.shares);
    site.note(format!(
        "{active}: rekey begun, {} of the present shares are wanted; then {cut}, for {}",
        rekey.required,
        handover.whom()
    ))
    .await;
    let made = replace(
        site,
        active,
        &rekey,
        scheme.threshold,
        &handover,
        &mut chair,
    )
    .await;
    if made.is_err() {
        let text = match site.seals.rekey_cancel(active, &rekey).await {
            Ok(()) => "the rekey was given up; the present shares stay in force".to_owned(),
            Err(error) => format!("the rekey could not be given up: {error}"),
        };
        site.note(text).await;
    }
    made
}

async fn replace(
    site: &Site<'_>,
    active: &str,
    rekey: &Rekey,
    threshold: u32,
    handover: &Handover,
    chair: &mut Chair,
) -> Result<Outcome, StepError> {
    let (shares, verification) = gather(site, active, rekey, chair).await?;
    let keys = NewKeys {
        shares: shares.clone(),
        threshold,
        root_token: None,
        // What unseals itself is not rekeyed here.
        recovery: false,
    };
    if handover.write(&keys, site).await? {
        chair.want(Wants::Nothing);
    } else {
        let waits = taker(chair, "the new shares", site).await?;
        let by = give(keys, waits, chair, site).await?;
        site.note(format!("{by} keeps the new shares")).await;
    }
    let Some(nonce) = verification else {
        site.note("the new shares are in force").await;
        return Ok(Outcome::Changed);
    };
    for share in &shares {
        let verified = site.seals.rekey_verify(active, rekey, &nonce, share).await;
        let verified = verified.map_err(|error| {
            StepError::lasting(format!(
                "{active} does not take the new shares: {error}; the present ones stay in force"
            ))
        })?;
        if verified {
            site.note("the new shares are in force, the old ones open nothing any more")
                .await;
            return Ok(Outcome::Changed);
        }
    }
    Err(StepError::lasting(format!(
        "{active} has seen all new shares and does not say that they are in force"
    )))
}

/// Asks for the present shares until there are enough; what Vault makes of them.
async fn gather(
    site: &Site<'_>,
    active: &str,
    rekey: &Rekey,
    chair: &mut Chair,
) -> Result<(Vec<Secret>, Option<String>), StepError> {
    let mut shares = Shares::default();
    chair.stand(|standing| {
        standing.wants = Wants::Share;
        standing.needed = rekey.required;
        standing.said = format!("{} of the present shares are wanted", rekey.required);
    });
    let cancel = site.context.cancel.clone();
    loop {
        let spoken = cancel.run_until_cancelled(chair.next()).await;
        let spoken = spoken.ok_or_else(StepError::cancelled)??;
        let share = match &spoken.word {
            Word::Share(share) => share.clone(),
            Word::Reset => {
                out_of_turn(spoken, "a rekey is begun anew by cancelling its run");
                continue;
            }
            Word::Take | Word::Kept => {
                out_of_turn(spoken, "there are no new keys yet");
                continue;
            }
        };
        if let Err(reason) = shares.take(share.clone(), &spoken.by, false) {
            chair.say(format!("not taken: {reason}"));
            out_of_turn(spoken, &reason);
            continue;
        }
        let count = shares.len();
        site.note(format!(
            "{} gave share {count} of {}",
            spoken.by, rekey.required
        ))
        .await;
        let given = site.seals.rekey_share(active, rekey, &share).await;
        match given {
            Ok(Rekeyed::Progress(_)) => {
                let _ = spoken.reply.send(Ok(Heard::Taken));
                chair.say(format!("{} gave a share", spoken.by));
            }
            Ok(Rekeyed::Done(new, verification)) => {
                let _ = spoken.reply.send(Ok(Heard::Taken));
                chair.stand(|standing| standing.givers = shares.givers());
                return Ok((new, verification));
            }
            Err(ServiceError::Status { status, .. }) if status < 500 => {
                shares.clear();
                let text = "these shares open nothing: at least one is wrong; all are forgotten, begin with the first";
                site.note(text).await;
                chair.say(text);
                out_of_turn(spoken, text);
            }
            Err(error) => {
                out_of_turn(spoken, &error.to_string());
                return Err(StepError::lasting(format!("{active}: {error}")));
            }
        }
        chair.stand(|standing| standing.givers = shares.givers());
    }
}
