//! Platforms, processor architectures, and which software can run where.

use super::words;

words! {
    /// A processor architecture, in Debian's spelling.
    pub enum Arch {
        /// 64-bit x86.
        Amd64 = "amd64",
        /// 64-bit Arm.
        Arm64 = "arm64",
    }
}

words! {
    /// A kind of machine that Quarterdeck knows the limits of.
    pub enum Platform {
        /// Odroid H4: x86-64 single-board computer.
        OdroidH4 = "odroid-h4",
        /// Raspberry Pi 5 with Ubuntu.
        Rpi5Ubuntu = "rpi5-ubuntu",
        /// Raspberry Pi 5 with Raspberry Pi OS.
        Rpi5Raspbian = "rpi5-raspbian",
        /// Odroid C5: arm64 single-board computer.
        OdroidC5 = "odroid-c5",
        /// A virtual machine on Proxmox VE.
        ProxmoxVm = "proxmox-vm",
        /// Any other Linux machine.
        Generic = "generic",
    }
}

words! {
    /// Software whose place is limited by platform.
    pub enum Software {
        /// LXD system containers.
        Lxd = "lxd",
        /// HashiCorp Nomad.
        Nomad = "nomad",
        /// HashiCorp Consul.
        Consul = "consul",
        /// HashiCorp Vault or OpenBao.
        Vault = "vault",
        /// Ceph storage.
        Ceph = "ceph",
        /// Harbor registry.
        Harbor = "harbor",
        /// Traefik proxy.
        Traefik = "traefik",
        /// Grafana.
        Grafana = "grafana",
        /// Prometheus.
        Prometheus = "prometheus",
        /// etcd.
        Etcd = "etcd",
        /// EdgeX Foundry.
        Edgex = "edgex",
        /// K3s.
        K3s = "k3s",
        /// Kubernetes set up by kubeadm.
        Kubeadm = "kubeadm",
        /// MicroK8s (a snap).
        Microk8s = "microk8s",
        /// Proxmox VE.
        Proxmox = "proxmox",
        /// KVM/QEMU virtual machines.
        Kvm = "kvm",
        /// Docker Swarm.
        Swarm = "swarm",
    }
}

impl Software {
    /// The name as its makers write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Lxd => "LXD",
            Self::Nomad => "Nomad",
            Self::Consul => "Consul",
            Self::Vault => "Vault",
            Self::Ceph => "Ceph",
            Self::Harbor => "Harbor",
            Self::Traefik => "Traefik",
            Self::Grafana => "Grafana",
            Self::Prometheus => "Prometheus",
            Self::Etcd => "etcd",
            Self::Edgex => "EdgeX Foundry",
            Self::K3s => "K3s",
            Self::Kubeadm => "Kubernetes",
            Self::Microk8s => "MicroK8s",
            Self::Proxmox => "Proxmox VE",
            Self::Kvm => "KVM",
            Self::Swarm => "Docker Swarm",
        }
    }
}

impl Platform {
    /// The only architecture this platform exists in, if there is only one.
    pub const fn fixed_arch(self) -> Option<Arch> {
        match self {
            Self::OdroidH4 | Self::ProxmoxVm => Some(Arch::Amd64),
            Self::Rpi5Ubuntu | Self::Rpi5Raspbian | Self::OdroidC5 => Some(Arch::Arm64),
            Self::Generic => None,
        }
    }

    /// Whether `software` can run on this platform with this architecture.
    ///
    /// # Errors
    /// The reason, as a clause that can follow "because": which limit stands in the way.
    pub const fn supports(self, arch: Arch, software: Software) -> Result<(), &'static str> {
        match (software, self) {
            (Software::Proxmox | Software::Kvm, _) if matches!(arch, Arch::Arm64) => {
                Err("it exists for x86-64 only")
            }
            (Software::Proxmox, Self::ProxmoxVm) => Err("a guest of Proxmox VE cannot be its host"),
            (Software::Microk8s, Self::Rpi5Ubuntu) => {
                Err("snap support on this platform is too limited for MicroK8s")
            }
            (Software::Microk8s, Self::Rpi5Raspbian) => Err("Raspberry Pi OS has no usable snap"),
            (Software::Microk8s, Self::OdroidC5) => {
                Err("snap limits on the Odroid C5 rule out MicroK8s")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxmox_is_refused_on_every_arm_board_with_the_reason() {
        for platform in [
            Platform::Rpi5Ubuntu,
            Platform::Rpi5Raspbian,
            Platform::OdroidC5,
        ] {
            let reason = platform
                .supports(Arch::Arm64, Software::Proxmox)
                .unwrap_err();
            assert!(reason.contains("x86-64"), "{platform}: {reason}");
        }
    }

    #[test]
    fn microk8s_runs_on_x86_boards_only() {
        let runs_on: Vec<_> = Platform::ALL
            .iter()
            .filter(|platform| {
                let arch = platform.fixed_arch().unwrap_or(Arch::Amd64);
                platform.supports(arch, Software::Microk8s).is_ok()
            })
            .collect();
        assert_eq!(
            runs_on,
            [
                &Platform::OdroidH4,
                &Platform::ProxmoxVm,
                &Platform::Generic
            ]
        );
    }

    #[test]
    fn words_round_trip_and_unknown_ones_name_the_alternatives() {
        for platform in Platform::ALL {
            assert_eq!(platform.word().parse::<Platform>().unwrap(), *platform);
        }
        let error = "rpi6".parse::<Platform>().unwrap_err();
        assert!(error.to_string().contains("odroid-h4"));
    }
}
