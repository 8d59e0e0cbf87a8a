//! Drawing the environments: the list, and below it what the current one declares and what is there.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::{nodes, services};
use super::model::Environments;
use super::{rows, schedules};
use crate::domain::environment::{Environment, Protection};
use crate::tui::measure;
use crate::tui::paint::grid::Grid;
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Paint, cut_top, inset};
use crate::tui::world::{Known, World};

pub(crate) fn draw(screen: &Environments, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let ids = screen.ids(world);
    let rows_wanted = u16::try_from(ids.len())
        .unwrap_or(u16::MAX)
        .saturating_add(3);
    let (upper, lower) = cut_top(
        area,
        rows_wanted.clamp(4.min(area.height), (area.height / 2).max(4)),
    );
    let edge = look.theme.guard(world.protection());
    let frame = |title: &str, focused: bool, right: Line<'static>| Pane {
        key: None,
        title: title.to_owned(),
        right,
        focused,
        edge,
        boxed: area.height >= 30,
    };
    let name = world
        .workspace()
        .map(|workspace| workspace.name.clone())
        .unwrap_or_default();
    let right = Line::from(look.outer(&name, look.theme.muted));
    let inner = paint.pane(upper, &frame("Environments", true, right));
    if ids.is_empty() {
        let sentence = match &world.workspace {
            Known::Asked => "Asking the engine for the workspace".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => "No environment matches. Add files under environments/, or press esc to drop the filter.".into(),
        };
        paint.hint(inner, &sentence, look.theme.muted);
        return;
    }
    let grid_rows: Vec<_> = ids
        .iter()
        .filter_map(|id| world.environment(id))
        .map(|environment| rows::row(world, look, environment))
        .collect();
    let selected = ids
        .iter()
        .position(|id| *id == world.environment)
        .unwrap_or(0);
    paint.grid(
        inner,
        &Grid {
            columns: &rows::columns(),
            rows: &grid_rows,
            selected,
            focused: true,
            sort: None,
            stale: false,
        },
    );
    if let Some(here) = world.here() {
        let title = format!("{}: declared and actual", here.name);
        let inner = paint.pane(lower, &frame(&title, false, Line::default()));
        let lines = spec(here, world, paint);
        paint.lines(inset(inner, 1), &lines);
    }
}

/// What protection means, in words.
fn meaning(protection: Protection) -> &'static str {
    match protection {
        Protection::Open => "changes start at once; destruction asks",
        Protection::Confirm => "every change asks",
        Protection::Typed => "every change asks for the environment's name",
        Protection::TwoPerson => "every change asks for a second operator",
    }
}

fn spec(here: &Environment, world: &World, paint: &Paint<'_>) -> Vec<Line<'static>> {
    let look = paint.look;
    let theme = &look.theme;
    let plain = ratatui::style::Style {
        bg: None,
        ..theme.text
    };
    let row = |label: &str, value: Vec<Span<'static>>| {
        let mut spans = vec![Span::styled(format!("{label:<12}"), theme.muted)];
        spans.extend(value);
        Line::from(spans)
    };
    let (up, nodes) = nodes::rows::tally(world, &here.name);
    let (well, services) = services::rows::tally(world, &here.name);
    let software: Vec<&str> = here
        .software()
        .iter()
        .map(|software| software.word())
        .collect();
    let mut lines = vec![
        row(
            "protection",
            vec![
                Span::styled(here.protection.word(), theme.guard(here.protection)),
                Span::styled(format!("  {}", meaning(here.protection)), theme.muted),
            ],
        ),
        row(
            "stack",
            vec![
                Span::styled(here.stack.word(), plain),
                look.outer(&format!("  {}", software.join(" → ")), theme.muted),
            ],
        ),
        row(
            "nodes",
            vec![Span::styled(format!("{nodes} declared, {up} up"), plain)],
        ),
        row(
            "services",
            vec![Span::styled(
                format!("{services} declared, {well} ok"),
                plain,
            )],
        ),
    ];
    if let (Some(lock), Some(live)) = (
        rows::lock(world, &here.name),
        world
            .live
            .get(&here.name)
            .and_then(|live| live.lock.as_ref()),
    ) {
        let lock = format!("{lock}: {}, started by {}", live.title, live.by);
        lines.push(row("changing", vec![look.outer(&lock, theme.warn)]));
    }
    lines.extend(schedules::lines(here, world, look));
    lines.push(Line::default());
    lines.push(Line::from(Span::styled(
        format!("{:<14}{:<14}{}", "SOFTWARE", "DECLARED", "ACTUAL"),
        theme.muted,
    )));
    for (software, version) in &here.versions {
        let actual: Vec<String> = here
            .services
            .iter()
            .filter(|service| service.kind.word() == software)
            .filter_map(|service| {
                let report = world
                    .live
                    .get(&here.name)?
                    .services
                    .get(&service.name)?
                    .value
                    .as_ref()?;
                report.version.clone()
            })
            .collect();
        let (text, style) = match actual.first() {
            None => ("unknown".to_owned(), theme.muted),
            Some(actual) if actual.trim_start_matches('v').starts_with(version.as_str()) => {
                (format!("{} {actual}", look.glyphs.done), theme.good)
            }
            Some(actual) => (
                format!("{} {actual} differs", look.glyphs.changed),
                theme.warn,
            ),
        };
        lines.push(Line::from(vec![
            look.outer(&format!("{software:<14}{version:<14}"), plain),
            look.outer(&text, style),
        ]));
    }
    if here.versions.is_empty() {
        lines.push(Line::from(Span::styled(
            "no versions are pinned",
            theme.muted,
        )));
    }
    lines.push(Line::default());
    lines.push(Line::from(Span::styled("ROLES", theme.muted)));
    let mut roles: Vec<_> = here
        .nodes
        .iter()
        .flat_map(|node| node.roles.iter().copied())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    for role in roles {
        let names: Vec<&str> = here
            .nodes_with(role)
            .map(|node| node.name.as_str())
            .collect();
        let even = role.is_quorum() && names.len().is_multiple_of(2);
        let mut spans = vec![
            Span::styled(format!("{:<20}", role.word()), plain),
            Span::styled(
                format!("{:<10}", measure::count(names.len(), "node")),
                theme.muted,
            ),
            look.outer(&names.join(" "), theme.muted),
        ];
        if even {
            spans.push(Span::styled(
                format!(
                    "  {} an even number votes no better than one less",
                    look.glyphs.warn
                ),
                theme.warn,
            ));
        }
        lines.push(Line::from(spans));
    }
    lines
}
