//! Drawing everything: the bar on top, the screen, the hints below, and the layers above.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::keymap;
use super::layers::Layer;
use super::message::Place;
use super::model::Model;
use super::paint::{Look, Paint, cut_bottom, cut_top};
use super::screens::{Screen as _, environments, findings};
use super::text;
use crate::domain::environment::Protection;
use crate::domain::table::Tone;

/// Cells of the path in the header that are left when it gives way to the counts.
const PATH: usize = 8;

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
    if world.lost.is_some() {
        spans.push(Span::raw(" "));
        spans.push(Span::styled(" NO ENGINE ", theme.badge_of(theme.warn)));
    }
    spans.push(Span::raw("  "));
    let badges: usize = spans.iter().map(Span::width).sum();
    for (index, crumb) in crumbs(model).into_iter().enumerate() {
        if index > 0 {
            spans.push(Span::styled(
                format!(" {} ", look.glyphs.chevron),
                theme.faint,
            ));
        }
        spans.push(look.outer(&crumb, theme.muted));
    }
    let left = Line::from(spans);
    let right = standing(model, look, usize::from(area.width), badges, left.width());
    let taken = u16::try_from(right.width()).unwrap_or(u16::MAX);
    let room = area.width.saturating_sub(taken);
    paint.line(area.x, area.y, room, &left);
    paint.right(area, &right);
    if loud {
        // Where a mistake costs most, the whole bar says so.
        flood(paint, area, guard);
    }
}

/// The right end of the header: what is going on and what is wrong, as far as `width` cells have room for it beside `badges`
/// cells of badges. Words go first, then the path is cut (it ends at `path`), and the counts go last.
fn standing(model: &Model, look: &Look, width: usize, badges: usize, path: usize) -> Line<'static> {
    let world = &model.world;
    let mut going = Vec::new();
    let alive = world.alive().count();
    if alive > 0 {
        let glyph = look.glyphs.busy[world.beat() % 4];
        going.push(Span::styled(
            format!("{glyph} {alive} going"),
            look.theme.accent,
        ));
    }
    let (mut words, mut short) = (Vec::new(), Vec::new());
    // The Bridge has a strip of its own for them.
    if model.place != Place::Bridge {
        words = findings::counts(look, world);
        short = environments::rows::severities(world, look, &world.environment);
    }
    let line = |parts: &[&[Span<'static>]]| {
        let mut line = Line::default();
        for part in parts.iter().filter(|part| !part.is_empty()) {
            line.push_span(Span::raw("  "));
            line.spans.extend(part.iter().cloned());
        }
        line.push_span(Span::raw(" "));
        line
    };
    let least = path.min(badges + PATH);
    let ways = [
        (line(&[&going, &words]), path),
        (line(&[&going, &short]), path),
        (line(&[&going, &short]), least),
        (line(&[&short]), least),
        (line(&[&short]), badges),
    ];
    let fits = |(line, beside): &(Line<'static>, usize)| line.width() + beside <= width;
    ways.into_iter()
        .find(fits)
        .map(|(line, _)| line)
        .unwrap_or_default()
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

/// The sentence of the moment.
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
        .min(area.height - 2);
    let plain = ratatui::style::Style {
        bg: None,
        ..theme.text
    };
    let x = area.right() - width;
    let inside = match model.layers.last() {
        None | Some(Layer::Prompt(_)) => {
            let top = area.bottom() - height - 2;
            let frame = Rect::new(x, top, width, height + 2);
            paint.clear(frame, theme.text.patch(theme.raised));
            paint.border(frame, style);
            Rect::new(x, top + 1, width, height)
        }
        // A dialog has its question and its buttons further down: it loses no more than its edge.
        Some(_) => {
            let strip = Rect::new(x, area.y, width, height);
            paint.clear(strip, theme.bar);
            strip
        }
    };
    for (line, y) in lines.iter().zip(inside.top()..inside.bottom()) {
        if y == inside.y {
            paint.text_raw(x + 2, y, 1, glyph, style);
        }
        paint.text(x + 4, y, width.saturating_sub(5), line, plain);
    }
}
