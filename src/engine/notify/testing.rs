//! What the tests of notifications share.

use jiff::Timestamp;
use uuid::Uuid;

use crate::domain::finding::Severity;
use crate::domain::notice::{Channel, ChannelKind, Notice, NoticeKind, NoticeStatus};
use crate::domain::run::{Run, RunId, RunState, Tally};

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

pub(super) fn run(number: i64, state: RunState) -> Run {
    Run {
        id: RunId(Uuid::from_u128(number.unsigned_abs().into())),
        number,
        recipe: "deploy".into(),
        title: "Deploy".into(),
        environment: "lab".into(),
        dry_run: false,
        state,
        started_by: "ada@jump".into(),
        plan_hash: String::new(),
        created_at: Timestamp::UNIX_EPOCH,
        started_at: None,
        ended_at: None,
        reason: None,
        tally: Tally::default(),
        lines: 0,
        origin: None,
    }
}
