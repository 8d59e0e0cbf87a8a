//! Notices that wait for delivery, and incidents that were told: what an engine hands to the next one.

use rusqlite::params;
use uuid::Uuid;

use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::notice::Notice;

impl Handle {
    /// Keeps a notice for a channel until it is delivered; `id` is that of the delivery.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn keep_notice(
        &self,
        id: Uuid,
        channel: &str,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let (channel, notice) = (channel.to_owned(), json(notice));
        self.beside(move |db| {
            db.prepare_cached(
                "INSERT OR REPLACE INTO notices (id, channel, notice) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![id.as_bytes(), channel, notice])?;
            Ok(())
        })
        .await
    }

    /// Forgets a delivery.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn drop_notice(&self, id: Uuid) -> Result<(), StoreError> {
        self.beside(move |db| {
            db.prepare_cached("DELETE FROM notices WHERE id = ?1")?
                .execute([id.as_bytes()])?;
            Ok(())
        })
        .await
    }

    /// Remembers that the incident of `notice` was told.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn open_incident(&self, notice: &Notice) -> Result<(), StoreError> {
        let (key, notice) = (notice.key.clone(), json(notice));
        self.beside(move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO incidents (key, notice) VALUES (?1, ?2)")?
                .execute(params![key, notice])?;
            Ok(())
        })
        .await
    }

    /// Forgets an incident.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn close_incident(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.beside(move |db| {
            db.prepare_cached("DELETE FROM incidents WHERE key = ?1")?
                .execute([&key])?;
            Ok(())
        })
        .await
    }
}

impl Reader {
    /// Deliveries that wait, oldest first: their ids, channels and notices.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn waiting_notices(&self) -> Result<Vec<(Uuid, String, Notice)>, StoreError> {
        let rows: Vec<([u8; 16], String, String)> = self.with(|db| {
            db.prepare_cached("SELECT id, channel, notice FROM notices ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })?;
        // What another version wrote and this one cannot read is passed over.
        let read = |(id, channel, notice): (_, _, String)| {
            Some((
                Uuid::from_bytes(id),
                channel,
                serde_json::from_str(&notice).ok()?,
            ))
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Findings that were told and are not resolved yet.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn open_incidents(&self) -> Result<Vec<Notice>, StoreError> {
        let rows: Vec<String> = self.with(|db| {
            db.prepare_cached("SELECT notice FROM incidents ORDER BY key")?
                .query_map([], |row| row.get(0))?
                .collect()
        })?;
        Ok(rows
            .iter()
            .filter_map(|notice| serde_json::from_str(notice).ok())
            .collect())
    }
}

fn json(notice: &Notice) -> String {
    serde_json::to_string(notice).expect("a notice has only texts and numbers")
}
