//! What makes a recipe sound beyond its shape: ids, needs, one kind of work per step, timeouts, templates.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value as Json;
use serde_saphyr::{Location, Spanned};

use super::handlers;
use super::order;
use super::template::{Form, lint};
use crate::domain::recipe::{Recipe, Selector, SnapshotVerb, Step, TerraformAction, Work};
use crate::domain::resource::Resource;
use crate::domain::rolling::Rolling;

/// Something wrong at a place.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) at: Location,
    pub(super) message: String,
}

/// Where the parts of a recipe stand in its file: the same document, read again for its places only.
#[derive(Debug, Deserialize)]
pub(super) struct Places {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    params: Vec<ParamPlaces>,
    steps: Vec<StepPlaces>,
    #[serde(default)]
    handlers: Vec<StepPlaces>,
}

impl Places {
    /// Where the steps begin, and behind them the handlers.
    pub(super) fn steps(&self) -> impl Iterator<Item = Location> {
        let all = self.steps.iter().chain(&self.handlers);
        all.map(|step| step.id.referenced)
    }
}

#[derive(Debug, Deserialize)]
struct ParamPlaces {
    name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
struct StepPlaces {
    id: Spanned<String>,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    when: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
}

/// Everything wrong with `recipe` by itself; whom it calls is not known here.
pub(super) fn faults(recipe: &Recipe, places: &Places) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |at, message| faults.push(Fault { at, message });

    if !is_name(&recipe.name) {
        fault(
            places.name.referenced,
            format!(
                "{:?} is no name: use lower-case letters, digits and dashes",
                recipe.name
            ),
        );
    }
    if recipe.steps.is_empty() {
        fault(places.name.referenced, "the recipe has no steps".into());
    }
    let mut seen = BTreeSet::new();
    for place in &places.params {
        if !seen.insert(place.name.value.as_str()) {
            fault(
                place.name.referenced,
                format!("parameter {:?} is declared twice", place.name.value),
            );
        }
    }

