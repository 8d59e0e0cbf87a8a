//! A yes-or-no question. The careful answer has the focus.

use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::super::keymap::Command;
use super::super::paint::{Look, Paint, cut_bottom};
use super::super::text;
use super::super::world::World;
use super::Wish;
use crate::domain::run::RunId;

/// What a yes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Quit,
    Cancel(RunId),
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question {
    title: String,
    sentence: String,
    no: String,
    yes: String,
    deed: Deed,
    yes_focused: bool,
}

impl Question {
    /// Whether to leave while `alive` runs of an engine within this program are going, and `terminals` are open.
    pub(crate) fn quit(alive: usize, terminals: usize) -> Self {
        let mut sentences = Vec::new();
        match alive {
            0 => {}
            1 => sentences.push(
                "1 run is still going; quitting stops it, because the engine lives inside this program."
                    .to_owned(),
            ),
            _ => sentences.push(format!(
                "{alive} runs are still going; quitting stops them, because the engine lives inside this program."
            )),
        }
        match terminals {
            0 => {}
            1 => sentences.push("1 terminal is open and ends with this program.".to_owned()),
            _ => sentences.push(format!(
                "{terminals} terminals are open and end with this program."
            )),
        }
        Self {
            title: "Quit?".into(),
            sentence: sentences.join(" "),
            no: "Stay".into(),
            yes: if alive == 0 {
                "Quit".into()
            } else {
                "Quit and stop".into()
            },
            deed: Deed::Quit,
            yes_focused: false,
        }
    }

    /// Whether to cancel a run.
    pub(crate) fn cancel(id: RunId, name: &str) -> Self {
        Self {
            title: "Cancel the run?".into(),
            sentence: format!(
                "{name} is told to stop: what is being worked on is interrupted and gets a grace period; what was done stays done."
            ),
            no: "Let it run".into(),
            yes: "Cancel the run".into(),
            deed: Deed::Cancel(id),
            yes_focused: false,
        }
    }

    /// Whether it is about leaving.
    pub(crate) fn is_quit(&self) -> bool {
        self.deed == Deed::Quit
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::NextField => self.yes_focused = !self.yes_focused,
            Command::Yes => return self.yes(),
            Command::Accept if self.yes_focused => return self.yes(),
            Command::Accept | Command::No => return vec![Wish::Close],
            _ => {}
        }
        Vec::new()
    }

    fn yes(&self) -> Vec<Wish> {
        let wish = match self.deed {
            Deed::Quit => Wish::Quit,
            Deed::Cancel(run) => Wish::Cancel(run),
        };
        vec![Wish::Close, wish]
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let width = 60.min(paint.buf.area.width);
        let lines = text::wrap(
            &paint.look.plain(&self.sentence),
            usize::from(width.saturating_sub(4).max(8)),
        );
        let height = u16::try_from(lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(4);
        let room = paint.dialog(
            (width, height),
            &self.title,
            theme.guard(world.protection()),
        );
        let (body, foot) = cut_bottom(room, 1);
        for (line, y) in lines.iter().zip(body.top()..body.bottom()) {
            paint.text(
                body.x,
                y,
                body.width,
                line,
                ratatui::style::Style {
                    bg: None,
                    ..theme.text
                },
            );
        }
        let spans = buttons(
            paint.look,
            [
                (self.no.as_str(), !self.yes_focused),
                (self.yes.as_str(), self.yes_focused),
            ]
            .into_iter(),
        );
        paint.line(foot.x, foot.y, foot.width, &Line::from(spans));
    }
}

/// Buttons in a row; the focused one is reversed and bracketed.
pub(crate) fn buttons<'a>(
    look: &Look,
    buttons: impl Iterator<Item = (&'a str, bool)>,
) -> Vec<Span<'static>> {
    let theme = &look.theme;
    let mut spans = Vec::new();
    for (word, focused) in buttons {
        spans.push(if focused {
            Span::styled(
                format!("[ {word} ]"),
                theme
                    .accent
                    .add_modifier(Modifier::REVERSED | Modifier::BOLD),
            )
        } else {
            Span::styled(format!("  {word}  "), theme.muted)
        });
        spans.push(Span::raw(" "));
    }
    spans
}
