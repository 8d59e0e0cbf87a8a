//! An environment's schedules, a line each: when it is due next, and what became of it last.

use jiff::tz::TimeZone;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::domain::environment::Environment;
use crate::domain::run::RunState;
use crate::domain::schedule::{Outcome, ScheduleStatus};
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::world::World;

/// The lines; none when the environment has no schedules.
pub(super) fn lines(here: &Environment, world: &World, look: &Look) -> Vec<Line<'static>> {
    let own: Vec<&ScheduleStatus> = world
        .schedules
        .iter()
        .filter(|schedule| schedule.environment == here.name)
        .collect();
    if own.is_empty() {
        return Vec::new();
    }
    let theme = &look.theme;
    let heading = format!("{:<18}{:<24}{}", "SCHEDULE", "NEXT", "LAST");
    let mut lines = vec![
        Line::default(),
        Line::from(Span::styled(heading, theme.muted)),
    ];
    for schedule in own {
        let plain = Style {
            bg: None,
            ..theme.text
        };
        let (next, next_style) = next(schedule, world, look, plain);
        let (last, last_style) = last(schedule, look);
        let mut spans = vec![
            look.outer(&format!("{:<17} ", schedule.name), plain),
            look.outer(&format!("{next:<23} "), next_style),
            look.outer(&last, last_style),
        ];
        let skipped = matches!(
            schedule.memory.outcome,
            Some(Outcome::Skipped | Outcome::Refused)
        );
        if let Some(reason) = schedule.memory.reason.as_deref().filter(|_| skipped) {
            spans.push(look.outer(&format!("  {reason}"), theme.muted));
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// When it is due, in its own time zone, and how long that is from now.
fn next(schedule: &ScheduleStatus, world: &World, look: &Look, plain: Style) -> (String, Style) {
    if !schedule.enabled {
        return ("off".into(), look.theme.muted);
    }
    if let Some(by) = &schedule.memory.paused_by {
        return (format!("paused by {by}"), look.theme.warn);
    }
    let Some(due) = schedule.next.iter().find(|due| **due > world.now) else {
        return ("now".into(), look.theme.accent);
    };
    let zone = TimeZone::get(&schedule.timezone).unwrap_or_else(|_| TimeZone::system());
    let local = due.to_zoned(zone).strftime("%a %H:%M").to_string();
    let left = measure::span(due.duration_since(world.now).as_secs());
    (format!("{local}, in {left}"), plain)
}

/// What became of it, with a glyph.
fn last(schedule: &ScheduleStatus, look: &Look) -> (String, Style) {
    let theme = &look.theme;
    let glyphs = &look.glyphs;
    let memory = &schedule.memory;
    match (memory.outcome, memory.run_state) {
        (Some(Outcome::Skipped), _) => (format!("{} skipped", glyphs.warn), theme.warn),
        (Some(Outcome::Refused), _) => (format!("{} refused", glyphs.warn), theme.bad),
        (Some(Outcome::Starting), _) => (format!("{} cut off", glyphs.warn), theme.bad),
        (_, Some(state)) => {
            let run = schedule
                .last_run_number
                .map_or_else(|| "run".into(), |number| format!("run #{number}"));
            match state {
                RunState::Succeeded => (format!("{} {run} {state}", glyphs.done), theme.good),
                RunState::Failed | RunState::Interrupted => {
                    (format!("{} {run} {state}", glyphs.warn), theme.bad)
                }
                _ => (format!("{run} {state}"), theme.accent),
            }
        }
        _ => ("never".into(), theme.muted),
    }
}
