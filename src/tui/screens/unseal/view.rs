//! Drawing the seal board: the nodes above, the ceremony below.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::model::{Row, Unseal};
use crate::domain::seal::{Ceremony, SealState, Wants};
use crate::domain::table::Tone;
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_bottom, inset};
use crate::tui::world::World;
use crate::tui::{measure, text};

pub(crate) fn draw(screen: &Unseal, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let held = Unseal::ceremony(world);
    let below = if area.height >= 14 { 8 } else { 5 };
    let (upper, lower) = cut_bottom(area, below.min(area.height / 2));
    let mut frame = Pane {
        key: None,
        title: format!("Seals in {}", world.environment),
        right: freshness(world, look),
        focused: true,
        edge: theme.guard(world.protection()),
        boxed: area.height >= 30,
    };
    let inner = paint.pane(upper, &frame);
    board(screen, world, paint, inner);
    frame.focused = false;
    frame.right = Line::default();
    frame.title = held.map_or_else(|| "No ceremony is held".into(), title);
    let inner = inset(paint.pane(lower, &frame), 1);
    let lines = match held {
        Some(ceremony) => ceremony_lines(look, ceremony, inner.width),
        None => idle_lines(screen, look, world, inner.width),
    };
    paint.lines(inner, &lines);
}

fn title(ceremony: &Ceremony) -> String {
    format!(
        "{} {} {} run #{}",
        ceremony.kind, ceremony.service, '-', ceremony.number
    )
}

fn board(screen: &Unseal, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let rows = screen.rows(world);
    let fetched = world.seals.get(&world.environment);
    let trouble = fetched.and_then(|fetched| fetched.trouble.as_deref());
    if rows.is_empty() {
        let (sentence, style) = match (trouble, fetched.and_then(|one| one.table.as_ref())) {
            (Some(reason), _) => (format!("{} {reason}", look.glyphs.bad), theme.bad),
            (None, None) => ("Asking every node".to_owned(), theme.muted),
            (None, Some(boards)) if boards.is_empty() => (
                format!("{} has no Vault and no OpenBao.", world.environment),
                theme.muted,
            ),
            _ => (
                "No node matches. Esc drops the filter.".to_owned(),
                theme.muted,
            ),
        };
        paint.hint(area, &sentence, style);
        return;
    }
    let several = Unseal::boards(world).len() > 1;
    let columns = [
        Column::new("node", 0),
        Column::new("state", 0),
        Column::new("shares", 0),
        Column::number("since", 2),
        Column::prose("leader", 3, 8),
        Column::new("attempt", 4),
        Column::new("seal", 5),
        Column::new("version", 6),
    ];
    let ids: Vec<String> = rows.iter().map(Row::id).collect();
    let grid_rows: Vec<GridRow> = rows
        .iter()
        .zip(&ids)
        .map(|(row, id)| grid_row(look, world, row, id, several))
        .collect();
    paint.grid(
        area,
        &Grid {
            columns: &columns,
            rows: &grid_rows,
            selected: screen.list.cursor.position(&ids),
            focused: true,
            sort: None,
            stale: trouble.is_some(),
        },
    );
}

fn grid_row(look: &Look, world: &World, row: &Row<'_>, id: &str, several: bool) -> GridRow {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let node = row.node;
    let glyph = match node.state {
        SealState::Active | SealState::Standby => look.glyphs.ok,
        SealState::CutOff | SealState::Uninitialized => look.glyphs.warn,
        SealState::Sealed | SealState::Unreachable | SealState::Removed => look.glyphs.bad,
    };
    let waits = node.wants_shares() && node.progress > 0;
    let shares = if waits { theme.warn } else { plain };
    let name = if several { id } else { node.node.as_str() };
    let since = node.since.map_or_else(String::new, |at| {
        format!("{} ago", measure::age(world.now, at))
    });
    let nonce: String = node.nonce.chars().take(8).collect();
    GridRow::new(
        id,
        vec![
            Line::from(look.outer(name, theme.strong)),
            cell(
                format!("{glyph} {}", node.state),
                theme.tone(node.state.tone()),
            ),
            Line::from(look.outer(&node.shares(), shares)),
            cell(since, theme.muted),
            Line::from(look.outer(node.leader.as_deref().unwrap_or_default(), plain)),
            Line::from(look.outer(&nonce, theme.muted)),
            Line::from(look.outer(&node.kind, theme.muted)),
            Line::from(look.outer(&node.version, theme.muted)),
        ],
    )
}

