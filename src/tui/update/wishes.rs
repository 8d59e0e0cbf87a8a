//! Carrying out what screens and layers want to happen outside of themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::layers::approval::ApprovalDialog;
use super::super::layers::form::Form;
use super::super::layers::plan::PlanDialog;
use super::super::layers::prompt::{Prompt, Purpose};
use super::super::layers::question::Question;
use super::super::layers::sheet::Sheet;
use super::super::layers::{Layer, Wish};
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::super::paint::Look;
use super::super::screens::Intent;
use super::travel;
use crate::client::Request;
use crate::domain::action::Consent;
use crate::domain::drift::ignore;
use crate::domain::plan::{Origin, PlanRequest};
use crate::domain::run::RunId;
use crate::domain::table::Tone;

/// Carries out the wishes of the topmost layer.
pub(super) fn grant(model: &mut Model, wishes: Vec<Wish>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let starts = wishes.iter().any(|wish| matches!(wish, Wish::Start { .. }));
    for wish in wishes {
        match wish {
            Wish::Close => {
                let closed = model.layers.pop();
                // Which button has the focus depends on the plan: what a quick enter came to must be seen.
                if matches!(closed, Some(Layer::Plan(_))) && !starts {
                    model.say("Not started", Tone::Muted);
                }
            }
            Wish::Screen(intent) => effects.extend(carry_out(model, vec![intent])),
            Wish::Perform(command) => effects.extend(super::perform(model, command)),
            Wish::Theme(theme) => model.look = Look::new(theme, model.ascii),
            Wish::Mouse => {
                model.mouse = !model.mouse;
                effects.push(Effect::Mouse(model.mouse));
            }
            Wish::Plan(request) => effects.extend(ask_plan(model, request)),
            Wish::Start { hash, consent } => effects.push(Effect::Start { hash, consent }),
            Wish::Prompted {
                purpose,
                text,
                done,
            } => effects.extend(prompted(model, purpose, &text, done)),
            Wish::Extra { name, argument } => effects.push(Effect::Extra { name, argument }),
            Wish::Copy(text) => {
                model.say("Copied", Tone::Good);
                effects.push(Effect::Copy(text));
            }
            Wish::Answer { id, answer } => effects.push(Effect::Tell {
                request: Request::Answer { id, answer },
                what: "answer".into(),
            }),
            Wish::Speak(run, word) => effects.push(Effect::Speak { run, word }),
            Wish::Cancel(run) => effects.push(cancel(model, run)),
            Wish::Quit => effects.push(Effect::Quit),
        }
    }
    effects
}

/// Carries out the intents of a screen.
pub(super) fn carry_out(model: &mut Model, intents: Vec<Intent>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for intent in intents {
        match intent {
            Intent::Do(effect) => effects.push(effect),
            Intent::Go(place) => effects.extend(travel::go(model, place)),
            Intent::Switch(name) => effects.extend(travel::switch(model, &name)),
            Intent::Plan {
                recipe,
                nodes,
                service,
            } => effects.extend(offer(model, &recipe, nodes, service)),
            Intent::GiveShare(run) => super::ceremonies::give(model, run),
            Intent::Speak(run, word) => effects.push(Effect::Speak { run, word }),
            Intent::PlanThis(request) => effects.extend(ask_plan(model, request)),
            Intent::Actions => super::actions(model),
            Intent::Cancel(run) => question_cancel(model, run),
            Intent::Again(run) => effects.extend(again(model, run)),
            Intent::Decide(run) => effects.extend(decide(model, run)),
            Intent::BreakLock => {
                let prompt = Prompt::new(Purpose::BreakLock, "");
                model.layers.push(Layer::Prompt(prompt));
            }
            Intent::TakeUp(origin) => effects.extend(take_up(model, origin)),
            Intent::Ask(about, nodes) => {
                let prompt = Prompt::new(Purpose::Of(about, nodes), "");
                model.layers.push(Layer::Prompt(prompt));
            }
            Intent::IgnoreDrift(key) => {
                let prompt = Prompt::new(Purpose::IgnoreDrift(key), "");
                model.layers.push(Layer::Prompt(prompt));
            }
            Intent::Search => {
                let prompt = Prompt::new(Purpose::Search, "");
                model.layers.push(Layer::Prompt(prompt));
            }
            Intent::Narrow => {
                let text = model
                    .screens
                    .run
                    .log
                    .filter
                    .text
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                model
                    .layers
                    .push(Layer::Prompt(Prompt::new(Purpose::Narrow, &text)));
            }
            Intent::Fill { label, hint, text } => {
                let prompt = Prompt::new(Purpose::Fill { label, hint }, &text);
                model.layers.push(Layer::Prompt(prompt));
            }
            Intent::Say(sentence, tone) => model.say(sentence, tone),
            Intent::Leave(outcome) => {
                let alive = model.world.alive().count();
                if alive > 0 && !model.runs_outlive_us {
                    model.say(
                        "A run is going on, and would end with this screen: wait for it.",
                        Tone::Warn,
                    );
                } else {
                    model.outcome = outcome;
                    effects.push(Effect::Quit);
                }
            }
            Intent::Sheet { title, lines } => {
                model.layers.push(Layer::Sheet(Sheet::plain(title, lines)));
            }
        }
    }
    effects
}

