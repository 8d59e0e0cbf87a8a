//! The audit in the store: an append-only table ([`super::schema`] refuses to change or delete its rows), each record
//! bound to the one before it ([`chain`]), the last one named in a file of its own ([`head`]).

mod chain;
mod head;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;

use self::chain::{Follow, GENESIS, Hash, Link};
use self::head::Head;
use super::rows::{self, int, stamp};
use crate::domain::audit::{Act, Entry, Record};
use crate::domain::hex;
use crate::domain::operator::Operator;

const COLUMNS: &str =
    "seq, at, user, host, uid, key, act, environment, run, plan_hash, outcome, detail, prev, hash";

/// Which records are wanted; all parts must match.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only of this environment.
    pub environment: Option<String>,
    /// Only by operators whose user name this is, or whose `user@host`.
    pub who: Option<String>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// What a check of the whole audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Records that are as they were written, counted from the first.
    pub good: u64,
    /// Hash of the last of them.
    pub hash: String,
    /// The first thing that is wrong.
    pub flaw: Option<String>,
    /// Disagreements that engines found earlier, oldest first.
    pub earlier: Vec<String>,
}

impl Verdict {
    /// Whether nothing was tampered with, as far as can be told.
    pub fn is_whole(&self) -> bool {
        self.flaw.is_none() && self.earlier.is_empty()
    }
}

/// Appends to the audit; the writer's.
#[derive(Debug)]
pub(super) struct Clerk {
    /// Position and hash of the last committed record.
    last: (i64, Hash),
    /// As it will be after the current transaction.
    next: (i64, Hash),
    file: PathBuf,
    head: Head,
}

impl Clerk {
    /// Takes the audit up where it ends. A head that does not agree with the table is recorded, in the head and as a record.
    pub(super) fn open(
        db: &mut Connection,
        database: &Path,
        now: Timestamp,
    ) -> rusqlite::Result<Self> {
        let file = head::path(database);
        let last = last(db)?;
        let (mut head, finding) = match head::read(&file) {
            Ok(Some(head)) => {
                let finding = disagreement(db, &head)?;
                (head, finding)
            }
            Ok(None) if last.0 == 0 => (Head::default(), None),
            Ok(None) => {
                let finding = format!("the head was missing, with {} records in the table", last.0);
                (Head::default(), Some(finding))
            }
            Err(reason) => (Head::default(), Some(reason)),
        };
        if let Some(finding) = &finding {
            tracing::error!(%finding, "the audit was tampered with, or restored from a copy");
            head.keep(finding);
        }
        let mut clerk = Self {
            last,
            next: last,
            file,
            head,
        };
        if let Some(finding) = finding {
            let transaction = db.transaction()?;
            clerk.append(
                &transaction,
                now,
                &Entry::new(Act::AuditBroken, "found").saying(finding),
            )?;
            transaction.commit()?;
        }
        clerk.committed();
        Ok(clerk)
    }

    /// Appends a record within the current transaction.
    pub(super) fn append(
        &mut self,
        db: &Connection,
        at: Timestamp,
        entry: &Entry,
    ) -> rusqlite::Result<Record> {
        let (seq, prev) = self.next;
        let link = Link {
            seq: seq + 1,
            at: stamp(at),
            who: entry.who.clone(),
            act: entry.act.word().into(),
            environment: entry.environment.clone(),
            run: entry.run,
            plan_hash: entry.plan_hash.clone(),
            outcome: entry.outcome.clone(),
            detail: entry.detail.clone(),
            prev,
        };
        let hash = link.hash();
        let who = link.who.as_ref();
        db.prepare_cached(&format!(
            "INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
        ))?
        .execute(params![
            link.seq,
            link.at,
            who.map(|who| &who.user),
            who.map(|who| &who.host),
            who.map(|who| who.uid),
            who.and_then(|who| who.key.as_ref()),
            link.act,
            link.environment,
            link.run,
            link.plan_hash,
            link.outcome,
            link.detail,
            link.prev,
            hash,
        ])?;
        self.next = (link.seq, hash);
        Ok(record(link, at, &hash))
    }

    /// The transaction was committed: the head follows.
    pub(super) fn committed(&mut self) {
        self.last = self.next;
        if self.head.count == self.last.0 {
            return;
        }
        self.head.advance(self.last.0, &self.last.1);
        if let Err(error) = head::write(&self.file, &self.head) {
            // A head that is behind is no false alarm; the next record takes it along.
            tracing::warn!(%error, "the audit's head could not be written");
            self.head.count = 0;
        }
    }

