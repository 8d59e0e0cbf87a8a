//! Plans: what a run will do, settled before it begins and bound to a hash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::Risk;
use super::recipe::Step;
use super::run::TaskKey;

/// What the operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// The environment's name.
    pub environment: String,
    /// The recipe's name.
    pub recipe: String,
    /// Values for the recipe's parameters.
    pub params: BTreeMap<String, Value>,
    /// Only these nodes; empty means all that the steps select.
    pub nodes: Vec<String>,
    /// Only say what would change.
    pub dry_run: bool,
}

/// A recipe fitted to an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for; parameters with their defaults filled in.
    pub request: PlanRequest,
    /// The recipe's title.
    pub title: String,
    /// The risk of running it; a dry run is always [`Risk::Read`].
    pub risk: Risk,
    /// The steps in an order that respects `needs`.
    pub steps: Vec<PlannedStep>,
    /// SHA-256 over everything above and the environment it was made for, 64 hexadecimal digits. An approval is for this value.
    pub hash: String,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// The step as the recipe has it, templates not yet rendered.
    pub step: Step,
    /// Names of the nodes it runs on; `None` when it runs once, where the engine is.
    pub hosts: Option<Vec<String>>,
    /// What it will do, one line each, rendered for the first host.
    pub preview: Vec<String>,
}

impl PlannedStep {
    /// The tasks of this step.
    pub fn tasks(&self) -> Vec<TaskKey> {
        let key = |host| TaskKey {
            step: self.step.id.clone(),
            host,
        };
        match &self.hosts {
            None => vec![key(None)],
            Some(hosts) => hosts.iter().map(|host| key(Some(host.clone()))).collect(),
        }
    }
}
