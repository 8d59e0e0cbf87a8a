//! Drawing one service: a header that says how it is, tabs, the table.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::services;
use super::model::ServiceScreen;
use crate::domain::live::{Observed, ServiceReport};
use crate::domain::service::ServiceSpec;
use crate::domain::table::{Table, Tone};
use crate::tui::measure;
use crate::tui::paint::grid::{Column, Grid, GridRow};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_top, inset};
use crate::tui::text;
use crate::tui::world::{Known, World};

pub(crate) fn draw(screen: &ServiceScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let Some(service) = world.service_spec(&screen.name) else {
        let sentence = match &world.workspace {
            Known::Asked => "Asking the engine for the workspace".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => format!(
                "{} has no service called {}.",
                world.environment, screen.name
            ),
        };
        paint.hint(area, &sentence, theme.muted);
        return;
    };
    let observed = world.service(&service.name);
    let lines = header(look, world, service, observed, area.width.saturating_sub(4));
    let boxed = area.height >= 30;
    let rows = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(if boxed { 2 } else { 1 });
    let (upper, lower) = cut_top(area, rows.min(area.height / 2));
    let edge = theme.guard(world.protection());
    let state = look.sign(services::rows::state(observed, look.glyphs));
    let title = if service.name == service.kind.word() {
        service.kind.title().to_owned()
    } else {
        format!("{} ({})", service.name, service.kind.title())
    };
    let mut frame = Pane {
        key: None,
        title,
        right: Line::from(state),
        focused: false,
        edge,
        boxed,
    };
    let inner = paint.pane(upper, &frame);
    paint.lines(inset(inner, 1), &lines);
    frame.boxed = false;
    frame.focused = true;
    frame.title = String::new();
    frame.right = freshness(screen, world, look);
    let inner = paint.pane(lower, &frame);
    tabs(screen, world, paint, lower);
    table(screen, world, paint, inner);
}

fn header(
    look: &Look,
    world: &World,
    service: &ServiceSpec,
    observed: Option<&Observed<ServiceReport>>,
    width: u16,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines = Vec::new();
    if let Some(trouble) = observed.and_then(|seen| seen.trouble.as_ref()) {
        let age = observed.and_then(|seen| seen.as_of).map_or_else(
            || "nothing was ever heard from it".to_owned(),
            |at| format!("what is shown is as of {} ago", measure::age(world.now, at)),
        );
        let head = format!(
            "{} unreachable for {}, {}; {age}",
            look.glyphs.bad,
            measure::age(world.now, trouble.since),
            measure::count(usize::try_from(trouble.attempts).unwrap_or(0), "attempt"),
        );
        for sentence in [head.as_str(), trouble.reason.as_str()] {
            for line in text::wrap(&look.plain(sentence), usize::from(width.max(10))) {
                lines.push(Line::from(Span::styled(line, theme.bad)));
            }
        }
    }
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        facts.push(("version", report.version.clone().unwrap_or_default()));
        facts.push(("leader", report.leader.clone().unwrap_or_default()));
        let members = report
            .members
            .map(|members| format!("{}/{}", members.well, members.total));
        facts.push(("members", members.unwrap_or_default()));
        facts.push(("latency", measure::latency(report.latency_ms)));
        let as_of = observed.and_then(|seen| seen.as_of);
        let as_of = as_of.map_or_else(String::new, |at| {
            format!("{} ago", measure::age(world.now, at))
        });
        facts.push(("as of", as_of));
    }
    facts.push(("endpoint", service.urls.join(" ")));
    lines.extend(pairs(look, &facts, width));
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        lines.push(Line::from(look.outer(&report.summary, plain)));
        for problem in &report.problems {
            let sign = look.glyphs.health(problem.health);
            lines.push(Line::from(vec![
                look.sign(sign),
                Span::raw("  "),
                look.outer(&problem.text, theme.tone(sign.tone)),
            ]));
        }
    }
    lines
}

/// `name value` pairs side by side, on as many rows as they need.
fn pairs(look: &Look, facts: &[(&str, String)], width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        let pair = [
            Span::styled(format!("{name} "), theme.muted),
            look.outer(value, plain),
            Span::raw("   "),
        ];
        let needed: usize = pair.iter().map(Span::width).sum();
        if let Some(line) = lines.last_mut() {
            if line.width() + needed > usize::from(width) + 3 && line.width() > 0 {
                lines.push(Line::from(pair.to_vec()));
            } else {
                line.spans.extend(pair);
            }
        }
    }
    lines
}

