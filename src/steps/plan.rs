//! Planning: a recipe fitted to an environment, before anything happens.
//!
//! A plan says which step runs on which nodes in which order, and shows what it will do. Everything that can be wrong
//! with it is found here: every template is rendered for every host, so that a missing artifact for one architecture is a
//! sentence at the gate and not a failure in the middle. An approval is for [`Plan::hash`], which covers the request, the
//! recipe and the environment.

mod calls;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::calls::{LeftOut, Reach};
use super::template::{TemplateError, Templates, did_you_mean};
use super::{handlers, order, preview};
use crate::domain::action::Risk;
use crate::domain::environment::Environment;
use crate::domain::group::Group;
use crate::domain::handler;
use crate::domain::node::Role;
use crate::domain::plan::{Limits, NOTHING, Plan, PlanRequest, PlannedStep};
use crate::domain::platform::Software;
use crate::domain::recipe::{Param, Recipe, Selector, Step};
use crate::domain::stack::Stack;

/// Why there is no plan. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A parameter that the recipe does not have.
    #[error("recipe {recipe} has no parameter {name:?}{hint}")]
    UnknownParam {
        /// The recipe.
        recipe: String,
        /// What was given.
        name: String,
        /// `; did you mean …?`, or what there is.
        hint: String,
    },
    /// A parameter without default that was not given.
    #[error("recipe {recipe} needs the parameter {name:?}: {help}")]
    MissingParam {
        /// The recipe.
        recipe: String,
        /// What is missing.
        name: String,
        /// What it is for.
        help: String,
    },
    /// A value that is not of the kind that the parameter's default is of.
    #[error("parameter {name:?} wants {wanted}, not {given}")]
    ParamType {
        /// Which parameter.
        name: String,
        /// The kind of value, such as `a number`.
        wanted: &'static str,
        /// What was given, as JSON.
        given: String,
    },
    /// A node that the environment does not have.
    #[error("environment {environment} has no node {name:?}{hint}")]
    UnknownNode {
        /// The environment.
        environment: String,
        /// What was asked for.
        name: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
    },
    /// An expression for nodes cannot be read, or names one that is not there.
    #[error("{0}")]
    Nodes(String),
    /// No step has anything to do.
    #[error("{0}")]
    NothingToDo(String),
    /// Software of the stack has nobody to run it.
    #[error(
        "there would be no {software}: no node of environment {environment} has the role {role}, and the run would wait for it \
         in vain. Give the role to nodes, or choose another stack than {stack}"
    )]
    NobodyRuns {
        /// What is missing, as its makers write it.
        software: &'static str,
        /// The role that runs it.
        role: Role,
        /// The environment.
        environment: String,
        /// Its stack.
        stack: Stack,
    },
    /// A template cannot be rendered.
    #[error("step {step:?}{on}: {error}")]
    Template {
        /// The step's id.
        step: String,
        /// ` on <host>`, or nothing.
        on: String,
        /// What is wrong.
        error: TemplateError,
    },
    /// An earlier run cannot be taken up like this.
    #[error("{0}")]
    Resume(String),
    /// A run cannot be taken back.
    #[error("{0}")]
    Undo(String),
    /// The recipe itself is wrong. Recipes from the [library](super::library::Library) never are.
    #[error("recipe {recipe}: {reason}")]
    Recipe {
        /// The recipe.
        recipe: String,
        /// What is wrong.
        reason: String,
    },
}

