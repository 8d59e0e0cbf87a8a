//! Drawing the drift board: the rows above, desired and actual of the one under the cursor below; side by side where there is
//! room.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::model::{Drift, id};
use crate::domain::drift::board::{DriftBoard, DriftRow};
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_bottom, inset};
use crate::tui::world::{Known, World};
use crate::tui::{measure, text};

/// From this width on desired and actual stand side by side.
const WIDE: u16 = 100;

pub(crate) fn draw(screen: &Drift, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let shown = screen.shown(world);
    let current = screen.current(world);
    let wanted = current.map_or(0, |row| detail_height(row, area.width));
    let detail = if area.height >= 14 {
        wanted.min(area.height / 2)
    } else {
        0
    };
    let (upper, lower) = cut_bottom(area, detail);
    let pane = Pane {
        key: None,
        title: format!("Drift of {}", world.environment),
        right: Line::from(counts(look, world)),
        focused: true,
        edge: theme.guard(world.protection()),
        boxed: area.height >= 30,
    };
    let inner = paint.pane(upper, &pane);
    let remarks = remarks(look, world);
    let (rows_area, foot) = cut_bottom(
        inner,
        u16::try_from(remarks.len())
            .unwrap_or(0)
            .min(inner.height / 3),
    );
    paint.lines(inset(foot, 1), &remarks);
    if shown.is_empty() {
        let (sentence, style) = empty(screen, world, look);
        paint.hint(rows_area, &sentence, style);
        return;
    }
    let ids: Vec<String> = shown.iter().map(|row| id(row)).collect();
    let rows: Vec<GridRow> = shown.iter().map(|row| grid_row(look, world, row)).collect();
    let columns = [
        Column::new("state", 0),
        Column::number("since", 1),
        Column::new("source", 3),
        Column::prose("object", 0, 20),
        Column::new("field", 0),
        Column::prose("desired", 2, 10),
        Column::prose("actual", 2, 10),
    ];
    paint.grid(
        rows_area,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected: screen.list.cursor.position(&ids),
            focused: true,
            sort: None,
            stale: false,
        },
    );
    if let Some(row) = current.filter(|_| detail > 0) {
        beside(row, paint, lower);
    }
}

/// Rows that showing one whole would take, its frame included.
fn detail_height(row: &DriftRow, width: u16) -> u16 {
    let (desired, actual) = columns_of(row);
    let lines = if width >= WIDE {
        desired.len().max(actual.len()) + 1
    } else {
        desired.len() + actual.len() + 2
    };
    u16::try_from(lines + 1).unwrap_or(u16::MAX)
}

/// The text of each side: of a diff the lines that belong to it, else the value.
fn columns_of(row: &DriftRow) -> (Vec<String>, Vec<String>) {
    let drifted = &row.known.drifted;
    if drifted.diff.is_empty() {
        return (vec![drifted.desired.clone()], vec![drifted.actual.clone()]);
    }
    let is_heading = |line: &&String| !(line.starts_with("--- ") || line.starts_with("+++ "));
    let side = |other: char| {
        let lines = drifted.diff.iter().filter(is_heading);
        lines
            .filter(|line| !line.starts_with(other))
            .cloned()
            .collect()
    };
    (side('-'), side('+'))
}

/// Desired and actual: side by side, or one under the other.
fn beside(row: &DriftRow, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let (desired, actual) = columns_of(row);
    let head = |title: &str| Pane {
        key: None,
        title: title.to_owned(),
        right: Line::default(),
        focused: false,
        edge: theme.faint,
        boxed: false,
    };
    let sides = if area.width >= WIDE {
        let half = area.width / 2;
        [
            Rect {
                width: half,
                ..area
            },
            Rect {
                x: area.x + half,
                width: area.width - half,
                ..area
            },
        ]
    } else {
        // Each its heading and what it needs; the first gives way when there is not room for both.
        let need = u16::try_from(actual.len() + 1).unwrap_or(u16::MAX);
        let below = need.min(area.height / 2).max(2);
        let (first, second) = cut_bottom(area, below);
        [first, second]
    };
    // The row may have no room for the whole name.
    let key = &row.known.drifted.key;
    let whole = format!("Desired of {}, {}", key.object, key.field);
    for (side, title, lines) in [
        (sides[0], whole.as_str(), desired),
        (sides[1], "Actual", actual),
    ] {
        let inner = inset(paint.pane(side, &head(title)), 1);
        let lines: Vec<Line<'static>> = lines
            .iter()
            .flat_map(|line| text::wrap(&look.plain(line), usize::from(inner.width.max(10))))
            .map(|line| {
                let style = match line.chars().next() {
                    Some('+') => theme.good,
                    Some('-') => theme.bad,
                    _ => Style {
                        bg: None,
                        ..theme.text
                    },
                };
                Line::from(Span::styled(line, style))
            })
            .collect();
        paint.lines(inner, &lines);
    }
}

