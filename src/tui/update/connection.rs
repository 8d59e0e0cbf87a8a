//! The engine goes, another one comes: what is open must stay true, and no key may do what it was not pressed for.
//!
//! What the engine before held open, it took with it: its questions, and the plans that it showed. What the new one has read
//! may be another workspace.

use super::super::layers::Layer;
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::{questions, travel};
use crate::client::{Connection, Request, Workspace};
use crate::domain::approval::Waiting;
use crate::domain::seal::Ceremony;
use crate::domain::table::Tone;

/// The connection stands so now.
pub(super) fn stands(model: &mut Model, connection: Connection) {
    let (reason, sentence, tone) = match connection {
        Connection::Made => {
            // What follows says what became of it.
            model.world.lost = None;
            return;
        }
        Connection::Lost(reason) => {
            let sentence = format!("No engine: {reason}");
            (reason, sentence, Tone::Bad)
        }
        Connection::Replaced(reason) => {
            let sentence = format!("{reason}: waiting for the new one");
            (reason, sentence, Tone::Accent)
        }
        Connection::Stopped(reason) => {
            let sentence = format!(
                "{reason}. Nothing here is updated until one is started: `:restart engine` here, or `quarterdeck engine start`"
            );
            (reason, sentence, Tone::Warn)
        }
    };
    model.world.lost = Some(reason);
    model.say(sentence, tone);
    questions::void(model);
}

/// There will be no engine any more.
pub(super) fn gone(model: &mut Model) {
    let reason = model
        .world
        .lost
        .get_or_insert_with(|| "The engine has ended".into());
    let sentence = format!("{reason}. Nothing here is updated any more: q leaves.");
    model.say(sentence, Tone::Bad);
}

/// Events were missed: all of them, when there is another engine.
pub(super) fn missed(model: &mut Model, count: u64) -> Vec<Effect> {
    let mut effects = vec![
        Effect::Live,
        Effect::Approvals,
        Effect::Runs,
        Effect::Schedules,
        Effect::Ceremonies,
    ];
    effects.extend(model.screens.run.id.map(Effect::Run));
    if matches!(
        model.place,
        Place::Node(_) | Place::Service(_) | Place::Unseal | Place::Snapshots | Place::Drift
    ) {
        effects.extend(travel::arrive(model));
    }
    // Questions may have been settled, and asked, in what was missed.
    effects.push(Effect::Attend);
    if count > 0 {
        let sentence = format!("{count} events were missed: everything is read anew.");
        model.say(sentence, Tone::Warn);
        return effects;
    }
    // A connection to another engine: what the one before told is not missed, but gone, and the workspace may have been edited
    // since that one read it.
    effects.push(Effect::Workspace);
    let plans = plan_anew(model);
    let sentence = if plans.is_empty() {
        "A new engine is there: everything was read anew."
    } else {
        "A new engine is there: this was planned anew. Read it again."
    };
    effects.extend(plans);
    model.say(sentence, Tone::Good);
    effects
}

/// A plan is started by the engine that made it, and by no other.
fn plan_anew(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    for layer in &mut model.layers {
        if let Layer::Plan(dialog) = layer {
            model.ticket += 1;
            dialog.anew(model.ticket);
            effects.push(Effect::Plan {
                ticket: model.ticket,
                request: Request::Plan(dialog.request.clone()),
            });
        }
    }
    effects
}

/// The workspace came. Where it has not got the environment that one was in, one is brought out of there in plain sight: what
/// was open was meant for that one, and the next key must not go to another.
pub(super) fn learn(model: &mut Model, workspace: Workspace) {
    let before = model.world.environment.clone();
    model.world.learn(workspace);
    if before.is_empty() || before == model.world.environment || model.place == Place::Wizard {
        return;
    }
    model.layers.retain(|layer| {
        !matches!(
            layer,
            Layer::Palette(_) | Layer::Prompt(_) | Layer::Menu(_) | Layer::Form(_)
        )
    });
    model.screens.terminals.wanted.clear();
    travel::forget_marks(model);
    // Whatever has this name in another environment is something else.
    let elsewhere = |place: &Place| matches!(place, Place::Node(_) | Place::Service(_));
    model.back.retain(|place| !elsewhere(place));
    model.forward.retain(|place| !elsewhere(place));
    model.before = model.before.take().filter(|place| !elsewhere(place));
    let indifferent = matches!(
        model.place,
        Place::Run(_) | Place::Runs | Place::Terminals | Place::Journal
    );
    if !indifferent {
        model.place = Place::Environments;
    }
    let now = match model.world.environment.as_str() {
        "" => "there is none at all".to_owned(),
        now => format!("this is {now}"),
    };
    let sentence = format!("The workspace has no environment {before} any more: {now}.");
    model.say(sentence, Tone::Bad);
}

/// Which runs ask for approvals: a dialog about another one has nothing left to decide.
pub(super) fn approvals(model: &mut Model, waiting: Vec<Waiting>) {
    let new = waiting.iter().find(|one| {
        let known = |known: &Waiting| (known.run, &known.step) == (one.run, &one.step);
        !model.world.waiting.iter().any(known)
    });
    let mut sentence = new.map(|one| {
        format!(
            "Run #{} in {} waits for an approval; P there shows it",
            one.number, one.environment
        )
    });
    model.layers.retain(|layer| match layer {
        Layer::Approval(dialog) if !waiting.contains(dialog.asked()) => {
            let number = dialog.asked().number;
            sentence = Some(format!("Run #{number} does not ask for this any more."));
            false
        }
        _ => true,
    });
    model.world.waiting = waiting;
    if let Some(sentence) = sentence {
        model.say(sentence, Tone::Warn);
    }
}

/// Which ceremonies are held: a share for another one has nobody to take it.
pub(super) fn ceremonies(model: &mut Model, held: Vec<Ceremony>) {
    let wants = |layer: &Layer| match layer {
        Layer::Share(dialog) => held.iter().any(|one| one.run == dialog.run()),
        _ => true,
    };
    if !model.layers.iter().all(wants) {
        model.layers.retain(wants);
        let sentence = "Nobody waits for this share any more: the run that did has ended.";
        model.say(sentence, Tone::Warn);
    }
    model.world.ceremonies = held;
}