/// Fits `recipe` to `environment`.
///
/// `hosts` of a planned step may be empty: the environment has no node for it, there is nothing to do, and the steps that
/// need it go on. [`Selector::first`] means the first node of the environment that the step selects, so that restricting
/// a run to other nodes never moves the work that only the first one does.
///
/// # Errors
/// [`PlanError`] for what the operator, the environment or the recipe must change.
pub fn plan(
    recipe: &Recipe,
    environment: &Environment,
    request: PlanRequest,
) -> Result<Plan, PlanError> {
    let broken = |reason| PlanError::Recipe {
        recipe: recipe.name.clone(),
        reason,
    };
    let request = PlanRequest {
        nodes: chosen_nodes(environment, &request.nodes)?,
        ..request
    };
    let params = fill_params(recipe, &request.params)?;
    let templates = Templates::new(environment, &params);

    let arranged = only_steps(handlers::arranged(recipe), &request.limits.steps, recipe)?;
    let all: Vec<String> = environment
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .collect();
    let mut steps: Vec<PlannedStep> = Vec::with_capacity(arranged.len());
    let mut left_out = LeftOut::default();
    for index in order::topological(&arranged).map_err(|error| broken(error.to_string()))? {
        let mut step = limited(&arranged[index], &request.limits);
        step.time_limit().map_err(broken)?;
        step.needs = left_out.instead_of(&step.needs);
        let hosts = step
            .on
            .as_ref()
            .map(|selector| match handler::handler_of(&step.id) {
                Some(handler) => handlers::hosts(handler, &steps, &all),
                None => select(selector, environment, &request.nodes),
            });
        if let Some(called) = step.called.take() {
            match calls::reach(&called, hosts.as_deref(), &templates) {
                Reach::Nowhere => {
                    left_out.add(step.id, step.needs);
                    continue;
                }
                Reach::Everywhere => step.when = called.own,
                Reach::Somewhere => {}
            }
        }
        refuse_absent(&step, environment)?;
        let work = step.work().map_err(broken)?;
        let preview = preview_of(&step, &work, hosts.as_deref(), &templates)?;
        steps.push(PlannedStep {
            step,
            hosts,
            preview,
        });
    }
    if steps.is_empty() {
        return Err(PlanError::NothingToDo(format!(
            "nothing to do: recipe {} calls nothing in environment {}",
            recipe.name, environment.name
        )));
    }
    refuse_idle(recipe, environment, &request.nodes, &steps)?;

    let request = PlanRequest { params, ..request };
    let risk = if request.dry_run {
        Risk::Read
    } else {
        recipe.risk
    };
    let plan = Plan::new(request, recipe.title.clone(), risk, steps);
    Ok(seal(plan, environment))
}

/// What nobody in the environment is meant to run would be waited for until the step's time is up.
fn refuse_absent(step: &Step, environment: &Environment) -> Result<(), PlanError> {
    let has_nobody = |role: &&Role| environment.nodes_with(**role).next().is_none();
    let Some(role) = step.requires.iter().find(has_nobody) else {
        return Ok(());
    };
    let software = role.software().map(Software::title).unwrap_or_default();
    Err(PlanError::NobodyRuns {
        software,
        role: *role,
        environment: environment.name.clone(),
        stack: environment.stack,
    })
}

/// The steps that are asked for, and the handlers that those may notify; all when none is named.
fn only_steps(
    mut steps: Vec<Step>,
    asked: &[String],
    recipe: &Recipe,
) -> Result<Vec<Step>, PlanError> {
    if asked.is_empty() {
        return Ok(steps);
    }
    let ids: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
    if let Some(missing) = asked.iter().find(|id| !ids.contains(id)) {
        return Err(PlanError::NothingToDo(format!(
            "recipe {} has no step {missing:?}{}",
            recipe.name,
            did_you_mean(missing, ids.iter().map(String::as_str))
        )));
    }
    let chosen: Vec<Step> = steps
        .iter()
        .filter(|step| asked.contains(&step.id))
        .cloned()
        .collect();
    let is_kept = |id: &String| {
        asked.contains(id)
            || handler::handler_of(id)
                .is_some_and(|handler| chosen.iter().any(|step| step.may_notify(handler)))
    };
    steps.retain(|step| is_kept(&step.id));
    for step in &mut steps {
        step.needs.retain(|need| is_kept(need));
    }
    // A handler at a flush would come before the step that it is for: the one at the end is enough.
    let has_end = |steps: &[Step], name: &str| {
        let end = handler::step_id(handler::END, name);
        steps.iter().any(|step| step.id == end)
    };
    let doubled: Vec<String> = ids
        .into_iter()
        .filter(|id| !handler::is_last(id) && !asked.contains(id))
        .filter(|id| handler::handler_of(id).is_some_and(|name| has_end(&steps, name)))
        .collect();
    steps.retain(|step| !doubled.contains(&step.id));
    for step in &mut steps {
        step.needs.retain(|need| !doubled.contains(need));
    }
    // A handler comes behind everything that may notify it.
    for step in &mut steps {
        if handler::handler_of(&step.id).is_some() && step.needs.is_empty() {
            step.needs = chosen.iter().map(|step| step.id.clone()).collect();
        }
    }
    Ok(steps)
}

/// The step within the operator's limits.
fn limited(step: &Step, limits: &Limits) -> Step {
    let mut step = step.clone();
    if step.on.is_none() {
        return step;
    }
    if let (None, None, Some(at_once)) = (step.parallel, &step.rolling, limits.at_once) {
        step.parallel = Some(at_once.max(1));
        // Fewer at a time is no reason to stop at the first that fails.
        step.max_fail.get_or_insert(u32::MAX);
    }
    if let Some(timeout) = &limits.timeout {
        step.timeout = Some(timeout.clone());
    }
    step
}

