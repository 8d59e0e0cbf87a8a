//! What is said about nodes in a prompt: why they are cordoned, their labels, which units or file of them is followed.

use super::super::layers::prompt::About;
use super::super::message::{Effect, Place};
use super::super::model::Model;
use super::travel;
use crate::client::Request;
use crate::client::conversation::Source;
use crate::domain::mark::MarkChange;
use crate::domain::table::Tone;

/// Does what was typed.
pub(super) fn told(model: &mut Model, about: About, nodes: Vec<String>, text: &str) -> Vec<Effect> {
    let change = match about {
        About::Cordon => MarkChange::Cordon {
            reason: text.into(),
        },
        About::Label | About::File if text.is_empty() => return Vec::new(),
        About::Label => match MarkChange::label(text) {
            Ok(change) => change,
            Err(mistake) => {
                model.say(format!("{mistake}: no label was changed."), Tone::Warn);
                return Vec::new();
            }
        },
        About::Units => {
            let units = text.split_whitespace().map(ToOwned::to_owned).collect();
            return follow(model, nodes, Source::Journal { units });
        }
        About::File => {
            return follow(model, nodes, Source::File { path: text.into() });
        }
    };
    nodes
        .into_iter()
        .map(|node| Effect::Tell {
            what: format!("{node}: {change}"),
            request: Request::Mark {
                environment: model.world.environment.clone(),
                node,
                change: change.clone(),
            },
        })
        .collect()
}

/// Follows `source` of the nodes, and shows it.
pub(super) fn follow(model: &mut Model, nodes: Vec<String>, source: Source) -> Vec<Effect> {
    if nodes.is_empty() {
        model.say("There is no node under the cursor to follow.", Tone::Muted);
        return Vec::new();
    }
    model.ticket += 1;
    let journal = &mut model.screens.journal;
    let mut effects = journal.open(model.ticket, &model.world, nodes, source);
    effects.extend(travel::go(model, Place::Journal));
    effects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::conversation::Opening;
    use crate::tui::sample;

    /// Two marked nodes, the menu opened on them, and the item with `text` chosen.
    fn chosen(text: &str) -> Model {
        let mut model = sample::model((100, 40));
        sample::press(&mut model, &[":", "n", "o", "d", "e", "s", "enter"]);
        sample::press(&mut model, &["N", "space", "space", "a"]);
        for _ in 0..60 {
            let picture = sample::draw(&model);
            let under_cursor = picture.lines().any(|line| {
                line.split_once('▌')
                    .is_some_and(|(_, item)| item.trim_start().starts_with(text))
            });
            if under_cursor {
                sample::press(&mut model, &["enter"]);
                return model;
            }
            sample::press(&mut model, &["down"]);
        }
        panic!("no item {text:?}:\n{}", sample::draw(&model));
    }

    fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
        sample::type_text(model, text);
        sample::press(model, &["enter"])
    }

    fn changes(effects: Vec<Effect>) -> Vec<(String, MarkChange)> {
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Tell {
                    request: Request::Mark { node, change, .. },
                    ..
                } => Some((node, change)),
                _ => None,
            })
            .collect()
    }

    fn followed(effects: &[Effect]) -> Option<Source> {
        effects.iter().find_map(|effect| match effect {
            Effect::Talk {
                opening: Opening::Follow(opening),
                ..
            } => Some(opening.source.clone()),
            _ => None,
        })
    }

    #[test]
    fn all_marked_nodes_are_cordoned_for_the_reason_that_was_typed() {
        let mut model = chosen("Cordon 2 nodes");
        let told = changes(typed(&mut model, "disk is failing"));
        let reason = "disk is failing".to_owned();
        let change = MarkChange::Cordon { reason };
        assert_eq!(told, [("c5".into(), change.clone()), ("h4".into(), change)]);
    }

    #[test]
    fn who_thinks_better_of_a_cordon_cordons_nothing() {
        let mut model = chosen("Cordon 2 nodes");
        sample::type_text(&mut model, "disk");
        assert!(changes(sample::press(&mut model, &["esc"])).is_empty());
        assert!(model.layers.is_empty());
    }

    #[test]
    fn a_label_that_is_none_is_told_and_changes_nothing() {
        let mut model = chosen("Label");
        sample::type_text(&mut model, "zone");
        let picture = sample::draw(&model);
        assert!(picture.contains("is not NAME=VALUE"), "{picture}");
        assert!(changes(sample::press(&mut model, &["enter"])).is_empty());

        let told = changes(typed(&mut chosen("Label"), "zone=attic"));
        let label = MarkChange::label("zone=attic").unwrap();
        assert_eq!(told, [("c5".into(), label.clone()), ("h4".into(), label)]);
    }

    #[test]
    fn units_and_files_are_followed_and_can_be_changed_on_the_way() {
        let mut model = chosen("Follow units");
        let effects = typed(&mut model, "ssh.service cron");
        let units = vec!["ssh.service".into(), "cron".into()];
        assert_eq!(followed(&effects), Some(Source::Journal { units }));
        assert!(sample::draw(&model).contains("Journal of ssh.service cron on c5,h4"));

        sample::press(&mut model, &["f"]);
        let effects = typed(&mut model, "/var/log/dpkg.log");
        let path = "/var/log/dpkg.log".to_owned();
        assert_eq!(followed(&effects), Some(Source::File { path }));
        assert!(
            effects
                .iter()
                .any(|effect| matches!(effect, Effect::HangUp { .. })),
            "what was followed before ends: {effects:?}"
        );
    }
}
