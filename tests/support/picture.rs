//! Turns what a screen drew into a picture: a ratatui buffer into SVG text, and that into PNG pixels.
//!
//! Each character gets a position of its own, so that a viewer without the font still shows straight columns.

use std::fmt::Write as _;
use std::sync::Arc;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use resvg::{tiny_skia, usvg};
use unicode_width::UnicodeWidthStr as _;

/// Size of a character cell, in SVG units; the font's advance and line height at [`FONT_SIZE`].
const CELL: (f32, f32) = (8.43, 16.8);
const FONT_SIZE: f32 = 14.0;
/// Distance of the baseline from the top of a cell.
const BASELINE: f32 = 13.2;
const MARGIN: f32 = 12.0;
const BACKGROUND: &str = "#11151c";
const FOREGROUND: &str = "#d5dae3";

/// The buffer as an SVG document.
pub(crate) fn svg(buffer: &Buffer, title: &str) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let width = f32::from(columns) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(rows) * CELL.1 + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.1}\" height=\"{height:.1}\" viewBox=\"0 0 {width:.1} {height:.1}\">\n\
         <title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n\
         <g font-family=\"'DejaVu Sans Mono', 'Menlo', 'Consolas', monospace\" font-size=\"{FONT_SIZE}\" xml:space=\"preserve\">\n",
        escape(title)
    );
    for row in 0..rows {
        backgrounds(&mut out, buffer, row);
        texts(&mut out, buffer, row);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn backgrounds(out: &mut String, buffer: &Buffer, row: u16) {
    let columns = buffer.area.width;
    let mut column = 0;
    while column < columns {
        let (_, back) = colours(&buffer[(column, row)]);
        let from = column;
        while column < columns && colours(&buffer[(column, row)]).1 == back {
            column += 1;
        }
        if let Some(back) = back {
            let (x, y) = (
                MARGIN + f32::from(from) * CELL.0,
                MARGIN + f32::from(row) * CELL.1,
            );
            let width = f32::from(column - from) * CELL.0;
            // A hair larger than the cell, or seams show between neighbours.
            let _ = writeln!(
                out,
                "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{back}\"/>",
                width + 0.1,
                CELL.1 + 0.1
            );
        }
    }
}

fn texts(out: &mut String, buffer: &Buffer, row: u16) {
    let columns = buffer.area.width;
    let look = |cell: &Cell| (colours(cell).0, cell.modifier);
    let y = MARGIN + f32::from(row) * CELL.1 + BASELINE;
    let mut column = 0;
    while column < columns {
        let style = look(&buffer[(column, row)]);
        let (mut text, mut places) = (String::new(), String::new());
        while column < columns && look(&buffer[(column, row)]) == style {
            let symbol = buffer[(column, row)].symbol();
            if !symbol.trim().is_empty() {
                text.push_str(&escape(symbol));
                for _ in symbol.chars() {
                    let _ = write!(places, "{:.2} ", MARGIN + f32::from(column) * CELL.0);
                }
            }
            // The cell after a wide character is covered by it.
            column += u16::try_from(symbol.width().max(1)).unwrap_or(1);
        }
        if text.is_empty() {
            continue;
        }
        let (fore, modifier) = style;
        let bold = if modifier.contains(Modifier::BOLD) {
            " font-weight=\"bold\""
        } else {
            ""
        };
        let dim = if modifier.contains(Modifier::DIM) {
            " opacity=\"0.6\""
        } else {
            ""
        };
        let line = if modifier.contains(Modifier::UNDERLINED) {
            " text-decoration=\"underline\""
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{y:.2}\" fill=\"{fore}\"{bold}{dim}{line}>{text}</text>",
            places.trim_end()
        );
    }
}

/// Foreground, and background where it is not the terminal's own.
fn colours(cell: &Cell) -> (String, Option<String>) {
    let fore = css(cell.fg);
    let back = css(cell.bg);
    if cell.modifier.contains(Modifier::REVERSED) {
        (
            back.unwrap_or_else(|| BACKGROUND.into()),
            Some(fore.unwrap_or_else(|| FOREGROUND.into())),
        )
    } else {
        (fore.unwrap_or_else(|| FOREGROUND.into()), back)
    }
}

fn css(colour: Color) -> Option<String> {
    let named = match colour {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => return Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Indexed(index) => return Some(indexed(index)),
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
    };
    Some(indexed(named))
}

/// The 256 colours of xterm: 16 names, a 6×6×6 cube, 24 greys.
fn indexed(index: u8) -> String {
    const NAMES: [&str; 16] = [
        "#1b2028", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
        "#5c6370", "#ff7b86", "#b5e890", "#ffd787", "#7fc1ff", "#dd9bf0", "#7fd5e0", "#ffffff",
    ];
    match index {
        0..16 => NAMES[usize::from(index)].into(),
        16..232 => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + step * 40 };
            let cube = index - 16;
            format!(
                "#{:02x}{:02x}{:02x}",
                level(cube / 36),
                level(cube / 6 % 6),
                level(cube % 6)
            )
        }
        232.. => {
            let grey = 8 + (index - 232) * 10;
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The SVG document as a PNG file, half as large again.
pub(crate) fn png(svg: &str) -> Vec<u8> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(include_bytes!("fonts/DejaVuSansMono.ttf").to_vec());
    fonts.load_font_data(include_bytes!("fonts/DejaVuSansMono-Bold.ttf").to_vec());
    fonts.set_monospace_family("DejaVu Sans Mono");
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans Mono".into(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).expect("the SVG was written above");
    let scale = 1.5;
    let size = tree.size();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (width, height) = (
        (size.width() * scale) as u32,
        (size.height() * scale) as u32,
    );
    let mut pixels = tiny_skia::Pixmap::new(width, height).expect("a screen has a size");
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(scale, scale),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().expect("pixels can be encoded")
}
