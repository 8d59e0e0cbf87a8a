//! What lies above the screen: palette, prompts, menu, forms, plans, questions, sheets. The topmost gets the keys.

pub(crate) mod approval;
pub(crate) mod asked;
pub(crate) mod form;
pub(crate) mod keys;
pub(crate) mod menu;
pub(crate) mod palette;
pub(crate) mod plan;
pub(crate) mod prompt;
pub(crate) mod question;
pub(crate) mod share;
pub(crate) mod sheet;

use crossterm::event::{Event, KeyEvent};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use super::keymap::{Command, Context};
use super::paint::Paint;
use super::screens::Intent;
use super::world::World;
use crate::domain::action::Consent;
use crate::domain::plan::PlanRequest;
use crate::domain::question::QuestionAnswer;
use crate::domain::theme::ThemeName;

/// What a layer wants to happen outside of itself.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Take this layer away.
    Close,
    /// As a screen's.
    Screen(Intent),
    /// Carry out a command as if its key were pressed below.
    Perform(Command),
    /// Change the look.
    Theme(ThemeName),
    /// Switch mouse reports on or off.
    Mouse,
    /// Ask for a plan and show it.
    Plan(PlanRequest),
    /// Start the plan.
    Start { hash: String, consent: Consent },
    /// Text of a prompt, at every key; `done` when it was accepted.
    Prompted {
        purpose: prompt::Purpose,
        text: String,
        done: bool,
    },
    /// Perform an extra command.
    Extra {
        name: String,
        argument: Option<String>,
    },
    /// Put text on the clipboard.
    Copy(String),
    /// Answer a question of the engine.
    Answer { id: u64, answer: QuestionAnswer },
    /// Say something to the ceremony of this run.
    Speak(crate::domain::run::RunId, crate::domain::seal::Word),
    /// Cancel this run.
    Cancel(crate::domain::run::RunId),
    /// Leave the program.
    Quit,
}

/// Anything above the screen.
#[derive(Debug)]
pub(crate) enum Layer {
    Palette(palette::Palette),
    Prompt(prompt::Prompt),
    Menu(menu::Menu),
    Form(form::Form),
    Plan(Box<plan::PlanDialog>),
    Approval(Box<approval::ApprovalDialog>),
    Question(question::Question),
    Asked(asked::Asked),
    Share(share::ShareDialog),
    Keys(Box<keys::KeysDialog>),
    Sheet(sheet::Sheet),
}

impl Layer {
    pub(crate) const fn context(&self) -> Context {
        match self {
            Self::Palette(_) => Context::Palette,
            Self::Prompt(_) => Context::Prompt,
            Self::Menu(_) => Context::Menu,
            Self::Form(_) => Context::Form,
            Self::Plan(_) | Self::Approval(_) => Context::Plan,
            Self::Question(_) => Context::Question,
            Self::Asked(_) => Context::Asked,
            Self::Share(_) => Context::Share,
            Self::Keys(_) => Context::Keys,
            Self::Sheet(_) => Context::Sheet,
        }
    }

    /// Whether `command` does anything as the layer stands: a key that does nothing is no hint.
    pub(crate) fn offers(&self, world: &World, command: Command) -> bool {
        match self {
            Self::Palette(layer) => layer.offers(command),
            Self::Plan(layer) => layer.offers(command),
            // The plan that waits is what it is.
            Self::Approval(_) => !matches!(command, Command::DryRun | Command::Offline),
            Self::Share(layer) => layer.offers(command),
            Self::Keys(layer) => layer.offers(command),
            Self::Sheet(layer) => layer.offers(world, command),
            Self::Prompt(_)
            | Self::Menu(_)
            | Self::Form(_)
            | Self::Question(_)
            | Self::Asked(_) => true,
        }
    }

