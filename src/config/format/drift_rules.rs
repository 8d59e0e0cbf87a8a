//! `drift-ignore.yaml`: which drift is meant.

use schemars::JsonSchema;
use serde::Deserialize;

/// Drift that is meant, and until when. Beside `quarterdeck.yaml`; a change holds from the next look at the board on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DriftIgnore")]
pub(crate) struct DriftRulesFile {
    /// The rules; at most 1024. The first that covers a row counts.
    #[schemars(length(max = 1024))]
    pub(crate) ignore: Vec<RuleEntry>,
}

/// A rule.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "IgnoreRule")]
pub(crate) struct RuleEntry {
    /// What it covers: the key of a row as the drift board shows it, such as "nodes:pc1/file /etc/motd#mode"; `*` stands for
    /// anything.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 500))]
    pub(crate) matches: String,
    /// Only in this environment; default: in all.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Why it is meant.
    #[schemars(length(min = 1, max = 500))]
    pub(crate) reason: String,
    /// The last day on which it holds (UTC), such as 2026-12-31; or never.
    #[schemars(regex(pattern = r"^(never|[0-9]{4}-[0-9]{2}-[0-9]{2})$"))]
    pub(crate) expires: String,
}
