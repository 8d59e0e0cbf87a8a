//! Drawing the list of services.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Services;
use super::rows;
use crate::tui::paint::Paint;
use crate::tui::paint::grid::Grid;
use crate::tui::paint::pane::Pane;
use crate::tui::world::{Known, World};

pub(crate) fn draw(services: &Services, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let shown = rows::shown(world, &services.list);
    let (well, total) = rows::tally(world, &world.environment);
    let pane = Pane {
        key: None,
        title: "Services".into(),
        right: Line::from(Span::styled(format!("{well}/{total} ok"), look.theme.muted)),
        focused: true,
        edge: look.theme.guard(world.protection()),
        boxed: area.height >= 20,
    };
    let inner = paint.pane(area, &pane);
    if shown.is_empty() {
        paint.hint(inner, &empty(world, services), look.theme.muted);
        return;
    }
    let ids: Vec<&str> = shown.iter().map(|service| service.name.as_str()).collect();
    let grid_rows: Vec<_> = shown
        .iter()
        .map(|service| rows::row(world, look, service))
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &rows::columns(),
            rows: &grid_rows,
            selected: services.list.cursor.position(&ids),
            focused: true,
            sort: services
                .list
                .sort
                .map(|(by, turned)| (rows::sorted_column(by), turned)),
            stale: false,
        },
    );
}

fn empty(world: &World, services: &Services) -> String {
    match &world.workspace {
        Known::Asked => "Asking the engine for the workspace".into(),
        Known::Failed(reason) => format!("The workspace cannot be read: {reason}"),
        Known::Ready(_) if !services.list.filter.is_empty() => format!(
            "No service matches {:?}. Esc drops the filter.",
            services.list.filter.text
        ),
        Known::Ready(_) => format!(
            "{} has no services. Add them under `services:` in its environment file.",
            world.environment
        ),
    }
}
