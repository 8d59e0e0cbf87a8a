//! Pictures and behaviour of the list of snapshots.

use crate::tui::sample;

/// The way there from the Bridge.
const KEYS: &[&str] = &[":", "s", "n", "a", "p", "s", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn enter_shows_everything_that_is_known_of_one() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["j", "j", "enter"]);
    insta::assert_snapshot!("account-80x24", sample::draw(&model));
}

#[test]
fn restoring_asks_for_the_plan_of_exactly_that_snapshot() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["j", "j", "R"]);
    let Some(crate::tui::layers::Layer::Plan(dialog)) = model.layers.last() else {
        panic!("no plan is asked for: {}", sample::draw(&model));
    };
    assert_eq!(dialog.request.recipe, "restore");
    let shown = &dialog.request.params["snapshot"];
    assert!(shown.as_str().unwrap().starts_with("consul/"), "{shown}");
}

#[test]
fn a_store_without_a_snapshot_can_only_be_saved() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["R"]);
    assert!(model.layers.is_empty(), "{}", sample::draw(&model));
    sample::press(&mut model, &["t"]);
    let Some(crate::tui::layers::Layer::Plan(dialog)) = model.layers.last() else {
        panic!("no plan is asked for: {}", sample::draw(&model));
    };
    assert_eq!(dialog.request.recipe, "snapshot");
}
