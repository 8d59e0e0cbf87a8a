//! Drawing the list of snapshots.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Snapshots;
use super::rows::{self, Row};
use crate::domain::environment::Environment;
use crate::tui::measure;
use crate::tui::paint::Paint;
use crate::tui::paint::grid::Grid;
use crate::tui::paint::pane::Pane;
use crate::tui::world::{Known, World};

pub(crate) fn draw(snapshots: &Snapshots, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let shown = rows::shown(world, &snapshots.list);
    let asked = world.here().and_then(Environment::snapshots_within);
    let mut right = measure::count(world.snapshots().len(), "snapshot");
    if let Some(within) = asked {
        right = format!(
            "{right}, one wanted every {}",
            measure::span(within.as_secs())
        );
    }
    let pane = Pane {
        key: None,
        title: "Snapshots".into(),
        right: Line::from(Span::styled(right, look.theme.muted)),
        focused: true,
        edge: look.theme.guard(world.protection()),
        boxed: area.height >= 20,
    };
    let inner = paint.pane(area, &pane);
    if shown.is_empty() {
        paint.hint(
            inner,
            &empty(world, !snapshots.list.filter.is_empty()),
            look.theme.muted,
        );
        return;
    }
    let ids: Vec<String> = shown.iter().map(Row::id).collect();
    let grid_rows: Vec<_> = shown
        .iter()
        .map(|row| rows::row(world, look, row))
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &rows::columns(),
            rows: &grid_rows,
            selected: snapshots.list.cursor.position(&ids),
            focused: true,
            sort: None,
            stale: false,
        },
    );
}

/// Why there are no rows.
fn empty(world: &World, filtered: bool) -> String {
    match &world.shelf.1 {
        Known::Asked => "Looking at the shelf".into(),
        Known::Failed(reason) => format!("The shelf cannot be read: {reason}"),
        Known::Ready(_) if filtered => "No snapshot matches. Esc drops the filter.".into(),
        Known::Ready(_) => {
            "The environment has no store whose state can be saved: Consul, Vault and Nomad among its services, others below \
             `backups.stores` in its file."
                .into()
        }
    }
}
