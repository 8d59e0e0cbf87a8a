//! What differs from what is declared, from one look to the next.
//!
//! A row is opened by the first look that sees it, and closed by the first look at the same part that does not. A look that
//! saw nothing at all closes nothing: it is only remembered that it was tried, and why it failed.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use super::rows::{instant, maybe_instant, stamp, word};
use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::drift::board::{KnownDrift, Looked};
use crate::domain::drift::{DriftLook, DriftSource, Drifted};

/// How long closed rows are kept, microseconds: long enough to tell when something drifted again.
const KEPT: i64 = 90 * 24 * 3600 * 1_000_000;

impl Handle {
    /// Keeps what a look at `environment` found at `at`; returns when it is on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn keep_drift(
        &self,
        environment: &str,
        look: DriftLook,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let environment = environment.to_owned();
        self.beside(move |db| keep(db, &environment, &look, at))
            .await
    }

    /// Closes the rows of an object that was seen to be as declared.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn drift_holds(
        &self,
        environment: &str,
        source: DriftSource,
        object: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (environment, object) = (environment.to_owned(), object.to_owned());
        self.beside(move |db| {
            db.prepare_cached(
                "UPDATE drift SET resolved_at = ?4 \
                 WHERE environment = ?1 AND source = ?2 AND object = ?3 AND resolved_at IS NULL",
            )?
            .execute(params![environment, source.word(), object, stamp(at)])?;
            Ok(())
        })
        .await
    }

    /// Forgets the parts of `environment` that nobody looked at since `since`, and closes their rows: what a complete check does
    /// not look at any more is not declared any more.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn retire_drift(
        &self,
        environment: &str,
        since: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let environment = environment.to_owned();
        self.beside(move |db| {
            db.prepare_cached(
                "UPDATE drift SET resolved_at = ?3 WHERE environment = ?1 AND resolved_at IS NULL AND EXISTS \
                 (SELECT 1 FROM drift_looks l WHERE l.environment = drift.environment AND l.source = drift.source \
                 AND l.scope = drift.scope AND l.looked_at < ?2)",
            )?
            .execute(params![environment, stamp(since), stamp(at)])?;
            db.prepare_cached("DELETE FROM drift_looks WHERE environment = ?1 AND looked_at < ?2")?
                .execute(params![environment, stamp(since)])?;
            db.prepare_cached("DELETE FROM drift WHERE resolved_at < ?1")?
                .execute([stamp(at) - KEPT])?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// What differs in `environment` as far as is known, and when each part was looked at.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn drift(&self, environment: &str) -> Result<(Vec<KnownDrift>, Vec<Looked>), StoreError> {
        self.with(|db| {
            let known = db
                .prepare_cached(
                    "SELECT body, scope, first_seen, last_seen FROM drift \
                     WHERE environment = ?1 AND resolved_at IS NULL ORDER BY source, object, field",
                )?
                .query_map([environment], known)?
                .collect::<rusqlite::Result<_>>()?;
            let looks = db
                .prepare_cached(
                    "SELECT source, scope, looked_at, known_at, trouble FROM drift_looks \
                     WHERE environment = ?1 ORDER BY source, scope",
                )?
                .query_map([environment], looked)?
                .collect::<rusqlite::Result<_>>()?;
            Ok((known, looks))
        })
    }
}

fn keep(
    db: &Connection,
    environment: &str,
    look: &DriftLook,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let (source, at) = (look.source.word(), stamp(at));
    let found = match &look.seen {
        Ok(found) => found,
        Err(reason) => {
            db.prepare_cached(
                "INSERT INTO drift_looks (environment, source, scope, looked_at, known_at, trouble) \
                 VALUES (?1, ?2, ?3, ?4, NULL, ?5) ON CONFLICT (environment, source, scope) \
                 DO UPDATE SET looked_at = excluded.looked_at, trouble = excluded.trouble",
            )?
            .execute(params![environment, source, look.scope, at, reason])?;
            return Ok(());
        }
    };
    db.prepare_cached(
        "INSERT OR REPLACE INTO drift_looks (environment, source, scope, looked_at, known_at, trouble) \
         VALUES (?1, ?2, ?3, ?4, ?4, NULL)",
    )?
    .execute(params![environment, source, look.scope, at])?;
    for drifted in found {
        let body = serde_json::to_string(drifted)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        // What was closed and is open again drifted anew.
        db.prepare_cached(
            "INSERT INTO drift (environment, source, object, field, scope, body, first_seen, last_seen, resolved_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, NULL) ON CONFLICT (environment, source, object, field) \
             DO UPDATE SET scope = excluded.scope, body = excluded.body, last_seen = excluded.last_seen, \
             first_seen = CASE WHEN resolved_at IS NULL THEN first_seen ELSE excluded.first_seen END, resolved_at = NULL",
        )?
        .execute(params![
            environment,
            source,
            drifted.key.object,
            drifted.key.field,
            look.scope,
            body,
            at
        ])?;
    }
    db.prepare_cached(
        "UPDATE drift SET resolved_at = ?4 WHERE environment = ?1 AND source = ?2 AND scope = ?3 \
         AND resolved_at IS NULL AND last_seen < ?4",
    )?
    .execute(params![environment, source, look.scope, at])?;
    Ok(())
}

