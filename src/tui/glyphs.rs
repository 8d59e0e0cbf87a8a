//! States as a glyph and a word. The glyphs are one cell wide everywhere; where the locale is not UTF-8 each has an ASCII
//! stand-in.

use crate::domain::action::Risk;
use crate::domain::finding::Severity;
use crate::domain::live::Health;
use crate::domain::matrix::Mark;
use crate::domain::run::{RunState, TaskState};
use crate::domain::table::Tone;

/// The signs of one character set.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Glyphs {
    pub ok: &'static str,
    pub warn: &'static str,
    pub bad: &'static str,
    pub unknown: &'static str,
    pub done: &'static str,
    pub changed: &'static str,
    pub skipped: &'static str,
    pub stopped: &'static str,
    pub undone: &'static str,
    pub waiting: &'static str,
    /// One turn, a step per second.
    pub busy: [&'static str; 4],
    pub notice: &'static str,
    pub cursor: &'static str,
    pub cursor_idle: &'static str,
    pub mark: &'static str,
    pub dot: &'static str,
    pub chevron: &'static str,
    pub ellipsis: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    /// From lowest to highest.
    pub levels: [&'static str; 8],
    pub horizontal: &'static str,
    pub vertical: &'static str,
    pub thumb: &'static str,
    /// Top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
}

pub(crate) const UNICODE: Glyphs = Glyphs {
    ok: "●",
    warn: "▲",
    bad: "✗",
    unknown: "○",
    done: "✓",
    changed: "◆",
    skipped: "·",
    stopped: "■",
    undone: "◁",
    waiting: "◇",
    busy: ["◐", "◓", "◑", "◒"],
    notice: "•",
    cursor: "▌",
    cursor_idle: "▏",
    mark: "◉",
    dot: "·",
    chevron: "›",
    ellipsis: "…",
    up: "▲",
    down: "▼",
    full: "━",
    empty: "─",
    levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    horizontal: "─",
    vertical: "│",
    thumb: "┃",
    corners: ["╭", "╮", "╰", "╯"],
};

pub(crate) const ASCII: Glyphs = Glyphs {
    ok: "*",
    warn: "!",
    bad: "X",
    unknown: "?",
    done: "+",
    changed: "~",
    skipped: ".",
    stopped: "#",
    undone: "<",
    waiting: "=",
    busy: ["|", "/", "-", "\\"],
    notice: "i",
    cursor: ">",
    cursor_idle: "-",
    mark: "@",
    dot: "-",
    chevron: ">",
    ellipsis: "~",
    up: "^",
    down: "v",
    full: "=",
    empty: "-",
    levels: ["_", ".", ":", "-", "=", "+", "*", "#"],
    horizontal: "-",
    vertical: "|",
    thumb: "#",
    corners: ["+", "+", "+", "+"],
};

/// A state ready to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sign {
    pub glyph: &'static str,
    pub word: &'static str,
    pub tone: Tone,
}

impl Glyphs {
    const fn sign(glyph: &'static str, word: &'static str, tone: Tone) -> Sign {
        Sign { glyph, word, tone }
    }

    pub(crate) const fn health(&self, health: Health) -> Sign {
        match health {
            Health::Ok => Self::sign(self.ok, "ok", Tone::Good),
            Health::Warn => Self::sign(self.warn, "warn", Tone::Warn),
            Health::Down => Self::sign(self.bad, "down", Tone::Bad),
            Health::Unknown => Self::sign(self.unknown, "unknown", Tone::Muted),
        }
    }

    pub(crate) const fn severity(&self, severity: Severity) -> Sign {
        match severity {
            Severity::Critical => Self::sign(self.bad, "critical", Tone::Bad),
            Severity::Warning => Self::sign(self.warn, "warning", Tone::Warn),
            Severity::Notice => Self::sign(self.notice, "notice", Tone::Accent),
        }
    }

    pub(crate) const fn risk(&self, risk: Risk) -> Sign {
        match risk {
            Risk::Read => Self::sign(self.ok, "read", Tone::Good),
            Risk::Change => Self::sign(self.changed, "change", Tone::Warn),
            Risk::Destroy => Self::sign(self.bad, "destroy", Tone::Bad),
        }
    }

    /// `beat` turns the sign of what is being worked on.
    pub(crate) const fn task(&self, state: TaskState, beat: usize) -> Sign {
        let word = state.word();
        match state {
            TaskState::Pending => Self::sign(self.unknown, word, Tone::Muted),
            TaskState::Running => Self::sign(self.busy[beat % 4], word, Tone::Accent),
            TaskState::Ok => Self::sign(self.done, word, Tone::Good),
            TaskState::Changed => Self::sign(self.changed, word, Tone::Warn),
            TaskState::Skipped => Self::sign(self.skipped, word, Tone::Muted),
            TaskState::Failed => Self::sign(self.bad, word, Tone::Bad),
            TaskState::Cancelled => Self::sign(self.stopped, word, Tone::Muted),
            TaskState::Undone => Self::sign(self.undone, word, Tone::Muted),
        }
    }

    /// `beat` turns the sign of what is being worked on.
    pub(crate) const fn mark(&self, mark: Mark, beat: usize) -> Sign {
        let word = mark.word();
        match mark {
            Mark::None => Self::sign(" ", "", Tone::Muted),
            Mark::Waiting => Self::sign(self.unknown, word, Tone::Muted),
            Mark::Running => Self::sign(self.busy[beat % 4], word, Tone::Accent),
            Mark::Ok => Self::sign(self.done, word, Tone::Good),
            Mark::Changed => Self::sign(self.changed, word, Tone::Warn),
            Mark::Skipped => Self::sign(self.skipped, word, Tone::Muted),
            Mark::Failed => Self::sign(self.bad, word, Tone::Bad),
            Mark::Unreachable => Self::sign(self.stopped, word, Tone::Bad),
        }
    }

    /// `beat` turns the sign of what is going on.
    pub(crate) const fn run(&self, state: RunState, beat: usize) -> Sign {
        let word = state.word();
        match state {
            RunState::Queued => Self::sign(self.unknown, word, Tone::Muted),
            RunState::Running => Self::sign(self.busy[beat % 4], word, Tone::Accent),
            RunState::WaitingApproval => Self::sign(self.waiting, word, Tone::Warn),
            RunState::Succeeded => Self::sign(self.done, word, Tone::Good),
            RunState::Failed => Self::sign(self.bad, word, Tone::Bad),
            RunState::Cancelled => Self::sign(self.stopped, word, Tone::Muted),
            RunState::Interrupted => Self::sign(self.warn, word, Tone::Warn),
        }
    }
}

/// Whether a locale calls for UTF-8: the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty decides.
pub(crate) fn is_utf8(locale: [Option<String>; 3]) -> bool {
    locale
        .into_iter()
        .flatten()
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_differ_by_glyph_and_not_only_by_colour() {
        for glyphs in [&UNICODE, &ASCII] {
            let signs: std::collections::BTreeSet<_> = TaskState::ALL
                .iter()
                .map(|state| glyphs.task(*state, 0).glyph)
                .collect();
            assert_eq!(signs.len(), TaskState::ALL.len());
        }
    }

    #[test]
    fn ascii_glyphs_are_ascii() {
        assert!(format!("{ASCII:?}").is_ascii());
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        let locale = |a: &str, b: &str, c: &str| {
            is_utf8([a, b, c].map(|value| (!value.is_empty()).then(|| value.to_owned())))
        };
        assert!(locale("", "", "en_GB.UTF-8"));
        assert!(!locale("C", "", "en_GB.UTF-8"));
        assert!(!locale("", "", ""));
    }
}
