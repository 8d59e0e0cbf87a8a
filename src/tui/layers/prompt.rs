//! A line of text at the bottom: filters a list as one types, or searches a log.

use ratatui::text::{Line, Span};
use tui_input::Input;

use super::super::filter::Filter;
use super::super::keymap::Command;
use super::super::paint::Paint;
use super::{Wish, field};
use crate::domain::drift::ignore;
use crate::domain::mark::MarkChange;
use crate::domain::nodeset;
use crate::store::Pattern;

/// What the text is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The list's filter.
    Filter,
    /// Finding in the log.
    Search,
    /// The log's filter.
    Narrow,
    /// The environment's name, to break its lock.
    BreakLock,
    /// A yes to a terminal on a node.
    ConfirmShell,
    /// The environment's name, for a terminal on a node.
    NameShell,
    /// How long and why drift of this key is to be ignored.
    IgnoreDrift(String),
    /// Something about nodes.
    Of(About, Vec<String>),
    /// An answer of the first start.
    Fill {
        /// What it is.
        label: String,
        /// What belongs there.
        hint: String,
    },
}

/// What of nodes is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Why recipes shall leave them alone.
    Cordon,
    /// A label to set or to take away.
    Label,
    /// The units whose journal is followed.
    Units,
    /// The file that is followed.
    File,
}

impl About {
    fn label(self) -> &'static str {
        match self {
            Self::Cordon => "cordon",
            Self::Label => "label",
            Self::Units => "journal of units on",
            Self::File => "follow a file on",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Cordon => "why recipes shall leave it alone; may be empty",
            Self::Label => "NAME=VALUE, NAME- takes away, NAME+ as in the file",
            Self::Units => "such as ssh.service cron; empty for all of it",
            Self::File => "its absolute path",
        }
    }

    fn mistake(self, text: &str) -> Option<String> {
        match self {
            Self::Label => MarkChange::label(text).err(),
            Self::File if !text.starts_with('/') => Some("not an absolute path".into()),
            Self::Cordon | Self::Units | Self::File => None,
        }
    }
}

/// A prompt.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub purpose: Purpose,
    pub input: Input,
}

impl Prompt {
    pub(crate) fn new(purpose: Purpose, text: &str) -> Self {
        Self {
            purpose,
            input: Input::new(text.to_owned()),
        }
    }

    fn said(&self, done: bool) -> Wish {
        Wish::Prompted {
            purpose: self.purpose.clone(),
            text: self.input.value().to_owned(),
            done,
        }
    }

    /// The text changed.
    pub(crate) fn changed(&self) -> Vec<Wish> {
        vec![self.said(false)]
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Accept => vec![Wish::Close, self.said(true)],
            // To think better of it is not to leave the reason out.
            Command::Back
                if matches!(
                    self.purpose,
                    Purpose::Of(..) | Purpose::IgnoreDrift(_) | Purpose::Fill { .. }
                ) =>
            {
                vec![Wish::Close]
            }
            Command::Back => {
                self.input.reset();
                vec![Wish::Close, self.said(true)]
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn draw(&self, paint: &mut Paint<'_>) {
        let screen = paint.buf.area;
        let theme = &paint.look.theme;
        let (bar, accent, muted, warn) = (theme.bar, theme.accent, theme.muted, theme.warn);
        let row = ratatui::layout::Rect::new(
            screen.x,
            screen.bottom().saturating_sub(1),
            screen.width,
            1,
        );
        paint.clear(row, bar);
        let of_nodes;
        let (label, hint) = match &self.purpose {
            Purpose::Of(about, nodes) => {
                let folded = nodeset::fold(nodes.iter().map(String::as_str));
                of_nodes = format!("{} {folded}: ", about.label());
                (of_nodes.as_str(), about.hint())
            }
            Purpose::IgnoreDrift(_) => (
                "ignore for ",
                "DAYS or never, then why: 30 tried out on purpose",
            ),
            Purpose::Fill { label, hint } => {
                of_nodes = format!("{label}: ");
                (of_nodes.as_str(), hint.as_str())
            }
            Purpose::Filter => ("filter /", "regular expression, ! turns it round"),
            Purpose::Search => (
                "search /",
                "enter finds, n and N go on; ~ regular expression, = letter case",
            ),
            Purpose::Narrow => (
                "only lines with ",
                "empty shows all; ~ regular expression, = letter case, ! without",
            ),
            Purpose::BreakLock => (
                "break the lock of ",
                "type the environment's name; its run is stopped",
            ),
            Purpose::ConfirmShell => (
                "open a terminal? ",
                "y opens it: whatever is typed there is not gated any more",
            ),
            Purpose::NameShell => (
                "open a terminal in ",
                "type the environment's name; what is typed there is not gated",
            ),
        };
        let end = paint.text(row.x + 1, row.y, row.width.saturating_sub(1), label, accent);
        let room = row.right().saturating_sub(end);
        field(paint, end, row.y, room.saturating_sub(1), &self.input, true);
        let mistake = match &self.purpose {
            Purpose::Of(..) | Purpose::IgnoreDrift(_) if self.input.value().is_empty() => None,
            Purpose::Of(about, _) => about.mistake(self.input.value()),
            Purpose::IgnoreDrift(_) => ignore::wish(self.input.value()).err(),
            Purpose::Filter => Filter::parse(self.input.value()).mistake,
            Purpose::BreakLock
            | Purpose::ConfirmShell
            | Purpose::NameShell
            | Purpose::Fill { .. } => None,
            Purpose::Search | Purpose::Narrow => Pattern::parse(self.input.value())
                .compile()
                .err()
                .map(|bad| format!("{} at character {}", bad.reason, bad.position)),
        };
        let typed =
            u16::try_from(super::super::text::width(self.input.value())).unwrap_or(u16::MAX);
        if let Some(mistake) = mistake {
            let start = end.saturating_add(typed).saturating_add(2);
            let rest = ratatui::layout::Rect {
                x: start,
                width: row.right().saturating_sub(start.saturating_add(1)),
                ..row
            };
            paint.right(rest, &Line::from(Span::styled(mistake, warn)));
        } else if typed == 0 && room > 4 {
            let rest = ratatui::layout::Rect {
                x: end + 2,
                width: room.saturating_sub(3),
                ..row
            };
            paint.right(rest, &Line::from(Span::styled(hint, muted)));
        }
    }
}
