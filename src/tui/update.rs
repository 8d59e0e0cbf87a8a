//! What happens when something happens. Pure: changes the model and returns what is to be done.

mod about;
mod answers;
mod ceremonies;
mod connection;
mod questions;
mod terminals;
mod travel;
mod wishes;

use crossterm::event::{KeyEvent, KeyEventKind};

use super::describe;
use super::keymap::{self, Command};
use super::layers::Layer;
use super::layers::menu::Menu;
use super::layers::palette::Palette;
use super::layers::prompt::{About, Prompt, Purpose};
use super::layers::question::Question;
use super::layers::sheet::Sheet;
use super::message::{Effect, Message, Place};
use super::model::Model;
use super::screens::drift::Drift;
use super::screens::snapshots::Snapshots;
use super::screens::unseal::Unseal;
use super::screens::{Intent, Target};
use crate::client::conversation::Source;
use crate::client::{Event, Request};
use crate::domain::finding::Subject;
use crate::domain::run::RunState;
use crate::domain::table::Tone;

/// Takes in a message.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let mut effects = match message {
        Message::Key(key) if key.kind == KeyEventKind::Release => return Vec::new(),
        Message::Key(key) => press(model, key),
        Message::Paste(text) if model.types() => model.screens.terminals.paste(&text),
        Message::Paste(text) => match model.layers.last_mut() {
            Some(layer) => {
                let wished = layer.paste(&text);
                wishes::grant(model, wished)
            }
            None => Vec::new(),
        },
        Message::Wheel(rows) => wheel(model, rows),
        Message::Resize(width, height) => {
            model.world.size = (width, height);
            Vec::new()
        }
        Message::Tick(now) => {
            model.world.now = now;
            if model
                .notice
                .as_ref()
                .is_some_and(|notice| notice.until <= now)
            {
                model.notice = None;
            }
            Vec::new()
        }
        Message::Event(event) => happen(model, event),
        Message::Answer(answer) => answers::take(model, *answer),
        Message::Gone => {
            connection::gone(model);
            Vec::new()
        }
        Message::Leave => vec![Effect::Quit],
    };
    effects.extend(settle(model));
    effects
}

/// Keeps what follows something else in step with it.
fn settle(model: &mut Model) -> Vec<Effect> {
    let Model {
        world,
        screens,
        place,
        ..
    } = model;
    match place {
        Place::Bridge => screens.bridge.follow(world),
        Place::Terminals => screens.terminals.fit(world.size),
        Place::Node(name) if screens.node.name != *name => screens.node.open(name, world),
        Place::Run(id) if screens.run.id != Some(*id) => screens.run.open(*id, world),
        Place::Service(name) => {
            // A table is asked for when it is first shown; after that, whenever the service was polled.
            let never = screens.service.name != *name
                || screens
                    .service
                    .view(world)
                    .is_some_and(|view| world.table(name, view).is_none());
            if never {
                screens.service.open(name, world)
            } else {
                Vec::new()
            }
        }
        _ => Vec::new(),
    }
}

fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let name = keymap::name(key);
    let contexts = model.contexts();
    let typing = contexts.first().is_some_and(|context| context.types());
    let command = keymap::lookup(&contexts, &name);
    if !model.layers.is_empty() {
        if name == "ctrl-c" {
            return perform(model, Command::Quit);
        }
        let world = &model.world;
        let Some(layer) = model.layers.last_mut() else {
            return Vec::new();
        };
        let wished = match command {
            Some(command) => layer.update(world, command),
            None if typing => layer.edit(key),
            None => Vec::new(),
        };
        return wishes::grant(model, wished);
    }
    match command {
        Some(command) => perform(model, command),
        None if model.types() => model.screens.terminals.key(key),
        None => Vec::new(),
    }
}

fn wheel(model: &mut Model, rows: isize) -> Vec<Effect> {
    let command = if rows < 0 { Command::Up } else { Command::Down };
    let mut effects = Vec::new();
    for _ in 0..rows.unsigned_abs().min(10) {
        if let Some(layer) = model.layers.last_mut() {
            let wished = layer.update(&model.world, command);
            effects.extend(wishes::grant(model, wished));
        } else {
            effects.extend(perform(model, command));
        }
    }
    effects
}

