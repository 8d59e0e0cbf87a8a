//! Schedules: what an environment runs by itself, and whether it may.

use std::collections::HashMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::environment::{EnvironmentFile, ScheduleEntry};
use crate::config::suggest;
use crate::config::workspace::Recipes;
use crate::domain::action::{Gate, Risk};
use crate::domain::environment::Environment;
use crate::domain::recipe::Recipe;
use crate::domain::schedule::{Missed, Schedule, shut_to_schedules};
use crate::domain::timing::Timing;

/// All schedules that are complete enough to be one.
pub(crate) fn read(
    file: &EnvironmentFile,
    top: Cursor<'_>,
    environment: &Environment,
    recipes: &Recipes,
    faults: &mut Vec<Fault>,
) -> Vec<Schedule> {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut schedules = Vec::with_capacity(file.schedules.len());
    for (index, entry) in file.schedules.iter().enumerate() {
        let at = top.key("schedules").item(index);
        if let Some(name) = &entry.name {
            let span = at.key("name").span();
            if let Some(first) = seen.get(name.0.as_str()) {
                faults.push(
                    Fault::error(
                        "duplicate-name",
                        span,
                        format!("two schedules are called {}", quoted(&name.0)),
                    )
                    .label("again here")
                    .related(*first, "first here")
                    .help("what is remembered of a schedule is kept by its name"),
                );
            } else {
                seen.insert(&name.0, span);
            }
        }
        if let Some(wanted) = &entry.recipe
            && let Some(recipe) = recipe(&wanted.0, at, recipes, faults)
        {
            gate(recipe, at, top, environment, faults);
            params(entry, recipe, at, faults);
        }
        nodes(file, entry, at, faults);
        let timing = timing(entry, at, faults);
        if let (Some(name), Some(recipe), Some(timing)) = (&entry.name, &entry.recipe, timing) {
            schedules.push(Schedule {
                environment: environment.name.clone(),
                name: name.0.clone(),
                recipe: recipe.0.clone(),
                params: entry.params.clone(),
                nodes: entry.on.iter().map(|node| node.0.clone()).collect(),
                timing,
                missed: entry.missed.unwrap_or(Missed::RunOnce),
                enabled: entry.enabled.unwrap_or(true),
            });
        }
    }
    schedules
}

fn timing(entry: &ScheduleEntry, at: Cursor<'_>, faults: &mut Vec<Fault>) -> Option<Timing> {
    let cron = entry.cron.as_deref()?;
    let zone = entry.timezone.as_deref();
    let mut fault = |code, key, error: &dyn std::fmt::Display, help: &str| {
        faults.push(Fault::error(code, at.key(key).span(), error.to_string()).help(help));
    };
    // Each alone, so that a mistake in one does not hide one in the other.
    if let Err(error) = Timing::new(cron, Some("UTC")) {
        fault(
            "malformed-cron",
            "cron",
            &error,
            "minute hour day-of-month month day-of-week, such as \"*/15 * * * *\" or \"30 2 * * MON-FRI\"; or @hourly, @daily …",
        );
    }
    if let Err(error) = Timing::new("@daily", zone) {
        fault(
            "unknown-timezone",
            "timezone",
            &error,
            "`timedatectl list-timezones` prints them all",
        );
    }
    Timing::new(cron, zone).ok()
}

/// The recipe of that name; one whose file is wrong has been told already.
fn recipe<'r>(
    wanted: &str,
    at: Cursor<'_>,
    recipes: &'r Recipes,
    faults: &mut Vec<Fault>,
) -> Option<&'r Recipe> {
    if let Some(recipe) = recipes.known.iter().find(|recipe| recipe.name == wanted) {
        return Some(recipe);
    }
    if !recipes.broken.iter().any(|name| name == wanted) {
        let names = recipes.known.iter().map(|recipe| recipe.name.as_str());
        let fault = Fault::error(
            "unknown-recipe",
            at.key("recipe").span(),
            format!("there is no recipe called {}", quoted(wanted)),
        );
        faults.push(match suggest::closest(wanted, names.clone()) {
            Some(close) => fault.label(format!("did you mean `{close}`?")),
            None => fault.help(format!(
                "there are: {}",
                names.collect::<Vec<_>>().join(", ")
            )),
        });
    }
    None
}

/// A schedule gives a yes in advance; where more is asked for, only looking is left.
fn gate(
    recipe: &Recipe,
    at: Cursor<'_>,
    top: Cursor<'_>,
    environment: &Environment,
    faults: &mut Vec<Fault>,
) {
    let Some(gate) = shut_to_schedules(recipe.risk, environment.protection, false) else {
        return;
    };
    let asks = match gate {
        Gate::SecondOperator => "another operator's consent",
        _ => "its name to be typed",
    };
    let does = match recipe.risk {
        Risk::Destroy => "destroys things",
        _ => "changes things",
    };
    let about = top.key("environment");
    let protection = about.key("protection");
    let place = protection.node().map_or(about, |_| protection).span();
    faults.push(
        Fault::error(
            "schedule-gate",
            at.key("recipe").span(),
            format!(
                "{} {does}, which cannot be scheduled here",
                quoted(&recipe.name)
            ),
        )
        .related(
            place,
            format!(
                "{} asks for {asks}, which no schedule can give",
                quoted(&environment.name)
            ),
        )
        .help("schedule a recipe that only reads (`risk: read`), or run this one by hand"),
    );
}

fn params(entry: &ScheduleEntry, recipe: &Recipe, at: Cursor<'_>, faults: &mut Vec<Fault>) {
    let here = at.key("params");
    let known = recipe.params.iter().map(|param| param.name.as_str());
    for name in entry.params.keys() {
        if known.clone().any(|known| known == name) {
            continue;
        }
        let fault = Fault::error(
            "unknown-param",
            here.key_span(name).unwrap_or(here.span()),
            format!("{} has no parameter {}", quoted(&recipe.name), quoted(name)),
        );
        faults.push(match suggest::closest(name, known.clone()) {
            Some(close) => fault.label(format!("did you mean `{close}`?")),
            None if recipe.params.is_empty() => fault.help("it has none"),
            None => fault.help(format!(
                "it has: {}",
                known.clone().collect::<Vec<_>>().join(", ")
            )),
        });
    }
    for param in &recipe.params {
        if param.default.is_none() && !entry.params.contains_key(&param.name) {
            faults.push(
                Fault::error(
                    "missing-param",
                    at.key("recipe").span(),
                    format!(
                        "{} needs the parameter {}",
                        quoted(&recipe.name),
                        quoted(&param.name)
                    ),
                )
                .help(format!("params: {{{}: …}}: {}", param.name, param.help)),
            );
        }
    }
}

fn nodes(file: &EnvironmentFile, entry: &ScheduleEntry, at: Cursor<'_>, faults: &mut Vec<Fault>) {
    // From the file, so that a node with a mistake of its own still counts.
    let names = file
        .nodes
        .iter()
        .filter_map(|node| Some(node.name.as_ref()?.0.as_str()));
    for (index, wanted) in entry.on.iter().enumerate() {
        if names.clone().any(|name| name == wanted.0) {
            continue;
        }
        let fault = Fault::error(
            "unknown-node",
            at.key("on").item(index).span(),
            format!("there is no node called {}", quoted(&wanted.0)),
        );
        faults.push(match suggest::closest(&wanted.0, names.clone()) {
            Some(close) => fault.label(format!("did you mean `{close}`?")),
            None => fault.help("name some of the environment's `nodes`, or leave `on` out for all"),
        });
    }
}
