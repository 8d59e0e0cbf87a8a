//! Colours by meaning. A theme is a palette of sixteen-odd colours; everything drawn asks for a role ("warn", "muted"),
//! never for a colour.
//!
//! Colour is never the only carrier of a meaning: states come with a glyph and a word, the selection with a marker.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::environment::Protection;
use crate::domain::table::Tone;
use crate::domain::theme::ThemeName;

/// The theme that suits a terminal: `NO_COLOR` set and not empty asks for [`ThemeName::Mono`] (<https://no-color.org>);
/// without 24-bit colour the terminal's own sixteen are used.
pub(crate) fn suited(no_color: Option<&str>, colorterm: Option<&str>) -> ThemeName {
    if no_color.is_some_and(|value| !value.is_empty()) {
        ThemeName::Mono
    } else if matches!(colorterm, Some("truecolor" | "24bit")) {
        ThemeName::Default
    } else {
        ThemeName::Terminal
    }
}

/// The colours of a theme; `Color::Reset` leaves the terminal's own.
struct Palette {
    ground: Color,
    text: Color,
    muted: Color,
    faint: Color,
    accent: Color,
    info: Color,
    good: Color,
    warn: Color,
    bad: Color,
    bar: Color,
    raised: Color,
    selection: Color,
    /// Text on a coloured badge.
    ink: Color,
    /// Protection from open to two-person.
    guard: [Color; 4],
}

const fn rgb(hex: u32) -> Color {
    let [_, r, g, b] = hex.to_be_bytes();
    Color::Rgb(r, g, b)
}

const NIGHT: Palette = Palette {
    ground: rgb(0x000e_1620),
    text: rgb(0x00c8_d3df),
    muted: rgb(0x007f_90a3),
    faint: rgb(0x0035_4557),
    accent: rgb(0x00e3_b466),
    info: rgb(0x0073_b7f2),
    good: rgb(0x0078_c495),
    warn: rgb(0x00f0_c05a),
    bad: rgb(0x00f4_7a76),
    bar: rgb(0x0015_212e),
    raised: rgb(0x0013_1d29),
    selection: rgb(0x0021_3a55),
    ink: rgb(0x000b_121a),
    guard: [
        rgb(0x004f_b3a5),
        rgb(0x0073_b7f2),
        rgb(0x00f0_8f4a),
        rgb(0x00ff_6b8f),
    ],
};

const PAPER: Palette = Palette {
    ground: rgb(0x00fb_faf6),
    text: rgb(0x0024_2f3b),
    muted: rgb(0x0066_7382),
    faint: rgb(0x00c9_cdd2),
    accent: rgb(0x008a_5a00),
    info: rgb(0x0014_5fa8),
    good: rgb(0x001f_7a45),
    warn: rgb(0x009a_6200),
    bad: rgb(0x00b4_2a2a),
    bar: rgb(0x00ee_ebe2),
    raised: rgb(0x00f4_f1ea),
    selection: rgb(0x00d6_e4f2),
    ink: rgb(0x00ff_ffff),
    guard: [
        rgb(0x001f_7a6d),
        rgb(0x0014_5fa8),
        rgb(0x00b3_5200),
        rgb(0x00b0_1e55),
    ],
};

const CONTRAST: Palette = Palette {
    ground: Color::Black,
    text: Color::White,
    muted: Color::White,
    faint: Color::Gray,
    accent: Color::LightYellow,
    info: Color::LightCyan,
    good: Color::LightGreen,
    warn: Color::LightYellow,
    bad: Color::LightRed,
    bar: Color::Black,
    raised: Color::Black,
    selection: Color::Blue,
    ink: Color::Black,
    guard: [
        Color::LightGreen,
        Color::LightCyan,
        Color::LightYellow,
        Color::LightRed,
    ],
};

const OKABE_ITO: Palette = Palette {
    accent: rgb(0x00f0_e442),
    info: rgb(0x0056_b4e9),
    good: rgb(0x0056_b4e9),
    warn: rgb(0x00f0_e442),
    bad: rgb(0x00ff_8a3c),
    guard: [
        rgb(0x0056_b4e9),
        rgb(0x00cc_99c2),
        rgb(0x00f0_e442),
        rgb(0x00ff_8a3c),
    ],
    ..NIGHT
};

const ANSI: Palette = Palette {
    ground: Color::Reset,
    text: Color::Reset,
    muted: Color::DarkGray,
    faint: Color::DarkGray,
    accent: Color::Yellow,
    info: Color::Cyan,
    good: Color::Green,
    warn: Color::Yellow,
    bad: Color::Red,
    bar: Color::Reset,
    raised: Color::Reset,
    selection: Color::Reset,
    ink: Color::Black,
    guard: [Color::Green, Color::Cyan, Color::Yellow, Color::Red],
};

const NONE: Palette = Palette {
    ground: Color::Reset,
    text: Color::Reset,
    muted: Color::Reset,
    faint: Color::Reset,
    accent: Color::Reset,
    info: Color::Reset,
    good: Color::Reset,
    warn: Color::Reset,
    bad: Color::Reset,
    bar: Color::Reset,
    raised: Color::Reset,
    selection: Color::Reset,
    ink: Color::Reset,
    guard: [Color::Reset; 4],
};

