//! Following the journals, or a file, of several nodes as one stream, merged by time.
//!
//! ```text
//! node ─ attach ─┐                       each attaches again by itself when its connection is lost,
//! node ─ attach ─┼─► Reorder ─► client   where it stopped: no gap and no repeat
//! node ─ attach ─┘   (bounded)
//! ```
//!
//! Every channel in between is bounded: a client that reads slowly slows the nodes' journals down, and nothing else.

mod attach;
mod journal;
mod reorder;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::attach::{Attachment, Piece};
use self::reorder::Reorder;
use super::super::core::{Core, Counter};
use crate::client::Refusal;
use crate::client::conversation::{Conversation, Counterpart, Down, Ending, FollowOpening, pair};

/// Nodes followed by one client.
const MOST_NODES: usize = 200;
/// Lines of history that may be asked for of each node.
const MOST_TAIL: u32 = 10_000;
/// Pieces that may wait between the nodes and the merge.
const WAITING: usize = 256;
/// How often it is looked for lines that have waited long enough.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn open(caller: &Counter, opening: &FollowOpening) -> Result<Conversation, Refusal> {
    let room = caller.core.room(&opening.environment)?;
    if opening.nodes.is_empty() || opening.nodes.len() > MOST_NODES {
        return Err(Refusal::new(format!(
            "{} nodes cannot be followed at once; name 1 to {MOST_NODES}",
            opening.nodes.len()
        )));
    }
    let mut attachments = Vec::new();
    for node in &opening.nodes {
        let host = room
            .reach
            .host(node)
            .map_err(|error| Refusal::new(error.to_string()))?;
        let source = opening.source.clone();
        let tail = opening.tail.min(MOST_TAIL);
        attachments.push(Attachment::new(node.clone(), host, source, tail));
    }
    let (ours, theirs) = pair();
    let core = Arc::clone(&caller.core);
    caller.core.spawn(carry(core, attachments, theirs));
    Ok(ours)
}

async fn carry(core: Arc<Core>, attachments: Vec<Attachment>, theirs: Counterpart) {
    let Counterpart { mut up, down } = theirs;
    // Ends the attachments, however this ends.
    let over = CancellationToken::new();
    let _over = over.clone().drop_guard();
    let (sender, mut pieces) = mpsc::channel(WAITING);
    for attachment in attachments {
        core.spawn(attachment.keep(sender.clone(), over.child_token()));
    }
    drop(sender);
    let merging = async {
        let begun = Instant::now();
        let mut reorder = Reorder::default();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let ended = tokio::select! {
                piece = pieces.recv() => match piece {
                    Some(Piece::Line(mut line)) => {
                        // A secret that found its way into a journal goes no further.
                        line.text = core.redactor.cleaned(line.text);
                        reorder.push(line, begun.elapsed());
                        false
                    }
                    Some(Piece::State(state)) => {
                        if down.send(Down::Source(state)).await.is_err() {
                            return;
                        }
                        false
                    }
                    None => true,
                },
                _ = looks.tick() => false,
            };
            loop {
                let lines = if ended {
                    reorder.rest()
                } else {
                    reorder.due(begun.elapsed())
                };
                if lines.is_empty() {
                    break;
                }
                if down.send(Down::Lines(lines)).await.is_err() {
                    return;
                }
            }
            if ended {
                let reason = "nothing is left to follow".to_owned();
                let _ = down.send(Down::Ended(Ending::Failed(reason))).await;
                return;
            }
        }
    };
    let left = async { while up.recv().await.is_some() {} };
    tokio::select! {
        () = merging => {}
        () = left => {}
        () = core.stopped.cancelled() => {
            let reason = "the engine ended".to_owned();
            let _ = down.send(Down::Ended(Ending::Failed(reason))).await;
        }
    }
}