/// Carries out a command that no layer took.
pub(super) fn perform(model: &mut Model, command: Command) -> Vec<Effect> {
    match command {
        Command::Quit => return quit(model),
        Command::Palette => {
            let palette = Palette::new(&model.world, &model.extra);
            model.layers.push(Layer::Palette(palette));
        }
        Command::Help => {
            let sheet = Sheet::help(&model.contexts());
            model.layers.push(Layer::Sheet(sheet));
        }
        Command::Actions => actions(model),
        Command::Raw => raw(model),
        Command::Copy => return copy(model),
        Command::FilterList => filter(model),
        Command::Back => return travel::back(model),
        Command::History => return travel::history(model),
        Command::Forward => return travel::forward(model),
        Command::LastView => {
            if let Some(place) = model.before.clone() {
                return travel::go(model, place);
            }
        }
        Command::Refresh => return refresh(model),
        Command::Shell => {
            let nodes = nodes(model);
            return terminals::shell(model, nodes);
        }
        Command::Journal => {
            let nodes = nodes(model);
            return about::follow(model, nodes, Source::Journal { units: Vec::new() });
        }
        Command::Units => return ask(model, About::Units),
        Command::File => return ask(model, About::File),
        Command::Answers => {
            if let Place::Run(id) = model.place {
                return vec![Effect::Answers(id)];
            }
        }
        Command::Exec => {
            let nodes = nodes(model);
            if nodes.is_empty() {
                model.say(
                    "There is no node under the cursor to run a command on.",
                    Tone::Muted,
                );
                return Vec::new();
            }
            let intent = Intent::Plan {
                recipe: "exec".into(),
                nodes,
                service: None,
            };
            return wishes::carry_out(model, vec![intent]);
        }
        Command::LetIn => return questions::let_in(model),
        Command::Suspend => return vec![Effect::Suspend],
        Command::Repaint => return vec![Effect::Repaint],
        Command::Describe if describes_by_text(model) => raw(model),
        Command::Logs if !has_log(model) => {
            if let Some(run) = model.world.latest_run() {
                let place = Place::Run(run.id);
                return travel::go(model, place);
            }
            model.say("Nothing has run yet: there is no log to show.", Tone::Muted);
        }
        command => {
            let rows = model.rows();
            let Model {
                screens,
                world,
                place,
                ..
            } = model;
            let intents = screens.at_mut(place).update(world, command, rows);
            return wishes::carry_out(model, intents);
        }
    }
    Vec::new()
}

/// Screens whose objects have no screen of their own: describing them shows their data.
fn describes_by_text(model: &Model) -> bool {
    matches!(
        model.place,
        Place::Node(_)
            | Place::Service(_)
            | Place::Run(_)
            | Place::Findings
            | Place::Recipes
            | Place::Environments
            | Place::Snapshots
            | Place::Drift
    )
}

/// Screens that know which run's log is meant.
fn has_log(model: &Model) -> bool {
    matches!(model.place, Place::Bridge | Place::Runs | Place::Run(_))
        || (matches!(model.place, Place::Node(_))
            && !model.screens.node.touching(&model.world).is_empty())
}

fn quit(model: &mut Model) -> Vec<Effect> {
    let terminals = model.screens.terminals.alive();
    let alive = model.world.alive().count();
    let asking = |layer: &Layer| matches!(layer, Layer::Question(question) if question.is_quit());
    let lost = if model.runs_outlive_us { 0 } else { alive };
    if lost == 0 && terminals == 0 {
        return vec![Effect::Quit];
    }
    if !model.layers.iter().any(asking) {
        let question = Question::quit(lost, terminals);
        model.layers.push(Layer::Question(question));
    }
    Vec::new()
}

/// Asks for something about the nodes under the cursor, or marked.
fn ask(model: &mut Model, about: About) -> Vec<Effect> {
    let nodes = nodes(model);
    if nodes.is_empty() {
        model.say("There is no node under the cursor.", Tone::Muted);
        return Vec::new();
    }
    wishes::carry_out(model, vec![Intent::Ask(about, nodes)])
}

/// The nodes under the cursor, or marked.
fn nodes(model: &Model) -> Vec<String> {
    match target(model) {
        Target::Nodes(names) => names,
        _ => Vec::new(),
    }
}

fn target(model: &Model) -> Target {
    model.screens.at(&model.place).target(&model.world)
}

fn actions(model: &mut Model) {
    match Menu::new(&model.world, &target(model)) {
        Some(menu) => model.layers.push(Layer::Menu(menu)),
        None => model.say("There is nothing under the cursor to act on.", Tone::Muted),
    }
}

fn raw(model: &mut Model) {
    match describe::raw(&model.world, &model.screens, &target(model)) {
        Some((title, text)) => {
            let sheet = Sheet::plain(title, text.lines().map(ToOwned::to_owned));
            model.layers.push(Layer::Sheet(sheet));
        }
        None => model.say("There is nothing under the cursor to show.", Tone::Muted),
    }
}

fn copy(model: &mut Model) -> Vec<Effect> {
    match describe::name(&model.world, &target(model)) {
        Some(name) => {
            model.say(format!("Copied {}", name.replace('\n', " ")), Tone::Good);
            vec![Effect::Copy(name)]
        }
        None => Vec::new(),
    }
}

