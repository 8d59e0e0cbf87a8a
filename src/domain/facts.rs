//! The finer facts of a node: what it runs on, what it has, what it can do. Each may be unknown; none is guessed.

use serde::{Deserialize, Serialize};

use super::live::{NodeFacts, percent};
use super::words;

/// Facts beyond the first handful ([`super::live::NodeFacts`]).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MoreFacts {
    /// `ID` of os-release(5), such as `ubuntu` or `alpine`.
    pub os_id: Option<String>,
    /// `VERSION_ID` of os-release(5).
    pub os_version: Option<String>,
    /// The processor's name.
    pub cpu_model: Option<String>,
    /// The first 16 digits of the SHA-256 of `/etc/machine-id`: enough to tell two nodes apart, and not the id itself,
    /// which machine-id(5) asks to keep confidential.
    pub machine_id: Option<String>,
    /// What it runs in, in the words of `systemd-detect-virt`, such as `kvm`, `lxc` or `none`.
    pub virtualisation: Option<String>,
    /// How its clock is kept.
    pub clock: ClockFacts,
    /// The first package manager that it has.
    pub package_manager: Option<String>,
    /// How a login may become root: those of `sudo`, `doas` and `su` that are installed.
    pub elevates: Vec<String>,
    /// Other programs that recipes ask for and that it has, such as `docker` or `snap`.
    pub programs: Vec<String>,
    /// Network interfaces that have addresses, without the loopback.
    pub interfaces: Vec<Interface>,
    /// Whether it waits for a reboot to use what was installed.
    pub reboot_needed: Option<bool>,
    /// How far cloud-init is; `None` on a node that was not set up by it.
    pub cloud_init: Option<CloudInit>,
    /// Whether the kernel can limit the memory of groups of processes; containers and Kubernetes need it, and Raspberry
    /// Pi firmware switches it off.
    pub memory_cgroup: Option<bool>,
    /// Why less is known of this node than of others; empty for most.
    pub lacks: Vec<String>,
}

impl NodeFacts {
    /// Each fact that is known, as a word and what is to be said of it; what an operator asks for first comes first.
    pub fn in_words(&self) -> Vec<(&'static str, String)> {
        let more = &self.more;
        let mut words = Vec::new();
        let mut say = |name, value: Option<String>| {
            words.extend(
                value
                    .filter(|value| !value.is_empty())
                    .map(|value| (name, value)),
            );
        };
        say("hostname", Some(self.hostname.clone()));
        say("system", Some(self.os.clone()));
        say("kernel", Some(format!("{} {}", self.kernel, self.machine)));
        say("model", self.model.clone());
        let cpu = match (&more.cpu_model, self.cpus) {
            (model, 0) => model.clone(),
            (Some(model), count) => Some(format!("{count} × {model}")),
            (None, count) => Some(count.to_string()),
        };
        say("cpus", cpu);
        say(
            "runs in",
            more.virtualisation.clone().filter(|word| word != "none"),
        );
        say("clock", more.clock.in_words());
        say(
            "reboot",
            more.reboot_needed
                .map(|needed| if needed { "needed" } else { "not needed" }.to_owned()),
        );
        say("cloud-init", more.cloud_init.map(|state| state.to_string()));
        let interfaces = more
            .interfaces
            .iter()
            .map(|interface| format!("{} {}", interface.name, interface.addresses.join(" ")));
        say("network", Some(interfaces.collect::<Vec<_>>().join(", ")));
        say("packages", more.package_manager.clone());
        say("root by", Some(more.elevates.join(" ")));
        let init = if self.systemd {
            "systemd"
        } else {
            "not systemd"
        };
        say("init", Some(init.into()));
        say("has", Some(more.programs.join(" ")));
        if more.memory_cgroup == Some(false) {
            say("cgroups", Some("no memory controller".into()));
        }
        say("machine", more.machine_id.clone());
        say("unknown", Some(more.lacks.join(", ")));
        words
    }
}

impl ClockFacts {
    fn in_words(&self) -> Option<String> {
        let mut words = if self.synchronised? {
            "synchronised".to_owned()
        } else {
            "NOT synchronised".to_owned()
        };
        if let Some(by) = &self.by {
            words.push_str(" by ");
            words.push_str(by);
        }
        if let Some(offset) = self.offset_us {
            let milliseconds = offset as f64 / 1000.0;
            words = format!("{words}, {milliseconds:.1} ms off");
        }
        Some(words)
    }
}

/// How a node's clock is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockFacts {
    /// Whether the node says that its clock follows another one.
    pub synchronised: Option<bool>,
    /// What keeps it, such as `chrony` or `systemd-timesyncd`.
    pub by: Option<String>,
    /// How far its keeper says it is off, microseconds.
    pub offset_us: Option<i64>,
    /// How far it is ahead of the clock of whoever asked, whole seconds.
    pub ahead_s: Option<i64>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its addresses with the length of their prefix, as in `10.0.0.5/24`.
    pub addresses: Vec<String>,
}

/// A local file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// What is mounted.
    pub device: String,
    /// Size, bytes.
    pub total: u64,
    /// Used part, bytes.
    pub used: u64,
}

impl Disk {
    /// Percentage in use, 0.0..=100.0.
    pub fn used_percent(&self) -> Option<f32> {
        percent(self.used, self.total)
    }
}

words! {
    /// How far cloud-init is.
    pub enum CloudInit {
        /// Not done yet: what it sets up is not to be relied on.
        Running = "running",
        /// Done.
        Done = "done",
        /// Done, with errors.
        Error = "error",
        /// Switched off.
        Disabled = "disabled",
    }
}

/// The bits of `get_throttled` of the Raspberry Pi firmware
/// (<https://www.raspberrypi.com/documentation/computers/os.html#get_throttled>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Throttled(pub u32);

impl Throttled {
    const NOW: [(u32, &'static str); 4] = [
        (1, "under-voltage"),
        (1 << 1, "frequency capped"),
        (1 << 2, "throttled"),
        (1 << 3, "soft temperature limit"),
    ];

    /// What holds it back right now.
    pub fn now(self) -> Vec<&'static str> {
        self.words(0)
    }

    /// What has held it back since it was started.
    pub fn ever(self) -> Vec<&'static str> {
        self.words(16)
    }

    fn words(self, shift: u32) -> Vec<&'static str> {
        Self::NOW
            .iter()
            .filter(|(bit, _)| self.0 >> shift & bit != 0)
            .map(|(_, word)| *word)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_firmware_tells_what_holds_a_board_back_now_and_what_did() {
        let throttled = Throttled(0x0005_0005);
        assert_eq!(throttled.now(), ["under-voltage", "throttled"]);
        assert_eq!(throttled.ever(), ["under-voltage", "throttled"]);
        let before = Throttled(0x0005_0000);
        assert_eq!(before.now(), [""; 0]);
        assert_eq!(before.ever(), ["under-voltage", "throttled"]);
    }
}
