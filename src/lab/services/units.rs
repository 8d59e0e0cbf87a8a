//! The systemd units behind the simulated services, named as the packages name them.

/// HashiCorp's package.
pub const CONSUL: &str = "consul.service";
/// HashiCorp's package.
pub const VAULT: &str = "vault.service";
/// HashiCorp's package.
pub const NOMAD: &str = "nomad.service";
/// A K3s server.
pub const K3S: &str = "k3s.service";
/// A K3s agent.
pub const K3S_AGENT: &str = "k3s-agent.service";
/// Traefik's own unit file.
pub const TRAEFIK: &str = "traefik.service";
/// Grafana's package.
pub const GRAFANA: &str = "grafana-server.service";
/// The compose project of Harbor's installer, wrapped in a unit.
pub const HARBOR: &str = "harbor.service";

/// The Ceph monitor of a host.
pub fn ceph_mon(host: &str) -> String {
    format!("ceph-mon@{host}.service")
}

/// The Ceph object storage daemon with that number.
pub fn ceph_osd(id: u32) -> String {
    format!("ceph-osd@{id}.service")
}
