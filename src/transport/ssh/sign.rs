//! Signing what proves that a key is ours, once the host has said that it would be good enough.

use std::sync::Arc;

use russh::Signer;
use russh::keys::agent::client::AgentClient;
use russh::keys::agent::{AgentIdentity, AgentSessionBinding};
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey};

use super::asker::Asker;
use super::auth::Means;
use super::identities::{KeyRing, StaysLocked};
use super::tame;
use crate::transport::ask::Unanswered;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsigned(String);

impl From<russh::SendError> for Unsigned {
    fn from(_: russh::SendError) -> Self {
        Self("the host closed the connection".into())
    }
}

/// Signs for one connection by one means.
pub(super) struct Signing<'a> {
    /// Lets an agent tell for which host it signs.
    pub(super) handle_binding: Option<AgentSessionBinding>,
    pub(super) means: Means,
    pub(super) keys: &'a KeyRing,
    /// The host that is to be convinced.
    pub(super) host: &'a str,
    pub(super) asker: &'a Asker,
    /// Set when a passphrase was needed and not given.
    pub(super) unanswered: Option<Unanswered>,
}

impl Signing<'_> {
    /// The private key, which a person may have to unlock.
    ///
    /// # Errors
    /// A phrase that says why it cannot be had.
    pub(super) async fn unlocked(&mut self) -> Result<Arc<PrivateKey>, String> {
        match &self.means {
            Means::Key(key) => Ok(Arc::clone(key)),
            Means::Locked(path, locked) => {
                let unlocking = self.keys.unlock(path, locked, self.host, self.asker);
                // Another host's attempt may be asking for the same key: that counts as asking, too.
                let key = match self.asker.patience.asking(unlocking).await {
                    Ok(key) => key,
                    Err(StaysLocked::Unanswered(why)) => {
                        self.unanswered = Some(why);
                        return Err(StaysLocked::Unanswered(why).to_string());
                    }
                    Err(wrong) => return Err(wrong.to_string()),
                };
                self.means = Means::Key(Arc::clone(&key));
                Ok(key)
            }
            Means::Agent(_) | Means::Nothing(_) => Err("there is no private key".into()),
        }
    }

    async fn by_agent(
        &self,
        socket: &std::path::Path,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        let gone = |error| Unsigned(format!("the agent is gone: {error}"));
        let mut agent = AgentClient::connect_uds(socket).await.map_err(gone)?;
        if let Some(binding) = &self.handle_binding {
            // Lets the agent enforce keys that are confined to certain hosts; agents older than that refuse, harmlessly.
            let _ = agent.bind_session(binding, false).await;
        }
        // The agent may ask its own user, by a dialog or a touch.
        let signing = agent.sign_request(identity, hash, to_sign.clone());
        let mut signed = self.asker.patience.asking(signing).await;
        if signed.is_err()
            && let AgentIdentity::Certificate { .. } = identity
        {
            // It may hold the key without the certificate, which then came from a file.
            let bare = AgentIdentity::from(identity.public_key().into_owned());
            let signing = agent.sign_request(&bare, hash, to_sign);
            signed = self.asker.patience.asking(signing).await;
        }
        signed.map_err(|error| {
            Unsigned(format!(
                "the agent does not sign: {}",
                tame(&error.to_string())
            ))
        })
    }
}

impl Signer for Signing<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        if let Means::Agent(socket) = &self.means {
            let socket = socket.clone();
            return self.by_agent(&socket, identity, hash, to_sign).await;
        }
        let key = self.unlocked().await.map_err(Unsigned)?;
        sign(&key, hash, to_sign).map_err(|error| Unsigned(format!("cannot sign: {error}")))
    }
}

/// `data` followed by its signature, as it goes into the request (RFC 4252, section 7).
fn sign(
    key: &PrivateKey,
    hash: Option<HashAlg>,
    mut data: Vec<u8>,
) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data)?,
        pair => pair.try_sign(&data)?,
    };
    let signature = signature.encode_vec()?;
    signature.encode(&mut data)?;
    Ok(data)
}
