//! Drawing a log: who said it, what was said, found text, colours of a diff.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Look, Paint};
use crate::domain::run::{LogLine, Stream};
use crate::domain::structured::{Columns, Level};
use crate::store::Matcher;
use crate::tui::logs::LogModel;
use crate::tui::{measure, text};

/// Width from which on the step stands beside the host.
const WITH_STEP: u16 = 90;
/// Cells for the time of a line in columns: to the millisecond.
const CLOCK: usize = 12;

impl Paint<'_> {
    /// Draws the lines that the model shows into `area`.
    pub(crate) fn log(&mut self, area: Rect, log: &LogModel) {
        if area.height == 0 || area.width < 4 {
            return;
        }
        let (top, bottom) = log.shown(usize::from(area.height));
        if top == bottom {
            let sentence = if log.asking {
                "Reading the log"
            } else if log.filter == crate::store::LineFilter::default() {
                "Nothing has been said yet"
            } else {
                "No line passes the filter"
            };
            self.hint(area, sentence, self.look.theme.muted);
            return;
        }
        let host = widest(log.lines.range(top..bottom), |line| {
            line.task.as_ref().and_then(|task| task.host.as_deref())
        })
        .min(12);
        let step = if area.width >= WITH_STEP {
            widest(log.lines.range(top..bottom), |line| {
                line.task.as_ref().map(|task| task.step.as_str())
            })
            .min(18)
        } else {
            0
        };
        let mut rows: Vec<Line<'static>> = Vec::new();
        let width = usize::from(area.width);
        for line in log.lines.range(top..bottom).rev() {
            let wrapped = render(self.look, log, line, host, step, width);
            for row in wrapped.into_iter().rev() {
                if rows.len() < usize::from(area.height) {
                    rows.push(row);
                }
            }
            if rows.len() >= usize::from(area.height) {
                break;
            }
        }
        rows.reverse();
        self.lines(area, &rows);
    }
}

fn widest<'a>(
    lines: impl Iterator<Item = &'a LogLine>,
    part: impl Fn(&'a LogLine) -> Option<&'a str>,
) -> usize {
    lines.filter_map(part).map(text::width).max().unwrap_or(0)
}

/// A line as one row, or as several when wrapping.
fn render(
    look: &Look,
    log: &LogModel,
    line: &LogLine,
    host: usize,
    step: usize,
    width: usize,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let mut head = Vec::new();
    if log.times {
        head.push(Span::styled(
            format!("{} ", measure::clock(line.at)),
            theme.faint,
        ));
    }
    let task = line.task.as_ref();
    if host > 0 {
        let name = task
            .and_then(|task| task.host.as_deref())
            .unwrap_or_default();
        let name = look.plain(name);
        let name = text::fit(&name, host, look.glyphs.ellipsis);
        let pad = host - text::width(&name);
        head.push(Span::styled(
            format!("{name}{} ", " ".repeat(pad)),
            theme.host(&name),
        ));
    }
    if step > 0 {
        let name = look.plain(task.map(|task| task.step.as_str()).unwrap_or_default());
        let name = text::fit(&name, step, look.glyphs.ellipsis);
        let pad = step - text::width(&name);
        head.push(Span::styled(
            format!("{name}{} ", " ".repeat(pad)),
            theme.muted,
        ));
    }
    let (sign, style) = stream(look, line);
    head.push(Span::styled(format!("{sign} "), style));
    let base = Style { bg: None, ..style };
    let plain = look.plain(&line.text).into_owned();
    let mut body = if line.stream == Stream::Diff {
        // The sign stands in front already, except for the two lines that name the files.
        let text = if is_file_line(&plain) {
            plain.as_str()
        } else {
            plain.strip_prefix(['+', '-', ' ']).unwrap_or(&plain)
        };
        let text = text.to_owned();
        vec![Span::styled(text, base)]
    } else if let Some(columns) = log.columns.then(|| Columns::of(&line.text)).flatten() {
        columned(look, &columns, base)
    } else {
        text::styled(&line.text, base)
            .into_iter()
            .map(|span| look.outer(&span.content, theme.translate(span.style)))
            .collect()
    };
    if let Some(matcher) = &log.matcher {
        body = highlight(body, matcher, theme.found);
    }
    if log.found == Some(line.seq) {
        for span in &mut body {
            span.style = span
                .style
                .add_modifier(Modifier::BOLD | Modifier::UNDERLINED);
        }
    }
    let used: usize = head.iter().map(Span::width).sum();
    if !log.wrap {
        head.extend(body);
        return vec![Line::from(head)];
    }
    fold(head, body, used, width)
}

