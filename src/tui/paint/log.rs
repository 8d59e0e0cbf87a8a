//! Drawing a log: who said it, what was said, found text, colours of a diff.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::{Look, Paint};
use crate::domain::run::{LogLine, Stream};
use crate::tui::logs::LogModel;
use crate::tui::{measure, text};

/// Width from which on the step stands beside the host.
const WITH_STEP: u16 = 90;

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
    } else {
        text::styled(&line.text, base)
            .into_iter()
            .map(|span| look.outer(&span.content, theme.translate(span.style)))
            .collect()
    };
    if !log.needle.is_empty() {
        body = highlight(body, &log.needle.to_lowercase(), theme.found);
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

/// The sign in front of a line and the style of its text.
fn stream(look: &Look, line: &LogLine) -> (&'static str, Style) {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    match line.stream {
        Stream::Stdout => (look.glyphs.vertical, plain),
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

/// Every occurrence of `needle` (lower case) in the look of found text.
fn highlight(spans: Vec<Span<'static>>, needle: &str, found: Style) -> Vec<Span<'static>> {
    let mut result = Vec::new();
    for span in spans {
        let lower = span.content.to_lowercase();
        if lower.len() != span.content.len() {
            // Lower case of another length: positions would not match.
            result.push(span);
            continue;
        }
        let mut rest = 0;
        for (at, hit) in lower.match_indices(needle) {
            let (Some(before), Some(word)) = (
                span.content.get(rest..at),
                span.content.get(at..at + hit.len()),
            ) else {
                continue;
            };
            if !before.is_empty() {
                result.push(Span::styled(before.to_owned(), span.style));
            }
            result.push(Span::styled(word.to_owned(), span.style.patch(found)));
            rest = at + hit.len();
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
