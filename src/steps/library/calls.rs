//! Recipes that call others: the steps of the called one take the place of the call, so that a plan shows every step there
//! is, and a workspace that replaces one of them replaces it everywhere.
//!
//! ```text
//! deploy: check ──► consul (a call) ──► report      check ──► consul.install ──► consul.members ──► report
//! consul: install ──► members              becomes
//! ```
//!
//! The called steps get the call's id in front of theirs. Those that need nothing wait for what the call needs; whoever needs
//! the call waits for those that nobody else needs. A parameter is one and the same in all recipes that know it by that name:
//! the default is that of the caller.
//!
//! A call that only looks brings the steps that declare resources, each as a comparison for the drift board; they wait for
//! nothing but what the call needs, and notify nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::recipe::{CallRecipe, Called, DriftStep, Recipe, Step};

/// `recipe` with the steps of those that it calls, each found by its name in `all`.
///
/// # Errors
/// What is wrong with a call: no such recipe, no such step, a greater risk than the caller's, a circle.
pub(super) fn flatten(recipe: &Recipe, all: &BTreeMap<String, &Recipe>) -> Result<Recipe, String> {
    resolve(recipe, all, &mut Vec::new())
}

fn resolve(
    recipe: &Recipe,
    all: &BTreeMap<String, &Recipe>,
    above: &mut Vec<String>,
) -> Result<Recipe, String> {
    let mut flat = Recipe {
        steps: Vec::with_capacity(recipe.steps.len()),
        ..recipe.clone()
    };
    if above.contains(&recipe.name) {
        above.push(recipe.name.clone());
        return Err(format!("recipes call one another: {}", above.join(" → ")));
    }
    above.push(recipe.name.clone());
    // The steps that stand in the place of each call, for those that need it.
    let mut ends: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for step in &recipe.steps {
        let Some(call) = &step.recipe else {
            flat.steps.push(step.clone());
            continue;
        };
        let wrong = |reason: String| format!("step {:?}: {reason}", step.id);
        let called = all
            .get(&call.name)
            .ok_or_else(|| wrong(format!("there is no recipe called {:?}", call.name)))?;
        if called.risk > recipe.risk && !call.look {
            return Err(wrong(format!(
                "recipe {} has the risk {}, so that a recipe that calls it has at least that",
                called.name, called.risk
            )));
        }
        let called = resolve(called, all, above)?;
        let mut chosen = chosen(call, called.steps).map_err(wrong)?;
        if call.look {
            chosen = chosen
                .iter()
                .filter_map(|inner| compared(&call.name, inner))
                .collect();
        }
        ends.insert(&step.id, last(&chosen, &step.id));
        flat.steps
            .extend(chosen.into_iter().map(|inner| placed(inner, step)));
        let handlers = called.handlers.into_iter().filter(|_| !call.look);
        flat.handlers
            .extend(handlers.map(|handler| placed(handler, step)));
        for param in called.params {
            if flat.params.iter().all(|own| own.name != param.name) {
                flat.params.push(param);
            }
        }
    }
    above.pop();
    for step in &mut flat.steps {
        step.needs = through(&step.needs, &ends, &recipe.steps);
    }
    Ok(flat)
}

/// The steps that a call asks for; all of them when it names none. What they need beyond these is not waited for.
fn chosen(call: &CallRecipe, mut steps: Vec<Step>) -> Result<Vec<Step>, String> {
    if call.steps.is_empty() {
        return Ok(steps);
    }
    // A call within the called recipe is chosen with all of its steps.
    let is_chosen = |id: &str| {
        call.steps.iter().any(|asked| {
            id.strip_prefix(asked.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    if let Some(missing) = call.steps.iter().find(|asked| {
        let within = format!("{asked}.");
        steps
            .iter()
            .all(|step| step.id != **asked && !step.id.starts_with(&within))
    }) {
        return Err(format!("recipe {} has no step {missing:?}", call.name));
    }
    steps.retain(|step| is_chosen(&step.id));
    for step in &mut steps {
        step.needs.retain(|need| is_chosen(need));
    }
    Ok(steps)
}

/// A step that declares resources, as a comparison; `None` for any other.
fn compared(recipe: &str, step: &Step) -> Option<Step> {
    let mut drift = DriftStep::of(recipe, &step.id, step.ensure.as_deref()?);
    if drift.declared.is_empty() {
        return None;
    }
    for declared in &mut drift.declared {
        declared.notify.clear();
    }
    Some(Step {
        id: step.id.clone(),
        title: step.title.clone(),
        when: step.when.clone(),
        called: step.called.clone(),
        on: step.on.clone(),
        drift: Some(drift),
        ..Step::default()
    })
}

/// The ids, as the caller has them, of the steps that no other of them needs.
fn last(steps: &[Step], call: &str) -> Vec<String> {
    let needed: BTreeSet<&String> = steps.iter().flat_map(|step| &step.needs).collect();
    steps
        .iter()
        .filter(|step| !needed.contains(&step.id))
        .map(|step| inner_id(call, &step.id))
        .collect()
}

fn inner_id(call: &str, id: &str) -> String {
    format!("{call}.{id}")
}

/// A step of the called recipe in the place of the call.
fn placed(mut step: Step, call: &Step) -> Step {
    let rename = |id: &mut String| *id = inner_id(&call.id, id);
    rename(&mut step.id);
    step.title = titled(&call.title, step.title);
    if step.needs.is_empty() {
        step.needs.clone_from(&call.needs);
    } else {
        step.needs.iter_mut().for_each(rename);
    }
    step.called = match (&call.when, step.called.take()) {
        (None, inner) => inner,
        (Some(outer), None) => Some(Called {
            when: outer.clone(),
            own: step.when.clone(),
        }),
        (Some(outer), Some(inner)) => Some(Called {
            when: format!("({outer}) and ({})", inner.when),
            own: inner.own,
        }),
    };
    step.when = match (&call.when, step.when) {
        (None, own) => own,
        (Some(outer), None) => Some(outer.clone()),
        (Some(outer), Some(own)) => Some(format!("({outer}) and ({own})")),
    };
    step.notify.iter_mut().for_each(rename);
    for declared in step.ensure.iter_mut().flatten() {
        declared.notify.iter_mut().for_each(rename);
    }
    step.flush.iter_mut().flatten().for_each(rename);
    let approved = step.approve.iter_mut().filter_map(|one| one.of.as_mut());
    let applied = step.terraform.iter_mut().filter_map(|one| one.of.as_mut());
    approved.chain(applied).for_each(rename);
    step
}

/// The title of a step that `call` brought: several recipes push a program, and each must be known from its line.
fn titled(call: &str, own: String) -> String {
    if own.to_lowercase().contains(&call.to_lowercase()) {
        own
    } else {
        format!("{call}: {own}")
    }
}

/// What stands in the place of needs that are calls; for a call that brought no step, what that needs itself.
fn through(needs: &[String], ends: &BTreeMap<&str, Vec<String>>, steps: &[Step]) -> Vec<String> {
    let mut found: Vec<String> = Vec::with_capacity(needs.len());
    for need in needs {
        match ends.get(need.as_str()) {
            None => found.push(need.clone()),
            Some(ids) if ids.is_empty() => {
                let call = steps.iter().find(|step| step.id == *need);
                found.extend(
                    call.into_iter()
                        .flat_map(|call| through(&call.needs, ends, steps)),
                );
            }
            Some(ids) => found.extend(ids.iter().cloned()),
        }
    }
    found
}
