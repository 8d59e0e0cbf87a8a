//! The ceremony that unseals: every share goes to every sealed node, until each node says itself that it is open.
//!
//! Newcomers to a Raft cluster join it first, which needs its active node, and are then given the same shares. A node that
//! unseals itself is waited for. When the ceremony is given up, what it put into the nodes is taken out again.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::super::{Outcome, StepError};
use super::ceremony::{Chair, Heard, Spoken, out_of_turn};
use super::shares::{Given, Shares};
use super::{PAUSE, Site, closed, in_state};
use crate::domain::seal::{CeremonyKind, NodeSeal, SealState, Wants, Word};
use crate::services::{Seals, ServiceError};

/// How long a node that has all it needs may take to open: a newcomer to Raft first fetches the data.
const SETTLING: Duration = Duration::from_secs(30);
/// How long nodes that no operator can help (silent ones, those that unseal themselves) are waited for.
const LATE: Duration = Duration::from_secs(45);

pub(super) async fn execute(site: &Site<'_>, separate: bool) -> Result<Outcome, StepError> {
    let nodes = site.nodes().await?;
    let told = nodes.iter().filter(|node| !node.state.is_open());
    for node in told {
        let trouble = node.trouble.as_deref().map(|why| format!(" ({why})"));
        site.note(format!(
            "{}: {}{}",
            node.node,
            node.state,
            trouble.unwrap_or_default()
        ))
        .await;
    }
    if nodes.iter().all(|node| node.state.is_open()) {
        site.note("every node is unsealed").await;
        return Ok(Outcome::Ok);
    }
    let belongs = |node: &NodeSeal| {
        !matches!(
            node.state,
            SealState::Uninitialized | SealState::Unreachable
        )
    };
    // A node that is left out now may still be the one that newcomers join.
    if !site.seals.nodes().await.iter().any(belongs) {
        return Err(StepError::lasting(format!(
            "no node belongs to a cluster yet: {}; `quarterdeck vault init` makes one",
            closed(&nodes)
        )));
    }
    if site.context.dry_run {
        let wanting = nodes.iter().filter(|node| node.wants_shares());
        let names: Vec<&str> = wanting.map(|node| node.node.as_str()).collect();
        let newcomers = in_state(&nodes, SealState::Uninitialized);
        if !newcomers.is_empty() {
            site.note(format!("{} would join the cluster", newcomers.join(", ")))
                .await;
        }
        site.note(format!("would ask for shares for {}", names.join(", ")))
            .await;
        return Ok(Outcome::Changed);
    }
    let mut ceremony = Unsealing {
        site,
        chair: site
            .context
            .ceremonies
            .open(&site.service, CeremonyKind::Unseal),
        nodes,
        shares: Shares::default(),
        separate,
        proven: false,
        settling: BTreeMap::new(),
        touched: BTreeMap::new(),
        misfits: BTreeMap::new(),
        idle_since: Instant::now(),
    };
    let held = ceremony.hold().await;
    if held.is_err() {
        ceremony.take_back().await;
    }
    held
}

struct Unsealing<'a> {
    site: &'a Site<'a>,
    chair: Chair,
    nodes: Vec<NodeSeal>,
    shares: Shares,
    separate: bool,
    /// Whether the shares have opened a node.
    proven: bool,
    /// Nodes that have all they need, and until when they may take.
    settling: BTreeMap<String, Instant>,
    /// Nodes that were given shares here, and the name of the attempt.
    touched: BTreeMap<String, String>,
    /// How often the shares opened nothing on a node although they open others.
    misfits: BTreeMap<String, u32>,
    /// Since when there is nothing that an operator could do.
    idle_since: Instant,
}

/// What came of giving a node all the shares there are.
enum Fed {
    /// It wants more.
    More(NodeSeal),
    /// It has enough and says that it is open, or is about to be.
    Enough(NodeSeal),
    /// It had enough, and they open nothing.
    Wrong(String),
    /// It did not answer.
    Trouble(String),
}

