//! A notice in the words of a channel.

use serde_json::{Value, json};

use crate::domain::finding::Severity;
use crate::domain::notice::{ChannelKind, Notice, NoticeKind, NoticeStatus};

/// The longest summary that PagerDuty takes, characters
/// (<https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>).
const PAGERDUTY_SUMMARY: usize = 1024;
/// The longest `dedup_key` that PagerDuty takes, characters.
const PAGERDUTY_KEY: usize = 255;
/// The longest text that is sent to Slack, characters; it cuts what is longer than 40,000.
const SLACK_TEXT: usize = 3000;
/// Where PagerDuty takes events of accounts in its default region.
pub(super) const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// What is posted; `secret` is used by PagerDuty, whose routing key is in the body.
pub(super) fn body(kind: ChannelKind, notice: &Notice, secret: Option<&str>) -> Value {
    match kind {
        ChannelKind::Webhook => json!(notice),
        ChannelKind::Pagerduty => pagerduty(notice, secret.unwrap_or_default()),
        ChannelKind::Slack => json!({ "text": cut(&slack(notice), SLACK_TEXT) }),
    }
}

fn pagerduty(notice: &Notice, routing_key: &str) -> Value {
    let action = match notice.status {
        NoticeStatus::Resolved => "resolve",
        NoticeStatus::Open | NoticeStatus::Note => "trigger",
    };
    let severity = match notice.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Notice => "info",
    };
    json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": cut(&format!("{}/{}", notice.workspace, notice.key), PAGERDUTY_KEY),
        "client": "Quarterdeck",
        "payload": {
            "summary": cut(&format!("[{}] {}", notice.environment, notice.summary), PAGERDUTY_SUMMARY),
            "source": source(notice),
            "severity": severity,
            "timestamp": notice.at.to_string(),
            "class": notice.event.word(),
            "custom_details": notice,
        },
    })
}

fn source(notice: &Notice) -> String {
    if notice.environment.is_empty() {
        notice.workspace.clone()
    } else {
        format!("{}/{}", notice.workspace, notice.environment)
    }
}

fn slack(notice: &Notice) -> String {
    let what = match notice.event {
        NoticeKind::RunFailed => "run failed",
        NoticeKind::RunSucceeded => "run went well",
        NoticeKind::RunInterrupted => "run interrupted",
        NoticeKind::ApprovalNeeded => "approval needed",
        NoticeKind::Finding => notice.severity.word(),
        NoticeKind::FindingResolved => "resolved",
        NoticeKind::ScheduleSkipped => "schedule skipped",
        NoticeKind::Test => "test",
    };
    let mut text = format!(
        "*{} · {what}*: {}",
        escaped(&source(notice)),
        escaped(&notice.summary)
    );
    if !notice.detail.is_empty() {
        text.push('\n');
        text.push_str(&escaped(&notice.detail));
    }
    text
}

/// The three characters that mean something to Slack wherever they stand
/// (<https://docs.slack.dev/messaging/formatting-message-text#escaping>).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// At most `limit` characters, the last one an ellipsis when some are missing.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    text.chars().take(limit - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::notify::testing::notice;

    #[test]
    fn pagerduty_opens_and_resolves_the_same_incident_within_its_limits() {
        let mut open = notice(NoticeKind::Finding, "lab/finding/pc1/unreachable");
        open.summary = "ä".repeat(2000);
        let mut over = open.clone();
        over.status = NoticeStatus::Resolved;
        let (open, over) = (
            body(ChannelKind::Pagerduty, &open, Some("key")),
            body(ChannelKind::Pagerduty, &over, Some("key")),
        );
        assert_eq!(
            (&open["event_action"], &over["event_action"]),
            (&json!("trigger"), &json!("resolve"))
        );
        assert_eq!(open["dedup_key"], "home/lab/finding/pc1/unreachable");
        assert_eq!(open["dedup_key"], over["dedup_key"]);
        assert_eq!(open["routing_key"], "key");
        assert_eq!(open["payload"]["severity"], "critical");
        assert_eq!(open["payload"]["source"], "home/lab");
        let summary = open["payload"]["summary"].as_str().unwrap();
        assert_eq!(
            (summary.chars().count(), summary.ends_with('…')),
            (1024, true)
        );
    }

    #[test]
    fn slack_gets_no_markup_from_what_was_seen() {
        let mut notice = notice(NoticeKind::RunFailed, "k");
        notice.summary = "run 7 failed <!channel> & more".into();
        notice.detail = "<https://evil|click>".into();
        assert_eq!(
            body(ChannelKind::Slack, &notice, None),
            json!({ "text": "*home/lab · run failed*: run 7 failed &lt;!channel&gt; &amp; more\n&lt;https://evil|click&gt;" })
        );
    }

    #[test]
    fn the_generic_form_keeps_its_names() {
        assert_eq!(
            body(
                ChannelKind::Webhook,
                &notice(NoticeKind::RunFailed, "lab/run/deploy"),
                None
            ),
            json!({
                "version": 1,
                "id": "00000000-0000-0000-0000-000000000000",
                "event": "run-failed",
                "status": "open",
                "key": "lab/run/deploy",
                "severity": "critical",
                "workspace": "home",
                "environment": "lab",
                "summary": "something happened",
                "detail": "",
                "run": null,
                "at": "1970-01-01T00:00:00Z",
            })
        );
    }
}
