//! Where the hosts come from.

use super::super::{Context, Outcome, StepError, terraform};
use crate::domain::inventory::Inventory;
use crate::domain::recipe::{AnsibleStep, InventoryFrom};

/// The hosts; in a dry run perhaps none yet, and why.
pub(super) enum Hosts {
    There(Inventory),
    NotYet(String),
}

/// Gathers them.
pub(super) async fn gather(from: &InventoryFrom, context: &Context) -> Result<Hosts, StepError> {
    let mut inventory = Inventory {
        vars: from.vars.clone(),
        ..Inventory::default()
    };
    if from.nodes.is_on().map_err(StepError::lasting)? {
        inventory.add_nodes(&context.environment);
    }
    if let Some(source) = &from.terraform {
        let outputs = terraform::outputs(&source.root, context).await?;
        let Some(value) = outputs.get(&source.output) else {
            let there: Vec<&str> = outputs.keys().map(String::as_str).collect();
            let there = match there.as_slice() {
                [] => "it has none that is not sensitive".to_owned(),
                names => format!("it has {}", names.join(", ")),
            };
            let missing = format!(
                "Terraform has no output {:?} in {}, workspace {}; {there}",
                source.output,
                source.root.directory,
                source.root.workspace()
            );
            if context.dry_run {
                return Ok(Hosts::NotYet(missing));
            }
            return Err(StepError::lasting(missing));
        };
        inventory
            .add_output(value, &context.environment)
            .map_err(|reason| {
                StepError::lasting(format!("output {:?}: {reason}", source.output))
            })?;
    }
    if inventory.hosts.is_empty() {
        let none = "the inventory has no hosts".to_owned();
        if context.dry_run {
            return Ok(Hosts::NotYet(none));
        }
        return Err(StepError::lasting(none));
    }
    Ok(Hosts::There(inventory))
}

/// `do: inventory`.
pub(super) async fn show(asked: &AnsibleStep, context: &Context) -> Result<Outcome, StepError> {
    match gather(&asked.inventory, context).await? {
        Hosts::NotYet(why) => Ok(Outcome::Skipped(why)),
        Hosts::There(inventory) => {
            for line in inventory.told() {
                context.note(line).await;
            }
            Ok(Outcome::Ok)
        }
    }
}
