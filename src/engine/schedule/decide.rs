//! What a schedule has to do at a given moment: the rules, without any clock or engine.

use jiff::{SignedDuration, Timestamp};

use crate::domain::schedule::{Memory, Missed, Schedule};

/// A due time that is seen this late is still on time.
const ON_TIME: SignedDuration = SignedDuration::from_mins(1);
/// A clock may go back by this much, and what was due already is passed over. One that goes back further was wrong
/// before, and counting begins anew.
const SET_BACK: SignedDuration = SignedDuration::from_hours(24);

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is due.
    Wait,
    /// The newest due time; older ones that were not dealt with are settled with it.
    Run(Timestamp),
    /// The newest due time, and why there is no run.
    Skip(Timestamp, String),
    /// Due, but switched off or paused: settled without a word.
    Pass(Timestamp),
    /// The clock was wrong: count from now, and say why.
    Anew(String),
}

/// What `schedule` has to do at `now`.
///
/// However far the clock jumps there is at most one run, for the newest due time; and none for a time up to
/// [`Memory::settled`].
pub(super) fn decide(schedule: &Schedule, memory: &Memory, now: Timestamp) -> Step {
    let ahead = memory.settled.duration_since(now);
    if ahead > SET_BACK {
        return Step::Anew(format!(
            "the clock went back by {:#}; due times count from now on",
            round(ahead)
        ));
    }
    let Some(due) = schedule
        .timing
        .newest_until(now)
        .filter(|due| *due > memory.settled)
    else {
        return Step::Wait;
    };
    if !schedule.enabled || memory.paused_by.is_some() {
        return Step::Pass(due);
    }
    let late = now.duration_since(due);
    match schedule.missed {
        Missed::Skip if late > ON_TIME => Step::Skip(
            due,
            format!("missed: no engine was there until {:#} later", round(late)),
        ),
        _ => Step::Run(due),
    }
}

/// As people say it: seconds do not matter.
fn round(span: SignedDuration) -> SignedDuration {
    SignedDuration::from_mins(span.as_mins().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timing::Timing;
    use std::collections::{BTreeMap, BTreeSet};

    fn schedule(missed: Missed) -> Schedule {
        Schedule {
            environment: "lab".into(),
            name: "look".into(),
            recipe: "verify".into(),
            params: BTreeMap::new(),
            nodes: Vec::new(),
            timing: Timing::new("*/15 * * * *", Some("UTC")).unwrap(),
            missed,
            enabled: true,
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn memory(settled: &str) -> Memory {
        Memory::new(at(settled))
    }

    #[test]
    fn nothing_is_due_before_its_time_and_one_run_is_at_it() {
        let once = schedule(Missed::RunOnce);
        assert_eq!(
            decide(&once, &memory("12:00:00"), at("12:14:59")),
            Step::Wait
        );
        assert_eq!(
            decide(&once, &memory("12:00:00"), at("12:15:00")),
            Step::Run(at("12:15:00"))
        );
        assert_eq!(
            decide(&once, &memory("12:15:00"), at("12:15:00")),
            Step::Wait
        );
    }

    #[test]
    fn a_night_of_missed_times_is_one_run_or_a_note() {
        let night = memory("01:00:00");
        assert_eq!(
            decide(&schedule(Missed::RunOnce), &night, at("08:07:00")),
            Step::Run(at("08:00:00"))
        );
        assert_eq!(
            decide(&schedule(Missed::Skip), &night, at("08:07:00")),
            Step::Skip(
                at("08:00:00"),
                "missed: no engine was there until 7m later".into()
            )
        );
        assert_eq!(
            decide(&schedule(Missed::Skip), &night, at("08:00:20")),
            Step::Run(at("08:00:00"))
        );
    }

    #[test]
    fn a_paused_or_disabled_schedule_owes_nothing_later() {
        let mut paused = memory("12:00:00");
        paused.paused_by = Some("ada@jump".into());
        assert_eq!(
            decide(&schedule(Missed::RunOnce), &paused, at("12:15:00")),
            Step::Pass(at("12:15:00"))
        );
        let off = Schedule {
            enabled: false,
            ..schedule(Missed::RunOnce)
        };
        assert_eq!(
            decide(&off, &memory("12:00:00"), at("13:01:00")),
            Step::Pass(at("13:00:00"))
        );
    }

    #[test]
    fn a_clock_that_was_far_ahead_does_not_stop_a_schedule_for_years() {
        let ahead = Memory::new("2036-01-01T00:00:00Z".parse().unwrap());
        let Step::Anew(reason) = decide(&schedule(Missed::RunOnce), &ahead, at("12:00:00")) else {
            panic!("counting goes on from the wrong time");
        };
        assert!(reason.contains("the clock went back"), "{reason}");
    }

    #[test]
    fn whatever_the_clock_does_no_due_time_runs_twice_and_no_tick_runs_two() {
        for missed in [Missed::RunOnce, Missed::Skip] {
            let schedule = schedule(missed);
            for seed in 0..200 {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut now = at("12:00:00");
                let mut memory = Memory::new(now);
                let mut ran = BTreeSet::new();
                for _ in 0..200 {
                    // Mostly onwards, sometimes far, sometimes back by less than a day.
                    let step = match random.u8(0..10) {
                        0 => -random.i64(0..20 * 3600),
                        1 => random.i64(0..40 * 3600),
                        _ => random.i64(0..1200),
                    };
                    now += SignedDuration::from_secs(step);
                    match decide(&schedule, &memory, now) {
                        Step::Run(due) => {
                            assert!(due <= now && ran.insert(due), "seed {seed}: {due} twice");
                            memory.settled = due;
                        }
                        Step::Skip(due, _) | Step::Pass(due) => memory.settled = due,
                        // Back by days in sum: those due times lie in a future that was not.
                        Step::Anew(_) => {
                            memory.settled = now;
                            ran.retain(|due| *due <= now);
                        }
                        Step::Wait => {}
                    }
                }
            }
        }
    }
}
