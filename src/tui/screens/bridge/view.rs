//! Drawing the Bridge. Three sizes: compact (80x24), regular, and spacious, where nodes get a whole side.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::{environments, findings, nodes, runs, services};
use super::model::{Bridge, Focus};
use crate::tui::measure;
use crate::tui::paint::grid::{Column, Grid, GridRow};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Paint, cut_bottom, cut_left, cut_top};
use crate::tui::world::{Known, World};

/// From this height on panes have boxes.
const BOXED: u16 = 32;

pub(crate) fn draw(bridge: &Bridge, world: &World, paint: &mut Paint<'_>, area: Rect) {
    if bridge.zoomed {
        dock(bridge, world, paint, area);
        return;
    }
    let strip = match world.findings().len() {
        0 => 1,
        _ if area.height < 30 => 2.min(area.height / 6),
        known => u16::try_from(known).unwrap_or(u16::MAX).min(3) + 1,
    };
    let (top, rest) = cut_top(area, strip);
    findings::strip(world, paint, top);
    let edges = if paint.buf.area.height >= BOXED { 3 } else { 2 };
    let wanted = wanted(bridge, world, edges);
    let right = wanted[1] + wanted[2];
    let dock_rows = match rest.height {
        0..14 => 0,
        14..24 => 5,
        // The log takes what the lists do not need.
        rows => rows
            .saturating_sub(right.max(wanted[0] + wanted[3].min(12)))
            .clamp(rows * 3 / 10, rows * 6 / 10),
    };
    let (panes, below) = cut_bottom(rest, dock_rows);
    if dock_rows > 0 {
        dock(bridge, world, paint, below);
    }
    if panes.width < 56 || panes.height < 8 {
        // Too small for four: the one with the focus.
        pane(bridge, bridge.focus, world, paint, panes);
        return;
    }
    let boxed = edges == 3;
    let (left, right) = cut_left(panes, panes.width * 40 / 100);
    let gap = u16::from(!boxed);
    let right = Rect {
        x: right.x + gap,
        width: right.width - gap,
        ..right
    };
    let half = panes.height / 2;
    // Environments are few: what they do not need goes to Activity.
    let (upper, lower) = cut_top(left, wanted[0].clamp(4, half));
    pane(bridge, Focus::Environments, world, paint, upper);
    pane(bridge, Focus::Activity, world, paint, lower);
    let spare = panes.height.saturating_sub(wanted[1] + wanted[2]) / 2;
    let rows =
        (wanted[1] + spare).clamp(half.min(panes.height / 3), panes.height - panes.height / 3);
    let rows = if boxed { rows } else { half };
    let (upper, lower) = cut_top(right, rows);
    pane(bridge, Focus::Nodes, world, paint, upper);
    pane(bridge, Focus::Services, world, paint, lower);
}

/// Rows that each pane would like, `edges` of them for its frame and headings.
fn wanted(bridge: &Bridge, world: &World, edges: u16) -> [u16; 4] {
    let here = world.here();
    let rows = |count: usize| {
        u16::try_from(count)
            .unwrap_or(u16::MAX / 8)
            .min(u16::MAX / 8)
            + edges
    };
    [
        rows(world.environments().len()),
        rows(here.map_or(1, |here| here.nodes.len())),
        rows(here.map_or(1, |here| here.services.len())),
        rows(runs::rows::shown(world, &bridge.runs).len()),
    ]
}

fn pane(bridge: &Bridge, which: Focus, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let focused = bridge.focus == which;
    let list = match which {
        Focus::Environments => &bridge.environments,
        Focus::Nodes => &bridge.nodes,
        Focus::Services => &bridge.services,
        Focus::Activity => &bridge.runs,
    };
    let (key, title) = match which {
        Focus::Environments => ('1', "Environments"),
        Focus::Nodes => ('2', "Nodes"),
        Focus::Services => ('3', "Services"),
        Focus::Activity => ('4', "Activity"),
    };
    let mut title = title.to_owned();
    if !list.filter.is_empty() {
        title = format!("{title} /{}", list.filter.text);
    }
    let inner = paint.pane(
        area,
        &Pane {
            key: Some(key),
            title,
            right: summary(which, world, paint),
            focused,
            edge: look.theme.guard(world.protection()),
            boxed: paint.buf.area.height >= BOXED,
        },
    );
    let (columns, rows) = content(bridge, which, world, paint, inner.width);
    if rows.is_empty() {
        paint.hint(
            inner,
            &empty(which, world, !list.filter.is_empty()),
            look.theme.muted,
        );
        return;
    }
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let selected = match which {
        Focus::Environments => ids
            .iter()
            .position(|id| *id == world.environment)
            .unwrap_or(0),
        _ => list.cursor.position(&ids),
    };
    paint.grid(
        inner,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected,
            focused,
            sort: None,
            stale: false,
        },
    );
}

