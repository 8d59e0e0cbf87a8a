//! Pictures and behaviour of the service screen.

use super::super::Target;
use crate::client::{Event, Refusal};
use crate::tui::{Answer, Effect, Message, sample, update};

/// The way there from the Bridge.
const KEYS: &[&str] = &["3", "enter"];

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut model = sample::model(size);
        sample::press(&mut model, KEYS);
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn tables_are_asked_for_once_when_shown_and_again_after_each_poll() {
    let mut model = sample::model((120, 40));
    let effects = sample::press(&mut model, KEYS);
    let asked = |effects: &[Effect]| {
        effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Table { .. }))
            .count()
    };
    assert_eq!(asked(&effects), 1);
    let polled = Event::Service {
        environment: "lab".into(),
        name: "consul".into(),
        observed: Box::default(),
    };
    let effects = update(&mut model, Message::Event(polled.clone()));
    assert_eq!(asked(&effects), 1);
    let effects = update(&mut model, Message::Event(polled));
    assert_eq!(asked(&effects), 0, "one question at a time");
}

#[test]
fn a_table_that_cannot_be_fetched_again_stays_and_is_marked_stale() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    let later = sample::now() + jiff::SignedDuration::from_secs(40);
    update(&mut model, Message::Tick(later));
    let answer = Answer::Table {
        key: ("lab".into(), "consul".into(), "members".into()),
        result: Err(Refusal::new("timed out")),
    };
    update(&mut model, Message::Answer(Box::new(answer)));
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("stale: 40s old") && drawn.contains("10.0.0.13:8301"),
        "{drawn}"
    );
}

#[test]
fn the_selection_survives_a_refresh_that_reorders_the_rows() {
    let mut model = sample::model((120, 40));
    sample::press(&mut model, KEYS);
    sample::press(&mut model, &["down", "down"]);
    let mut table = sample::members();
    table.rows.reverse();
    let key = ("lab".to_owned(), "consul".to_owned(), "members".to_owned());
    let answer = Answer::Table {
        key,
        result: Ok(table),
    };
    update(&mut model, Message::Answer(Box::new(answer)));
    assert_eq!(
        model.screens.at(&model.place).target(&model.world),
        Target::Row("consul".into(), "members".into(), "pc3".into())
    );
}
