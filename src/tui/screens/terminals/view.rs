//! Drawing the terminals: a row of tabs, and the cells of the one that is shown.

use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::model::{State, Tab, Terminals};
use crate::domain::theme::ThemeName;
use crate::tui::paint::{Paint, cut_top};
use crate::tui::theme::Theme;
use crate::tui::world::World;

pub(super) fn draw(terminals: &Terminals, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let Some(tab) = terminals.tabs.get(terminals.current) else {
        let muted = paint.look.theme.muted;
        paint.hint(
            area,
            "No terminal is open. s on a node opens one; it ends when this program does.",
            muted,
        );
        return;
    };
    let rows = u16::from(!terminals.full);
    let (top, room) = cut_top(area, rows);
    if !terminals.full {
        tabs(terminals, world, paint, top);
    }
    screen(terminals, tab, paint, room);
}

fn tabs(terminals: &Terminals, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    paint.clear(area, theme.bar);
    let mut spans = vec![Span::raw(" ")];
    for (index, tab) in terminals.tabs.iter().enumerate() {
        let style = if index == terminals.current {
            theme.accent.add_modifier(Modifier::BOLD)
        } else {
            theme.muted
        };
        let mut name = format!("{} {}", index + 1, tab.node);
        if tab.environment != world.environment {
            name = format!("{name} ({})", tab.environment);
        }
        spans.push(look.outer(&name, style));
        match &tab.state {
            State::Opening => spans.push(Span::styled(" opening", theme.muted)),
            State::Open => {}
            State::Over(_) => spans.push(Span::styled(" over", theme.warn)),
        }
        spans.push(Span::styled(format!(" {} ", look.glyphs.dot), theme.faint));
    }
    paint.line(area.x, area.y, area.width, &Line::from(spans));
    let state = match terminals.tabs.get(terminals.current) {
        Some(tab) if tab.glass.scrolled() > 0 => {
            format!("{} rows back ", tab.glass.scrolled())
        }
        _ if terminals.typing => "typing; ctrl-] leaves ".to_owned(),
        _ => String::new(),
    };
    paint.right(area, &Line::from(Span::styled(state, theme.muted)));
}

fn screen(terminals: &Terminals, tab: &Tab, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let screen = tab.glass.screen();
    for (row, y) in (0..).zip(area.top()..area.bottom()) {
        for (column, x) in (0..).zip(area.left()..area.right()) {
            let Some(cell) = screen.cell(row, column) else {
                continue;
            };
            let style = style(theme, cell);
            let Some(target) = paint.buf.cell_mut((x, y)) else {
                continue;
            };
            target.reset();
            target.set_style(style);
            if cell.has_contents() && !cell.is_wide_continuation() {
                target.set_symbol(&look.plain(cell.contents()));
            }
        }
    }
    let (row, column) = screen.cursor_position();
    let (x, y) = (area.x + column, area.y + row);
    if terminals.typing
        && tab.glass.scrolled() == 0
        && !screen.hide_cursor()
        && x < area.right()
        && y < area.bottom()
        && let Some(cell) = paint.buf.cell_mut((x, y))
    {
        cell.set_style(Style::new().add_modifier(Modifier::REVERSED));
    }
    if let State::Over(ending) = &tab.state {
        let sentence = format!(" {} {ending}; x closes the tab, s opens another ", tab.node);
        let y = area.bottom().saturating_sub(1).max(area.y);
        let row = Rect {
            y,
            height: 1,
            ..area
        };
        paint.clear(row, theme.bar);
        paint.text(row.x, row.y, row.width, &sentence, theme.warn);
    }
}

/// The look of a cell.
fn style(theme: &Theme, cell: &vt100::Cell) -> Style {
    let mut style = theme.text;
    if let Some(color) = colour(theme, cell.fgcolor()) {
        style = style.fg(color);
    }
    if let Some(color) = colour(theme, cell.bgcolor()) {
        style = style.bg(color);
    }
    let looks = [
        (cell.bold(), Modifier::BOLD),
        (cell.dim(), Modifier::DIM),
        (cell.italic(), Modifier::ITALIC),
        (cell.underline(), Modifier::UNDERLINED),
        (cell.inverse(), Modifier::REVERSED),
    ];
    for (wanted, modifier) in looks {
        if wanted {
            style = style.add_modifier(modifier);
        }
    }
    style
}

/// A node's colour in this theme: the eight that programs mean something by are those of the same meaning here, so that a
/// prompt can be read on every background; the rest as far as the theme's terminal has them.
fn colour(theme: &Theme, wanted: vt100::Color) -> Option<Color> {
    if theme.name == ThemeName::Mono {
        return None;
    }
    let own = |style: Style| style.fg;
    match wanted {
        vt100::Color::Default => None,
        vt100::Color::Idx(index) if theme.name == ThemeName::Terminal => {
            Some(Color::Indexed(index))
        }
        vt100::Color::Idx(index) => match index {
            0 => theme.bar.bg,
            1 | 9 => own(theme.bad),
            2 | 10 => own(theme.good),
            3 | 11 => own(theme.warn),
            4 | 6 | 12 | 14 => own(theme.info),
            5 | 13 => own(theme.accent),
            7 | 15 => own(theme.text),
            8 => own(theme.muted),
            index => Some(Color::Indexed(index)),
        },
        vt100::Color::Rgb(r, g, b) => Some(match theme.name {
            ThemeName::Terminal | ThemeName::HighContrast => Color::Indexed(nearest(r, g, b)),
            _ => Color::Rgb(r, g, b),
        }),
    }
}

/// The nearest of the 6 × 6 × 6 colours that begin at index 16 (0, 95, 135, 175, 215, 255 of each primary).
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    let step = |value: u8| match value {
        0..=47 => 0,
        48..=114 => 1,
        value => (value - 35) / 40,
    };
    16 + 36 * step(r) + 6 * step(g) + step(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_that_the_terminal_has_not_becomes_the_nearest_it_has() {
        assert_eq!(nearest(0, 0, 0), 16);
        assert_eq!(nearest(255, 255, 255), 231);
        assert_eq!(nearest(255, 0, 0), 196);
    }

    #[test]
    fn without_colour_there_is_none() {
        let theme = Theme::new(ThemeName::Mono);
        assert_eq!(colour(&theme, vt100::Color::Rgb(1, 2, 3)), None);
        assert_eq!(colour(&theme, vt100::Color::Idx(1)), None);
    }
}
