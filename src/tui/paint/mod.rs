//! Drawing: a buffer, a look, and the few shapes that every screen is made of.

pub(crate) mod bars;
pub(crate) mod grid;
pub(crate) mod log;
pub(crate) mod pane;

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::glyphs::{ASCII, Glyphs, Sign, UNICODE};
use super::text;
use super::theme::Theme;
use crate::domain::theme::ThemeName;

/// How everything looks: theme and character set.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub theme: Theme,
    pub glyphs: &'static Glyphs,
    ascii: bool,
}

impl Look {
    pub(crate) fn new(theme: ThemeName, ascii: bool) -> Self {
        Self {
            theme: Theme::new(theme),
            glyphs: if ascii { &ASCII } else { &UNICODE },
            ascii,
        }
    }

    /// Glyph and word in the tone of the state.
    pub(crate) fn sign(&self, sign: Sign) -> Span<'static> {
        Span::styled(
            format!("{} {}", sign.glyph, sign.word),
            self.theme.tone(sign.tone),
        )
    }

    /// The glyph alone, for places where the word stands close by.
    pub(crate) fn glyph(&self, sign: Sign) -> Span<'static> {
        Span::styled(sign.glyph, self.theme.tone(sign.tone))
    }

    /// Text from outside, fit for a cell.
    pub(crate) fn outer(&self, text: &str, style: Style) -> Span<'static> {
        Span::styled(self.plain(text).into_owned(), style)
    }

    /// Text from outside without anything this character set or terminal cannot show.
    pub(crate) fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let clean = text::clean(text);
        if self.ascii && !clean.is_ascii() {
            Cow::Owned(
                clean
                    .chars()
                    .map(|c| match c {
                        '…' => '~',
                        '→' | '›' => '>',
                        '—' | '–' | '·' => '-',
                        '×' => 'x',
                        '°' => 'C',
                        c if c.is_ascii() => c,
                        _ => '?',
                    })
                    .collect(),
            )
        } else {
            clean
        }
    }
}

/// Where drawing happens.
pub(crate) struct Paint<'a> {
    pub buf: &'a mut Buffer,
    pub look: &'a Look,
}

impl Paint<'_> {
    /// Paints `area` with spaces in `style`.
    pub(crate) fn clear(&mut self, area: Rect, style: Style) {
        for position in area.intersection(self.buf.area).positions() {
            if let Some(cell) = self.buf.cell_mut(position) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }

    /// Writes `line` from `x`, at most `width` cells, with an ellipsis when it does not fit. Returns the next free column.
    pub(crate) fn line(&mut self, x: u16, y: u16, width: u16, line: &Line<'_>) -> u16 {
        let bounds = self.buf.area;
        if width == 0 || y >= bounds.bottom() || x >= bounds.right() {
            return x;
        }
        let width = width.min(bounds.right() - x);
        let (end, _) = self.buf.set_line(x, y, line, width);
        if line.width() > usize::from(width) {
            let last = x + width - 1;
            let style = self.buf[(last, y)].style();
            // A wide character in the last two cells must go whole.
            if width > 1 && text::width(self.buf[(last - 1, y)].symbol()) > 1 {
                self.buf[(last - 1, y)].set_symbol(" ");
            }
            self.buf[(last, y)]
                .set_symbol(self.look.glyphs.ellipsis)
                .set_style(style);
        }
        end
    }

    /// Writes plain text.
    pub(crate) fn text(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        let span = self.look.outer(text, style);
        self.line(x, y, width, &Line::from(span))
    }

    /// Writes `line` so that it ends at the right edge of `area`'s first row, if it fits whole.
    pub(crate) fn right(&mut self, area: Rect, line: &Line<'_>) {
        let width = u16::try_from(line.width()).unwrap_or(u16::MAX);
        if width <= area.width {
            self.line(area.right() - width, area.y, width, line);
        }
    }

    /// Writes lines one below the other; returns how many fitted.
    pub(crate) fn lines(&mut self, area: Rect, lines: &[Line<'_>]) -> u16 {
        let mut used = 0;
        for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
            self.line(area.x, y, area.width, line);
            used += 1;
        }
        used
    }

    /// A sentence in the middle of an empty area, wrapped.
    pub(crate) fn hint(&mut self, area: Rect, sentence: &str, style: Style) {
        let cells = usize::from(area.width.saturating_sub(4).min(72));
        if cells < 4 || area.height == 0 {
            return;
        }
        let lines = text::wrap(&self.look.plain(sentence), cells);
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let top = area.y + area.height.saturating_sub(height) / 2;
        for (line, y) in lines.iter().zip(top..area.bottom()) {
            let width = u16::try_from(text::width(line)).unwrap_or(0);
            let x = area.x + area.width.saturating_sub(width) / 2;
            self.text(x, y, area.right() - x, line, style);
        }
    }
}

/// `area` without its first `rows` rows, and those rows.
pub(crate) fn cut_top(area: Rect, rows: u16) -> (Rect, Rect) {
    let rows = rows.min(area.height);
    (
        Rect {
            height: rows,
            ..area
        },
        Rect {
            y: area.y + rows,
            height: area.height - rows,
            ..area
        },
    )
}

/// `area` without its last `rows` rows, and those rows.
pub(crate) fn cut_bottom(area: Rect, rows: u16) -> (Rect, Rect) {
    let (rest, bottom) = cut_top(area, area.height.saturating_sub(rows));
    (rest, bottom)
}

/// The left `columns` of `area`, and the rest.
pub(crate) fn cut_left(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    (
        Rect {
            width: columns,
            ..area
        },
        Rect {
            x: area.x + columns,
            width: area.width - columns,
            ..area
        },
    )
}

/// `area` without `columns` on either side.
pub(crate) fn inset(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width / 2);
    Rect {
        x: area.x + columns,
        width: area.width - 2 * columns,
        ..area
    }
}
