//! `drift`: compares one source of desired state with what is there, or brings one object of it back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Root;
use crate::domain::drift::DriftSource;
use crate::domain::resource::{Declared, Resource};

/// See [`super::Step::drift`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftStep {
    /// What is compared.
    pub source: DriftSource,
    /// For `nodes`: what should be there. A call with `look: true` puts the resources of the called recipe here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<Declared>,
    /// For `nodes`: which step of which recipe brings it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<DeclaredBy>,
    /// For `terraform`: where its configuration is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    /// For `terraform`: fail when this object has drifted, because a step before has just brought it back; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mended: String,
    /// Instead of comparing, bring this one object into its desired state: as the drift board names it, without the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<String>,
}

/// The step that brings resources about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredBy {
    /// The recipe's name.
    pub recipe: String,
    /// The step's id in it.
    pub step: String,
}

impl DriftStep {
    /// A comparison of the resources that `step` of `recipe` brings about. A reboot is no state to compare.
    pub fn of(recipe: &str, step: &str, declared: &[Declared]) -> Self {
        let compared = |one: &&Declared| !matches!(one.resource, Resource::Reboot(_));
        Self {
            source: DriftSource::Nodes,
            declared: declared.iter().filter(compared).cloned().collect(),
            by: Some(DeclaredBy {
                recipe: recipe.into(),
                step: step.into(),
            }),
            root: None,
            mended: String::new(),
            reconcile: None,
        }
    }

    /// What is wrong with it, one sentence each.
    pub fn faults(&self, on_nodes: bool) -> Vec<String> {
        let nodes = self.source == DriftSource::Nodes;
        let terraform = self.source == DriftSource::Terraform;
        let mut reasons = Vec::new();
        if nodes != on_nodes {
            reasons.push(if nodes {
                "`drift` of `nodes` looks at nodes, so it needs `on`".to_owned()
            } else {
                format!(
                    "`drift` of `{}` is looked at from here, so it cannot have `on`",
                    self.source
                )
            });
        }
        if nodes && self.declared.is_empty() {
            reasons.push("`drift` of `nodes` needs `declared`: what should be there".into());
        }
        if !nodes && (!self.declared.is_empty() || self.by.is_some()) {
            reasons.push("`declared` and `by` are for `source: nodes`".into());
        }
        if (self.root.is_some() || !self.mended.is_empty()) && !terraform {
            reasons.push("`root` and `mended` are for `source: terraform`".into());
        }
        let written_by_others = nodes || terraform || self.source == DriftSource::Versions;
        if self.reconcile.is_some() && written_by_others {
            reasons.push(format!(
                "`reconcile` cannot bring back {}: recipes that deploy or apply do",
                self.source
            ));
        }
        reasons
    }
}