/// Gives a plan that is complete its hashes. Whoever makes or changes a plan does this last.
pub fn seal(mut plan: Plan, environment: &Environment) -> Plan {
    plan.environment_hash = digest(environment);
    plan.hash.clear();
    let outlook = std::mem::take(&mut plan.outlook);
    plan.hash = digest(&plan);
    plan.outlook = outlook;
    plan
}

/// Renders the step for each of its hosts; the preview is that of the first one that does something.
pub(super) fn preview_of(
    step: &Step,
    work: &crate::domain::recipe::Work<'_>,
    hosts: Option<&[String]>,
    templates: &Templates,
) -> Result<Vec<String>, PlanError> {
    let tasks: Vec<Option<&str>> = match hosts {
        None => vec![None],
        Some(hosts) => hosts.iter().map(|host| Some(host.as_str())).collect(),
    };
    let mut first = None;
    for host in tasks {
        let scope = templates.scope(host);
        let failed = |error| PlanError::Template {
            step: step.id.clone(),
            on: host.map(|host| format!(" on {host}")).unwrap_or_default(),
            error,
        };
        if let Some(when) = &step.when
            && !scope.holds(when).map_err(failed)?
        {
            continue;
        }
        let lines = preview::lines(work, &scope).map_err(failed)?;
        if let Some(undo) = &step.undo {
            // What cannot be rendered must be known before the step runs, not when it is to be taken back.
            preview::lines(&undo.work(), &scope).map_err(failed)?;
        }
        first.get_or_insert(lines);
    }
    Ok(match (first, &step.when) {
        (Some(mut lines), _) => {
            lines.extend(preview::flow(step, hosts));
            lines
        }
        (None, Some(when)) if hosts.is_none_or(|hosts| !hosts.is_empty()) => {
            vec![format!("{NOTHING}not the case that {when}")]
        }
        (None, _) => vec![format!("{NOTHING}no node is selected")],
    })
}

fn select(selector: &Selector, environment: &Environment, only: &[String]) -> Vec<String> {
    environment
        .nodes
        .iter()
        .filter(|node| selector.admits(node))
        .take(if selector.first { 1 } else { usize::MAX })
        .map(|node| node.name.clone())
        .filter(|name| only.is_empty() || only.contains(name))
        .collect()
}

/// The nodes that an operator asks for, each time by a name or an expression, in the order of the environment; none when he
/// asks for none in particular.
pub(super) fn chosen_nodes(
    environment: &Environment,
    asked: &[String],
) -> Result<Vec<String>, PlanError> {
    let is_plain = |text: &String| !text.contains([':', '*', ' ', '(', ')', ',']) && text != "all";
    if asked.iter().all(is_plain) {
        check_nodes(environment, asked)?;
        return Ok(asked.to_vec());
    }
    let mut groups: Vec<Group> = Vec::with_capacity(asked.len());
    for text in asked {
        let group: Group = text.parse().map_err(wrong_nodes)?;
        group.check_names(&environment.nodes).map_err(wrong_nodes)?;
        groups.push(group);
    }
    let chosen: Vec<String> = environment
        .nodes
        .iter()
        .filter(|node| groups.iter().any(|group| group.admits(node)))
        .map(|node| node.name.clone())
        .collect();
    if chosen.is_empty() {
        return Err(PlanError::NothingToDo(format!(
            "nothing to do: no node of environment {} is {}",
            environment.name,
            asked.join(" or ")
        )));
    }
    Ok(chosen)
}

fn wrong_nodes(error: impl std::fmt::Display) -> PlanError {
    PlanError::Nodes(error.to_string())
}

fn check_nodes(environment: &Environment, nodes: &[String]) -> Result<(), PlanError> {
    match nodes.iter().find(|name| environment.node(name).is_none()) {
        None => Ok(()),
        Some(name) => Err(PlanError::UnknownNode {
            environment: environment.name.clone(),
            name: name.clone(),
            hint: did_you_mean(
                name,
                environment.nodes.iter().map(|node| node.name.as_str()),
            ),
        }),
    }
}