fn tabs(screen: &ServiceScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let theme = &paint.look.theme;
    let mut spans = Vec::new();
    for (index, view) in world.views(&screen.name).iter().enumerate() {
        let style = if index == screen.tab {
            theme
                .accent
                .add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
        } else {
            theme.muted
        };
        spans.push(Span::raw(" "));
        spans.push(paint.look.outer(&view.title, style));
        spans.push(Span::raw(" "));
    }
    if !spans.is_empty() && area.width > 6 {
        paint.line(area.x + 2, area.y, area.width - 4, &Line::from(spans));
    }
}

/// How old the table is, and why nothing newer came.
fn freshness(screen: &ServiceScreen, world: &World, look: &Look) -> Line<'static> {
    let theme = &look.theme;
    let Some(fetched) = screen
        .view(world)
        .and_then(|view| world.table(&screen.name, view))
    else {
        return Line::default();
    };
    match (&fetched.trouble, fetched.as_of) {
        (Some(_), Some(at)) => Line::from(Span::styled(
            format!(
                "{} stale: {} old",
                look.glyphs.warn,
                measure::age(world.now, at)
            ),
            theme.warn,
        )),
        (None, Some(at)) => Line::from(Span::styled(
            format!("{} ago", measure::age(world.now, at)),
            theme.muted,
        )),
        _ => Line::default(),
    }
}

fn table(screen: &ServiceScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let Some(view) = screen.view(world) else {
        let sentence = "This kind of service offers no tables in this version.";
        paint.hint(area, sentence, theme.muted);
        return;
    };
    let fetched = world.table(&screen.name, view);
    let trouble = fetched.and_then(|fetched| fetched.trouble.as_deref());
    let Some(table) = fetched.and_then(|fetched| fetched.table.as_ref()) else {
        let (sentence, style) = trouble
            .map_or(("Asking the service".to_owned(), theme.muted), |reason| {
                (format!("{} {reason}", look.glyphs.bad), theme.bad)
            });
        paint.hint(area, &sentence, style);
        return;
    };
    let rows = screen.rows(world);
    if rows.is_empty() {
        let sentence = if table.rows.is_empty() {
            table.empty.clone()
        } else {
            "No row matches. Esc drops the filter.".into()
        };
        paint.hint(area, &sentence, theme.muted);
        return;
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let list = screen.list();
    let grid_rows: Vec<GridRow> = rows
        .iter()
        .map(|row| {
            let cells = row
                .cells
                .iter()
                .map(|cell| Line::from(toned(look, cell.tone, &cell.text)));
            let mut grid_row = GridRow::new(row.id.clone(), cells.collect());
            grid_row.marked = list.is_some_and(|list| list.cursor.marked.contains(&row.id));
            grid_row
        })
        .collect();
    paint.grid(
        area,
        &Grid {
            columns: &columns(table),
            rows: &grid_rows,
            selected: list.map_or(0, |list| list.cursor.position(&ids)),
            focused: true,
            sort: None,
            stale: trouble.is_some(),
        },
    );
}

/// A cell's text, with a glyph where its tone says something.
fn toned(look: &Look, tone: Tone, text: &str) -> Span<'static> {
    let style = look.theme.tone(tone);
    let glyph = match tone {
        Tone::Good => look.glyphs.ok,
        Tone::Warn => look.glyphs.warn,
        Tone::Bad => look.glyphs.bad,
        Tone::Plain | Tone::Muted | Tone::Accent => "",
    };
    if glyph.is_empty() || text.is_empty() {
        look.outer(text, style)
    } else {
        look.outer(&format!("{glyph} {text}"), style)
    }
}

/// The columns: the first stays, the others may be narrowed and then dropped from the right.
fn columns(table: &Table) -> Vec<Column> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(index, title)| {
            let numeric = !table.rows.is_empty()
                && table
                    .rows
                    .iter()
                    .filter_map(|row| row.cells.get(index))
                    .all(|cell| {
                        !cell.text.is_empty()
                            && cell
                                .text
                                .chars()
                                .all(|c| c.is_ascii_digit() || matches!(c, '.' | '%' | ','))
                    });
            let rank = u8::try_from(index).unwrap_or(u8::MAX);
            if numeric {
                Column::number(title, rank)
            } else {
                Column::prose(title, rank, 10)
            }
        })
        .collect()
}
