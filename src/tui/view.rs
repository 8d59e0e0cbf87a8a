//! Drawing everything: the bar on top, the screen, the hints below, and the layers above.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::keymap;
use super::layers::Layer;
use super::message::Place;
use super::model::Model;
use super::paint::{Paint, cut_bottom, cut_top};
use super::screens::{Screen as _, findings};
use super::text;
use crate::domain::environment::Protection;
use crate::domain::table::Tone;

/// Draws the model into the whole of `buf`, whose earlier content does not matter.
///
/// The picture depends on nothing but the model and the size of the buffer.
pub fn view(model: &Model, buf: &mut Buffer) {
    let area = buf.area;
    let mut paint = Paint {
        buf,
        look: &model.look,
    };
    paint.clear(area, model.look.theme.text);
    if area.width == 0 || area.height == 0 {
        return;
    }
    if model.place == Place::Terminals && model.screens.terminals.full && model.layers.is_empty() {
        model.screens.terminals.draw(&model.world, &mut paint, area);
        return;
    }
    let (top, rest) = cut_top(area, u16::from(area.height > 3));
    let (body, bottom) = cut_bottom(rest, u16::from(area.height > 5));
    model
        .screens
        .at(&model.place)
        .draw(&model.world, &mut paint, body);
    for layer in &model.layers {
        layer.draw(&model.world, &mut paint);
    }
    // Where one is and which keys hold stays in full colour whatever lies above the screen.
    header(model, &mut paint, top);
    if !matches!(model.layers.last(), Some(Layer::Prompt(_))) {
        footer(model, &mut paint, bottom);
    }
    notice(model, &mut paint, body);
}

fn header(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let look = paint.look;
    let theme = &look.theme;
    let world = &model.world;
    paint.clear(area, theme.bar);
    let guard = theme.guard(world.protection());
    let loud = matches!(
        world.protection(),
        Protection::Typed | Protection::TwoPerson
    );
    let mut spans = vec![Span::styled(
        " Quarterdeck ",
        theme.accent.add_modifier(Modifier::BOLD),
    )];
    if let Some(here) = world.here() {
        let name = look.plain(&here.name).into_owned();
        spans.push(Span::styled(
            format!(" {name} {} {} ", look.glyphs.dot, here.protection),
            // On a bar of the same colour the badge is turned round.
            if loud {
                let ground = theme.text.bg.unwrap_or_default();
                guard.bg(ground).add_modifier(Modifier::BOLD)
            } else {
                theme.badge_of(guard)
            },
        ));
        if let Some(marking) = &here.marking {
            spans.push(Span::raw(" "));
            spans.push(look.outer(&format!(" {marking} "), theme.badge));
        }
    }
    if world
        .workspace()
        .is_some_and(|workspace| workspace.read_only)
    {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(" READ-ONLY ", theme.badge_of(theme.info)));
    }
    spans.push(Span::raw("  "));
    for (index, crumb) in crumbs(model).into_iter().enumerate() {
        if index > 0 {
            spans.push(Span::styled(
                format!(" {} ", look.glyphs.chevron),
                theme.faint,
            ));
        }
        spans.push(look.outer(&crumb, theme.muted));
    }
    let end = paint.line(area.x, area.y, area.width, &Line::from(spans));
    let rest = Rect {
        x: end,
        width: area.right().saturating_sub(end),
        ..area
    };
    let mut right = Vec::new();
    let alive = world.alive().count();
    if alive > 0 {
        let glyph = look.glyphs.busy[world.beat() % 4];
        right.push(Span::styled(
            format!("  {glyph} {alive} going"),
            theme.accent,
        ));
    }
    let mut full = right.clone();
    if model.place != Place::Bridge {
        full.push(Span::raw("  "));
        full.extend(findings::counts(look, world));
    }
    for mut spans in [full, right] {
        spans.push(Span::raw(" "));
        let line = Line::from(spans);
        if line.width() <= usize::from(rest.width) {
            paint.right(rest, &line);
            break;
        }
    }
    if loud {
        // Where a mistake costs most, the whole bar says so.
        flood(paint, area, guard);
    }
}

