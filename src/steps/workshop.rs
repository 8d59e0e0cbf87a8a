//! What steps need that let other programs work: the workspace's files, a private place, secrets, and a way to show how far
//! the program has come.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::StepError;
use crate::domain::matrix::{Matrix, TaskMatrix};
use crate::domain::service::SecretRef;

/// See the module.
#[derive(Clone)]
pub struct Workshop {
    /// The workspace's directory; `None` where there is none.
    pub root: Option<PathBuf>,
    /// A directory of the run's own. What is in it is for its owner alone, and gone with the run.
    pub run: PathBuf,
    /// Where programs keep what they need from run to run, such as Terraform's providers.
    pub tools: PathBuf,
    /// Reads secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Shows what the task works on.
    pub matrices: Arc<dyn Matrices>,
}

/// Reads secrets at the moment they are used.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The secret; from now on it is kept out of every log.
    ///
    /// # Errors
    /// A sentence that says why it cannot be had, without any part of it.
    async fn read(&self, reference: &SecretRef) -> Result<SecretString, String>;

    /// Keeps a value out of logs that turned out to be a secret. One that is too short to be hidden is passed over.
    fn hide(&self, value: &str);

    /// A text as it may be shown: without the secrets that are known so far.
    fn clean(&self, text: String) -> String;
}

/// Shows matrices of the run's tasks.
#[async_trait]
pub trait Matrices: Send + Sync {
    /// This is how the task stands now.
    async fn show(&self, matrix: Matrix);

    /// The matrices of all tasks of the run that have one, as they were last shown, in the order of the plan.
    fn shown(&self) -> Vec<TaskMatrix>;
}

impl Workshop {
    /// A path that a recipe names: as it is when it is absolute, else within the workspace.
    ///
    /// # Errors
    /// When there is no workspace.
    pub(super) fn path(&self, named: &str) -> Result<PathBuf, StepError> {
        let named = Path::new(named);
        if named.is_absolute() {
            return Ok(named.to_owned());
        }
        let root = self.root.as_ref().ok_or_else(|| {
            StepError::lasting(format!(
                "there is no workspace to find {} in",
                named.display()
            ))
        })?;
        Ok(root.join(named))
    }

    /// The secret behind `reference`; a file that it names is looked for within the workspace.
    ///
    /// # Errors
    /// As [`Secrets::read`].
    pub(super) async fn secret(&self, reference: &SecretRef) -> Result<SecretString, StepError> {
        let reference = match reference {
            SecretRef::File(file) => SecretRef::File(match &self.root {
                Some(root) => root.join(file),
                None => file.clone(),
            }),
            other => other.clone(),
        };
        self.secrets
            .read(&reference)
            .await
            .map_err(StepError::lasting)
    }

    /// A directory of the step `id` within the run's, for its owner alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn bench(&self, id: &str) -> Result<PathBuf, StepError> {
        private_dir(&self.run.join(id))
    }
}

/// Makes a directory that only its owner may enter, with those above it that are missing.
///
/// # Errors
/// When it cannot be made.
pub(super) fn private_dir(path: &Path) -> Result<PathBuf, StepError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| disk(path, &error))?;
    Ok(path.to_owned())
}

/// Writes a file that only its owner may read, from its first byte on.
///
/// # Errors
/// When it cannot be written.
pub(super) fn private_file(path: &Path, content: &[u8]) -> Result<(), StepError> {
    let write = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| disk(path, &error))
}

/// A file or directory that cannot be used.
pub(super) fn disk(path: &Path, error: &io::Error) -> StepError {
    StepError::lasting(format!("{}: {error}", path.display()))
}
