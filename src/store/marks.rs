//! What operators have put on nodes, kept from one engine to the next.

use std::collections::BTreeMap;

use rusqlite::params;

use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::mark::Marks;

/// Marks by environment and node.
pub type KnownMarks = BTreeMap<String, BTreeMap<String, Marks>>;

impl Handle {
    /// Keeps the marks of a node, replacing those before; returns when they are on the disk.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be stored.
    pub async fn keep_marks(
        &self,
        environment: &str,
        node: &str,
        marks: &Marks,
    ) -> Result<(), StoreError> {
        let (environment, node) = (environment.to_owned(), node.to_owned());
        let text = serde_json::to_string(marks)
            .ok()
            .filter(|_| !marks.is_empty());
        self.beside(move |db| {
            match &text {
                Some(text) => db
                    .prepare_cached(
                        "INSERT OR REPLACE INTO node_marks (environment, node, marks) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![environment, node, text])?,
                None => db
                    .prepare_cached("DELETE FROM node_marks WHERE environment = ?1 AND node = ?2")?
                    .execute(params![environment, node])?,
            };
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// All marks. Those that cannot be understood, because a newer program wrote them, are left out.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn marks(&self) -> Result<KnownMarks, StoreError> {
        self.with(|db| {
            let mut known = KnownMarks::new();
            let mut statement =
                db.prepare_cached("SELECT environment, node, marks FROM node_marks")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let text: String = row.get(2)?;
                if let Ok(marks) = serde_json::from_str(&text) {
                    known
                        .entry(row.get(0)?)
                        .or_default()
                        .insert(row.get(1)?, marks);
                }
            }
            Ok(known)
        })
    }
}
