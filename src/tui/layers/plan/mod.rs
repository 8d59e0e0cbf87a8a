//! The plan of a run and the gate before it: what will happen, where, how risky it is, and what it takes to begin.

mod steps;
mod view;

use crossterm::event::{KeyCode, KeyEvent};
use tui_input::Input;

pub(super) use self::steps::body;
use super::super::keymap::Command;
use super::{Wish, feed};
use crate::domain::action::{Consent, Gate};
use crate::domain::plan::{OnceAnswer, Origin, Plan, PlanRequest};

/// Where the asking stands.
#[derive(Debug)]
pub(crate) enum Stage {
    Asked,
    Ready(Box<Plan>, Gate),
    Refused(String),
}

/// What has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Name,
    Cancel,
    Start,
    /// The recipe was edited since: the steps that are on record, or those it has now.
    Recipe {
        current: bool,
    },
    /// A `once` task of which it is not known how far it came: carry it out again, or take it as done.
    Once(OnceAnswer),
}

/// The plan dialog.
#[derive(Debug)]
pub(crate) struct PlanDialog {
    pub request: PlanRequest,
    /// Tells the answer to the newest question from older ones.
    pub ticket: u64,
    pub stage: Stage,
    focus: Focus,
    name: Input,
    scroll: u16,
    /// Whether it was said which steps are meant, where the recipe was edited since.
    pub chosen: bool,
    /// What is wrong with what was given.
    mistake: Option<String>,
    /// Whether the next answer replaces a plan under the eyes of whoever reads it.
    replaces: bool,
}

impl PlanDialog {
    pub(crate) fn new(request: PlanRequest, ticket: u64) -> Self {
        Self {
            request,
            ticket,
            stage: Stage::Asked,
            focus: Focus::Cancel,
            name: Input::default(),
            scroll: 0,
            chosen: false,
            mistake: None,
            replaces: false,
        }
    }

    /// Waits for the answer to `ticket` in the place of what was shown. What was typed for that, and a key that is about to be
    /// pressed for it, start nothing of what comes.
    pub(crate) fn anew(&mut self, ticket: u64) {
        self.ticket = ticket;
        self.stage = Stage::Asked;
        self.focus = Focus::Cancel;
        self.name.reset();
        self.mistake = None;
        self.replaces = true;
    }

    /// The engine answered. Where a yes is asked for, Cancel has the focus.
    pub(crate) fn answer(&mut self, result: Result<(Box<Plan>, Gate), String>) {
        match result {
            Ok((plan, gate)) => {
                self.focus = match gate {
                    Gate::Open => Focus::Start,
                    Gate::TypeName | Gate::SecondOperator => Focus::Name,
                    Gate::Confirm | Gate::ReadOnly => Focus::Cancel,
                };
                let replaces = std::mem::take(&mut self.replaces);
                if replaces || !plan.undecided.is_empty() || self.asks_for_recipe(&plan) {
                    self.focus = Focus::Cancel;
                }
                self.stage = Stage::Ready(plan, gate);
            }
            Err(reason) => {
                self.focus = Focus::Cancel;
                self.stage = Stage::Refused(reason);
            }
        }
    }

    fn asks_for_recipe(&self, plan: &Plan) -> bool {
        plan.edited && !self.chosen
    }