/// Draws the bar in the colour of the protection, text and all; badges keep their own.
fn flood(paint: &mut Paint<'_>, area: Rect, guard: ratatui::style::Style) {
    let badge = paint.look.theme.badge_of(guard);
    let (fg, bg) = (badge.fg, badge.bg);
    for position in area.positions() {
        if let Some(cell) = paint.buf.cell_mut(position)
            && bg.is_some()
            && Some(cell.bg) == paint.look.theme.bar.bg
        {
            cell.fg = fg.unwrap_or_default();
            cell.bg = bg.unwrap_or_default();
        }
    }
}

fn crumbs(model: &Model) -> Vec<String> {
    let parent = match &model.place {
        Place::Node(_) => Some("Nodes"),
        Place::Service(_) => Some("Services"),
        Place::Run(_) => Some("Runs"),
        Place::Terminals if !model.screens.terminals.is_empty() => Some("Terminals"),
        _ => None,
    };
    parent
        .map(ToOwned::to_owned)
        .into_iter()
        .chain([model.screens.at(&model.place).title(&model.world)])
        .collect()
}

fn footer(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let theme = &paint.look.theme;
    let (bar, key_style, muted) = (theme.bar, theme.key, theme.muted);
    paint.clear(area, bar);
    let render = |(key, word): &(&'static str, &'static str)| {
        Line::from(vec![
            Span::styled(*key, key_style),
            Span::styled(format!(" {word}"), muted),
        ])
    };
    let width = |line: &Line<'_>| u16::try_from(line.width()).unwrap_or(u16::MAX);
    let (always, mut local): (Vec<_>, Vec<_>) =
        keymap::hints(&model.contexts(), |command| model.offers(command))
            .into_iter()
            .partition(|(key, _)| matches!(*key, ":" | "?" | "q"));
    local.sort_by_key(|(key, _)| match *key {
        "enter" => 0,
        "tab" => 1,
        "a" => 2,
        _ => 3,
    });
    // The ways to everything else keep their place at the right; what is local gets the room that is left.
    let mut right = area.right();
    for hint in always.iter().rev() {
        let line = render(hint);
        let start = right.saturating_sub(width(&line) + 1);
        if start <= area.x {
            break;
        }
        paint.line(start, area.y, width(&line), &line);
        right = start.saturating_sub(1);
    }
    let mut x = area.x + 1;
    for hint in &local {
        let line = render(hint);
        if x.saturating_add(width(&line)) > right {
            break;
        }
        paint.line(x, area.y, width(&line), &line);
        x += width(&line) + 2;
    }
}

/// The sentence of the moment, above the hints.
fn notice(model: &Model, paint: &mut Paint<'_>, area: Rect) {
    let Some(notice) = &model.notice else {
        return;
    };
    if area.width < 12 || area.height < 3 {
        return;
    }
    let look = paint.look;
    let theme = &look.theme;
    let glyph = match notice.tone {
        Tone::Good => look.glyphs.done,
        Tone::Warn => look.glyphs.warn,
        Tone::Bad => look.glyphs.bad,
        Tone::Plain | Tone::Muted | Tone::Accent => look.glyphs.notice,
    };
    let style = theme.tone(notice.tone);
    let lines = text::wrap(
        &look.plain(&notice.text),
        usize::from(area.width.min(100) - 8),
    );
    let widest = lines
        .iter()
        .map(|line| text::width(line))
        .max()
        .unwrap_or(0);
    let width = u16::try_from(widest)
        .unwrap_or(u16::MAX)
        .saturating_add(6)
        .min(area.width);
    let height = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .min(5)
        .min(area.height - 2)
        + 2;
    let frame = Rect::new(area.right() - width, area.bottom() - height, width, height);
    paint.clear(frame, theme.text.patch(theme.raised));
    paint.border(frame, style);
    for (index, (line, y)) in lines
        .iter()
        .zip(frame.y + 1..frame.bottom() - 1)
        .enumerate()
    {
        if index == 0 {
            paint.text_raw(frame.x + 2, y, 1, glyph, style);
        }
        paint.text(
            frame.x + 4,
            y,
            width.saturating_sub(5),
            line,
            ratatui::style::Style {
                bg: None,
                ..theme.text
            },
        );
    }
}
