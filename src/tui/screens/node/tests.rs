//! Pictures and behaviour of the node screen.

use crate::tui::sample;

/// The way there from the Bridge.
const KEYS: &[&str] = &["enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn an_unreachable_node_begins_with_the_reason_and_says_how_old_the_rest_is() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["down", "enter"]);
    insta::assert_snapshot!(sample::draw(&model));
}
