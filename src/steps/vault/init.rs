//! Makes a new Vault: one node is initialised, the others join it when they are unsealed.

use super::super::{Outcome, StepError};
use super::handover::{give, read, taker};
use super::{Site, in_state};
use crate::domain::recipe::VaultStep;
use crate::domain::seal::{CeremonyKind, NodeSeal, SealState};

pub(super) async fn execute(site: &Site<'_>, step: &VaultStep) -> Result<Outcome, StepError> {
    let nodes = site.nodes().await?;
    // Also those that are not meant: a cluster that exists is not to be split in two.
    let all = site.seals.nodes().await;
    let belongs = all.iter().find(|node| {
        !matches!(
            node.state,
            SealState::Uninitialized | SealState::Unreachable
        )
    });
    if let Some(node) = belongs {
        return Err(StepError::lasting(format!(
            "{} is initialised already ({}): it has its shares, and another initialisation would make another Vault; \
             `quarterdeck unseal` unseals it and lets the others join",
            node.node, node.state
        )));
    }
    let silent = in_state(&all, SealState::Unreachable);
    if !silent.is_empty() {
        return Err(StepError {
            message: format!(
                "{} does not answer and may belong to a cluster already; start it, or take its URL out of the environment",
                silent.join(", ")
            ),
            passing: true,
        });
    }
    let Some(first) = nodes.first().map(|node| node.node.clone()) else {
        return Err(StepError::lasting("it has no node"));
    };
    if site.context.dry_run {
        site.note(format!("{first} would be initialised")).await;
        return Ok(Outcome::Changed);
    }
    let (scheme, handover) = read(site, step)?;
    let mut chair = site
        .context
        .ceremonies
        .open(&site.service, CeremonyKind::Init);
    chair.see(&nodes);
    let itself = nodes.first().is_some_and(NodeSeal::unseals_itself);
    let cut = format!("{} of {}", scheme.threshold, scheme.shares);
    let cut = if itself {
        format!("it unseals itself, and {cut} recovery keys act for its operators")
    } else {
        format!("{cut} shares unseal it")
    };
    site.note(format!(
        "{first}: to be initialised; {cut}; for {}",
        handover.whom()
    ))
    .await;
    let waits = match handover {
        super::handover::Handover::Shown => Some(taker(&mut chair, "the new keys", site).await?),
        _ => None,
    };
    let keys = site.seals.init(&first, &scheme).await.map_err(|error| {
        StepError::lasting(format!("{first} could not be initialised: {error}"))
    })?;
    site.note(format!("{first}: initialised; {cut}")).await;
    match waits {
        Some(waits) => {
            let by = give(keys, waits, &mut chair, site).await?;
            site.note(format!("{by} keeps the shares and the root token"))
                .await;
        }
        None => {
            handover.write(&keys, site).await?;
        }
    }
    let next = if itself {
        "`quarterdeck unseal` lets the others join, and waits until all have unsealed themselves"
    } else {
        "every node is sealed still: `quarterdeck unseal`, with these shares, is what comes next"
    };
    site.note(next).await;
    Ok(Outcome::Changed)
}
