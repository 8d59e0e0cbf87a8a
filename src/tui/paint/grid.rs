//! The one table: columns that give way in order of rank when there is less room, rows that keep their selection.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::Paint;
use crate::tui::text;

/// Cells between columns.
const GAP: u16 = 2;
/// Cells for the cursor and the mark at the beginning of a row.
const GUTTER: u16 = 2;

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub title: String,
    /// Below this it is dropped rather than narrowed further.
    pub min: u16,
    /// When nothing but columns of rank 0 is left it may be narrowed to this; 0 is never.
    pub least: u16,
    /// Never wider than this.
    pub max: u16,
    /// 0 stays to the end; the highest goes first.
    pub rank: u8,
    pub right: bool,
}

impl Column {
    /// A column that is as wide as what is in it.
    pub(crate) fn new(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into().to_uppercase(),
            min: 0,
            least: 0,
            max: u16::MAX,
            rank,
            right: false,
        }
    }

    /// A column headed by a name, which keeps its letters as they are.
    pub(crate) fn named(title: impl Into<String>, rank: u8) -> Self {
        Self {
            title: title.into(),
            ..Self::new("", rank)
        }
    }

    /// A glyph and a word that stay to the end; the word is cut to `least` cells before another such column goes.
    pub(crate) fn sign(title: impl Into<String>, least: u16) -> Self {
        Self {
            least,
            ..Self::new(title, 0)
        }
    }

    /// Numbers: flush right.
    pub(crate) fn number(title: impl Into<String>, rank: u8) -> Self {
        Self {
            right: true,
            ..Self::new(title, rank)
        }
    }

    /// Text that may be narrowed to `min` cells.
    pub(crate) fn prose(title: impl Into<String>, rank: u8, min: u16) -> Self {
        Self {
            min,
            ..Self::new(title, rank)
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(crate) struct GridRow {
    pub id: String,
    pub cells: Vec<Line<'static>>,
    pub marked: bool,
}

impl GridRow {
    pub(crate) fn new(id: impl Into<String>, cells: Vec<Line<'static>>) -> Self {
        Self {
            id: id.into(),
            cells,
            marked: false,
        }
    }
}

/// A table ready to be drawn.
pub(crate) struct Grid<'a> {
    pub columns: &'a [Column],
    pub rows: &'a [GridRow],
    pub selected: usize,
    pub focused: bool,
    /// Column sorted by, and whether descending.
    pub sort: Option<(usize, bool)>,
    /// Whether everything in it is out of date.
    pub stale: bool,
}

impl Paint<'_> {
    /// Draws headings and the rows around the selected one.
    pub(crate) fn grid(&mut self, area: Rect, grid: &Grid<'_>) {
        if area.height == 0 || area.width <= GUTTER {
            return;
        }
        let header = area.height >= 4 || usize::from(area.height) > grid.rows.len();
        let visible = usize::from(area.height - u16::from(header));
        let top = first_visible(grid.selected, grid.rows.len(), visible);
        // The thumb has a column of its own, so that it never covers a word.
        let thumb = u16::from(grid.rows.len() > visible);
        let room = area.width.saturating_sub(GUTTER + thumb);
        let sorted = grid.sort.map(|(by, _)| by);
        let widths = fit_columns(grid.columns, grid.rows, sorted, room);
        if header {
            self.grid_header(area, grid, &widths);
        }
        let rows = grid.rows.iter().enumerate().skip(top).take(visible);
        for ((index, row), y) in rows.zip(area.y + u16::from(header)..area.bottom()) {
            self.grid_row(
                Rect {
                    y,
                    height: 1,
                    ..area
                },
                grid,
                index,
                row,
                &widths,
            );
        }
        self.scroll_thumb(area, header, grid.rows.len(), visible, top);
    }

    fn grid_header(&mut self, area: Rect, grid: &Grid<'_>, widths: &[Option<u16>]) {
        let theme = &self.look.theme;
        let (plain, sorted) = (theme.muted, theme.accent);
        let mut x = area.x + GUTTER;
        for (index, (column, width)) in grid.columns.iter().zip(widths).enumerate() {
            let Some(width) = *width else { continue };
            let mut title = column.title.clone();
            let mut style = plain;
            if let Some((_, descending)) = grid.sort.filter(|(by, _)| *by == index) {
                let glyphs = self.look.glyphs;
                title.push_str(if descending { glyphs.down } else { glyphs.up });
                style = sorted;
            }
            let span = self.look.outer(&title, style);
            let shift = pad_left(column, width, span.width());
            self.line(x + shift, area.y, width - shift, &Line::from(span));
            x += width + GAP;
        }
    }

    fn grid_row(
        &mut self,
        area: Rect,
        grid: &Grid<'_>,
        index: usize,
        row: &GridRow,
        widths: &[Option<u16>],
    ) {
        let selected = index == grid.selected;
        let theme = &self.look.theme;
        let (accent, muted, stale) = (theme.accent, theme.muted, theme.muted);
        let mut x = area.x + GUTTER;
        for ((column, width), cell) in grid.columns.iter().zip(widths).zip(&row.cells) {
            let Some(width) = *width else { continue };
            let shift = pad_left(column, width, cell.width());
            self.line(x + shift, area.y, width - shift, cell);
            x += width + GAP;
        }
        if grid.stale {
            self.buf.set_style(area, stale);
        }
        if selected && grid.focused {
            self.buf.set_style(area, self.look.theme.selection);
        }
        let glyphs = self.look.glyphs;
        if selected {
            let (glyph, style) = if grid.focused {
                (glyphs.cursor, accent)
            } else {
                (glyphs.cursor_idle, muted)
            };
            self.text_raw(area.x, area.y, 1, glyph, style);
        }
        if row.marked {
            self.text_raw(area.x + 1, area.y, 1, glyphs.mark, accent);
        }
    }

    /// A thumb at the right edge, when there is more than fits.
    pub(crate) fn scroll_thumb(
        &mut self,
        area: Rect,
        header: bool,
        rows: usize,
        visible: usize,
        top: usize,
    ) {
        if rows <= visible || visible < 3 || area.width < 3 {
            return;
        }
        let size = (visible * visible / rows).clamp(1, visible);
        let offset = (top * (visible - size))
            .checked_div(rows - visible)
            .unwrap_or(0);
        let first = usize::from(area.y) + usize::from(header) + offset;
        let style = self.look.theme.muted;
        for y in first..first + size {
            if let Ok(y) = u16::try_from(y) {
                let glyph = self.look.glyphs.thumb;
                self.text_raw(area.right() - 1, y, 1, glyph, style);
            }
        }
    }
}