/// Offers a recipe: the form when it has parameters, else the plan at once.
fn offer(
    model: &mut Model,
    recipe: &str,
    nodes: Vec<String>,
    service: Option<String>,
) -> Vec<Effect> {
    let Some(known) = model.world.recipe(recipe).cloned() else {
        model.say(format!("There is no recipe called {recipe}."), Tone::Warn);
        return Vec::new();
    };
    let mut params = BTreeMap::new();
    let has = |name: &str| known.params.iter().any(|param| param.name == name);
    if let Some(service) = service.filter(|_| has("service")) {
        params.insert("service".to_owned(), Value::String(service));
    }
    if let Some(node) = nodes.first().filter(|_| nodes.len() == 1 && has("node")) {
        params.insert("node".to_owned(), Value::String(node.clone()));
    }
    let request = PlanRequest {
        environment: model.world.environment.clone(),
        recipe: known.name.clone(),
        params,
        nodes,
        ..PlanRequest::default()
    };
    if known.params.is_empty() {
        return ask_plan(model, request);
    }
    model.layers.push(Layer::Form(Form::new(&known, request)));
    Vec::new()
}

/// Asks for a plan and shows the dialog, or lets the one that is open wait for the new answer.
fn ask_plan(model: &mut Model, request: PlanRequest) -> Vec<Effect> {
    model.ticket += 1;
    let mut dialog = PlanDialog::new(request.clone(), model.ticket);
    if let Some(Layer::Plan(open)) = model.layers.last() {
        dialog.chosen = open.chosen;
        model.layers.pop();
    }
    model.layers.push(Layer::Plan(Box::new(dialog)));
    vec![Effect::Plan {
        ticket: model.ticket,
        request: Request::Plan(request),
    }]
}

/// Plans what a run was started from once more. The run's plan has to be read first when it is not at hand.
fn again(model: &mut Model, run: RunId) -> Vec<Effect> {
    let screen = &model.screens.run;
    if let Some(plan) = screen.plan.as_ref().filter(|_| screen.id == Some(run)) {
        let mut request = plan.request.clone();
        if let Some(Origin::Resume { .. }) = request.origin {
            // The same recipe from its beginning, not the rest of an earlier run.
            request.origin = None;
            request.once.clear();
        }
        ask_plan(model, request)
    } else {
        model.say(
            "Open the run first: its plan is read then. R there plans it again.",
            Tone::Muted,
        );
        travel::go(model, Place::Run(run))
    }
}

/// Plans to take a run up, or back.
fn take_up(model: &mut Model, origin: Origin) -> Vec<Effect> {
    let Some(run) = model.world.run(origin.run()) else {
        return Vec::new();
    };
    let request = PlanRequest {
        environment: run.environment.clone(),
        recipe: run.recipe.clone(),
        origin: Some(origin),
        ..PlanRequest::default()
    };
    ask_plan(model, request)
}

