//! The chain: what a record's hash is made of, and whether a row of records is whole.
//!
//! A hash covers every column in a fixed order, each with its type and length, so that no two different records can be
//! written as the same bytes; the hash of the record before is one of them. Whoever edits, removes or reorders records
//! must write all later ones anew, and the head ([`super::head`]) as well. Against somebody who may write the whole state
//! directory that is no proof: keep the head's hash elsewhere (`quarterdeck audit verify` prints it).

use sha2::{Digest as _, Sha256};

use crate::domain::operator::Operator;

/// A hash of the chain.
pub(super) type Hash = [u8; 32];

/// What stands before the first record.
pub(super) const GENESIS: Hash = [0; 32];

/// A record as it lies in its row, unread: whatever a row holds can be hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: i64,
    /// Microseconds since 1970.
    pub(super) at: i64,
    pub(super) who: Option<Operator>,
    pub(super) act: String,
    pub(super) environment: Option<String>,
    pub(super) run: Option<i64>,
    pub(super) plan_hash: Option<String>,
    pub(super) outcome: String,
    pub(super) detail: Option<String>,
    pub(super) prev: Hash,
}

impl Link {
    /// SHA-256 over the canonical form.
    pub(super) fn hash(&self) -> Hash {
        let who = self.who.as_ref();
        let mut form = Form(Sha256::new());
        form.text(Some("quarterdeck-audit-1"));
        form.number(Some(self.seq));
        form.number(Some(self.at));
        form.text(who.map(|who| who.user.as_str()));
        form.text(who.map(|who| who.host.as_str()));
        form.number(who.map(|who| i64::from(who.uid)));
        form.text(who.and_then(|who| who.key.as_deref()));
        form.text(Some(&self.act));
        form.text(self.environment.as_deref());
        form.number(self.run);
        form.text(self.plan_hash.as_deref());
        form.text(Some(&self.outcome));
        form.text(self.detail.as_deref());
        form.bytes(b'h', &self.prev);
        form.0.finalize().into()
    }
}

/// Fields with type and length, one after the other.
struct Form(Sha256);

impl Form {
    fn bytes(&mut self, kind: u8, value: &[u8]) {
        self.0.update([kind]);
        self.0.update((value.len() as u64).to_be_bytes());
        self.0.update(value);
    }

    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(text) => self.bytes(b't', text.as_bytes()),
            None => self.bytes(b'-', &[]),
        }
    }

    fn number(&mut self, value: Option<i64>) {
        match value {
            Some(number) => self.bytes(b'i', &number.to_be_bytes()),
            None => self.bytes(b'-', &[]),
        }
    }
}

/// Follows a chain, record by record.
#[derive(Debug)]
pub(super) struct Follow {
    /// Position and hash of the last record.
    pub(super) last: (i64, Hash),
}

impl Follow {
    /// From the beginning.
    pub(super) const fn new() -> Self {
        Self { last: (0, GENESIS) }
    }

    /// Takes the next record, in the order of `seq`, with the hash that stands beside it.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence that names it.
    pub(super) fn take(&mut self, link: &Link, stated: Hash) -> Result<(), String> {
        let (last, hash) = self.last;
        let seq = link.seq;
        if seq != last + 1 {
            let gap = match seq - 1 - last {
                1 => format!("record {} is missing", last + 1),
                many if many > 1 => format!("records {} to {} are missing", last + 1, seq - 1),
                _ => format!("record {seq} stands where record {} should be", last + 1),
            };
            return Err(gap);
        }
        if link.hash() != stated {
            return Err(format!(
                "record {seq} was edited: it does not match its hash"
            ));
        }
        if link.prev != hash {
            return Err(if last == 0 {
                format!(
                    "record {seq} is not the first of the chain: what came before it was removed"
                )
            } else {
                format!(
                    "record {seq} does not follow on record {last}: one of them was replaced, or they were reordered"
                )
            });
        }
        self.last = (seq, stated);
        Ok(())
    }
}