/// Index of the first row to show: the cursor stays in the middle, so that what is above and below is seen.
pub(crate) fn first_visible(selected: usize, rows: usize, visible: usize) -> usize {
    selected
        .saturating_sub(visible / 2)
        .min(rows.saturating_sub(visible))
}

fn pad_left(column: &Column, width: u16, content: usize) -> u16 {
    if column.right {
        width.saturating_sub(u16::try_from(content).unwrap_or(u16::MAX))
    } else {
        0
    }
}

/// The width of each column, `None` for those that are left out.
fn fit_columns(
    columns: &[Column],
    rows: &[GridRow],
    sorted: Option<usize>,
    room: u16,
) -> Vec<Option<u16>> {
    let mut widths: Vec<Option<u16>> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let content = rows
                .iter()
                .filter_map(|row| row.cells.get(index))
                .map(Line::width)
                .max()
                .unwrap_or(0);
            // A column in which nothing is said anywhere says nothing by its heading either.
            if content == 0 && !rows.is_empty() {
                return None;
            }
            let natural =
                content.max(text::width(&column.title) + usize::from(sorted == Some(index)));
            Some(u16::try_from(natural).unwrap_or(u16::MAX).min(column.max))
        })
        .collect();
    loop {
        let shown = widths.iter().flatten().count();
        let needed: u32 = widths
            .iter()
            .flatten()
            .map(|width| u32::from(*width))
            .sum::<u32>()
            + u32::try_from(shown.saturating_sub(1)).unwrap_or(0) * u32::from(GAP);
        let Some(excess) = needed
            .checked_sub(u32::from(room))
            .filter(|excess| *excess > 0)
        else {
            return widths;
        };
        let excess = u16::try_from(excess).unwrap_or(u16::MAX);
        let fits = narrow(columns, &mut widths, excess, |column| column.min)
            || (only_the_first(columns, &widths)
                && narrow(columns, &mut widths, excess, |column| {
                    column.min.max(column.least)
                }));
        if !fits {
            drop_one(columns, &mut widths, room);
            if shown <= 1 {
                return widths;
            }
        }
    }
}

/// Whether no column is left that may go before those of rank 0.
fn only_the_first(columns: &[Column], widths: &[Option<u16>]) -> bool {
    let mut shown = columns
        .iter()
        .zip(widths)
        .filter(|(_, width)| width.is_some());
    shown.all(|(column, _)| column.rank == 0)
}

