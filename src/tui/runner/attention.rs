//! Calling for attention in the terminal: the bell, or a notification that the terminal shows by itself (OSC 9, OSC 777).
//!
//! For what somebody who looks elsewhere would want to know: a run that was started from here ended, an approval is
//! needed, a critical finding appeared. Never while the terminal is known to be in front.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Event;
use crate::domain::finding::Severity;
use crate::domain::notice::Signal;
use crate::domain::run::{RunId, RunState};
use crate::tui::text::clean;

/// The longest text, characters.
const LONGEST: usize = 200;

/// What was seen already, and whether anybody looks.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// What the operator wants; `None` is the bell, but only while the terminal is known to be in the background.
    wanted: Option<Signal>,
    /// Whether the terminal is in front, once it has said so.
    focused: Option<bool>,
    tmux: bool,
    /// Runs and states that were signalled.
    told: BTreeSet<(RunId, RunState)>,
    /// Critical findings by environment.
    critical: BTreeMap<String, BTreeSet<String>>,
}

impl Attention {
    pub(super) fn new(wanted: Option<Signal>, tmux: bool) -> Self {
        Self {
            wanted,
            tmux,
            ..Self::default()
        }
    }

    /// The terminal came to the front or went to the back.
    pub(super) const fn focus(&mut self, focused: bool) {
        self.focused = Some(focused);
    }

    /// What to write to the terminal for `event`; `mine` are the runs that were started from here.
    pub(super) fn call(&mut self, event: &Event, mine: &[RunId]) -> Option<String> {
        let text = self.news(event, mine)?;
        let signal = match (self.wanted, self.focused) {
            (Some(wanted), focused) if focused != Some(true) => wanted,
            (None, Some(false)) => Signal::Bell,
            _ => return None,
        };
        sequence(signal, &text, self.tmux)
    }

    /// What is new in `event`, in a few words.
    fn news(&mut self, event: &Event, mine: &[RunId]) -> Option<String> {
        match event {
            Event::Run(run) => {
                let waits = run.state == RunState::WaitingApproval;
                if !(waits || run.state.is_final() && mine.contains(&run.id)) {
                    if !run.state.is_final() {
                        self.told.remove(&(run.id, RunState::WaitingApproval));
                    }
                    return None;
                }
                self.told.insert((run.id, run.state)).then(|| {
                    let what = if waits {
                        "waits for an approval"
                    } else {
                        run.state.word()
                    };
                    format!(
                        "{}: run {} ({}) {what}",
                        run.environment, run.number, run.title
                    )
                })
            }
            Event::Findings {
                environment,
                findings,
            } => {
                let now: BTreeMap<String, &str> = findings
                    .iter()
                    .filter(|finding| finding.severity == Severity::Critical)
                    .map(|finding| {
                        (
                            format!("{} {}", finding.subject, finding.key),
                            finding.text.as_str(),
                        )
                    })
                    .collect();
                let keys: BTreeSet<String> = now.keys().cloned().collect();
                // What is wrong when the screens open is no news.
                let known = self.critical.insert(environment.clone(), keys)?;
                let (_, text) = now.iter().find(|(key, _)| !known.contains(*key))?;
                Some(format!("{environment}: {text}"))
            }
            _ => None,
        }
    }
}

/// The bytes of a signal.
fn sequence(signal: Signal, text: &str, tmux: bool) -> Option<String> {
    // A semicolon would end the text of OSC 777.
    let text: String = clean(text)
        .replace(';', ",")
        .chars()
        .take(LONGEST)
        .collect();
    let osc = match signal {
        Signal::Off => return None,
        Signal::Bell => return Some("\u{7}".into()),
        Signal::Osc9 => format!("\u{1b}]9;{text}\u{7}"),
        Signal::Osc777 => format!("\u{1b}]777;notify;Quarterdeck;{text}\u{7}"),
    };
    Some(if tmux {
        super::terminal::through_tmux(&osc)
    } else {
        osc
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::sample;

    fn ended() -> (Event, RunId) {
        let run = sample::runs()
            .into_iter()
            .find(|run| run.state.is_final())
            .unwrap();
        let id = run.id;
        (Event::Run(Box::new(run)), id)
    }

    fn findings(texts: &[&str]) -> Event {
        let finding = |text: &&str| crate::domain::finding::Finding {
            key: (*text).into(),
            severity: Severity::Critical,
            subject: crate::domain::finding::Subject::Environment,
            text: (*text).into(),
            evidence: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            remedy: None,
            because: None,
        };
        Event::Findings {
            environment: "lab".into(),
            findings: texts.iter().map(finding).collect(),
        }
    }

    #[test]
    fn a_run_of_mine_that_ends_rings_once_and_one_of_others_does_not() {
        let (event, id) = ended();
        let mut attention = Attention::new(Some(Signal::Bell), false);
        assert_eq!(attention.call(&event, &[]), None);
        assert_eq!(attention.call(&event, &[id]).as_deref(), Some("\u{7}"));
        assert_eq!(attention.call(&event, &[id]), None);
    }

    #[test]
    fn without_a_wish_it_rings_only_in_the_background() {
        for (focused, wanted, rings) in [
            (None, None, false),
            (Some(true), None, false),
            (Some(false), None, true),
            (Some(true), Some(Signal::Bell), false),
            (None, Some(Signal::Bell), true),
            (Some(false), Some(Signal::Off), false),
        ] {
            let (event, id) = ended();
            let mut attention = Attention::new(wanted, false);
            if let Some(focused) = focused {
                attention.focus(focused);
            }
            assert_eq!(
                attention.call(&event, &[id]).is_some(),
                rings,
                "{focused:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn a_critical_finding_is_told_when_it_appears_and_as_plain_text() {
        let mut attention = Attention::new(Some(Signal::Osc9), false);
        assert_eq!(attention.call(&findings(&["old"]), &[]), None);
        let told = attention
            .call(&findings(&["old", "new\u{7}\u{1b}]0;x"]), &[])
            .unwrap();
        assert!(
            told.starts_with("\u{1b}]9;lab: new") && told.ends_with('\u{7}'),
            "{told:?}"
        );
        assert_eq!(told.matches(['\u{1b}', '\u{7}']).count(), 2, "{told:?}");
        assert_eq!(attention.call(&findings(&["old"]), &[]), None);
    }

    #[test]
    fn inside_tmux_a_sequence_is_handed_through() {
        assert_eq!(
            sequence(Signal::Osc777, "a;b", true).unwrap(),
            "\u{1b}Ptmux;\u{1b}\u{1b}]777;notify;Quarterdeck;a,b\u{7}\u{1b}\\"
        );
    }
}
