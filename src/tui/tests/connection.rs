//! The engine goes and another one comes, while something is open.

use super::super::layers::Layer;
use super::super::layers::prompt::{About, Prompt, Purpose};
use super::super::model::Model;
use super::{asked, secret_prompt, waiting};
use crate::client::{Connection, Event, Request};
use crate::tui::{Answer, Effect, Message, Place, sample, update};

const SIZE: (u16, u16) = (80, 24);

fn connection(model: &mut Model, connection: Connection) {
    sample::feed(model, Event::Connection(connection));
}

fn answer(model: &mut Model, answer: Answer) {
    update(model, Message::Answer(Box::new(answer)));
}

/// Time goes by until nothing that was said is there any more.
fn later(model: &mut Model) {
    let later = model.world.now + jiff::SignedDuration::from_secs(60);
    update(model, Message::Tick(later));
}

fn starts(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Start { .. }))
}

#[test]
fn that_there_is_no_engine_is_seen_as_long_as_there_is_none() {
    let who = || "ada@bastion".to_owned();
    for news in [
        Connection::Lost("the connection was closed".into()),
        Connection::Replaced(format!("{} restarted the engine", who())),
        Connection::Stopped(format!("{} stopped the engine", who())),
    ] {
        let mut model = sample::model(SIZE);
        connection(&mut model, news.clone());
        let drawn = sample::draw(&model);
        let calm = !drawn.contains("No engine:");
        assert_eq!(calm, !matches!(news, Connection::Lost(_)), "{drawn}");
        assert_eq!(
            drawn.contains(":restart engine"),
            matches!(news, Connection::Stopped(_)),
            "{drawn}"
        );
        later(&mut model);
        assert!(sample::draw(&model).contains("NO ENGINE"), "{news:?}");
        connection(&mut model, Connection::Made);
        sample::feed(&mut model, Event::Missed(0));
        assert!(!sample::draw(&model).contains("NO ENGINE"), "{news:?}");
    }
}

#[test]
fn what_was_well_when_the_engine_went_is_not_said_to_be_well() {
    let mut model = sample::model(SIZE);
    let (environment, findings) = (model.world.environment.clone(), Vec::new());
    sample::feed(
        &mut model,
        Event::Findings {
            environment,
            findings,
        },
    );
    model.place = Place::Findings;
    let wrong = "Nothing wrong that Quarterdeck can see";
    let said = |model: &Model| {
        sample::draw(model)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(
        said(&model).contains(&format!("✓ {wrong}")),
        "{}",
        said(&model)
    );
    connection(
        &mut model,
        Connection::Lost("the connection was closed".into()),
    );
    later(&mut model);
    let drawn = said(&model);
    assert!(
        drawn.contains(&format!("When the engine went: {wrong}")),
        "{drawn}"
    );
    assert!(!drawn.contains(&format!("✓ {wrong}")), "{drawn}");
}

#[test]
fn what_ends_the_connection_for_good_is_told_and_not_only_that_it_has_ended() {
    let mut model = sample::model((120, 40));
    let reason = "the engine is Quarterdeck 9.0.0 and speaks protocol 99";
    connection(&mut model, Connection::Lost(reason.into()));
    update(&mut model, Message::Gone);
    let drawn = sample::draw(&model);
    assert!(drawn.contains("speaks protocol 99"), "{drawn}");
    assert!(drawn.contains("updated any more"), "{drawn}");
    later(&mut model);
    assert!(sample::draw(&model).contains("NO ENGINE"));
}

#[test]
fn what_was_typed_for_a_question_of_an_engine_that_is_gone_answers_nothing() {
    let mut model = sample::model(SIZE);
    update(&mut model, asked(secret_prompt(), 7));
    sample::press(&mut model, &["h", "u", "q"]);
    connection(&mut model, Connection::Lost("it was killed".into()));
    assert!(model.layers.is_empty());
    assert!(sample::press(&mut model, &["enter"]).iter().all(|effect| {
        !matches!(
            effect,
            Effect::Tell {
                request: Request::Answer { .. },
                ..
            }
        )
    }));

    // Its end may also have been among what was missed.
    let mut model = sample::model(SIZE);
    update(&mut model, asked(secret_prompt(), 7));
    let effects = update(&mut model, Message::Event(Event::Missed(3)));
    assert!(effects.contains(&Effect::Attend), "{effects:?}");
    answer(&mut model, Answer::Questions(Ok(Vec::new())));
    assert!(model.layers.is_empty());
}

#[test]
fn a_plan_is_made_anew_with_the_engine_and_a_key_meant_for_the_old_one_starts_nothing() {
    // Where nothing stands before it, and where the name was about to be entered.
    let open: &[&str] = &["a", "enter", "ctrl-s"];
    let typed: &[&str] = &["1", "down", "down", "2", "a", "enter", "ctrl-s"];
    for (keys, name) in [(open, ""), (typed, "production")] {
        let mut model = sample::model(SIZE);
        sample::press(&mut model, keys);
        sample::type_text(&mut model, name);
        let effects = update(&mut model, Message::Event(Event::Missed(0)));
        let plans = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Plan { .. }));
        assert_eq!(plans.count(), 1, "{effects:?}");
        sample::settle(&mut model, effects);
        let drawn = sample::draw(&model);
        assert!(drawn.contains("planned anew"), "{drawn}");
        assert!(drawn.contains("Plan: "), "{drawn}");
        let effects = sample::press(&mut model, &["enter"]);
        assert!(!starts(&effects), "{effects:?}");
        assert!(sample::draw(&model).contains("Not started"));
    }
    // Whoever has read it again can start it.
    let mut model = sample::model(SIZE);
    sample::press(&mut model, open);
    sample::feed(&mut model, Event::Missed(0));
    assert!(starts(&sample::press(&mut model, &["tab", "enter"])));
}

