//! Following a node over one long-lived channel: the probe's script at one end, the live view at the other.
//!
//! The channel is opened, the first sample brings the facts with it, and from then on a sample comes at every interval. When
//! the channel ends it is opened again: after its natural end at the next interval, ever more rarely while the node cannot be
//! reached. It gives way when a server that allows few sessions (`MaxSessions`) has somebody else waiting for one, and is from
//! then on opened for two samples at a time.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::poll::Rhythm;
use super::probe::{self, Follower, Told};
use super::run::panicked;
use crate::clock::SharedClock;
use crate::domain::environment::Environment;
use crate::domain::live::NodeReport;
use crate::store::Redactor;
use crate::transport::{Chunk, ChunkSink, Reach, ReachError};

/// A node that is followed.
pub(super) struct NodeWatch {
    pub(super) environment: Arc<Environment>,
    pub(super) name: String,
    pub(super) reach: Arc<dyn Reach>,
    pub(super) live: Arc<Live>,
    pub(super) redactor: Redactor,
    pub(super) clock: SharedClock,
}

/// How following came to an end.
enum Ended {
    /// It was to be looked at now, not at its time.
    Woken,
    /// After samples, in a way that is no trouble.
    Well,
    /// Another command needed the session.
    GaveWay,
    /// For a reason.
    Badly(String),
}

/// Follows `node` until `cancel` fires; looks at once whenever `wake` is notified. At most as many nodes are being connected
/// to at a time as `places` has permits.
pub(super) async fn watch(
    node: NodeWatch,
    rhythm: Rhythm,
    wake: Arc<Notify>,
    places: Arc<Semaphore>,
    cancel: CancellationToken,
) {
    let mut failures = 0;
    // Whether the host allows so few sessions that none can be kept.
    let mut modest = false;
    loop {
        let turn = AssertUnwindSafe(node.follow(rhythm, modest, &wake, &places)).catch_unwind();
        let Some(ended) = cancel.run_until_cancelled(turn).await else {
            return;
        };
        match ended.unwrap_or_else(|panic| Ended::Badly(panicked(panic.as_ref()))) {
            Ended::Woken => continue,
            Ended::Well => failures = 0,
            Ended::GaveWay => modest = true,
            Ended::Badly(reason) => {
                failures += 1;
                let reason = node.redactor.cleaned(reason);
                node.live.node(&node.environment, &node.name, Err(reason));
            }
        }
        tokio::select! {
            () = sleep(rhythm.pause(failures, fastrand::f32())) => {}
            () = wake.notified() => {}
            () = cancel.cancelled() => return,
        }
    }
}

/// Looks at `node` once, on behalf of somebody who can be asked: as long as he takes to answer, it waits.
pub(super) async fn look_once(node: &NodeWatch, rhythm: Rhythm, wake: &Notify, places: &Semaphore) {
    let told = |reason: String| {
        let reason = node.redactor.cleaned(reason);
        node.live.node(&node.environment, &node.name, Err(reason));
    };
    let connected = async {
        let _place = places.acquire().await.ok();
        node.reach.host(&node.name)?.ready().await
    };
    if let Err(error) = connected.await {
        return told(error.to_string());
    }
    let look = AssertUnwindSafe(node.follow(rhythm, true, wake, places)).catch_unwind();
    let ended = look.await;
    match ended.unwrap_or_else(|panic| Ended::Badly(panicked(panic.as_ref()))) {
        Ended::Badly(reason) => told(reason),
        Ended::Well | Ended::Woken | Ended::GaveWay => {}
    }
}

impl NodeWatch {
    async fn follow(
        &self,
        rhythm: Rhythm,
        modest: bool,
        wake: &Notify,
        places: &Semaphore,
    ) -> Ended {
        // Held until the first sample is here: what costs is connecting and the facts.
        let mut place = places.acquire().await.ok();
        // Connecting and the first answer get the deadline each.
        let mut patience = rhythm.deadline * 2;
        let silent = |patience: Duration| {
            Ended::Badly(format!("{}: no answer within {patience:?}", self.name))
        };
        let host = match self.reach.host(&self.name) {
            Ok(host) => host,
            Err(error) => return Ended::Badly(error.to_string()),
        };
        match timeout(patience, host.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Ended::Badly(error.to_string()),
            Err(_) => return silent(patience),
        }
        let (says, mut heard) = watch::channel(0_u64);
        let mut ear = Ear {
            node: self,
            follower: Follower::default(),
            begun: Instant::now(),
            latency: Duration::ZERO,
            says,
        };
        let command = probe::command(rhythm.interval, modest);
        let never = CancellationToken::new();
        let stream = host.stream(&command, &mut ear, &never);
        let mut stream = std::pin::pin!(stream);
        loop {
            let ended = tokio::select! {
                biased;
                ended = &mut stream => ended,
                more = timeout(patience, heard.changed()) => {
                    if more.is_err() {
                        return silent(patience);
                    }
                    place = None;
                    patience = rhythm.interval.max(Duration::from_secs(1)) + rhythm.deadline * 2;
                    continue;
                }
                () = wake.notified(), if place.is_none() => return Ended::Woken,
            };
            let samples = *heard.borrow();
            return match ended {
                Ok(_) if samples > 0 => Ended::Well,
                Err(ReachError::GaveWay { .. }) => Ended::GaveWay,
                Ok(exit) => Ended::Badly(format!(
                    "{}: sh told nothing of the node and ended with {exit}",
                    self.name
                )),
                Err(error) => Ended::Badly(error.to_string()),
            };
        }
    }
}

/// Hears the script.
struct Ear<'a> {
    node: &'a NodeWatch,
    follower: Follower,
    begun: Instant,
    /// From opening the channel to the script's first word.
    latency: Duration,
    /// How many samples there were.
    says: watch::Sender<u64>,
}

#[async_trait]
impl ChunkSink for Ear<'_> {
    async fn chunk(&mut self, chunk: Chunk) {
        let Chunk::Stdout(bytes) = chunk else { return };
        let node = self.node;
        for told in self.follower.feed(&bytes, node.clock.now()) {
            match told {
                Told::Hello => self.latency = self.begun.elapsed(),
                Told::Sample(sample) => {
                    let report = NodeReport {
                        facts: self.follower.facts(),
                        sample: *sample,
                        latency_ms: u32::try_from(self.latency.as_millis()).unwrap_or(u32::MAX),
                    };
                    node.live.node(&node.environment, &node.name, Ok(report));
                    self.says.send_modify(|samples| *samples += 1);
                }
            }
        }
    }
}
