//! Secrets that clusters need and nobody has to think up: a gossip key, a first token. Each is made by the run that first needs
//! it, and kept where the engine is, outside the workspace and its Git:
//!
//! ```text
//! STATE_DIR/secrets/ENVIRONMENT/NAME     mode 0600, directories 0700
//! ```
//!
//! They are never in the store: recipes name them (`secret("consul-gossip", "key")`), the text is put in when a task writes
//! its file, and what a log would show of it is replaced. Whoever brings a secret of his own writes that file before the first
//! run. A plan or a dry run makes none.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::secrets;
use crate::domain::hex;
use crate::domain::secret::SecretKind;
use crate::steps::template::SecretSource;
use crate::store::Redactor;

/// The secrets of one environment.
#[derive(Debug, Clone)]
pub(super) struct Strongbox {
    directory: PathBuf,
    redactor: Redactor,
    /// Whether one that is not there is made.
    makes: bool,
}

impl Strongbox {
    /// Those of `environment`, under the engine's state directory; made when they are first asked for.
    pub(super) fn of(state_dir: &Path, environment: &str, redactor: Redactor) -> Self {
        Self {
            directory: state_dir.join("secrets").join(environment),
            redactor,
            makes: true,
        }
    }

    /// The same, but what is not there stays away.
    pub(super) fn looking_only(mut self) -> Self {
        self.makes = false;
        self
    }

    /// The file of that name.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn read(&self, name: &str) -> Result<Option<SecretString>, String> {
        let path = self.path(name);
        if !path.exists() {
            return Ok(None);
        }
        secrets::from_file(&path, &self.redactor)
            .map(Some)
            .map_err(|error| error.to_string())
    }

    /// Writes a new secret, whole or not at all; of two that are made at the same moment one stays.
    fn make(&self, name: &str, kind: SecretKind) -> Result<(), String> {
        let path = self.path(name);
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(at)?;
        let mut file = tempfile_in(&self.directory, name).map_err(at)?;
        let text = generate(kind)?;
        file.1
            .write_all(text.as_bytes())
            .and_then(|()| file.1.sync_all())
            .map_err(at)?;
        let linked = fs::hard_link(&file.0, &path);
        fs::remove_file(&file.0).map_err(at)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(at(error)),
            _ => fs::File::open(&self.directory)
                .and_then(|directory| directory.sync_all())
                .map_err(at),
        }
    }
}

fn tempfile_in(directory: &Path, name: &str) -> std::io::Result<(PathBuf, fs::File)> {
    let path = directory.join(format!(".{name}.{}", uuid::Uuid::now_v7()));
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    Ok((path, file))
}

fn generate(kind: SecretKind) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(Zeroizing::new(match kind {
        SecretKind::Key => STANDARD.encode(bytes.as_ref()),
        SecretKind::Token => hex(bytes.as_ref()),
        SecretKind::Uuid => {
            let mut half = [0_u8; 16];
            half.copy_from_slice(&bytes[..16]);
            uuid::Builder::from_random_bytes(half)
                .into_uuid()
                .to_string()
        }
    }))
}

impl SecretSource for Strongbox {
    // Files of a few bytes on the engine's own disk: quicker than handing the work to another thread.
    fn secret(&self, name: &str, kind: SecretKind) -> Result<String, String> {
        if let Some(found) = self.read(name)? {
            return Ok(found.expose_secret().to_owned());
        }
        if !self.makes {
            return Ok(format!("[new secret {name}]"));
        }
        self.make(name, kind)?;
        self.read(name)?
            .map(|made| made.expose_secret().to_owned())
            .ok_or_else(|| format!("{} is gone again", self.path(name).display()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_kept_closed_and_hidden_from_logs() {
        let state = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        let strongbox = Strongbox::of(state.path(), "staging", redactor.clone());
        let first = strongbox.secret("gossip", SecretKind::Key).unwrap();
        assert_eq!(STANDARD.decode(&first).unwrap().len(), 32);
        assert_eq!(strongbox.secret("gossip", SecretKind::Key).unwrap(), first);
        assert_eq!(redactor.clean(&format!("key {first}")), "key [redacted]");
        let path = state.path().join("secrets/staging/gossip");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let left = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1, "nothing else is left behind");
    }

    #[test]
    fn looking_makes_nothing() {
        let state = tempfile::tempdir().unwrap();
        let strongbox = Strongbox::of(state.path(), "staging", Redactor::default());
        let shown = strongbox.looking_only().secret("token", SecretKind::Uuid);
        assert_eq!(shown.unwrap(), "[new secret token]");
        assert!(!state.path().join("secrets").exists());
    }

    #[test]
    fn what_an_operator_brings_is_taken_and_what_others_can_read_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let strongbox = Strongbox::of(state.path(), "staging", Redactor::default());
        fs::create_dir_all(state.path().join("secrets/staging")).unwrap();
        let path = strongbox.path("token");
        fs::write(&path, "brought-along\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let found = strongbox.secret("token", SecretKind::Token);
        assert_eq!(found.unwrap(), "brought-along");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = strongbox.secret("token", SecretKind::Token).unwrap_err();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
