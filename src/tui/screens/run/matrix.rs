//! What the program of a step works on, between the steps and the log: Terraform's resources, or Ansible's tasks by host.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::RunScreen;
use crate::domain::matrix::{Mark, Matrix, MatrixRow};
use crate::tui::measure;
use crate::tui::paint::Paint;
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::text;
use crate::tui::world::World;

/// The fewest rows of the log that are left beside it.
const LOG: u16 = 4;

/// The matrix of the step under the cursor.
pub(super) fn of(screen: &RunScreen) -> Option<&Matrix> {
    let rows = screen.rows();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let id = &rows.get(screen.selected(&ids, &rows))?.id;
    let shown = screen.matrices.iter();
    let mut shown = shown.filter(|one| one.task.step == *id && !one.matrix.rows.is_empty());
    shown.next().map(|one| &one.matrix)
}

/// How many rows it gets of `room`, which it shares with the log; none where it would leave too few.
pub(super) fn rows(screen: &RunScreen, room: u16) -> u16 {
    let Some(matrix) = of(screen) else { return 0 };
    let wanted = u16::try_from(matrix.rows.len()).unwrap_or(u16::MAX);
    let wanted = wanted.saturating_add(2);
    // More than half when that is needed: what happens is here, the log has the words.
    wanted
        .min((room * 3 / 5).max(room / 2))
        .min(room.saturating_sub(LOG))
}

pub(super) fn draw(screen: &RunScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let Some(matrix) = of(screen).filter(|_| area.height > 1) else {
        return;
    };
    let look = paint.look;
    let theme = &look.theme;
    let inner = paint.pane(
        area,
        &Pane {
            key: None,
            title: look.plain(&matrix.title).into_owned(),
            right: Line::from(Span::styled(counts(matrix), theme.muted)),
            focused: false,
            edge: theme.guard(world.protection()),
            boxed: false,
        },
    );
    let needed: usize = matrix
        .columns
        .iter()
        .map(|host| text::width(host) + 2)
        .sum();
    let by_host = !matrix.columns.is_empty() && needed <= usize::from(inner.width) / 2;
    let mut columns = vec![Column::new("state", 1), Column::prose("what", 0, 16)];
    if by_host {
        let hosts = matrix.columns.iter();
        columns.extend(hosts.map(|host| Column::named(look.plain(host).into_owned(), 1)));
    } else {
        columns.push(Column::prose("", 2, 10));
    }
    columns.push(Column::number("took", 3));
    let rows: Vec<GridRow> = matrix
        .rows
        .iter()
        .enumerate()
        .map(|(number, row)| {
            let worst = row.worst();
            let sign = look.glyphs.mark(worst, world.beat());
            let style = match worst {
                Mark::Failed | Mark::Unreachable => theme.bad,
                Mark::Running => theme.strong,
                Mark::Waiting | Mark::Skipped | Mark::None => theme.muted,
                Mark::Ok | Mark::Changed => theme.text,
            };
            let mut cells = vec![
                Line::from(look.sign(sign)),
                cell(look.plain(&row.name).into_owned(), style),
            ];
            if by_host {
                cells.extend(row.marks.iter().map(|mark| match mark {
                    Mark::None => Line::default(),
                    mark => Line::from(look.glyph(look.glyphs.mark(*mark, world.beat()))),
                }));
            } else {
                let told = told(matrix, row);
                cells.push(cell(look.plain(&told).into_owned(), theme.muted));
            }
            let took = row
                .since
                .map(|since| measure::length(since, row.until.unwrap_or(world.now)));
            let took = took.filter(|_| row.until.is_some() || worst == Mark::Running);
            cells.push(cell(took.unwrap_or_default(), theme.muted));
            GridRow::new(number.to_string(), cells)
        })
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected: focus(matrix),
            focused: false,
            sort: None,
            stale: false,
        },
    );
}

/// The row that matters most: the first that went wrong, else the last that was begun.
fn focus(matrix: &Matrix) -> usize {
    let bad = |row: &MatrixRow| matches!(row.worst(), Mark::Failed | Mark::Unreachable);
    let begun = |row: &MatrixRow| row.marks.iter().any(|mark| *mark != Mark::Waiting);
    let rows = &matrix.rows;
    let busy = rows.iter().any(|row| row.worst() == Mark::Running);
    let wrong = rows.iter().position(bad).filter(|_| !busy);
    wrong.or_else(|| rows.iter().rposition(begun)).unwrap_or(0)
}

/// The note of a row; where hosts have no room for a column each, how many stand how, and who stands badly.
fn told(matrix: &Matrix, row: &MatrixRow) -> String {
    if matrix.columns.is_empty() {
        return row.note.clone();
    }
    let mut parts = Vec::new();
    for mark in [
        Mark::Failed,
        Mark::Unreachable,
        Mark::Running,
        Mark::Changed,
        Mark::Ok,
        Mark::Skipped,
    ] {
        let hosts: Vec<&str> = matrix
            .columns
            .iter()
            .zip(&row.marks)
            .filter(|(_, is)| **is == mark)
            .map(|(host, _)| host.as_str())
            .collect();
        match (hosts.len(), mark) {
            (0, _) => {}
            (count, Mark::Failed | Mark::Unreachable) => {
                let named: Vec<&str> = hosts.into_iter().take(3).collect();
                parts.push(format!("{count} {mark} ({})", named.join(", ")));
            }
            (count, _) => parts.push(format!("{count} {mark}")),
        }
    }
    parts.join(", ")
}

/// How many cells stand how.
fn counts(matrix: &Matrix) -> String {
    let count = |mark: Mark| {
        let marks = matrix.rows.iter().flat_map(|row| &row.marks);
        marks.filter(|is| **is == mark).count()
    };
    let mut parts: Vec<String> = Mark::ALL
        .iter()
        .filter(|mark| **mark != Mark::None)
        .map(|mark| (count(*mark), mark))
        .filter(|(count, _)| *count > 0)
        .map(|(count, mark)| format!("{count} {mark}"))
        .collect();
    if matrix.dropped > 0 {
        parts.push(format!("{} earlier rows left out", matrix.dropped));
    }
    parts.join(", ")
}
