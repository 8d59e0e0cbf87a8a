//! Notices: what is told to people who are not looking, and whom.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::Severity;
use super::service::SecretRef;
use super::words;

words! {
    /// What a notice is about.
    pub enum NoticeKind {
        /// A run failed.
        RunFailed = "run-failed",
        /// A run went well.
        RunSucceeded = "run-succeeded",
        /// A run was cut off by the end of its engine.
        RunInterrupted = "run-interrupted",
        /// A run waits for an operator's approval.
        ApprovalNeeded = "approval-needed",
        /// Something is wrong, and stays wrong.
        Finding = "finding",
        /// What was told as wrong is well again.
        FindingResolved = "finding-resolved",
        /// A schedule was due and there was no run.
        ScheduleSkipped = "schedule-skipped",
        /// Somebody tries a channel out.
        Test = "test",
    }
}

words! {
    /// What a notice does to its incident.
    pub enum NoticeStatus {
        /// It begins, or goes on.
        Open = "open",
        /// It is over.
        Resolved = "resolved",
        /// There is none.
        Note = "note",
    }
}

words! {
    /// Whose format a channel speaks.
    pub enum ChannelKind {
        /// Generic JSON.
        Webhook = "webhook",
        /// PagerDuty, Events API version 2.
        Pagerduty = "pagerduty",
        /// Slack's incoming webhooks, and what is compatible with them.
        Slack = "slack",
    }
}

words! {
    /// How the screens call for attention in their terminal.
    pub enum Signal {
        /// The bell character.
        Bell = "bell",
        /// OSC 9: a notification of iTerm2, kitty, `WezTerm`, Windows Terminal …
        Osc9 = "osc9",
        /// OSC 777: a notification of urxvt, foot, Ghostty …
        Osc777 = "osc777",
        /// Not at all.
        Off = "off",
    }
}

/// Where notices go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Unique within the workspace.
    pub name: String,
    /// Whose format it speaks.
    pub kind: ChannelKind,
    /// Where to send to, when that is no secret.
    pub url: Option<String>,
    /// For PagerDuty the routing key. For the others, beside a `url` a bearer token, without one the URL itself.
    pub secret: Option<SecretRef>,
}

/// Which notices go where; all parts must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Of these environments; empty means all.
    pub environments: Vec<String>,
    /// Of these kinds.
    pub on: Vec<NoticeKind>,
    /// Findings at least this bad.
    pub severity: Severity,
    /// To these channels.
    pub channels: Vec<String>,
}

/// Who is told what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notifications {
    /// By name.
    pub channels: Vec<Channel>,
    /// In the order of the file; a channel that several name is told once.
    pub rules: Vec<Rule>,
}

impl Notifications {
    /// The names of the channels that `notice` goes to, each once.
    pub fn receivers(&self, notice: &Notice) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .rules
            .iter()
            .filter(|rule| rule.wants(notice))
            .flat_map(|rule| rule.channels.iter().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Rule {
    fn wants(&self, notice: &Notice) -> bool {
        let of_finding = matches!(
            notice.event,
            NoticeKind::Finding | NoticeKind::FindingResolved
        );
        self.on.contains(&notice.event)
            && (self.environments.is_empty() || self.environments.contains(&notice.environment))
            // Worse is less.
            && (!of_finding || notice.severity <= self.severity)
    }
}

/// Something to tell. Its JSON is what a webhook gets; fields may be added, none is renamed or removed within a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Version of this format: 1.
    pub version: u32,
    /// Identifies the notice: a repeated delivery has the same.
    pub id: Uuid,
    /// What it is about.
    pub event: NoticeKind,
    /// What it does to its incident.
    pub status: NoticeStatus,
    /// Identifies the incident: the same when it opens and when it is resolved.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// The workspace's name.
    pub workspace: String,
    /// The environment's name; empty when there is none.
    pub environment: String,
    /// One sentence.
    pub summary: String,
    /// What was seen, or why; may be empty.
    pub detail: String,
    /// The number of the run it is about.
    pub run: Option<i64>,
    /// When it happened.
    pub at: Timestamp,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.environment, self.event, self.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(event: NoticeKind, environment: &str, severity: Severity) -> Notice {
        Notice {
            version: 1,
            id: Uuid::nil(),
            event,
            status: NoticeStatus::Open,
            key: "k".into(),
            severity,
            workspace: "w".into(),
            environment: environment.into(),
            summary: "s".into(),
            detail: String::new(),
            run: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_channel_that_two_rules_name_is_told_once_and_others_not_at_all() {
        let rule = |environments: &[&str], on: &[NoticeKind], channels: &[&str]| Rule {
            environments: environments.iter().map(ToString::to_string).collect(),
            on: on.to_vec(),
            severity: Severity::Critical,
            channels: channels.iter().map(ToString::to_string).collect(),
        };
        let notifications = Notifications {
            channels: Vec::new(),
            rules: vec![
                rule(
                    &["production"],
                    &[NoticeKind::RunFailed, NoticeKind::Finding],
                    &["pager", "chat"],
                ),
                rule(&[], &[NoticeKind::RunFailed], &["chat"]),
            ],
        };
        let told = |event, environment, severity| {
            let notice = notice(event, environment, severity);
            notifications.receivers(&notice).join(" ")
        };
        assert_eq!(
            told(NoticeKind::RunFailed, "production", Severity::Critical),
            "chat pager"
        );
        assert_eq!(
            told(NoticeKind::RunFailed, "lab", Severity::Critical),
            "chat"
        );
        assert_eq!(
            told(NoticeKind::Finding, "production", Severity::Critical),
            "chat pager"
        );
        assert_eq!(
            told(NoticeKind::Finding, "production", Severity::Warning),
            ""
        );
        assert_eq!(
            told(NoticeKind::RunSucceeded, "production", Severity::Notice),
            ""
        );
    }
}
