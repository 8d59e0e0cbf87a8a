//! Pictures and behaviour of the list of nodes.

use super::rows;
use crate::tui::{Model, sample};

/// The way there from the Bridge.
const KEYS: &[&str] = &[":", "n", "o", "d", "e", "s", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn an_unreachable_node_shows_reason_and_age() {
    let mut model = sample::model((200, 60));
    sample::press(&mut model, KEYS);
    let drawn = sample::draw(&model);
    let row = drawn
        .lines()
        .find(|line| line.contains("unreachable"))
        .unwrap();
    assert!(
        row.contains("pc2") && row.contains("1m") && row.contains("10.0.0.12:22"),
        "{row}"
    );
}

#[test]
fn sorting_by_memory_puts_the_fullest_first_and_the_unknown_last() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["M"]);
    let names: Vec<&str> = rows::shown(&model.world, &model.screens.nodes.list)
        .iter()
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(names, ["h4", "pc3", "pc1", "c5", "pc2"]);
}

#[test]
fn the_filter_narrows_while_one_types_and_esc_drops_it() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["/"]);
    sample::type_text(&mut model, "!pc");
    let shown = |model: &Model| rows::shown(&model.world, &model.screens.nodes.list).len();
    // h4 and c5 are reached through pc1, but that is not part of their rows.
    assert_eq!(shown(&model), 2);
    sample::press(&mut model, &["enter", "esc"]);
    assert_eq!(shown(&model), 5);
}

#[test]
fn actions_are_about_all_marked_nodes() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["space", "space", "a"]);
    assert!(sample::draw(&model).contains("Actions on 2 nodes"));
}