/// Shows what a run asks, beside its plan; that has to be read first when it is not at hand.
fn decide(model: &mut Model, run: RunId) -> Vec<Effect> {
    let asked = model.world.waiting.iter().find(|one| one.run == run);
    let Some(asked) = asked.cloned() else {
        model.say("This run waits for nobody's approval.", Tone::Muted);
        return Vec::new();
    };
    let screen = &model.screens.run;
    let plan = screen
        .plan
        .clone()
        .filter(|plan| screen.id == Some(run) && plan.hash == asked.plan);
    let Some(plan) = plan else {
        let sentence = "Its plan is read first; P there approves or refuses.";
        model.say(sentence, Tone::Muted);
        return travel::go(model, Place::Run(run));
    };
    let dialog = ApprovalDialog::new(asked, plan);
    model.layers.push(Layer::Approval(Box::new(dialog)));
    Vec::new()
}

fn break_lock(model: &mut Model, name: &str) -> Vec<Effect> {
    let environment = model.world.environment.clone();
    if name.is_empty() {
        return Vec::new();
    }
    if name != environment {
        let sentence = format!("{name:?} was typed, not {environment:?}: the lock stays.");
        model.say(sentence, Tone::Warn);
        return Vec::new();
    }
    vec![Effect::Tell {
        what: format!("break the lock of {environment}"),
        request: Request::BreakLock {
            consent: Consent::Typed(environment.clone()),
            environment,
            force: false,
        },
    }]
}

fn question_cancel(model: &mut Model, run: RunId) {
    let Some(run) = model.world.run(run) else {
        return;
    };
    if run.state.is_final() {
        let sentence = format!("Run #{} has ended already: {}.", run.number, run.state);
        model.say(sentence, Tone::Muted);
        return;
    }
    let name = format!("Run #{} ({})", run.number, run.title);
    model
        .layers
        .push(Layer::Question(Question::cancel(run.id, &name)));
}

fn cancel(model: &mut Model, run: RunId) -> Effect {
    let number = model.world.run(run).map_or(0, |run| run.number);
    model.say(format!("Run #{number} was told to stop"), Tone::Warn);
    Effect::Tell {
        request: Request::Cancel { run },
        what: format!("cancel run #{number}"),
    }
}

fn prompted(model: &mut Model, purpose: Purpose, text: &str, done: bool) -> Vec<Effect> {
    let rows = model.rows();
    match purpose {
        Purpose::Filter => {
            if let Some(filter) = model.screens.at_mut(&model.place).filter() {
                *filter = super::super::filter::Filter::parse(text);
                if let Some(mistake) = filter.mistake.clone().filter(|_| done) {
                    model.say(
                        format!("{text:?} is {mistake}: everything is shown."),
                        Tone::Warn,
                    );
                }
            }
            Vec::new()
        }
        Purpose::BreakLock if done => break_lock(model, text.trim()),
        Purpose::Search => {
            let log = &mut model.screens.run.log;
            log.seek(text);
            if done {
                log.find(true, rows)
            } else {
                Vec::new()
            }
        }
        Purpose::Narrow if done => model.screens.run.log.narrow(text),
        Purpose::ConfirmShell | Purpose::NameShell if done => {
            super::terminals::consented(model, text.trim())
        }
        Purpose::IgnoreDrift(key) if done => ignore_drift(model, key, text),
        Purpose::Of(about, nodes) if done => super::about::told(model, about, nodes, text.trim()),
        Purpose::Fill { .. } if done => {
            let Model { screens, world, .. } = model;
            let intents = screens.wizard.fill(world, text.trim());
            carry_out(model, intents)
        }
        Purpose::Narrow
        | Purpose::Fill { .. }
        | Purpose::BreakLock
        | Purpose::ConfirmShell
        | Purpose::NameShell
        | Purpose::IgnoreDrift(_)
        | Purpose::Of(..) => Vec::new(),
    }
}

/// Has a rule written, once it is said for how long and why.
fn ignore_drift(model: &mut Model, key: String, text: &str) -> Vec<Effect> {
    match ignore::wish(text) {
        Ok((days, reason)) => vec![Effect::Tell {
            request: Request::IgnoreDrift {
                environment: model.world.environment.clone(),
                matches: key,
                reason,
                days,
            },
            what: "ignore it".into(),
        }],
        Err(mistake) => {
            model.say(format!("Not ignored: write {mistake}."), Tone::Warn);
            Vec::new()
        }
    }
}
