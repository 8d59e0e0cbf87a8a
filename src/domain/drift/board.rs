//! The drift board: what differs, since when, what is ignored and why, and what is not known.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ignore::IgnoreRule;
use super::{DriftSource, Drifted};
use crate::domain::finding::{Finding, Severity, Subject};
use crate::domain::remedy::Remedy;

/// The key of the one finding that an environment has about its drift.
pub const FINDING: &str = "drift";

/// A difference that was found and is not known to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDrift {
    /// What differs.
    #[serde(flatten)]
    pub drifted: Drifted,
    /// Which part of the source it belongs to.
    pub scope: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

/// When a part of a source was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// The source.
    pub source: DriftSource,
    /// Which part of it.
    pub scope: String,
    /// The last attempt.
    pub looked_at: Timestamp,
    /// The last attempt that saw something; `None` when none ever did.
    pub known_at: Option<Timestamp>,
    /// Why the last attempt saw nothing; `None` when it did.
    pub trouble: Option<String>,
}

/// A row of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRow {
    /// What differs, and since when.
    #[serde(flatten)]
    pub known: KnownDrift,
    /// The rule that hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<IgnoreRule>,
    /// A rule that hid it until it expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expired: Option<IgnoreRule>,
    /// Why it is not known whether it still differs; `None` when the last look saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Everything about the drift of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DriftBoard {
    /// What differs, by source and object; ignored rows are among them.
    pub rows: Vec<DriftRow>,
    /// Every part that was ever looked at and still exists.
    pub looks: Vec<Looked>,
    /// Rules that have expired, whether they cover anything or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<IgnoreRule>,
    /// Why the rules cannot be read; nothing is hidden then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_trouble: Option<String>,
}

/// How one source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Rows that are not ignored.
    pub open: usize,
    /// Rows that are.
    pub ignored: usize,
    /// Parts of which nothing is known at the moment.
    pub unknown: usize,
    /// Parts that were looked at.
    pub parts: usize,
}