impl Unsealing<'_> {
    async fn hold(&mut self) -> Result<Outcome, StepError> {
        let cancel = self.site.context.cancel.clone();
        loop {
            let advanced = cancel.run_until_cancelled(self.advance()).await;
            if advanced.ok_or_else(StepError::cancelled)?? {
                let active = in_state(&self.nodes, SealState::Active).join(", ");
                let active = if active.is_empty() {
                    "no node is active yet".to_owned()
                } else {
                    format!("{active} is active")
                };
                self.site
                    .note(format!("every node says that it is unsealed; {active}"))
                    .await;
                return Ok(Outcome::Changed);
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(StepError::cancelled()),
                spoken = self.chair.next() => {
                    let spoken = spoken?;
                    let heard = cancel.run_until_cancelled(self.hear(spoken)).await;
                    heard.ok_or_else(StepError::cancelled)?;
                }
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Looks at the nodes, lets newcomers join, gives what there is to give; whether every node is open.
    async fn advance(&mut self) -> Result<bool, StepError> {
        let before = std::mem::take(&mut self.nodes);
        self.nodes = self.site.nodes().await?;
        let now = Instant::now();
        self.settling.retain(|_, until| *until > now);
        for node in &self.nodes {
            let known = before.iter().find(|known| known.node == node.node);
            if node.state.is_open() {
                self.settling.remove(&node.node);
                if known.is_some_and(|known| !known.state.is_open()) {
                    self.site
                        .note(format!("{}: unsealed, {}", node.node, node.state))
                        .await;
                }
            }
        }
        self.join().await;
        self.feed_all().await;
        self.chair.see(&self.nodes);
        if self.nodes.iter().all(|node| node.state.is_open()) {
            return Ok(true);
        }
        self.ask();
        self.give_up_when_late()?;
        Ok(false)
    }

    /// Newcomers ask the active node to be taken in.
    async fn join(&mut self) {
        let newcomers: Vec<String> = in_state(&self.nodes, SealState::Uninitialized)
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();
        if newcomers.is_empty() {
            return;
        }
        // The active node may be one that is not meant here.
        let all = self.site.seals.nodes().await;
        let Some(active) = in_state(&all, SealState::Active).first().copied() else {
            return;
        };
        for name in newcomers {
            match self.site.seals.join(&name, active).await {
                Ok(()) => {
                    self.site
                        .note(format!("{name}: joins the cluster of {active}"))
                        .await;
                }
                Err(error) => {
                    let text = format!("{name} could not join the cluster of {active}: {error}");
                    if self.chair.standing().said != text {
                        self.site.note(text.clone()).await;
                    }
                    self.chair.say(text);
                }
            }
        }
    }

    /// Gives every share to every node that waits for shares and has not had all of them.
    async fn feed_all(&mut self) {
        if self.shares.doubtful || self.shares.len() == 0 {
            return;
        }
        let count = u32::try_from(self.shares.len()).unwrap_or(u32::MAX);
        let hungry: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| node.wants_shares() && node.progress < count)
            .map(|node| node.node.clone())
            .filter(|node| !self.settling.contains_key(node))
            .filter(|node| self.misfits.get(node).is_none_or(|times| *times < 2))
            .collect();
        if hungry.is_empty() {
            return;
        }
        let shares: Vec<&Given> = self.shares.all().iter().collect();
        let fed = join_all(
            hungry
                .iter()
                .map(|node| feed(&*self.site.seals, node, &shares)),
        )
        .await;
        let mut wrong = Vec::new();
        for (name, fed) in hungry.into_iter().zip(fed) {
            match fed {
                Fed::More(node) => {
                    self.site
                        .note(format!("{name}: {} shares", node.shares()))
                        .await;
                    self.touched.insert(name, node.nonce.clone());
                    self.put(node);
                }
                Fed::Enough(node) => {
                    self.proven = true;
                    self.site.note(format!("{name}: has enough shares")).await;
                    self.touched.remove(&name);
                    self.settling.insert(name, Instant::now() + SETTLING);
                    self.put(node);
                }
                Fed::Wrong(reason) => wrong.push((name, reason)),
                Fed::Trouble(reason) => {
                    self.site.note(format!("{name}: {reason}")).await;
                    self.put(NodeSeal::unreachable(name, reason));
                }
            }
        }
        for (name, reason) in wrong {
            self.touched.remove(&name);
            self.doubt(&name, &reason).await;
        }
    }

    /// Enough shares opened nothing on a node.
    async fn doubt(&mut self, name: &str, reason: &str) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.node == name) {
            node.progress = 0;
            node.nonce.clear();
        }
        let needed = self.needed();
        let text = if self.proven {
            let times = self.misfits.entry(name.to_owned()).or_default();
            *times += 1;
            if *times < 2 {
                format!(
                    "{name}: these shares open other nodes, and with what it had been given before they opened nothing; they \
                     are tried again on their own"
                )
            } else {
                format!(
                    "{name}: these shares open other nodes and not this one; does it belong to another cluster? ({reason})"
                )
            }
        } else if self.shares.len() < needed {
            format!(
                "{name} had been given shares from elsewhere; with these they opened nothing, and it has forgotten all of them"
            )
        } else if self.shares.doubtful {
            return;
        } else {
            self.shares.doubtful = true;
            format!(
                "these {needed} shares open nothing: at least one is wrong. Give another one, and it is tried with each of them; \
                 or reset, and begin anew"
            )
        };
        self.site.note(text.clone()).await;
        self.chair.say(text);
    }

    fn put(&mut self, node: NodeSeal) {
        if let Some(known) = self.nodes.iter_mut().find(|known| known.node == node.node) {
            *known = node;
        }
    }

    /// How many shares open a node.
    fn needed(&self) -> usize {
        let wanted = self.nodes.iter().filter(|node| node.wants_shares());
        let most = wanted.map(|node| node.t).max();
        let most = most.or_else(|| self.nodes.iter().map(|node| node.t).max());
        usize::try_from(most.unwrap_or(1)).unwrap_or(usize::MAX)
    }

    /// Shows what is wanted now.
    fn ask(&mut self) {
        let needed = self.needed();
        let waits = self
            .nodes
            .iter()
            .any(|node| node.wants_shares() && !self.settling.contains_key(&node.node));
        let wants = if waits && (self.shares.len() < needed || self.shares.doubtful) {
            Wants::Share
        } else {
            Wants::Nothing
        };
        if wants == Wants::Share || !self.settling.is_empty() {
            self.idle_since = Instant::now();
        }
        let givers = self.shares.givers();
        let first = self.chair.standing().needed == 0;
        self.chair.stand(|standing| {
            standing.wants = wants;
            standing.givers = givers;
            standing.needed = u32::try_from(needed).unwrap_or(u32::MAX);
            if first && standing.said.is_empty() && wants == Wants::Share {
                standing.said = format!("any {needed} different shares open the seal");
            }
        });
    }

    /// Nodes that no operator can help are not waited for without end.
    fn give_up_when_late(&self) -> Result<(), StepError> {
        if self.idle_since.elapsed() < LATE {
            return Ok(());
        }
        let open = self
            .nodes
            .iter()
            .filter(|node| node.state.is_open())
            .count();
        let itself = self
            .nodes
            .iter()
            .any(|node| node.state == SealState::Sealed && node.unseals_itself());
        let hint = if itself {
            "; a node with auto-unseal asks nobody for shares: look at its log and at what unseals it"
        } else {
            "; begin anew when they answer, or leave them out with --node"
        };
        Err(StepError {
            message: format!(
                "{open} of {} nodes are unsealed; not: {}{hint}",
                self.nodes.len(),
                closed(&self.nodes)
            ),
            passing: false,
        })
    }

    /// What an operator said.
    async fn hear(&mut self, spoken: Spoken) {
        match &spoken.word {
            Word::Reset => {
                self.shares.clear();
                self.misfits.clear();
                self.take_back().await;
                let text = format!("{} had all shares forgotten", spoken.by);
                self.site.note(text.clone()).await;
                self.chair.say(text);
                let _ = spoken.reply.send(Ok(Heard::Taken));
            }
            Word::Take | Word::Kept => out_of_turn(spoken, "there are no new keys to be taken"),
            Word::Share(_) if self.chair.standing().wants != Wants::Share => {
                out_of_turn(spoken, "no further share is needed");
            }
            Word::Share(share) => {
                let taken = self.shares.take(share.clone(), &spoken.by, self.separate);
                if let Err(reason) = taken {
                    self.chair.say(format!("not taken: {reason}"));
                    out_of_turn(spoken, &reason);
                    return;
                }
                let count = self.shares.len();
                self.site
                    .note(format!(
                        "{} gave share {count} of {}",
                        spoken.by,
                        self.needed()
                    ))
                    .await;
                if self.shares.doubtful {
                    self.sift().await;
                }
                self.feed_all().await;
                self.chair.see(&self.nodes);
                self.ask();
                if !self.shares.doubtful && !self.chair.standing().said.contains("forgotten") {
                    self.chair.say(format!("{} gave a share", spoken.by));
                }
                let _ = spoken.reply.send(Ok(Heard::Taken));
            }
        }
    }

    /// Tries the newest share with every set of the others on one node, until some set opens it.
    async fn sift(&mut self) {
        let node = self.nodes.iter().find(|node| node.wants_shares());
        let Some(node) = node.map(|node| node.node.clone()) else {
            return;
        };
        for set in self.shares.sets_with_newest(self.needed()) {
            // What is left of the set before must not count for this one.
            let _ = self.site.seals.reset(&node).await;
            let all = self.shares.all();
            let shares: Vec<&Given> = set.iter().filter_map(|place| all.get(*place)).collect();
            match feed(&*self.site.seals, &node, &shares).await {
                Fed::Enough(seal) => {
                    let text = format!("{node}: unsealed; {}", self.shares.keep(&set));
                    self.proven = true;
                    self.site.note(text.clone()).await;
                    self.chair.say(text);
                    self.settling.insert(node, Instant::now() + SETTLING);
                    self.put(seal);
                    return;
                }
                Fed::Wrong(_) | Fed::More(_) => {}
                Fed::Trouble(reason) => {
                    self.site.note(format!("{node}: {reason}")).await;
                    return;
                }
            }
        }
        let text = format!(
            "with the {} shares given so far no set opens the seal: more than one is wrong. Give another, or reset",
            self.shares.len()
        );
        self.site.note(text.clone()).await;
        self.chair.say(text);
    }

    /// Takes the shares that were given here out of the nodes again, so that nobody's next attempt is spoilt by them.
    async fn take_back(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        if touched.is_empty() {
            return;
        }
        let nodes = self.site.seals.nodes().await;
        let ours = nodes.iter().filter(|node| {
            node.wants_shares()
                && node.progress > 0
                && touched
                    .get(&node.node)
                    .is_some_and(|nonce| *nonce == node.nonce)
        });
        let resets = ours.map(async |node| {
            let name = node.node.as_str();
            match self.site.seals.reset(name).await {
                Ok(()) => format!("{name}: reset, it has forgotten the shares of this ceremony"),
                Err(error) => format!("{name}: could not be reset: {error}"),
            }
        });
        for text in join_all(resets).await {
            self.site.note(text).await;
        }
    }
}

/// Gives shares to one node, in order, until it has enough.
async fn feed(seals: &dyn Seals, node: &str, shares: &[&Given]) -> Fed {
    let mut last = None;
    for given in shares {
        match seals.unseal(node, &given.secret).await {
            // Enough: open, or about to open (a newcomer to Raft answers before it is).
            Ok(seal) if seal.state.is_open() || seal.progress == 0 => return Fed::Enough(seal),
            Ok(seal) => last = Some(seal),
            Err(ServiceError::Status { status, reason, .. }) if (400..=500).contains(&status) => {
                return Fed::Wrong(reason);
            }
            Err(error) => return Fed::Trouble(error.to_string()),
        }
    }
    last.map_or_else(|| Fed::Trouble("no share to give".into()), Fed::More)
}