fn content(
    bridge: &Bridge,
    which: Focus,
    world: &World,
    paint: &Paint<'_>,
    width: u16,
) -> (Vec<Column>, Vec<GridRow>) {
    let look = paint.look;
    match which {
        Focus::Environments => (
            environments::rows::columns(),
            world
                .environments()
                .iter()
                .filter(|environment| bridge.environments.filter.admits(&environment.name))
                .map(|environment| environments::rows::row(world, look, environment))
                .collect(),
        ),
        Focus::Nodes => {
            let rows = nodes::rows::shown(world, &bridge.nodes)
                .into_iter()
                .map(|node| {
                    let mut row = nodes::rows::row(world, look, node, width);
                    row.marked = bridge.nodes.cursor.marked.contains(&node.name);
                    row
                })
                .collect();
            (nodes::rows::columns(false), rows)
        }
        Focus::Services => (
            services::rows::columns(),
            services::rows::shown(world, &bridge.services)
                .into_iter()
                .map(|service| services::rows::row(world, look, service))
                .collect(),
        ),
        Focus::Activity => (
            runs::rows::columns(),
            runs::rows::shown(world, &bridge.runs)
                .into_iter()
                .map(|run| runs::rows::row(world, look, run, width))
                .collect(),
        ),
    }
}

fn summary(which: Focus, world: &World, paint: &Paint<'_>) -> Line<'static> {
    let theme = &paint.look.theme;
    let share = |(well, total): (usize, usize), word: &str| {
        let style = if well < total {
            theme.warn
        } else {
            theme.muted
        };
        Line::from(Span::styled(format!("{well}/{total} {word}"), style))
    };
    match which {
        Focus::Environments => environments::rows::lock(world, &world.environment)
            .map(|lock| Line::from(Span::styled(lock, theme.warn)))
            .unwrap_or_default(),
        Focus::Nodes => share(nodes::rows::tally(world, &world.environment), "up"),
        Focus::Services => share(services::rows::tally(world, &world.environment), "ok"),
        Focus::Activity => match world.alive().count() {
            0 => Line::default(),
            going => Line::from(Span::styled(format!("{going} going"), theme.accent)),
        },
    }
}

fn empty(which: Focus, world: &World, filtered: bool) -> String {
    match &world.workspace {
        Known::Asked => return "Asking the engine".into(),
        Known::Failed(reason) => return reason.clone(),
        Known::Ready(_) => {}
    }
    if filtered {
        return "Nothing matches. Esc drops the filter.".into();
    }
    match which {
        Focus::Environments => "No environments: add files under environments/".into(),
        Focus::Nodes => format!("No nodes in {}", world.environment),
        Focus::Services => format!("No services in {}", world.environment),
        Focus::Activity => runs_empty(world),
    }
}

fn runs_empty(world: &World) -> String {
    match &world.runs_read {
        Known::Asked => "Reading the history".into(),
        Known::Failed(reason) => reason.clone(),
        Known::Ready(()) => "Nothing has run yet. Press a for what can be done.".into(),
    }
}

fn dock(bridge: &Bridge, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let run = bridge.dock.run.and_then(|id| world.run(id));
    let title = run.map_or_else(
        || "Log".to_owned(),
        |run| format!("Log #{} {}", run.number, run.title),
    );
    let mut right = Vec::new();
    if let Some(run) = run {
        right.push(look.sign(look.glyphs.run(run.state, world.beat())));
        right.push(Span::raw("  "));
        right.extend(runs::rows::progress(look, run, 8));
        right.push(Span::styled(
            format!(
                "  {}",
                measure::count(usize::try_from(run.lines).unwrap_or(0), "line")
            ),
            theme.muted,
        ));
        match (bridge.dock.follow, bridge.dock.lag()) {
            (true, 0) => {}
            (true, lag) => right.push(Span::styled(format!("  {lag} behind"), theme.warn)),
            (false, _) => right.push(Span::styled("  paused", theme.accent)),
        }
    }
    let inner = paint.pane(
        area,
        &Pane {
            key: None,
            title,
            right: Line::from(right),
            focused: bridge.zoomed,
            edge: theme.guard(world.protection()),
            boxed: paint.buf.area.height >= BOXED,
        },
    );
    if run.is_none() {
        let sentence = "The log of a run appears here as it happens";
        paint.hint(inner, sentence, theme.muted);
        return;
    }
    paint.log(crate::tui::paint::inset(inner, 1), &bridge.dock);
}
