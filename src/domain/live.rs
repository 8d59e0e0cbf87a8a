//! What is known of nodes and services right now, and how old that knowledge is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::{Disk, MoreFacts, Throttled};
use super::finding::Finding;
use super::mark::Marks;
use super::run::RunId;
use super::words;

/// The last thing seen of something, and the trouble with seeing it again.
///
/// A dead source keeps its last value: the reader is told how old it is and why there is nothing newer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed<T> {
    /// The last value; `None` before the first success.
    pub value: Option<T>,
    /// When `value` was seen.
    pub as_of: Option<Timestamp>,
    /// Why the newest attempt failed; `None` when it succeeded or there was none yet.
    pub trouble: Option<Trouble>,
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self {
            value: None,
            as_of: None,
            trouble: None,
        }
    }
}

impl<T> Observed<T> {
    /// Takes in a success at `at`.
    pub fn succeed(&mut self, value: T, at: Timestamp) {
        self.value = Some(value);
        self.as_of = Some(at);
        self.trouble = None;
    }

    /// Takes in a failure at `at`; `since` stays at the first failure of the series.
    pub fn fail(&mut self, reason: impl Into<String>, at: Timestamp) {
        let (since, attempts) = self
            .trouble
            .as_ref()
            .map_or((at, 0), |trouble| (trouble.since, trouble.attempts));
        self.trouble = Some(Trouble {
            since,
            attempts: attempts + 1,
            reason: reason.into(),
        });
    }

    /// The value, when the newest attempt succeeded.
    pub fn fresh(&self) -> Option<&T> {
        if self.trouble.is_some() {
            None
        } else {
            self.value.as_ref()
        }
    }
}

/// A series of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// When the series began.
    pub since: Timestamp,
    /// How many attempts have failed in a row.
    pub attempts: u32,
    /// Why the newest one failed: where, what, and what to do.
    pub reason: String,
}

words! {
    /// How something is, worst last.
    pub enum Health {
        /// As it should be.
        Ok = "ok",
        /// Working, but not as it should.
        Warn = "warn",
        /// Not working.
        Down = "down",
        /// Nothing known yet.
        Unknown = "unknown",
    }
}

/// What a node is, as read from the node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Its own host name.
    pub hostname: String,
    /// `PRETTY_NAME` of os-release.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine hardware name as the kernel gives it, such as `aarch64`.
    pub machine: String,
    /// Board model from the device tree or DMI, when there is one.
    pub model: Option<String>,
    /// Number of processors online.
    pub cpus: u32,
    /// Random id the kernel draws at each boot.
    pub boot_id: String,
    /// Whether systemd is process 1.
    pub systemd: bool,
    /// What else is known of it.
    #[serde(flatten)]
    pub more: MoreFacts,
}

/// How a node fares.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeSample {
    /// Seconds since boot.
    pub uptime: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [f32; 3],
    /// Physical memory, bytes.
    pub memory_total: u64,
    /// Memory that could be given to programs without swapping, bytes.
    pub memory_available: u64,
    /// Size of the root file system, bytes; `None` when it cannot be read.
    pub disk_total: Option<u64>,
    /// Used part of the root file system, bytes.
    pub disk_used: Option<u64>,
    /// Hottest thermal zone or sensor, degrees Celsius.
    pub temperature: Option<f32>,
    /// Names of failed systemd units.
    pub failed_units: Vec<String>,
    /// Share of all processors that was not idle since the sample before, percent, 0.0..=100.0.
    #[serde(default)]
    pub cpu_percent: Option<f32>,
    /// Size of swap space, bytes; 0 when there is none, `None` when it cannot be read.
    #[serde(default)]
    pub swap_total: Option<u64>,
    /// Used part of swap space, bytes.
    #[serde(default)]
    pub swap_used: Option<u64>,
    /// Local file systems, one for each device, the root file system first.
    #[serde(default)]
    pub disks: Vec<Disk>,
    /// What came in over all real interfaces since the sample before, bytes per second.
    #[serde(default)]
    pub received: Option<u64>,
    /// What went out over all real interfaces since the sample before, bytes per second.
    #[serde(default)]
    pub sent: Option<u64>,
    /// What holds a Raspberry Pi back; `None` where the firmware does not tell.
    #[serde(default)]
    pub throttled: Option<Throttled>,
    /// Processor time that looking at the node costs the node itself, percent of one processor; `None` until it is
    /// measured.
    #[serde(default)]
    pub probe_percent: Option<f32>,
}

impl NodeSample {
    /// The load averages, where the node tells them.
    pub fn load_known(&self) -> Option<[f32; 3]> {
        // A node that tells them was also up for some time, or has a load.
        (self.uptime > 0 || self.load.iter().any(|load| *load > 0.0)).then_some(self.load)
    }

    /// Percentage of memory in use, 0.0..=100.0.
    pub fn memory_used_percent(&self) -> Option<f32> {
        percent(
            self.memory_total.checked_sub(self.memory_available)?,
            self.memory_total,
        )
    }

    /// Percentage of swap space in use, 0.0..=100.0; `None` where there is none.
    pub fn swap_used_percent(&self) -> Option<f32> {
        percent(self.swap_used?, self.swap_total?)
    }

    /// Percentage of the root file system in use, 0.0..=100.0.
    pub fn disk_used_percent(&self) -> Option<f32> {
        percent(self.disk_used?, self.disk_total?)
    }
}

pub(super) fn percent(part: u64, whole: u64) -> Option<f32> {
    (whole > 0).then(|| (part as f32 / whole as f32 * 100.0).clamp(0.0, 100.0))
}

/// Everything one probe of a node brings home.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeReport {
    /// What it is.
    pub facts: NodeFacts,
    /// How it fares.
    pub sample: NodeSample,
    /// Milliseconds from request to answer.
    pub latency_ms: u32,
}

/// Everything one poll of a service brings home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// How it is, as it says itself.
    pub health: Health,
    /// Its version, when it tells.
    pub version: Option<String>,
    /// Its leader or active node, in its own words.
    pub leader: Option<String>,
    /// Members seen and members that are well, when it has members.
    pub members: Option<Members>,
    /// One line: what an operator wants to know first.
    pub summary: String,
    /// What is wrong, one sentence each, worst first.
    pub problems: Vec<Problem>,
    /// Milliseconds from request to answer.
    pub latency_ms: u32,
}

/// Members of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// How many are well.
    pub well: u32,
    /// How many there are.
    pub total: u32,
}

/// Something a service says is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Stable within the service, such as `sealed` or `member:pc2`; a finding is tracked by it.
    pub key: String,
    /// How bad it is.
    pub health: Health,
    /// One sentence.
    pub text: String,
}

/// The live view of one environment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EnvironmentLive {
    /// By node name.
    pub nodes: BTreeMap<String, Observed<NodeReport>>,
    /// By service name.
    pub services: BTreeMap<String, Observed<ServiceReport>>,
    /// Ranked, worst first.
    pub findings: Vec<Finding>,
    /// The run that is changing it; no other may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// What operators have put on nodes, by node name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, Marks>,
}

/// Who may change an environment just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The run.
    pub run: RunId,
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// `user@host` of who started it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}
