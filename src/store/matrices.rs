//! What the programs of a run's tasks work on, as it was last shown.

use rusqlite::{Connection, params};

use super::writer::Handle;
use super::{Reader, StoreError};
use crate::domain::matrix::TaskMatrix;
use crate::domain::run::RunId;

impl Handle {
    /// Stores how a task's matrix stands now, in place of what it was.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be stored.
    pub async fn matrix(&self, run: RunId, matrix: TaskMatrix) -> Result<(), StoreError> {
        self.beside(move |db| replace(db, run, &matrix)).await
    }
}

impl Reader {
    /// The matrices of a run's tasks.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read.
    pub fn matrices(&self, run: RunId) -> Result<Vec<TaskMatrix>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT matrix FROM matrices WHERE run = (SELECT number FROM runs WHERE id = ?1) ORDER BY rowid",
            )?
            .query_map([run.0.as_bytes()], |row| {
                let text: String = row.get(0)?;
                serde_json::from_str(&text).map_err(|error| {
                    rusqlite::Error::FromSqlConversionFailure(
                        0,
                        rusqlite::types::Type::Text,
                        Box::new(error),
                    )
                })
            })?
            .collect()
        })
    }
}

fn replace(db: &Connection, run: RunId, matrix: &TaskMatrix) -> rusqlite::Result<()> {
    let text = serde_json::to_string(matrix)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    db.prepare_cached(
        "INSERT INTO matrices (run, task, matrix) SELECT number, ?2, ?3 FROM runs WHERE id = ?1 \
         ON CONFLICT (run, task) DO UPDATE SET matrix = excluded.matrix",
    )?
    .execute(params![run.0.as_bytes(), matrix.task.to_string(), text])?;
    Ok(())
}
