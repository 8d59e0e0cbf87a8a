//! Notifications: telling people who are not looking.
//!
//! ```text
//! bus ── watch ── incidents (one notice each, no flicker) ── rules ── a queue per channel ── its sender
//! ```
//!
//! Nothing here is waited for by a run. Each channel has a bounded queue and a sender of its own, so a dead one delays no
//! other. What waits is kept in the store and goes on with the next engine: a notice arrives at least once, and its `id`
//! is the same each time. A notice that cannot be delivered becomes a finding in its environment.
//!
//! # What a webhook gets
//!
//! A POST with a JSON object; see [`Notice`](crate::domain::notice::Notice) for the fields:
//!
//! ```json
//! {"version":1,"id":"019a…","event":"run-failed","status":"open","key":"production/run/deploy","severity":"critical",
//!  "workspace":"homelab","environment":"production","summary":"run 12 failed: Deploy, started by ada@jump",
//!  "detail":"2 tasks failed","run":12,"at":"2026-11-21T12:00:00Z"}
//! ```
//!
//! `event` is one of the words of [`NoticeKind`]; `status` is `open`, `resolved` or `note`; notices of one incident share
//! its `key`. Any status of 2xx is delivery.

mod body;
mod channel;
mod incidents;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use self::channel::{Delivery, Http, Post, Queue};
use self::incidents::{Incidents, OWN, blank};
use super::core::Core;
use crate::client::{Event, Refusal};
use crate::domain::finding::{Finding, Severity, Subject};
use crate::domain::notice::{Notice, NoticeKind, Notifications};
use crate::domain::run::RunId;
use crate::store::{Reader, Redactor};

/// From one look at what has lasted long enough to the next.
const LOOK: Duration = Duration::from_secs(1);
/// Runs that are looked at again after missed events.
const AGAIN: usize = 64;

/// The channels and who is told what.
pub(super) struct Notifier {
    settings: Notifications,
    queues: BTreeMap<String, Queue>,
    post: Box<dyn Post>,
    redactor: Redactor,
}

impl Notifier {
    pub(super) fn new(settings: Notifications, redactor: Redactor) -> Self {
        Self {
            queues: settings
                .channels
                .iter()
                .map(|channel| (channel.name.clone(), Queue::default()))
                .collect(),
            settings,
            post: Box::new(Http::default()),
            redactor,
        }
    }

    /// The names of the channels.
    pub(super) fn channels(&self) -> Vec<String> {
        self.queues.keys().cloned().collect()
    }

    /// The notice as it may leave the engine.
    fn clean(&self, notice: Notice) -> Notice {
        let clean = |text: String| -> String {
            let text = self.redactor.cleaned(text);
            text.chars()
                .map(|c| {
                    if c.is_control() && c != '\n' {
                        '\u{fffd}'
                    } else {
                        c
                    }
                })
                .collect()
        };
        Notice {
            summary: clean(notice.summary),
            detail: clean(notice.detail),
            ..notice
        }
    }
}

/// Watches what happens and tells it; `unfinished` are the runs that the last engine left so.
pub(super) async fn watch(core: Arc<Core>, history: Reader, unfinished: Vec<RunId>) {
    if core.notifier.queues.is_empty() {
        return;
    }
    let mut events = core.bus.subscribe();
    let mut incidents = core.take_over(&history).await;
    for id in unfinished {
        let reader = history.clone();
        if let Ok(Ok(Some(run))) = tokio::task::spawn_blocking(move || reader.run(id)).await
            && let Some(notice) = incidents.run(&run, core.clock.now())
        {
            core.tell(notice).await;
        }
    }
    core.see_all(&mut incidents);
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let now = core.clock.now();
        let notice = tokio::select! {
            () = core.stopped.cancelled() => return,
            event = events.next() => match event {
                Some(Event::Run(run)) => incidents.run(&run, now),
                Some(Event::Schedule(status)) => incidents.schedule(&status, now),
                Some(Event::Findings { environment, findings }) => {
                    incidents.findings(&environment, &findings, now);
                    None
                }
                Some(Event::Missed(missed)) => {
                    tracing::warn!(missed, "notifications fell behind and look again");
                    core.see_all(&mut incidents);
                    core.see_runs(&mut incidents, &history).await;
                    None
                }
                Some(_) => None,
                None => return,
            },
            _ = ticks.tick() => {
                for notice in incidents.ripe(core.clock.now()) {
                    core.tell(notice).await;
                }
                None
            }
        };
        if let Some(notice) = notice {
            core.tell(notice).await;
        }
    }
}

/// Sends what is told to the channel called `name`, one after the other.
pub(super) async fn send(core: Arc<Core>, name: String) {
    let notifier = &core.notifier;
    let channel = notifier
        .settings
        .channels
        .iter()
        .find(|channel| channel.name == name);
    let (Some(channel), Some(queue)) = (channel, notifier.queues.get(&name)) else {
        return;
    };
    loop {
        let Some(Delivery { id, notice }) = core.stopped.run_until_cancelled(queue.next()).await
        else {
            return;
        };
        let sent = channel::stubbornly(&*notifier.post, channel, &notifier.redactor, &notice);
        // Cancelled, it stays in the store for the next engine.
        let Some(sent) = core.stopped.run_until_cancelled(sent).await else {
            return;
        };
        if let Err(error) = core.store.drop_notice(id).await {
            tracing::error!(%error, "a delivered notice could not be forgotten; it may be sent again");
        }
        match sent {
            Ok(()) => core.delivery_works(&name),
            Err(reason) => {
                tracing::warn!(channel = name, %reason, "a notice could not be delivered: {notice}");
                core.delivery_fails(&name, &notice, &reason);
            }
        }
    }
}

