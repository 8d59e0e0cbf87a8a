//! Lines of several nodes in the order of their own times, as far as that can be had without waiting for ever.
//!
//! A line is held back for [`PATIENCE`] after it arrived, so that one of another node that was said before it can still be
//! put in front. What arrives later than that comes out of order, with its own time on it. Never more than [`MOST`] are
//! held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

use crate::client::conversation::Followed;

/// How long a line waits for those before it.
pub(super) const PATIENCE: Duration = Duration::from_millis(600);
/// Lines held back at most.
pub(super) const MOST: usize = 10_000;
/// Lines handed out at once.
const BATCH: usize = 200;

/// Lines that are held back.
#[derive(Default)]
pub(super) struct Reorder {
    heap: BinaryHeap<Reverse<Held>>,
    count: u64,
}

struct Held {
    at: Timestamp,
    /// Keeps lines of one moment in the order of their arrival.
    number: u64,
    arrived: Duration,
    line: Followed,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Held {}
impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Reorder {
    /// Takes a line in that arrived at `now`, on a clock that only goes forward.
    pub(super) fn push(&mut self, line: Followed, now: Duration) {
        let held = Held {
            at: line.at.unwrap_or(line.arrived),
            number: self.count,
            arrived: now,
            line,
        };
        self.count += 1;
        self.heap.push(Reverse(held));
    }

    /// Lines that have waited long enough, or for which there is no room; a bounded number.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Followed> {
        let mut lines = Vec::new();
        while lines.len() < BATCH
            && let Some(Reverse(first)) = self.heap.peek()
            && (self.heap.len() > MOST || first.arrived + PATIENCE <= now)
            && let Some(Reverse(held)) = self.heap.pop()
        {
            lines.push(held.line);
        }
        lines
    }

    /// What is left when nothing more will come; a bounded number.
    pub(super) fn rest(&mut self) -> Vec<Followed> {
        let mut lines = Vec::new();
        while lines.len() < BATCH
            && let Some(Reverse(held)) = self.heap.pop()
        {
            lines.push(held.line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: &str, second: i64) -> Followed {
        Followed {
            node: node.into(),
            at: Some(Timestamp::from_second(second).unwrap()),
            arrived: Timestamp::from_second(100).unwrap(),
            unit: None,
            level: None,
            text: format!("{node} at {second}"),
        }
    }

    fn texts(lines: Vec<Followed>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_line_that_was_said_before_but_arrives_after_comes_first() {
        let mut reorder = Reorder::default();
        reorder.push(line("a", 20), Duration::ZERO);
        reorder.push(line("b", 10), PATIENCE / 2);
        assert!(reorder.due(PATIENCE / 2).is_empty());
        let all = reorder.due(PATIENCE * 2);
        assert_eq!(texts(all), ["b at 10", "a at 20"]);
    }

    #[test]
    fn lines_of_one_moment_stay_in_their_order() {
        let mut reorder = Reorder::default();
        for number in 0..50 {
            let text = number.to_string();
            reorder.push(
                Followed {
                    text,
                    ..line("a", 1)
                },
                Duration::ZERO,
            );
        }
        let numbers: Vec<u32> = texts(reorder.rest())
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert!(numbers.is_sorted());
    }

    #[test]
    fn no_more_than_so_many_are_held_back() {
        let mut reorder = Reorder::default();
        for number in 0..i64::try_from(MOST + 300).unwrap() {
            reorder.push(line("a", number), Duration::ZERO);
        }
        let mut out = 0;
        loop {
            match reorder.due(Duration::ZERO).len() {
                0 => break,
                some => out += some,
            }
        }
        assert_eq!(out, 300);
    }
}
