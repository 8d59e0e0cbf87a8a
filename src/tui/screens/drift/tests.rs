//! Pictures and behaviour of the drift board.

use crate::tui::layers::Layer;
use crate::tui::world::Known;
use crate::tui::{Model, sample};

/// The way there from the Bridge.
const KEYS: &[&str] = &[":", "d", "r", "i", "f", "t", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn what_is_ignored_is_shown_when_asked_for_and_says_why() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    assert!(!sample::draw(&model).contains("colour"), "hidden at first");
    sample::press(&mut model, &["v", "G"]);
    let shown = sample::draw(&model);
    assert!(shown.contains("consul/kv/app/colour"), "{shown}");
    sample::press(&mut model, &["enter"]);
    let why = sample::draw(&model);
    assert!(why.contains("tried out by the shop"), "{why}");
}

#[test]
fn reconciling_asks_for_the_plan_of_just_that_row() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["j", "R"]);
    let Some(Layer::Plan(dialog)) = model.layers.last() else {
        panic!("no plan is asked for: {}", sample::draw(&model));
    };
    assert_eq!(dialog.request.recipe, "deploy");
    assert_eq!(dialog.request.nodes, ["pc1"]);
    assert_eq!(dialog.request.limits.steps, ["consul.configure"]);
}

#[test]
fn looking_anew_is_a_run_of_the_recipe() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["c"]);
    let Some(Layer::Plan(dialog)) = model.layers.last() else {
        panic!("no plan is asked for: {}", sample::draw(&model));
    };
    assert_eq!(dialog.request.recipe, "drift");
}

#[test]
fn ignoring_asks_for_how_long_and_why_before_anything_is_written() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["i", "3", "0", "enter"]);
    let said = sample::draw(&model);
    assert!(said.contains("then why"), "{said}");
}

#[test]
fn a_board_without_rows_hints_at_what_can_be_done_there() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    let foot = |model: &Model| sample::draw(model).lines().last().unwrap().to_owned();
    assert!(foot(&model).contains("R reconcile"), "{}", foot(&model));
    if let Known::Ready(board) = &mut model.world.drift.1 {
        board.rows.clear();
    }
    let empty = foot(&model);
    assert!(empty.contains("c check"), "{empty}");
    for hint in ["enter", "R reconcile", "i ignore", "v ignored"] {
        assert!(!empty.contains(hint), "{hint}: {empty}");
    }
}
