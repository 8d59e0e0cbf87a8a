//! Handlers in a plan: where they stand, on which hosts, and what is wrong with how a recipe declares them.
//!
//! ```text
//! steps:    configure ──► [flush] ──► check          configure ──► now:restart ──► check ──► end:restart ──► summary
//!           summary (a report)              becomes
//! handlers: restart
//! ```
//!
//! A `flush` becomes the handlers it carries out, one after the other. Those at the end come behind everything but a
//! report, which tells of them too. Every handler is there on all hosts on which it may be notified; on the others of them
//! it is skipped when its turn comes.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::template::did_you_mean;
use crate::domain::handler::{END, step_id};
use crate::domain::plan::PlannedStep;
use crate::domain::recipe::{Recipe, Selector, Step, Work};

/// The handlers that a run owes its hosts.
#[async_trait]
pub trait Debts: Send + Sync {
    /// Whether `handler` is to be carried out on `host`, or for `None` once where the engine is.
    fn owes(&self, handler: &str, host: Option<&str>) -> bool;

    /// Takes down that a change on `host` is about to be made which these handlers are for; returns when that is durable.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored; the change must not be made then.
    async fn owe(&self, handlers: &[String], host: Option<&str>) -> Result<(), String>;

    /// Takes down that `handler` was carried out on `host`.
    ///
    /// # Errors
    /// A sentence that says why it could not be stored; it may be carried out once more.
    async fn settle(&self, handler: &str, host: Option<&str>) -> Result<(), String>;
}

/// Owes nothing, for what notifies nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDebts;

#[async_trait]
impl Debts for NoDebts {
    fn owes(&self, _: &str, _: Option<&str>) -> bool {
        false
    }

    async fn owe(&self, _: &[String], _: Option<&str>) -> Result<(), String> {
        Ok(())
    }

    async fn settle(&self, _: &str, _: Option<&str>) -> Result<(), String> {
        Ok(())
    }
}

/// Whether this kind of work is done on nodes.
pub(super) fn is_on_nodes(work: &Work<'_>) -> bool {
    matches!(work, Work::Ensure(_) | Work::Run(_))
}

/// The steps of the plan: those of the recipe with its handlers among them.
pub(super) fn arranged(recipe: &Recipe) -> Vec<Step> {
    let handlers: Vec<&Step> = recipe
        .handlers
        .iter()
        .filter(|handler| recipe.steps.iter().any(|step| step.may_notify(&handler.id)))
        .collect();
    let flushed = |names: &[String]| -> Vec<&Step> {
        let asked = |id: &String| names.is_empty() || names.contains(id);
        let chosen = handlers.iter().filter(|handler| asked(&handler.id));
        chosen.copied().collect()
    };
    // What stands in the place of a need: the last handler of a flush, or what that needs itself when it has none.
    let place = |need: &String| -> Vec<String> {
        let mut open = vec![need.clone()];
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(need) = open.pop() {
            let step = recipe.steps.iter().find(|step| step.id == need);
            match step.and_then(|step| Some((step, step.flush.as_ref()?))) {
                None => found.push(need),
                Some((step, names)) => match flushed(names).last() {
                    Some(last) => found.push(step_id(&step.id, &last.id)),
                    // A circle of needs is told elsewhere.
                    None if seen.insert(need) => open.extend(step.needs.iter().cloned()),
                    None => {}
                },
            }
        }
        found
    };
    let mut steps = Vec::with_capacity(recipe.steps.len() + handlers.len());
    for step in &recipe.steps {
        let needs: Vec<String> = step.needs.iter().flat_map(place).collect();
        match &step.flush {
            None => steps.push(Step {
                needs,
                ..step.clone()
            }),
            Some(names) => steps.extend(chain(&step.id, &flushed(names), needs)),
        }
    }
    if handlers.is_empty() {
        return steps;
    }
    let needed: BTreeSet<&str> = steps
        .iter()
        .filter(|step| step.report.is_none())
        .flat_map(|step| step.needs.iter().map(String::as_str))
        .collect();
    let sinks = steps
        .iter()
        .filter(|step| step.report.is_none() && !needed.contains(step.id.as_str()))
        .map(|step| step.id.clone())
        .collect();
    let end = chain(END, &handlers, sinks);
    let all_needed: BTreeSet<String> = steps.iter().flat_map(|step| step.needs.clone()).collect();
    if let Some(last) = end.last() {
        for report in steps.iter_mut().filter(|step| step.report.is_some()) {
            if !all_needed.contains(&report.id) {
                report.needs.push(last.id.clone());
            }
        }
    }
    steps.extend(end);
    steps
}