/// Styles by role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Theme {
    pub name: ThemeName,
    /// Everything without a role of its own; carries the background.
    pub text: Style,
    pub strong: Style,
    pub muted: Style,
    pub faint: Style,
    pub accent: Style,
    pub info: Style,
    pub good: Style,
    pub warn: Style,
    pub bad: Style,
    /// Top and bottom line.
    pub bar: Style,
    /// Background of dialogs.
    pub raised: Style,
    /// Row under the cursor of the focused list.
    pub selection: Style,
    /// Found text.
    pub found: Style,
    /// A key name in the footer.
    pub key: Style,
    /// A word that must not be overlooked.
    pub badge: Style,
    guard: [Style; 4],
}

impl Theme {
    pub(crate) fn new(name: ThemeName) -> Self {
        let palette = match name {
            ThemeName::Default => &NIGHT,
            ThemeName::Light => &PAPER,
            ThemeName::HighContrast => &CONTRAST,
            ThemeName::ColourBlindSafe => &OKABE_ITO,
            ThemeName::Terminal => &ANSI,
            ThemeName::Mono => &NONE,
        };
        let mono = name == ThemeName::Mono;
        let on = |color: Color| Style::new().fg(color);
        let mut theme = Self {
            name,
            text: on(palette.text).bg(palette.ground),
            strong: on(palette.text).add_modifier(Modifier::BOLD),
            muted: on(palette.muted),
            faint: on(palette.faint),
            accent: on(palette.accent),
            info: on(palette.info),
            good: on(palette.good),
            warn: on(palette.warn),
            bad: on(palette.bad),
            bar: on(palette.muted).bg(palette.bar),
            raised: on(palette.text).bg(palette.raised),
            selection: Style::new().bg(palette.selection),
            found: Style::new().fg(palette.ink).bg(palette.accent),
            key: on(palette.accent),
            badge: Style::new()
                .fg(palette.ink)
                .bg(palette.accent)
                .add_modifier(Modifier::BOLD),
            guard: palette.guard.map(on),
        };
        if mono {
            theme.muted = theme.muted.add_modifier(Modifier::DIM);
            theme.faint = theme.faint.add_modifier(Modifier::DIM);
            theme.accent = theme.accent.add_modifier(Modifier::BOLD);
            theme.bad = theme.bad.add_modifier(Modifier::BOLD);
            theme.warn = theme.warn.add_modifier(Modifier::BOLD);
            theme.key = theme.key.add_modifier(Modifier::BOLD);
            theme.badge = Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED);
            theme.found = Style::new().add_modifier(Modifier::REVERSED);
        }
        if matches!(name, ThemeName::Mono | ThemeName::Terminal) {
            theme.selection = Style::new().add_modifier(Modifier::REVERSED);
        }
        theme
    }

    /// How a cell of that tone looks.
    pub(crate) fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new().fg(self.text.fg.unwrap_or(Color::Reset)),
            Tone::Good => self.good,
            Tone::Warn => self.warn,
            Tone::Bad => self.bad,
            Tone::Muted => self.muted,
            Tone::Accent => self.accent,
        }
    }

    /// The colour of a protection level, as text.
    pub(crate) fn guard(&self, protection: Protection) -> Style {
        match protection {
            Protection::Open => self.guard[0],
            Protection::Confirm => self.guard[1],
            Protection::Typed => self.guard[2],
            Protection::TwoPerson => self.guard[3],
        }
    }

    /// A badge in the colour of `style`.
    pub(crate) fn badge_of(&self, style: Style) -> Style {
        match (self.name, style.fg) {
            (ThemeName::Mono, _) | (_, None | Some(Color::Reset)) => {
                Style::new().add_modifier(Modifier::BOLD | Modifier::REVERSED)
            }
            (_, Some(color)) => self.badge.bg(color),
        }
    }

    /// A style that a program asked for with one of the basic colours, in the colours of this theme.
    pub(crate) fn translate(&self, style: Style) -> Style {
        let role = match style.fg {
            Some(Color::Red) => self.bad,
            Some(Color::Green) => self.good,
            Some(Color::Yellow) => self.warn,
            Some(Color::Blue) => self.info,
            Some(Color::Cyan) => self.guard[0],
            Some(Color::Magenta) => self.guard[3],
            _ => return style,
        };
        Style {
            fg: role.fg,
            ..style
        }
    }

    /// A colour that stays with a host, so that interleaved lines can be told apart.
    pub(crate) fn host(&self, name: &str) -> Style {
        let hues = [
            self.info,
            self.good,
            self.accent,
            self.guard[2],
            self.guard[0],
            self.guard[3],
        ];
        let sum = name.bytes().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        hues[sum % hues.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_means_no_colour_and_an_empty_value_does_not_count() {
        assert_eq!(suited(Some("1"), Some("truecolor")), ThemeName::Mono);
        assert_eq!(suited(Some(""), Some("truecolor")), ThemeName::Default);
        assert_eq!(suited(None, None), ThemeName::Terminal);
    }
}