    let ids: BTreeSet<&str> = recipe.steps.iter().map(|step| step.id.as_str()).collect();
    let params: Vec<&str> = recipe.params.iter().map(|p| p.name.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut needs_are_known = true;
    for (step, place) in recipe.handlers.iter().zip(&places.handlers) {
        for reason in handlers::handler_faults(recipe, step) {
            fault(place.id.referenced, reason);
        }
    }
    let both = recipe.steps.iter().zip(&places.steps);
    let both = both.chain(recipe.handlers.iter().zip(&places.handlers));
    for (step, place) in both {
        let is_handler = recipe
            .handlers
            .iter()
            .any(|handler| std::ptr::eq(handler, step));
        // A handler runs on nodes without saying on which.
        let on_nodes = is_handler && step.work().is_ok_and(|work| handlers::is_on_nodes(&work));
        let mut step = Cow::Borrowed(step);
        if on_nodes {
            step.to_mut().on = Some(Selector::default());
        }
        let step = step.as_ref();
        let here = place.id.referenced;
        if !is_handler {
            for reason in handlers::notify_faults(recipe, step) {
                fault(here, format!("step {:?}: {reason}", step.id));
            }
        }
        if let Some(rolling) = &step.rolling {
            for reason in rolling_faults(step, rolling) {
                fault(here, format!("step {:?}: {reason}", step.id));
            }
        }
        if !is_name(&step.id) {
            fault(
                here,
                format!(
                    "{:?} is no id: use lower-case letters, digits and dashes",
                    step.id
                ),
            );
        }
        if !seen.insert(place.id.value.as_str()) {
            fault(here, format!("step id {:?} is used twice", step.id));
        }
        for need in &place.needs {
            if !ids.contains(need.value.as_str()) {
                needs_are_known = false;
                let hint = super::template::did_you_mean(&need.value, ids.iter().copied());
                fault(
                    need.referenced,
                    format!("there is no step {:?} to need{hint}", need.value),
                );
            }
        }
        if let (Err(reason), Some(place)) = (step.time_limit(), &place.timeout) {
            fault(place.referenced, reason);
        }
        if step.parallel == Some(0) {
            fault(
                here,
                format!(
                    "step {:?} allows 0 hosts at a time: it would never run",
                    step.id
                ),
            );
        }
        if let Some(user) = &step.user
            && let Err(error) = lint(user, Form::Template, &params, step.on.is_some())
        {
            fault(here, format!("step {:?}: as: {error}", step.id));
        }
        if let (Some(when), Some(place)) = (&step.when, &place.when)
            && let Err(error) = lint(when, Form::Expression, &params, step.on.is_some())
        {
            fault(place.referenced, format!("when: {error}"));
        }
        match step.work() {
            Err(reason) => fault(here, reason),
            Ok(work) => {
                if let Some(reason) = of_faults(step, &recipe.steps) {
                    fault(here, format!("step {:?}: {reason}", step.id));
                }
                let undo = undo_faults(step, &work, &params);
                for reason in work_faults(step, &work, &params).into_iter().chain(undo) {
                    fault(here, format!("step {:?}: {reason}", step.id));
                }
            }
        }
    }
    if needs_are_known
        && seen.len() == recipe.steps.len() + recipe.handlers.len()
        && let Err(error) = order::topological(&recipe.steps)
    {
        let at = match &error {
            order::OrderError::Cycle(path) => places
                .steps
                .iter()
                .find(|place| path.first() == Some(&place.id.value))
                .map_or(places.name.referenced, |place| place.id.referenced),
            order::OrderError::Unknown { .. } => places.name.referenced,
        };
        fault(at, error.to_string());
    }
    faults
}

fn rolling_faults(step: &Step, rolling: &Rolling) -> Vec<String> {
    let mut reasons: Vec<String> = rolling.check().err().into_iter().collect();
    if step.on.is_none() {
        reasons.push("`rolling` goes from host to host, so it needs `on`".into());
    }
    if step.parallel.is_some() || step.max_fail.is_some() {
        reasons.push(
            "`rolling` says how many hosts at a time and how many may fail: `parallel` and `max_fail` beside it say it twice"
                .into(),
        );
    }
    reasons
}

fn work_faults(step: &Step, work: &Work<'_>, params: &[&str]) -> Vec<String> {
    let mut reasons = Vec::new();
    if matches!(
        work,
        Work::Ensure(_) | Work::Run(_) | Work::Upload(_) | Work::Fetch(_) | Work::Machine(_)
    ) && step.on.is_none()
    {
        reasons.push(format!(
            "`{}` works on nodes, so it needs `on`; `on: {{}}` means every node",
            work.word()
        ));
    }
    if matches!(work, Work::Report(_)) && step.on.is_some() {
        reasons.push("a report is written once, so it cannot have `on`".into());
    }
    if matches!(work, Work::Snapshot(_)) && step.on.is_some() {
        reasons.push("a snapshot is of a store, not of a node, so it cannot have `on`".into());
    }
    if let Work::Snapshot(work) = work {
        let takes = work.what == SnapshotVerb::Take;
        if work.keep.is_some() && !takes {
            reasons.push("`keep` is for taking snapshots".into());
        }
        if work.which.is_some() && takes {
            reasons
                .push("a snapshot that is taken is a new one: `which` does not go with it".into());
        }
        if work.name == "*" && work.what == SnapshotVerb::Restore {
            reasons.push("a restore is of one store: name it".into());
        }
    }
    if matches!(work, Work::Vault(_)) && step.on.is_some() {
        reasons.push(
            "a Vault is one service; say which of its nodes with `nodes`, not with `on`".into(),
        );
    }
    if matches!(work, Work::Approve(_)) && step.on.is_some() {
        reasons.push("an approval is asked for once, so it cannot have `on`".into());
    }
    if matches!(work, Work::Terraform(_) | Work::Ansible(_)) && step.on.is_some() {
        reasons.push(format!(
            "`{}` knows its hosts itself, so it cannot have `on`",
            work.word()
        ));
    }
    match work {
        Work::Ensure([]) => reasons.push("`ensure` declares nothing".into()),
        Work::Ensure(declared) => reasons.extend(
            declared
                .iter()
                .filter_map(|declared| resource_fault(&declared.resource)),
        ),
        Work::Run(command) | Work::Local(command) => {
            if command.argv.is_empty() {
                reasons.push("`argv` is empty".into());
            }
            let apart = command.detached || command.distinct || !command.elsewhere.is_empty();
            if apart && matches!(work, Work::Local(_)) {
                reasons.push("`detached`, `distinct` and `elsewhere` are for `run`".into());
            }
            if command.detached && (command.distinct || !command.elsewhere.is_empty()) {
                reasons.push("`detached` goes with neither `distinct` nor `elsewhere`".into());
            }
            if let Some(check) = &command.check
                && let Err(error) = lint(check, Form::OutputExpression, params, step.on.is_some())
            {
                reasons.push(format!("check: {error}"));
            }
        }
        Work::Service(wait) if wait.elsewhere && step.on.is_none() => {
            reasons
                .push("`elsewhere` means other nodes than the step's own, so it needs `on`".into());
        }
        Work::Recipe(_) => reasons.extend(call_faults(step)),
        Work::Drift(drift) => {
            reasons.extend(drift.faults(step.on.is_some()));
            let declared = drift.declared.iter();
            reasons.extend(declared.filter_map(|declared| resource_fault(&declared.resource)));
        }
        Work::Terraform(terraform) => reasons.extend(terraform.faults()),
        Work::Ansible(ansible) => reasons.extend(ansible.faults()),
        Work::Http(_)
        | Work::Tcp(_)
        | Work::Service(_)
        | Work::Upload(_)
        | Work::Fetch(_)
        | Work::Machine(_)
        | Work::Snapshot(_)
        | Work::Vault(_)
        | Work::Approve(_)
        | Work::Report(_)
        | Work::Flush(_) => {}
    }
    let content = match work {
        Work::Ensure(resources) => serde_json::to_value(resources),
        Work::Run(command) | Work::Local(command) => serde_json::to_value(command),
        Work::Terraform(step) => serde_json::to_value(step),
        Work::Ansible(step) => serde_json::to_value(step),
        Work::Http(wait) => serde_json::to_value(wait),
        Work::Tcp(wait) => serde_json::to_value(wait),
        Work::Service(wait) => serde_json::to_value(wait),
        Work::Snapshot(take) => serde_json::to_value(take),
        Work::Vault(step) => serde_json::to_value(step),
        Work::Drift(step) => serde_json::to_value(step),
        Work::Approve(question) => serde_json::to_value(question),
        Work::Upload(files) | Work::Fetch(files) => serde_json::to_value(files),
        Work::Machine(machine) => serde_json::to_value(machine),
        Work::Report(report) => serde_json::to_value(report),
        Work::Recipe(call) => serde_json::to_value(call),
        Work::Flush(handlers) => serde_json::to_value(handlers),
    };
    let commands = match work {
        Work::Run(command) | Work::Local(command) => vec![&command.argv],
        Work::Ensure(declared) => declared
            .iter()
            .filter_map(|declared| match &declared.resource {
                Resource::Command(command) => Some(&command.argv),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    if commands
        .into_iter()
        .flatten()
        .any(|word| word.contains("secret("))
    {
        reasons.push(
            "a secret must not be an argument, which everybody on the node can see: write it into a file".into(),
        );
    }
    match content {
        Ok(content) => lint_strings(&content, params, step.on.is_some(), &mut reasons),
        Err(error) => reasons.push(error.to_string()),
    }
    reasons
}

/// A call has the place and the condition of its steps; everything else is theirs to say.
fn call_faults(step: &Step) -> Vec<String> {
    let bare = Step {
        id: step.id.clone(),
        title: step.title.clone(),
        needs: step.needs.clone(),
        when: step.when.clone(),
        recipe: step.recipe.clone(),
        ..Step::default()
    };
    if *step == bare {
        return Vec::new();
    }
    vec![
        "a call of a recipe has `needs` and `when`; nodes, retries, limits and the like are those of the called steps".into(),
    ]
}

/// What is wrong with the step whose plan this one is about.
fn of_faults(step: &Step, steps: &[Step]) -> Option<String> {
    let approve = step
        .approve
        .as_ref()
        .and_then(|approve| approve.of.as_ref());
    let apply = step.terraform.as_ref().and_then(|apply| apply.of.as_ref());
    let of = approve.or(apply)?;
    let plans = |other: &&Step| {
        let action = other.terraform.as_ref().map(|terraform| terraform.action);
        other.id == *of && action == Some(TerraformAction::Plan)
    };
    let is_needed = |id: &str| {
        let mut open: Vec<&str> = step.needs.iter().map(String::as_str).collect();
        let mut seen = BTreeSet::new();
        while let Some(next) = open.pop() {
            if next == id {
                return true;
            }
            if seen.insert(next)
                && let Some(needed) = steps.iter().find(|other| other.id == next)
            {
                open.extend(needed.needs.iter().map(String::as_str));
            }
        }
        false
    };
    if !steps.iter().any(|other| plans(&other)) {
        return Some(format!(
            "`of: {of}` names no step of this recipe with `terraform: {{ do: plan }}`"
        ));
    }
    (!is_needed(of)).then(|| format!("`of: {of}` must come before it: add it to `needs`"))
}

fn undo_faults(step: &Step, work: &Work<'_>, params: &[&str]) -> Vec<String> {
    let Some(undo) = &step.undo else {
        return Vec::new();
    };
    let runs_commands = match work {
        Work::Ensure(resources) => resources
            .iter()
            .any(|declared| matches!(declared.resource, Resource::Command(_))),
        work => !work.is_read_only(),
    };
    if !runs_commands {
        return vec![
            "`undo` is for what commands changed; this step runs none, and resources are taken back without it".into(),
        ];
    }
    work_faults(step, &undo.work(), params)
        .into_iter()
        .map(|reason| format!("undo: {reason}"))
        .collect()
}

fn lint_strings(value: &Json, params: &[&str], has_node: bool, reasons: &mut Vec<String>) {
    match value {
        Json::String(text) => {
            if let Err(error) = lint(text, Form::Template, params, has_node) {
                reasons.push(error.to_string());
            }
        }
        Json::Array(items) => items
            .iter()
            .for_each(|item| lint_strings(item, params, has_node, reasons)),
        Json::Object(fields) => fields
            .values()
            .for_each(|value| lint_strings(value, params, has_node, reasons)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

fn resource_fault(resource: &Resource) -> Option<String> {
    match resource {
        Resource::Command(command) if command.argv.is_empty() => {
            Some("command: `argv` is empty".into())
        }
        Resource::Command(command) if command.unless.is_empty() && command.creates.is_none() => {
            Some(
                "command: needs `unless` or `creates`, or it would run every time; a command that shall run every time is \
                 a step of its own (`run`)"
                    .into(),
            )
        }
        resource => crate::resources::fault(resource),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
