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
    /// Host name or IP address to connect to.
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

/// How to reach a node by SSH; environment-wide settings are already merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshAccess {
    /// TCP port, usually 22.
    pub port: u16,
    /// Login name.
    pub user: String,
    /// Private key files to offer, in order; empty means the agent's keys and the usual files of `~/.ssh`.
    pub identities: Vec<PathBuf>,
    /// Where host keys are pinned; `None` means `~/.ssh/known_hosts`.
    pub known_hosts: Option<PathBuf>,
    /// The name of the node to go through first.
    pub jump: Option<String>,
    /// How to become root when `user` is not root.
    pub elevate: Elevate,
}

words! {
    /// How a login user becomes root.
    pub enum Elevate {
        /// The login user is root, or the work needs no privilege.
        No = "no",
        /// `sudo -n`: without asking for a password.
        Sudo = "sudo",
    }
}

impl Default for SshAccess {
    fn default() -> Self {
        Self {
            port: 22,
            user: "root".into(),
            identities: Vec::new(),
            known_hosts: None,
            jump: None,
            elevate: Elevate::No,
        }
    }
}
