//! Vault's seal as operators see it: how each node stands, what a ceremony waits for, and what a share looks like.
//!
//! The seal is per node: each keeps its own count of the shares it was given, and each must be unsealed by itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run::RunId;
use super::secret::Secret;
use super::table::{Cell, Table, Tone};
use super::words;

words! {
    /// How a node stands, by what it says itself (`/v1/sys/health`, `/v1/sys/seal-status`).
    pub enum SealState {
        /// It does not answer.
        Unreachable = "unreachable",
        /// It belongs to no cluster yet.
        Uninitialized = "not initialized",
        /// It waits for shares, or for its auto-unseal.
        Sealed = "sealed",
        /// It is open and leads.
        Active = "active",
        /// It is open and ready to take over.
        Standby = "standby",
        /// It is open and cannot reach the active node.
        CutOff = "cut off",
        /// It was removed from its cluster.
        Removed = "removed",
    }
}

impl SealState {
    /// Whether what it keeps can be read.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Standby | Self::CutOff)
    }

    /// How it is told by colour.
    pub const fn tone(self) -> Tone {
        match self {
            Self::Active => Tone::Accent,
            Self::Standby => Tone::Good,
            Self::CutOff | Self::Uninitialized => Tone::Warn,
            Self::Sealed | Self::Unreachable | Self::Removed => Tone::Bad,
        }
    }
}

/// The kind of seal that operators open with shares; every other one opens itself.
pub const SHAMIR: &str = "shamir";

/// One node of a Vault, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeal {
    /// The node's name, or the host and port of its URL.
    pub node: String,
    /// How it stands.
    pub state: SealState,
    /// The kind of its seal: `shamir`, or what unseals it by itself, such as `awskms`; empty while it does not answer.
    pub kind: String,
    /// Shares needed.
    pub t: u32,
    /// Shares that exist.
    pub n: u32,
    /// Shares given so far.
    pub progress: u32,
    /// Names the attempt that the shares were given to; empty when none were.
    pub nonce: String,
    /// Its version.
    pub version: String,
    /// The active node, as this one says.
    pub leader: Option<String>,
    /// Since when it is known to be sealed or silent.
    pub since: Option<Timestamp>,
    /// Why it does not answer.
    pub trouble: Option<String>,
}

impl NodeSeal {
    /// A node that does not answer.
    pub fn unreachable(node: impl Into<String>, trouble: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            state: SealState::Unreachable,
            kind: String::new(),
            t: 0,
            n: 0,
            progress: 0,
            nonce: String::new(),
            version: String::new(),
            leader: None,
            since: None,
            trouble: Some(trouble.into()),
        }
    }

    /// Whether something else than operators unseals it; then nobody is asked for shares.
    pub fn unseals_itself(&self) -> bool {
        !self.kind.is_empty() && self.kind != SHAMIR
    }

    /// Whether it waits for shares from operators.
    pub fn wants_shares(&self) -> bool {
        self.state == SealState::Sealed && !self.unseals_itself()
    }

    /// How far it is, such as `2 of 3`.
    pub fn shares(&self) -> String {
        match self.state {
            SealState::Unreachable | SealState::Uninitialized => "-".into(),
            _ if self.unseals_itself() => "none asked".into(),
            SealState::Sealed => format!("{} of {}", self.progress, self.t),
            _ => format!("{} of {} suffice", self.t, self.n),
        }
    }
}

/// All nodes of a Vault side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealBoard {
    /// The environment's name.
    pub environment: String,
    /// The service's name in it.
    pub service: String,
    /// Its nodes, in the order of its endpoints.
    pub nodes: Vec<NodeSeal>,
    /// When they were asked.
    pub as_of: Timestamp,
}

impl SealBoard {
    /// Whether every node is open.
    pub fn all_open(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.iter().all(|node| node.state.is_open())
    }

    /// The board as a table.
    pub fn table(&self, age: impl Fn(Timestamp) -> String) -> Table {
        let mut table = Table::new(
            self.service.as_str(),
            [
                "NODE", "STATE", "SHARES", "N", "NONCE", "LEADER", "SEAL", "SINCE", "VERSION",
            ],
            "the service has no endpoint",
        );
        for node in &self.nodes {
            let brief: String = node.nonce.chars().take(8).collect();
            let waits = node.wants_shares() && node.progress > 0;
            let shares = if waits { Tone::Warn } else { Tone::Plain };
            let or_dash = |text: &str| match text {
                "" => Cell::new("-", Tone::Muted),
                text => Cell::plain(text),
            };
            table.push(
                node.node.clone(),
                [
                    node.node.as_str().into(),
                    Cell::new(node.state.word(), node.state.tone()),
                    Cell::new(node.shares(), shares),
                    or_dash(&match node.n {
                        0 => String::new(),
                        n => n.to_string(),
                    }),
                    or_dash(&brief),
                    or_dash(node.leader.as_deref().unwrap_or_default()),
                    or_dash(&node.kind),
                    or_dash(&node.since.map(&age).unwrap_or_default()),
                    or_dash(&node.version),
                ],
            );
        }
        table
    }
}

words! {
    /// What a ceremony is for.
    pub enum CeremonyKind {
        /// To unseal every node.
        Unseal = "unseal",
        /// To initialise a new Vault.
        Init = "init",
        /// To replace the shares by others.
        Rekey = "rekey",
    }
}

