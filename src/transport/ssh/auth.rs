//! Being let in: which identities there are, and offering them one by one (RFC 4252, section 7).
//!
//! With identities configured, only those are offered; a key that is locked is used through the agent when the agent has
//! it. Without any, the agent's keys come first, then the usual files. Every outcome is remembered, because "permission
//! denied" alone helps nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::connection::Target;
use super::greet::Greeter;
use super::identities::{KeyFile, KeyRing, look};
use super::{SshSettings, known_hosts, tame};
use crate::transport::ReachError;

/// The files that are looked at when no identities are configured, in `~/.ssh`.
const USUAL: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];
/// The longest wait for the agent to list its keys. Signing may ask a person and has the login's own limit.
const AGENT: Duration = Duration::from_secs(5);

/// Something to show at the door.
pub(super) struct Candidate {
    /// What it is called when telling what was tried.
    label: String,
    means: Means,
}

enum Means {
    /// A key at hand.
    Key(Arc<PrivateKey>),
    /// A key in the agent.
    Agent(PublicKey),
    /// Cannot be shown, and why.
    Nothing(String),
}

/// Everything that may let us in at `target`, in the order in which it is offered.
pub(super) async fn candidates(
    target: &Target,
    settings: &SshSettings,
    keys: &KeyRing,
) -> Vec<Candidate> {
    let agent = match &settings.agent {
        None => Ok(Vec::new()),
        Some(socket) => agent_keys(socket).await,
    };
    let held = agent.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    let configured = &target.access.identities;
    if configured.is_empty() {
        for identity in held {
            found.push(from_agent(identity));
        }
        if let (Err(reason), Some(socket)) = (&agent, &settings.agent) {
            found.push(Candidate {
                label: format!("agent {}", socket.display()),
                means: Means::Nothing(reason.clone()),
            });
        }
        let folder = settings.home.iter().map(|home| home.join(".ssh"));
        for path in folder.flat_map(|folder| USUAL.map(|name| folder.join(name))) {
            if let Some(candidate) = from_file(&path, held, settings, keys).await {
                found.push(candidate);
            }
        }
    } else {
        for path in configured {
            let path = settings.expand(path);
            let candidate = from_file(&path, held, settings, keys).await;
            found.push(candidate.unwrap_or_else(|| Candidate {
                label: path.display().to_string(),
                means: Means::Nothing("there is no such file".into()),
            }));
        }
    }
    found
}

fn from_agent(identity: &AgentIdentity) -> Candidate {
    let key = identity.public_key().into_owned();
    Candidate {
        label: format!(
            "agent key {} ({})",
            known_hosts::fingerprint(&key),
            tame(identity.comment())
        ),
        means: Means::Agent(key),
    }
}

/// The key in the file `path`; `None` when there is no such file.
async fn from_file(
    path: &Path,
    held: &[AgentIdentity],
    settings: &SshSettings,
    keys: &KeyRing,
) -> Option<Candidate> {
    let means = match look(path).await {
        KeyFile::Absent => return None,
        KeyFile::Unusable(reason) => Means::Nothing(reason),
        KeyFile::Open(key) => Means::Key(key),
        KeyFile::Locked(locked) => {
            let in_agent = locked.public.clone().filter(|public| {
                let same = |one: &AgentIdentity| one.public_key().key_data() == public.key_data();
                held.iter().any(same)
            });
            if let Some(public) = in_agent {
                Means::Agent(public)
            } else {
                let source = settings.passphrases.as_deref();
                match keys.unlock(path, locked, source).await {
                    Ok(key) => Means::Key(key),
                    Err(reason) => Means::Nothing(reason),
                }
            }
        }
    };
    Some(Candidate {
        label: path.display().to_string(),
        means,
    })
}

