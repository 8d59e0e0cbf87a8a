//! Encryption of snapshots with age (<https://age-encryption.org/v1>): for recipients whose secret keys are elsewhere. Who
//! takes snapshots cannot read them afterwards.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use age::x25519;
use secrecy::{ExposeSecret as _, SecretString};

/// Why something could not be encrypted or decrypted. Never holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SealError(String);

/// Those for whom snapshots are encrypted.
#[derive(Clone, Default)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads public keys as `age-keygen` prints them (`age1…`).
    ///
    /// # Errors
    /// [`SealError`] that names what is no recipient.
    pub fn read(texts: &[String]) -> Result<Self, SealError> {
        texts
            .iter()
            .map(|text| {
                text.trim().parse().map_err(|reason: &'static str| {
                    SealError(format!("{text:?} is no age recipient: {reason}"))
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nobody is named: nothing is encrypted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encrypts what is written to it into `into`.
    ///
    /// # Errors
    /// When `into` does not take the header.
    pub(super) fn seal<W: Write>(&self, into: W) -> io::Result<age::stream::StreamWriter<W>> {
        let recipients = self.0.iter().map(|one| one as &dyn age::Recipient);
        age::Encryptor::with_recipients(recipients)
            .map_err(io::Error::other)?
            .wrap_output(into)
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipients({})", self.0.len())
    }
}

/// A secret key; age wipes it when it is dropped.
pub struct Identity(x25519::Identity);

impl Identity {
    /// Reads a secret key as `age-keygen` writes it: `AGE-SECRET-KEY-1…`, lines of remarks around it are passed over.
    ///
    /// # Errors
    /// [`SealError`] when there is none; its words hold nothing of what was read.
    pub fn read(secret: &SecretString) -> Result<Self, SealError> {
        let line = secret
            .expose_secret()
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("AGE-SECRET-KEY-"))
            .ok_or_else(|| SealError("there is no AGE-SECRET-KEY-… in it".into()))?;
        line.parse()
            .map(Self)
            .map_err(|_| SealError("the AGE-SECRET-KEY-… in it cannot be read".into()))
    }

    /// What is in the encrypted file at `path`.
    ///
    /// # Errors
    /// [`SealError`] when it is not for this key, or was altered; altered bytes further on fail when they are read.
    pub fn unseal(&self, path: &Path) -> Result<impl Read + use<>, SealError> {
        let cannot = |reason: String| SealError(format!("{}: {reason}", path.display()));
        let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
        age::Decryptor::new_buffered(BufReader::new(file))
            .and_then(|decryptor| decryptor.decrypt(std::iter::once(&self.0 as &dyn age::Identity)))
            .map_err(|error| {
                cannot(match error {
                    age::DecryptError::NoMatchingKeys => {
                        "it was not encrypted for this secret key; give the key of one of its recipients".into()
                    }
                    age::DecryptError::Io(error) => error.to_string(),
                    other => format!("it cannot be decrypted, its beginning was altered: {other}"),
                })
            })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pair of keys: the recipient, and the file `age-keygen` would have written.
    pub(crate) fn pair() -> (String, SecretString) {
        let key = x25519::Identity::generate();
        let secret = key.to_string();
        (
            key.to_public().to_string(),
            SecretString::from(format!("# created: today\n{}\n", secret.expose_secret())),
        )
    }

    fn sealed(recipient: &str, text: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let recipients = Recipients::read(&[recipient.to_owned()]).unwrap();
        let mut writer = recipients.seal(file.reopen().unwrap()).unwrap();
        writer.write_all(text).unwrap();
        writer.finish().unwrap();
        file
    }

    fn opened(secret: &SecretString, path: &Path) -> Result<Vec<u8>, String> {
        let identity = Identity::read(secret).map_err(|error| error.to_string())?;
        let mut reader = identity.unseal(path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    #[test]
    fn only_the_recipients_key_opens_it() {
        let ((recipient, secret), (_, stranger)) = (pair(), pair());
        let file = sealed(&recipient, b"the state");
        assert_eq!(opened(&secret, file.path()).unwrap(), b"the state");
        let error = opened(&stranger, file.path()).unwrap_err();
        assert!(
            error.contains("was not encrypted for this secret key"),
            "{error}"
        );
        assert!(!error.contains("AGE-SECRET"));
    }

    #[test]
    fn an_altered_byte_anywhere_is_noticed() {
        let (recipient, secret) = pair();
        let file = sealed(&recipient, &[b'x'; 500]);
        let whole = std::fs::read(file.path()).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(file.path(), &changed).unwrap();
            assert!(opened(&secret, file.path()).is_err(), "byte {at}");
        }
        std::fs::write(file.path(), &whole[..whole.len() - 1]).unwrap();
        assert!(opened(&secret, file.path()).is_err(), "cut off");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        assert!(Recipients::read(&["age1nonsense".into()]).is_err());
        let error = Identity::read(&SecretString::from("AGE-SECRET-KEY-1HUNTER2")).unwrap_err();
        assert!(!error.to_string().contains("HUNTER2"), "{error}");
        assert!(Identity::read(&SecretString::from("hunter2")).is_err());
    }
}
