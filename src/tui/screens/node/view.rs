//! Drawing one node.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::findings::calm;
use super::super::nodes;
use super::figures;
use super::model::NodeScreen;
use crate::domain::finding::Subject;
use crate::domain::live::{NodeReport, Observed};
use crate::domain::node::Node;
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_left, cut_top, inset};
use crate::tui::world::{Known, World};
use crate::tui::{measure, text};

pub(crate) fn draw(screen: &NodeScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let Some(node) = world.here().and_then(|here| here.node(&screen.name)) else {
        let sentence = match &world.workspace {
            Known::Asked => "Asking the engine for the workspace".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => format!("{} has no node called {}.", world.environment, screen.name),
        };
        paint.hint(area, &sentence, look.theme.muted);
        return;
    };
    let beside = area.width >= 96;
    let (left, right) = if beside {
        cut_left(area, area.width * 45 / 100)
    } else {
        cut_top(area, (area.height * 7 / 10).max(10))
    };
    let edge = look.theme.guard(world.protection());
    let boxed = area.height >= 30;
    let frame = |title: &str, focused: bool, right: Line<'static>| Pane {
        key: None,
        title: title.to_owned(),
        right,
        focused,
        edge,
        boxed,
    };
    let observed = world.node(&node.name);
    let state = look.sign(nodes::rows::state(world, &node.name, look.glyphs));
    let inner = paint.pane(left, &frame(&node.name, true, Line::from(state)));
    let room = inset(inner, 1);
    let mut lines = trouble(look, world, observed, room.width);
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        lines.extend(figures::lines(look, world, node, report, room));
        lines.push(Line::default());
    }
    let used = paint.lines(room, &lines);
    let (_, below) = cut_top(room, used);
    let facts = figures::facts(look, world, node, observed);
    if facts.len() > usize::from(below.height) && below.width >= 60 {
        // Too many for one column: two.
        let (first, second) = facts.split_at(facts.len().div_ceil(2));
        let (left, right) = cut_left(below, below.width / 2);
        paint.lines(left, first);
        paint.lines(right, second);
    } else {
        paint.lines(below, &facts);
    }

    let wrong = wrong(look, world, node, right.width);
    let rows = u16::try_from(wrong.len())
        .unwrap_or(u16::MAX)
        .saturating_add(if boxed { 2 } else { 1 });
    let (upper, lower) = cut_top(right, rows.clamp(2, (right.height / 2).max(2)));
    let inner = paint.pane(upper, &frame("Findings", false, Line::default()));
    paint.lines(inset(inner, 1), &wrong);
    let inner = paint.pane(lower, &frame("Runs that touched it", true, Line::default()));
    touching(screen, world, paint, inner);
}

/// Why it cannot be reached, first of all.
fn trouble(
    look: &Look,
    world: &World,
    observed: Option<&Observed<NodeReport>>,
    width: u16,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let Some(trouble) = observed.and_then(|seen| seen.trouble.as_ref()) else {
        return Vec::new();
    };
    let mut lines = vec![Line::from(Span::styled(
        format!(
            "{} unreachable for {}, {}",
            look.glyphs.bad,
            measure::age(world.now, trouble.since),
            measure::count(usize::try_from(trouble.attempts).unwrap_or(0), "attempt")
        ),
        theme.bad,
    ))];
    for line in text::wrap(&look.plain(&trouble.reason), usize::from(width.max(10))) {
        lines.push(Line::from(Span::styled(line, theme.bad)));
    }
    let seen = observed.and_then(|seen| seen.as_of).map_or_else(
        || "It was never reached from here.".to_owned(),
        |at| format!("What follows is as of {} ago.", measure::age(world.now, at)),
    );
    lines.push(Line::from(Span::styled(seen, theme.muted)));
    lines.push(Line::default());
    lines
}

/// The node's findings, one row each.
fn wrong(look: &Look, world: &World, node: &Node, width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines = Vec::new();
    for finding in world.findings() {
        if finding.subject != Subject::Node(node.name.clone()) {
            continue;
        }
        lines.push(Line::from(vec![
            look.sign(look.glyphs.severity(finding.severity)),
            Span::raw("  "),
            look.outer(&finding.text, plain),
            Span::styled(
                format!("  {} ago", measure::age(world.now, finding.since)),
                theme.muted,
            ),
        ]));
        let room = usize::from(width.saturating_sub(6).max(10));
        for line in text::wrap(&look.plain(&finding.evidence), room) {
            lines.push(Line::from(Span::styled(format!("  {line}"), theme.muted)));
        }
    }
    if lines.is_empty() {
        lines.push(Line::from(calm(look, world, " that Quarterdeck can see")));
    }
    lines
}

fn touching(screen: &NodeScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let touching = screen.touching(world);
    if touching.is_empty() {
        let sentence = match &screen.runs {
            Known::Asked => "Reading the history".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => "None of the newest runs. Press a for what can be done here.".into(),
        };
        paint.hint(area, &sentence, theme.muted);
        return;
    }
    let rows: Vec<GridRow> = touching
        .iter()
        .map(|(run, worst)| {
            let begun = run.started_at.unwrap_or(run.created_at);
            GridRow::new(
                run.id.to_string(),
                vec![
                    Line::from(look.sign(look.glyphs.task(*worst, world.beat()))),
                    cell(format!("#{}", run.number), theme.muted),
                    Line::from(look.outer(
                        &run.title,
                        Style {
                            bg: None,
                            ..theme.text
                        },
                    )),
                    Line::from(look.sign(look.glyphs.run(run.state, world.beat()))),
                    cell(
                        format!("{} ago", measure::age(world.now, begun)),
                        theme.muted,
                    ),
                ],
            )
        })
        .collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let columns = [
        Column::new("here", 0),
        Column::number("run", 0),
        Column::prose("what", 1, 10),
        Column::new("run as a whole", 3),
        Column::number("begun", 2),
    ];
    let selected = screen.list.cursor.position(&ids);
    paint.grid(
        area,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected,
            focused: true,
            sort: None,
            stale: false,
        },
    );
}
