//! Looking at a node: one script over one channel, nothing installed.
//!
//! ```text
//! probe.sh ──stdin──► sh on the node ──stdout──► Follower ── facts (once) and a NodeSample at each `@end`
//! ```
//!
//! The script prints what the node says, [`facts`] and [`sample`] understand it here: what changes is Rust with tests, not
//! shell. Everything may be missing, and is then unknown, never guessed. The channel is kept and a sample comes at every
//! interval; how often it is opened, and what becomes of trouble, is [`super::watch`]'s business.

mod facts;
mod sample;
mod words;

use std::time::Duration;

use jiff::Timestamp;

use self::facts::FactsReader;
use self::sample::SampleReader;
use crate::domain::live::{NodeFacts, NodeSample};
use crate::transport::Command;

/// See its own beginning.
const SCRIPT: &str = include_str!("probe.sh");
/// Samples over one channel before it is opened anew, which also asks for the facts again: ten minutes of them at one
/// every five seconds. Also the longest that a script nobody listens to could go on, were it not to notice.
pub(super) const ROUNDS: u32 = 120;
/// Samples over one channel where the host allows so few sessions that it cannot be kept: as many as rates need.
const MODEST_ROUNDS: u32 = 2;
/// The longest line that is looked at, bytes; longer ones are passed over.
const LONGEST: usize = 4096;

/// The command that looks at a node every `interval` (whole seconds, at least one). One that is `modest` looks twice, a second
/// apart, and ends; any other gives its session up when somebody waits for it.
pub(super) fn command(interval: Duration, modest: bool) -> Command {
    let seconds = interval.as_secs().max(1);
    let rounds = if modest { MODEST_ROUNDS } else { ROUNDS };
    let script = format!("interval={seconds}\nrounds={rounds}\n{SCRIPT}");
    // The limit only catches a script that neither ends nor speaks; silence is noticed long before.
    let limit = interval.saturating_mul(ROUNDS * 2) + Duration::from_secs(600);
    let command = Command::new(["sh"])
        .as_login_user()
        .with_stdin(script)
        .within(limit);
    if modest {
        command
    } else {
        command.giving_way()
    }
}

/// What a piece of the script's output amounts to.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    /// The script has begun.
    Hello,
    /// A whole sample; the facts are as new.
    Sample(Box<NodeSample>),
}

/// Where in its output the script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Section {
    #[default]
    Other,
    Facts,
    Cpu,
    Addresses,
    Programs,
    Clock,
    Sample,
    Disks,
    Units,
    Rare,
    Cost,
}

/// Puts the script's output together again, in bounded memory whatever it is.
#[derive(Debug, Default)]
pub(super) struct Follower {
    line: Vec<u8>,
    too_long: bool,
    section: Section,
    facts: FactsReader,
    sample: SampleReader,
}

impl Follower {
    /// Takes in bytes that arrived at `now`.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Timestamp) -> Vec<Told> {
        let mut told = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            if self.line.len() + text.len() > LONGEST {
                self.too_long = true;
            }
            if !self.too_long {
                self.line.extend_from_slice(text);
            }
            if ended {
                let line = std::mem::take(&mut self.line);
                if !std::mem::take(&mut self.too_long) {
                    told.extend(self.take(&String::from_utf8_lossy(&line), now));
                }
            }
        }
        told
    }

    /// What the node is, as far as it has told.
    pub(super) fn facts(&self) -> NodeFacts {
        let mut facts = self.facts.facts();
        self.sample.lacks(&mut facts.more.lacks);
        facts
    }

    fn take(&mut self, line: &str, now: Timestamp) -> Option<Told> {
        let Some(mark) = line.strip_prefix('@') else {
            match self.section {
                Section::Other => {}
                Section::Facts
                | Section::Cpu
                | Section::Addresses
                | Section::Programs
                | Section::Clock => self.facts.line(self.section, line, now),
                section => self.sample.line(section, line),
            }
            return None;
        };
        self.section = match mark {
            "facts" => Section::Facts,
            "cpu" => Section::Cpu,
            "addresses" => Section::Addresses,
            "programs" => Section::Programs,
            "clock" => Section::Clock,
            "sample" => {
                self.sample.begin();
                Section::Sample
            }
            "disks" => {
                self.sample.forget_disks();
                Section::Disks
            }
            "units" => {
                self.sample.forget_units();
                Section::Units
            }
            "rare" => Section::Rare,
            "cost" => Section::Cost,
            _ => Section::Other,
        };
        match mark {
            "hello" => Some(Told::Hello),
            "end" => Some(Told::Sample(Box::new(self.sample.end()))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
