//! A Vault cluster: who is sealed, who is active, and what the barrier protects.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::secrets::Secrets;
use super::shamir;
use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::ids::{Ids, hex};
use crate::lab::services::pulse::{Beat, Pulse};
use crate::lab::services::quorum::Quorum;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// How many shares there are.
pub(crate) const SHARES: u8 = 5;
/// How many of them unseal.
pub(crate) const THRESHOLD: u8 = 3;
/// A share is as long as the root key and one byte more; Vault refuses keys outside these bounds.
const KEY_MIN: usize = 16;
const KEY_MAX: usize = 33;

/// What a seal protects, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Seal {
    /// The shares, as `vault operator init` prints them: hexadecimal.
    pub shares: Vec<String>,
    /// The initial root token.
    pub root_token: String,
    root_key: [u8; 32],
}

impl Seal {
    /// The seal of a cluster initialised with `ids`.
    ///
    /// # Errors
    /// Never with the constants above; the type says what [`shamir::split`] could.
    pub(crate) fn new(ids: Ids) -> Result<Self, shamir::ShamirError> {
        let root_key = ids.bytes("vault/root-key");
        let mut random = fastrand::Rng::with_seed(ids.below("vault/polynomials", u64::MAX));
        let shares = shamir::split(&root_key, SHARES, THRESHOLD, &mut random)?;
        Ok(Self {
            shares: shares.iter().map(|share| hex(share)).collect(),
            root_token: format!("hvs.{}", ids.word("vault/root-token", 24)),
            root_key,
        })
    }
}

/// A server of the cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub host: Host,
    /// Where its API listens.
    pub url: String,
    pub pulse: Pulse,
    pub sealed: bool,
    /// The shares given so far in this attempt.
    pub given: Vec<Vec<u8>>,
    /// Names the attempt.
    pub nonce: String,
    /// When it last heard the active node, since it was unsealed.
    pub heard: Option<Timestamp>,
}

impl Member {
    /// Whether it takes part in Raft: only an unsealed member has opened its storage.
    pub(crate) fn takes_part(&self) -> bool {
        self.pulse.alive() && !self.sealed
    }
}

/// Why a share was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnsealError {
    /// Too short or too long to be a share.
    #[error("invalid key: {0}")]
    Length(String),
    /// The shares do not fit together.
    #[error("failed to compute combined key: {0}")]
    Combine(#[from] shamir::ShamirError),
    /// The shares fit together, and give the key of something else.
    #[error(
        "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: \
         cipher: message authentication failed"
    )]
    Wrong,
}

/// A cluster.
pub(crate) struct Vault {
    pub members: BTreeMap<String, Member>,
    pub quorum: Quorum,
    pub secrets: Secrets,
    pub seal: Seal,
    pub ids: Ids,
    pub born: Timestamp,
    /// When the present active node became active.
    pub active_since: Timestamp,
    /// The last index of the Raft log.
    pub index: u64,
    revision: u64,
}

