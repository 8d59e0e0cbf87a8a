//! Pictures and behaviour of the list of services.

use crate::tui::sample;

/// The way there from the Bridge.
const KEYS: &[&str] = &[":", "s", "e", "r", "v", "i", "c", "e", "s", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn an_unreachable_service_shows_reason_and_age() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    let drawn = sample::draw(&model);
    let row = drawn
        .lines()
        .find(|line| line.contains("unreachable"))
        .unwrap();
    assert!(
        row.contains("grafana") && row.contains("1m") && row.contains("no answer"),
        "{row}"
    );
}