fn filter(model: &mut Model) {
    match model.screens.at_mut(&model.place).filter() {
        Some(filter) => {
            let prompt = Prompt::new(Purpose::Filter, &filter.text);
            model.layers.push(Layer::Prompt(prompt));
        }
        None => model.say("There is no list to filter here.", Tone::Muted),
    }
}

fn refresh(model: &mut Model) -> Vec<Effect> {
    if model.place == Place::Wizard {
        let Model { screens, world, .. } = model;
        let mut effects = vec![Effect::Runs];
        effects.extend(screens.wizard.look_again());
        effects.extend(Unseal::fetch(world));
        return effects;
    }
    let environment = model.world.environment.clone();
    let (subject, name) = match target(model) {
        Target::Nodes(names) if names.len() == 1 && !matches!(model.place, Place::Bridge) => {
            (Subject::Node(names[0].clone()), names[0].clone())
        }
        Target::Service(name) | Target::Row(name, _, _)
            if !matches!(model.place, Place::Bridge) =>
        {
            (Subject::Service(name.clone()), name)
        }
        _ => (Subject::Environment, environment.clone()),
    };
    let mut effects = vec![Effect::Runs];
    if environment.is_empty() {
        effects.push(Effect::Workspace);
        effects.push(Effect::Live);
    } else {
        model.say(format!("Asking {name} again"), Tone::Muted);
        effects.push(Effect::Tell {
            request: Request::Refresh {
                environment,
                subject,
            },
            what: format!("ask {name} again"),
        });
    }
    if let Place::Run(id) = &model.place {
        effects.push(Effect::Run(*id));
    }
    let Model {
        screens,
        world,
        place,
        ..
    } = model;
    if matches!(place, Place::Service(_)) {
        effects.extend(screens.service.fetch(world));
    }
    effects
}

/// Takes in an event.
fn happen(model: &mut Model, event: Event) -> Vec<Effect> {
    let wanted = match &event {
        Event::Ceremony(news) => {
            let known = model
                .world
                .ceremonies
                .iter()
                .find(|one| one.run == news.run);
            known.map(|known| known.standing.wants)
        }
        _ => None,
    };
    model.world.apply(&event);
    let Model {
        screens,
        world,
        place,
        ..
    } = model;
    match event {
        Event::Service {
            environment, name, ..
        } => match place {
            Place::Service(shown) if *shown == name && environment == world.environment => {
                screens.service.fetch(world)
            }
            Place::Unseal | Place::Wizard if environment == world.environment => {
                Unseal::fetch(world)
            }
            _ => Vec::new(),
        },
        Event::Task { run, task } => {
            if screens.run.id == Some(run) {
                screens.run.see(*task);
            }
            Vec::new()
        }
        Event::Matrix { run, shown } => {
            if screens.run.id == Some(run) {
                screens.run.show(*shown);
            }
            Vec::new()
        }
        Event::Lines { run, total } => {
            let mut effects = Vec::new();
            if screens.bridge.dock.run == Some(run) && *place == Place::Bridge {
                effects.extend(screens.bridge.dock.grew(total));
            }
            if screens.run.log.run == Some(run) && *place == Place::Run(run) {
                effects.extend(screens.run.log.grew(total));
            }
            effects
        }
        Event::Connection(connection) => {
            connection::stands(model, connection);
            Vec::new()
        }
        Event::Missed(count) => connection::missed(model, count),
        Event::Question(question) => {
            questions::asked(model, *question);
            Vec::new()
        }
        Event::Settled { question } => {
            questions::settled(model, question);
            Vec::new()
        }
        Event::Drift { environment }
            if *place == Place::Drift && environment == world.environment =>
        {
            Drift::open(world)
        }
        Event::Snapshots if *place == Place::Snapshots => Snapshots::open(world),
        Event::Node { .. }
        | Event::Snapshots
        | Event::Drift { .. }
        | Event::Findings { .. }
        | Event::Lock { .. }
        | Event::Marks { .. }
        | Event::Schedule(_) => Vec::new(),
        Event::Ceremony(news) => ceremonies::moved(model, &news, wanted),
        Event::CeremonyOver { run } => ceremonies::over(model, run),
        Event::Run(run) => {
            let guided = model.back.last() == Some(&Place::Wizard);
            if run.state.is_final() && guided && *place == Place::Run(run.id) {
                let (tone, what) = match run.state {
                    RunState::Succeeded => (Tone::Good, "is done"),
                    _ => (Tone::Warn, "did not end well"),
                };
                let sentence = format!("{} {what}. Esc goes back to the first start.", run.title);
                model.say(sentence, tone);
                return Vec::new();
            }
            let asks = run.state == RunState::WaitingApproval;
            let asked = world.waiting.iter().any(|one| one.run == run.id);
            if asks || asked {
                vec![Effect::Approvals]
            } else {
                Vec::new()
            }
        }
    }
}
