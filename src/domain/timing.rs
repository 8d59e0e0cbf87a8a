//! When something is due: a cron expression in a time zone.
//!
//! Due times are *local* times, and each local time is due exactly once. Where the clock is set forward, the times that
//! do not exist are due together at the moment of the change; where it is set back, a time that comes twice is due the
//! first time only, so a rhythm of minutes rests for the repeated hour. `timezone: UTC` has neither.
//!
//! croner counts through the calendar without any zone; what an offset change means is decided here.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Unit};

/// The nicknames that are understood, for help texts.
pub const NICKNAMES: &[&str] = &["@hourly", "@daily", "@weekly", "@monthly", "@yearly"];

/// The five fields by their position: name, least, greatest.
const FIELDS: [(&str, u16, u16); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
];

/// How many local times may share one instant: the minutes of two hours. No change of a clock is longer, except where a
/// whole day was skipped (Samoa in 2011), which is not repeated.
const SHARED: usize = 120;

/// Why an expression cannot be used: what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimingError(String);

/// A cron expression of five fields (or a nickname such as `@daily`) in a time zone.
#[derive(Clone, PartialEq, Eq)]
pub struct Timing {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timing({} {})", self.text, self.zone())
    }
}

impl Timing {
    /// Reads `cron` in the time zone called `zone` (an IANA name); without one, in the machine's.
    ///
    /// # Errors
    /// [`TimingError`] when the expression or the name of the zone is wrong, or the expression is never due.
    pub fn new(cron: &str, zone: Option<&str>) -> Result<Self, TimingError> {
        let zone = match zone {
            None => TimeZone::system(),
            Some(name) => TimeZone::get(name).map_err(|_| {
                TimingError(format!(
                    "{name:?} is not a time zone; write an IANA name such as Europe/Berlin, or UTC"
                ))
            })?,
        };
        let timing = Self {
            text: cron.trim().to_owned(),
            cron: parse(cron.trim())?,
            zone,
        };
        let from = DateTime::constant(2000, 1, 1, 0, 0, 0, 0);
        if timing.cron.find_next_occurrence(&from, true).is_err() {
            return Err(TimingError(format!(
                "{:?} is never due: no month has such a day",
                timing.text
            )));
        }
        Ok(timing)
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the zone; `local` for a machine whose zone has none.
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("local")
    }

    /// The zone itself, for showing due times as they are meant.
    pub const fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first due time after `then`; `None` past the end of the calendar.
    pub fn next_after(&self, then: Timestamp) -> Option<Timestamp> {
        let mut local = self.local(then)?;
        // Local times that come twice were due the first time: in the second hour they are passed over.
        for _ in 0..=SHARED {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let due = self.instant(local)?;
            if due > then {
                return Some(due);
            }
        }
        None
    }

    /// The newest due time that is not after `then`.
    pub fn newest_until(&self, then: Timestamp) -> Option<Timestamp> {
        let mut local = self
            .cron
            .find_previous_occurrence(&self.local(then)?, true)
            .ok()?;
        let mut newest = self.instant(local)?;
        for _ in 0..=SHARED {
            local = self.cron.find_next_occurrence(&local, false).ok()?;
            let due = self.instant(local)?;
            if due > then {
                break;
            }
            newest = due;
        }
        Some(newest)
    }

    /// The first `count` due times after `then`.
    pub fn upcoming(&self, then: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(then), |due| self.next_after(*due))
            .take(count)
            .collect()
    }

    fn local(&self, then: Timestamp) -> Option<DateTime> {
        let floor = jiff::civil::DateTimeRound::new()
            .smallest(Unit::Second)
            .mode(jiff::RoundMode::Floor);
        self.zone.to_datetime(then).round(floor).ok()
    }

    /// When a local time is due.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            // The one before the clock is set back.
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            // By the offset to come, the missing time lies before the change.
            AmbiguousOffset::Gap { after, .. } => {
                let before_change = after.to_timestamp(local).ok()?;
                let change = self.zone.following(before_change).next()?;
                Some(change.timestamp())
            }
        }
    }
}