fn known(row: &Row<'_>) -> rusqlite::Result<KnownDrift> {
    let body: String = row.get(0)?;
    let drifted: Drifted = serde_json::from_str(&body).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(KnownDrift {
        drifted,
        scope: row.get(1)?,
        first_seen: instant(row, 2)?,
        last_seen: instant(row, 3)?,
    })
}

fn looked(row: &Row<'_>) -> rusqlite::Result<Looked> {
    Ok(Looked {
        source: word(row, 0)?,
        scope: row.get(1)?,
        looked_at: instant(row, 2)?,
        known_at: maybe_instant(row, 3)?,
        trouble: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::store::tests::at;
    use crate::store::{Writer, database_path};

    fn look(found: &[&str]) -> DriftLook {
        let drifted = |object: &&str| Drifted::new(DriftSource::Nodes, *object, "mode", "1", "2");
        DriftLook {
            source: DriftSource::Nodes,
            scope: "pc1/a".into(),
            seen: Ok(found.iter().map(drifted).collect()),
        }
    }

    fn told(reader: &Reader) -> Vec<String> {
        let (known, looks) = reader.drift("lab").unwrap();
        let known = known.iter().map(|row| {
            let first = row.first_seen.as_second() - at(0).as_second();
            let last = row.last_seen.as_second() - at(0).as_second();
            format!("{} {first}-{last}", row.drifted.key.object)
        });
        let looks = looks.iter().map(|look| {
            let known = look
                .known_at
                .map(|known| known.as_second() - at(0).as_second());
            format!("{} {known:?} {:?}", look.scope, look.trouble)
        });
        known.chain(looks).collect()
    }

    #[tokio::test]
    async fn a_row_is_as_old_as_its_first_look_and_goes_when_a_look_does_not_see_it() {
        let dir = TempDir::new().unwrap();
        let writer = Writer::open(dir.path(), at(0)).unwrap();
        let handle = writer.handle();
        let reader = Reader::open(&database_path(dir.path())).unwrap();
        handle
            .keep_drift("lab", look(&["x", "y"]), at(1))
            .await
            .unwrap();
        handle.keep_drift("lab", look(&["y"]), at(2)).await.unwrap();
        assert_eq!(told(&reader), ["y 1-2", "pc1/a Some(2) None"]);
        let blind = DriftLook {
            seen: Err("no route".into()),
            ..look(&[])
        };
        handle.keep_drift("lab", blind, at(3)).await.unwrap();
        assert_eq!(told(&reader), ["y 1-2", "pc1/a Some(2) Some(\"no route\")"]);
        handle
            .keep_drift("lab", look(&["x", "y"]), at(4))
            .await
            .unwrap();
        assert_eq!(told(&reader), ["x 4-4", "y 1-4", "pc1/a Some(4) None"]);
        handle
            .drift_holds("lab", DriftSource::Nodes, "y", at(5))
            .await
            .unwrap();
        assert_eq!(told(&reader), ["x 4-4", "pc1/a Some(4) None"]);
        handle
            .keep_drift("other", look(&["z"]), at(6))
            .await
            .unwrap();
        handle.retire_drift("lab", at(7), at(7)).await.unwrap();
        assert_eq!(told(&reader), Vec::<String>::new());
        assert_eq!(reader.drift("other").unwrap().0.len(), 1);
        drop(reader);
        writer.close().await;
    }
}
