//! The settings of `quarterdeck.yaml`.

use std::time::Duration;

use jiff::SignedDuration;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::words::Span as Text;
use crate::config::format::workspace::{self as format, Poll, RunCount, WorkspaceFile};
use crate::config::meaning::notifications;
use crate::config::meaning::paths::Paths;
use crate::config::suggest;
use crate::config::workspace::Settings;
use crate::domain::retention::Retention;

/// Where recipes are unless the file says otherwise.
const RECIPES: &str = "recipes";

/// Reads the settings, with defaults for what is not given.
pub(crate) fn read(
    file: &WorkspaceFile,
    top: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Settings {
    let defaults = Settings::default();
    let Poll { nodes, services } = file.poll.clone().unwrap_or_default();
    let at = top.key("poll");
    let recipes = match &file.recipes {
        None => paths.resolve(RECIPES),
        Some(path) => paths.existing(&path.0, top.key("recipes").span(), "the directory", faults),
    };
    let told = file.notifications.clone().unwrap_or_default();
    let notifications = notifications::read(&told, top.key("notifications"), paths, faults);
    let mut pause = |text: Option<Text>, key, default| {
        text.map_or(default, |text| {
            interval(&text.0, at.key(key).span(), faults).unwrap_or(default)
        })
    };
    Settings {
        signal: told.terminal,
        notifications,
        default_environment: file.default_environment.clone().map(|name| name.0),
        poll_nodes: pause(nodes, "nodes", defaults.poll_nodes),
        poll_services: pause(services, "services", defaults.poll_services),
        concurrency: file.concurrency.map_or(defaults.concurrency, usize::from),
        idle_exit: match file
            .engine
            .as_ref()
            .and_then(|engine| engine.idle_exit.as_ref())
        {
            None => defaults.idle_exit,
            Some(text) => duration(&text.0).filter(|limit| !limit.is_zero()),
        },
        retention: retention(file.retention.clone().unwrap_or_default()),
        theme: file.theme,
        recipes,
    }
}

/// The environment to show first must be there.
pub(crate) fn default_environment<'n>(
    wanted: &str,
    top: Cursor<'_>,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Option<Fault> {
    if names.clone().any(|name| name == wanted) {
        return None;
    }
    let span = top.key("default_environment").span();
    let fault = Fault::error(
        "unknown-environment",
        span,
        format!("there is no environment called {}", quoted(wanted)),
    );
    Some(match suggest::closest(wanted, names.clone()) {
        Some(close) => fault.label(format!("did you mean `{close}`?")),
        None => fault.help(format!(
            "there are: {}",
            names.collect::<Vec<_>>().join(", ")
        )),
    })
}

/// How much history is kept; the forms were checked by the schema.
fn retention(file: format::Retention) -> Retention {
    let defaults = Retention::default();
    let number = |text: &str| {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        digits.parse::<u32>().ok()
    };
    Retention {
        age: file.age.map_or(defaults.age, |age| {
            number(&age.0).map(|days| SignedDuration::from_hours(i64::from(days) * 24))
        }),
        runs: file.runs.map_or(defaults.runs, |runs| match runs {
            RunCount::Some(count) => usize::try_from(count).ok(),
            RunCount::All(_) => None,
        }),
        size: file.size.map_or(defaults.size, |size| {
            let unit = if size.0.ends_with("GiB") {
                1 << 30
            } else {
                1 << 20
            };
            number(&size.0).map(|count| u64::from(count) * unit)
        }),
    }
}

/// A pause between two polls, 1 s to 1 h.
fn interval(text: &str, span: Span, faults: &mut Vec<Fault>) -> Option<Duration> {
    let pause = duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&pause) {
        return Some(pause);
    }
    faults.push(
        Fault::error(
            "out-of-range",
            span,
            format!("{} is not between 1s and 1h", quoted(text)),
        )
        .help("faster wears out the nodes, slower hides that they are gone"),
    );
    None
}

/// A whole number and a unit: `500ms`, `5s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.len()
        - text
            .trim_start_matches(|character: char| character.is_ascii_digit())
            .len();
    let number: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(3600)?),
        _ => return None,
    })
}
