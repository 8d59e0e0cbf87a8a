//! What a node is, from what the probe's script prints of it.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Section;
use super::words::{known, span_us, unquoted, whole};
use crate::domain::facts::{CloudInit, Interface, MoreFacts};
use crate::domain::hex;
use crate::domain::live::NodeFacts;

/// Interfaces and addresses of one of them that are kept.
const INTERFACES: usize = 64;
const ADDRESSES: usize = 16;
/// What can install packages, the first that is there counts.
const PACKAGE_MANAGERS: [&str; 7] = ["apt-get", "dnf", "yum", "zypper", "apk", "pacman", "opkg"];
const ELEVATORS: [&str; 3] = ["sudo", "doas", "su"];
/// Names of ARM's cores by implementer and part (`CPU part` of `/proc/cpuinfo`; Linux, `arch/arm64/include/asm/cputype.h`).
const ARM_CORES: [(&str, &str); 12] = [
    ("0xd03", "Cortex-A53"),
    ("0xd04", "Cortex-A35"),
    ("0xd05", "Cortex-A55"),
    ("0xd07", "Cortex-A57"),
    ("0xd08", "Cortex-A72"),
    ("0xd09", "Cortex-A73"),
    ("0xd0a", "Cortex-A75"),
    ("0xd0b", "Cortex-A76"),
    ("0xd0c", "Neoverse-N1"),
    ("0xd40", "Neoverse-V1"),
    ("0xd41", "Cortex-A78"),
    ("0xd49", "Neoverse-N2"),
];

/// Facts on their way.
#[derive(Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a line that was there or not; together they are no state"
)]
pub(super) struct FactsReader {
    facts: NodeFacts,
    os_name: Option<String>,
    board: Option<String>,
    vendor: Option<String>,
    product: Option<String>,
    arm: bool,
    hypervisor: bool,
    cloud_status: bool,
    cloud_result: Option<bool>,
    cloud_off: bool,
    reboot_told: bool,
    reboot_needed: bool,
    restarting: Option<u32>,
}

impl FactsReader {
    /// Takes in a line of one of the sections that tell facts.
    pub(super) fn line(&mut self, section: Section, line: &str, now: Timestamp) {
        match section {
            Section::Facts => {
                if let Some((key, value)) = line.split_once(':') {
                    self.fact(key, value, now);
                }
            }
            Section::Cpu => self.cpu(line),
            Section::Addresses => self.address(line),
            Section::Programs => self.program(line),
            Section::Clock => self.clock(line),
            _ => {}
        }
    }

    /// What has been told up to here.
    pub(super) fn facts(&self) -> NodeFacts {
        let mut facts = self.facts.clone();
        if facts.os.is_empty() {
            facts.os = self.os_name.clone().unwrap_or_default();
        }
        facts.model = self
            .board
            .clone()
            .or_else(|| match (&self.vendor, &self.product) {
                (Some(vendor), Some(product)) if !product.starts_with(vendor.as_str()) => {
                    Some(format!("{vendor} {product}"))
                }
                (_, product) => product.clone(),
            });
        let more = &mut facts.more;
        if self.hypervisor && more.virtualisation.is_none() {
            more.virtualisation = Some("a virtual machine".into());
        }
        more.cloud_init = match (self.cloud_off, self.cloud_status, self.cloud_result) {
            (true, ..) => Some(CloudInit::Disabled),
            (_, _, Some(true)) => Some(CloudInit::Error),
            (_, _, Some(false)) => Some(CloudInit::Done),
            (_, true, None) => Some(CloudInit::Running),
            (_, false, None) => None,
        };
        more.reboot_needed = match (self.reboot_needed, self.restarting) {
            (true, _) | (_, Some(1)) => Some(true),
            (false, Some(0)) => Some(false),
            // Somebody tells when one is needed, and has not.
            _ => self.reboot_told.then_some(false),
        };
        facts
    }

