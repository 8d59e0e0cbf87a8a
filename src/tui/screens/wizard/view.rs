//! Drawing the first start: where one is, what is asked and why, the rows, what stands in the way.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::model::{Page, Wizard};
use super::rows::Row;
use crate::domain::bootstrap::{Change, warnings};
use crate::domain::table::Tone;
use crate::tui::paint::grid::first_visible;
use crate::tui::paint::{Paint, cut_bottom, cut_top, inset};
use crate::tui::text;
use crate::tui::world::{Known, World};

/// Cells of labels at most.
const LABEL: usize = 30;

pub(super) fn draw(wizard: &Wizard, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let area = inset(area, 2);
    if wizard.beginning.is_none() {
        let muted = paint.look.theme.muted;
        paint.hint(area, "The first start is not to be had here.", muted);
        return;
    }
    let rest = head(wizard, paint, area);
    let notes = notes(wizard, world, paint, rest.width);
    let room = u16::try_from(notes.len())
        .unwrap_or(u16::MAX)
        .min(rest.height / 3);
    let (body, below) = cut_bottom(rest, room);
    if wizard.page == Page::Review {
        review(wizard, paint, body);
    } else {
        rows(wizard, world, paint, body);
    }
    paint.lines(below, &notes);
}

/// Where one is, the question, the reason; what is left of `area`.
fn head(wizard: &Wizard, paint: &mut Paint<'_>, area: Rect) -> Rect {
    let look = paint.look;
    let theme = &look.theme;
    let pages = wizard.pages();
    let at = pages
        .iter()
        .position(|page| *page == wizard.page)
        .unwrap_or(0);
    let (question, why) = wizard.question();
    let mut lines = vec![
        Line::default(),
        Line::from(vec![
            Span::styled(format!("{}/{}  ", at + 1, pages.len()), theme.muted),
            Span::styled(question, theme.accent.add_modifier(Modifier::BOLD)),
        ]),
    ];
    if area.height >= 12 {
        for line in text::wrap(&look.plain(why), usize::from(area.width.min(96))) {
            lines.push(Line::from(Span::styled(line, theme.muted)));
        }
    }
    let beginning = wizard
        .beginning
        .as_ref()
        .filter(|_| wizard.page == Page::Start);
    if beginning.is_some_and(|one| one.resumed) {
        lines.push(Line::from(Span::styled(
            "What you answered last time is filled in: enter goes on with it.",
            theme.good,
        )));
    }
    if let Some(reason) = beginning.and_then(|one| one.trouble.as_deref()) {
        for line in text::wrap(&look.plain(reason), usize::from(area.width.min(96))) {
            lines.push(Line::from(Span::styled(line, theme.warn)));
        }
    }
    lines.push(Line::default());
    let (top, rest) = cut_top(area, u16::try_from(lines.len()).unwrap_or(u16::MAX));
    paint.lines(top, &lines);
    rest
}

fn rows(wizard: &Wizard, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let rows = wizard.rows(world);
    if rows.is_empty() {
        paint.hint(area, "Reading the record", theme.muted);
        return;
    }
    let selected = wizard.at(world).min(rows.len() - 1);
    let label = rows
        .iter()
        .map(|row| text::width(&row.label))
        .max()
        .unwrap_or(0)
        .min(LABEL);
    // Two lines for each where there is room: what it is, and what is to be said of it.
    let tall = usize::from(area.height) >= rows.len() * 2;
    let each = if tall { 2 } else { 1 };
    let visible = (usize::from(area.height) / each).max(1);
    let top = first_visible(selected, rows.len(), visible);
    let mut y = area.y;
    for (at, row) in rows.iter().enumerate().skip(top).take(visible) {
        if y >= area.bottom() {
            break;
        }
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        draw_row(paint, line, row, label, !tall);
        if tall && y + 1 < area.bottom() {
            let x = area.x + 4;
            paint.text(
                x,
                y + 1,
                area.right().saturating_sub(x),
                &row.note,
                theme.muted,
            );
        }
        if at == selected {
            paint.buf.set_style(line, theme.selection);
            paint.text_raw(line.x, y, 1, look.glyphs.cursor, theme.accent);
        }
        y += u16::try_from(each).unwrap_or(1);
    }
}

