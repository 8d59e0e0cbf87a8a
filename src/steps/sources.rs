//! What the nodes of a plan will be given, and from where: for runs that may fetch nothing.

use std::collections::BTreeSet;

use super::template::{TemplateError, Templates};
use crate::domain::environment::Environment;
use crate::domain::plan::{Plan, PlannedStep};
use crate::domain::resource::{Presence, Resource};

/// See [`sources`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// What the engine brings: source and SHA-256.
    pub brought: BTreeSet<(String, String)>,
    /// What a node gets for itself, as a clause: the engine's cache has no part in it.
    pub by_nodes: BTreeSet<String>,
}

/// Everything that the resources of a plan come from, on every host where they are not ruled out.
///
/// # Errors
/// [`TemplateError`] when a resource cannot be rendered.
pub fn sources(plan: &Plan, environment: &Environment) -> Result<Sources, TemplateError> {
    let templates = Templates::new(environment, &plan.request.params);
    let mut found = Sources::default();
    for PlannedStep { step, hosts, .. } in &plan.steps {
        for host in hosts.iter().flatten() {
            let scope = templates.scope(Some(host));
            let ruled_out = |when: &String| matches!(scope.holds(when), Ok(false));
            if step.when.as_ref().is_some_and(ruled_out) {
                continue;
            }
            for declared in step.ensure.iter().flatten() {
                found.add(host, scope.render(&declared.resource)?);
            }
        }
    }
    Ok(found)
}

impl Sources {
    fn add(&mut self, host: &str, resource: Resource) {
        match resource {
            Resource::Download(spec) => {
                self.brought.insert((spec.source, spec.sha256));
            }
            Resource::Package(spec) if spec.state == Presence::Present => match spec.bring {
                Some(bring) => {
                    self.brought.insert((bring.source, bring.sha256));
                }
                None if spec.deb.is_none() => {
                    self.by_nodes
                        .insert(format!("{host} installs {}", spec.name));
                }
                None => {}
            },
            Resource::Container(spec) => {
                self.by_nodes
                    .insert(format!("{host} pulls the image {}", spec.image));
            }
            _ => {}
        }
    }
}
