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
//!
//! Certificates ([`certificates`]) are kept beside them, one directory for each authority:
//!
//! ```text
//! STATE_DIR/secrets/ENVIRONMENT/NAME.tls/authority.pem    certificate and key of the authority
//!                                       /ca.pem           its certificate alone, for whoever asks its members
//!                                       /of-HOLDER.pem    certificate and key of a holder
//! ```

mod certificates;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use self::certificates::Identity;
use super::secrets;
use crate::domain::hex;
use crate::domain::secret::{Certified, Holder, SecretKind};
use crate::steps::template::SecretSource;
use crate::store::Redactor;

/// Of two tasks that need the same certificate, one makes it.
static ISSUING: Mutex<()> = Mutex::new(());

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

    /// Where the certificate of an authority is, once it was made.
    pub(super) fn authority_path(&self, name: &str) -> PathBuf {
        self.tls(name).join("ca.pem")
    }

    fn tls(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.tls"))
    }

    /// What is kept in `path`; its key is unseeable from then on.
    fn identity(&self, path: &Path) -> Result<Option<Identity>, String> {
        if !path.exists() {
            return Ok(None);
        }
        let text = secrets::read_file(path).map_err(|error| error.to_string())?;
        let identity =
            Identity::read(&text).map_err(|reason| format!("{}: {reason}", path.display()))?;
        self.redactor
            .learn(&SecretString::from(identity.key.as_str()))
            .map_err(|short| format!("{}: {short}", path.display()))?;
        Ok(Some(identity))
    }

    /// Keeps an identity in place of an older one.
    fn keep(path: &Path, text: &str) -> Result<(), String> {
        let at = |error: std::io::Error| format!("{}: {error}", path.display());
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(at)?;
        let (next, mut file) = tempfile_in(directory, "next").map_err(at)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&next, path))
            .and_then(|()| fs::File::open(directory))
            .and_then(|directory| directory.sync_all())
            .map_err(at)
    }

    /// The authority of that name, made when it is not there; `None` where nothing is made.
    fn authority_of(&self, name: &str, now: Timestamp) -> Result<Option<Identity>, String> {
        let path = self.tls(name).join("authority.pem");
        let mut found = self.identity(&path)?;
        if found.is_none() && self.makes {
            let environment = self.directory.file_name().unwrap_or_default();
            let title = format!("{name} of {}", environment.to_string_lossy());
            Self::keep(&path, &Identity::authority(&title, now)?.text())?;
            found = self.identity(&path)?;
        }
        if let Some(authority) = &found
            && self.makes
            && !self.authority_path(name).exists()
        {
            Self::keep(&self.authority_path(name), &authority.certificate)?;
        }
        Ok(found)
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

    fn authority(&self, name: &str) -> Result<String, String> {
        let _one = ISSUING.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.authority_of(name, Timestamp::now())?.map_or_else(
            || format!("[new authority {name}]\n"),
            |authority| authority.certificate,
        ))
    }

    fn certificate(&self, holder: &Holder) -> Result<Certified, String> {
        let Holder {
            authority,
            name,
            names,
        } = holder;
        let _one = ISSUING.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        let path = self.tls(authority).join(format!("of-{name}.pem"));
        let kept = self.identity(&path)?;
        if let Some(kept) = kept.filter(|kept| kept.serves(names, now)) {
            return Ok(Certified {
                certificate: kept.certificate,
                key: kept.key.as_str().to_owned(),
            });
        }
        let Some(signer) = self.authority_of(authority, now)?.filter(|_| self.makes) else {
            return Ok(Certified::placeholder("new ", name));
        };
        Self::keep(&path, &signer.issue(name, names, now)?.text())?;
        let made = self
            .identity(&path)?
            .ok_or_else(|| format!("{} is gone again", path.display()))?;
        Ok(Certified {
            certificate: made.certificate,
            key: made.key.as_str().to_owned(),
        })
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

    #[test]
    fn members_of_a_cluster_get_certificates_of_one_authority_and_keep_them() {
        let state = tempfile::tempdir().unwrap();
        let redactor = Redactor::default();
        let strongbox = Strongbox::of(state.path(), "staging", redactor.clone());
        let holder = |names: &[&str]| Holder {
            authority: "consul".into(),
            name: "n1".into(),
            names: names.iter().map(ToString::to_string).collect(),
        };
        let looked = strongbox.clone().looking_only();
        let planned = looked.certificate(&holder(&["n1"])).unwrap();
        assert_eq!(planned.certificate, "[new certificate of n1]\n");
        assert!(!state.path().join("secrets").exists());

        let first = strongbox.certificate(&holder(&["n1"])).unwrap();
        let again = strongbox.certificate(&holder(&["n1"])).unwrap();
        assert_eq!(first.certificate, again.certificate);
        assert_eq!(first.key, again.key);
        assert_eq!(looked.certificate(&holder(&["n1"])).unwrap().key, first.key);
        let shown = redactor.clean(&first.key).into_owned();
        assert!(
            !shown.contains(first.key.lines().nth(1).unwrap()),
            "{shown}"
        );
        assert_eq!(redactor.clean(&first.certificate), first.certificate);

        let renamed = strongbox.certificate(&holder(&["n1", "10.0.0.1"])).unwrap();
        assert_ne!(renamed.key, first.key);
        let public = fs::read_to_string(strongbox.authority_path("consul")).unwrap();
        assert_eq!(public, strongbox.authority("consul").unwrap());
        assert!(!public.contains("PRIVATE"));
    }
}
