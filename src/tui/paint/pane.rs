//! Frames: the pane of a list, the dialog above everything.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::Paint;

/// From this height on a pane has a box around it; below, a rule on top.
const BOXED_FROM: u16 = 3;

/// What a frame says.
pub(crate) struct Pane {
    /// The key that focuses it.
    pub key: Option<char>,
    pub title: String,
    /// What stands at the right end of the top edge.
    pub right: Line<'static>,
    pub focused: bool,
    /// Colour of the edge when focused.
    pub edge: Style,
    /// Whether it may have a box at all.
    pub boxed: bool,
}

impl Paint<'_> {
    /// Draws the frame and returns the room inside.
    pub(crate) fn pane(&mut self, area: Rect, pane: &Pane) -> Rect {
        if area.width < 4 || area.height == 0 {
            return Rect { height: 0, ..area };
        }
        let theme = &self.look.theme;
        let edge = if pane.focused { pane.edge } else { theme.faint };
        let boxed = pane.boxed && area.height >= BOXED_FROM;
        let inner = if boxed {
            self.border(area, edge);
            Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
        } else {
            self.rule(area, edge);
            Rect::new(area.x, area.y + 1, area.width, area.height - 1)
        };
        let theme = &self.look.theme;
        let title = if pane.focused {
            theme.strong
        } else {
            theme.muted
        };
        let mut spans = vec![Span::raw(" ")];
        if let Some(key) = pane.key {
            spans.push(Span::styled(format!("{key} "), theme.key));
        }
        spans.push(self.look.outer(&pane.title, title));
        spans.push(Span::raw(" "));
        let head = Rect::new(area.x + 2, area.y, area.width - 4, 1);
        let end = self.line(head.x, head.y, head.width, &Line::from(spans));
        let rest = Rect {
            x: end,
            width: head.right().saturating_sub(end),
            ..head
        };
        if pane.right.width() > 0 {
            let mut right = pane.right.clone();
            right.spans.insert(0, Span::raw(" "));
            right.spans.push(Span::raw(" "));
            self.right(rest, &right);
        }
        inner
    }

    /// A line along the top of `area`.
    pub(crate) fn rule(&mut self, area: Rect, style: Style) {
        let line = self.look.glyphs.horizontal.repeat(usize::from(area.width));
        self.text_raw(area.x, area.y, area.width, &line, style);
    }

    /// A box around `area`.
    pub(crate) fn border(&mut self, area: Rect, style: Style) {
        if area.width < 2 || area.height < 2 {
            return;
        }
        let glyphs = self.look.glyphs;
        let (left, right) = (area.x, area.right() - 1);
        let (top, bottom) = (area.y, area.bottom() - 1);
        let line = glyphs.horizontal.repeat(usize::from(area.width - 2));
        for (y, start, end) in [
            (top, glyphs.corners[0], glyphs.corners[1]),
            (bottom, glyphs.corners[2], glyphs.corners[3]),
        ] {
            self.text_raw(left, y, area.width, &format!("{start}{line}{end}"), style);
        }
        for y in top + 1..bottom {
            self.text_raw(left, y, 1, glyphs.vertical, style);
            self.text_raw(right, y, 1, glyphs.vertical, style);
        }
    }

    /// A dialog of at most `width` x `height` in the middle of the screen, between the first line and the last, which say where
    /// one is and what keys do; everything behind it recedes.
    pub(crate) fn dialog(&mut self, size: (u16, u16), title: &str, edge: Style) -> Rect {
        let screen = self.buf.area;
        let width = size.0.min(screen.width);
        let between = screen.height.saturating_sub(2);
        let height = size.1.min(between);
        let area = Rect::new(
            screen.x + (screen.width - width) / 2,
            screen.y + screen.height.min(1) + (between - height) / 2,
            width,
            height,
        );
        self.sheet(area, title, edge)
    }

    /// A raised box at `area`; everything behind it recedes. Returns the room inside, with a margin.
    pub(crate) fn sheet(&mut self, area: Rect, title: &str, edge: Style) -> Rect {
        self.recede();
        let raised = self.look.theme.raised;
        self.clear(area, self.look.theme.text.patch(raised));
        self.border(area, edge);
        if area.width > 6 {
            let strong = self.look.theme.strong;
            let line = Line::from(vec![
                Span::raw(" "),
                self.look.outer(title, strong),
                Span::raw(" "),
            ]);
            self.line(area.x + 2, area.y, area.width - 4, &line);
        }
        let margin = if area.width > 30 { 2 } else { 1 };
        Rect::new(
            area.x + margin.min(area.width / 2),
            area.y + 1.min(area.height),
            area.width.saturating_sub(2 * margin),
            area.height.saturating_sub(2),
        )
    }

    /// Takes the colour out of everything drawn so far.
    fn recede(&mut self) {
        let muted = self.look.theme.muted;
        for cell in &mut self.buf.content {
            cell.modifier.remove(
                Modifier::BOLD | Modifier::REVERSED | Modifier::UNDERLINED | Modifier::ITALIC,
            );
            cell.set_style(muted);
            cell.bg = self.look.theme.text.bg.unwrap_or_default();
        }
    }

    /// Writes our own text as it is.
    pub(crate) fn text_raw(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        let bounds = self.buf.area;
        if x < bounds.right() && y < bounds.bottom() {
            self.buf.set_stringn(x, y, text, usize::from(width), style);
        }
    }
}