fn draw_row(paint: &mut Paint<'_>, line: Rect, row: &Row, label: usize, with_note: bool) {
    let look = paint.look;
    let theme = &look.theme;
    let style = Style {
        bg: None,
        ..theme.tone(row.tone)
    };
    let mut spans = vec![Span::raw("  ")];
    if let Some(on) = row.on {
        let mark = if on { "[x] " } else { "[ ] " };
        spans.push(Span::styled(
            mark,
            if on { theme.accent } else { theme.muted },
        ));
    }
    let fitted = text::fit(&row.label, LABEL, look.glyphs.ellipsis).into_owned();
    let pad = " ".repeat((label + 2).saturating_sub(text::width(&fitted)));
    spans.push(look.outer(
        &fitted,
        if row.tone == Tone::Plain {
            theme.strong
        } else {
            style
        },
    ));
    spans.push(Span::raw(pad));
    if !row.value.is_empty() {
        let value = if row.tone == Tone::Plain {
            Style {
                bg: None,
                ..theme.text
            }
        } else {
            style
        };
        spans.push(look.outer(&format!("{}  ", row.value), value));
    }
    if with_note {
        let note = if row.tone == Tone::Bad {
            theme.bad
        } else {
            theme.muted
        };
        spans.push(look.outer(&row.note, note));
    }
    paint.line(line.x, line.y, line.width, &Line::from(spans));
}

fn review(wizard: &Wizard, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let draft = match &wizard.draft {
        Known::Ready(draft) => draft,
        Known::Asked => return paint.hint(area, "Comparing with what is there", theme.muted),
        Known::Failed(reason) => return paint.hint(area, reason, theme.bad),
    };
    let (area, below) = cut_bottom(area, 1);
    let shown = draft.lines.iter().skip(wizard.cursor);
    for ((change, line), y) in shown.zip(area.top()..area.bottom()) {
        let (mark, style) = match change {
            Change::Same => (' ', theme.muted),
            Change::Added => ('+', theme.good),
            Change::Removed => ('-', theme.bad),
        };
        paint.text(area.x, y, area.width, &format!("{mark} {line}"), style);
    }
    let left = draft
        .lines
        .len()
        .saturating_sub(wizard.cursor + usize::from(area.height));
    let more = if left > 0 {
        format!("   {left} more lines below: down, page down")
    } else {
        String::new()
    };
    let what = if draft.is_written {
        "all of this is there already: enter goes on"
    } else if draft.replaces {
        "enter writes, and REPLACES what differs"
    } else {
        "enter writes them"
    };
    let tone = if draft.replaces {
        theme.warn
    } else {
        theme.accent
    };
    let line = Line::from(vec![
        Span::styled(what, tone),
        Span::styled(more, theme.muted),
    ]);
    paint.line(below.x, below.y, below.width, &line);
}

/// What stands in the way, and what is doubtful.
fn notes(wizard: &Wizard, world: &World, paint: &Paint<'_>, width: u16) -> Vec<Line<'static>> {
    let look = paint.look;
    let theme = &look.theme;
    let mut lines = Vec::new();
    let mut say = |glyph: &str, sentence: &str, style: Style| {
        let wrapped = text::wrap(
            &look.plain(sentence),
            usize::from(width.saturating_sub(2).max(10)),
        );
        for (at, line) in wrapped.into_iter().enumerate() {
            let sign = if at == 0 {
                format!("{glyph} ")
            } else {
                "  ".into()
            };
            lines.push(Line::from(Span::styled(format!("{sign}{line}"), style)));
        }
    };
    if matches!(wizard.page, Page::Roles | Page::Software | Page::Details) {
        for one in wizard.hindrances(world).iter().take(4) {
            say(look.glyphs.bad, &one.to_string(), theme.bad);
        }
    }
    if matches!(wizard.page, Page::Stack | Page::Roles) {
        let machines = wizard.machines(world);
        let doubts = warnings(&wizard.answers, &wizard.members(world), &machines);
        for doubt in doubts.iter().take(3) {
            say(look.glyphs.warn, doubt, theme.warn);
        }
    }
    if wizard.page == Page::Probe
        && let Some(row) = wizard.current(world)
        && row.tone == Tone::Bad
    {
        say(look.glyphs.bad, &row.note, theme.bad);
        say(
            " ",
            "x leaves the host out, r looks again, b goes back",
            theme.muted,
        );
    }
    lines
}
