//! A question that the engine asks: a password, a passphrase, whether a host key is the right one.
//!
//! What is typed is masked unless the asker wants it seen. Without anything to fill in, "no" has the focus.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::{Line, Span};
use zeroize::Zeroizing;

use super::super::keymap::Command;
use super::super::paint::{Paint, cut_bottom};
use super::super::text;
use super::super::world::World;
use super::Wish;
use super::question::buttons;
use crate::domain::question::{OpenQuestion, QuestionAnswer};
use crate::domain::secret::Secret;

/// More than anybody types, bytes. The fields never grow beyond, so that no copy of them is left behind.
const LONGEST: usize = 4096;

/// The dialog.
pub(crate) struct Asked {
    open: OpenQuestion,
    fields: Vec<Zeroizing<String>>,
    /// A field; or, after them, "no" and "yes".
    focus: usize,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("open", &self.open)
            .field("focus", &self.focus)
            .finish_non_exhaustive()
    }
}

impl Asked {
    pub(crate) fn new(open: OpenQuestion) -> Self {
        let field = |_| Zeroizing::new(String::with_capacity(LONGEST));
        Self {
            fields: open.question.prompts.iter().map(field).collect(),
            open,
            focus: 0,
        }
    }

    /// The question's number.
    pub(crate) const fn id(&self) -> u64 {
        self.open.id
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        let (no, yes) = (self.fields.len(), self.fields.len() + 1);
        match command {
            Command::NextField => self.focus = (self.focus + 1) % (yes + 1),
            Command::PreviousPane => self.focus = (self.focus + yes) % (yes + 1),
            Command::Back => return self.answer(QuestionAnswer::No),
            Command::Accept if self.focus == no => return self.answer(QuestionAnswer::No),
            Command::Accept if self.focus + 1 < no => self.focus += 1,
            Command::Accept => return self.yes(),
            _ => {}
        }
        Vec::new()
    }

    fn yes(&mut self) -> Vec<Wish> {
        if self.fields.is_empty() {
            return self.answer(QuestionAnswer::Yes);
        }
        let filled = std::mem::take(&mut self.fields);
        let secret = |mut field: Zeroizing<String>| Secret::new(std::mem::take(&mut *field));
        self.answer(QuestionAnswer::Filled(
            filled.into_iter().map(secret).collect(),
        ))
    }

    fn answer(&self, answer: QuestionAnswer) -> Vec<Wish> {
        let id = self.open.id;
        vec![Wish::Close, Wish::Answer { id, answer }]
    }

    /// A key that is not bound: text.
    pub(crate) fn edit(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let Some(field) = self.fields.get_mut(self.focus) else {
            return;
        };
        match key.code {
            KeyCode::Backspace => drop(field.pop()),
            KeyCode::Char('u') if control => field.clear(),
            KeyCode::Char(c) if !control && field.len() + c.len_utf8() <= LONGEST => field.push(c),
            _ => {}
        }
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let width = 72.min(paint.buf.area.width);
        let room = usize::from(width.saturating_sub(4).max(8));
        let question = &self.open.question;
        let lines: Vec<String> = question
            .lines
            .iter()
            .flat_map(|line| text::wrap(&paint.look.plain(line), room))
            .collect();
        let height = u16::try_from(lines.len() + self.fields.len() + 5).unwrap_or(u16::MAX);
        let title = paint.look.plain(&question.title).into_owned();
        let room = paint.dialog((width, height), &title, theme.guard(world.protection()));
        let (body, foot) = cut_bottom(room, 1);
        let mut y = body.y;
        for line in &lines {
            if y < body.bottom() {
                paint.text(body.x, y, body.width, line, theme.muted);
                y += 1;
            }
        }
        for (index, (field, prompt)) in self.fields.iter().zip(&question.prompts).enumerate() {
            if y >= body.bottom() {
                break;
            }
            let focused = index == self.focus;
            let style = if focused { theme.accent } else { theme.muted };
            let label = format!("{}: ", paint.look.plain(&prompt.label));
            let end = paint.text(body.x, y, body.width, &label, style);
            let shown = if prompt.echo {
                paint.look.plain(field).into_owned()
            } else {
                "*".repeat(field.chars().count())
            };
            let cursor = if focused { "_" } else { "" };
            let left = body.right().saturating_sub(end);
            paint.text(end, y, left, &format!("{shown}{cursor}"), theme.strong);
            y += 1;
        }
        let no = self.fields.len();
        let words = if no == 0 {
            ["No, refuse it", "Yes, accept it"]
        } else {
            ["Cancel", "Answer"]
        };
        let pairs = [
            (words[0], self.focus == no),
            (words[1], self.focus == no + 1),
        ];
        let mut spans: Vec<Span<'static>> = buttons(paint.look, pairs.into_iter());
        let seconds = (self.open.until.as_second() - world.now.as_second()).max(0);
        spans.push(Span::styled(format!("  {seconds} s left"), theme.muted));
        paint.line(foot.x, foot.y, foot.width, &Line::from(spans));
    }
}
