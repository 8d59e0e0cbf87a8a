//! Pictures and behaviour of the merged journal.

use crate::client::conversation::{Down, Followed, Opening, SourceState, SourceWord};
use crate::domain::structured::Level;
use crate::tui::message::{Answer, Effect, Message};
use crate::tui::{Model, sample, update};

/// A model that follows two marked nodes, and the conversation's number.
fn follow(size: (u16, u16)) -> (Model, u64) {
    let mut model = sample::model(size);
    sample::press(&mut model, &[":", "n", "o", "d", "e", "s", "enter"]);
    let effects = sample::press(&mut model, &["N", "space", "space", "l"]);
    let opened = effects.iter().find_map(|effect| match effect {
        Effect::Talk { id, opening } => Some((*id, opening.clone())),
        _ => None,
    });
    let Some((id, Opening::Follow(opening))) = opened else {
        panic!("nothing is followed: {effects:?}");
    };
    assert_eq!(opening.nodes.len(), 2, "{opening:?}");
    (model, id)
}

fn hear(model: &mut Model, id: u64, down: Down) {
    update(model, Message::Answer(Box::new(Answer::Heard { id, down })));
}

fn line(node: &str, second: i64, text: &str, level: Option<Level>) -> Followed {
    Followed {
        node: node.into(),
        at: Some(sample::ago(second)),
        arrived: sample::ago(second),
        unit: Some("consul".into()),
        level,
        text: text.into(),
    }
}

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40)] {
        let (mut model, id) = follow(size);
        let lines = vec![
            line(
                "c5",
                9,
                "agent: Synced service: service=web",
                Some(Level::Info),
            ),
            line(
                "h4",
                8,
                "memberlist: Suspect pc2 has failed",
                Some(Level::Warn),
            ),
            line(
                "c5",
                7,
                "raft: failed to contact: server-id=pc2",
                Some(Level::Error),
            ),
        ];
        hear(&mut model, id, Down::Lines(lines));
        let lost = SourceState {
            node: "h4".into(),
            word: SourceWord::Lost,
            reason: Some("connection reset".into()),
        };
        hear(&mut model, id, Down::Source(lost));
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn who_reads_further_up_stays_there_until_he_asks_for_the_end() {
    let (mut model, id) = follow((80, 24));
    let many = |from: i64| (from..from + 60).map(|n| line("c5", 100, &format!("said {n}."), None));
    hear(&mut model, id, Down::Lines(many(0).collect()));
    sample::press(&mut model, &["pageup"]);
    let before = sample::draw(&model);
    hear(&mut model, id, Down::Lines(many(60).collect()));
    let after = sample::draw(&model);
    let said = |drawn: &str| -> Vec<String> {
        let lines = drawn.lines().filter(|line| line.contains("said "));
        lines.map(ToOwned::to_owned).collect()
    };
    assert_eq!(said(&before), said(&after));
    sample::press(&mut model, &["G"]);
    assert!(sample::draw(&model).contains("said 119."));
}

#[test]
fn a_filter_hides_lines_and_loses_none() {
    let (mut model, id) = follow((80, 24));
    hear(
        &mut model,
        id,
        Down::Lines(vec![
            line("c5", 9, "alpha", None),
            line("h4", 8, "beta", None),
        ]),
    );
    sample::press(&mut model, &["/"]);
    sample::type_text(&mut model, "beta");
    sample::press(&mut model, &["enter"]);
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("beta") && !drawn.contains("alpha"),
        "{drawn}"
    );
    sample::press(&mut model, &["esc"]);
    assert!(sample::draw(&model).contains("alpha"));
}

#[test]
fn control_characters_of_a_node_are_not_drawn() {
    let (mut model, id) = follow((80, 24));
    let hostile = line("c5", 9, "\x1b[31mred\x1b]52;c;eA==\x07\r\u{9b}2J", None);
    hear(&mut model, id, Down::Lines(vec![hostile]));
    let drawn = sample::draw(&model);
    assert!(
        !drawn.chars().any(|c| c.is_control() && c != '\n'),
        "{drawn:?}"
    );
}

#[test]
fn following_others_ends_what_was_followed() {
    let (mut model, id) = follow((80, 24));
    sample::press(&mut model, &["esc"]);
    let effects = sample::press(&mut model, &["l"]);
    assert!(effects.contains(&Effect::HangUp { id }), "{effects:?}");
}
