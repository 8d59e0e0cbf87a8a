//! Keys as the bytes that a program on an xterm reads (xterm's control sequences, "PC-Style Function Keys").

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The bytes of a key; none for keys that terminals do not send. `application` is the cursor key mode (DECCKM).
pub(super) fn encode(key: KeyEvent, application: bool) -> Vec<u8> {
    let held = key.modifiers;
    let (ctrl, alt) = (
        held.contains(KeyModifiers::CONTROL),
        held.contains(KeyModifiers::ALT),
    );
    let plain = match key.code {
        KeyCode::Char(c) if ctrl => control(c),
        KeyCode::Char(c) => c.to_string().into_bytes(),
        KeyCode::Enter => vec![b'\r'],
        KeyCode::Tab => vec![b'\t'],
        KeyCode::Backspace if ctrl => vec![0x08],
        KeyCode::Backspace => vec![0x7f],
        KeyCode::Esc => vec![0x1b],
        KeyCode::BackTab => return b"\x1b[Z".to_vec(),
        code => return special(code, held, application).unwrap_or_default(),
    };
    if alt && !plain.is_empty() {
        [&[0x1b], plain.as_slice()].concat()
    } else {
        plain
    }
}

/// The control character of a key; terminals report some of them under other names.
fn control(c: char) -> Vec<u8> {
    let byte = match c.to_ascii_lowercase() {
        c @ 'a'..='z' => u8::try_from(c).map_or(0, |letter| letter - b'a' + 1),
        ' ' | '@' | '2' => 0x00,
        '[' | '3' => 0x1b,
        '\\' | '4' => 0x1c,
        ']' | '5' => 0x1d,
        '^' | '6' => 0x1e,
        '_' | '/' | '7' => 0x1f,
        '?' | '8' => 0x7f,
        _ => return Vec::new(),
    };
    vec![byte]
}

fn special(code: KeyCode, held: KeyModifiers, application: bool) -> Option<Vec<u8>> {
    // Shift 1, alt 2, ctrl 4, and one more for all.
    let modifier = 1
        + u8::from(held.contains(KeyModifiers::SHIFT))
        + 2 * u8::from(held.contains(KeyModifiers::ALT))
        + 4 * u8::from(held.contains(KeyModifiers::CONTROL));
    let letter = |letter: char| {
        if modifier > 1 {
            format!("\x1b[1;{modifier}{letter}")
        } else if application {
            format!("\x1bO{letter}")
        } else {
            format!("\x1b[{letter}")
        }
    };
    let number = |number: u8| {
        if modifier > 1 {
            format!("\x1b[{number};{modifier}~")
        } else {
            format!("\x1b[{number}~")
        }
    };
    let text = match code {
        KeyCode::Up => letter('A'),
        KeyCode::Down => letter('B'),
        KeyCode::Right => letter('C'),
        KeyCode::Left => letter('D'),
        KeyCode::Home => letter('H'),
        KeyCode::End => letter('F'),
        KeyCode::Insert => number(2),
        KeyCode::Delete => number(3),
        KeyCode::PageUp => number(5),
        KeyCode::PageDown => number(6),
        KeyCode::F(key @ 1..=4) => {
            let letter = char::from(b'P' + key - 1);
            if modifier > 1 {
                format!("\x1b[1;{modifier}{letter}")
            } else {
                format!("\x1bO{letter}")
            }
        }
        KeyCode::F(5) => number(15),
        KeyCode::F(key @ 6..=10) => number(key + 11),
        KeyCode::F(key @ 11..=12) => number(key + 12),
        _ => return None,
    };
    Some(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NONE: KeyModifiers = KeyModifiers::NONE;

    #[rstest]
    #[case(KeyCode::Char('a'), NONE, "a")]
    #[case(KeyCode::Char('é'), NONE, "é")]
    #[case(KeyCode::Char('c'), KeyModifiers::CONTROL, "\x03")]
    #[case(KeyCode::Char(' '), KeyModifiers::CONTROL, "\0")]
    #[case(KeyCode::Char('4'), KeyModifiers::CONTROL, "\x1c")]
    #[case(KeyCode::Char('b'), KeyModifiers::ALT, "\x1bb")]
    #[case(KeyCode::Enter, NONE, "\r")]
    #[case(KeyCode::Backspace, NONE, "\x7f")]
    #[case(KeyCode::Up, NONE, "\x1b[A")]
    #[case(KeyCode::Right, KeyModifiers::CONTROL, "\x1b[1;5C")]
    #[case(KeyCode::Delete, NONE, "\x1b[3~")]
    #[case(KeyCode::F(1), NONE, "\x1bOP")]
    #[case(KeyCode::F(5), NONE, "\x1b[15~")]
    #[case(KeyCode::F(6), NONE, "\x1b[17~")]
    #[case(KeyCode::F(10), NONE, "\x1b[21~")]
    #[case(KeyCode::F(12), NONE, "\x1b[24~")]
    #[case(KeyCode::CapsLock, NONE, "")]
    fn a_key_is_what_xterm_sends(
        #[case] code: KeyCode,
        #[case] held: KeyModifiers,
        #[case] bytes: &str,
    ) {
        let key = KeyEvent::new(code, held);
        assert_eq!(encode(key, false), bytes.as_bytes());
    }

    #[test]
    fn the_cursor_keys_are_others_in_application_mode() {
        let key = KeyEvent::new(KeyCode::Up, NONE);
        assert_eq!(encode(key, true), b"\x1bOA");
    }
}
