//! What the tests of notifications share.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::finding::Severity;
use crate::domain::notice::{Channel, ChannelKind, Notice, NoticeKind, NoticeStatus};

pub(super) fn notice(event: NoticeKind, key: &str) -> Notice {
    Notice {
        version: 1,
        id: Uuid::nil(),
        event,
        status: NoticeStatus::Open,
        key: key.into(),
        severity: Severity::Critical,
        workspace: "home".into(),
        environment: "lab".into(),
        summary: "something happened".into(),
        detail: String::new(),
        run: None,
        at: Timestamp::UNIX_EPOCH,
    }
}

pub(super) fn channel(kind: ChannelKind, url: &str) -> Channel {
    Channel {
        name: "hook".into(),
        kind,
        url: Some(url.into()),
        secret: None,
    }
}
