//! Being let in: what can be shown at the door, and showing it piece by piece (RFC 4252, section 7).
//!
//! With identities named by the workspace, or with `IdentitiesOnly`, only those are offered. Otherwise the agent's keys come
//! before those that only lie in files, as with OpenSSH. A key's certificates come before the key itself. Nothing is signed,
//! and nobody asked for a passphrase, before the host has said that the key would be good enough. Every outcome is
//! remembered, because "permission denied" alone helps nobody.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::time::timeout;

use super::greet::{Fate, Greeter};
use super::identities::{self, KeyFile, KeyRing, Locked, look};
use super::sign::Signing;
use super::way::Target;
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
    /// Its public half, where that is known.
    public: Option<PublicKey>,
    /// What somebody has signed about it.
    certificates: Vec<Certificate>,
}

/// How something is proved.
#[derive(Clone)]
pub(super) enum Means {
    /// By a key at hand.
    Key(Arc<PrivateKey>),
    /// By the agent with this socket.
    Agent(PathBuf),
    /// By the key in this file, once a passphrase has unlocked it.
    Locked(PathBuf, Arc<Locked>),
    /// Cannot be shown, and why.
    Nothing(String),
}

/// Everything that may let us in at `target`, in the order in which it is offered.
pub(super) async fn candidates(target: &Target, settings: &SshSettings) -> Vec<Candidate> {
    if !*target.by_key {
        return Vec::new();
    }
    let agent = match &target.agent.value {
        None => Ok(Vec::new()),
        Some(socket) => agent_keys(socket).await,
    };
    let held = agent.as_deref().unwrap_or_default();
    let configured = !target.identities.is_empty();
    let files: Vec<PathBuf> = if configured {
        let files = target.identities.iter();
        files.map(|file| file.value.clone()).collect()
    } else {
        let folder = settings.home.iter().map(|home| home.join(".ssh"));
        folder
            .flat_map(|folder| USUAL.map(|name| folder.join(name)))
            .collect()
    };
    let mut from_files = Vec::new();
    for path in &files {
        let candidate = from_file(path, target, held).await;
        from_files.extend(candidate.or_else(|| {
            // Only who names a file wants to hear that it is not there.
            configured.then(|| Candidate::nothing(path.display(), "there is no such file"))
        }));
    }
    for file in &target.certificates {
        attach(file, &mut from_files, held, target).await;
    }
    if *target.identities_only {
        return from_files;
    }
    let (in_agent, rest): (Vec<_>, Vec<_>) = from_files.into_iter().partition(|candidate| {
        let public = candidate.public.as_ref();
        public.is_some_and(|public| held.iter().any(|one| same(one, public)))
    });
    let others = held.iter().filter(|one| {
        let known = |candidate: &Candidate| {
            let public = candidate.public.as_ref();
            public.is_some_and(|public| same(one, public))
        };
        !in_agent.iter().any(known)
    });
    let mut all: Vec<Candidate> = Vec::new();
    if let Some(socket) = &target.agent.value {
        all.extend(others.map(|one| from_agent(one, socket)));
        if let Err(reason) = &agent {
            let label = format!("agent {}", socket.display());
            all.push(Candidate::nothing(label, reason.clone()));
        }
    }
    in_agent.into_iter().chain(all).chain(rest).collect()
}

fn same(one: &AgentIdentity, public: &PublicKey) -> bool {
    one.public_key().key_data() == public.key_data()
}

impl Candidate {
    fn nothing(label: impl ToString, reason: impl Into<String>) -> Self {
        Self {
            label: label.to_string(),
            means: Means::Nothing(reason.into()),
            public: None,
            certificates: Vec::new(),
        }
    }
}

fn from_agent(identity: &AgentIdentity, socket: &Path) -> Candidate {
    let key = identity.public_key().into_owned();
    let (what, certificates) = match identity {
        AgentIdentity::PublicKey { .. } => ("key", Vec::new()),
        AgentIdentity::Certificate { certificate, .. } => {
            ("certificate", vec![certificate.clone()])
        }
    };
    Candidate {
        label: format!(
            "agent {what} {} ({})",
            known_hosts::fingerprint(&key),
            tame(identity.comment())
        ),
        means: Means::Agent(socket.to_owned()),
        public: Some(key),
        certificates,
    }
}

/// The key in the file `path`; `None` when there is no such file.
async fn from_file(path: &Path, target: &Target, held: &[AgentIdentity]) -> Option<Candidate> {
    let agent = |public: &PublicKey| {
        let socket = target.agent.value.clone()?;
        let has = held.iter().any(|one| same(one, public));
        has.then_some(Means::Agent(socket))
    };
    let (means, public) = match look(path).await {
        KeyFile::Absent => return None,
        KeyFile::Unusable(reason) => (Means::Nothing(reason), None),
        KeyFile::Open(key) => {
            let public = key.public_key().clone();
            (Means::Key(key), Some(public))
        }
        KeyFile::Public(public) => {
            let means = agent(&public).unwrap_or_else(|| {
                Means::Nothing(
                    "only its public half is here, and the agent does not have it".into(),
                )
            });
            (means, Some(public))
        }
        KeyFile::Locked(locked) => {
            let public = locked.public.clone();
            let means = public.as_ref().and_then(agent);
            let locked = || Means::Locked(path.to_owned(), Arc::new(locked));
            (means.unwrap_or_else(locked), public)
        }
    };
    let certificate = identities::certificate_of(path).await;
    Some(Candidate {
        label: path.display().to_string(),
        means,
        certificates: certificate
            .into_iter()
            .filter(|certificate| is_of(certificate, public.as_ref()))
            .collect(),
        public,
    })
}

