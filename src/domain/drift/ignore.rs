//! Rules that say which drift is meant: kept in the workspace, each with a reason and an end.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::DriftKey;

/// Until when a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// Up to the end of this day (UTC).
    Day(Date),
    /// For good.
    Never,
}

impl Until {
    /// Whether it is over on `today`.
    pub fn is_over(self, today: Date) -> bool {
        matches!(self, Self::Day(day) if day < today)
    }
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day(day) => write!(f, "{day}"),
            Self::Never => f.write_str("never"),
        }
    }
}

/// Drift that is not to be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoreRule {
    /// What it covers: a [`DriftKey`] as text, in which `*` stands for anything.
    pub matches: String,
    /// Only in this environment; `None` means in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Until,
}

impl IgnoreRule {
    /// Whether it is about `key` in `environment`, expired or not.
    pub fn covers(&self, environment: &str, key: &DriftKey) -> bool {
        let here = self.environment.as_deref();
        here.is_none_or(|here| here == environment) && fits(&self.matches, &key.to_string())
    }
}

/// Reads how long something is to be ignored and why, as it is typed in one line: `30 tried out on purpose`, `never …`.
///
/// # Errors
/// What was expected, as a sentence.
pub fn wish(text: &str) -> Result<(Option<u32>, String), String> {
    let expected = || "DAYS or never, then why: `30 tried out on purpose`".to_owned();
    let (length, reason) = text.trim().split_once(' ').ok_or_else(expected)?;
    let days = match length {
        "never" => None,
        days => Some(days.parse().map_err(|_| expected())?),
    };
    Ok((days, reason.trim().to_owned()))
}

/// Whether `text` is as `pattern` says, in which `*` stands for any number of characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    // A split always has a first part.
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::drift::DriftSource;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_is_special() {
        for (pattern, text, yes) in [
            ("nodes:pc1/file /etc/motd", "nodes:pc1/file /etc/motd", true),
            ("nodes:pc1/*", "nodes:pc1/file /etc/motd", true),
            ("nodes:*/file /etc/motd", "nodes:pc1/file /etc/motd", true),
            ("*#mode", "nodes:pc1/file /etc/motd#mode", true),
            ("*#mode", "nodes:pc1/file /etc/motd#modes", false),
            ("nodes:*motd*", "nodes:pc1/file /etc/motd#mode", true),
            ("a*a", "a", false),
            ("a*b*c", "axxbyyc", true),
            ("a*c*b", "axxbyyc", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a.c", "abc", false),
        ] {
            assert_eq!(fits(pattern, text), yes, "{pattern} {text}");
        }
    }

    #[test]
    fn how_long_and_why_are_typed_in_one_line() {
        assert_eq!(wish("30 tried out"), Ok((Some(30), "tried out".into())));
        assert_eq!(wish("never it is so"), Ok((None, "it is so".into())));
        for wrong in ["", "30", "soon because", "-1 no"] {
            assert!(wish(wrong).unwrap_err().contains("DAYS"), "{wrong:?}");
        }
    }

    #[test]
    fn a_rule_holds_up_to_the_end_of_its_day_and_only_where_it_says() {
        let rule = IgnoreRule {
            matches: "nodes:pc1/*".into(),
            environment: Some("lab".into()),
            reason: "tried out".into(),
            expires: Until::Day(jiff::civil::date(2026, 3, 1)),
        };
        let key = DriftKey {
            source: DriftSource::Nodes,
            object: "pc1/file /etc/motd".into(),
            field: String::new(),
        };
        assert!(rule.covers("lab", &key));
        assert!(!rule.covers("production", &key));
        assert!(!rule.expires.is_over(jiff::civil::date(2026, 3, 1)));
        assert!(rule.expires.is_over(jiff::civil::date(2026, 3, 2)));
        assert!(!Until::Never.is_over(jiff::civil::date(9999, 1, 1)));
    }
}
