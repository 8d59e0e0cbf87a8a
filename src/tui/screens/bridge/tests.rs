//! Pictures and behaviour of the Bridge.

use super::model::Focus;
use crate::client::{Event, Refusal};
use crate::domain::run::RunState;
use crate::tui::{Answer, Message, Model, Setup, sample, update};

/// The way there from the Bridge.
const KEYS: &[&str] = &[];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn the_pane_with_the_focus_moves_with_tab_and_number() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, &["tab"]);
    assert_eq!(model.screens.bridge.focus, Focus::Services);
    sample::press(&mut model, &["1"]);
    assert_eq!(model.screens.bridge.focus, Focus::Environments);
}

#[test]
fn moving_over_environments_shows_each_in_the_other_panes() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, &["1", "down", "down"]);
    assert_eq!(model.world.environment, "production");
    let drawn = sample::draw(&model);
    assert!(drawn.contains("production · typed"), "{drawn}");
    assert!(!drawn.contains(" LAB "), "{drawn}");
}

#[test]
fn the_dock_shows_the_run_that_is_going_and_the_selected_one_in_activity() {
    let mut model = sample::model((120, 40));
    assert!(sample::draw(&model).contains("Log #13"));
    sample::press(&mut model, &["4", "down"]);
    assert!(sample::draw(&model).contains("Log #12"));
}

#[test]
fn the_whole_screen_is_the_log_after_z_and_esc_takes_it_back() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["z"]);
    assert!(!sample::draw(&model).contains("Environments"));
    sample::press(&mut model, &["esc"]);
    assert!(sample::draw(&model).contains("Environments"));
}

#[test]
fn before_the_first_answer_every_pane_says_what_it_waits_for() {
    let model = Model::new(Setup::new(sample::now(), (80, 24)));
    insta::assert_snapshot!(sample::draw(&model));
}

#[test]
fn a_workspace_that_cannot_be_read_says_why() {
    let mut model = Model::new(Setup::new(sample::now(), (80, 24)));
    let refusal = Refusal::new("environments/lab.yaml:3:7: unknown role");
    update(
        &mut model,
        Message::Answer(Box::new(Answer::Workspace(Err(refusal)))),
    );
    assert!(sample::draw(&model).contains("environments/lab.yaml:3:7: unknown role"));
}

#[test]
fn what_was_run_is_told_on_a_small_terminal_however_its_end_is_called() {
    let mut model = sample::model((80, 24));
    for number in 14_u8..24 {
        let mut run = sample::run(13, RunState::Interrupted);
        run.id = sample::run_id(number.into());
        run.number = number.into();
        run.title = "Restart a unit".into();
        sample::feed(&mut model, Event::Run(Box::new(run)));
    }
    let drawn = sample::draw(&model);
    assert!(drawn.contains("#23  Restart"), "{drawn}");
}
