//! The hints below a dialog: each of them names a key that does something as the dialog stands.

use super::{asked, secret_prompt, taken_up, waiting};
use crate::client::{Refusal, Request};
use crate::domain::action::Gate;
use crate::tui::model::Model;
use crate::tui::{Answer, Effect, Message, Place, sample, update};

const SIZE: (u16, u16) = (80, 24);

/// After these keys on the Bridge, their effects answered.
fn after(keys: &[&str]) -> Model {
    let mut model = sample::model(SIZE);
    sample::press(&mut model, keys);
    model
}

/// A plan that was asked for, and the engine's `answer` if there is one yet.
fn planned(answer: Option<Result<Gate, &str>>) -> Model {
    let mut model = after(&["a", "enter"]);
    let effects = update(&mut model, Message::Key(sample::key_of("ctrl-s")));
    let [Effect::Plan { ticket, request }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(matches!(request, Request::Plan(_)));
    if let Some(result) = answer {
        let answer = Answer::Plan {
            ticket: *ticket,
            result: result
                .map(|gate| (Box::new(sample::plan()), gate))
                .map_err(Refusal::new),
        };
        update(&mut model, Message::Answer(Box::new(answer)));
    }
    model
}

fn asking(prompts: Vec<crate::domain::question::Prompt>) -> Model {
    let mut model = sample::model(SIZE);
    update(&mut model, asked(prompts, 7));
    model
}

/// A dialog in one of its states, and what that is called.
type State = (&'static str, fn() -> Model);

/// Every dialog, in every state in which other keys do something.
const STATES: &[State] = &[
    ("palette", || after(&[":"])),
    ("palette, nothing found", || {
        after(&[":", "x", "0", "x", "0"])
    }),
    ("palette, leaving", || after(&[":", "q"])),
    ("menu", || after(&["a"])),
    ("form", || after(&["a", "enter"])),
    ("plan, asked for", || planned(None)),
    ("plan, refused", || planned(Some(Err("no such node")))),
    ("plan, open", || planned(Some(Ok(Gate::Open)))),
    ("plan, to confirm", || planned(Some(Ok(Gate::Confirm)))),
    ("plan, typed", || planned(Some(Ok(Gate::TypeName)))),
    ("plan, read-only", || planned(Some(Ok(Gate::ReadOnly)))),
    ("plan that resumes", || taken_up(SIZE)),
    ("approval", || {
        let mut model = waiting(SIZE);
        sample::press(&mut model, &["P"]);
        model
    }),
    ("quit", || after(&["q"])),
    ("filter", || after(&["/"])),
    ("help", || after(&["?"])),
    ("help, its end", || after(&["?", "G"])),
    ("raw", || after(&["y"])),
    ("a host asks for a password", || asking(secret_prompt())),
    ("a host asks for a yes", || asking(Vec::new())),
];

#[test]
fn every_hint_of_a_dialog_does_something_as_the_dialog_stands() {
    for (name, state) in STATES {
        let model = state();
        assert!(!model.layers.is_empty(), "{name} is no dialog");
        let dead = sample::dead_hints(state);
        assert!(
            dead.is_empty(),
            "{name}: {dead:?}\n{}",
            sample::draw(&model)
        );
    }
}

#[test]
fn a_run_that_has_ended_is_neither_followed_nor_cancelled() {
    let foot = |keys: &[&str]| {
        let drawn = sample::draw(&after(keys));
        drawn.lines().last().unwrap().to_owned()
    };
    let going = foot(&["4", "enter"]);
    assert!(going.contains("F follow"), "{going}");
    let failed = foot(&["4", "down", "enter"]);
    assert!(
        !failed.contains("F follow") && !failed.contains("x cancel"),
        "{failed}"
    );
}

#[test]
fn what_is_left_of_a_run_offers_no_rehearsal_and_what_was_done_does() {
    let foot = |model: &Model| {
        let drawn = sample::draw(model);
        drawn.lines().last().unwrap().to_owned()
    };
    let resumes = foot(&taken_up(SIZE));
    assert!(
        !resumes.contains("dry run") && !resumes.contains("offline"),
        "{resumes}"
    );
    let mut model = after(&["4", "down", "down", "enter"]);
    assert!(matches!(model.place(), Place::Run(_)));
    sample::press(&mut model, &["U"]);
    let undoes = foot(&model);
    assert!(
        undoes.contains("ctrl-d dry run") && undoes.contains("ctrl-o offline"),
        "{undoes}"
    );
}
