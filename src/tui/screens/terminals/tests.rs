//! Pictures and behaviour of terminals.

use bytes::Bytes;

use crate::client::conversation::{Down, Ending, Opening, Up};
use crate::domain::action::Consent;
use crate::domain::terminal::TerminalSize;
use crate::tui::message::{Answer, Effect, Message, Place};
use crate::tui::{Model, sample, update};

/// A model with an open terminal on the first node, and the conversation's number.
fn open(size: (u16, u16)) -> (Model, u64) {
    let mut model = sample::model(size);
    sample::press(&mut model, &[":", "n", "o", "d", "e", "s", "enter"]);
    let effects = sample::press(&mut model, &["N", "s"]);
    let opened = effects.iter().find_map(|effect| match effect {
        Effect::Talk {
            id,
            opening: Opening::Shell(opening),
        } => Some((*id, opening.clone())),
        _ => None,
    });
    let (id, opening) = opened.expect("a terminal is asked for");
    assert_eq!(
        (opening.node.as_str(), opening.consent),
        ("c5", Consent::None)
    );
    hear(&mut model, id, Down::Opened);
    (model, id)
}

fn hear(model: &mut Model, id: u64, down: Down) -> Vec<Effect> {
    update(model, Message::Answer(Box::new(Answer::Heard { id, down })))
}

fn show(model: &mut Model, id: u64, text: &str) -> Vec<Effect> {
    hear(
        model,
        id,
        Down::Output(Bytes::copy_from_slice(text.as_bytes())),
    )
}

fn typed(effects: &[Effect]) -> String {
    let bytes = effects.iter().filter_map(|effect| match effect {
        Effect::Say {
            up: Up::Input(bytes),
            ..
        } => Some(bytes.to_vec()),
        _ => None,
    });
    String::from_utf8(bytes.flatten().collect()).unwrap()
}

#[test]
fn it_uses_the_room_there_is() {
    for size in [(80, 24), (120, 40)] {
        let (mut model, id) = open(size);
        show(
            &mut model,
            id,
            "\x1b[1;32mops@c5\x1b[0m:~$ uptime\r\n 14:03:22 up 12 days, 1 user\r\n\x1b[1;32mops@c5\x1b[0m:~$ ",
        );
        insta::assert_snapshot!(format!("{}x{}", size.0, size.1), sample::draw(&model));
    }
}

#[test]
fn every_key_goes_to_the_node_but_the_one_that_leaves() {
    let (mut model, _) = open((80, 24));
    let effects = sample::press(&mut model, &["q", ":", "esc", "ctrl-c", "tab", "enter"]);
    assert_eq!(typed(&effects), "q:\x1b\x03\t\r");
    assert!(sample::press(&mut model, &["ctrl-]"]).is_empty());
    assert_eq!(typed(&sample::press(&mut model, &["j", "k"])), "");
    assert_eq!(typed(&sample::press(&mut model, &["i", "j"])), "j");
}

#[test]
fn what_a_node_writes_never_reaches_the_terminal_as_it_is() {
    let (mut model, id) = open((80, 24));
    show(
        &mut model,
        id,
        "\x1b]0;title\x07\x1b]52;c;c2VjcmV0\x07safe\x1b[?1049h\x1b[2Jalso\u{9b}31m",
    );
    let drawn = sample::draw(&model);
    assert!(drawn.contains("also"), "{drawn}");
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn a_program_that_asks_where_the_cursor_is_gets_an_answer() {
    let (mut model, id) = open((80, 24));
    let effects = show(&mut model, id, "ab\x1b[6n\x1b[c");
    assert_eq!(typed(&effects), "\x1b[1;3R\x1b[?1;2c");
}

#[test]
fn the_node_hears_of_every_size_and_of_full_screen() {
    let (mut model, id) = open((80, 24));
    let size = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Say {
                id: of,
                up: Up::Size(size),
            } if of == id => Some(size),
            _ => None,
        })
    };
    let effects = update(&mut model, Message::Resize(100, 30));
    assert_eq!(size(effects), Some(TerminalSize::new(100, 27)));
    let effects = sample::press(&mut model, &["ctrl-]", "z"]);
    assert_eq!(size(effects), Some(TerminalSize::new(100, 30)));
    let effects = sample::press(&mut model, &["ctrl-]"]);
    assert_eq!(size(effects), Some(TerminalSize::new(100, 27)));
}

#[test]
fn a_paste_is_marked_where_the_program_wants_that_and_cannot_end_its_mark() {
    let (mut model, id) = open((80, 24));
    let paste = |model: &mut Model| typed(&update(model, Message::Paste("a\nb\x1b[201~c".into())));
    assert_eq!(paste(&mut model), "a\rb[201~c");
    show(&mut model, id, "\x1b[?2004h");
    assert_eq!(paste(&mut model), "\x1b[200~a\rb[201~c\x1b[201~");
}

#[test]
fn one_scrolls_back_and_a_key_returns_to_the_end() {
    let (mut model, id) = open((80, 24));
    for number in 0..100 {
        show(&mut model, id, &format!("line {number}\r\n"));
    }
    sample::press(&mut model, &["ctrl-]", "pageup", "pageup"]);
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("rows back") && !drawn.contains("line 99"),
        "{drawn}"
    );
    sample::press(&mut model, &["i", "x"]);
    assert!(sample::draw(&model).contains("line 99"));
}

#[test]
fn a_terminal_that_ended_says_how_and_gives_the_keys_back() {
    let (mut model, id) = open((80, 24));
    hear(&mut model, id, Down::Ended(Ending::Status(3)));
    assert!(sample::draw(&model).contains("c5 ended with status 3"));
    assert_eq!(typed(&sample::press(&mut model, &["j"])), "");
    sample::press(&mut model, &["x"]);
    assert!(sample::draw(&model).contains("No terminal is open"));
}

#[test]
fn closing_a_tab_hangs_up() {
    let (mut model, id) = open((80, 24));
    let effects = sample::press(&mut model, &["ctrl-]", "x"]);
    assert!(effects.contains(&Effect::HangUp { id }), "{effects:?}");
}

#[test]
fn s_on_a_node_with_an_open_terminal_goes_there() {
    let (mut model, _) = open((80, 24));
    sample::press(&mut model, &["ctrl-]", "esc"]);
    assert_eq!(*model.place(), Place::Nodes);
    let effects = sample::press(&mut model, &["s"]);
    let opens = |effect: &Effect| matches!(effect, Effect::Talk { .. });
    assert!(!effects.iter().any(opens), "{effects:?}");
    assert_eq!(*model.place(), Place::Terminals);
}

#[test]
fn leaving_asks_when_a_terminal_would_end() {
    let (mut model, _) = open((80, 24));
    sample::press(&mut model, &["ctrl-]", "q"]);
    assert!(sample::draw(&model).contains("1 terminal is open"));
}

#[test]
fn where_a_yes_is_asked_for_anything_else_opens_nothing_and_says_what_would() {
    let mut model = sample::model((80, 24));
    sample::press(&mut model, &["1", "down", "2", "s"]);
    sample::type_text(&mut model, "ok");
    assert!(sample::press(&mut model, &["enter"]).is_empty());
    let drawn = sample::draw(&model);
    assert!(
        drawn.contains("No terminal was opened: y opens it"),
        "{drawn}"
    );
    sample::press(&mut model, &["s", "y"]);
    let effects = sample::press(&mut model, &["enter"]);
    let opens = |effect: &Effect| matches!(effect, Effect::Talk { .. });
    assert!(effects.iter().any(opens), "{effects:?}");
}
