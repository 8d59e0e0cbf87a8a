//! Services: endpoints with health, each spoken to by an adapter.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::node::{Node, Role};
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
        /// Prometheus.
        Prometheus = "prometheus",
        /// etcd, version 3.
        Etcd = "etcd",
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
            Self::Prometheus => 9090,
            Self::Etcd => 2379,
        }
    }

    /// The role of the nodes that vote in it; `None` for what has no quorum, or one that is not asked for.
    pub const fn voters(self) -> Option<Role> {
        match self {
            Self::Consul => Some(Role::ConsulServer),
            Self::Nomad => Some(Role::NomadServer),
            Self::Kubernetes => Some(Role::KubernetesServer),
            Self::Vault => Some(Role::Vault),
            Self::Ceph => Some(Role::CephMon),
            Self::Etcd => Some(Role::Etcd),
            Self::Harbor | Self::Traefik | Self::Grafana | Self::Prometheus => None,
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
            Self::Prometheus => "Prometheus",
            Self::Etcd => "etcd",
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
    /// The authority that signed the endpoint's certificate; `None` means the system's authorities.
    pub ca: Option<Authority>,
}

impl ServiceSpec {
    /// The same service without its endpoint on `node`: by its place in the list where each node has one URL, otherwise by the
    /// address.
    #[must_use]
    pub fn elsewhere_than(&self, name: &str, node: Option<&Node>) -> Self {
        let paired = self.urls.len() == self.nodes.len();
        let addresses: Vec<&str> = node
            .into_iter()
            .flat_map(|node| {
                let lan = node.labels.get("lan").map(String::as_str);
                lan.into_iter().chain([node.address.as_str(), name])
            })
            .collect();
        let is_there = |index: usize, url: &str| {
            if paired {
                return self.nodes[index] == name;
            }
            addresses.contains(&host_of(url))
        };
        let urls = self.urls.iter().enumerate();
        let urls = urls.filter(|(index, url)| !is_there(*index, url));
        Self {
            urls: urls.map(|(_, url)| url.clone()).collect(),
            nodes: self
                .nodes
                .iter()
                .filter(|node| *node != name)
                .cloned()
                .collect(),
            ..self.clone()
        }
    }
}

/// The host in a URL, without port and path.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some((address, _)) = authority
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        return address;
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Where the certificate of an authority is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authority {
    /// A PEM file.
    File(PathBuf),
    /// The authority of this name that a recipe made, kept where the engine is.
    Generated(String),
}

impl Authority {
    /// The PEM file; `None` for one that is still to be looked up by its name.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Generated(_) => None,
        }
    }
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
    /// One of this name that a recipe made, kept where the engine is.
    Generated(String),
}
