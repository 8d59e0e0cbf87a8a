//! Text from outside, made fit for a terminal: one line, known width, nothing that could move the cursor.
//!
//! Every string that did not come from this source tree goes through [`clean`] (or [`styled`], which keeps the colours
//! of a log line) before it reaches a buffer.

use std::borrow::Cow;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Tab stops, in cells.
const TAB: usize = 8;

/// Cells that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` as one line: escape sequences gone, tabs expanded, controls and direction overrides dropped.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let parts = styled(text, Style::new());
    Cow::Owned(parts.into_iter().map(|span| span.content).collect())
}

/// Whether a character may reach a cell as it is.
fn is_harmless(c: char) -> bool {
    !c.is_control() && !is_override(c)
}

/// Characters that reorder their neighbours and so can make a line read as something else.
fn is_override(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// `text` cut into spans by its SGR sequences (ECMA-48 §8.3.117), on top of `base`; every other sequence is dropped.
///
/// Only the sixteen basic colours and the common attributes are kept, so that a theme stays readable.
pub(crate) fn styled(text: &str, base: Style) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let mut style = base;
    let mut piece = String::new();
    let mut column = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => {
                    let mut parameters = String::new();
                    let mut last = None;
                    for c in chars.by_ref() {
                        if ('\u{40}'..='\u{7e}').contains(&c) {
                            last = Some(c);
                            break;
                        }
                        parameters.push(c);
                    }
                    if last == Some('m') {
                        flush(&mut spans, &mut piece, style);
                        style = sgr(&parameters, style, base);
                    }
                }
                // OSC, DCS, SOS, PM and APC run to BEL or ST.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\t' => {
                let stop = TAB - column % TAB;
                piece.extend(std::iter::repeat_n(' ', stop));
                column += stop;
            }
            '\n' | '\u{2028}' | '\u{2029}' => {
                piece.push(' ');
                column += 1;
            }
            // A progress bar rewrites its line: only the last version counts.
            '\r' if chars.peek().is_some_and(|next| *next != '\n') => {
                spans.clear();
                piece.clear();
                column = 0;
            }
            c if is_harmless(c) => {
                piece.push(c);
                column += c.width().unwrap_or(0);
            }
            _ => {}
        }
    }
    flush(&mut spans, &mut piece, style);
    spans
}

fn flush(spans: &mut Vec<Span<'static>>, piece: &mut String, style: Style) {
    if !piece.is_empty() {
        spans.push(Span::styled(std::mem::take(piece), style));
    }
}

fn sgr(parameters: &str, mut style: Style, base: Style) -> Style {
    let mut codes = parameters
        .split([';', ':'])
        .map(|code| code.parse::<u16>().unwrap_or(0));
    while let Some(code) = codes.next() {
        style = match code {
            0 => base,
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            22 => style.remove_modifier(Modifier::BOLD | Modifier::DIM),
            24 => style.remove_modifier(Modifier::UNDERLINED),
            27 => style.remove_modifier(Modifier::REVERSED),
            31..=36 => style.fg(basic(code - 30)),
            91..=96 => style.fg(basic(code - 90)),
            30 | 37 | 39 | 90 | 97 => Style {
                fg: base.fg,
                ..style
            },
            // Extended colours carry arguments that must not be read as codes.
            38 | 48 | 58 => {
                match codes.next() {
                    Some(5) => drop(codes.next()),
                    Some(2) => drop((codes.next(), codes.next(), codes.next())),
                    _ => {}
                }
                style
            }
            _ => style,
        };
    }
    style
}

const fn basic(index: u16) -> Color {
    match index {
        1 => Color::Red,
        2 => Color::Green,
        3 => Color::Yellow,
        4 => Color::Blue,
        5 => Color::Magenta,
        _ => Color::Cyan,
    }
}

/// The beginning of `text` that fits into `cells`, with an ellipsis when something was cut.
pub(crate) fn fit<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut cut = take(text, room).to_owned();
    if cells > 0 {
        cut.push_str(ellipsis);
    }
    Cow::Owned(cut)
}

/// The longest beginning of `text` that is at most `cells` wide.
pub(crate) fn take(text: &str, cells: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > cells {
            return &text[..at];
        }
    }
    text
}

/// `text` broken at spaces into lines of at most `cells`; words that are longer are broken inside.
pub(crate) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let paragraph = clean(paragraph);
        let mut line = String::new();
        for word in paragraph.split(' ') {
            let gap = usize::from(!line.is_empty());
            if width(&line) + gap + width(word) > cells && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            let mut rest = word;
            while width(&line) + width(rest) > cells {
                let head = take(rest, cells - width(&line).min(cells));
                if head.is_empty() {
                    if line.is_empty() {
                        // A character wider than the line: nothing can be shown of it.
                        rest = "";
                        break;
                    }
                    lines.push(std::mem::take(&mut line));
                    continue;
                }
                line.push_str(head);
                lines.push(std::mem::take(&mut line));
                rest = &rest[head.len()..];
            }
            line.push_str(rest);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cursor_movements_titles_and_bells_are_dropped_whole() {
        assert_eq!(
            clean("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{7}d\u{1b}[1;31me"),
            "abcde"
        );
        assert_eq!(
            clean("x\u{1b}]8;;http://h\u{1b}\\link\u{1b}]8;;\u{1b}\\"),
            "xlink"
        );
    }

    #[test]
    fn a_direction_override_cannot_disguise_a_name() {
        assert_eq!(clean("pc\u{202e}1"), "pc1");
    }

    #[test]
    fn tabs_go_to_the_next_stop() {
        assert_eq!(clean("ab\tc"), "ab      c");
    }

    #[test]
    fn a_rewritten_progress_line_keeps_its_last_version() {
        assert_eq!(clean("10%\r50%\r100%"), "100%");
    }

    #[test]
    fn colours_of_a_log_line_become_styles() {
        let spans = styled("ok \u{1b}[1;32mchanged\u{1b}[0m.", Style::new());
        assert_eq!(spans.len(), 3);
        assert_eq!(spans[1].style.fg, Some(Color::Green));
        assert_eq!(spans[2].style, Style::new());
    }

    #[test]
    fn the_arguments_of_an_extended_colour_are_not_read_as_attributes() {
        let spans = styled("\u{1b}[38;5;7mx", Style::new());
        assert_eq!(spans[0].style, Style::new());
    }

    #[test]
    fn wide_characters_are_never_cut_in_half() {
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(width(&fit("日本語", 4, "…")), 3);
    }

    proptest! {
        #[test]
        fn nothing_that_moves_the_cursor_survives(text in any::<String>()) {
            prop_assert!(clean(&text).chars().all(is_harmless));
        }

        #[test]
        fn wrapped_lines_fit(text in any::<String>(), cells in 2_usize..40) {
            for line in wrap(&text, cells) {
                prop_assert!(width(&line) <= cells, "{line:?}");
            }
        }

        #[test]
        fn fitted_text_fits(text in "\\PC{0,60}", cells in 0_usize..40) {
            prop_assert!(width(&fit(&text, cells, "…")) <= cells.max(1));
        }
    }
}
