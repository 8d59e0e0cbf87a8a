//! Pictures and behaviour of the list of runs.

use crate::tui::sample;

/// The way there from the Bridge.
const KEYS: &[&str] = &[":", "r", "u", "n", "s", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}
