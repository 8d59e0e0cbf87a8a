//! Drawing the list of nodes.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Nodes;
use super::rows;
use crate::tui::measure;
use crate::tui::paint::Paint;
use crate::tui::paint::grid::Grid;
use crate::tui::paint::pane::Pane;
use crate::tui::world::{Known, World};

pub(crate) fn draw(nodes: &Nodes, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let shown = rows::shown(world, &nodes.list);
    let look = paint.look;
    let (up, total) = rows::tally(world, &world.environment);
    let mut right = vec![Span::styled(format!("{up}/{total} up"), look.theme.muted)];
    let marked = nodes.list.cursor.marked.len();
    if marked > 0 {
        right.insert(
            0,
            Span::styled(
                format!("{marked} marked {} ", look.glyphs.dot),
                look.theme.accent,
            ),
        );
    }
    let pane = Pane {
        key: None,
        title: "Nodes".into(),
        right: Line::from(right),
        focused: true,
        edge: look.theme.guard(world.protection()),
        boxed: area.height >= 20,
    };
    let inner = paint.pane(area, &pane);
    if shown.is_empty() {
        paint.hint(inner, &empty(world, nodes), look.theme.muted);
        return;
    }
    let ids: Vec<&str> = shown.iter().map(|node| node.name.as_str()).collect();
    let selected = nodes.list.cursor.position(&ids);
    let grid_rows: Vec<_> = shown
        .iter()
        .map(|node| {
            let mut row = rows::row(world, look, node, inner.width);
            row.marked = nodes.list.cursor.marked.contains(&node.name);
            row
        })
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &rows::columns(nodes.wide),
            rows: &grid_rows,
            selected,
            focused: true,
            sort: nodes
                .list
                .sort
                .map(|(by, turned)| (rows::sorted_column(by), turned)),
            stale: false,
        },
    );
}

/// Why there are no rows.
pub(crate) fn empty(world: &World, nodes: &Nodes) -> String {
    match &world.workspace {
        Known::Asked => "Asking the engine for the workspace".into(),
        Known::Failed(reason) => format!("The workspace cannot be read: {reason}"),
        Known::Ready(_) if !nodes.list.filter.is_empty() => format!(
            "None of {} matches {:?}. Esc drops the filter.",
            measure::count(world.here().map_or(0, |here| here.nodes.len()), "node"),
            nodes.list.filter.text
        ),
        Known::Ready(_) => format!(
            "{} has no nodes. Add them under `nodes:` in its environment file.",
            world.environment
        ),
    }
}
