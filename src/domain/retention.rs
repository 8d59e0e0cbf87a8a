//! How long history is kept, and which runs are to go.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::run::RunId;

/// How much of the history is kept; what exceeds one of the limits goes, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Runs that ended longer ago go.
    pub age: Option<SignedDuration>,
    /// At most so many runs of each environment stay.
    pub runs: Option<usize>,
    /// Runs go until the others take at most so many bytes.
    pub size: Option<u64>,
}

impl Retention {
    /// Everything is kept.
    pub const FOREVER: Self = Self {
        age: None,
        runs: None,
        size: None,
    };
}

impl Default for Retention {
    /// 180 days, 500 runs of each environment, 4 GiB in all.
    fn default() -> Self {
        Self {
            age: Some(SignedDuration::from_hours(180 * 24)),
            runs: Some(500),
            size: Some(4 << 30),
        }
    }
}

/// What has to be known of a run to decide whether it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The run.
    pub id: RunId,
    /// Its number.
    pub number: i64,
    /// The environment's name.
    pub environment: String,
    /// When it ended; `None` while it goes on.
    pub ended_at: Option<Timestamp>,
    /// Lines of its log.
    pub lines: u64,
    /// What it takes in the store, about.
    pub bytes: u64,
    /// The earlier run that it takes up or takes back.
    pub origin: Option<RunId>,
}

impl Retention {
    /// The runs that are to go, oldest first. Never one that goes on, nor one that such a run builds upon, however far back.
    pub fn choose(&self, runs: &[Kept], now: Timestamp) -> Vec<Kept> {
        let needed = needed(runs);
        let mut newest_first: Vec<&Kept> = runs.iter().collect();
        newest_first.sort_by_key(|run| std::cmp::Reverse(run.number));
        let mut of_environment: BTreeMap<&str, usize> = BTreeMap::new();
        let mut bytes = 0_u64;
        let mut gone = Vec::new();
        for run in newest_first {
            let count = of_environment.entry(&run.environment).or_default();
            let too_old =
                |ended: Timestamp| self.age.is_some_and(|age| now.duration_since(ended) > age);
            let goes = match run.ended_at {
                Some(ended) if !needed.contains(&run.id) => {
                    too_old(ended)
                        || self.runs.is_some_and(|most| *count >= most)
                        || self
                            .size
                            .is_some_and(|most| bytes.saturating_add(run.bytes) > most)
                }
                _ => false,
            };
            if goes {
                gone.push(run.clone());
            } else {
                *count += 1;
                bytes = bytes.saturating_add(run.bytes);
            }
        }
        gone.reverse();
        gone
    }
}

/// The earlier runs that unfinished ones build upon.
fn needed(runs: &[Kept]) -> Vec<RunId> {
    let mut needed: Vec<RunId> = Vec::new();
    let mut open: Vec<RunId> = runs
        .iter()
        .filter(|run| run.ended_at.is_none())
        .filter_map(|run| run.origin)
        .collect();
    while let Some(id) = open.pop() {
        if needed.contains(&id) {
            continue;
        }
        needed.push(id);
        let origin = runs.iter().find(|run| run.id == id);
        open.extend(origin.and_then(|run| run.origin));
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: i64) -> RunId {
        RunId(uuid::Uuid::from_u128(u128::from(number.unsigned_abs())))
    }

    /// A run that ended so many days after the first day.
    fn run(number: i64, environment: &str, day: Option<i64>) -> Kept {
        Kept {
            id: id(number),
            number,
            environment: environment.into(),
            ended_at: day.map(|day| Timestamp::from_second(day * 86_400).unwrap()),
            lines: 10,
            bytes: 100,
            origin: None,
        }
    }

    fn chosen(rule: Retention, runs: &[Kept], day: i64) -> Vec<i64> {
        let now = Timestamp::from_second(day * 86_400).unwrap();
        rule.choose(runs, now)
            .iter()
            .map(|run| run.number)
            .collect()
    }

    #[test]
    fn runs_that_ended_too_long_ago_go() {
        let rule = Retention {
            age: Some(SignedDuration::from_hours(48)),
            ..Retention::FOREVER
        };
        let runs = [
            run(1, "lab", Some(1)),
            run(2, "lab", Some(7)),
            run(3, "lab", Some(9)),
        ];
        assert_eq!(chosen(rule, &runs, 10), [1, 2]);
    }

    #[test]
    fn the_newest_of_each_environment_stay() {
        let rule = Retention {
            runs: Some(2),
            ..Retention::FOREVER
        };
        let runs: Vec<Kept> = (1..=8)
            .map(|number| {
                run(
                    number,
                    if number % 2 == 0 { "lab" } else { "home" },
                    Some(1),
                )
            })
            .collect();
        assert_eq!(chosen(rule, &runs, 2), [1, 2, 3, 4]);
    }

    #[test]
    fn runs_go_until_the_rest_fits() {
        let rule = Retention {
            size: Some(250),
            ..Retention::FOREVER
        };
        let runs: Vec<Kept> = (1..=5).map(|number| run(number, "lab", Some(1))).collect();
        assert_eq!(chosen(rule, &runs, 2), [1, 2, 3]);
    }

    #[test]
    fn a_run_that_goes_on_and_what_it_builds_upon_stay_whatever_the_rule_says() {
        let rule = Retention {
            age: Some(SignedDuration::ZERO),
            runs: Some(0),
            size: Some(0),
        };
        let mut runs: Vec<Kept> = (1..=4).map(|number| run(number, "lab", Some(1))).collect();
        runs[2].origin = Some(id(1));
        runs.push(Kept {
            origin: Some(id(3)),
            ..run(5, "lab", None)
        });
        assert_eq!(chosen(rule, &runs, 100), [2, 4]);
    }

    #[test]
    fn a_clock_that_jumped_back_makes_no_run_old() {
        let rule = Retention {
            age: Some(SignedDuration::from_hours(1)),
            ..Retention::FOREVER
        };
        assert_eq!(chosen(rule, &[run(1, "lab", Some(50))], 1), [0_i64; 0]);
    }
}
