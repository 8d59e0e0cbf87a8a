//! What the nodes of a plan will be given, and from where: for runs that may fetch nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{PlanError, plan};
use super::template::{TemplateError, Templates};
use crate::domain::environment::Environment;
use crate::domain::plan::{Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::Recipe;
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

/// What the recipes of an environment bring to its nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Each source and its SHA-256, with the recipes that need it.
    pub brought: BTreeMap<(String, String), BTreeSet<String>>,
    /// Recipes that cannot be planned without more being said, and why. What finds nothing to do is not among them.
    pub unplanned: BTreeMap<String, String>,
}

/// What `recipes` would bring to the nodes of `environment`, as far as they can be planned with their defaults.
pub fn needs<'a>(environment: &Environment, recipes: impl Iterator<Item = &'a Recipe>) -> Needs {
    let mut needs = Needs::default();
    for recipe in recipes {
        let request = PlanRequest {
            environment: environment.name.clone(),
            recipe: recipe.name.clone(),
            ..PlanRequest::default()
        };
        let planned = match plan(recipe, environment, request) {
            Ok(planned) => planned,
            Err(PlanError::NothingToDo(_)) => continue,
            Err(error) => {
                needs
                    .unplanned
                    .insert(recipe.name.clone(), error.to_string());
                continue;
            }
        };
        match sources(&planned, environment) {
            Ok(sources) => {
                for brought in sources.brought {
                    let by = needs.brought.entry(brought).or_default();
                    by.insert(recipe.name.clone());
                }
            }
            Err(error) => {
                needs
                    .unplanned
                    .insert(recipe.name.clone(), error.to_string());
            }
        }
    }
    needs
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::Library;
    use crate::steps::testing::staging;

    #[test]
    fn what_recipes_bring_is_known_with_who_needs_it() {
        let library = Library::load(None);
        let needs = needs(&staging(), library.recipes());
        let amd64 = ("/srv/artifacts/consul_amd64.deb".to_owned(), "a".repeat(64));
        let recipes = &needs.brought[&amd64];
        for recipe in ["consul", "deploy", "join"] {
            assert!(recipes.contains(recipe), "{recipes:?}");
        }
        assert_eq!(needs.brought.len(), 2, "one for each architecture");
        assert!(!needs.unplanned.contains_key("deploy"), "{needs:?}");
    }
}
