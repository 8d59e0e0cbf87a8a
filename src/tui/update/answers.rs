//! Taking in the answers to effects.

use super::super::layers::Layer;
use super::super::layers::sheet::Sheet;
use super::super::message::{Answer, Effect, LogOwner, Place};
use super::super::model::Model;
use super::super::world::Known;
use crate::domain::table::Tone;

pub(super) fn take(model: &mut Model, answer: Answer) -> Vec<Effect> {
    match answer {
        Answer::Workspace(Ok(workspace)) => super::connection::learn(model, workspace),
        // One that is known already stays: a connection that is lost is told by itself.
        Answer::Workspace(Err(refusal)) if model.world.workspace().is_none() => {
            model.world.workspace = Known::Failed(refusal.message);
        }
        Answer::Workspace(Err(_)) => {}
        Answer::Live(Ok(live)) => {
            let environments = live.keys().cloned();
            let asks = environments.map(|environment| Effect::History { environment });
            let asks = asks.collect();
            model.world.see(live);
            return asks;
        }
        Answer::History {
            environment,
            result: Ok(history),
        } => model.world.remember(&environment, history),
        Answer::Schedules(Ok(schedules)) => model.world.schedules = schedules,
        Answer::Snapshots {
            environment,
            result,
        } => {
            let known = match result {
                Ok(snapshots) => Known::Ready(snapshots),
                Err(refusal) => Known::Failed(refusal.message),
            };
            model.world.shelf = (environment, known);
        }
        Answer::Drift {
            environment,
            result,
        } => {
            let known = match result {
                Ok(board) => Known::Ready(board),
                Err(refusal) => Known::Failed(refusal.message),
            };
            model.world.drift = (environment, known);
        }
        Answer::Plan { ticket, result } => {
            // Not the topmost only: something may have come to lie above it meanwhile.
            let dialog = model.layers.iter_mut().find_map(|layer| match layer {
                Layer::Plan(dialog) if dialog.ticket == ticket => Some(dialog),
                _ => None,
            });
            if let Some(dialog) = dialog {
                dialog.answer(result.map_err(|refusal| refusal.message));
            }
        }
        Answer::Started(Ok(run)) => {
            let id = run.id;
            model.say(format!("Run #{} has begun", run.number), Tone::Good);
            model.started.push(id);
            if model.world.run(id).is_none() {
                model.world.upsert(*run);
            }
            // Where shares are given, there is more to see than in the log.
            let place = match model.world.run(id).map(|run| run.recipe.as_str()) {
                Some("unseal" | "vault-init" | "vault-rekey") => Place::Unseal,
                _ => Place::Run(id),
            };
            return super::travel::go(model, place);
        }
        Answer::Live(Err(refusal))
        | Answer::History {
            result: Err(refusal),
            ..
        }
        | Answer::Schedules(Err(refusal))
        | Answer::Ceremonies(Err(refusal))
        | Answer::Questions(Err(refusal))
        | Answer::Approvals(Err(refusal))
        | Answer::Started(Err(refusal)) => {
            model.say(refusal.message, Tone::Bad);
        }
        Answer::Told { what, result } => {
            if let Err(refusal) = result {
                model.say(format!("Could not {what}: {}", refusal.message), Tone::Bad);
            }
        }
        Answer::Table { key, result } => {
            let now = model.world.now;
            let fetched = model.world.tables.entry(key).or_default();
            fetched.asked = false;
            match result {
                Ok(table) => {
                    fetched.table = Some(table);
                    fetched.as_of = Some(now);
                    fetched.trouble = None;
                }
                Err(refusal) => fetched.trouble = Some(refusal.message),
            }
        }
        Answer::Seals {
            environment,
            result,
        } => {
            let now = model.world.now;
            let fetched = model.world.seals.entry(environment).or_default();
            fetched.asked = false;
            match result {
                Ok(boards) => {
                    fetched.table = Some(boards);
                    fetched.as_of = Some(now);
                    fetched.trouble = None;
                }
                Err(refusal) => fetched.trouble = Some(refusal.message),
            }
        }
        Answer::Ceremonies(Ok(held)) => super::connection::ceremonies(model, held),
        Answer::Spoken { run, result } => super::ceremonies::heard(model, run, result),
        Answer::Approvals(Ok(waiting)) => super::connection::approvals(model, waiting),
        Answer::Questions(Ok(questions)) => {
            super::questions::only(model, &questions);
            for question in questions.into_iter().rev() {
                super::questions::asked(model, question);
            }
        }
        Answer::Runs(Ok(runs)) => model.world.read_runs(runs),
        Answer::Runs(Err(reason)) => model.world.runs_read = Known::Failed(reason),
        Answer::Run(Ok(Some(record))) => {
            if model.world.run(record.run.id).is_none() {
                model.world.upsert(record.run.clone());
            }
            let (id, lines) = (record.run.id, record.run.lines);
            model.screens.run.take(*record);
            if model.screens.run.id == Some(id) {
                return model.screens.run.log.grew(lines);
            }
        }
        Answer::Run(Ok(None)) => {
            if let Place::Run(id) = &model.place {
                let sentence = format!("The store has no run {id}.");
                model.screens.run.trouble = Some(sentence);
            }
        }
        Answer::Run(Err(reason)) => model.screens.run.trouble = Some(reason),
        Answer::NodeRuns {
            environment,
            node,
            result,
        } => {
            if model.world.environment == environment && model.screens.node.name == node {
                model.screens.node.runs = match result {
                    Ok(runs) => Known::Ready(runs),
                    Err(reason) => Known::Failed(reason),
                };
            }
        }
        Answer::Lines { query, result } => {
            let rows = model.rows();
            let log = match query.owner {
                LogOwner::Dock => &mut model.screens.bridge.dock,
                LogOwner::Run => &mut model.screens.run.log,
            };
            return log.take(&query, result, rows);
        }
        Answer::Answers(Ok(lines)) => {
            let title = "Answers, grouped; differences to the first".to_owned();
            model.layers.push(Layer::Sheet(Sheet::plain(title, lines)));
        }
        Answer::Heard { id, down } => return super::terminals::hear(model, id, down),
        Answer::Bootstrap(worked) => {
            let Model { screens, world, .. } = model;
            let intents = screens.wizard.take(world, *worked);
            return super::wishes::carry_out(model, intents);
        }
        Answer::Extra {
            name,
            result: Ok(text),
        } => {
            // A list is there to be read, not to be caught in passing.
            if text.trim().lines().nth(1).is_some() {
                let sheet = Sheet::told(name, &text, &model.world);
                model.layers.push(Layer::Sheet(sheet));
            } else {
                model.say(text, Tone::Good);
            }
        }
        Answer::Answers(Err(reason))
        | Answer::Trouble(reason)
        | Answer::Extra {
            result: Err(reason),
            ..
        } => model.say(reason, Tone::Bad),
    }
    Vec::new()
}
