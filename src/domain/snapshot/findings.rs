//! What is wrong with an environment's snapshots: none at all, too old, damaged, not to be had.

use jiff::{SignedDuration, Timestamp};

use super::{Failure, Snapshot, Unread};
use crate::domain::environment::Environment;
use crate::domain::finding::{Finding, Severity, Subject};
use crate::domain::remedy::Remedy;

/// What is on the shelf.
#[derive(Debug, Clone, Default)]
pub struct Shelved {
    /// Every snapshot, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Stores whose newest attempt failed.
    pub failures: Vec<Failure>,
    /// Accounts that cannot be read.
    pub unread: Vec<Unread>,
}

/// The recipe that takes snapshots.
const TAKE: &str = "snapshot";

/// Everything wrong with the snapshots of `environment` at `now`. The keys of findings that this gives begin with
/// `snapshot:`.
pub fn assess(environment: &Environment, shelved: &Shelved, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for store in environment.stores() {
        let subject = if environment.service(&store.name).is_some() {
            Subject::Service(store.name.clone())
        } else {
            Subject::Environment
        };
        let mut add = |what: &str, severity, text: String, evidence: String, since| {
            found.push(Finding {
                key: format!("snapshot:{what}:{}", store.name),
                severity,
                subject: subject.clone(),
                text,
                evidence,
                since,
                // A new one does not mend the account of an old one.
                remedy: (what != "unread")
                    .then(|| Remedy::recipe(TAKE).with("service", &store.name)),
                because: None,
            });
        };
        let own: Vec<&Snapshot> = shelved
            .snapshots
            .iter()
            .filter(|one| one.environment == environment.name && one.service == store.name)
            .collect();
        for one in &own {
            if let Some(look) = &one.look
                && let Some(flaw) = &look.flaw
            {
                add(
                    "damaged",
                    Severity::Critical,
                    format!("snapshot {} is damaged", one.id()),
                    flaw.clone(),
                    look.at,
                );
            }
        }
        if let Some(drilled) = own.iter().rev().find_map(|one| one.drill.as_ref())
            && let Some(flaw) = &drilled.flaw
        {
            add(
                "drill",
                Severity::Warning,
                format!("the last drill of {} failed", store.name),
                flaw.clone(),
                drilled.at,
            );
        }
        let newest = own.iter().rev().find(|one| one.is_whole());
        if let Some(failure) = shelved
            .failures
            .iter()
            .find(|one| one.environment == environment.name && one.service == store.name)
        {
            add(
                "failed",
                Severity::Warning,
                format!("no snapshot of {} could be taken", store.name),
                failure.reason.clone(),
                failure.at,
            );
        }
        let of_store =
            |one: &&Unread| one.environment == environment.name && one.service == store.name;
        let unread: Vec<&Unread> = shelved.unread.iter().filter(of_store).collect();
        if let Some(first) = unread.first() {
            let evidence = match unread.len() - 1 {
                0 => first.to_string(),
                more => format!("{first}, and {more} more"),
            };
            let text = format!(
                "a snapshot of {} cannot be told from its account",
                store.name
            );
            add("unread", Severity::Warning, text, evidence, now);
        }
        let Some(within) = environment.snapshots_within() else {
            continue;
        };
        match newest {
            None => add(
                "none",
                Severity::Warning,
                format!("there is no verified snapshot of {}", store.name),
                format!("{} asks for one within {}", environment.name, short(within)),
                now,
            ),
            Some(newest) if now.duration_since(newest.taken_at) > within => add(
                "old",
                Severity::Warning,
                format!(
                    "the newest verified snapshot of {} is {} old",
                    store.name,
                    short(now.duration_since(newest.taken_at))
                ),
                format!("{} asks for one within {}", environment.name, short(within)),
                newest.taken_at.saturating_add(within).unwrap_or(now),
            ),
            Some(_) => {}
        }
    }
    found
}

/// In days, hours or minutes, whichever says enough.
fn short(span: SignedDuration) -> String {
    match span.as_secs() {
        seconds if seconds >= 48 * 3600 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} min", seconds.max(0) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, environment, snapshot};
    use super::super::{Drill, Look};
    use super::*;

    fn keys(environment: &Environment, shelved: &Shelved, second: i64) -> Vec<String> {
        let found = assess(environment, shelved, at(second));
        found.into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn a_store_without_a_recent_snapshot_is_a_finding_where_that_is_asked_for() {
        let mut place = environment();
        let mut shelved = Shelved::default();
        assert!(keys(&place, &shelved, 0).is_empty(), "nothing is asked for");
        place.backups.within = Some(3600);
        assert_eq!(keys(&place, &shelved, 0), ["snapshot:none:consul"]);
        shelved.snapshots = vec![snapshot("consul", 100)];
        assert!(keys(&place, &shelved, 3700).is_empty());
        assert_eq!(keys(&place, &shelved, 3701), ["snapshot:old:consul"]);
        let old = assess(&place, &shelved, at(9000)).remove(0);
        assert_eq!(
            (old.text.as_str(), old.since),
            (
                "the newest verified snapshot of consul is 2 h old",
                at(3700)
            )
        );
    }

    #[test]
    fn a_protected_environment_asks_by_itself() {
        let mut place = environment();
        place.protection = crate::domain::environment::Protection::TwoPerson;
        assert_eq!(
            keys(&place, &Shelved::default(), 0),
            ["snapshot:none:consul"]
        );
    }

    #[test]
    fn a_damaged_one_is_a_finding_and_no_longer_counts_as_recent() {
        let mut place = environment();
        place.backups.within = Some(3600);
        let mut damaged = snapshot("consul", 100);
        damaged.look = Some(Look {
            at: at(200),
            flaw: Some("its checksum is another".into()),
        });
        let shelved = Shelved {
            snapshots: vec![damaged],
            ..Shelved::default()
        };
        assert_eq!(
            keys(&place, &shelved, 300),
            ["snapshot:damaged:consul", "snapshot:none:consul"]
        );
    }

    #[test]
    fn an_account_that_cannot_be_read_is_a_finding_that_names_the_file() {
        let unread = |service: &str| Unread {
            environment: "lab".into(),
            service: service.into(),
            path: "/shelf/lab/consul/x.json".into(),
            reason: "EOF".into(),
        };
        let shelved = Shelved {
            unread: vec![unread("consul"), unread("consul"), unread("other")],
            ..Shelved::default()
        };
        let found = assess(&environment(), &shelved, at(10));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].key, "snapshot:unread:consul");
        assert_eq!(
            found[0].evidence,
            "/shelf/lab/consul/x.json: EOF, and 1 more"
        );
        assert_eq!(found[0].remedy, None);
        assert!(found[0].advice().contains("remove the account"));
    }

    #[test]
    fn a_failed_attempt_and_a_failed_drill_are_findings() {
        let mut tried = snapshot("consul", 100);
        tried.drill = Some(Drill {
            at: at(150),
            took_ms: 10,
            answers: String::new(),
            flaw: Some("no leader".into()),
        });
        let shelved = Shelved {
            snapshots: vec![tried],
            failures: vec![Failure {
                environment: "lab".into(),
                service: "consul".into(),
                at: at(200),
                reason: "it ends in the middle".into(),
            }],
            unread: Vec::new(),
        };
        assert_eq!(
            keys(&environment(), &shelved, 300),
            ["snapshot:drill:consul", "snapshot:failed:consul"]
        );
    }
}
