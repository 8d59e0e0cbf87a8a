//! Talking to what asks for the password of root's work, before the command itself begins.
//!
//! `sudo` gets a prompt of our own, so that its question is known from whatever else is said; `su` asks in its own words,
//! and the command it runs says first that it runs. The password goes out only as an answer to that question, never ahead
//! of it: a command that needs none would read it. The command's input follows when the command runs.

use bytes::Bytes;

use crate::domain::secret::Secret;

/// More than is said before a command begins, bytes.
const MOST: usize = 16 * 1024;

/// How the question for the password is known.
#[derive(Debug, Clone)]
pub(super) enum Asks {
    /// By this text.
    By(String),
    /// It is the first that is said and ends in a colon.
    First,
}

/// The conversation before a command begins.
pub(super) struct Gate {
    asks: Asks,
    /// What is said once the command runs.
    ready: String,
    password: Secret,
    heard: Vec<u8>,
    sent: bool,
}

/// What a piece of output means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing yet.
    Wait,
    /// The password is asked for.
    Send,
    /// It was asked for again: what was sent is wrong.
    Wrong,
    /// The command runs; this is the beginning of what it says.
    Runs(Bytes),
}

impl Gate {
    pub(super) fn new(asks: Asks, ready: String, password: Secret) -> Self {
        Self {
            asks,
            ready,
            password,
            heard: Vec::new(),
            sent: false,
        }
    }

    /// What to send as the answer.
    pub(super) fn answer(&self) -> Bytes {
        // The library wants bytes of its own; they are gone with the packet.
        let mut line = Vec::with_capacity(self.password.expose().len() + 1);
        line.extend_from_slice(self.password.expose().as_bytes());
        line.push(b'\n');
        line.into()
    }

    /// What was said before the command ran.
    pub(super) fn words(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.heard).into_owned();
        if let Asks::By(mark) = &self.asks {
            text = text.replace(mark.as_str(), "");
        }
        text
    }

    /// Whether a piece of standard output is the question: `BusyBox`'s `su` asks there. Otherwise it is the login shell's, or the
    /// command's, whose two streams arrive in any order.
    pub(super) fn asks_on_stdout(&mut self, piece: &[u8]) -> bool {
        let asks = matches!(self.asks, Asks::First) && !self.sent && ends_in_colon(piece);
        self.sent |= asks;
        asks
    }

    /// Takes in a piece of standard error before the command runs.
    pub(super) fn hear(&mut self, piece: &[u8]) -> Heard {
        let room = MOST.saturating_sub(self.heard.len()).min(piece.len());
        self.heard.extend_from_slice(&piece[..room]);
        let ready = &self.ready;
        if let Some(at) = find(&self.heard, ready.as_bytes()) {
            // The marker has a line of its own.
            let rest = at + ready.len();
            let rest = rest + usize::from(self.heard.get(rest) == Some(&b'\n'));
            let rest = self.heard.split_off(rest.min(self.heard.len()));
            self.heard.truncate(at);
            return Heard::Runs(rest.into());
        }
        match &self.asks {
            Asks::By(mark) => match count(&self.heard, mark.as_bytes()) {
                0 => Heard::Wait,
                1 if self.sent => Heard::Wait,
                1 => {
                    self.sent = true;
                    Heard::Send
                }
                _ => Heard::Wrong,
            },
            Asks::First if !self.sent && ends_in_colon(&self.heard) => {
                self.sent = true;
                Heard::Send
            }
            Asks::First => Heard::Wait,
        }
    }
}

fn ends_in_colon(heard: &[u8]) -> bool {
    heard.trim_ascii_end().ends_with(b":") && !heard.ends_with(b"\n")
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len())
        .position(|window| window == needle)
}

fn count(hay: &[u8], needle: &[u8]) -> usize {
    hay.windows(needle.len())
        .filter(|window| *window == needle)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(asks: Asks) -> Gate {
        let secret = Secret::new("hunter2".into());
        Gate::new(asks, "ready-1".into(), secret)
    }

    #[test]
    fn the_password_is_sent_once_and_only_when_asked_for() {
        let mut gate = gate(Asks::By("ask-1".into()));
        assert_eq!(gate.hear(b"We trust you have received\nas"), Heard::Wait);
        assert_eq!(gate.hear(b"k-1"), Heard::Send);
        assert_eq!(gate.hear(b"\n"), Heard::Wait);
        assert_eq!(gate.hear(b"ready-1\nout"), Heard::Runs("out".into()));
        assert!(!gate.words().contains("ask-1"));
    }

    #[test]
    fn a_second_question_means_that_the_password_was_wrong() {
        let mut gate = gate(Asks::By("ask-1".into()));
        assert_eq!(gate.hear(b"ask-1"), Heard::Send);
        assert_eq!(gate.hear(b"Sorry, try again.\nask-1"), Heard::Wrong);
    }

    #[test]
    fn a_command_that_needs_no_password_gets_none() {
        let mut gate = gate(Asks::By("ask-1".into()));
        assert_eq!(gate.hear(b"ready-1\n"), Heard::Runs(Bytes::new()));
    }

    #[test]
    fn standard_output_is_a_question_only_where_su_may_ask_there() {
        let mut sudo = gate(Asks::By("ask-1".into()));
        assert!(!sudo.asks_on_stdout(b"Password: "));
        let mut su = gate(Asks::First);
        assert!(!su.asks_on_stdout(b"line 1\n"));
        assert!(su.asks_on_stdout(b"Password: "));
        assert!(!su.asks_on_stdout(b"Password: "));
    }

    #[test]
    fn su_asks_in_its_own_words_once() {
        let mut gate = gate(Asks::First);
        assert_eq!(gate.hear(b"Passwort: "), Heard::Send);
        assert_eq!(gate.hear(b"\nsu: something: "), Heard::Wait);
    }
}
