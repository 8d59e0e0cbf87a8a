//! The dialog in which a share is typed, unseen. It stays while the ceremony wants more, whoever gives them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::{Line, Span};
use zeroize::{Zeroize as _, Zeroizing};

use super::super::keymap::Command;
use super::super::paint::{Paint, cut_bottom};
use super::super::text;
use super::super::world::World;
use super::Wish;
use crate::domain::run::RunId;
use crate::domain::seal::Word;
use crate::domain::secret::Secret;

/// More than a share has, bytes. The field never grows beyond, so that no copy of it is left behind.
const LONGEST: usize = 4096;

/// The dialog.
pub(crate) struct ShareDialog {
    run: RunId,
    field: Zeroizing<String>,
    /// A share is on its way.
    sent: bool,
    /// Why the last one was not taken.
    trouble: Option<String>,
}

impl std::fmt::Debug for ShareDialog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShareDialog")
            .field("run", &self.run)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl ShareDialog {
    pub(crate) fn new(run: RunId) -> Self {
        Self {
            run,
            field: Zeroizing::new(String::with_capacity(LONGEST)),
            sent: false,
            trouble: None,
        }
    }

    /// Whose shares are asked for.
    pub(crate) const fn run(&self) -> RunId {
        self.run
    }

    /// What became of the share that was sent.
    pub(crate) fn heard(&mut self, trouble: Option<String>) {
        self.sent = false;
        self.trouble = trouble;
    }

    /// Whether `command` does anything as the dialog stands.
    pub(crate) fn offers(&self, command: Command) -> bool {
        command != Command::Accept || (!self.sent && !self.field.trim().is_empty())
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Back => vec![Wish::Close],
            Command::Accept if self.offers(command) => {
                self.sent = true;
                self.trouble = None;
                let share = Secret::new(self.field.trim().to_owned());
                self.field.zeroize();
                self.field.reserve(LONGEST);
                vec![Wish::Speak(self.run, Word::Share(share))]
            }
            _ => Vec::new(),
        }
    }

    /// A key that is not bound: text.
    pub(crate) fn edit(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Backspace => drop(self.field.pop()),
            KeyCode::Char('u') if control => self.field.zeroize(),
            KeyCode::Char(c) if !control && self.field.len() + c.len_utf8() <= LONGEST => {
                self.field.push(c);
            }
            _ => {}
        }
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let width = 76.min(paint.buf.area.width);
        let room = usize::from(width.saturating_sub(4).max(8));
        let Some(ceremony) = world.ceremonies.iter().find(|one| one.run == self.run) else {
            return;
        };
        let standing = &ceremony.standing;
        let number = (standing.given() + 1).min(standing.needed.max(1));
        let title = format!(
            "Share {number} of {} for {} in {}",
            standing.needed, ceremony.service, ceremony.environment
        );
        let (said, style) = match &self.trouble {
            Some(trouble) => (trouble.as_str(), theme.bad),
            None => (standing.said.as_str(), theme.muted),
        };
        let lines = text::wrap(&paint.look.plain(said), room);
        let height = u16::try_from(lines.len().min(6) + 6).unwrap_or(u16::MAX);
        let title = paint.look.plain(&title).into_owned();
        let inner = paint.dialog((width, height), &title, theme.guard(world.protection()));
        let (body, foot) = cut_bottom(inner, 1);
        let mut y = body.y;
        for line in lines.iter().take(6) {
            paint.text(body.x, y, body.width, line, style);
            y += 1;
        }
        y += 1;
        let end = paint.text(body.x, y, body.width, "Share: ", theme.accent);
        let left = usize::from(body.right().saturating_sub(end).saturating_sub(1));
        // Long ones fill the row: how long it is, is no secret, and not needed either.
        let stars = "*".repeat(self.field.chars().count().min(left));
        paint.text(
            end,
            y,
            body.right().saturating_sub(end),
            &format!("{stars}_"),
            theme.strong,
        );
        let hint = if self.sent {
            "it is being given to every sealed node"
        } else if self.field.is_empty() {
            "type or paste it   esc closes; the ceremony goes on"
        } else {
            "enter gives it   ctrl-u clears   esc closes; the ceremony goes on"
        };
        let hint = Line::from(Span::styled(hint, theme.muted));
        paint.line(foot.x, foot.y, foot.width, &hint);
    }
}
