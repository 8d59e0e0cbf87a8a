//! Sealing nodes, and having the active one give way to another.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Outcome, StepError};
use super::{Site, closed, in_state};
use crate::domain::seal::{NodeSeal, SealState};
use crate::services::ServiceError;

/// How long the rest of the cluster may take to choose another active node.
const ELECTION: Duration = Duration::from_secs(30);

/// Seals every node that is meant: standbys first, so that the cluster is not left to choose a leader again and again. Where
/// only the active one can be sealed by request, as with Vault, each is sealed when it is its turn to lead.
pub(super) async fn seal(site: &Site<'_>) -> Result<Outcome, StepError> {
    let open = |nodes: &[NodeSeal]| -> Vec<NodeSeal> {
        let open = nodes.iter().filter(|node| node.state.is_open());
        open.cloned().collect()
    };
    let nodes = site.nodes().await?;
    if open(&nodes).is_empty() {
        site.note(format!("no node is open: {}", closed(&nodes)))
            .await;
        return Ok(Outcome::Ok);
    }
    if site.context.dry_run {
        for node in open(&nodes) {
            site.note(format!("{} would be sealed", node.node)).await;
        }
        return Ok(Outcome::Changed);
    }
    let mut refused: BTreeMap<String, String> = BTreeMap::new();
    let mut moved = Instant::now();
    loop {
        let mut left = open(&site.nodes().await?);
        if left.is_empty() {
            site.note("every node that was meant says that it is sealed")
                .await;
            return Ok(Outcome::Changed);
        }
        left.sort_by_key(|node| node.state == SealState::Active);
        for node in &left {
            let standby = node.state != SealState::Active;
            if standby && refused.contains_key(&node.node) {
                continue;
            }
            match site.seals.seal(&node.node).await {
                Ok(()) => {
                    moved = Instant::now();
                    site.note(format!("{}: told to seal itself", node.node))
                        .await;
                }
                // "vault cannot seal when in standby mode; please restart instead"
                Err(ServiceError::Status {
                    status: 500,
                    reason,
                    ..
                }) if standby => {
                    refused.insert(node.node.clone(), reason);
                }
                Err(error) => {
                    return Err(StepError::lasting(format!(
                        "{} could not be sealed: {error}",
                        node.node
                    )));
                }
            }
        }
        if moved.elapsed() > ELECTION {
            let names: Vec<&str> = left.iter().map(|node| node.node.as_str()).collect();
            let reason = refused.values().next().cloned().unwrap_or_default();
            return Err(StepError::lasting(format!(
                "{} stays open: only the active node seals itself by request ({reason}), and it is none; a restart of its \
                 service seals it",
                names.join(", ")
            )));
        }
        site.pause().await?;
    }
}

/// Has the active node give way; done when another one says that it is active.
pub(super) async fn step_down(site: &Site<'_>) -> Result<Outcome, StepError> {
    let nodes = site.nodes().await?;
    let Some(active) = in_state(&nodes, SealState::Active).first().copied() else {
        return Err(StepError::lasting(format!(
            "no node is active: {}",
            closed(&nodes)
        )));
    };
    let others = nodes
        .iter()
        .filter(|node| node.state == SealState::Standby)
        .count();
    if others == 0 {
        return Err(StepError::lasting(format!(
            "{active} is the only one that is open: nobody could take over"
        )));
    }
    if site.context.dry_run {
        site.note(format!("{active} would give way to another"))
            .await;
        return Ok(Outcome::Changed);
    }
    site.seals
        .step_down(active)
        .await
        .map_err(|error| StepError::lasting(format!("{active} does not give way: {error}")))?;
    site.note(format!("{active}: told to give way")).await;
    let told = Instant::now();
    while told.elapsed() < ELECTION {
        site.pause().await?;
        let now = site.nodes().await?;
        if let Some(other) = in_state(&now, SealState::Active)
            .into_iter()
            .find(|name| *name != active)
        {
            site.note(format!("{other} says that it is active now"))
                .await;
            return Ok(Outcome::Changed);
        }
    }
    Err(StepError::lasting(format!(
        "{active} was told to give way, and no other node has become active within {} s",
        ELECTION.as_secs()
    )))
}
