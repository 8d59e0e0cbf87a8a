//! Drawing the recipes: the list, and the steps of the one under the cursor.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::model::Recipes;
use crate::domain::recipe::{Recipe, Step};
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_left, cut_top, inset};
use crate::tui::text;
use crate::tui::world::{Known, World};

pub(crate) fn draw(screen: &Recipes, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let shown = screen.shown(world);
    let beside = area.width >= 110;
    let (list, detail) = if beside {
        cut_left(area, area.width / 2)
    } else {
        let rows = u16::try_from(shown.len())
            .unwrap_or(u16::MAX)
            .saturating_add(3);
        cut_top(
            area,
            rows.clamp(4.min(area.height), (area.height / 2).max(4)),
        )
    };
    let frame = |title: String, focused: bool| Pane {
        key: None,
        title,
        right: Line::default(),
        focused,
        edge: theme.guard(world.protection()),
        boxed: area.height >= 30,
    };
    let inner = paint.pane(list, &frame("Recipes".into(), true));
    if shown.is_empty() {
        let sentence = match &world.workspace {
            Known::Asked => "Asking the engine for the workspace".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => "No recipe matches. Esc drops the filter.".into(),
        };
        paint.hint(inner, &sentence, theme.muted);
        return;
    }
    let rows: Vec<GridRow> = shown.iter().map(|recipe| row(look, recipe)).collect();
    let ids: Vec<&str> = shown.iter().map(|recipe| recipe.name.as_str()).collect();
    let selected = screen.list.cursor.position(&ids);
    paint.grid(
        inner,
        &Grid {
            columns: &[
                Column::new("name", 0),
                Column::new("risk", 1),
                Column::number("steps", 3),
                Column::prose("what it does", 2, 12),
            ],
            rows: &rows,
            selected,
            focused: true,
            sort: None,
            stale: false,
        },
    );
    if let Some(recipe) = shown.get(selected) {
        let inner = paint.pane(detail, &frame(recipe.title.clone(), false));
        let room = inset(inner, 1);
        paint.lines(room, &describe(look, recipe, room.width));
    }
}

fn row(look: &Look, recipe: &Recipe) -> GridRow {
    let theme = &look.theme;
    GridRow::new(
        recipe.name.clone(),
        vec![
            Line::from(look.outer(&recipe.name, theme.strong)),
            Line::from(look.sign(look.glyphs.risk(recipe.risk))),
            cell(recipe.steps.len().to_string(), theme.muted),
            Line::from(look.outer(&recipe.title, theme.muted)),
        ],
    )
}

fn describe(look: &Look, recipe: &Recipe, width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines: Vec<Line<'static>> =
        text::wrap(&look.plain(&recipe.description), usize::from(width.max(10)))
            .into_iter()
            .map(|line| Line::from(Span::styled(line, plain)))
            .collect();
    if !recipe.params.is_empty() {
        lines.push(Line::default());
        lines.push(Line::from(Span::styled("PARAMETERS", theme.muted)));
        for param in &recipe.params {
            let value = param.default.as_ref().map_or_else(
                || "required".to_owned(),
                |value| format!("= {}", crate::tui::layers::form::shown(value)),
            );
            lines.push(Line::from(vec![
                look.outer(&param.name, theme.accent),
                look.outer(&format!(" {value}  "), theme.muted),
                look.outer(&param.help, plain),
            ]));
        }
    }
    lines.push(Line::default());
    lines.push(Line::from(Span::styled("STEPS", theme.muted)));
    for (index, step) in recipe.steps.iter().enumerate() {
        lines.push(Line::from(vec![
            Span::styled(format!("{:>2} ", index + 1), theme.faint),
            look.outer(&step.title, plain),
            look.outer(&format!("  {}", place(step)), theme.muted),
        ]));
    }
    lines
}

/// Where a step runs.
pub(crate) fn place(step: &Step) -> String {
    let Some(on) = &step.on else {
        return "here".into();
    };
    let roles: Vec<&str> = on.roles.iter().map(|role| role.word()).collect();
    let mut text = if roles.is_empty() {
        "on every node".to_owned()
    } else {
        format!("on {}", roles.join(", "))
    };
    for (key, value) in &on.labels {
        text = format!("{text} {key}={value}");
    }
    if on.first {
        text.push_str(", the first");
    }
    text
}
