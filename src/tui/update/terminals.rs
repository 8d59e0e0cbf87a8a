//! Terminals on nodes: the gate before one is opened, and what is heard from those that are.

use super::super::layers::Layer;
use super::super::layers::prompt::{Prompt, Purpose};
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::super::screens::terminals::TABS;
use super::travel;
use crate::client::conversation::{Down, Ending};
use crate::domain::action::{Consent, Gate, Risk};
use crate::domain::table::Tone;

/// Terminals opened by one key.
const AT_ONCE: usize = 8;

/// Opens a terminal on each of `nodes`, or goes to the one that is open already; asks first where the environment does.
pub(super) fn shell(model: &mut Model, nodes: Vec<String>) -> Vec<Effect> {
    if nodes.is_empty() {
        model.say(
            "There is no node under the cursor to open a terminal on.",
            Tone::Muted,
        );
        return Vec::new();
    }
    let environment = model.world.environment.clone();
    if let [node] = nodes.as_slice()
        && model.place != Place::Terminals
        && model.screens.terminals.show(&environment, node)
    {
        return travel::go(model, Place::Terminals);
    }
    if nodes.len() > AT_ONCE {
        let sentence = format!(
            "{} nodes are marked; at most {AT_ONCE} terminals are opened at once. x runs one command on all of them.",
            nodes.len()
        );
        model.say(sentence, Tone::Warn);
        return Vec::new();
    }
    let gate = gate(model);
    if gate.check(&Consent::None, &environment).is_ok() {
        return open(model, nodes, &Consent::None);
    }
    if gate == Gate::ReadOnly {
        model.say(
            "This session is read-only: a terminal could change anything.",
            Tone::Warn,
        );
        return Vec::new();
    }
    model.screens.terminals.wanted = nodes;
    let purpose = match gate {
        Gate::Confirm => Purpose::ConfirmShell,
        _ => Purpose::NameShell,
    };
    model.layers.push(Layer::Prompt(Prompt::new(purpose, "")));
    Vec::new()
}

/// What was typed at the gate.
pub(super) fn consented(model: &mut Model, typed: &str) -> Vec<Effect> {
    let nodes = std::mem::take(&mut model.screens.terminals.wanted);
    if typed.is_empty() || nodes.is_empty() {
        return Vec::new();
    }
    let consent = match typed {
        "y" | "Y" | "yes" => Consent::Yes,
        name => Consent::Typed(name.to_owned()),
    };
    let gate = gate(model);
    match gate.check(&consent, &model.world.environment) {
        Ok(()) => open(model, nodes, &consent),
        Err(_) if gate == Gate::Confirm => {
            let sentence = "No terminal was opened: y opens it, anything else closes this.";
            model.say(sentence, Tone::Warn);
            Vec::new()
        }
        Err(missing) => {
            model.say(format!("{missing}: no terminal was opened."), Tone::Warn);
            Vec::new()
        }
    }
}

fn gate(model: &Model) -> Gate {
    let read_only = model
        .world
        .workspace()
        .is_some_and(|workspace| workspace.read_only);
    Gate::of(Risk::Change, model.world.protection(), read_only).alone()
}

fn open(model: &mut Model, nodes: Vec<String>, consent: &Consent) -> Vec<Effect> {
    let mut effects = Vec::new();
    for node in nodes {
        model.ticket += 1;
        let opened =
            model
                .screens
                .terminals
                .open(model.ticket, &model.world, &node, consent.clone());
        let Some(effect) = opened else {
            let sentence = format!("{TABS} terminals are open; close one (x) first.");
            model.say(sentence, Tone::Warn);
            break;
        };
        effects.push(effect);
    }
    effects.extend(travel::go(model, Place::Terminals));
    effects
}

/// Takes in what was heard of a conversation.
pub(super) fn hear(model: &mut Model, id: u64, down: Down) -> Vec<Effect> {
    let failed = match &down {
        Down::Ended(Ending::Failed(reason)) => Some(reason.clone()),
        _ => None,
    };
    let effects = match model.screens.terminals.hear(id, &down) {
        Some(effects) => effects,
        None if model.screens.journal.hear(id, down) => Vec::new(),
        // Of something that was closed meanwhile.
        None => return Vec::new(),
    };
    if let Some(reason) = failed {
        model.say(reason, Tone::Bad);
    }
    effects
}
