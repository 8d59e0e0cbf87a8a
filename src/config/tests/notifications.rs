//! Notifications of a workspace: channels, rules, and what is wrong with them.

use super::*;
use crate::domain::notice::{ChannelKind, NoticeKind};

fn with(notifications: &str) -> Checked {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("environments")).unwrap();
    let text = format!("name: test\nnotifications:\n{notifications}");
    std::fs::write(dir.path().join(FILE), text).unwrap();
    std::fs::write(dir.path().join("environments/test.yaml"), SOUND).unwrap();
    check(dir.path(), recipes)
}

#[test]
fn channels_and_rules_are_read() {
    let checked = with(
        "  channels:\n    - {name: pager, kind: pagerduty, secret: {env: PAGER_KEY}}\n    \
         - {name: chat, kind: slack, secret: {env: CHAT_URL}}\n    \
         - {name: hook, kind: webhook, url: \"https://example.net/hook\"}\n  \
         rules:\n    - {environments: [test], on: [run-failed, finding], channels: [pager, chat]}\n",
    );
    assert_eq!(render(&checked.diagnostics, false), "");
    let told = checked.workspace.unwrap().settings.notifications;
    assert_eq!(told.channels[0].kind, ChannelKind::Pagerduty);
    assert_eq!(
        told.rules[0].on,
        [NoticeKind::RunFailed, NoticeKind::Finding]
    );
}

#[test]
fn every_mistake_of_a_notification_is_told_at_its_place() {
    let checked = with(
        "  channels:\n    - {name: chat, kind: slack, url: \"https://hooks.slack.com/services/T1/B1/abcdefgh\"}\n    \
         - {name: chat, kind: webhook}\n    - {name: pager, kind: pagerduty}\n  \
         rules:\n    - environments: [tset]\n      on: [run-faild]\n      channels: [chet]\n",
    );
    assert!(checked.workspace.is_none());
    assert_snapshot!(render(&checked.diagnostics, false));
}
