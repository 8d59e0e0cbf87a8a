//! New keys, shown to the operator who took them until he says that they are kept.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::text::{Line, Span};

use super::super::keymap::Command;
use super::super::paint::{Paint, cut_bottom};
use super::super::text;
use super::super::world::World;
use super::Wish;
use crate::domain::run::RunId;
use crate::domain::seal::{NewKeys, Word};

/// What is to be typed.
const KEPT: &str = "kept";

/// The dialog. Its keys are wiped when it is closed.
#[derive(Debug)]
pub(crate) struct KeysDialog {
    run: RunId,
    keys: NewKeys,
    typed: String,
    top: usize,
}

impl KeysDialog {
    pub(crate) fn new(run: RunId, keys: NewKeys) -> Self {
        Self {
            run,
            keys,
            typed: String::new(),
            top: 0,
        }
    }

    /// Whether `command` does anything as the dialog stands.
    pub(crate) fn offers(&self, command: Command) -> bool {
        match command {
            Command::Accept => self.typed.trim() == KEPT,
            Command::Down => self.top < self.keys.shares.len(),
            _ => true,
        }
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Up => self.top = self.top.saturating_sub(1),
            Command::Down => self.top = (self.top + 1).min(self.keys.shares.len()),
            Command::Back => return vec![Wish::Close],
            Command::Accept if self.offers(command) => {
                return vec![Wish::Close, Wish::Speak(self.run, Word::Kept)];
            }
            _ => {}
        }
        Vec::new()
    }

    /// A key that is not bound: text.
    pub(crate) fn edit(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Backspace => drop(self.typed.pop()),
            KeyCode::Char(c) if self.typed.len() < 16 => self.typed.push(c),
            _ => {}
        }
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let screen = paint.buf.area;
        let size = (
            screen.width.min(100),
            screen.height.saturating_sub(2).max(8),
        );
        let inner = paint.dialog(
            size,
            "New keys, shown once",
            theme.guard(world.protection()),
        );
        let (body, foot) = cut_bottom(inner, 2);
        let sentence = format!(
            "{} Give each to another person; the root token may do everything: use it to make other ways in, then revoke it.",
            self.keys.purpose()
        );
        let mut rows: Vec<(String, ratatui::style::Style)> = Vec::new();
        let room = usize::from(body.width.max(10));
        for line in text::wrap(&sentence, room) {
            rows.push((line, theme.warn));
        }
        rows.push((String::new(), theme.text));
        let shares = self.keys.shares.iter().enumerate();
        let shares = shares.map(|(at, share)| (format!("{}", at + 1), share));
        let token = self.keys.root_token.iter();
        let token = token.map(|token| ("root token".to_owned(), token));
        for (name, secret) in shares.chain(token).skip(self.top) {
            for line in text::wrap(&format!("{name} {}", secret.expose()), room) {
                rows.push((line, theme.strong));
            }
        }
        for ((row, style), y) in rows.iter().zip(body.top()..body.bottom()) {
            paint.text(body.x, y, body.width, row, *style);
        }
        let ask = Line::from(vec![
            Span::styled("Type kept when they are in a safe place: ", theme.accent),
            Span::styled(format!("{}_", self.typed), theme.strong),
        ]);
        paint.line(foot.x, foot.y, foot.width, &ask);
        let hint = "enter: forgotten here   esc: hidden, enter on the board shows them again";
        let hint = Line::from(Span::styled(hint, theme.muted));
        paint.line(foot.x, foot.y + 1, foot.width, &hint);
    }
}