    pub(crate) fn update(&mut self, world: &World, command: Command) -> Vec<Wish> {
        if command == Command::Back && !matches!(self, Self::Prompt(_) | Self::Asked(_)) {
            return vec![Wish::Close];
        }
        match self {
            Self::Palette(layer) => layer.update(command),
            Self::Prompt(layer) => layer.update(command),
            Self::Menu(layer) => layer.update(command),
            Self::Form(layer) => layer.update(command),
            Self::Plan(layer) => layer.update(command),
            Self::Approval(layer) => layer.update(command),
            Self::Question(layer) => layer.update(command),
            Self::Asked(layer) => layer.update(command),
            Self::Share(layer) => layer.update(command),
            Self::Keys(layer) => layer.update(command),
            Self::Sheet(layer) => layer.update(world, command),
        }
    }

    /// A key that is not bound here: text, or nothing.
    pub(crate) fn edit(&mut self, key: KeyEvent) -> Vec<Wish> {
        match self {
            Self::Palette(layer) => {
                feed(&mut layer.input, key);
                layer.search();
                Vec::new()
            }
            Self::Prompt(layer) => {
                feed(&mut layer.input, key);
                layer.changed()
            }
            Self::Form(layer) => {
                if let Some(input) = layer.input() {
                    feed(input, key);
                }
                Vec::new()
            }
            Self::Plan(layer) => layer.edit(key),
            Self::Asked(layer) => {
                layer.edit(key);
                Vec::new()
            }
            Self::Share(layer) => {
                layer.edit(key);
                Vec::new()
            }
            Self::Keys(layer) => {
                layer.edit(key);
                Vec::new()
            }
            Self::Menu(_) | Self::Approval(_) | Self::Question(_) | Self::Sheet(_) => Vec::new(),
        }
    }

    /// Pasted text goes where typed text goes, on one line.
    pub(crate) fn paste(&mut self, text: &str) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for c in super::text::clean(text).chars().take(1024) {
            let key = KeyEvent::new(
                crossterm::event::KeyCode::Char(c),
                crossterm::event::KeyModifiers::NONE,
            );
            wishes.extend(self.edit(key));
        }
        wishes
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        match self {
            Self::Palette(layer) => layer.draw(paint),
            Self::Prompt(layer) => layer.draw(paint),
            Self::Menu(layer) => layer.draw(world, paint),
            Self::Form(layer) => layer.draw(world, paint),
            Self::Plan(layer) => layer.draw(world, paint),
            Self::Approval(layer) => layer.draw(world, paint),
            Self::Question(layer) => layer.draw(world, paint),
            Self::Asked(layer) => layer.draw(world, paint),
            Self::Share(layer) => layer.draw(world, paint),
            Self::Keys(layer) => layer.draw(world, paint),
            Self::Sheet(layer) => layer.draw(world, paint),
        }
    }
}

/// Gives a key to a text field.
pub(crate) fn feed(input: &mut Input, key: KeyEvent) {
    input.handle_event(&Event::Key(key));
}

/// Draws a text field with its cursor; the text scrolls so that the cursor stays in sight.
pub(crate) fn field(
    paint: &mut Paint<'_>,
    x: u16,
    y: u16,
    width: u16,
    input: &Input,
    focused: bool,
) {
    if width < 2 {
        return;
    }
    let theme = &paint.look.theme;
    let (strong, accent) = (theme.strong, theme.accent);
    let scroll = input.visual_scroll(usize::from(width) - 1);
    let visible: String = {
        let mut skipped = 0;
        input
            .value()
            .chars()
            .skip_while(|c| {
                let hidden = skipped < scroll;
                skipped += super::text::width(c.encode_utf8(&mut [0; 4]));
                hidden
            })
            .collect()
    };
    paint.text(x, y, width, &visible, strong);
    if focused {
        let at = u16::try_from(input.visual_cursor().saturating_sub(scroll)).unwrap_or(0);
        let at = (x + at.min(width - 1), y);
        if let Some(cell) = paint.buf.cell_mut(at) {
            cell.set_style(accent.add_modifier(ratatui::style::Modifier::REVERSED));
        }
    }
}
