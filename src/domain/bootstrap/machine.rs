//! A host as it said itself that it is.

use std::net::IpAddr;

use super::answers::HostAnswer;
use crate::domain::facts::ClockFacts;
use crate::domain::live::{NodeFacts, NodeReport};
use crate::domain::platform::{Arch, Platform};

/// A host that was probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// What it was looked at as; see [`HostAnswer::key`].
    pub key: String,
    /// What was typed to reach it.
    pub address: String,
    /// What it calls itself.
    pub hostname: String,
    /// Its system, for people.
    pub os: String,
    /// The kind of machine, as far as its model tells.
    pub platform: Platform,
    /// Its architecture; `None` for one that nothing is built for here.
    pub arch: Option<Arch>,
    /// Machine hardware name as the kernel gives it.
    pub hardware: String,
    /// Processors.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory: u64,
    /// Free space on the root file system, bytes.
    pub disk_free: Option<u64>,
    /// Whether systemd is process 1.
    pub systemd: bool,
    /// Whether the kernel can limit the memory of groups of processes.
    pub memory_cgroup: Option<bool>,
    /// The first package manager it has.
    pub packages: Option<String>,
    /// `ID` and `VERSION_ID` of os-release(5), such as `debian 12`.
    pub release: String,
    /// Tells two machines apart.
    pub machine_id: Option<String>,
    /// How its clock is kept.
    pub clock: ClockFacts,
    /// Its addresses, with the length of their prefixes.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Machine {
    /// A host, by what its probe brought home.
    pub fn seen(host: &HostAnswer, report: &NodeReport) -> Self {
        let NodeReport { facts, sample, .. } = report;
        let more = &facts.more;
        let addresses = more.interfaces.iter().flat_map(|one| &one.addresses);
        let free = sample.disk_total.zip(sample.disk_used);
        Self {
            key: host.key(),
            address: host.address.clone(),
            hostname: facts.hostname.clone(),
            os: facts.os.clone(),
            platform: platform_of(facts),
            arch: arch_of(&facts.machine),
            hardware: facts.machine.clone(),
            cpus: facts.cpus,
            memory: sample.memory_total,
            disk_free: free.map(|(total, used)| total.saturating_sub(used)),
            systemd: facts.systemd,
            memory_cgroup: more.memory_cgroup,
            packages: more.package_manager.clone(),
            release: format!(
                "{} {}",
                more.os_id.as_deref().unwrap_or_default(),
                more.os_version.as_deref().unwrap_or_default()
            ),
            machine_id: more.machine_id.clone(),
            clock: more.clock.clone(),
            addresses: addresses.filter_map(|text| prefixed(text)).collect(),
        }
    }

    /// Its address within `network`.
    pub fn within(&self, network: (IpAddr, u8)) -> Option<IpAddr> {
        let (base, length) = network;
        let inside = |one: &&(IpAddr, u8)| masked(one.0, length) == masked(base, length);
        self.addresses.iter().find(inside).map(|(ip, _)| *ip)
    }

    /// Where it stands, for spreading: the network of its address.
    pub(super) fn place(&self) -> Option<IpAddr> {
        let ip: IpAddr = self
            .address
            .parse()
            .ok()
            .or_else(|| self.addresses.first().map(|(ip, _)| *ip))?;
        Some(masked(ip, if ip.is_ipv4() { 24 } else { 64 }))
    }
}

/// `10.0.0.5/24` as its parts.
pub(super) fn prefixed(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, length) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    (length <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, length))
}

/// The first `length` bits of an address, the others 0.
pub(super) fn masked(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// The networks that all of these machines are in, as `10.0.0.0/24`; those of IPv4 first.
pub fn networks(machines: &[Machine]) -> Vec<String> {
    let Some((first, rest)) = machines.split_first() else {
        return Vec::new();
    };
    let mut shared: Vec<(IpAddr, u8)> = first
        .addresses
        .iter()
        .filter(|(ip, _)| {
            !ip.is_loopback() && !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
        })
        .map(|(ip, length)| (masked(*ip, *length), *length))
        .filter(|network| rest.iter().all(|one| one.within(*network).is_some()))
        .collect();
    shared.sort_by_key(|(ip, _)| ip.is_ipv6());
    shared.dedup();
    shared
        .into_iter()
        .map(|(ip, length)| format!("{ip}/{length}"))
        .collect()
}

/// The architecture of a machine hardware name (uname(2)); `None` for those that nothing is built for here.
fn arch_of(hardware: &str) -> Option<Arch> {
    match hardware {
        "x86_64" => Some(Arch::Amd64),
        "aarch64" => Some(Arch::Arm64),
        _ => None,
    }
}

/// The kind of machine that a model and a system tell of; what they do not tell is `generic`, never guessed.
pub fn platform_of(facts: &NodeFacts) -> Platform {
    let model = facts.model.as_deref().unwrap_or_default().to_lowercase();
    let arch = arch_of(&facts.machine);
    if model.contains("raspberry pi 5") && arch == Some(Arch::Arm64) {
        if facts.more.os_id.as_deref() == Some("ubuntu") {
            Platform::Rpi5Ubuntu
        } else {
            Platform::Rpi5Raspbian
        }
    } else if model.contains("odroid-h4") && arch == Some(Arch::Amd64) {
        Platform::OdroidH4
    } else if model.contains("odroid-c5") && arch == Some(Arch::Arm64) {
        Platform::OdroidC5
    } else {
        Platform::Generic
    }
}

/// The version of Consul that the package managers of these machines hold, where all are of a release that is known to:
/// Debian 11 and 12 and Ubuntu 22.04 package 1.8.7 (<https://packages.debian.org/consul>).
pub fn suggested_consul(machines: &[Machine]) -> Option<&'static str> {
    let known = |one: &Machine| {
        matches!(
            one.release.as_str(),
            "debian 11" | "debian 12" | "ubuntu 22.04"
        )
    };
    (!machines.is_empty() && machines.iter().all(known)).then_some("1.8.7")
}
