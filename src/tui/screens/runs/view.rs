//! Drawing the list of runs.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Runs;
use super::rows;
use crate::tui::measure;
use crate::tui::paint::Paint;
use crate::tui::paint::grid::Grid;
use crate::tui::paint::pane::Pane;
use crate::tui::world::{Known, World};

pub(crate) fn draw(runs: &Runs, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let shown = rows::shown(world, &runs.list);
    let alive = world.alive().count();
    let right = if alive > 0 {
        Span::styled(format!("{alive} going"), look.theme.accent)
    } else {
        Span::styled(measure::count(world.runs.len(), "run"), look.theme.muted)
    };
    let pane = Pane {
        key: None,
        title: "Runs".into(),
        right: Line::from(right),
        focused: true,
        edge: look.theme.guard(world.protection()),
        boxed: area.height >= 20,
    };
    let inner = paint.pane(area, &pane);
    if shown.is_empty() {
        paint.hint(
            inner,
            &empty(world, !runs.list.filter.is_empty()),
            look.theme.muted,
        );
        return;
    }
    let ids: Vec<String> = shown.iter().map(|run| run.id.to_string()).collect();
    let grid_rows: Vec<_> = shown
        .iter()
        .map(|run| rows::row(world, look, run, inner.width))
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &rows::columns(),
            rows: &grid_rows,
            selected: runs.list.cursor.position(&ids),
            focused: true,
            sort: None,
            stale: false,
        },
    );
}

/// Why there are no rows.
pub(crate) fn empty(world: &World, filtered: bool) -> String {
    match &world.runs_read {
        Known::Asked => "Reading the history".into(),
        Known::Failed(reason) => format!("The history cannot be read: {reason}"),
        Known::Ready(()) if filtered => "No run matches. Esc drops the filter.".into(),
        Known::Ready(()) => {
            "No runs yet. Press a for what can be done here, or : and a recipe's name.".into()
        }
    }
}