/// Handlers as steps of a plan, one after the other behind `needs`.
pub(super) fn chain(place: &str, handlers: &[&Step], needs: Vec<String>) -> Vec<Step> {
    let mut needs = needs;
    handlers
        .iter()
        .map(|handler| {
            let id = step_id(place, &handler.id);
            let needs = std::mem::replace(&mut needs, vec![id.clone()]);
            let on_nodes = handler.work().is_ok_and(|work| is_on_nodes(&work));
            Step {
                id,
                needs,
                on: on_nodes.then(Selector::default),
                ..(*handler).clone()
            }
        })
        .collect()
}

/// The hosts on which `handler` may be notified by `steps`, in the order in which `all` names them.
pub(super) fn hosts(handler: &str, steps: &[PlannedStep], all: &[String]) -> Vec<String> {
    let notified: BTreeSet<&String> = steps
        .iter()
        .filter(|planned| planned.step.may_notify(handler))
        .flat_map(|planned| planned.hosts.iter().flatten())
        .collect();
    all.iter()
        .filter(|host| notified.contains(host))
        .cloned()
        .collect()
}

/// What is wrong with a handler itself.
pub(super) fn handler_faults(recipe: &Recipe, handler: &Step) -> Vec<String> {
    let id = &handler.id;
    let mut reasons = Vec::new();
    let mut not_for_handlers = |there: bool, what: &str, why: &str| {
        if there {
            reasons.push(format!("handler {id:?} cannot have `{what}`: {why}"));
        }
    };
    not_for_handlers(
        handler.on.is_some(),
        "on",
        "it runs where something changed that names it",
    );
    not_for_handlers(
        !handler.needs.is_empty(),
        "needs",
        "handlers run one after the other, as they stand in the file",
    );
    let circle = "handlers notify nobody; put what must follow behind it";
    let notifies = !handler.notify.is_empty() || handler.notified().next().is_some();
    not_for_handlers(notifies, "notify", circle);
    not_for_handlers(
        handler.once,
        "once",
        "what is owed is carried out until it has worked",
    );
    not_for_handlers(
        handler.undo.is_some(),
        "undo",
        "it runs again when what it is for was taken back",
    );
    let kind = handler.work().map(|work| work.word());
    if let Ok(word @ ("approve" | "report" | "flush")) = kind {
        not_for_handlers(true, word, "it is no work to do because of a change");
    }
    if !recipe.steps.iter().any(|step| step.may_notify(id)) {
        reasons.push(format!(
            "handler {id:?} is named in no `notify`, so it would never run"
        ));
    }
    reasons
}

/// What is wrong with whom a step notifies, or with its flush.
pub(super) fn notify_faults(recipe: &Recipe, step: &Step) -> Vec<String> {
    let mut reasons = Vec::new();
    let known = || recipe.handlers.iter().map(|handler| handler.id.as_str());
    let named: BTreeSet<&str> = step.notified().collect();
    let flushed = step.flush.iter().flatten().map(String::as_str);
    for name in named.iter().copied().chain(flushed) {
        let Some(handler) = recipe.handlers.iter().find(|handler| handler.id == name) else {
            let hint = match did_you_mean(name, known()) {
                hint if hint.is_empty() && recipe.handlers.is_empty() => {
                    "; declare it under `handlers`".into()
                }
                hint => hint,
            };
            reasons.push(format!("there is no handler {name:?}{hint}"));
            continue;
        };
        let on_nodes = handler.work().is_ok_and(|work| is_on_nodes(&work));
        if on_nodes && step.on.is_none() && step.flush.is_none() {
            reasons.push(format!(
                "it runs where the engine is, and handler {name:?} on nodes: on which, nobody could tell"
            ));
        }
    }
    match step.work() {
        Ok(Work::Flush(_)) if recipe.handlers.is_empty() => {
            reasons.push("`flush` carries out handlers, and the recipe declares none".into());
        }
        Ok(Work::Flush(_)) if step.on.is_some() || step.when.is_some() => {
            reasons.push(
                "a flush carries out what is owed wherever that is: it has neither `on` nor `when`"
                    .into(),
            );
        }
        Ok(Work::Flush(_)) if step.id == END => {
            reasons.push(format!(
                "{END:?} is where handlers run anyway: call this flush something else"
            ));
        }
        Ok(work) if !step.notify.is_empty() && work.is_read_only() => {
            reasons.push("it changes nothing, so it can notify nobody".into());
        }
        _ => {}
    }
    reasons
}

#[cfg(test)]
mod tests;