impl DriftBoard {
    /// The board of `environment` from what is known and the rules of its workspace, as of `now`.
    pub fn of(
        environment: &str,
        known: Vec<KnownDrift>,
        looks: Vec<Looked>,
        rules: Result<Vec<IgnoreRule>, String>,
        now: Timestamp,
    ) -> Self {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let (rules, rules_trouble) = match rules {
            Ok(rules) => (rules, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let (over, in_force): (Vec<IgnoreRule>, Vec<IgnoreRule>) = rules
            .into_iter()
            .filter(|rule| {
                let here = rule.environment.as_deref();
                here.is_none_or(|here| here == environment)
            })
            .partition(|rule| rule.expires.is_over(today));
        let covering = |rules: &[IgnoreRule], drifted: &Drifted| {
            let mut rules = rules.iter();
            rules
                .find(|rule| rule.covers(environment, &drifted.key))
                .cloned()
        };
        let mut rows: Vec<DriftRow> = known
            .into_iter()
            .map(|known| {
                let look = looks.iter().find(|look| {
                    look.source == known.drifted.key.source && look.scope == known.scope
                });
                DriftRow {
                    ignored: covering(&in_force, &known.drifted),
                    expired: covering(&over, &known.drifted),
                    trouble: look.and_then(|look| look.trouble.clone()),
                    known,
                }
            })
            .collect();
        rows.sort_by(|a, b| a.known.drifted.key.cmp(&b.known.drifted.key));
        Self {
            rows,
            looks,
            expired: over,
            rules_trouble,
        }
    }

    /// The rows that are not ignored.
    pub fn open(&self) -> impl Iterator<Item = &DriftRow> {
        self.rows.iter().filter(|row| row.ignored.is_none())
    }

    /// The parts of which nothing is known at the moment.
    pub fn unknown(&self) -> impl Iterator<Item = &Looked> {
        self.looks.iter().filter(|look| look.trouble.is_some())
    }

    /// How each source stands that was looked at.
    pub fn counts(&self) -> BTreeMap<DriftSource, Count> {
        let mut counts: BTreeMap<DriftSource, Count> = BTreeMap::new();
        for look in &self.looks {
            let count = counts.entry(look.source).or_default();
            count.parts += 1;
            count.unknown += usize::from(look.trouble.is_some());
        }
        for row in &self.rows {
            let count = counts.entry(row.known.drifted.key.source).or_default();
            if row.ignored.is_some() {
                count.ignored += 1;
            } else {
                count.open += 1;
            }
        }
        counts
    }

    /// The one finding about all drift that is not ignored; `None` when there is none.
    ///
    /// One row is repaired by its own reconcile. Of several the nodes' and versions' are repaired by what deploys them; the
    /// others one by one, from the board.
    pub fn finding(&self) -> Option<Finding> {
        let open: Vec<&DriftRow> = self.open().collect();
        let oldest = open.iter().map(|row| row.known.first_seen).min()?;
        let first = &open.first()?.known.drifted;
        let deployed = |row: &&DriftRow| {
            matches!(
                row.known.drifted.key.source,
                DriftSource::Nodes | DriftSource::Versions
            )
        };
        let remedy = match open.as_slice() {
            [only] => only.known.drifted.reconcile.clone(),
            several if several.iter().any(deployed) => Some(Remedy::recipe("deploy")),
            _ => first.reconcile.clone(),
        };
        let more = match open.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(Finding {
            key: FINDING.into(),
            severity: Severity::Warning,
            subject: Subject::Environment,
            text: format!("{} drifted{more}", first.key.object),
            evidence: format!(
                "{}: {} instead of {}; the drift board has every row",
                first.key, first.actual, first.desired
            ),
            since: oldest,
            remedy,
            because: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::drift::ignore::Until;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn known(object: &str, source: DriftSource) -> KnownDrift {
        KnownDrift {
            drifted: Drifted::new(source, object, "mode", "0644", "0600"),
            scope: "part".into(),
            first_seen: at(100),
            last_seen: at(200),
        }
    }

    fn rule(matches: &str, expires: Until) -> IgnoreRule {
        IgnoreRule {
            matches: matches.into(),
            environment: None,
            reason: "meant".into(),
            expires,
        }
    }

    #[test]
    fn a_rule_hides_until_it_expires_and_then_is_shown_itself() {
        let rows = || {
            vec![
                known("pc1/file /a", DriftSource::Nodes),
                known("pc1/file /b", DriftSource::Nodes),
            ]
        };
        let past = Until::Day(jiff::civil::date(1969, 1, 1));
        let rules = vec![
            rule("nodes:*/a#mode", Until::Never),
            rule("nodes:*/b#*", past),
        ];
        let board = DriftBoard::of("lab", rows(), Vec::new(), Ok(rules), at(300));
        let open: Vec<&DriftRow> = board.open().collect();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].known.drifted.key.object, "pc1/file /b");
        assert_eq!(open[0].expired.as_ref().unwrap().reason, "meant");
        assert_eq!(board.expired.len(), 1);
        let broken = DriftBoard::of("lab", rows(), Vec::new(), Err("line 3".into()), at(300));
        assert_eq!(
            broken.open().count(),
            2,
            "rules that cannot be read hide nothing"
        );
    }

    #[test]
    fn what_could_not_be_looked_at_is_not_known_and_keeps_its_rows() {
        let look = Looked {
            source: DriftSource::Nodes,
            scope: "part".into(),
            looked_at: at(300),
            known_at: Some(at(200)),
            trouble: Some("no route to host".into()),
        };
        let row = known("pc1/file /a", DriftSource::Nodes);
        let board = DriftBoard::of("lab", vec![row], vec![look], Ok(Vec::new()), at(400));
        assert_eq!(board.rows[0].trouble.as_deref(), Some("no route to host"));
        let count = board.counts()[&DriftSource::Nodes];
        assert_eq!((count.open, count.unknown, count.parts), (1, 1, 1));
    }

    #[test]
    fn all_drift_is_one_finding_that_leads_to_what_repairs_it() {
        let none = DriftBoard::of("lab", Vec::new(), Vec::new(), Ok(Vec::new()), at(400));
        assert_eq!(none.finding(), None);
        let rows = vec![
            known("pc1/file /a", DriftSource::Nodes),
            known("consul/kv/x", DriftSource::Consul),
        ];
        let board = DriftBoard::of("lab", rows, Vec::new(), Ok(Vec::new()), at(400));
        let finding = board.finding().unwrap();
        assert_eq!(finding.since, at(100));
        assert_eq!(finding.remedy, Some(Remedy::recipe("deploy")));
        assert!(finding.text.contains("and 1 more"), "{}", finding.text);
        let ignored = rule("*", Until::Never);
        let rows = vec![known("pc1/file /a", DriftSource::Nodes)];
        let board = DriftBoard::of("lab", rows, Vec::new(), Ok(vec![ignored]), at(400));
        assert_eq!(board.finding(), None, "what is ignored is no finding");
    }
}
