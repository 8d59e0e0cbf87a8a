//! Questions of the engine: shown when they come, taken away when they are settled.

use super::super::layers::Layer;
use super::super::layers::asked::Asked;
use super::super::message::Effect;
use super::super::model::Model;
use super::super::screens::Target;
use crate::client::Request;
use crate::domain::question::OpenQuestion;
use crate::domain::table::Tone;

/// Shows a question. Somebody in the middle of something else is not interrupted: it comes to light below that.
pub(super) fn asked(model: &mut Model, question: OpenQuestion) {
    let known = |layer: &Layer| matches!(layer, Layer::Asked(asked) if asked.id() == question.id);
    if model.layers.iter().any(known) {
        return;
    }
    if !model.layers.is_empty() {
        let host = question.question.host.clone();
        model.say(
            format!("{host} waits for an answer, below this"),
            Tone::Warn,
        );
    }
    // The first that was asked is on top.
    model.layers.insert(0, Layer::Asked(Asked::new(question)));
}

/// Takes a question away.
pub(super) fn settled(model: &mut Model, id: u64) {
    model
        .layers
        .retain(|layer| !matches!(layer, Layer::Asked(asked) if asked.id() == id));
}

/// Takes away what is not among those that are asked.
pub(super) fn only(model: &mut Model, asked: &[OpenQuestion]) {
    model.layers.retain(|layer| match layer {
        Layer::Asked(dialog) => asked.iter().any(|one| one.id == dialog.id()),
        _ => true,
    });
}

/// Takes all away: the engine that asked is gone, and whatever is typed now would go to nobody.
pub(super) fn void(model: &mut Model) {
    only(model, &[]);
}

/// Connects to the nodes that are meant, on our behalf.
pub(super) fn let_in(model: &mut Model) -> Vec<Effect> {
    let Target::Nodes(nodes) = super::target(model) else {
        model.say("There is no node under the cursor.", Tone::Muted);
        return Vec::new();
    };
    let environment = model.world.environment.clone();
    model.say(format!("Connecting to {}", nodes.join(", ")), Tone::Muted);
    let tell = |node: String| Effect::Tell {
        what: format!("connect to {node}"),
        request: Request::LetIn {
            environment: environment.clone(),
            node,
            wait: false,
        },
    };
    nodes.into_iter().map(tell).collect()
}
