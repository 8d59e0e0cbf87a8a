//! Ceremonies: told when they want something, typed into when they want shares, closed when they are over.

use super::super::layers::Layer;
use super::super::layers::keys::KeysDialog;
use super::super::layers::share::ShareDialog;
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::super::screens::unseal::Unseal;
use crate::client::Refusal;
use crate::domain::run::RunId;
use crate::domain::seal::{Ceremony, NewKeys, Wants};
use crate::domain::table::Tone;

/// A ceremony was opened or moved on; `before` is what it wanted until now.
pub(super) fn moved(model: &mut Model, news: &Ceremony, before: Option<Wants>) -> Vec<Effect> {
    let wants = news.standing.wants;
    if before == Some(wants) {
        return Vec::new();
    }
    if wants != Wants::Share {
        close(model, news.run);
    }
    let what = match wants {
        Wants::Share => "wants shares",
        Wants::Taker => "wants somebody to take its new keys",
        Wants::Kept | Wants::Nothing => return Vec::new(),
    };
    if model.place != Place::Unseal {
        let sentence = format!("{} in {} {what}: :unseal", news.service, news.environment);
        model.say(sentence, Tone::Warn);
    }
    Vec::new()
}

/// A ceremony is over: what it was about is looked at anew.
pub(super) fn over(model: &mut Model, run: RunId) -> Vec<Effect> {
    close(model, run);
    if model.place == Place::Unseal {
        return Unseal::fetch(&mut model.world);
    }
    Vec::new()
}

fn close(model: &mut Model, run: RunId) {
    model
        .layers
        .retain(|layer| !matches!(layer, Layer::Share(dialog) if dialog.run() == run));
}

/// Opens the dialog for a share.
pub(super) fn give(model: &mut Model, run: RunId) {
    model.layers.push(Layer::Share(ShareDialog::new(run)));
}

/// What became of a word.
pub(super) fn heard(model: &mut Model, run: RunId, result: Result<Option<NewKeys>, Refusal>) {
    let dialog = model.layers.iter_mut().find_map(|layer| match layer {
        Layer::Share(dialog) if dialog.run() == run => Some(dialog),
        _ => None,
    });
    match (result, dialog) {
        (Ok(Some(keys)), _) => {
            let dialog = KeysDialog::new(run, keys);
            model.layers.push(Layer::Keys(Box::new(dialog)));
        }
        (Ok(None), Some(dialog)) => dialog.heard(None),
        (Ok(None), None) => {}
        (Err(refusal), Some(dialog)) => dialog.heard(Some(refusal.message)),
        (Err(refusal), None) => model.say(refusal.message, Tone::Bad),
    }
}
