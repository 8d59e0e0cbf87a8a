//! Private keys and certificates in files, and the memory of keys that a passphrase has unlocked.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::asker::Asker;
use super::tame;
use crate::domain::question::{Question, QuestionAnswer, QuestionKind};
use crate::domain::secret::Secret;
use crate::transport::ask::Unanswered;

/// More than any private key needs, bytes.
const LARGEST: u64 = 1024 * 1024;
/// How often a passphrase is asked for before giving up.
const ATTEMPTS: usize = 3;

/// What a key file turned out to be.
pub(super) enum KeyFile {
    /// A key that can be used as it is.
    Open(Arc<PrivateKey>),
    /// A key that needs a passphrase.
    Locked(Locked),
    /// Only the public half is here; the agent may have the other.
    Public(PublicKey),
    /// There is no such file.
    Absent,
    /// It cannot be used, and why.
    Unusable(String),
}

/// An encrypted private key.
pub(super) struct Locked {
    text: Zeroizing<String>,
    /// Its public half, where it can be read without the passphrase.
    pub(super) public: Option<PublicKey>,
}

/// Looks at the file `path`.
pub(super) async fn look(path: &Path) -> KeyFile {
    let metadata = match tokio::fs::metadata(path).await {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let public = public_half(path).await;
            return public.map_or(KeyFile::Absent, KeyFile::Public);
        }
        Err(error) => return KeyFile::Unusable(error.to_string()),
    };
    if !metadata.is_file() || metadata.len() > LARGEST {
        return KeyFile::Unusable("is not a private key file".into());
    }
    let text = match tokio::fs::read_to_string(path).await {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return KeyFile::Unusable(error.to_string()),
    };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return KeyFile::Public(public);
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return KeyFile::Unusable(format!("mode {mode:04o} lets others read it; chmod 600 it"));
    }
    if is_locked(&text) {
        let public = PrivateKey::from_openssh(text.as_str()).ok();
        let public = match public {
            Some(key) => Some(key.public_key().clone()),
            None => public_half(path).await,
        };
        return KeyFile::Locked(Locked { text, public });
    }
    match decode_secret_key(&text, None) {
        Ok(key) => KeyFile::Open(Arc::new(key)),
        Err(_) => KeyFile::Unusable("is not a private key that can be read".into()),
    }
}

/// The public key beside the private key `path`.
async fn public_half(path: &Path) -> Option<PublicKey> {
    let text = small(&with(path, ".pub")).await?;
    PublicKey::from_openssh(text.trim()).ok()
}

/// The certificate beside the key `path`, which may also be named by its public half.
pub(super) async fn certificate_of(path: &Path) -> Option<Certificate> {
    let path = match path.to_str().and_then(|path| path.strip_suffix(".pub")) {
        Some(private) => PathBuf::from(private),
        None => path.to_owned(),
    };
    certificate(&with(&path, "-cert.pub")).await.ok()
}

/// The certificate in the file `path`.
///
/// # Errors
/// A phrase, when there is none.
pub(super) async fn certificate(path: &Path) -> Result<Certificate, String> {
    let text = small(path).await.ok_or("cannot be read")?;
    Certificate::from_openssh(text.trim()).map_err(|_| "is not a certificate".to_owned())
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The content of a file that is not larger than it may be.
async fn small(path: &Path) -> Option<String> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return None;
    }
    tokio::fs::read_to_string(path).await.ok()
}

/// Whether the text is a private key that needs a passphrase, in any of the usual formats.
fn is_locked(text: &str) -> bool {
    match PrivateKey::from_openssh(text) {
        Ok(key) => key.is_encrypted(),
        Err(_) => {
            text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
                || text.contains("Proc-Type: 4,ENCRYPTED")
        }
    }
}

/// The keys that have been unlocked so far, by the checksum of their files' content.
#[derive(Default)]
pub(super) struct KeyRing(tokio::sync::Mutex<HashMap<[u8; 32], Arc<PrivateKey>>>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyRing")
    }
}

impl KeyRing {
    /// Unlocks the key of the file `path`, asking for its passphrase unless that has been done before.
    ///
    /// # Errors
    /// Why it stays locked.
    pub(super) async fn unlock(
        &self,
        path: &Path,
        locked: &Locked,
        host: &str,
        asker: &Asker,
    ) -> Result<Arc<PrivateKey>, StaysLocked> {
        let mark: [u8; 32] = Sha256::digest(locked.text.as_bytes()).into();
        // Held while asking: fifty hosts that connect at once make one question, not fifty.
        let mut ring = self.0.lock().await;
        if let Some(key) = ring.get(&mark) {
            return Ok(Arc::clone(key));
        }
        for attempt in 0..ATTEMPTS {
            let mut question = Question::secret(
                QuestionKind::Passphrase,
                host,
                format!(
                    "The private key {} is locked",
                    tame(&path.display().to_string())
                ),
                "Passphrase",
            );
            if attempt > 0 {
                question.lines.push("That was not its passphrase.".into());
            }
            let answer = asker.ask(question).await.map_err(StaysLocked::Unanswered)?;
            let QuestionAnswer::Filled(mut filled) = answer else {
                return Err(StaysLocked::Unanswered(Unanswered::Dismissed));
            };
            let passphrase = filled.remove(0);
            let text = locked.text.clone();
            let opened = tokio::task::spawn_blocking(move || open(&text, &passphrase)).await;
            if let Ok(Some(key)) = opened {
                let key = Arc::new(key);
                ring.insert(mark, Arc::clone(&key));
                return Ok(key);
            }
        }
        Err(StaysLocked::Wrong)
    }
}

/// Why a key stays locked.
#[derive(Debug, thiserror::Error)]
pub(super) enum StaysLocked {
    /// Nobody gave a passphrase.
    #[error("needs a passphrase: {0}")]
    Unanswered(Unanswered),
    /// What was given is not the one.
    #[error("wrong passphrase")]
    Wrong,
}

/// Slow by design (bcrypt): not for a thread that others wait for.
fn open(text: &str, passphrase: &Secret) -> Option<PrivateKey> {
    decode_secret_key(text, Some(passphrase.expose())).ok()
}