impl Core {
    /// Sends a notice by hand, once, so that the operator sees what comes of it.
    pub(super) async fn test_channel(&self, name: &str) -> Result<(), Refusal> {
        let notifier = &self.notifier;
        let Some(channel) = notifier
            .settings
            .channels
            .iter()
            .find(|channel| channel.name == name)
        else {
            let known = notifier.channels();
            return Err(Refusal::new(if known.is_empty() {
                "the workspace has no channels; quarterdeck.yaml may have some under `notifications:`".to_owned()
            } else {
                format!(
                    "there is no channel called {name:?}; there is {}",
                    known.join(", ")
                )
            }));
        };
        let notice = Notice {
            event: NoticeKind::Test,
            summary: "this is a test of Quarterdeck's notifications".into(),
            ..blank(self.workspace_name(), "", self.clock.now())
        };
        channel::once(&*notifier.post, channel, &notifier.redactor, &notice)
            .await
            .map_err(|reason| Refusal::new(format!("channel {name}: {reason}")))
    }

    /// Takes over what the last engine left: what waits for delivery, and which incidents were told.
    async fn take_over(&self, history: &Reader) -> Incidents {
        let reader = history.clone();
        let read = tokio::task::spawn_blocking(move || {
            Ok::<_, crate::store::StoreError>((reader.waiting_notices()?, reader.open_incidents()?))
        });
        let (waiting, open) = match read.await {
            Ok(Ok(left)) => left,
            Ok(Err(error)) => {
                tracing::error!(%error, "notices of the last engine cannot be read");
                Default::default()
            }
            Err(_) => Default::default(),
        };
        for (id, channel, notice) in waiting {
            match self.notifier.queues.get(&channel) {
                Some(queue) => {
                    self.queue_up(queue, &channel, Delivery { id, notice })
                        .await;
                }
                // The channel is gone from the file.
                None => self.forget(id).await,
            }
        }
        Incidents::new(self.workspace_name(), open, self.clock.now())
    }

    fn see_all(&self, incidents: &mut Incidents) {
        let now = self.clock.now();
        for (environment, live) in self.live.snapshot() {
            incidents.findings(&environment, &live.findings, now);
        }
    }

    async fn see_runs(&self, incidents: &mut Incidents, history: &Reader) {
        let reader = history.clone();
        let Ok(Ok(runs)) = tokio::task::spawn_blocking(move || reader.runs(AGAIN)).await else {
            return;
        };
        let now = self.clock.now();
        // Ends of long ago were told when they came.
        let fresh = runs.iter().filter(|run| {
            run.ended_at
                .is_none_or(|end| now.duration_since(end).as_mins() < 5)
        });
        for run in fresh {
            if let Some(notice) = incidents.run(run, now) {
                self.tell(notice).await;
            }
        }
    }

    /// Queues a notice for every channel that a rule names.
    async fn tell(&self, notice: Notice) {
        let notice = self.notifier.clean(notice);
        for name in self.notifier.settings.receivers(&notice) {
            let Some(queue) = self.notifier.queues.get(name) else {
                continue;
            };
            let delivery = Delivery {
                id: Uuid::now_v7(),
                notice: notice.clone(),
            };
            if let Err(error) = self.store.keep_notice(delivery.id, name, &notice).await {
                tracing::error!(%error, "a notice is sent but would not survive the engine: {notice}");
            }
            self.queue_up(queue, name, delivery).await;
        }
        // After the queue: an engine that dies in between tells it twice rather than never.
        let noted = match notice.event {
            NoticeKind::Finding => self.store.open_incident(&notice).await,
            NoticeKind::FindingResolved => self.store.close_incident(&notice.key).await,
            _ => Ok(()),
        };
        if let Err(error) = noted {
            tracing::error!(%error, "an incident could not be noted: {notice}");
        }
    }

    async fn queue_up(&self, queue: &Queue, channel: &str, delivery: Delivery) {
        if let Some(dropped) = queue.push(delivery) {
            self.forget(dropped.id).await;
            tracing::warn!(
                channel,
                "too many notices wait, one is dropped: {}",
                dropped.notice
            );
            self.delivery_fails(
                channel,
                &dropped.notice,
                "too many wait; the oldest are dropped",
            );
        }
    }

    async fn forget(&self, id: Uuid) {
        if let Err(error) = self.store.drop_notice(id).await {
            tracing::error!(%error, "a notice could not be forgotten");
        }
    }

    fn delivery_fails(&self, channel: &str, notice: &Notice, reason: &str) {
        let Some(environment) = self.environment(&notice.environment) else {
            return;
        };
        let key = format!("{OWN}{channel}");
        let finding = Finding {
            key: key.clone(),
            severity: Severity::Warning,
            subject: Subject::Environment,
            text: format!("notifications do not reach channel {channel}"),
            evidence: format!("{reason} (last: {})", notice.summary),
            since: self.clock.now(),
            remedy: None,
            because: None,
        };
        self.live.own(&environment, &key, Some(finding));
    }

    fn delivery_works(&self, channel: &str) {
        let key = format!("{OWN}{channel}");
        for environment in self.environments() {
            self.live.own(&environment, &key, None);
        }
    }
}
