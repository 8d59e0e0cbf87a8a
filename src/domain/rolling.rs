//! Going from host to host in batches, so that a mistake meets few hosts before it is noticed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a step goes through its hosts: a batch begins when all of the one before has ended, and not at all when the step has
/// failed on more than [`Rolling::max_fail`] hosts by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rolling {
    /// Hosts in a batch, as a number or a share of the step's hosts, such as `25%`, rounded up; default 1.
    #[serde(default = "one")]
    pub batch: Share,
    /// On how many hosts it may fail and still go on, as a number or a share, rounded down; default 0.
    #[serde(default)]
    pub max_fail: Share,
    /// How long to wait between two batches, such as `30s`; default: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
}

/// The longest pause between two batches.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

impl Rolling {
    /// How many hosts of `total` make a batch; at least 1.
    pub fn batch_of(&self, total: usize) -> usize {
        let batch = match self.batch {
            Share::Count(count) => count as usize,
            Share::Percent(percent) => (total * usize::from(percent)).div_ceil(100),
        };
        batch.max(1)
    }

    /// On how many hosts of `total` it may fail and still go on.
    pub fn max_fail_of(&self, total: usize) -> usize {
        match self.max_fail {
            Share::Count(count) => count as usize,
            Share::Percent(percent) => total * usize::from(percent) / 100,
        }
    }

    /// How long to wait between two batches.
    ///
    /// # Errors
    /// A sentence that shows how a pause is written, when this one cannot be read, is negative or longer than a day.
    pub fn pause(&self) -> Result<Duration, String> {
        let Some(text) = &self.pause else {
            return Ok(Duration::ZERO);
        };
        text.parse::<SignedDuration>()
            .ok()
            .and_then(|pause| Duration::try_from(pause).ok())
            .filter(|pause| *pause <= LONGEST_PAUSE)
            .ok_or_else(|| {
                format!("{text:?} is not a pause: write a number with a unit and at most a day, such as 30s or 5m")
            })
    }

    /// Whether it can be carried out.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn check(&self) -> Result<(), String> {
        if matches!(self.batch, Share::Count(0) | Share::Percent(0)) {
            return Err("a batch of no hosts would never come to an end: write 1 or more, or a share such as 25%".into());
        }
        self.pause().map(|_| ())
    }

    /// How it goes through `total` hosts, for the gate, such as `4 hosts, 2 at a time, stops after the first failure`.
    pub fn outlook(&self, total: usize) -> String {
        let batch = self.batch_of(total).min(total);
        let stops = match self.max_fail_of(total) {
            0 => "stops when it fails on one".to_owned(),
            most => format!("stops when it fails on more than {most}"),
        };
        let pause = match &self.pause {
            None => String::new(),
            Some(pause) => format!(", {pause} between batches"),
        };
        format!("host by host: {batch} of {total} at a time, {stops}{pause}")
    }
}

/// A number of hosts, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// Percent of all, 0 to 100.
    Percent(u8),
}

impl Default for Share {
    fn default() -> Self {
        Self::Count(0)
    }
}

const fn one() -> Share {
    Share::Count(1)
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is neither a number of hosts nor a share of them: write 2, or \"25%\""
            )
        };
        match text.trim().strip_suffix('%') {
            None => text.trim().parse().map(Self::Count).map_err(|_| wrong()),
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .map(Self::Percent)
                .ok_or_else(wrong),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Percent(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of hosts, such as 2, or a share of them, such as \"25%\"")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Share, E> {
                u32::try_from(count)
                    .map(Share::Count)
                    .map_err(|_| E::custom("more hosts than there can be"))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Share, E> {
                u32::try_from(count)
                    .map(Share::Count)
                    .map_err(|_| E::custom("a number of hosts is 0 or more"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Share, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Share {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of hosts, or a share of them.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]{1,10}$|^([0-9]|[1-9][0-9]|100)%$" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolling(text: &str) -> Result<Rolling, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_share_of_the_hosts_is_rounded_towards_caution_where_it_fails_and_towards_an_end_where_it_goes_on()
     {
        let quarter = rolling(r#"{"batch": "25%", "max_fail": "10%"}"#).unwrap();
        assert_eq!((quarter.batch_of(10), quarter.max_fail_of(19)), (3, 1));
        assert_eq!((quarter.batch_of(1), quarter.max_fail_of(9)), (1, 0));
    }

    #[test]
    fn without_more_words_it_goes_one_by_one_and_stops_at_the_first_failure() {
        let plain = rolling("{}").unwrap();
        assert_eq!((plain.batch_of(64), plain.max_fail_of(64)), (1, 0));
        assert_eq!(plain.pause(), Ok(Duration::ZERO));
        assert_eq!(
            plain.outlook(4),
            "host by host: 1 of 4 at a time, stops when it fails on one"
        );
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_an_example() {
        for bad in [
            r#"{"batch": "101%"}"#,
            r#"{"batch": -1}"#,
            r#"{"batch": "some"}"#,
        ] {
            assert!(rolling(bad).is_err(), "{bad}");
        }
        assert!(rolling(r#"{"batch": 0}"#).unwrap().check().is_err());
        for bad in ["soon", "-3s", "48h"] {
            let rolling = Rolling {
                pause: Some(bad.into()),
                ..rolling("{}").unwrap()
            };
            assert!(rolling.check().unwrap_err().contains("30s or 5m"), "{bad}");
        }
    }

    #[test]
    fn a_share_is_written_as_it_was_read() {
        let text = r#"{"batch":"25%","max_fail":1,"pause":"30s"}"#;
        assert_eq!(
            serde_json::to_string(&rolling(text).unwrap()).unwrap(),
            text
        );
    }
}
