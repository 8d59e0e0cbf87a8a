//! From what happens to what is told: one notice per incident, and none for a flicker.
//!
//! A finding is told when it has lasted for [`HOLD`], and told as resolved when it has been gone for [`QUIET`]: one that
//! comes and goes is one incident. A run is told once per end. Pure: the time is given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::finding::{Finding, Severity};
use crate::domain::notice::{Notice, NoticeKind, NoticeStatus};
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::schedule::{Outcome, ScheduleStatus};

/// A finding that is gone sooner is not told.
pub(super) const HOLD: SignedDuration = SignedDuration::from_secs(30);
/// A finding that comes back sooner was never away.
pub(super) const QUIET: SignedDuration = SignedDuration::from_secs(120);
/// Ends that are remembered, so that none is told twice.
const TOLD: usize = 4096;
/// Findings about the delivery of notices; telling them would go the way that is broken.
pub(super) const OWN: &str = "notify:";

/// A finding that is or was there.
#[derive(Debug)]
struct Seen {
    finding: Finding,
    environment: String,
    since: Timestamp,
    gone: Option<Timestamp>,
    /// The notice that opened the incident, once it was told.
    told: Option<Notice>,
}

/// Keeps account of what was told.
#[derive(Debug)]
pub(super) struct Incidents {
    workspace: String,
    seen: BTreeMap<String, Seen>,
    told: VecDeque<(RunId, RunState)>,
    skipped: BTreeMap<String, Timestamp>,
}

impl Incidents {
    /// An account that goes on from the incidents that were `open` at the end of the last engine.
    pub(super) fn new(workspace: &str, open: Vec<Notice>, now: Timestamp) -> Self {
        let seen = open.into_iter().map(|notice| {
            let finding = Finding {
                key: String::new(),
                severity: notice.severity,
                subject: crate::domain::finding::Subject::Environment,
                text: notice.summary.clone(),
                evidence: notice.detail.clone(),
                since: notice.at,
                remedy: None,
                because: None,
            };
            let seen = Seen {
                finding,
                environment: notice.environment.clone(),
                since: notice.at,
                // Until it is seen again it counts as just gone.
                gone: Some(now),
                told: Some(notice.clone()),
            };
            (notice.key, seen)
        });
        Self {
            workspace: workspace.to_owned(),
            seen: seen.collect(),
            told: VecDeque::new(),
            skipped: BTreeMap::new(),
        }
    }

    /// The findings of an environment are these now.
    pub(super) fn findings(&mut self, environment: &str, findings: &[Finding], now: Timestamp) {
        let mut present = BTreeSet::new();
        for finding in findings
            .iter()
            .filter(|finding| !finding.key.starts_with(OWN))
        {
            let key = key(environment, finding);
            // What follows from something else is told with it. What was told before that was seen is not over, though.
            let told = self.seen.get(&key).is_some_and(|seen| seen.told.is_some());
            if finding.because.is_some() && !told {
                self.seen.remove(&key);
                continue;
            }
            present.insert(key.clone());
            let seen = self.seen.entry(key).or_insert_with(|| Seen {
                finding: finding.clone(),
                environment: environment.to_owned(),
                since: now,
                gone: None,
                told: None,
            });
            seen.finding.clone_from(finding);
            seen.gone = None;
        }
        for (key, seen) in &mut self.seen {
            if seen.environment == environment && !present.contains(key) {
                seen.gone.get_or_insert(now);
            }
        }
    }

    /// What is to be told of findings by now.
    pub(super) fn ripe(&mut self, now: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        let workspace = self.workspace.clone();
        self.seen.retain(|key, seen| match (seen.gone, &seen.told) {
            (None, None) if now.duration_since(seen.since) >= HOLD => {
                let subject = &seen.finding.subject;
                let notice = Notice {
                    event: NoticeKind::Finding,
                    status: NoticeStatus::Open,
                    key: key.clone(),
                    severity: seen.finding.severity,
                    summary: format!("{subject}: {}", seen.finding.text),
                    detail: seen.finding.evidence.clone(),
                    ..blank(&workspace, &seen.environment, now)
                };
                notices.push(notice.clone());
                seen.told = Some(notice);
                true
            }
            // Gone before it was told: a flicker.
            (Some(gone), None) => now.duration_since(gone) < HOLD,
            (Some(gone), Some(told)) if now.duration_since(gone) >= QUIET => {
                notices.push(Notice {
                    event: NoticeKind::FindingResolved,
                    status: NoticeStatus::Resolved,
                    severity: told.severity,
                    key: key.clone(),
                    summary: told.summary.clone(),
                    detail: "it is well again".into(),
                    ..blank(&workspace, &seen.environment, now)
                });
                false
            }
            _ => true,
        });
        notices
    }

