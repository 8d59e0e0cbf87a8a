//! Nodes: hosts, what they are for, and how to reach them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::platform::{Arch, Platform, Software};
use super::words;

words! {
    /// What a node is for. A recipe's `on` selects nodes by role.
    pub enum Role {
        /// Takes part in Consul's Raft quorum.
        ConsulServer = "consul-server",
        /// Runs a Consul agent without a vote.
        ConsulClient = "consul-client",
        /// Runs Vault or OpenBao with integrated storage.
        Vault = "vault",
        /// Takes part in Nomad's Raft quorum.
        NomadServer = "nomad-server",
        /// Runs Nomad's allocations.
        NomadClient = "nomad-client",
        /// Ceph monitor.
        CephMon = "ceph-mon",
        /// Ceph object storage daemon.
        CephOsd = "ceph-osd",
        /// Harbor registry.
        Harbor = "harbor",
        /// Traefik proxy.
        Traefik = "traefik",
        /// Grafana.
        Grafana = "grafana",
        /// Prometheus.
        Prometheus = "prometheus",
        /// Member of an etcd cluster.
        Etcd = "etcd",
        /// Kubernetes control plane (K3s or kubeadm).
        KubernetesServer = "kubernetes-server",
        /// Kubernetes worker.
        KubernetesAgent = "kubernetes-agent",
        /// MicroK8s member.
        Microk8s = "microk8s",
        /// LXD member.
        Lxd = "lxd",
        /// Docker Swarm member.
        Swarm = "swarm",
        /// Proxmox VE host.
        Proxmox = "proxmox",
        /// Reached first, on the way to the others.
        Bastion = "bastion",
    }
}

impl Role {
    /// The software that this role puts on the node; `None` for roles that install nothing.
    pub const fn software(self) -> Option<Software> {
        Some(match self {
            Self::ConsulServer | Self::ConsulClient => Software::Consul,
            Self::Vault => Software::Vault,
            Self::NomadServer | Self::NomadClient => Software::Nomad,
            Self::CephMon | Self::CephOsd => Software::Ceph,
            Self::Harbor => Software::Harbor,
            Self::Traefik => Software::Traefik,
            Self::Grafana => Software::Grafana,
            Self::Prometheus => Software::Prometheus,
            Self::Etcd => Software::Etcd,
            Self::KubernetesServer | Self::KubernetesAgent => Software::K3s,
            Self::Microk8s => Software::Microk8s,
            Self::Lxd => Software::Lxd,
            Self::Swarm => Software::Swarm,
            Self::Proxmox => Software::Proxmox,
            Self::Bastion => return None,
        })
    }

    /// Whether nodes of this role vote, so that an even number of them adds cost but no tolerance.
    pub const fn is_quorum(self) -> bool {
        matches!(
            self,
            Self::ConsulServer
                | Self::Vault
                | Self::Etcd
                | Self::NomadServer
                | Self::CephMon
                | Self::KubernetesServer
                | Self::Microk8s
        )
    }
}

/// A host of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Unique within the environment; what every screen and recipe calls it.
    pub name: String,
    /// Host name or IP address to connect to: what one would type after `ssh`. The operator's `~/.ssh/config` may know it
    /// as an alias.
    pub address: String,
    /// The kind of machine.
    pub platform: Platform,
    /// Its processor architecture.
    pub arch: Arch,
    /// What it is for.
    pub roles: BTreeSet<Role>,
    /// Free labels, for selection and for schedulers.
    pub labels: BTreeMap<String, String>,
    /// How to reach it.
    pub ssh: SshAccess,
}

impl Node {
    /// Where it is, as far as the workspace says: `address`, with `user@` and `:port` only where they are written there.
    pub fn place(&self) -> String {
        let SshAccess { user, port, .. } = &self.ssh;
        let user = user.as_ref().map(|user| format!("{user}@"));
        let address = if port.is_some() && self.address.contains(':') {
            format!("[{}]", self.address)
        } else {
            self.address.clone()
        };
        let port = port.map(|port| format!(":{port}"));
        format!(
            "{}{address}{}",
            user.unwrap_or_default(),
            port.unwrap_or_default()
        )
    }
}

/// What the workspace says about reaching a node by SSH; environment-wide settings are already merged in.
///
/// `None`, or an empty list, means that the workspace says nothing: then the operator's `~/.ssh/config` decides, and after
/// it the defaults that are named here. What is written in the workspace always wins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshAccess {
    /// TCP port; default: 22.
    pub port: Option<u16>,
    /// Login name; default: root.
    pub user: Option<String>,
    /// Private key files to offer, in order, and no others; default: the agent's keys and the usual files of `~/.ssh`.
    pub identities: Vec<PathBuf>,
    /// The one file where host keys are pinned; default: `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// What to go through first; default: nothing.
    pub jump: Option<Jump>,
    /// How to become root when the login user is not root; default: no for root, sudo for anybody else.
    pub elevate: Option<Elevate>,
    /// Whether programs on the node may use the operator's ssh-agent; default: no.
    pub forward_agent: Option<bool>,
    /// Which OpenSSH client configuration is read; default: `~/.ssh/config` and `/etc/ssh/ssh_config`.
    pub config: Option<ClientConfig>,
}

/// The way to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Jump {
    /// Straight, whatever `~/.ssh/config` says.
    Direct,
    /// Through the node of this name.
    Through(String),
}

/// Which OpenSSH client configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientConfig {
    /// None, as with `ssh -F none`.
    None,
    /// This file alone, as with `ssh -F FILE`.
    File(PathBuf),
}

words! {
    /// How a login user becomes root.
    pub enum Elevate {
        /// The login user is root, or the work needs no privilege.
        No = "no",
        /// By `sudo`, with a password where it wants one.
        Sudo = "sudo",
        /// By `doas`, as far as it wants no password.
        Doas = "doas",
        /// By `su`, with root's password.
        Su = "su",
    }
}
