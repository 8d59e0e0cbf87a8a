//! A Vault cluster: who is sealed, who is active, and what the barrier protects.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::logical::POLICIES;
use super::seal::{Made, Rekey, Scheme, Seal};
use super::secrets::Secrets;
use super::shamir;
use crate::domain::node::Role;
use crate::lab::services::cluster::Host;
use crate::lab::services::ids::Ids;
use crate::lab::services::pulse::{Beat, Pulse};
use crate::lab::services::quorum::Quorum;
use crate::lab::services::sim::{Machine, Outlook, Surroundings};
use crate::lab::services::units;

/// A share is as long as the root key and one byte more; Vault refuses keys outside these bounds.
const KEY_MIN: usize = 16;
const KEY_MAX: usize = 33;

/// A server of the cluster.
#[derive(Debug)]
pub(crate) struct Member {
    pub host: Host,
    /// Where its API listens.
    pub url: String,
    pub pulse: Pulse,
    pub sealed: bool,
    /// Whether it belongs to the cluster: it was initialised, or has asked to be taken in.
    pub joined: bool,
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
    /// There is nothing to unseal yet.
    #[error("Vault is not initialized")]
    Uninitialised,
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

/// Why a share was not taken for a rekey.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RekeyError {
    /// None was begun.
    #[error("no barrier rekey in progress")]
    None,
    /// It was given for another one.
    #[error("incorrect nonce supplied; nonce for this rekey operation is \"{0}\"")]
    Nonce(String),
    /// The same share twice.
    #[error("given key has already been provided during this rekey operation")]
    Again,
    /// The shares do not fit together.
    #[error("failed to compute combined key: {0}")]
    Combine(#[from] shamir::ShamirError),
    /// The shares are not those in force.
    #[error("rekey authentication failed: invalid key: failed to verify recovery key")]
    Wrong,
    /// Not the shares that were handed out.
    #[error("rekey verification failed; incorrect key shares supplied")]
    Unverified,
    /// There is nothing to verify.
    #[error("no rekey verification in progress")]
    NothingToVerify,
}

/// A cluster.
pub(crate) struct Vault {
    pub members: BTreeMap<String, Member>,
    pub quorum: Quorum,
    pub secrets: Secrets,
    /// What opens it, once it is initialised.
    pub seal: Seal,
    pub rekey: Option<Rekey>,
    /// ACL policies by name.
    pub policies: BTreeMap<String, String>,
    pub ids: Ids,
    pub born: Timestamp,
    /// When the present active node became active.
    pub active_since: Timestamp,
    /// The last index of the Raft log.
    pub index: u64,
    revision: u64,
}

impl Vault {
    /// The cluster on the nodes that have its role, initialised and unsealed, or not initialised where none of them runs it yet;
    /// `urls` says where each listens.
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
                    joined: false,
                    given: Vec::new(),
                    nonce: String::new(),
                    heard: None,
                    host,
                };
                (member.host.name.clone(), member)
            })
            .collect();
        let runs = members.values().any(|member| member.pulse.alive());
        let mut quorum = Quorum::new(if runs {
            members.keys().cloned().collect()
        } else {
            Vec::new()
        });
        for member in members.values_mut() {
            member.joined = runs;
        }
        quorum.settle(|name| takes_part(&members, name), now);
        listen(&mut members, &quorum, now);
        Self {
            members,
            quorum,
            secrets: Secrets::seeded(now),
            seal,
            rekey: None,
            policies: POLICIES
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect(),
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

    /// Whether there is a cluster.
    pub(crate) fn initialised(&self) -> bool {
        self.members.values().any(|member| member.joined)
    }

    /// Makes the member on `node` the first of a new cluster, and gives what opens it.
    ///
    /// # Errors
    /// For a scheme that cannot be.
    pub(crate) fn init(
        &mut self,
        node: &str,
        scheme: Scheme,
    ) -> Result<&Seal, shamir::ShamirError> {
        self.seal = Seal::new(self.ids, scheme, self.revision)?;
        self.secrets = Secrets::default();
        if let Some(member) = self.members.get_mut(node) {
            member.joined = true;
        }
        self.quorum.admit(node);
        self.revision += 1;
        Ok(&self.seal)
    }

    /// Has the member on `node` asked to be taken in; whether there was somebody who heard it.
    pub(crate) fn join(&mut self, node: &str) -> bool {
        let leads = self.active().is_some();
        let Some(member) = self.members.get_mut(node) else {
            return false;
        };
        if leads && !member.joined {
            member.joined = true;
            self.revision += 1;
        }
        member.joined
    }

    /// Begins to replace the shares, unless somebody has already.
    pub(crate) fn begin_rekey(&mut self, scheme: Scheme, verified: bool) -> bool {
        if self.rekey.is_some() {
            return false;
        }
        self.revision += 1;
        self.rekey = Some(Rekey {
            nonce: self.ids.uuid(&format!("vault/rekey/{}", self.revision)),
            scheme,
            verified,
            given: Vec::new(),
            made: None,
        });
        true
    }

    /// Gives a rekey up; the present shares stay in force.
    pub(crate) fn end_rekey(&mut self) {
        self.rekey = None;
        self.revision += 1;
    }

    /// Takes one of the present shares; with the last that is needed, the new ones, and what their verification is called.
    ///
    /// # Errors
    /// [`RekeyError`]; shares that were enough and opened nothing are forgotten.
    pub(crate) fn rekey_with(
        &mut self,
        nonce: &str,
        key: Vec<u8>,
    ) -> Result<Option<(Seal, Option<String>)>, RekeyError> {
        self.revision += 1;
        let rekey = self.rekey.as_mut().ok_or(RekeyError::None)?;
        if rekey.nonce != nonce {
            return Err(RekeyError::Nonce(rekey.nonce.clone()));
        }
        if rekey.given.contains(&key) {
            return Err(RekeyError::Again);
        }
        rekey.given.push(key);
        if rekey.given.len() < usize::from(self.seal.scheme.threshold) {
            return Ok(None);
        }
        if !self.seal.opens(&std::mem::take(&mut rekey.given))? {
            return Err(RekeyError::Wrong);
        }
        let seal = Seal::new(self.ids, rekey.scheme, self.revision)?;
        if !rekey.verified {
            self.seal = seal.clone();
            self.rekey = None;
            return Ok(Some((seal, None)));
        }
        let nonce = self.ids.uuid(&format!("vault/verify/{}", self.revision));
        rekey.made = Some(Made {
            nonce: nonce.clone(),
            seal: seal.clone(),
            shown: Vec::new(),
        });
        Ok(Some((seal, Some(nonce))))
    }

    /// Takes one of the new shares; whether they are in force now.
    ///
    /// # Errors
    /// [`RekeyError`]; the present shares stay in force.
    pub(crate) fn verify_rekey(&mut self, nonce: &str, key: Vec<u8>) -> Result<bool, RekeyError> {
        self.revision += 1;
        let rekey = self.rekey.as_mut();
        let made = rekey.and_then(|rekey| rekey.made.as_mut());
        let made = made.ok_or(RekeyError::NothingToVerify)?;
        if made.nonce != nonce {
            return Err(RekeyError::Nonce(made.nonce.clone()));
        }
        if made.shown.contains(&key) {
            return Err(RekeyError::Again);
        }
        made.shown.push(key);
        if made.shown.len() < usize::from(made.seal.scheme.threshold) {
            return Ok(false);
        }
        if !made.seal.opens(&std::mem::take(&mut made.shown))? {
            return Err(RekeyError::Unverified);
        }
        self.seal = made.seal.clone();
        self.rekey = None;
        Ok(true)
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
        if !member.joined {
            return Err(UnsealError::Uninitialised);
        }
        // The same share twice is ignored, not counted.
        if member.given.contains(&key) {
            return Ok(());
        }
        if member.given.is_empty() {
            member.nonce = nonce;
        }
        member.given.push(key);
        self.revision += 1;
        if member.given.len() < usize::from(self.seal.scheme.threshold) {
            return Ok(());
        }
        member.nonce.clear();
        if !self.seal.opens(&std::mem::take(&mut member.given))? {
            return Err(UnsealError::Wrong);
        }
        member.sealed = false;
        member.heard = None;
        self.quorum.admit(node);
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
            member.sealed = !(member.pulse.alive() && member.joined);
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
        // The lab's configuration says `retry_join`: who belongs to no cluster asks until somebody is there to answer.
        if self.active().is_some_and(Member::takes_part) {
            for member in self.members.values_mut() {
                member.joined |= member.pulse.alive();
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
