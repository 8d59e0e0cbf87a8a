//! Drawing the merged journal: how the nodes stand, then the lines.

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::Journal;
use crate::client::conversation::Followed;
use crate::domain::structured::{Level, strip};
use crate::tui::paint::{Paint, cut_top};
use crate::tui::text;
use crate::tui::world::World;

/// Cells that the name of a node gets at most.
const NAME: usize = 12;

pub(super) fn draw(journal: &Journal, _world: &World, paint: &mut Paint<'_>, area: Rect) {
    let (top, room) = cut_top(area, 1);
    head(journal, paint, top);
    if journal.lines.is_empty() {
        let muted = paint.look.theme.muted;
        let sentence = match &journal.over {
            Some(reason) => format!("Nothing is followed: {reason}"),
            None if journal.nodes.is_empty() => {
                "l on a node, or on marked ones, follows their journals.".into()
            }
            None => "Nothing has been said yet.".into(),
        };
        paint.hint(room, &sentence, muted);
        return;
    }
    let names = journal.nodes.iter().map(|name| text::width(name).min(NAME));
    let width = names.max().unwrap_or(0);
    let lines = journal.shown(usize::from(room.height));
    for (line, y) in lines.into_iter().zip(room.top()..room.bottom()) {
        draw_line(
            line,
            width,
            paint,
            Rect {
                y,
                height: 1,
                ..room
            },
        );
    }
}

fn draw_line(line: &Followed, width: usize, paint: &mut Paint<'_>, row: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let style = match line.level {
        Some(Level::Error) => theme.bad,
        Some(Level::Warn) => theme.warn,
        Some(Level::Debug) => theme.muted,
        _ => theme.text,
    };
    let at = line.at.unwrap_or(line.arrived);
    let time = at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S%.3f");
    let name: String = line.node.chars().take(NAME).collect();
    let mut spans = vec![
        look.outer(&format!("{name:width$} "), theme.accent),
        Span::styled(format!("{time} "), theme.muted),
    ];
    if let Some(unit) = &line.unit {
        spans.push(look.outer(&format!("{unit}: "), theme.info));
    }
    spans.push(look.outer(&strip(&line.text), style));
    paint.line(row.x, row.y, row.width, &Line::from(spans));
}

fn head(journal: &Journal, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    paint.clear(area, theme.bar);
    let mut spans = vec![Span::styled(
        format!(" {} nodes", journal.nodes.len()),
        theme.muted,
    )];
    for state in journal.troubles() {
        let reason = state.reason.as_deref().unwrap_or_default();
        let said = format!("  {} {} {reason}", state.node, state.word);
        spans.push(look.outer(&said, theme.warn));
    }
    let slowest = journal
        .lags
        .iter()
        .filter(|(_, lag)| **lag > SignedDuration::from_secs(2))
        .max_by_key(|(_, lag)| **lag);
    if let Some((node, lag)) = slowest {
        let said = format!("  {node} is {} s behind", lag.as_secs());
        spans.push(look.outer(&said, theme.muted));
    }
    if journal.dropped > 0 {
        let said = format!("  {} older lines dropped", journal.dropped);
        spans.push(Span::styled(said, theme.muted));
    }
    paint.line(area.x, area.y, area.width, &Line::from(spans));
    let state = match (&journal.over, journal.back) {
        (Some(_), _) => "over ".to_owned(),
        (None, 0) => "following ".to_owned(),
        (None, back) => format!("{back} lines back "),
    };
    paint.right(area, &Line::from(Span::styled(state, theme.muted)));
}
