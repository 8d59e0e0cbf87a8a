//! `vault`: what is done to the seal of a Vault, each time as the nodes themselves say that it was done.
//!
//! Unsealing and rekeying are ceremonies: the step asks for shares, and whoever is attached to the engine may give one. Shares
//! are in memory for as long as the ceremony goes on and wiped with it; nothing of them is logged or kept, so that a step that was
//! cut off asks for them anew.
//!
//! ```text
//! unseal    look ── join newcomers ── give every share to every sealed node ── until each says that it is open
//! init      look ── who takes the keys? ── init one node ── hand over, or encrypt for their recipients
//! rekey     look ── present shares ── new keys handed over ── only now they take effect
//! seal, step-down                        until the nodes say so
//! ```

mod ceremony;
mod handover;
mod init;
mod rekey;
mod seal;
mod shares;
mod unseal;

use std::sync::Arc;
use std::time::Duration;

use super::{Context, Outcome, StepError};
use crate::domain::recipe::{VaultAct, VaultStep};
use crate::domain::seal::{NodeSeal, SealState};
use crate::domain::service::ServiceKind;
use crate::services::Seals;

pub use ceremony::{Ceremonies, Chair, Heard, Spoken};

/// Between two looks at the nodes.
const PAUSE: Duration = Duration::from_millis(700);

pub(super) async fn execute(step: &VaultStep, context: &Context) -> Result<Outcome, StepError> {
    let service = service(&step.name, context)?;
    let seals = context
        .services
        .seals(&service)
        .await
        .map_err(|reason| StepError {
            message: format!("{service}: {reason}"),
            passing: true,
        })?;
    let site = Site {
        seals,
        service,
        only: words(step.nodes.as_deref()),
        context,
    };
    match step.act {
        VaultAct::Unseal => unseal::execute(&site, truth(step.separate.as_deref())).await,
        VaultAct::Init => init::execute(&site, step).await,
        VaultAct::Rekey => rekey::execute(&site, step).await,
        VaultAct::Seal => seal::seal(&site).await,
        VaultAct::StepDown => seal::step_down(&site).await,
    }
}

/// The service that is meant: by its name, or the only Vault of the environment.
fn service(name: &str, context: &Context) -> Result<String, StepError> {
    let environment = &context.environment;
    let vaults = environment
        .services
        .iter()
        .filter(|service| service.kind == ServiceKind::Vault);
    let names: Vec<&str> = vaults.map(|service| service.name.as_str()).collect();
    match (name, names.as_slice()) {
        ("" | "*", [only]) => Ok((*only).to_owned()),
        ("" | "*", []) => Err(StepError::lasting(format!(
            "environment {} has no Vault",
            environment.name
        ))),
        ("" | "*", several) => Err(StepError::lasting(format!(
            "environment {} has several Vaults; say which: {}",
            environment.name,
            several.join(", ")
        ))),
        (name, names) if names.contains(&name) => Ok(name.to_owned()),
        (name, names) => Err(StepError::lasting(format!(
            "environment {} has no Vault called {name:?}; there is {}",
            environment.name,
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))),
    }
}

/// Names or keys, apart by commas or space; parameters are texts.
fn words(text: Option<&str>) -> Vec<String> {
    let parts = text.unwrap_or_default().split([',', ' ', '\n']);
    let filled = parts.map(str::trim).filter(|part| !part.is_empty());
    filled.map(ToOwned::to_owned).collect()
}

fn truth(text: Option<&str>) -> bool {
    matches!(
        text.map(str::trim),
        Some("true" | "yes" | "True" | "1" | "on")
    )
}

fn number(what: &str, text: Option<&str>, default: u32) -> Result<u32, StepError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| StepError::lasting(format!("{text:?} is no number of {what}")))
}

/// A Vault, and which of its nodes are meant.
struct Site<'a> {
    seals: Arc<dyn Seals>,
    service: String,
    /// Empty means all.
    only: Vec<String>,
    context: &'a Context,
}

impl Site<'_> {
    /// The nodes that are meant, as they are now.
    async fn nodes(&self) -> Result<Vec<NodeSeal>, StepError> {
        let all = self.seals.nodes().await;
        let missing = self
            .only
            .iter()
            .find(|name| !all.iter().any(|node| node.node == **name));
        if let Some(name) = missing {
            let known: Vec<&str> = all.iter().map(|node| node.node.as_str()).collect();
            return Err(StepError::lasting(format!(
                "{} has no node {name:?}; there is {}",
                self.service,
                known.join(", ")
            )));
        }
        let meant = |node: &NodeSeal| self.only.is_empty() || self.only.contains(&node.node);
        Ok(all.into_iter().filter(meant).collect())
    }

    async fn note(&self, text: impl Into<String>) {
        self.context.note(text).await;
    }

    /// Waits a moment; an error when the step is told to stop.
    async fn pause(&self) -> Result<(), StepError> {
        let slept = tokio::time::sleep(PAUSE);
        let cancelled = self.context.cancel.run_until_cancelled(slept).await;
        cancelled.ok_or_else(StepError::cancelled)
    }
}

/// The nodes in this state, by name.
fn in_state(nodes: &[NodeSeal], state: SealState) -> Vec<&str> {
    let those = nodes.iter().filter(|node| node.state == state);
    those.map(|node| node.node.as_str()).collect()
}

/// `pc1 sealed, pc2 unreachable (why)`: those that are not open.
fn closed(nodes: &[NodeSeal]) -> String {
    let told = nodes.iter().filter(|node| !node.state.is_open());
    let told = told.map(|node| match &node.trouble {
        Some(trouble) => format!("{} {} ({trouble})", node.node, node.state),
        None => format!("{} {}", node.node, node.state),
    });
    told.collect::<Vec<_>>().join(", ")
}
