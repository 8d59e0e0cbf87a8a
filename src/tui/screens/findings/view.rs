//! Drawing findings: the strip on the Bridge and the full list.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::model::Findings;
use crate::domain::finding::{Finding, Severity, following, heads};
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_bottom, inset};
use crate::tui::world::{Known, World};
use crate::tui::{measure, text};

pub(crate) fn draw(screen: &Findings, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let shown = screen.shown(world);
    let detail = if area.height >= 14 {
        (area.height / 3).min(9)
    } else {
        0
    };
    let (upper, lower) = cut_bottom(area, detail);
    let frame = |title: String, focused: bool, right: Line<'static>| Pane {
        key: None,
        title,
        right,
        focused,
        edge: theme.guard(world.protection()),
        boxed: area.height >= 30,
    };
    let right = Line::from(counts(look, world));
    let inner = paint.pane(
        upper,
        &frame(format!("Findings in {}", world.environment), true, right),
    );
    if shown.is_empty() {
        let sentence = if world.live().is_none() {
            Span::styled("Asking the engine", theme.good)
        } else if screen.list.filter.is_empty() {
            let place = format!(" that Quarterdeck can see in {}.", world.environment);
            calm(look, world, &place)
        } else {
            Span::styled("No finding matches. Esc drops the filter.", theme.good)
        };
        paint.hint(inner, &sentence.content, sentence.style);
        return;
    }
    let ids = Findings::ids(&shown);
    let selected = screen.list.cursor.position(&ids);
    let columns = [
        Column::new("severity", 0),
        Column::number("since", 1),
        Column::prose("about", 2, 6),
        Column::prose("what", 0, 20),
        Column::prose("evidence", 3, 16),
    ];
    let rows: Vec<GridRow> = shown
        .iter()
        .zip(&ids)
        .map(|((_, finding), id)| row(look, world, finding, id))
        .collect();
    paint.grid(
        inner,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected,
            focused: true,
            sort: None,
            stale: false,
        },
    );
    if let Some((_, finding)) = shown.get(selected).filter(|_| detail > 0) {
        let inner = paint.pane(
            lower,
            &frame(finding.subject.to_string(), false, Line::default()),
        );
        let room = inset(inner, 1);
        paint.lines(room, &explain(look, world, finding, room.width));
    }
}

fn row(look: &Look, world: &World, finding: &Finding, id: &str) -> GridRow {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    GridRow::new(
        id,
        vec![
            Line::from(look.sign(look.glyphs.severity(finding.severity))),
            cell(
                format!("{} ago", measure::age(world.now, finding.since)),
                theme.muted,
            ),
            match &finding.because {
                None => Line::from(look.outer(&finding.subject.to_string(), theme.strong)),
                // Below its cause.
                Some(_) => Line::from(look.outer(&format!("  {}", finding.subject), theme.muted)),
            },
            Line::from(look.outer(&finding.text, plain)),
            Line::from(look.outer(&finding.evidence, theme.muted)),
        ],
    )
}

/// Everything about one finding.
pub(crate) fn explain(
    look: &Look,
    world: &World,
    finding: &Finding,
    width: u16,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines = vec![Line::from(vec![
        look.sign(look.glyphs.severity(finding.severity)),
        Span::styled(
            format!(
                "  since {} ({} ago)",
                measure::date(finding.since),
                measure::age(world.now, finding.since)
            ),
            theme.muted,
        ),
    ])];
    let mut paragraph = |text: &str, style: Style| {
        for line in text::wrap(&look.plain(text), usize::from(width.max(10))) {
            lines.push(Line::from(Span::styled(line, style)));
        }
    };
    paragraph(&finding.text, theme.strong);
    if !finding.evidence.is_empty() {
        paragraph(&format!("Evidence: {}", finding.evidence), plain);
    }
    if let Some(cause) = &finding.because {
        paragraph(
            &format!("It is so because {cause} cannot be reached."),
            plain,
        );
    }
    match &finding.remedy {
        Some(remedy) => paragraph(&format!("R repairs it: {remedy}."), theme.accent),
        None => paragraph(
            &format!("{} R lists what can be done from here.", finding.advice()),
            theme.accent,
        ),
    }
    lines
}

/// Glyph, number and word of every severity there is.
pub(crate) fn counts(look: &Look, world: &World) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for (severity, count) in Severity::ALL
        .iter()
        .zip(world.severities(&world.environment))
    {
        if count > 0 {
            let sign = look.glyphs.severity(*severity);
            let gap = if spans.is_empty() { "" } else { "  " };
            spans.push(Span::styled(
                format!("{gap}{} {count} {}", sign.glyph, sign.word),
                look.theme.tone(sign.tone),
            ));
        }
    }
    spans
}

/// That nothing is wrong, and `as_far_as`; without an engine, that nothing was.
pub(crate) fn calm(look: &Look, world: &World, as_far_as: &str) -> Span<'static> {
    let (glyph, when, style) = match &world.lost {
        None => (look.glyphs.done, "", look.theme.good),
        Some(_) => (
            look.glyphs.unknown,
            "When the engine went: ",
            look.theme.warn,
        ),
    };
    Span::styled(format!("{glyph} {when}Nothing wrong{as_far_as}"), style)
}

/// The strip on the Bridge: how many of each, then the worst ones as far as there is room.
pub(crate) fn strip(world: &World, paint: &mut Paint<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let look = paint.look;
    let theme = &look.theme;
    let findings = world.findings();
    let room = inset(area, 1);
    let Some(_) = world.live() else {
        let (sentence, style) = match &world.workspace {
            Known::Failed(reason) => (format!("{} {reason}", look.glyphs.bad), theme.bad),
            _ => (
                format!("{} Asking the engine what it knows", look.glyphs.unknown),
                theme.muted,
            ),
        };
        paint.text(room.x, room.y, room.width, &sentence, style);
        return;
    };
    if findings.is_empty() {
        let (up, nodes) = super::super::nodes::rows::tally(world, &world.environment);
        let (well, services) = super::super::services::rows::tally(world, &world.environment);
        let line = Line::from(vec![
            if up == nodes && well == services {
                calm(look, world, "")
            } else {
                let sentence = format!("{} Nothing wrong so far", look.glyphs.unknown);
                Span::styled(sentence, theme.good)
            },
            Span::styled(
                format!(
                    "   {up} of {} up   {well} of {} ok",
                    measure::count(nodes, "node"),
                    measure::count(services, "service")
                ),
                theme.muted,
            ),
        ]);
        paint.line(room.x, room.y, room.width, &line);
        return;
    }
    let mut head = counts(look, world);
    head.push(Span::styled("   5 lists them", theme.muted));
    let mut lines = Vec::new();
    // One row of counts when there are rows for the findings themselves.
    if area.height > 1 {
        lines.push(Line::from(head));
    }
    let shown = usize::from(area.height).saturating_sub(lines.len()).max(1);
    let plain = Style {
        bg: None,
        ..theme.text
    };
    for finding in heads(findings).take(shown) {
        let follow = match following(findings, &finding.subject) {
            0 => String::new(),
            count => format!(" {} {count} more follow from it", look.glyphs.dot),
        };
        let sign = look.glyphs.severity(finding.severity);
        let age = measure::age(world.now, finding.since);
        lines.push(Line::from(vec![
            look.glyph(sign),
            Span::raw(" "),
            look.outer(&finding.text, plain),
            Span::styled(
                format!("{follow} {} {age} ago  ", look.glyphs.dot),
                theme.muted,
            ),
            look.outer(&finding.evidence, theme.muted),
        ]));
    }
    paint.lines(room, &lines);
}
