//! Notifications: channels that can be reached, rules that name them.

use std::collections::HashMap;

use crate::config::cursor::Cursor;
use crate::config::diagnostic::{Fault, Span, quoted};
use crate::config::format::notifications::{ChannelEntry, NotificationsEntry};
use crate::config::meaning::paths::Paths;
use crate::config::meaning::services::reference;
use crate::config::suggest;
use crate::domain::finding::Severity;
use crate::domain::notice::{Channel, ChannelKind, Notifications, Rule};

/// Reads channels and rules; `at` is the place of `notifications`.
pub(crate) fn read(
    file: &NotificationsEntry,
    at: Cursor<'_>,
    paths: &Paths,
    faults: &mut Vec<Fault>,
) -> Notifications {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    let mut channels = Vec::new();
    for (index, entry) in file.channels.iter().enumerate() {
        let here = at.key("channels").item(index);
        let secret = entry
            .secret
            .as_ref()
            .and_then(|secret| reference(secret, here.key("secret"), paths, faults));
        let (Some(name), Some(kind)) = (&entry.name, entry.kind) else {
            continue;
        };
        let span = here.key("name").span();
        if let Some(first) = seen.insert(&name.0, span) {
            faults.push(
                Fault::error(
                    "duplicate-name",
                    span,
                    format!("two channels are called {}", quoted(&name.0)),
                )
                .label("again here")
                .related(first, "first here"),
            );
        }
        complete(entry, kind, here, faults);
        channels.push(Channel {
            name: name.0.clone(),
            kind,
            url: entry.url.as_ref().map(|url| url.0.clone()),
            secret,
        });
    }
    let mut rules = Vec::new();
    for (index, entry) in file.rules.iter().enumerate() {
        let here = at.key("rules").item(index);
        for (number, wanted) in entry.channels.iter().enumerate() {
            if !seen.contains_key(wanted.0.as_str()) {
                let fault = Fault::error(
                    "unknown-channel",
                    here.key("channels").item(number).span(),
                    format!("there is no channel called {}", quoted(&wanted.0)),
                );
                faults.push(match suggest::closest(&wanted.0, seen.keys().copied()) {
                    Some(close) => fault.label(format!("did you mean `{close}`?")),
                    None => fault.help("describe it under `notifications.channels`"),
                });
            }
        }
        rules.push(Rule {
            environments: entry
                .environments
                .iter()
                .map(|name| name.0.clone())
                .collect(),
            on: entry.on.clone(),
            severity: entry.severity.unwrap_or(Severity::Critical),
            channels: entry.channels.iter().map(|name| name.0.clone()).collect(),
        });
    }
    Notifications { channels, rules }
}

/// The environments that rules name must be there.
pub(crate) fn environments<'n>(
    rules: &[Rule],
    at: Cursor<'_>,
    names: &(impl Iterator<Item = &'n str> + Clone),
) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        for (number, wanted) in rule.environments.iter().enumerate() {
            if names.clone().any(|name| name == wanted) {
                continue;
            }
            let place = at.key("rules").item(index).key("environments").item(number);
            let fault = Fault::error(
                "unknown-environment",
                place.span(),
                format!("there is no environment called {}", quoted(wanted)),
            );
            faults.push(match suggest::closest(wanted, names.clone()) {
                Some(close) => fault.label(format!("did you mean `{close}`?")),
                None => fault.help(format!(
                    "there are: {}",
                    names.clone().collect::<Vec<_>>().join(", ")
                )),
            });
        }
    }
    faults
}

/// Every kind needs something else to be reached.
fn complete(entry: &ChannelEntry, kind: ChannelKind, here: Cursor<'_>, faults: &mut Vec<Fault>) {
    let has_secret = entry.secret.is_some() || here.key_span("secret").is_some();
    let point = here.key("kind").span();
    match kind {
        ChannelKind::Slack => {
            if let Some(span) = here.key_span("url") {
                faults.push(
                    Fault::error("plain-url", span, "who knows a Slack webhook's URL can post to it")
                        .help("keep it out of the file: `secret: {env: NAME}`, `{file: PATH}` or `{command: […]}`"),
                );
            } else if !has_secret {
                faults.push(
                    Fault::error("missing-key", point, "where is this channel?")
                        .help("`secret` names where its webhook's URL can be read"),
                );
            }
        }
        ChannelKind::Pagerduty if !has_secret => faults.push(
            Fault::error("missing-key", point, "PagerDuty needs a routing key")
                .help("`secret` names where the integration key of an Events API v2 integration can be read"),
        ),
        ChannelKind::Webhook if !has_secret && here.key_span("url").is_none() => faults.push(
            Fault::error("missing-key", point, "where is this channel?")
                .help("add `url`, or `secret` when the URL itself is one"),
        ),
        ChannelKind::Pagerduty | ChannelKind::Webhook => {}
    }
}