impl Vault {
    /// An initialised and unsealed cluster on the nodes that have its role; `urls` says where each listens.
    pub(crate) fn new(
        around: &Surroundings,
        seal: Seal,
        urls: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Self {
        let mut members: BTreeMap<String, Member> = around
            .cluster
            .nodes()
            .into_iter()
            .filter(|host| host.roles.contains(&Role::Vault))
            .map(|host| {
                let alive = around.cluster.runs(&host.name, units::VAULT);
                let starts = around.cluster.starts(&host.name, units::VAULT);
                let member = Member {
                    url: urls.get(&host.name).cloned().unwrap_or_default(),
                    pulse: Pulse::new(alive, starts, now),
                    sealed: !alive,
                    given: Vec::new(),
                    nonce: String::new(),
                    heard: None,
                    host,
                };
                (member.host.name.clone(), member)
            })
            .collect();
        let mut quorum = Quorum::new(members.keys().cloned().collect());
        quorum.settle(|name| takes_part(&members, name), now);
        listen(&mut members, &quorum, now);
        Self {
            members,
            quorum,
            secrets: Secrets::seeded(now),
            seal,
            ids: around.ids,
            born: now,
            active_since: now,
            index: 52,
            revision: 0,
        }
    }

    /// The member on `node`.
    pub(crate) fn member(&self, node: &str) -> Option<&Member> {
        self.members.get(node)
    }

    /// The active member.
    pub(crate) fn active(&self) -> Option<&Member> {
        self.members.get(self.quorum.leader()?)
    }

    /// Whether the member on `node` is the active one.
    pub(crate) fn is_active(&self, node: &str) -> bool {
        self.quorum.leader() == Some(node)
    }

    /// Takes one share for the member on `node`.
    ///
    /// Nothing tells a wrong share from a right one until there are enough of them; then the whole attempt fails.
    ///
    /// # Errors
    /// [`UnsealError`], after which the attempt starts over where shares had been combined.
    pub(crate) fn unseal(&mut self, node: &str, key: Vec<u8>) -> Result<(), UnsealError> {
        if key.len() < KEY_MIN {
            return Err(UnsealError::Length(format!(
                "key is shorter than minimum {KEY_MIN} bytes"
            )));
        }
        if key.len() > KEY_MAX {
            return Err(UnsealError::Length(format!(
                "key is longer than maximum {KEY_MAX} bytes"
            )));
        }
        let attempt = self.revision;
        let nonce = self.ids.uuid(&format!("vault/nonce/{node}/{attempt}"));
        let Some(member) = self.members.get_mut(node).filter(|member| member.sealed) else {
            return Ok(());
        };
        // The same share twice is ignored, not counted.
        if member.given.contains(&key) {
            return Ok(());
        }
        if member.given.is_empty() {
            member.nonce = nonce;
        }
        member.given.push(key);
        self.revision += 1;
        if member.given.len() < usize::from(THRESHOLD) {
            return Ok(());
        }
        member.nonce.clear();
        let combined = shamir::combine(&std::mem::take(&mut member.given))?;
        if combined != self.seal.root_key {
            return Err(UnsealError::Wrong);
        }
        member.sealed = false;
        member.heard = None;
        Ok(())
    }

    /// Forgets the shares given so far.
    pub(crate) fn reset(&mut self, node: &str) {
        if let Some(member) = self.members.get_mut(node) {
            member.given.clear();
            member.nonce.clear();
            self.revision += 1;
        }
    }

    /// Seals the member on `node`.
    pub(crate) fn seal(&mut self, node: &str) {
        if let Some(member) = self.members.get_mut(node) {
            seal(member);
            self.revision += 1;
        }
    }

    /// Seals every member.
    pub(crate) fn seal_all(&mut self) {
        self.members.values_mut().for_each(seal);
        self.revision += 1;
    }

    /// Unseals every member that runs, as somebody with all the shares would.
    pub(crate) fn unseal_all(&mut self) {
        for member in self.members.values_mut() {
            member.sealed = !member.pulse.alive();
            member.given.clear();
            member.nonce.clear();
        }
        self.revision += 1;
    }

    /// The active member gives way to another.
    pub(crate) fn step_down(&mut self, now: Timestamp) {
        self.quorum.step_down(now);
        self.revision += 1;
    }

    /// Appends to the Raft log.
    pub(crate) fn bump(&mut self) -> u64 {
        self.index += 1;
        self.revision += 1;
        self.index
    }
}

fn seal(member: &mut Member) {
    member.sealed = true;
    member.given.clear();
    member.nonce.clear();
    member.heard = None;
}

/// Unsealed members hear the active one.
fn listen(members: &mut BTreeMap<String, Member>, quorum: &Quorum, now: Timestamp) {
    if quorum.leader().is_some() {
        for member in members.values_mut().filter(|member| !member.sealed) {
            member.heard = Some(now);
        }
    }
}

fn takes_part(members: &BTreeMap<String, Member>, name: &str) -> bool {
    members.get(name).is_some_and(Member::takes_part)
}

impl Machine for Vault {
    fn advance(&mut self, around: &Surroundings, now: Timestamp) -> Outlook {
        for member in self.members.values_mut() {
            let name = &member.host.name;
            let alive = around.cluster.runs(name, units::VAULT);
            let starts = around.cluster.starts(name, units::VAULT);
            if member.pulse.observe(alive, starts, now) != Beat::Steady {
                // What was unsealed was in the memory of the process.
                seal(member);
                self.revision += 1;
            }
        }
        let members = &self.members;
        let changed =
            self.quorum
                .advance(|name| takes_part(members, name), now, around.pace.election);
        if changed {
            self.active_since = now;
            self.index += 1;
            self.revision += 1;
        }
        listen(&mut self.members, &self.quorum, now);
        let members = &self.members;
        Outlook::pending_if(self.quorum.electing(|name| takes_part(members, name)))
    }

    fn revision(&self) -> u64 {
        self.revision
    }
}