fn grid_row(look: &Look, world: &World, row: &DriftRow) -> GridRow {
    let theme = &look.theme;
    let drifted = &row.known.drifted;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let state = match (&row.ignored, &row.trouble, &row.expired) {
        (Some(_), _, _) => cell(format!("{} ignored", look.glyphs.skipped), theme.muted),
        (None, Some(_), _) => cell(format!("{} not known", look.glyphs.unknown), theme.muted),
        (None, None, Some(_)) => cell(format!("{} rule expired", look.glyphs.warn), theme.warn),
        (None, None, None) => cell(format!("{} drifted", look.glyphs.changed), theme.warn),
    };
    GridRow::new(
        id(row),
        vec![
            state,
            cell(
                format!("{} ago", measure::age(world.now, row.known.first_seen)),
                theme.muted,
            ),
            cell(drifted.key.source.word(), theme.muted),
            Line::from(look.outer(&drifted.key.object, theme.strong)),
            Line::from(look.outer(&drifted.key.field, plain)),
            Line::from(look.outer(&drifted.desired, plain)),
            Line::from(look.outer(&drifted.actual, theme.bad)),
        ],
    )
}

/// How each source stands.
fn counts(look: &Look, world: &World) -> Vec<Span<'static>> {
    let Some(board) = world.drift() else {
        return Vec::new();
    };
    let theme = &look.theme;
    let mut spans = Vec::new();
    for (source, count) in board.counts() {
        let gap = if spans.is_empty() { "" } else { "  " };
        let style = if count.open > 0 {
            theme.warn
        } else if count.unknown > 0 {
            theme.muted
        } else {
            theme.good
        };
        let ignored = match count.ignored {
            0 => String::new(),
            ignored => format!("+{ignored} ignored"),
        };
        let unknown = match count.unknown {
            0 => String::new(),
            unknown => format!(" {} {unknown}", look.glyphs.unknown),
        };
        spans.push(Span::styled(
            format!("{gap}{source} {}{ignored}{unknown}", count.open),
            style,
        ));
    }
    spans
}

/// What has to be said beside the rows: parts that are not known, rules that are over or cannot be read.
fn remarks(look: &Look, world: &World) -> Vec<Line<'static>> {
    let Some(board) = world.drift() else {
        return Vec::new();
    };
    let theme = &look.theme;
    let mut lines = Vec::new();
    if let Some(reason) = &board.rules_trouble {
        let first = reason.lines().next().unwrap_or_default();
        let said = format!("{} no rule holds: {first}", look.glyphs.bad);
        lines.push(Line::from(look.outer(&said, theme.bad)));
    }
    for rule in &board.expired {
        let said = format!(
            "{} rule expired on {}: {} ({})",
            look.glyphs.warn, rule.expires, rule.matches, rule.reason
        );
        lines.push(Line::from(look.outer(&said, theme.warn)));
    }
    for look_at in board.unknown() {
        let known = match look_at.known_at {
            Some(at) => format!("as of {} ago", measure::age(world.now, at)),
            None => "never seen".into(),
        };
        let source = look_at.source.to_string();
        // A service is often called what it is.
        let part = match look_at.scope.as_str() {
            scope if scope == source => source,
            scope => format!("{source} {scope}"),
        };
        let said = format!(
            "{} {part} not known, {known}: {}",
            look.glyphs.unknown,
            look_at.trouble.as_deref().unwrap_or_default()
        );
        lines.push(Line::from(look.outer(&said, theme.muted)));
    }
    lines
}

/// Why there are no rows. Green only where everything was looked at.
fn empty(screen: &Drift, world: &World, look: &Look) -> (String, Style) {
    let theme = &look.theme;
    match &world.drift.1 {
        Known::Asked => ("Reading the board".into(), theme.muted),
        Known::Failed(reason) => (format!("The board cannot be read: {reason}"), theme.bad),
        Known::Ready(_) if !screen.list.filter.is_empty() => {
            ("No row matches. Esc drops the filter.".into(), theme.muted)
        }
        Known::Ready(board) if board.looks.is_empty() => (
            "Nobody has looked yet. c looks at every node and service; it changes nothing.".into(),
            theme.muted,
        ),
        Known::Ready(board) => {
            let as_of = oldest(board).map(|at| measure::age(world.now, at));
            let as_of = as_of.map_or(String::new(), |age| format!(" as of {age} ago"));
            if board.unknown().next().is_some() {
                (
                    format!("Nothing differs of what could be looked at{as_of}."),
                    theme.muted,
                )
            } else {
                (
                    format!("{} Everything is as declared{as_of}.", look.glyphs.done),
                    theme.good,
                )
            }
        }
    }
}

fn oldest(board: &DriftBoard) -> Option<jiff::Timestamp> {
    board.looks.iter().filter_map(|look| look.known_at).min()
}

/// Everything that is known of one row, for reading.
pub(super) fn account(world: &World, row: &DriftRow) -> Vec<String> {
    let drifted = &row.known.drifted;
    let when = |at| {
        format!(
            "{} ({} ago)",
            measure::date(at),
            measure::age(world.now, at)
        )
    };
    let mut lines = vec![
        format!("key        {}", drifted.key),
        format!("desired    {}", drifted.desired),
        format!("actual     {}", drifted.actual),
        format!("first seen {}", when(row.known.first_seen)),
        format!("last seen  {}", when(row.known.last_seen)),
    ];
    if let Some(reason) = &row.trouble {
        lines.push(format!("not known  since then: {reason}"));
    }
    for (word, rule) in [("ignored", &row.ignored), ("expired", &row.expired)] {
        if let Some(rule) = rule {
            lines.push(format!("{word}    until {}: {}", rule.expires, rule.reason));
        }
    }
    lines.push(match &drifted.reconcile {
        Some(remedy) => format!("reconcile  {remedy}"),
        None => "reconcile  by hand".into(),
    });
    if !drifted.diff.is_empty() {
        lines.push(String::new());
        lines.extend(drifted.diff.iter().cloned());
    }
    lines
}
