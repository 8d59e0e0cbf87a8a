//! What the kernel is told and what the node mounts: settings that hold now and after a boot.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Presence, yes};

/// See [`Resource::Sysctl`](super::Resource::Sysctl).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SysctlSpec {
    /// The parameter, such as `net.ipv4.ip_forward`.
    pub key: String,
    /// Its value, such as `1`; several words as sysctl(8) shows them.
    pub value: String,
    /// The file that keeps it over a boot: sysctl.d(5).
    #[serde(default = "sysctl_file")]
    pub file: String,
}

/// See [`Resource::KernelModule`](super::Resource::KernelModule).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelModuleSpec {
    /// The module, such as `br_netfilter`.
    pub name: String,
    /// Its parameters, such as `max_loop=64`: modprobe.d(5). They count when it is loaded the next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<String>,
}

/// See [`Resource::Swap`](super::Resource::Swap).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapSpec {
    /// Absolute path of the swap file.
    #[serde(default = "swap_file")]
    pub path: String,
    /// Its size, such as `512M` or `2G` (1024-based). Needed unless it shall be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Whether it shall be there.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
}

impl SwapSpec {
    /// The size in bytes.
    ///
    /// # Errors
    /// A sentence that shows how a size is written.
    pub fn bytes(&self) -> Result<u64, String> {
        let text = self.size.as_deref().unwrap_or_default();
        let (number, unit) = text.split_at(text.trim_end_matches(['M', 'G']).len());
        let shift = if unit == "G" { 30 } else { 20 };
        number
            .parse::<u64>()
            .ok()
            .filter(|size| matches!(unit, "M" | "G") && (1..1 << 20).contains(size))
            .map(|size| size << shift)
            .ok_or_else(|| format!("{text:?} is no size of a swap file: write it as 512M or 2G"))
    }
}

/// See [`Resource::Mount`](super::Resource::Mount).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountSpec {
    /// Absolute path of the directory it is mounted on; made when it is missing.
    pub path: String,
    /// What is mounted: a device, `UUID=…`, `host:/export`, a directory (with the option `bind`), or `tmpfs`.
    pub source: String,
    /// The kind of file system, such as `ext4`, `nfs`, `tmpfs`; `none` for a bind mount.
    pub fstype: String,
    /// Options, separated by commas: fstab(5).
    #[serde(default = "mount_options")]
    pub options: String,
    /// Whether it shall be mounted, now and after a boot.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
}

/// See [`Resource::Container`](super::Resource::Container).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    /// What it is called.
    pub name: String,
    /// The image with its tag or digest, such as `registry.example/app:1.4`.
    #[serde(default)]
    pub image: String,
    /// Which program runs it: `docker`, `podman`, or whichever of them the node has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<ContainerEngine>,
    /// Published ports, such as `127.0.0.1:8080:80/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Volumes, such as `/srv/app:/data:ro`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Environment variables. They reach the container by a file that only root reads, never as arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The network it joins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// When it is started again.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// What it runs, when that is not the image's own command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Whether it shall be there and run.
    #[serde(default, skip_serializing_if = "Presence::is_present")]
    pub state: Presence,
}

super::words! {
    /// A program that runs containers.
    pub enum ContainerEngine {
        /// Docker.
        Docker = "docker",
        /// Podman.
        Podman = "podman",
    }
}

super::words! {
    /// When a container is started again.
    #[derive(Default)]
    pub enum RestartPolicy {
        /// Never.
        No = "no",
        /// When it ended with an error.
        OnFailure = "on-failure",
        /// Unless somebody stopped it.
        #[default]
        UnlessStopped = "unless-stopped",
        /// Whatever happened.
        Always = "always",
    }
}

/// See [`Resource::Firewall`](super::Resource::Firewall).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallSpec {
    /// Rules that shall be there, as ufw(8) takes them, such as `allow 443/tcp` or
    /// `allow from 10.0.0.0/8 to any port 5432 proto tcp`.
    #[serde(default)]
    pub rules: Vec<String>,
    /// What happens to traffic that no rule is for, on its way in.
    #[serde(default = "deny")]
    pub incoming: FirewallPolicy,
    /// What happens to traffic that no rule is for, on its way out.
    #[serde(default = "allow")]
    pub outgoing: FirewallPolicy,
    /// Whether the firewall is on, now and after a boot.
    #[serde(default = "yes")]
    pub enabled: bool,
}

super::words! {
    /// What happens to traffic.
    pub enum FirewallPolicy {
        /// It passes.
        Allow = "allow",
        /// It is dropped.
        Deny = "deny",
        /// It is refused.
        Reject = "reject",
    }
}

/// See [`Resource::Reboot`](super::Resource::Reboot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebootSpec {
    /// Whether only where the node asks for it.
    #[serde(default, rename = "when")]
    pub cause: RebootCause,
    /// How long the node may take until it answers again, such as `10m`. The step's `timeout` must be longer.
    #[serde(default = "reboot_deadline")]
    pub deadline: String,
}

super::words! {
    /// When a node is rebooted.
    #[derive(Default)]
    pub enum RebootCause {
        /// When it asks for it, as after an update of the kernel.
        #[default]
        Needed = "needed",
        /// Whenever the resource is applied; as a handler, where something changed.
        Always = "always",
    }
}

fn sysctl_file() -> String {
    "/etc/sysctl.d/90-quarterdeck.conf".into()
}
fn swap_file() -> String {
    "/swapfile".into()
}
fn mount_options() -> String {
    "defaults".into()
}
const fn deny() -> FirewallPolicy {
    FirewallPolicy::Deny
}
const fn allow() -> FirewallPolicy {
    FirewallPolicy::Allow
}
fn reboot_deadline() -> String {
    "4m".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_is_neither_nothing_nor_more_than_any_disk() {
        let size = |text: &str| {
            let spec = SwapSpec {
                path: swap_file(),
                size: Some(text.into()),
                state: Presence::Present,
            };
            spec.bytes()
        };
        assert_eq!(size("512M"), Ok(512 << 20));
        assert_eq!(size("2G"), Ok(2 << 30));
        for bad in ["2", "0G", "-1G", "", "9999999999G", "2T", "GG"] {
            assert!(size(bad).unwrap_err().contains("512M or 2G"), "{bad}");
        }
    }
}