fn parse(text: &str) -> Result<Cron, TimingError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    match fields.as_slice() {
        [] => return Err(TimingError("the expression is empty".into())),
        [nickname] if nickname.starts_with('@') => {
            if !NICKNAMES.contains(nickname) {
                return Err(TimingError(format!(
                    "{nickname:?} is not known; there are {}",
                    NICKNAMES.join(", ")
                )));
            }
        }
        fields if fields.len() != FIELDS.len() => {
            return Err(TimingError(format!(
                "{text:?} has {} field{}; five are needed: minute, hour, day of the month, month, day of the week",
                fields.len(),
                if fields.len() == 1 { "" } else { "s" },
            )));
        }
        fields => {
            for (number, field) in fields.iter().enumerate() {
                // With stars elsewhere, what is wrong is wrong with this one.
                let mut alone = ["*"; FIELDS.len()];
                alone[number] = field;
                if parser().parse(&alone.join(" ")).is_err() {
                    let (name, least, greatest) = FIELDS[number];
                    return Err(TimingError(format!(
                        "{field:?} is no {name}: numbers from {least} to {greatest}{}, with `*`, `,`, `-` and `*/n`",
                        match number {
                            3 => " or JAN to DEC",
                            4 => " or SUN to SAT",
                            _ => "",
                        }
                    )));
                }
            }
        }
    }
    parser()
        .parse(text)
        .map_err(|error| TimingError(error.to_string()))
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin(cron: &str) -> Timing {
        Timing::new(cron, Some("Europe/Berlin")).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Due times from `from` to `to`, in UTC, without the date.
    fn due(timing: &Timing, from: &str, to: &str) -> Vec<String> {
        let to = at(to);
        std::iter::successors(timing.next_after(at(from)), |due| timing.next_after(*due))
            .take_while(|due| *due <= to)
            .map(|due| due.strftime("%H:%M").to_string())
            .collect()
    }

    fn error(cron: &str) -> String {
        Timing::new(cron, Some("UTC")).unwrap_err().to_string()
    }

    #[test]
    fn a_quarter_of_an_hour_is_due_four_times() {
        let times = due(
            &berlin("*/15 * * * *"),
            "2026-11-21T12:00:00Z",
            "2026-11-21T13:00:00Z",
        );
        assert_eq!(times, ["12:15", "12:30", "12:45", "13:00"]);
    }

    #[test]
    fn local_midnight_moves_with_the_season() {
        let daily = berlin("@daily");
        assert_eq!(
            daily.next_after(at("2026-01-10T12:00:00Z")),
            Some(at("2026-01-10T23:00:00Z"))
        );
        assert_eq!(
            daily.next_after(at("2026-07-10T12:00:00Z")),
            Some(at("2026-07-10T22:00:00Z"))
        );
    }

    #[test]
    fn times_that_the_spring_leaves_out_are_due_once_at_the_change() {
        // Berlin, 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC.
        let night = ("2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z");
        assert_eq!(due(&berlin("30 2 * * *"), night.0, night.1), ["01:00"]);
        assert_eq!(
            due(&berlin("*/30 * * * *"), night.0, night.1),
            ["00:00", "00:30", "01:00", "01:30", "02:00", "02:30"]
        );
    }

    #[test]
    fn times_that_the_autumn_repeats_are_due_the_first_time_only() {
        // Berlin, 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC.
        let night = ("2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z");
        assert_eq!(due(&berlin("30 2 * * *"), night.0, night.1), ["00:30"]);
        assert_eq!(
            due(&berlin("*/30 * * * *"), night.0, night.1),
            ["00:00", "00:30", "02:00", "02:30"]
        );
        let utc = Timing::new("*/30 * * * *", Some("UTC")).unwrap();
        assert_eq!(due(&utc, night.0, night.1).len(), 6);
    }

    #[test]
    fn every_local_time_of_a_year_is_due_exactly_once() {
        for zone in ["America/New_York", "Australia/Lord_Howe"] {
            let timing = Timing::new("37 * * * *", Some(zone)).unwrap();
            let (mut then, end) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"));
            let mut seen = std::collections::BTreeSet::new();
            while let Some(due) = timing.next_after(then).filter(|due| *due < end) {
                assert!(due > then, "{zone}");
                assert_eq!(timing.newest_until(due), Some(due), "{zone} {due}");
                assert_eq!(
                    timing
                        .newest_until(due - jiff::SignedDuration::from_secs(1))
                        .unwrap()
                        .max(then),
                    then,
                    "{zone} {due}"
                );
                assert!(
                    seen.insert(timing.zone.to_datetime(due)),
                    "{zone} {due} twice"
                );
                then = due;
            }
            assert!(
                (8_755..=8_761).contains(&seen.len()),
                "{zone}: {}",
                seen.len()
            );
        }
    }

    #[test]
    fn after_a_long_absence_the_newest_due_time_is_found_at_once() {
        let timing = berlin("0 3 * * *");
        assert_eq!(
            timing.newest_until(at("2026-11-21T12:00:00Z")),
            Some(at("2026-11-21T02:00:00Z"))
        );
        // In the repeated hour the newest is the last of the first pass.
        let minutes = berlin("*/20 * * * *");
        assert_eq!(
            minutes.newest_until(at("2026-10-25T01:05:00Z")),
            Some(at("2026-10-25T00:40:00Z"))
        );
    }

    #[test]
    fn what_is_wrong_with_an_expression_is_said_by_field() {
        assert!(error("61 * * * *").contains("\"61\" is no minute: numbers from 0 to 59"));
        assert!(error("* 24 * * *").contains("\"24\" is no hour"));
        assert!(error("* * * * MOO").contains("day of the week"));
        assert!(error("*/0 * * * *").contains("minute"));
        assert!(error("* * * *").contains("has 4 fields; five are needed"));
        assert!(error("0 0 * * * *").contains("has 6 fields"));
        assert!(error("@dayly").contains("@daily"));
        assert!(error("").contains("empty"));
        assert!(error("0 0 30 2 *").contains("never due"));
        let zone = Timing::new("@daily", Some("Europe/Atlantis")).unwrap_err();
        assert!(zone.to_string().contains("IANA name"), "{zone}");
    }

    #[test]
    fn no_text_makes_it_panic_or_search_for_ever() {
        for text in [
            "@",
            "* * * * * * *",
            "-1 * * * *",
            "1-0 * * * *",
            "99999999999 * * * *",
            "ü * * * *",
            "* * L * *",
            "* * 31W 2 *",
            "* * * * 5#9",
        ] {
            if let Ok(timing) = Timing::new(text, Some("UTC")) {
                let _ = timing.upcoming(at("2026-01-01T00:00:00Z"), 3);
            }
        }
    }
}
