//! Being let in: what can be shown at the door, and showing it piece by piece (RFC 4252, section 7).
//!
//! With identities named by the workspace, or with `IdentitiesOnly`, only those are offered. Otherwise the agent's keys come
//! before those that only lie in files, as with OpenSSH. A key's certificates come before the key itself; what the host asks
//! a person comes last ([`super::password`]). Nothing is signed,
//! and nobody asked for a passphrase, before the host has said that the key would be good enough. Every outcome is
//! remembered, because "permission denied" alone helps nobody.

use std::fmt;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use russh::MethodSet;
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKey, PublicKey};
use tokio::time::timeout;

use super::asker::Asker;
use super::greet::{Fate, Greeter};
use super::identities::{self, KeyFile, KeyRing, Locked, look};
use super::sign::Signing;
use super::way::Target;
use super::{SshSettings, known_hosts, tame};
use crate::transport::ReachError;
use crate::transport::ask::Unanswered;

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
            configured.then(|| Candidate::nothing(&path.display(), "there is no such file"))
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
            all.push(Candidate::nothing(&label, reason.clone()));
        }
    }
    in_agent.into_iter().chain(all).chain(rest).collect()
}

fn same(one: &AgentIdentity, public: &PublicKey) -> bool {
    one.public_key().key_data() == public.key_data()
}

impl Candidate {
    fn nothing(label: &dyn fmt::Display, reason: impl Into<String>) -> Self {
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
            candidates.push(Candidate::nothing(&file.display(), reason));
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
            &file.display(),
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
#[derive(Default)]
pub(super) struct Tried {
    outcomes: Vec<String>,
    /// What the host would take next, once it has said so.
    pub(super) remaining: Option<MethodSet>,
    /// What would have been asked, and why it was not answered.
    pub(super) unanswered: Option<(&'static str, Unanswered)>,
}

/// A host that wants to know who comes.
pub(super) struct Door<'a> {
    pub(super) target: &'a Target,
    pub(super) keys: &'a KeyRing,
    pub(super) asker: &'a Asker,
    pub(super) fate: &'a Fate,
}

impl Door<'_> {
    /// Offers `candidates` until one is good enough, then answers what the host asks; says what let us in.
    ///
    /// # Errors
    /// [`ReachError::Denied`] with the fate of each, [`ReachError::Unanswered`] when an answer might have helped.
    pub(super) async fn log_in(
        &self,
        handle: &mut Handle<Greeter>,
        candidates: Vec<Candidate>,
    ) -> Result<String, ReachError> {
        let mut tried = Tried::default();
        for candidate in candidates {
            if let Some(by) = self.show(handle, candidate, &mut tried).await {
                return Ok(by);
            }
        }
        if tried.remaining.is_none() && !handle.is_closed() {
            // Some hosts (a console server, a lab) let in whoever comes; the answer also tells what others would want.
            let user = self.target.user.value.as_str();
            let result = handle.authenticate_none(user).await;
            let result = result.map_err(|error| error.to_string());
            if tried.succeeded("no identity at all", result) {
                return Ok("no identity at all".into());
            }
        }
        if let Some(by) = self.answer(handle, &mut tried).await {
            return Ok(by);
        }
        Err(self.refusal(tried))
    }

    fn refusal(&self, mut tried: Tried) -> ReachError {
        let banner = self.fate.banner();
        if !banner.is_empty() {
            tried.say("the host says", &banner);
        }
        let said = tried.outcomes.join("; ");
        match tried.unanswered {
            Some((wants, why)) => ReachError::Unanswered {
                hop: self.target.name.clone(),
                wants: wants.into(),
                reason: if said.is_empty() {
                    why.to_string()
                } else {
                    format!("{why} (tried {said})")
                },
            },
            None => ReachError::Denied {
                hop: self.target.name.clone(),
                user: self.target.user.value.clone(),
                tried: said,
            },
        }
    }

    /// Shows one candidate with its certificates; what let us in, if it did.
    async fn show(
        &self,
        handle: &mut Handle<Greeter>,
        mut candidate: Candidate,
        tried: &mut Tried,
    ) -> Option<String> {
        if let Means::Nothing(reason) = &candidate.means {
            tried.say(&candidate.label, reason);
            return None;
        }
        if handle.is_closed() {
            let closed = "not offered, the host had closed the connection";
            tried.say(&candidate.label, closed);
            return None;
        }
        let mut signing = Signing {
            handle_binding: handle.agent_session_binding().cloned(),
            means: candidate.means.clone(),
            keys: self.keys,
            host: &self.target.name,
            asker: self.asker,
            unanswered: None,
        };
        if candidate.public.is_none() {
            match signing.unlocked().await {
                Ok(key) => candidate.public = Some(key.public_key().clone()),
                Err(reason) => tried.say(&candidate.label, &reason),
            }
        }
        let user = self.target.user.value.as_str();
        let mut by = None;
        for certificate in candidate.certificates {
            let label = format!(
                "{} with its certificate {:?}",
                candidate.label,
                tame(certificate.key_id())
            );
            let key = PublicKey::new(certificate.public_key().clone(), "");
            let hash = hash_for(handle, &key).await;
            let result = handle
                .authenticate_certificate_with(user, certificate, hash, &mut signing)
                .await;
            if tried.succeeded(&label, result) {
                by = Some(label);
                break;
            }
        }
        if let (None, Some(public)) = (&by, candidate.public) {
            let hash = hash_for(handle, &public).await;
            let result = handle
                .authenticate_publickey_with(user, public, hash, &mut signing)
                .await;
            if tried.succeeded(&candidate.label, result) {
                by = Some(candidate.label);
            }
        }
        if let Some(why) = signing.unanswered {
            tried.unanswered.get_or_insert(("a passphrase", why));
        }
        by
    }
}

impl Tried {
    pub(super) fn say(&mut self, label: &str, outcome: &str) {
        self.outcomes.push(format!("{label}: {}", tame(outcome)));
    }

    /// Takes note of what became of an offer.
    pub(super) fn succeeded<E: Display>(
        &mut self,
        label: &str,
        result: Result<AuthResult, E>,
    ) -> bool {
        match result {
            Ok(AuthResult::Success) => return true,
            Ok(AuthResult::Failure {
                partial_success,
                remaining_methods,
            }) => {
                let wants = methods(&remaining_methods);
                if partial_success {
                    self.say(label, &format!("accepted, but the host also wants {wants}"));
                } else if self.remaining.is_none() && self.outcomes.is_empty() {
                    self.say(label, &format!("refused, the host wants {wants}"));
                } else {
                    self.say(label, "refused");
                }
                self.remaining = Some(remaining_methods);
            }
            Err(error) => self.say(label, &error.to_string()),
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