    fn fact(&mut self, key: &str, value: &str, now: Timestamp) {
        let facts = &mut self.facts;
        match key {
            "uname" => {
                let words: Vec<&str> = value.split_ascii_whitespace().collect();
                if let [_, release, .., machine] = words.as_slice() {
                    facts.kernel = known(release).unwrap_or_default();
                    facts.machine = known(machine).unwrap_or_default();
                }
            }
            "hostname" => facts.hostname = known(value).unwrap_or_default(),
            "cpus" => facts.cpus = value.trim().parse().unwrap_or(0),
            "model" => self.board = known(value),
            "time" => {
                let there: Option<i64> = value.trim().parse().ok();
                facts.more.clock.ahead_s =
                    there.and_then(|there| there.checked_sub(now.as_second()));
            }
            "init" => facts.systemd = value == "systemd",
            "virtualisation" => {
                // The first that says something: a container within a machine is a container.
                let word = known(value).filter(|word| word != "none");
                let none = facts
                    .more
                    .virtualisation
                    .as_deref()
                    .is_none_or(|had| had == "none");
                match word {
                    Some(word) if none => facts.more.virtualisation = Some(word),
                    None if none && value.trim() == "none" => {
                        facts.more.virtualisation = Some("none".into());
                    }
                    _ => {}
                }
            }
            "hypervisor" => self.hypervisor = true,
            "cloud-init" => self.cloud_off = true,
            "reboot" => self.reboot_needed = true,
            "reboot-told" => self.reboot_told = true,
            "needs-restarting" => self.restarting = value.trim().parse().ok(),
            "/etc/os-release" => self.os_release(value),
            "/etc/machine-id" => {
                let id = value.trim();
                if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    facts.more.machine_id = Some(hex(&Sha256::digest(id))[..16].to_owned());
                }
            }
            "/proc/sys/kernel/random/boot_id" => {
                facts.boot_id = known(value).unwrap_or_default();
            }
            "/sys/class/dmi/id/sys_vendor" => self.vendor = known(value),
            "/sys/class/dmi/id/product_name" => self.product = known(value),
            "/sys/fs/cgroup/cgroup.controllers" => {
                let has = value.split_ascii_whitespace().any(|word| word == "memory");
                has.then(|| facts.more.memory_cgroup = Some(true));
                facts.more.memory_cgroup.get_or_insert(false);
            }
            "/proc/cgroups" => {
                let words: Vec<&str> = value.split_ascii_whitespace().collect();
                if let ["memory", _, _, enabled] = words.as_slice() {
                    let had = facts.more.memory_cgroup == Some(true);
                    facts.more.memory_cgroup = Some(had || *enabled == "1");
                }
            }
            "/run/cloud-init/status.json" => self.cloud_status = true,
            "/run/cloud-init/result.json" => {
                let errors = value.contains("\"errors\"") && !value.replace(' ', "").contains("[]");
                self.cloud_result = Some(self.cloud_result == Some(true) || errors);
            }
            _ => {}
        }
    }

    fn os_release(&mut self, line: &str) {
        let Some((key, value)) = line.split_once('=') else {
            return;
        };
        match key {
            "PRETTY_NAME" => self.facts.os = unquoted(value).unwrap_or_default(),
            "NAME" => self.os_name = unquoted(value),
            "ID" => self.facts.more.os_id = unquoted(value),
            "VERSION_ID" => self.facts.more.os_version = unquoted(value),
            _ => {}
        }
    }

    /// A line of `/proc/cpuinfo`; each kind of line comes once for each kind of core.
    fn cpu(&mut self, line: &str) {
        let Some((key, value)) = line.split_once(':') else {
            return;
        };
        let name = match key.trim() {
            "model name" => known(value),
            "CPU implementer" => {
                self.arm = value.trim() == "0x41";
                None
            }
            "CPU part" if self.arm => ARM_CORES
                .iter()
                .find(|(part, _)| *part == value.trim())
                .map(|(_, name)| format!("ARM {name}")),
            _ => None,
        };
        let Some(name) = name else { return };
        match &mut self.facts.more.cpu_model {
            // Boards with big and little cores.
            Some(model) if !model.contains(&name) && model.len() < 120 => {
                model.push_str(" + ");
                model.push_str(&name);
            }
            Some(_) => {}
            none => *none = Some(name),
        }
    }

    /// A line of `ip -o addr show`: `2: eth0    inet 10.0.0.5/24 …`.
    fn address(&mut self, line: &str) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, name, "inet" | "inet6", address, ..] = words.as_slice() else {
            return;
        };
        let name = name.split('@').next().unwrap_or(name);
        let (Some(name), Some(address)) = (known(name), known(address)) else {
            return;
        };
        if name == "lo" {
            return;
        }
        let interfaces = &mut self.facts.more.interfaces;
        let place = interfaces.iter().position(|known| known.name == name);
        let place = match place {
            Some(place) => place,
            None if interfaces.len() < INTERFACES => {
                interfaces.push(Interface {
                    name,
                    addresses: Vec::new(),
                });
                interfaces.len() - 1
            }
            None => return,
        };
        let addresses = &mut interfaces[place].addresses;
        if addresses.len() < ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }

    /// A line of `command -v`: a path, or the name of what is built into the shell.
    fn program(&mut self, line: &str) {
        let name = line.trim().rsplit('/').next().unwrap_or_default();
        let more: &mut MoreFacts = &mut self.facts.more;
        if PACKAGE_MANAGERS.contains(&name) {
            more.package_manager.get_or_insert_with(|| name.to_owned());
        } else if ELEVATORS.contains(&name) {
            add(&mut more.elevates, name);
        } else if ["docker", "podman", "snap", "setsid", "curl"].contains(&name) {
            add(&mut more.programs, name);
        }
    }

    /// A line of `timedatectl` or `chronyc -c tracking`.
    fn clock(&mut self, line: &str) {
        let clock = &mut self.facts.more.clock;
        if let Some(fields) = line.strip_prefix("chrony:") {
            let fields: Vec<&str> = fields.trim().split(',').collect();
            if let (Some(offset), Some(leap)) = (fields.get(4), fields.get(13)) {
                clock.by = Some("chrony".into());
                clock.synchronised = Some(*leap != "Not synchronised");
                clock.offset_us = offset.parse().ok().and_then(|s: f64| whole(s * 1e6));
            }
            return;
        }
        let yes = |value: &str| match value.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        };
        if let Some(value) = line.strip_prefix("NTPSynchronized=") {
            clock.synchronised = yes(value);
        } else if line.starts_with("timesyncd:") {
            clock.synchronised.get_or_insert(true);
        } else if let Some((key, value)) = line.split_once(':') {
            match key.trim() {
                "System clock synchronized" | "NTP synchronized" => clock.synchronised = yes(value),
                "Server" => clock.by = Some("systemd-timesyncd".into()),
                "Offset" => clock.offset_us = span_us(value),
                _ => {}
            }
        }
    }
}

fn add(list: &mut Vec<String>, name: &str) {
    if !list.iter().any(|known| known == name) {
        list.push(name.to_owned());
    }
}
