//! Services: endpoints with health, each spoken to by an adapter.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::words;

words! {
    /// A system that has an adapter of its own.
    pub enum ServiceKind {
        /// HashiCorp Consul.
        Consul = "consul",
        /// HashiCorp Vault or OpenBao.
        Vault = "vault",
        /// HashiCorp Nomad.
        Nomad = "nomad",
        /// Ceph, through its dashboard API.
        Ceph = "ceph",
        /// Harbor registry.
        Harbor = "harbor",
        /// Traefik proxy.
        Traefik = "traefik",
        /// Grafana.
        Grafana = "grafana",
        /// Kubernetes of any make.
        Kubernetes = "kubernetes",
    }
}

impl ServiceKind {
    /// The port its API listens on unless told otherwise.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Consul => 8500,
            Self::Vault => 8200,
            Self::Nomad => 4646,
            Self::Ceph => 8443,
            Self::Harbor => 443,
            Self::Traefik => 8080,
            Self::Grafana => 3000,
            Self::Kubernetes => 6443,
        }
    }

    /// The name as its makers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Consul => "Consul",
            Self::Vault => "Vault",
            Self::Nomad => "Nomad",
            Self::Ceph => "Ceph",
            Self::Harbor => "Harbor",
            Self::Traefik => "Traefik",
            Self::Grafana => "Grafana",
            Self::Kubernetes => "Kubernetes",
        }
    }
}

/// One service of an environment: where its endpoints are and how to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique within the environment.
    pub name: String,
    /// Which adapter speaks to it.
    pub kind: ServiceKind,
    /// Base URLs, `http://` or `https://`, tried in order until one answers; a system with state per member (Vault's
    /// seal) is asked at every one. At least one.
    pub urls: Vec<String>,
    /// Names of the nodes it runs on.
    pub nodes: Vec<String>,
    /// Login name, for systems that have one (Ceph dashboard, Harbor).
    pub user: Option<String>,
    /// Token or password.
    pub secret: Option<SecretRef>,
    /// PEM file with the authority that signed the endpoint's certificate; `None` means the system's authorities.
    pub ca: Option<PathBuf>,
}

/// Where a secret can be read; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// An environment variable of the engine.
    Env(String),
    /// A file with mode 0600 or stricter; a trailing line break is not part of the secret.
    File(PathBuf),
    /// A command, as an argument vector, whose standard output is the secret.
    Command(Vec<String>),
}