words! {
    /// What a ceremony waits for.
    pub enum Wants {
        /// A share, from anybody who has one.
        Share = "share",
        /// Somebody who takes the new keys, before they are made.
        Taker = "taker",
        /// The taker's word that he has put them in a safe place.
        Kept = "kept",
        /// Nothing from operators.
        Nothing = "nothing",
    }
}

/// A step of a run that waits for shares, or for somebody who takes new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceremony {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub number: i64,
    /// The environment's name.
    pub environment: String,
    /// The service's name.
    pub service: String,
    /// What for.
    pub kind: CeremonyKind,
    /// How it stands.
    pub standing: Standing,
}

/// How a ceremony stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Goes up with every change: what is heard late is told from what is news.
    pub revision: u64,
    /// The nodes it is about.
    pub nodes: Vec<NodeSeal>,
    /// What it waits for.
    pub wants: Wants,
    /// Shares that were given, in order, by whom; never the shares.
    pub givers: Vec<String>,
    /// How many are needed.
    pub needed: u32,
    /// What happened last, such as why a share was not taken.
    pub said: String,
}

impl Standing {
    /// Nothing asked and nothing given yet.
    pub fn quiet() -> Self {
        Self {
            revision: 0,
            nodes: Vec::new(),
            wants: Wants::Nothing,
            givers: Vec::new(),
            needed: 0,
            said: String::new(),
        }
    }

    /// How many shares were given.
    pub fn given(&self) -> u32 {
        u32::try_from(self.givers.len()).unwrap_or(u32::MAX)
    }
}

/// What an operator says to a ceremony.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Here is a share.
    Share(Secret),
    /// Forget the shares given so far, here and on the nodes.
    Reset,
    /// Give me the new keys.
    Take,
    /// I have them in a safe place: forget them.
    Kept,
}

/// New keys, shown to one operator, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKeys {
    /// The shares, in hexadecimal digits.
    pub shares: Vec<Secret>,
    /// How many of them unseal.
    pub threshold: u32,
    /// The first token, which may do everything; only a new Vault has one.
    pub root_token: Option<Secret>,
    /// Whether they are recovery keys: of a Vault that unseals itself. They do not unseal it, they let operators act for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
}

impl NewKeys {
    /// What one of them is called.
    pub const fn called(&self) -> &'static str {
        if self.recovery {
            "recovery key"
        } else {
            "share"
        }
    }

    /// What they are for, as a sentence.
    pub fn purpose(&self) -> String {
        let (needed, all) = (self.threshold, self.shares.len());
        if self.recovery {
            format!(
                "Any {needed} of these {all} recovery keys let operators make a new root token; they do not unseal, which this Vault \
                 does itself."
            )
        } else {
            format!("Any {needed} of these {all} shares unseal.")
        }
    }
}

/// The shortest and the longest share, bytes: Vault takes keys of 16 to 32 bytes, and a share has its number at the end.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=33;

/// Judges what somebody typed as a share, without a look at what it belongs to: nothing in a share tells that. Gives its bytes.
///
/// # Errors
/// A sentence that says what is wrong; never any part of what was typed.
pub fn read_share(typed: &Secret) -> Result<zeroize::Zeroizing<Vec<u8>>, String> {
    use base64::Engine as _;
    let text = typed.expose().trim();
    if text.is_empty() {
        return Err("nothing was typed".into());
    }
    let bytes = unhex(text).or_else(|| {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()?;
        Some(zeroize::Zeroizing::new(decoded))
    });
    let Some(bytes) = bytes else {
        return Err("this is no share: one is written in hexadecimal digits or base64".into());
    };
    if bytes.len() > *LENGTHS.end() {
        return Err(format!(
            "this is no share: it has {} bytes, a share has at most {}; is it still encrypted?",
            bytes.len(),
            LENGTHS.end()
        ));
    }
    if bytes.len() < *LENGTHS.start() {
        return Err(format!(
            "this is no share: it has {} bytes, a share has at least {}; was it cut off?",
            bytes.len(),
            LENGTHS.start()
        ));
    }
    Ok(bytes)
}

fn unhex(text: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks_exact(2) {
        bytes.push(u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(text: &str) -> Result<usize, String> {
        read_share(&Secret::new(text.into())).map(|bytes| bytes.len())
    }

    #[test]
    fn a_share_is_read_in_hexadecimal_digits_and_in_base64_with_space_around_it() {
        assert_eq!(judged(&"0a".repeat(33)), Ok(33));
        assert_eq!(judged(&format!("  {}\n", "AB".repeat(33))), Ok(33));
        assert_eq!(
            judged("4rYIX0nf28zOcxALcrck2uQVv7SqR3nPWBuObonfZAPk"),
            Ok(33)
        );
    }

    #[test]
    fn what_is_no_share_is_told_without_showing_it() {
        for (typed, said) in [
            ("", "nothing was typed"),
            ("hunter2-is-no-share!", "hexadecimal"),
            ("c2hvcnQ=", "cut off"),
            (&"00".repeat(300), "still encrypted"),
        ] {
            let reason = judged(typed).unwrap_err();
            assert!(reason.contains(said), "{reason}");
            assert!(typed.is_empty() || !reason.contains(typed), "{reason}");
        }
    }

    #[test]
    fn a_node_that_unseals_itself_asks_for_nothing() {
        let node = NodeSeal {
            state: SealState::Sealed,
            kind: "awskms".into(),
            trouble: None,
            ..NodeSeal::unreachable("pc1", "")
        };
        assert!(!node.wants_shares());
        assert_eq!(node.shares(), "none asked");
    }
}