/// A run whose steps on nodes all come out empty would succeed without having done anything.
fn refuse_idle(
    recipe: &Recipe,
    environment: &Environment,
    only: &[String],
    steps: &[PlannedStep],
) -> Result<(), PlanError> {
    let mut on_nodes = steps
        .iter()
        .filter_map(|step| step.hosts.as_ref())
        .peekable();
    // A drift check without nodes still looks at services.
    let looks = |step: &PlannedStep| step.step.drift.is_some() && step.hosts.is_none();
    if on_nodes.peek().is_none()
        || on_nodes.any(|hosts| !hosts.is_empty())
        || steps.iter().any(looks)
    {
        return Ok(());
    }
    let selectors = || recipe.steps.iter().filter_map(|step| step.on.as_ref());
    let roles: BTreeSet<&str> = selectors()
        .flat_map(|selector| selector.roles.iter().map(|role| role.word()))
        .collect();
    let groups: BTreeSet<String> = selectors()
        .filter_map(|selector| selector.nodes.as_ref().map(ToString::to_string))
        .collect();
    let mut wanted: Vec<String> = Vec::new();
    if !roles.is_empty() {
        wanted.push(format!(
            "with a role of {}",
            Vec::from_iter(roles).join(", ")
        ));
    }
    wanted.extend(groups.iter().map(|group| format!("that is {group}")));
    if wanted.is_empty() {
        wanted.push("that its steps select".into());
    }
    let wanted = wanted.join(" or ");
    let among = if only.is_empty() {
        String::new()
    } else {
        format!(" among {}", only.join(", "))
    };
    Err(PlanError::NothingToDo(format!(
        "nothing to do: recipe {} finds no node {wanted}{among} in environment {}",
        recipe.name, environment.name
    )))
}

fn fill_params(
    recipe: &Recipe,
    given: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, PlanError> {
    let known = || recipe.params.iter().map(|param| param.name.as_str());
    for name in given.keys() {
        if !known().any(|known| known == name) {
            let near = did_you_mean(name, known());
            let hint = match (near.is_empty(), recipe.params.is_empty()) {
                (false, _) => near,
                (true, true) => "; it has none".to_owned(),
                (true, false) => {
                    format!("; it has {}", known().collect::<Vec<_>>().join(", "))
                }
            };
            return Err(PlanError::UnknownParam {
                recipe: recipe.name.clone(),
                name: name.clone(),
                hint,
            });
        }
    }
    recipe
        .params
        .iter()
        .map(|param| {
            let value = match (given.get(&param.name), &param.default) {
                (Some(value), Some(default)) => fit(param, value, default)?,
                (Some(value), None) => value.clone(),
                (None, Some(default)) => default.clone(),
                (None, None) => {
                    return Err(PlanError::MissingParam {
                        recipe: recipe.name.clone(),
                        name: param.name.clone(),
                        help: param.help.clone(),
                    });
                }
            };
            Ok((param.name.clone(), value))
        })
        .collect()
}

/// Gives `value` the type of the default. The command line can only send text.
fn fit(param: &Param, value: &Value, default: &Value) -> Result<Value, PlanError> {
    let wrong = |wanted| PlanError::ParamType {
        name: param.name.clone(),
        wanted,
        given: value.to_string(),
    };
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let text = value.as_str();
    match default {
        Value::Bool(_) => Some(value.clone())
            .filter(Value::is_boolean)
            .or_else(|| text.and_then(read).filter(Value::is_boolean))
            .ok_or_else(|| wrong("true or false")),
        Value::Number(_) => Some(value.clone())
            .filter(Value::is_number)
            .or_else(|| text.and_then(read).filter(Value::is_number))
            .ok_or_else(|| wrong("a number")),
        Value::String(_) => match value {
            Value::String(_) => Ok(value.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(Value::String(value.to_string())),
            _ => Err(wrong("a text")),
        },
        Value::Array(_) => Some(value.clone())
            .filter(Value::is_array)
            .or_else(|| text.and_then(read).filter(Value::is_array))
            .ok_or_else(|| wrong("a list, such as [\"a\", \"b\"]")),
        Value::Object(_) => Some(value.clone())
            .filter(Value::is_object)
            .or_else(|| text.and_then(read).filter(Value::is_object))
            .ok_or_else(|| wrong("a map, such as {\"a\": 1}")),
        Value::Null => Ok(value.clone()),
    }
}

/// SHA-256 over a value as JSON with sorted keys.
pub(super) fn digest(value: &impl Serialize) -> String {
    let value =
        serde_json::to_value(value).expect("plans and environments are plain data with text keys");
    let mut canonical = String::new();
    write_canonical(&value, &mut canonical);
    let digest = Sha256::digest(canonical.as_bytes());
    crate::domain::hex(&digest)
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            out.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests;