    /// The transaction was rolled back.
    pub(super) const fn rolled_back(&mut self) {
        self.next = self.last;
    }
}

/// The records that match, newest first.
pub(super) fn list(db: &Connection, filter: &AuditFilter) -> rusqlite::Result<Vec<Record>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM audit WHERE (?1 IS NULL OR environment = ?1) \
         AND (?2 IS NULL OR user = ?2 OR user || '@' || host = ?2) ORDER BY seq DESC LIMIT ?3"
    ))?
    .query_map(
        params![filter.environment, filter.who, int(filter.limit)],
        |row| {
            let (link, hash) = link(row)?;
            let at = rows::instant(row, 1)?;
            Ok(record(link, at, &hash))
        },
    )?
    .collect()
}

/// Checks every record, and the head against them.
pub(super) fn verify(db: &Connection, database: &Path) -> rusqlite::Result<Verdict> {
    // The head first: records that come in meanwhile make it look behind, which is allowed.
    let head = head::read(&head::path(database));
    let mut statement = db.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    let mut found = statement.query([])?;
    let mut follow = Follow::new();
    let mut flaw = None;
    let mut at_head = GENESIS;
    while let Some(row) = found.next()? {
        let taken = match link(row) {
            Ok((link, hash)) => follow.take(&link, hash),
            Err(error) => Err(format!(
                "record {} cannot be read: {error}",
                follow.last.0 + 1
            )),
        };
        if let Err(reason) = taken {
            flaw = Some(reason);
            break;
        }
        if matches!(&head, Ok(Some(head)) if head.count == follow.last.0) {
            at_head = follow.last.1;
        }
    }
    let (good, hash) = follow.last;
    let earlier = match &head {
        Ok(Some(head)) => head.breaks.clone(),
        _ => Vec::new(),
    };
    let flaw = flaw.or_else(|| match &head {
        Err(reason) => Some(reason.clone()),
        Ok(None) if good == 0 => None,
        Ok(None) => Some(format!(
            "the head is missing: whether anything was cut off after record {good} cannot be told"
        )),
        Ok(Some(head)) if head.count > good => Some(cut(good, head.count)),
        Ok(Some(head)) if head.count > 0 && head.hash != hex(&at_head) => {
            Some(replaced(head.count))
        }
        Ok(Some(_)) => None,
    });
    Ok(Verdict {
        good: good.unsigned_abs(),
        hash: hex(&hash),
        flaw,
        earlier,
    })
}

fn cut(good: i64, count: i64) -> String {
    format!("records were cut off: there are {good}, and the head knows {count}")
}

fn replaced(count: i64) -> String {
    format!("record {count} is not the one that the head knows: the chain was written anew")
}

/// What the head says against the table, if anything.
fn disagreement(db: &Connection, head: &Head) -> rusqlite::Result<Option<String>> {
    if head.count == 0 {
        return Ok(None);
    }
    let hash: Option<Hash> = db
        .query_row(
            "SELECT hash FROM audit WHERE seq = ?1",
            [head.count],
            |row| row.get(0),
        )
        .optional()?;
    Ok(match hash {
        Some(hash) if hex(&hash) == head.hash => None,
        Some(_) => Some(replaced(head.count)),
        None => Some(cut(last(db)?.0, head.count)),
    })
}

fn last(db: &Connection) -> rusqlite::Result<(i64, Hash)> {
    let found = db
        .query_row(
            "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    Ok(found.unwrap_or((0, GENESIS)))
}

fn link(row: &Row<'_>) -> rusqlite::Result<(Link, Hash)> {
    let who = match row.get::<_, Option<String>>(2)? {
        Some(user) => Some(Operator {
            user,
            host: row.get(3)?,
            uid: row.get(4)?,
            key: row.get(5)?,
        }),
        None => None,
    };
    let link = Link {
        seq: row.get(0)?,
        at: row.get(1)?,
        who,
        act: row.get(6)?,
        environment: row.get(7)?,
        run: row.get(8)?,
        plan_hash: row.get(9)?,
        outcome: row.get(10)?,
        detail: row.get(11)?,
        prev: row.get(12)?,
    };
    Ok((link, row.get(13)?))
}

fn record(link: Link, at: Timestamp, hash: &Hash) -> Record {
    Record {
        seq: link.seq.unsigned_abs(),
        at,
        who: link.who,
        act: link.act,
        environment: link.environment,
        run: link.run,
        plan_hash: link.plan_hash,
        outcome: link.outcome,
        detail: link.detail,
        prev: hex(&link.prev),
        hash: hex(hash),
    }
}