/// Takes `excess` cells from the columns that have a `floor`, if they have so many above it.
fn narrow(
    columns: &[Column],
    widths: &mut [Option<u16>],
    excess: u16,
    floor: impl Fn(&Column) -> u16,
) -> bool {
    let spare: u16 = columns
        .iter()
        .zip(widths.iter())
        .filter(|(column, _)| floor(column) > 0)
        .map(|(column, width)| width.unwrap_or(0).saturating_sub(floor(column)))
        .fold(0, u16::saturating_add);
    if spare < excess {
        return false;
    }
    let mut left = excess;
    for (column, width) in columns.iter().zip(widths.iter_mut()).rev() {
        let floor = floor(column);
        if let (true, Some(width)) = (floor > 0, width.as_mut()) {
            let take = width.saturating_sub(floor).min(left);
            *width -= take;
            left -= take;
        }
    }
    true
}

/// Leaves out the column of the highest rank, of those of rank 0 prose last; the only one that is left is narrowed to the room.
fn drop_one(columns: &[Column], widths: &mut [Option<u16>], room: u16) {
    let shown = || {
        columns
            .iter()
            .enumerate()
            .filter(|(index, _)| widths[*index].is_some())
    };
    if shown().count() > 1 {
        if let Some((index, _)) = shown().max_by_key(|(index, column)| {
            (column.rank, column.rank == 0 && column.min == 0, *index)
        }) {
            widths[index] = None;
        }
    } else if let Some(width) = widths.iter_mut().flatten().next() {
        *width = room;
    }
}

/// A cell of one span.
pub(crate) fn cell(text: impl Into<String>, style: Style) -> Line<'static> {
    Line::from(Span::styled(text.into(), style))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&str]) -> Vec<GridRow> {
        vec![GridRow::new(
            "x",
            cells
                .iter()
                .map(|text| Line::from((*text).to_owned()))
                .collect(),
        )]
    }

    #[test]
    fn columns_of_the_highest_rank_go_first() {
        let columns = [
            Column::new("a", 0),
            Column::new("b", 2),
            Column::new("c", 1),
        ];
        let widths = fit_columns(&columns, &rows(&["aaaa", "bbbb", "cccc"]), None, 10);
        assert_eq!(widths, [Some(4), None, Some(4)]);
    }

    #[test]
    fn prose_is_narrowed_before_anything_is_dropped() {
        let columns = [Column::new("a", 0), Column::prose("b", 1, 4)];
        let widths = fit_columns(&columns, &rows(&["aaaa", "a long reason"]), None, 12);
        assert_eq!(widths, [Some(4), Some(6)]);
    }

    #[test]
    fn the_last_column_takes_whatever_room_there_is() {
        let columns = [Column::new("a", 0), Column::new("b", 1)];
        assert_eq!(
            fit_columns(&columns, &rows(&["aaaaaa", "b"]), None, 3),
            [Some(3), None]
        );
    }

    #[test]
    fn the_word_of_a_state_is_cut_before_prose_of_the_same_rank_goes_and_not_before_others_do() {
        let columns = [
            Column::sign("state", 6),
            Column::number("run", 0),
            Column::prose("what", 0, 10),
            Column::new("by", 3),
        ];
        let rows = rows(&["! interrupted", "#10", "Deploy Consul", "ada"]);
        let fitted = |room| fit_columns(&columns, &rows, None, room);
        assert_eq!(fitted(35), [Some(13), Some(3), Some(10), Some(3)]);
        assert_eq!(fitted(34), [Some(13), Some(3), Some(13), None]);
        assert_eq!(fitted(27), [Some(10), Some(3), Some(10), None]);
        assert_eq!(fitted(23), [Some(6), Some(3), Some(10), None]);
        assert_eq!(fitted(18), [Some(6), None, Some(10), None]);
        assert_eq!(fitted(12), [None, None, Some(12), None]);
    }

    #[test]
    fn a_column_without_content_is_left_out() {
        let columns = [Column::new("a", 0), Column::new("temp", 1)];
        assert_eq!(
            fit_columns(&columns, &rows(&["a", ""]), None, 40),
            [Some(1), None]
        );
    }

    #[test]
    fn the_selected_row_is_always_visible() {
        for rows in 0..30_usize {
            for visible in 1..12 {
                for selected in 0..rows {
                    let top = first_visible(selected, rows, visible);
                    assert!(top <= selected && selected < top + visible);
                }
            }
        }
    }
}