#[test]
fn nothing_goes_to_another_environment_when_the_one_that_was_meant_has_gone() {
    let without = |name: &str| {
        let mut workspace = sample::workspace();
        workspace.environments.retain(|known| known.name != name);
        Answer::Workspace(Ok(workspace))
    };
    let mut model = sample::model(SIZE);
    sample::press(&mut model, &["enter"]);
    assert!(matches!(model.place(), Place::Node(_)));
    let purpose = Purpose::Of(About::Cordon, vec!["pc1".into()]);
    model.layers.push(Layer::Prompt(Prompt::new(purpose, "")));
    sample::type_text(&mut model, "its disk fails");
    answer(&mut model, without("lab"));
    let drawn = sample::draw(&model);
    assert!(drawn.contains("no environment lab any more"), "{drawn}");
    assert!(drawn.contains("this is staging"), "{drawn}");
    assert_eq!(*model.place(), Place::Environments);
    let effects = sample::press(&mut model, &["enter"]);
    let tells = |effect: &Effect| matches!(effect, Effect::Tell { .. });
    assert!(!effects.iter().any(tells), "{effects:?}");
    // Nor does the way back lead to a node of the same name.
    sample::press(&mut model, &["["]);
    assert!(!matches!(model.place(), Place::Node(_)));

    // One that is not looked at may go without a word.
    let mut model = sample::model(SIZE);
    sample::press(&mut model, &["enter"]);
    answer(&mut model, without("staging"));
    assert!(matches!(model.place(), Place::Node(_)));
    assert!(!sample::draw(&model).contains("any more"));
}

#[test]
fn an_approval_that_others_have_decided_is_not_offered_any_more() {
    let mut model = waiting(SIZE);
    sample::press(&mut model, &["P"]);
    let still = model.world.waiting.clone();
    answer(&mut model, Answer::Approvals(Ok(still)));
    assert!(matches!(model.layers.last(), Some(Layer::Approval(_))));
    answer(&mut model, Answer::Approvals(Ok(Vec::new())));
    assert!(model.layers.is_empty());
    assert!(sample::draw(&model).contains("Run #13 does not ask for this any more"));
}

#[test]
fn runs_that_were_removed_go_from_the_list_and_those_that_have_just_begun_stay() {
    let mut model = sample::model(SIZE);
    let before = model.world.runs.len();
    let removed = model
        .world
        .runs
        .iter()
        .rfind(|run| run.state.is_final())
        .unwrap()
        .id;
    let mut kept = model.world.runs.clone();
    kept.retain(|run| run.id != removed);
    // Begun and ended since the store was read.
    let newest = crate::domain::run::Run {
        id: sample::run_id(99),
        number: 99,
        ..sample::run(12, crate::domain::run::RunState::Failed)
    };
    sample::feed(&mut model, Event::Run(Box::new(newest.clone())));
    answer(&mut model, Answer::Runs(Ok(kept)));
    assert!(model.world.run(removed).is_none());
    assert!(model.world.run(newest.id).is_some());
    assert_eq!(model.world.runs.len(), before);
}

#[test]
fn what_is_looked_at_is_asked_for_again_with_another_engine() {
    for (keys, wanted) in [
        (":snapshots", "Snapshots"),
        (":drift", "Drift"),
        (":unseal", "Seals"),
    ] {
        let mut model = sample::model(SIZE);
        sample::type_text(&mut model, keys);
        sample::press(&mut model, &["enter"]);
        let effects = update(&mut model, Message::Event(Event::Missed(0)));
        let named = |effect: &Effect| format!("{effect:?}").starts_with(wanted);
        assert!(effects.iter().any(named), "{keys}: {effects:?}");
    }
}