    /// What can have the focus.
    fn stops(&self) -> &'static [Focus] {
        match &self.stage {
            Stage::Ready(plan, _) if self.asks_for_recipe(plan) => &[
                Focus::Cancel,
                Focus::Recipe { current: false },
                Focus::Recipe { current: true },
            ],
            Stage::Ready(plan, _) if !plan.undecided.is_empty() => &[
                Focus::Cancel,
                Focus::Once(OnceAnswer::Repeat),
                Focus::Once(OnceAnswer::Done),
            ],
            Stage::Ready(_, Gate::TypeName | Gate::SecondOperator) => {
                &[Focus::Name, Focus::Cancel, Focus::Start]
            }
            Stage::Ready(_, Gate::Open | Gate::Confirm) => &[Focus::Cancel, Focus::Start],
            _ => &[Focus::Cancel],
        }
    }

    fn turn(&mut self, by: isize) {
        let stops = self.stops();
        let at = stops
            .iter()
            .position(|stop| *stop == self.focus)
            .unwrap_or(0);
        let next = (at + stops.len()).wrapping_add_signed(by) % stops.len();
        self.focus = stops[next];
    }

    /// Whether `command` does anything as the dialog stands.
    pub(crate) fn offers(&self, command: Command) -> bool {
        match command {
            Command::DryRun | Command::Offline => self.rehearses(),
            Command::NextField => self.stops().len() > 1,
            // No buttons are shown before the answer.
            Command::Accept => !matches!(self.stage, Stage::Asked),
            _ => true,
        }
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Left | Command::Right if self.focus == Focus::Name => {
                let code = if command == Command::Left {
                    KeyCode::Left
                } else {
                    KeyCode::Right
                };
                feed(&mut self.name, KeyEvent::from(code));
            }
            Command::Left | Command::PreviousPane => self.turn(-1),
            Command::Right | Command::NextField => self.turn(1),
            Command::Up => self.scroll = self.scroll.saturating_sub(1),
            Command::Down => self.scroll = self.scroll.saturating_add(1),
            Command::PageUp => self.scroll = self.scroll.saturating_sub(8),
            Command::PageDown => self.scroll = self.scroll.saturating_add(8),
            Command::DryRun => return self.toggle_dry_run(),
            Command::Offline => return self.toggle_offline(),
            Command::Accept => return self.press(),
            _ => {}
        }
        if let Stage::Refused(reason) = &self.stage {
            // More lines than any width wraps it into.
            let most = reason.lines().count() + reason.len() / 20;
            let most = u16::try_from(most).unwrap_or(u16::MAX);
            self.scroll = self.scroll.min(most);
        }
        if let Stage::Ready(plan, _) = &self.stage {
            let most = plan
                .steps
                .iter()
                .map(|planned| planned.preview.len() + 1)
                .sum::<usize>()
                // A caution takes a few lines on a narrow screen.
                + (plan.cautions.len() + plan.outlook.len()) * 6
                + plan.kept.len();
            self.scroll = self.scroll.min(u16::try_from(most).unwrap_or(u16::MAX));
        }
        Vec::new()
    }

    /// Whether it can be rehearsed: what is left of a run cannot.
    fn rehearses(&self) -> bool {
        !matches!(self.request.origin, Some(Origin::Resume { .. }))
    }

    fn toggle_dry_run(&mut self) -> Vec<Wish> {
        if !self.rehearses() {
            return Vec::new();
        }
        let mut request = self.request.clone();
        request.dry_run = !request.dry_run;
        vec![Wish::Plan(request)]
    }

    /// Fetches nothing, or as it is needed; what is not at hand then is in the answer.
    fn toggle_offline(&mut self) -> Vec<Wish> {
        if !self.rehearses() {
            return Vec::new();
        }
        let mut request = self.request.clone();
        request.limits.offline = !request.limits.offline;
        vec![Wish::Plan(request)]
    }

    /// A key that is not bound: text for the name, `D` or `O`.
    pub(crate) fn edit(&mut self, key: KeyEvent) -> Vec<Wish> {
        if self.focus == Focus::Name {
            feed(&mut self.name, key);
            self.mistake = None;
        } else if matches!(key.code, KeyCode::Char('D')) {
            return self.toggle_dry_run();
        } else if matches!(key.code, KeyCode::Char('O')) {
            return self.toggle_offline();
        }
        Vec::new()
    }

    fn press(&mut self) -> Vec<Wish> {
        let Stage::Ready(plan, gate) = &self.stage else {
            return vec![Wish::Close];
        };
        if self.focus == Focus::Cancel {
            return vec![Wish::Close];
        }
        if let Focus::Recipe { current } = self.focus {
            let mut request = self.request.clone();
            if let Some(Origin::Resume { current_recipe, .. }) = &mut request.origin {
                *current_recipe = current;
            }
            self.chosen = true;
            // The answer puts the focus where this plan's gate wants it.
            return vec![Wish::Plan(request)];
        }
        if let Focus::Once(answer) = self.focus {
            let mut request = self.request.clone();
            if let Some(task) = plan.undecided.first() {
                request.once.insert(task.to_string(), answer);
            }
            return vec![Wish::Plan(request)];
        }
        let consent = match gate {
            Gate::Open => Consent::None,
            Gate::Confirm => Consent::Yes,
            Gate::TypeName | Gate::SecondOperator | Gate::ReadOnly => {
                Consent::Typed(self.name.value().trim().to_owned())
            }
        };
        match gate.check(&consent, &plan.request.environment) {
            Ok(()) => vec![
                Wish::Close,
                Wish::Start {
                    hash: plan.hash.clone(),
                    consent,
                },
            ],
            Err(reason) => {
                self.mistake = Some(reason);
                Vec::new()
            }
        }
    }
}
