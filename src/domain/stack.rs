//! Stacks: what is installed, in which order. What stands beside any of them, [`COMPANIONS`], is installed where nodes have a
//! role for it.

use super::node::Role;
use super::platform::Software;
use super::words;

words! {
    /// An ordered list of software to install; later entries wait for the health of earlier ones.
    pub enum Stack {
        /// Consul alone.
        Consul = "consul",
        /// Kubernetes with Ceph, Harbor, Traefik and Grafana.
        Kubernetes = "kubernetes",
        /// Nomad with Vault, Ceph, Harbor, Traefik and Grafana.
        Nomad = "nomad",
        /// Docker Swarm and LXD.
        SwarmLxd = "swarm-lxd",
        /// EdgeX Foundry.
        Edgex = "edgex",
        /// MicroK8s on Proxmox.
        Microk8s = "microk8s",
        /// HashiCorp on Canonical.
        HashicorpCanonical = "hashicorp-canonical",
    }
}

/// Software that belongs to no stack and goes with each: installed as soon as a node has its role, after the stack, in this
/// order. Prometheus comes last, because it watches the others.
pub const COMPANIONS: [Software; 2] = [Software::Etcd, Software::Prometheus];

impl Stack {
    /// The software of the stack in the order of installation.
    pub const fn order(self) -> &'static [Software] {
        use Software::{
            Ceph, Consul, Edgex, Grafana, Harbor, K3s, Lxd, Microk8s, Nomad, Swarm, Traefik, Vault,
        };
        match self {
            Self::Consul => &[Consul],
            Self::Kubernetes => &[Consul, K3s, Ceph, Harbor, Traefik, Grafana],
            Self::Nomad => &[Consul, Vault, Nomad, Ceph, Harbor, Traefik, Grafana],
            Self::SwarmLxd => &[Swarm, Lxd, Ceph, Harbor, Consul],
            Self::Edgex => &[Edgex, Ceph, Harbor, Consul, Traefik],
            Self::Microk8s => &[Microk8s],
            Self::HashicorpCanonical => &[Consul, Vault, Nomad, Microk8s, Traefik, Grafana],
        }
    }

    /// Whether a node with `role` has a part in this stack.
    pub fn uses(self, role: Role) -> bool {
        role.software().is_none_or(|software| {
            self.order().contains(&software) || COMPANIONS.contains(&software)
        })
    }
}
