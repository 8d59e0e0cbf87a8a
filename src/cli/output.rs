//! Writing for people and for pipes.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::domain::table::{Table, Tone};

/// Writes bytes to standard output. A reader that went away (`| head`) ends the process quietly, as it does for other
/// programs.
///
/// # Errors
/// When standard output cannot be written for another reason, such as a full disk.
pub(super) fn bytes(data: &[u8]) -> io::Result<()> {
    if !write(data)? {
        std::process::exit(0);
    }
    Ok(())
}

/// Writes bytes to standard output; `false` when the reader went away. For commands that have more to do than to print.
///
/// # Errors
/// As [`bytes`].
pub(super) fn write(data: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// As [`bytes`].
pub(super) fn line(text: &str) -> io::Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes a remark to standard error; one that cannot be written has no reader who could miss it.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes text of our own to standard error as it is, for a terminal in raw mode.
pub(super) fn hint(text: &str) {
    let _ = write!(io::stderr().lock(), "{text}");
}

/// Writes a value as one line of JSON.
///
/// # Errors
/// As [`bytes`].
pub(super) fn json<T: Serialize>(value: &T) -> io::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Whether standard output may be coloured.
pub(super) fn colour() -> bool {
    io::stdout().is_terminal() && is_wanted()
}

/// Whether remarks may be coloured.
pub(super) fn colour_of_remarks() -> bool {
    io::stderr().is_terminal() && is_wanted()
}

/// Whether nothing in the environment speaks against colours.
fn is_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Text that is safe on a terminal: control characters are replaced.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// As [`plain`], line breaks kept.
pub(super) fn plain_lines(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// Writes a table with aligned columns.
///
/// # Errors
/// As [`bytes`].
pub(super) fn table(table: &Table) -> io::Result<()> {
    if table.rows.is_empty() {
        remark(&table.empty);
        return Ok(());
    }
    bytes(render(table, colour()).as_bytes())
}

fn render(table: &Table, colour: bool) -> String {
    use unicode_width::UnicodeWidthStr as _;

    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            let cells = table
                .rows
                .iter()
                .filter_map(|row| row.cells.get(column))
                .map(|cell| cell.text.width());
            cells
                .chain([table.columns[column].width()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let mut put = |cells: &mut dyn Iterator<Item = (&str, &str)>| {
        let mut line = String::new();
        for ((content, style), width) in cells.zip(&widths) {
            let pad = " ".repeat(width.saturating_sub(content.width()) + 2);
            if style.is_empty() {
                line.push_str(content);
            } else {
                line.push_str(style);
                line.push_str(content);
                line.push_str("\x1b[0m");
            }
            line.push_str(&pad);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    let heading = if colour { "\x1b[1m" } else { "" };
    put(&mut table
        .columns
        .iter()
        .map(|column| (column.as_str(), heading)));
    for row in &table.rows {
        put(&mut row.cells.iter().map(|cell| {
            (
                cell.text.as_str(),
                if colour { style(cell.tone) } else { "" },
            )
        }));
    }
    text
}

const fn style(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "\x1b[32m",
        Tone::Warn => "\x1b[33m",
        Tone::Bad => "\x1b[31m",
        Tone::Muted => "\x1b[2m",
        Tone::Accent => "\x1b[36m",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::Cell;

    #[test]
    fn columns_line_up_even_with_wide_characters() {
        let mut sample = Table::new("t", ["NAME", "STATE"], "none");
        sample.push("a", ["漢字".into(), Cell::new("ok", Tone::Good)]);
        sample.push("b", ["pc10".into(), Cell::new("down", Tone::Bad)]);
        assert_eq!(
            render(&sample, false),
            "NAME  STATE\n漢字  ok\npc10  down\n"
        );
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(plain("a\x1b[31mb\rc\td"), "a\u{fffd}[31mb\u{fffd}c\td");
    }
}