/// How the ceremony stands, and what can be done.
fn ceremony_lines(look: &Look, ceremony: &Ceremony, width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let standing = &ceremony.standing;
    let mut lines = Vec::new();
    if standing.needed > 0 {
        let shares = dots(look, standing.given(), standing.needed);
        let by = if standing.givers.is_empty() {
            String::new()
        } else {
            format!("   given by {}", standing.givers.join(", "))
        };
        lines.push(Line::from(vec![
            Span::styled(shares, theme.accent),
            Span::styled(
                format!("  {} of {} shares", standing.given(), standing.needed),
                theme.strong,
            ),
            look.outer(&by, theme.muted),
        ]));
    }
    let mut paragraph = |sentence: &str, style: Style| {
        for line in text::wrap(&look.plain(sentence), usize::from(width.max(10))) {
            lines.push(Line::from(Span::styled(line, style)));
        }
    };
    if !standing.said.is_empty() {
        let plain = Style {
            bg: None,
            ..theme.text
        };
        paragraph(&standing.said, plain);
    }
    let next = match standing.wants {
        Wants::Share => "enter gives a share   X has all forgotten   x cancels the run   l its log",
        Wants::Taker => "enter takes the new keys: they are shown to you, once   x cancels the run",
        Wants::Kept => {
            "the one who took the keys is to say that they are kept; enter shows them to him again"
        }
        Wants::Nothing => "nothing is asked of operators now   x cancels the run   l its log",
    };
    paragraph(next, theme.accent);
    lines
}

/// A mark for each share: filled ones were given.
fn dots(look: &Look, given: u32, needed: u32) -> String {
    let (full, empty) = (look.glyphs.done, look.glyphs.dot);
    (0..needed.min(16))
        .map(|at| if at < given { full } else { empty })
        .collect::<Vec<_>>()
        .join(" ")
}

fn idle_lines(screen: &Unseal, look: &Look, world: &World, width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let rows = screen.rows(world);
    if rows.is_empty() {
        return Vec::new();
    }
    let in_state = |state| rows.iter().filter(|row| row.node.state == state).count();
    let open = rows.iter().filter(|row| row.node.state.is_open()).count();
    let fresh = in_state(SealState::Uninitialized);
    let (sentence, tone) = if open == rows.len() {
        ("Every node is unsealed.".to_owned(), Tone::Good)
    } else if fresh == rows.len() {
        (
            "No node belongs to a Vault yet: enter makes a new one.".to_owned(),
            Tone::Warn,
        )
    } else {
        (
            format!(
                "{open} of {} are unsealed: enter begins the ceremony, shares are typed here or in other sessions.",
                measure::count(rows.len(), "node")
            ),
            Tone::Warn,
        )
    };
    let mut lines = Vec::new();
    let mut paragraph = |sentence: &str, style: Style| {
        for line in text::wrap(&look.plain(sentence), usize::from(width.max(10))) {
            lines.push(Line::from(Span::styled(line, style)));
        }
    };
    paragraph(&sentence, theme.tone(tone));
    let troubles = rows
        .iter()
        .filter_map(|row| Some(format!("{}: {}", row.node.node, row.node.trouble.as_ref()?)));
    for trouble in troubles.take(2) {
        paragraph(&trouble, theme.bad);
    }
    let keys = if open == rows.len() {
        "I new Vault   S seal   D step down   R other shares"
    } else {
        "u unseal   I new Vault   S seal   D step down   R other shares"
    };
    paragraph(keys, theme.muted);
    lines
}

fn freshness(world: &World, look: &Look) -> Line<'static> {
    let theme = &look.theme;
    let Some(fetched) = world.seals.get(&world.environment) else {
        return Line::default();
    };
    let age = |at| measure::age(world.now, at);
    match (&fetched.trouble, fetched.as_of) {
        (Some(_), Some(at)) => Line::from(Span::styled(
            format!("{} stale: {} old", look.glyphs.warn, age(at)),
            theme.warn,
        )),
        (None, Some(at)) => Line::from(Span::styled(format!("{} ago", age(at)), theme.muted)),
        _ => Line::default(),
    }
}
