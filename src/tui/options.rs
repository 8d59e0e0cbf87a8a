//! What the caller of the screens decides.

use std::sync::Arc;

use super::extra::Extras;
use super::glyphs;
use super::ground::Ground;
use super::message::Place;
use super::theme;
use crate::domain::notice::Signal;
use crate::domain::theme::ThemeName;

/// How to start.
#[derive(Clone)]
pub struct Options {
    /// The look.
    pub theme: ThemeName,
    /// Whether to keep to ASCII.
    pub ascii: bool,
    /// Whether the wheel scrolls; the terminal's own selection then needs Shift.
    pub mouse: bool,
    /// Where to begin.
    pub place: Place,
    /// The environment to begin with; `None` is the first.
    pub environment: Option<String>,
    /// Whether runs go on without this program, because the engine is another one.
    pub runs_outlive_us: bool,
    /// How to call for attention; `None` is the bell, only while the terminal is known to be in the background.
    pub signal: Option<Signal>,
    /// Commands that the caller adds to the palette.
    pub extras: Option<Arc<dyn Extras>>,
    /// What the first start stands on; without it there is none here.
    pub ground: Option<Arc<dyn Ground>>,
}

impl Options {
    /// Options that suit the terminal, as its environment variables describe it: `NO_COLOR`, `COLORTERM`, and the
    /// locale. `variable` reads one of them.
    pub fn suited(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(&variable);
        Self {
            theme: theme::suited(
                variable("NO_COLOR").as_deref(),
                variable("COLORTERM").as_deref(),
            ),
            ascii: !glyphs::is_utf8(locale),
            mouse: false,
            place: Place::Bridge,
            environment: None,
            runs_outlive_us: false,
            signal: None,
            extras: None,
            ground: None,
        }
    }
}
