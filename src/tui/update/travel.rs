//! Going from place to place, and back.

use super::super::filter::Filter;
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::super::screens::drift::Drift;
use super::super::screens::snapshots::Snapshots;
use super::super::screens::unseal::Unseal;
use crate::domain::table::Tone;

/// Places remembered for going back.
const HISTORY: usize = 64;

/// One level back: the zoom, the filter, the marks, then the place.
pub(super) fn back(model: &mut Model) -> Vec<Effect> {
    if model
        .notice
        .take()
        .is_some_and(|notice| notice.tone == Tone::Bad)
    {
        return Vec::new();
    }
    match &model.place {
        Place::Bridge if model.screens.bridge.zoomed => {
            model.screens.bridge.zoomed = false;
            return Vec::new();
        }
        Place::Run(_) if model.screens.run.zoomed => {
            model.screens.run.zoomed = false;
            return Vec::new();
        }
        Place::Wizard if model.screens.wizard.back() => return Vec::new(),
        _ => {}
    }
    let filter = model.screens.at_mut(&model.place).filter();
    if let Some(filter) = filter.filter(|filter| !filter.is_empty()) {
        *filter = Filter::default();
        return Vec::new();
    }
    history(model)
}

/// To the place before, else to the Bridge.
pub(super) fn history(model: &mut Model) -> Vec<Effect> {
    let parent = match &model.place {
        Place::Bridge => None,
        _ => Some(Place::Bridge),
    };
    let Some(place) = model.back.pop().or(parent) else {
        return Vec::new();
    };
    let left = std::mem::replace(&mut model.place, place);
    model.before = Some(left.clone());
    model.forward.push(left);
    arrive(model)
}

/// To the place one came back from.
pub(super) fn forward(model: &mut Model) -> Vec<Effect> {
    let Some(place) = model.forward.pop() else {
        return Vec::new();
    };
    let left = std::mem::replace(&mut model.place, place);
    model.before = Some(left.clone());
    model.back.push(left);
    arrive(model)
}

/// Goes to a place and remembers where one was.
pub(super) fn go(model: &mut Model, place: Place) -> Vec<Effect> {
    if model.place != place {
        let left = std::mem::replace(&mut model.place, place);
        model.before = Some(left.clone());
        model.back.push(left);
        if model.back.len() > HISTORY {
            model.back.remove(0);
        }
        model.forward.clear();
    }
    arrive(model)
}

/// What a place needs to know when one comes there.
pub(super) fn arrive(model: &mut Model) -> Vec<Effect> {
    let Model {
        screens,
        world,
        place,
        ..
    } = model;
    match place {
        Place::Node(name) => screens.node.open(name, world),
        Place::Service(name) => screens.service.open(name, world),
        Place::Run(id) => screens.run.open(*id, world),
        Place::Unseal => Unseal::fetch(world),
        Place::Snapshots => Snapshots::open(world),
        Place::Drift => Drift::open(world),
        Place::Wizard => {
            let mut effects = screens.wizard.arrive();
            effects.extend(Unseal::fetch(world));
            effects
        }
        _ => Vec::new(),
    }
}

/// What is marked is marked in the environment that one leaves.
pub(super) fn forget_marks(model: &mut Model) {
    model.screens.nodes.list.cursor.marked.clear();
    model.screens.bridge.nodes.cursor.marked.clear();
}

/// Screens whose cursor is the environment's own follow a switch of it.
pub(super) fn switch(model: &mut Model, name: &str) -> Vec<Effect> {
    if model.world.environment == name || model.world.environment(name).is_none() {
        return Vec::new();
    }
    name.clone_into(&mut model.world.environment);
    model.screens.bridge.environments.cursor.select(name);
    forget_marks(model);
    // What is open may not exist over there.
    match &model.place {
        Place::Node(_) => go(model, Place::Nodes),
        Place::Service(_) => go(model, Place::Services),
        Place::Unseal | Place::Snapshots | Place::Drift => arrive(model),
        _ => Vec::new(),
    }
}
