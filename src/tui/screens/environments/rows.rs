//! Environments as rows.

use ratatui::text::{Line, Span};

use super::super::{nodes, services};
use crate::domain::environment::Environment;
use crate::domain::finding::Severity;
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::paint::grid::{Column, GridRow, cell};
use crate::tui::world::World;

/// The columns.
pub(crate) fn columns() -> Vec<Column> {
    vec![
        Column::prose("name", 0, 6),
        Column::new("protection", 2),
        Column::number("nodes", 1),
        Column::number("services", 3),
        Column::new("findings", 1),
        Column::new("stack", 5),
        Column::new("marking", 4),
    ]
}

/// One environment as a row.
pub(crate) fn row(world: &World, look: &Look, environment: &Environment) -> GridRow {
    let theme = &look.theme;
    let share = |(well, total): (usize, usize)| {
        let style = if well < total {
            theme.warn
        } else {
            theme.muted
        };
        cell(format!("{well}/{total}"), style)
    };
    GridRow::new(
        environment.name.clone(),
        vec![
            Line::from(look.outer(&environment.name, theme.strong)),
            cell(
                environment.protection.word(),
                theme.guard(environment.protection),
            ),
            share(nodes::rows::tally(world, &environment.name)),
            share(services::rows::tally(world, &environment.name)),
            Line::from(counts(world, look, &environment.name)),
            cell(environment.stack.word(), theme.muted),
            Line::from(look.outer(
                environment.marking.as_deref().unwrap_or_default(),
                theme.accent,
            )),
        ],
    )
}

/// Which run is changing the environment and for how long, short enough for the edge of a narrow pane: `lock #13 3m12s`.
pub(crate) fn lock(world: &World, environment: &str) -> Option<String> {
    let lock = world.live.get(environment)?.lock.as_ref()?;
    let age = measure::length(lock.since, world.now);
    Some(format!("lock #{} {age}", lock.number))
}

/// Findings by severity, glyph and number; a tick when there are none.
fn counts(world: &World, look: &Look, environment: &str) -> Vec<Span<'static>> {
    let mut spans = severities(world, look, environment);
    if spans.is_empty() {
        spans.push(if world.live.contains_key(environment) {
            Span::styled(look.glyphs.done, look.theme.good)
        } else {
            Span::styled(look.glyphs.unknown, look.theme.muted)
        });
    }
    spans
}

/// How many findings there are of each severity, as short as it can be said; nothing when there are none.
pub(crate) fn severities(world: &World, look: &Look, environment: &str) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (severity, count) in Severity::ALL.iter().zip(world.severities(environment)) {
        if count > 0 {
            let sign = look.glyphs.severity(*severity);
            let gap = if spans.is_empty() { "" } else { " " };
            spans.push(Span::styled(
                format!("{gap}{}{count}", sign.glyph),
                look.theme.tone(sign.tone),
            ));
        }
    }
    spans
}