    /// What is to be told of a run as it is now.
    pub(super) fn run(&mut self, run: &Run, now: Timestamp) -> Option<Notice> {
        let (event, status, severity) = match run.state {
            RunState::Failed => (
                NoticeKind::RunFailed,
                NoticeStatus::Open,
                Severity::Critical,
            ),
            RunState::Interrupted => (
                NoticeKind::RunInterrupted,
                NoticeStatus::Open,
                Severity::Critical,
            ),
            RunState::Succeeded => (
                NoticeKind::RunSucceeded,
                NoticeStatus::Resolved,
                Severity::Notice,
            ),
            RunState::WaitingApproval => (
                NoticeKind::ApprovalNeeded,
                NoticeStatus::Note,
                Severity::Warning,
            ),
            RunState::Running => {
                // It may wait again later.
                self.told
                    .retain(|told| *told != (run.id, RunState::WaitingApproval));
                return None;
            }
            RunState::Queued | RunState::Cancelled => return None,
        };
        if self.told.contains(&(run.id, run.state)) {
            return None;
        }
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back((run.id, run.state));
        let dry = if run.dry_run { " (dry run)" } else { "" };
        Some(Notice {
            event,
            status,
            severity,
            // An approval is an incident of its own; a failure ends with the recipe's next success.
            key: match event {
                NoticeKind::ApprovalNeeded => {
                    format!("{}/approval/{}", run.environment, run.number)
                }
                _ => format!("{}/run/{}{dry}", run.environment, run.recipe),
            },
            summary: format!(
                "run {} {}: {}{dry}, started by {}",
                run.number, run.state, run.title, run.started_by
            ),
            detail: run.reason.clone().unwrap_or_default(),
            run: Some(run.number),
            ..blank(&self.workspace, &run.environment, now)
        })
    }

    /// What is to be told of a schedule as it is now.
    pub(super) fn schedule(&mut self, status: &ScheduleStatus, now: Timestamp) -> Option<Notice> {
        let due = status.memory.last_due?;
        if status.memory.outcome != Some(Outcome::Skipped) {
            return None;
        }
        let key = format!("{}/schedule/{}", status.environment, status.name);
        if self.skipped.insert(key.clone(), due) == Some(due) {
            return None;
        }
        Some(Notice {
            event: NoticeKind::ScheduleSkipped,
            status: NoticeStatus::Note,
            severity: Severity::Warning,
            key,
            summary: format!("schedule {} was due at {due} and did not run", status.name),
            detail: status.memory.reason.clone().unwrap_or_default(),
            ..blank(&self.workspace, &status.environment, now)
        })
    }
}

fn key(environment: &str, finding: &Finding) -> String {
    format!("{environment}/finding/{}/{}", finding.subject, finding.key)
}

