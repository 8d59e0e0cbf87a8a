//! `notifications:` in `quarterdeck.yaml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::environment::SecretEntry;
use super::words::{Name, Url};
use crate::domain::finding::Severity;
use crate::domain::notice::{ChannelKind, NoticeKind, Signal};

/// Who is told what happens while nobody looks.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NotificationsEntry {
    /// How the screens call for attention in their terminal; default: the bell, only while the terminal is known to be
    /// in the background.
    pub(crate) terminal: Option<Signal>,
    /// Where notifications can be sent; at most 32.
    #[schemars(length(max = 32))]
    pub(crate) channels: Vec<ChannelEntry>,
    /// Which are sent where; at most 64.
    #[schemars(length(max = 64))]
    pub(crate) rules: Vec<RuleEntry>,
}

/// Where notifications can be sent.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Channel", extend("required" = ["name", "kind"]))]
pub(crate) struct ChannelEntry {
    /// Unique within the workspace.
    pub(crate) name: Option<Name>,
    /// Whose format it speaks: generic JSON, PagerDuty's Events API v2, or Slack's incoming webhooks.
    pub(crate) kind: Option<ChannelKind>,
    /// Where to send to, when that is no secret; `https://events.pagerduty.com/v2/enqueue` unless PagerDuty hosts you elsewhere.
    pub(crate) url: Option<Url>,
    /// Where to read PagerDuty's routing key, Slack's URL, or a webhook's URL (or, beside `url`, its bearer token).
    pub(crate) secret: Option<SecretEntry>,
}

/// Which notifications are sent where.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Rule", extend("required" = ["on", "channels"]))]
pub(crate) struct RuleEntry {
    /// Of these environments; default: all.
    pub(crate) environments: Vec<Name>,
    /// About what.
    pub(crate) on: Vec<NoticeKind>,
    /// Findings at least this bad; default: critical.
    pub(crate) severity: Option<Severity>,
    /// To these channels.
    pub(crate) channels: Vec<Name>,
}