/// Time, level and message side by side, then the other fields.
fn columned(look: &Look, columns: &Columns, base: Style) -> Vec<Span<'static>> {
    let theme = &look.theme;
    let mut spans = Vec::new();
    if let Some(time) = &columns.time {
        // The day stands in the header; a stamp without one is shown as far as it goes.
        let clock = time
            .split_once('T')
            .map_or(time.as_str(), |(_, clock)| clock);
        let clock = look.plain(clock).into_owned();
        let clock = text::take(&clock, CLOCK);
        spans.push(Span::styled(format!("{clock:CLOCK$} "), theme.faint));
    }
    let level = columns.level.map_or("", Level::word);
    spans.push(Span::styled(
        format!("{level:5} "),
        columns
            .level
            .map_or(theme.muted, |level| weight(look, level)),
    ));
    if let Some(message) = &columns.message {
        spans.push(look.outer(message, base));
    }
    for (key, value) in &columns.fields {
        spans.push(Span::raw("  "));
        spans.push(look.outer(&format!("{key}="), theme.muted));
        spans.push(look.outer(value, theme.info));
    }
    spans
}

fn weight(look: &Look, level: Level) -> Style {
    let theme = &look.theme;
    match level {
        Level::Error => theme.bad,
        Level::Warn => theme.warn,
        Level::Info => theme.info,
        Level::Debug => theme.muted,
    }
}

/// The sign in front of a line and the style of its text.
fn stream(look: &Look, line: &LogLine) -> (&'static str, Style) {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    match line.stream {
        Stream::Stdout => {
            let style = match line.level {
                Some(level @ (Level::Error | Level::Warn)) => weight(look, level),
                _ => plain,
            };
            (look.glyphs.vertical, style)
        }
        Stream::Stderr => ("!", theme.warn),
        Stream::Note => (look.glyphs.chevron, theme.muted),
        Stream::Diff if is_file_line(&line.text) => (" ", theme.info),
        Stream::Diff => match line.text.as_bytes().first() {
            Some(b'+') => ("+", theme.good),
            Some(b'-') => ("-", theme.bad),
            Some(b'@') => (" ", theme.info),
            _ => (" ", theme.muted),
        },
    }
}

/// Whether a line of a unified diff names one of its files.
fn is_file_line(text: &str) -> bool {
    text.starts_with("--- ") || text.starts_with("+++ ")
}

/// Everything that was looked for, in the look of found text.
fn highlight(spans: Vec<Span<'static>>, matcher: &Matcher, found: Style) -> Vec<Span<'static>> {
    let mut result = Vec::new();
    for span in spans {
        let mut rest = 0;
        for place in matcher.places(&span.content) {
            let (Some(before), Some(word)) = (
                span.content.get(rest..place.start),
                span.content.get(place.clone()),
            ) else {
                continue;
            };
            if !before.is_empty() {
                result.push(Span::styled(before.to_owned(), span.style));
            }
            result.push(Span::styled(word.to_owned(), span.style.patch(found)));
            rest = place.end;
        }
        if let Some(tail) = span.content.get(rest..).filter(|tail| !tail.is_empty()) {
            result.push(Span::styled(tail.to_owned(), span.style));
        }
    }
    result
}

/// Breaks `body` so that it fits beside `head`; later rows are indented as far.
fn fold(
    head: Vec<Span<'static>>,
    body: Vec<Span<'static>>,
    used: usize,
    width: usize,
) -> Vec<Line<'static>> {
    let room = width.saturating_sub(used).max(1);
    let mut rows = vec![head];
    let mut free = room;
    for span in body {
        let mut rest = span.content.as_ref();
        while !rest.is_empty() {
            let mut piece = text::take(rest, free);
            if piece.is_empty() && free == room {
                // A character wider than the whole column: show it cut rather than never.
                piece = &rest[..rest.chars().next().map_or(0, char::len_utf8)];
            }
            if piece.is_empty() {
                rows.push(vec![Span::raw(" ".repeat(used))]);
                free = room;
                continue;
            }
            if let Some(row) = rows.last_mut() {
                row.push(Span::styled(piece.to_owned(), span.style));
            }
            free = free.saturating_sub(text::width(piece));
            rest = &rest[piece.len()..];
        }
    }
    rows.into_iter().map(Line::from).collect()
}