/// A notice that says nothing yet.
pub(super) fn blank(workspace: &str, environment: &str, now: Timestamp) -> Notice {
    Notice {
        version: 1,
        id: Uuid::now_v7(),
        event: NoticeKind::Test,
        status: NoticeStatus::Note,
        key: "test".into(),
        severity: Severity::Notice,
        workspace: workspace.to_owned(),
        environment: environment.to_owned(),
        summary: String::new(),
        detail: String::new(),
        run: None,
        at: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Subject;

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn dead() -> Finding {
        Finding {
            key: "unreachable".into(),
            severity: Severity::Critical,
            subject: Subject::Node("pc2".into()),
            text: "pc2 cannot be reached".into(),
            evidence: "connection refused".into(),
            since: after(0),
            remedy: None,
            because: None,
        }
    }

    fn events(notices: &[Notice]) -> Vec<NoticeKind> {
        notices.iter().map(|notice| notice.event).collect()
    }

    #[test]
    fn what_follows_from_a_dead_node_is_not_told_beside_it() {
        let member = |because: Option<&str>| Finding {
            key: "member:pc2".into(),
            subject: Subject::Service("consul".into()),
            because: because.map(|node| Subject::Node(node.into())),
            ..dead()
        };
        let mut incidents = Incidents::new("home", Vec::new(), after(0));
        // Consul sees it a moment before we do.
        incidents.findings("lab", &[member(None)], after(0));
        incidents.findings("lab", &[dead(), member(Some("pc2"))], after(5));
        let told = incidents.ripe(after(300));
        let told: Vec<&str> = told.iter().map(|notice| notice.summary.as_str()).collect();
        assert_eq!(told, ["pc2: pc2 cannot be reached"]);
        // The node is back, and the member is not.
        incidents.findings("lab", &[member(None)], after(310));
        let told = incidents.ripe(after(900));
        assert!(
            told.iter().any(|notice| notice.key.ends_with("member:pc2")),
            "{told:?}"
        );
    }

    #[test]
    fn a_finding_that_lasts_is_told_once_and_its_end_once() {
        let mut incidents = Incidents::new("home", Vec::new(), after(0));
        incidents.findings("lab", &[dead()], after(0));
        assert_eq!(incidents.ripe(after(29)), []);
        let told = incidents.ripe(after(30));
        assert_eq!(events(&told), [NoticeKind::Finding]);
        assert_eq!(told[0].summary, "pc2: pc2 cannot be reached");
        incidents.findings("lab", &[dead()], after(60));
        assert_eq!(incidents.ripe(after(61)), []);
        incidents.findings("lab", &[], after(100));
        assert_eq!(incidents.ripe(after(219)), []);
        let over = incidents.ripe(after(220));
        assert_eq!(events(&over), [NoticeKind::FindingResolved]);
        assert_eq!(over[0].key, told[0].key);
        assert_eq!(incidents.ripe(after(1000)), []);
    }

    #[test]
    fn what_comes_and_goes_is_nothing_or_one_incident() {
        let mut incidents = Incidents::new("home", Vec::new(), after(0));
        let mut told = Vec::new();
        for second in 0..3600 {
            // Ten seconds there, five away: at no time well.
            let findings = if second % 15 < 10 {
                vec![dead()]
            } else {
                Vec::new()
            };
            incidents.findings("lab", &findings, after(second));
            told.extend(incidents.ripe(after(second)));
        }
        assert_eq!(events(&told), [NoticeKind::Finding]);
        let mut incidents = Incidents::new("home", Vec::new(), after(0));
        incidents.findings("lab", &[dead()], after(0));
        incidents.findings("lab", &[], after(10));
        assert_eq!(incidents.ripe(after(500)), []);
    }

    #[test]
    fn the_next_engine_does_not_tell_it_again_and_tells_its_end() {
        let mut first = Incidents::new("home", Vec::new(), after(0));
        first.findings("lab", &[dead()], after(0));
        let open = first.ripe(after(40));
        let mut next = Incidents::new("home", open.clone(), after(100));
        next.findings("lab", &[dead()], after(110));
        assert_eq!(next.ripe(after(400)), []);
        let mut well = Incidents::new("home", open, after(100));
        assert_eq!(well.ripe(after(150)), []);
        assert_eq!(
            events(&well.ripe(after(220))),
            [NoticeKind::FindingResolved]
        );
    }

    #[test]
    fn the_end_of_a_run_is_told_once_and_a_success_resolves_the_failure() {
        let mut incidents = Incidents::new("home", Vec::new(), after(0));
        let failed = Run::sample(7, RunState::Failed);
        let told = incidents.run(&failed, after(0)).unwrap();
        assert_eq!((told.event, told.run), (NoticeKind::RunFailed, Some(7)));
        assert_eq!(incidents.run(&failed, after(1)), None);
        let well = Run::sample(8, RunState::Succeeded);
        let over = incidents.run(&well, after(2)).unwrap();
        assert_eq!(
            (over.status, &over.key),
            (NoticeStatus::Resolved, &told.key)
        );
        let cancelled = Run::sample(9, RunState::Cancelled);
        assert_eq!(incidents.run(&cancelled, after(3)), None);
    }
}
