//! A sheet of text to scroll: help, raw data, descriptions.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::keymap::{BINDINGS, Command, Context};
use super::super::paint::{Paint, inset};
use super::super::text;
use super::super::world::World;
use super::Wish;

/// How a line of a sheet looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SheetLine {
    Heading(String),
    Plain(String),
    /// Key and what it does.
    Key(String, String),
}

/// A sheet.
#[derive(Debug)]
pub(crate) struct Sheet {
    title: String,
    lines: Vec<SheetLine>,
    top: usize,
}

impl Sheet {
    pub(crate) fn new(title: impl Into<String>, lines: Vec<SheetLine>) -> Self {
        Self {
            title: title.into(),
            lines,
            top: 0,
        }
    }

    /// Plain lines.
    pub(crate) fn plain(title: impl Into<String>, lines: impl IntoIterator<Item = String>) -> Self {
        Self::new(title, lines.into_iter().map(SheetLine::Plain).collect())
    }

    /// Text in columns, as a command prints it: what is too long for a sheet on this screen goes on below, in its own column.
    pub(crate) fn told(title: impl Into<String>, text: &str, world: &World) -> Self {
        // The frame and its margin.
        let room = usize::from(Self::width(world.size.0).saturating_sub(5).max(1));
        Self::plain(title, text.lines().flat_map(|line| hang(line, room)))
    }

    /// All bindings: those that hold right now first, then the others.
    pub(crate) fn help(contexts: &[Context]) -> Self {
        let mut lines = Vec::new();
        let others = Context::ALL
            .iter()
            .filter(|context| !contexts.contains(context));
        for context in contexts.iter().chain(others) {
            let bindings: Vec<_> = BINDINGS
                .iter()
                .filter(|binding| binding.context == *context)
                .collect();
            if bindings.is_empty() {
                continue;
            }
            if !lines.is_empty() {
                lines.push(SheetLine::Plain(String::new()));
            }
            lines.push(SheetLine::Heading(context.title().to_owned()));
            for binding in bindings {
                lines.push(SheetLine::Key(
                    binding.keys.join(" "),
                    binding.help.to_owned(),
                ));
            }
        }
        Self::new("Help", lines)
    }

    /// Cells of a sheet on a screen of this width, its frame included.
    fn width(screen: u16) -> u16 {
        screen.saturating_sub(4).min(100).max(screen.min(20))
    }

    /// Rows of text on a screen of this height.
    fn rows(height: u16) -> usize {
        usize::from(height.saturating_sub(4).max(1))
    }

    /// The first row when the end is in sight.
    fn last(&self, world: &World) -> usize {
        let page = Self::rows(world.size.1);
        self.lines.len().saturating_sub(page)
    }

    /// Whether `command` does anything as the sheet stands.
    pub(crate) fn offers(&self, world: &World, command: Command) -> bool {
        command != Command::Down || self.top < self.last(world)
    }

    pub(crate) fn update(&mut self, world: &World, command: Command) -> Vec<Wish> {
        let page = Self::rows(world.size.1);
        let last = self.last(world);
        self.top = match command {
            Command::Up => self.top.saturating_sub(1),
            Command::Down => self.top + 1,
            Command::PageUp => self.top.saturating_sub(page),
            Command::PageDown => self.top + page,
            Command::Top => 0,
            Command::Bottom => last,
            Command::Copy => return vec![Wish::Copy(self.text())],
            _ => self.top,
        }
        .min(last);
        Vec::new()
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| match line {
                SheetLine::Heading(text) | SheetLine::Plain(text) => text.clone(),
                SheetLine::Key(key, help) => format!("{key}\t{help}"),
            })
            .collect();
        lines.join("\n")
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let screen = paint.buf.area;
        let width = Self::width(screen.width);
        let height = screen.height.saturating_sub(2).max(screen.height.min(3));
        let area = Rect::new(
            (screen.width - width) / 2,
            (screen.height - height) / 2,
            width,
            height,
        );
        let room = paint.sheet(area, &self.title, theme.guard(world.protection()));
        let room = inset(room, 0);
        let visible = usize::from(room.height);
        let top = self.top.min(self.lines.len().saturating_sub(visible));
        let keys = self
            .lines
            .iter()
            .map(|line| match line {
                SheetLine::Key(key, _) => key.len() + 2,
                _ => 0,
            })
            .max()
            .unwrap_or(0);
        let keys = u16::try_from(keys).unwrap_or(0).min(room.width / 2);
        let plain = Style {
            bg: None,
            ..theme.text
        };
        for (line, y) in self.lines.iter().skip(top).zip(room.top()..room.bottom()) {
            match line {
                SheetLine::Heading(text) => {
                    paint.text(
                        room.x,
                        y,
                        room.width,
                        text,
                        theme.accent.add_modifier(ratatui::style::Modifier::BOLD),
                    );
                }
                SheetLine::Plain(text) => {
                    paint.line(
                        room.x,
                        y,
                        room.width,
                        &json(paint.look.outer(text, plain), &theme),
                    );
                }
                SheetLine::Key(key, help) => {
                    paint.text(room.x + 2, y, keys, key, theme.key);
                    paint.text(
                        room.x + keys + 2,
                        y,
                        room.width.saturating_sub(keys + 2),
                        help,
                        plain,
                    );
                }
            }
        }
        paint.scroll_thumb(room, false, self.lines.len(), visible, top);
    }
}

/// `line` in pieces of at most `room` cells; those after the first stand below its last column, if that leaves room for words.
fn hang(line: &str, room: usize) -> Vec<String> {
    let (head, tail) = match line.rfind("  ") {
        Some(at) if text::width(&line[..at + 2]) * 2 <= room => line.split_at(at + 2),
        _ => ("", line),
    };
    let indent = text::width(head);
    let pieces = text::wrap(tail, room - indent);
    let mut lines: Vec<String> = pieces
        .iter()
        .map(|piece| format!("{}{piece}", " ".repeat(indent)))
        .collect();
    match lines.first_mut() {
        Some(first) => *first = format!("{head}{}", pieces[0]),
        None => lines.push(line.to_owned()),
    }
    lines
}

/// The key of a `"key": value` or `key: value` line in a colour of its own.
fn json(span: Span<'static>, theme: &super::super::theme::Theme) -> Line<'static> {
    let text = span.content.into_owned();
    let Some(at) = text.find(": ").filter(|at| *at < 40) else {
        return Line::from(Span::styled(text, span.style));
    };
    let (key, rest) = text.split_at(at + 1);
    Line::from(vec![
        Span::styled(key.to_owned(), theme.info),
        Span::styled(rest.to_owned(), span.style),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_its_last_column() {
        assert_eq!(
            hang("kill NODE   cut the node's power", 24),
            ["kill NODE   cut the", "            node's power"]
        );
        assert_eq!(hang("kill NODE   off", 24), ["kill NODE   off"]);
        assert_eq!(hang("no columns in here", 10), ["no columns", "in here"]);
        assert_eq!(hang("", 10), [""]);
    }

    #[test]
    fn help_lists_every_binding_of_the_keymap() {
        let sheet = Sheet::help(&[Context::Bridge, Context::List, Context::Everywhere]);
        for binding in BINDINGS {
            let line = SheetLine::Key(binding.keys.join(" "), binding.help.to_owned());
            assert!(sheet.lines.contains(&line), "{line:?}");
        }
        assert_eq!(sheet.lines[0], SheetLine::Heading("Bridge".into()));
    }
}
