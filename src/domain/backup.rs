//! Backups: what of an environment can be saved, how often it should be, and for whom it is encrypted.

use std::path::PathBuf;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, Protection};
use super::service::{Authority, SecretRef, ServiceKind, ServiceSpec};
use super::words;

words! {
    /// Something that keeps state which can be saved and restored.
    pub enum StoreKind {
        /// HashiCorp Consul.
        Consul = "consul",
        /// HashiCorp Vault or OpenBao with integrated storage (Raft).
        Vault = "vault",
        /// HashiCorp Nomad.
        Nomad = "nomad",
        /// etcd, version 3.
        Etcd = "etcd",
        /// One database of a `PostgreSQL` server.
        Postgresql = "postgresql",
        /// The state of a Terraform workspace.
        Terraform = "terraform",
    }
}

impl StoreKind {
    /// The name as its makers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Consul => "Consul",
            Self::Vault => "Vault",
            Self::Nomad => "Nomad",
            Self::Etcd => "etcd",
            Self::Postgresql => "PostgreSQL",
            Self::Terraform => "Terraform",
        }
    }

    /// What is saved of a kind of service; `None` for those whose state cannot be had whole.
    pub const fn of(kind: ServiceKind) -> Option<Self> {
        match kind {
            ServiceKind::Consul => Some(Self::Consul),
            ServiceKind::Vault => Some(Self::Vault),
            ServiceKind::Nomad => Some(Self::Nomad),
            ServiceKind::Etcd => Some(Self::Etcd),
            ServiceKind::Ceph
            | ServiceKind::Harbor
            | ServiceKind::Traefik
            | ServiceKind::Grafana
            | ServiceKind::Prometheus
            | ServiceKind::Kubernetes => None,
        }
    }
}

words! {
    /// The kinds of stores that are no services.
    pub enum OtherStore {
        /// etcd, version 3.
        Etcd = "etcd",
        /// One database of a `PostgreSQL` server.
        Postgresql = "postgresql",
        /// The state of a Terraform configuration.
        Terraform = "terraform",
    }
}

impl OtherStore {
    /// The same among all kinds.
    pub const fn kind(self) -> StoreKind {
        match self {
            Self::Etcd => StoreKind::Etcd,
            Self::Postgresql => StoreKind::Postgresql,
            Self::Terraform => StoreKind::Terraform,
        }
    }
}

/// One store: where it is and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreSpec {
    /// Unique within the environment, services included.
    pub name: String,
    /// What it is.
    pub kind: StoreKind,
    /// Base URLs of its members; one `postgresql://user@host:port/database` for `PostgreSQL`; none for Terraform.
    pub urls: Vec<String>,
    /// Names of the nodes it runs on, where the environment says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// Login name, for etcd with authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Token or password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// The authority that signed the endpoint's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Authority>,
    /// The directory of the Terraform configuration whose state it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The node whose programs are used, by SSH; `None` for those of the engine's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
}

impl StoreSpec {
    /// The store of a service, when its state can be saved.
    pub fn of(service: &ServiceSpec) -> Option<Self> {
        Some(Self {
            name: service.name.clone(),
            kind: StoreKind::of(service.kind)?,
            urls: service.urls.clone(),
            nodes: service.nodes.clone(),
            user: service.user.clone(),
            secret: service.secret.clone(),
            ca: service.ca.clone(),
            directory: None,
            via: None,
        })
    }
}

/// How an environment wants to be saved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Backups {
    /// The oldest that the newest verified snapshot of a store may be, seconds; `None` where the file does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u64>,
    /// age recipients (`age1…`): every snapshot is encrypted for all of them. Empty: not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Where the secret key of one recipient can be read; needed to restore and to drill, never to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<SecretRef>,
    /// What is saved besides the environment's services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreSpec>,
}

impl Backups {
    /// Whether nothing is said.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }
}

/// What a protected environment asks for when it does not say: a night's snapshot, and some room for it to be late.
const USUAL: SignedDuration = SignedDuration::from_hours(26);

impl Environment {
    /// Everything whose state can be saved: services first, then the other stores.
    pub fn stores(&self) -> Vec<StoreSpec> {
        let services = self.services.iter().filter_map(StoreSpec::of);
        services
            .chain(self.backups.stores.iter().cloned())
            .collect()
    }

    /// The oldest that a store's newest verified snapshot may be; `None` where nothing is asked for. Environments that are
    /// protected by more than a yes ask for recent ones by themselves.
    pub fn snapshots_within(&self) -> Option<SignedDuration> {
        match (self.backups.within, self.protection) {
            (Some(seconds), _) => Some(SignedDuration::from_secs(
                i64::try_from(seconds).unwrap_or(i64::MAX),
            )),
            (None, Protection::Typed | Protection::TwoPerson) => Some(USUAL),
            (None, Protection::Open | Protection::Confirm) => None,
        }
    }
}