fn is_of(certificate: &Certificate, public: Option<&PublicKey>) -> bool {
    public.is_some_and(|public| public.key_data() == certificate.public_key())
}

/// Puts the certificate in `file` beside its key: one of `candidates`, or one of the agent's.
async fn attach(
    file: &Path,
    candidates: &mut Vec<Candidate>,
    held: &[AgentIdentity],
    target: &Target,
) {
    let certificate = match identities::certificate(file).await {
        Ok(certificate) => certificate,
        Err(reason) => {
            candidates.push(Candidate::nothing(file.display(), reason));
            return;
        }
    };
    let key = candidates
        .iter_mut()
        .find(|candidate| is_of(&certificate, candidate.public.as_ref()));
    if let Some(key) = key {
        key.certificates.push(certificate);
        return;
    }
    let held = held
        .iter()
        .find(|one| is_of(&certificate, Some(&one.public_key())));
    match (held, &target.agent.value) {
        (Some(one), Some(socket)) => candidates.push(Candidate {
            certificates: vec![certificate],
            ..from_agent(one, socket)
        }),
        _ => candidates.push(Candidate::nothing(
            file.display(),
            "neither a file nor the agent has the key of this certificate",
        )),
    }
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

/// What was tried at one door.
struct Tried {
    outcomes: Vec<String>,
    /// Whether anything was shown.
    offered: bool,
}

/// Offers `candidates` until one is good enough, and says which.
///
/// # Errors
/// [`ReachError::Denied`] with the fate of each.
pub(super) async fn log_in(
    handle: &mut Handle<Greeter>,
    target: &Target,
    candidates: Vec<Candidate>,
    keys: &KeyRing,
    settings: &SshSettings,
    fate: &Fate,
) -> Result<String, ReachError> {
    let mut tried = Tried {
        outcomes: Vec::new(),
        offered: false,
    };
    for mut candidate in candidates {
        let mut signing = Signing {
            handle_binding: handle.agent_session_binding().cloned(),
            means: candidate.means.clone(),
            keys,
            settings,
            fate,
        };
        if let Means::Nothing(reason) = &candidate.means {
            tried.say(&candidate.label, reason);
            continue;
        }
        if handle.is_closed() {
            tried.say(
                &candidate.label,
                "not offered, the host had closed the connection",
            );
            continue;
        }
        if candidate.public.is_none() {
            match signing.unlocked().await {
                Ok(key) => candidate.public = Some(key.public_key().clone()),
                Err(reason) => {
                    tried.say(&candidate.label, &reason);
                    continue;
                }
            }
        }
        for certificate in candidate.certificates {
            let label = format!(
                "{} with its certificate {:?}",
                candidate.label,
                tame(certificate.key_id())
            );
            let key = PublicKey::new(certificate.public_key().clone(), "");
            let hash = hash_for(handle, &key).await;
            let user = target.user.value.as_str();
            let result = handle
                .authenticate_certificate_with(user, certificate, hash, &mut signing)
                .await;
            if tried.succeeded(&label, result) {
                return Ok(label);
            }
        }
        if let Some(public) = candidate.public {
            let hash = hash_for(handle, &public).await;
            let user = target.user.value.as_str();
            let result = handle
                .authenticate_publickey_with(user, public, hash, &mut signing)
                .await;
            if tried.succeeded(&candidate.label, result) {
                return Ok(candidate.label);
            }
        }
    }
    if !tried.offered && !handle.is_closed() {
        // Some hosts (a console server, a lab) let in whoever comes; the answer also tells what others would want.
        match handle.authenticate_none(target.user.value.as_str()).await {
            Ok(AuthResult::Success) => return Ok("no identity at all".into()),
            Ok(AuthResult::Failure {
                remaining_methods, ..
            }) => {
                let wants = methods(&remaining_methods);
                tried.say("no identity at all", &format!("the host wants {wants}"));
            }
            Err(error) => tried.say("no identity at all", &error.to_string()),
        }
    }
    let banner = fate.banner();
    if !banner.is_empty() {
        tried.say("the host says", &banner);
    }
    Err(ReachError::Denied {
        hop: target.name.clone(),
        user: target.user.value.clone(),
        tried: tried.outcomes.join("; "),
    })
}

impl Tried {
    fn say(&mut self, label: &str, outcome: &str) {
        self.outcomes.push(format!("{label}: {}", tame(outcome)));
    }

    /// Takes note of what became of an offer.
    fn succeeded(
        &mut self,
        label: &str,
        result: Result<AuthResult, super::sign::Unsigned>,
    ) -> bool {
        self.offered = true;
        match result {
            Ok(AuthResult::Success) => return true,
            Ok(AuthResult::Failure {
                partial_success: true,
                remaining_methods,
            }) => {
                let wants = methods(&remaining_methods);
                self.say(label, &format!("accepted, but the host also wants {wants}"));
            }
            Ok(AuthResult::Failure { .. }) => self.say(label, "refused"),
            Err(unsigned) => self.say(label, &unsigned.to_string()),
        }
        false
    }
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
