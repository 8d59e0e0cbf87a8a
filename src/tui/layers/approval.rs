//! What a run asks an operator, beside the plan that his word is for. Cancel has the focus: looking decides nothing.

use ratatui::style::Style;
use ratatui::text::Line;

use super::super::keymap::Command;
use super::super::message::Effect;
use super::super::paint::{Paint, cut_bottom, cut_top};
use super::super::screens::Intent;
use super::super::text;
use super::super::world::World;
use super::Wish;
use crate::client::Request;
use crate::domain::approval::{Approver, Decision, Waiting};
use crate::domain::plan::Plan;

/// The buttons, the careful one first.
const BUTTONS: [(&str, Option<Decision>); 3] = [
    ("Cancel", None),
    ("Refuse", Some(Decision::Refuse)),
    ("Approve", Some(Decision::Approve)),
];

/// The dialog.
#[derive(Debug)]
pub(crate) struct ApprovalDialog {
    asked: Waiting,
    plan: Plan,
    focus: usize,
    scroll: u16,
}

impl ApprovalDialog {
    /// What is `asked`, and the plan that it is bound to.
    pub(crate) fn new(asked: Waiting, plan: Plan) -> Self {
        Self {
            asked,
            plan,
            focus: 0,
            scroll: 0,
        }
    }

    /// What it is about.
    pub(crate) const fn asked(&self) -> &Waiting {
        &self.asked
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Right | Command::NextField => self.focus = (self.focus + 1) % BUTTONS.len(),
            Command::Left | Command::PreviousPane => {
                self.focus = (self.focus + BUTTONS.len() - 1) % BUTTONS.len();
            }
            Command::Up => self.scroll = self.scroll.saturating_sub(1),
            Command::Down => self.scroll = self.scroll.saturating_add(1),
            Command::PageUp => self.scroll = self.scroll.saturating_sub(8),
            Command::PageDown => self.scroll = self.scroll.saturating_add(8),
            Command::Accept => return self.press(),
            _ => {}
        }
        Vec::new()
    }

    fn press(&self) -> Vec<Wish> {
        let Some(decision) = BUTTONS[self.focus].1 else {
            return vec![Wish::Close];
        };
        let asked = &self.asked;
        let request = Request::Approve {
            run: asked.run,
            step: asked.step.clone(),
            hash: asked.hash.clone(),
            decision,
            note: None,
        };
        let tell = Effect::Tell {
            what: format!("{decision} run #{}", asked.number),
            request,
        };
        vec![Wish::Close, Wish::Screen(Intent::Do(tell))]
    }

    /// What is asked about beside the plan: lines as a diff has them.
    fn details(&self, paint: &Paint<'_>, inner: usize) -> Vec<Line<'static>> {
        let theme = &paint.look.theme;
        let style = |line: &str| match line.trim_start().chars().next() {
            Some('-') => theme.bad,
            Some('+') => theme.good,
            Some('~' | '!') => theme.warn,
            _ => theme.text,
        };
        let mut lines = Vec::new();
        for detail in &self.asked.details {
            let style = Style {
                bg: None,
                ..style(detail)
            };
            let indent = detail.len() - detail.trim_start().len();
            let room = inner.saturating_sub(indent).max(8);
            for line in text::wrap(&paint.look.plain(detail.trim_start()), room) {
                lines.push(Line::styled(format!("{:indent$}{line}", ""), style));
            }
        }
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let screen = paint.buf.area;
        let asked = &self.asked;
        let protection = world
            .environment(&asked.environment)
            .map_or(world.protection(), |environment| environment.protection);
        let width = screen
            .width
            .saturating_sub(6)
            .clamp(screen.width.min(40), 110);
        let inner = usize::from(width.saturating_sub(4).max(8));
        let who = match asked.approver {
            Approver::Anyone => "any operator may decide",
            Approver::Second => "another operator than the one who asks must decide",
        };
        let hash: String = asked.hash.chars().take(12).collect();
        let facts = format!(
            "{} in {}, asked by {}; {who}; for plan {hash} and no other.",
            asked.title, asked.environment, asked.asked_by
        );
        let plain = Style {
            bg: None,
            ..theme.text
        };
        let mut head: Vec<Line<'static>> = Vec::new();
        for (sentence, style) in [(&asked.text, theme.warn), (&facts, plain)] {
            let style = Style { bg: None, ..style };
            for line in text::wrap(&paint.look.plain(sentence), inner) {
                head.push(Line::styled(line, style));
            }
        }
        let mut lines = self.details(paint, inner);
        lines.extend(super::plan::body(paint.look, &self.plan, inner));
        let tall = u16::try_from(head.len() + lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(5);
        let height = tall.clamp(9, screen.height.saturating_sub(2).max(9));
        let title = format!("Run #{} waits for an approval", asked.number);
        let room = paint.dialog((width, height), &title, theme.guard(protection));
        let (room, foot) = cut_bottom(room, 1);
        let rows = u16::try_from(head.len()).unwrap_or(u16::MAX);
        let (above, below) = cut_top(room, rows.min(room.height / 2));
        paint.lines(above, &head);
        let visible = usize::from(below.height);
        let first = usize::from(self.scroll).min(lines.len().saturating_sub(visible));
        paint.lines(below, &lines[first..]);
        paint.scroll_thumb(below, false, lines.len(), visible, first);
        let buttons = BUTTONS.iter().enumerate();
        let spans = super::question::buttons(
            paint.look,
            buttons.map(|(index, (word, _))| (*word, index == self.focus)),
        );
        paint.line(foot.x, foot.y, foot.width, &Line::from(spans));
    }
}