async fn agent_keys(socket: &PathBuf) -> Result<Vec<AgentIdentity>, String> {
    let listing = async {
        let mut agent = AgentClient::connect_uds(socket).await?;
        agent.request_identities().await
    };
    timeout(AGENT, listing)
        .await
        .map_err(|_| format!("no answer within {AGENT:?}"))?
        .map_err(|error| tame(&error.to_string()))
}

/// Offers `candidates` until one is good enough.
///
/// # Errors
/// [`ReachError::Denied`] with the fate of each, [`ReachError::Handshake`] when the host hangs up over it.
pub(super) async fn log_in(
    handle: &mut Handle<Greeter>,
    target: &Target,
    candidates: Vec<Candidate>,
    settings: &SshSettings,
) -> Result<(), ReachError> {
    let user = &target.access.user;
    let mut tried = Vec::new();
    let mut offered = false;
    for Candidate { label, means } in candidates {
        let result = match means {
            Means::Nothing(reason) => {
                tried.push(format!("{label}: {reason}"));
                continue;
            }
            Means::Key(_) | Means::Agent(_) if handle.is_closed() => {
                tried.push(format!(
                    "{label}: not offered, the host had closed the connection"
                ));
                continue;
            }
            Means::Key(key) => {
                let hash = hash_for(handle, key.public_key()).await;
                let key = PrivateKeyWithHashAlg::new(key, hash);
                let result = handle.authenticate_publickey(user, key).await;
                result.map_err(|error| error.to_string())
            }
            Means::Agent(key) => by_agent(handle, user, key, settings).await,
        };
        offered = true;
        match result {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure {
                partial_success: true,
                remaining_methods,
            }) => tried.push(format!(
                "{label}: accepted, but the host also wants {}",
                methods(&remaining_methods)
            )),
            Ok(AuthResult::Failure { .. }) => tried.push(format!("{label}: refused")),
            Err(reason) => tried.push(format!("{label}: {}", tame(&reason))),
        }
    }
    if !offered && !handle.is_closed() {
        // Some hosts (a console server, a lab) let in whoever comes; the answer also tells what others would want.
        match handle.authenticate_none(user).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure {
                remaining_methods, ..
            }) => {
                let wants = methods(&remaining_methods);
                tried.push(format!("no identity at all: the host wants {wants}"));
            }
            Err(error) => tried.push(format!("no identity at all: {}", tame(&error.to_string()))),
        }
    }
    Err(ReachError::Denied {
        hop: target.name.clone(),
        user: user.clone(),
        tried: tried.join("; "),
    })
}

async fn by_agent(
    handle: &mut Handle<Greeter>,
    user: &str,
    key: PublicKey,
    settings: &SshSettings,
) -> Result<AuthResult, String> {
    let socket = settings.agent.as_deref().ok_or("there is no agent")?;
    let mut agent: AgentClient<UnixStream> = AgentClient::connect_uds(socket)
        .await
        .map_err(|error| format!("the agent is gone: {error}"))?;
    if let Some(binding) = handle.agent_session_binding() {
        // Lets the agent enforce keys that are confined to certain hosts; agents older than that refuse, harmlessly.
        let _ = agent.bind_session(binding, false).await;
    }
    let hash = hash_for(handle, &key).await;
    handle
        .authenticate_publickey_with(user, key, hash, &mut agent)
        .await
        .map_err(|error| format!("the agent does not sign: {error}"))
}

/// The hash to sign with: RSA keys have a choice, of which the server's best is taken (RFC 8332), never SHA-1.
async fn hash_for(handle: &Handle<Greeter>, key: &PublicKey) -> Option<HashAlg> {
    if !key.algorithm().is_rsa() {
        return None;
    }
    let best = handle
        .best_supported_rsa_hash()
        .await
        .ok()
        .flatten()
        .flatten();
    Some(best.unwrap_or(HashAlg::Sha512))
}

fn methods(set: &MethodSet) -> String {
    let names: Vec<&str> = set.iter().map(<&str>::from).collect();
    if names.is_empty() {
        "nothing that can be offered".into()
    } else {
        names.join(" or ")
    }
}
