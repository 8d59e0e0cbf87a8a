//! How a node fares, from what the probe's script prints of it at every interval.

use super::Section;
use super::words::{known, shell_seconds};
use crate::domain::facts::{Disk, Throttled};
use crate::domain::live::NodeSample;

/// Temperatures outside of this are a sensor's way of saying that it has none, degrees Celsius.
const PLAUSIBLE: std::ops::RangeInclusive<f32> = -40.0..=150.0;
/// File systems and failed units that are kept.
const DISKS: usize = 64;
const UNITS: usize = 128;
/// Beginnings of names of interfaces that only pass on what others receive and send.
const VIRTUAL: [&str; 14] = [
    "lo", "veth", "docker", "br-", "virbr", "lxcbr", "lxdbr", "cni", "flannel", "cali", "vxlan",
    "tap", "bond", "ifb",
];

/// Counters that only mean something as a difference.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    /// Seconds since boot, by the node's own clock.
    at: Option<f64>,
    /// Ticks of all processors: all, and those that did nothing.
    cpu: Option<(u64, u64)>,
    /// Bytes received and sent.
    net: Option<(u64, u64)>,
}

/// A sample on its way, and what is kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct SampleReader {
    sample: NodeSample,
    now: Counters,
    before: Counters,
    /// Seconds of processor time, as far as this sample's `times` has been read: the shell's, its children's.
    cost: Vec<f64>,
    /// Seconds that the script had taken in all, and when that was.
    cost_before: Option<(f64, f64)>,
    seen: Seen,
}

/// What the node was able to tell at all.
#[derive(Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a kind of line that was there or not; together they are no state"
)]
struct Seen {
    any: bool,
    cpu: bool,
    memory: bool,
    net: bool,
}

impl SampleReader {
    /// A new sample begins; what is told more rarely stays.
    pub(super) fn begin(&mut self) {
        let kept = std::mem::take(&mut self.sample);
        self.sample = NodeSample {
            disks: kept.disks,
            disk_total: kept.disk_total,
            disk_used: kept.disk_used,
            failed_units: kept.failed_units,
            throttled: kept.throttled,
            probe_percent: kept.probe_percent,
            ..NodeSample::default()
        };
        self.before = std::mem::take(&mut self.now);
    }

    pub(super) fn forget_disks(&mut self) {
        self.sample.disks.clear();
    }

    pub(super) fn forget_units(&mut self) {
        self.sample.failed_units.clear();
    }

    /// The sample is complete.
    pub(super) fn end(&mut self) -> NodeSample {
        let (now, before) = (self.now, self.before);
        let elapsed = now
            .at
            .zip(before.at)
            .map(|(now, before)| now - before)
            .filter(|elapsed| *elapsed > 0.0);
        if let (Some((all, idle)), Some((all_before, idle_before))) = (now.cpu, before.cpu)
            && let (Some(all), Some(idle)) =
                (all.checked_sub(all_before), idle.checked_sub(idle_before))
            && all > 0
        {
            let busy = all.saturating_sub(idle) as f32 / all as f32 * 100.0;
            self.sample.cpu_percent = Some(busy.clamp(0.0, 100.0));
        }
        if let (Some((received, sent)), Some((received_before, sent_before)), Some(elapsed)) =
            (now.net, before.net, elapsed)
        {
            self.sample.received = rate(received, received_before, elapsed);
            self.sample.sent = rate(sent, sent_before, elapsed);
        }
        self.reckon();
        self.seen.any = true;
        self.seen.cpu |= now.cpu.is_some();
        self.seen.net |= now.net.is_some();
        self.seen.memory |= self.sample.memory_total > 0;
        if let Some(root) = self.sample.disks.iter().find(|disk| disk.mount == "/") {
            self.sample.disk_total = Some(root.total);
            self.sample.disk_used = Some(root.used);
        }
        self.sample.clone()
    }

    /// Says what this node does not tell.
    pub(super) fn lacks(&self, lacks: &mut Vec<String>) {
        if !self.seen.any {
            return;
        }
        for (seen, what) in [
            (self.seen.cpu, "processor use (no /proc/stat)"),
            (self.seen.memory, "memory (no /proc/meminfo)"),
            (self.seen.net, "network rates (no /proc/net/dev)"),
        ] {
            if !seen {
                lacks.push(what.to_owned());
            }
        }
    }

    /// Takes in a line of one of the sections that tell how the node fares.
    pub(super) fn line(&mut self, section: Section, line: &str) {
        match section {
            Section::Sample => {
                // The firmware's path has a colon of its own.
                let path = line.starts_with("/sys/").then(|| line.rsplit_once(':'));
                if let Some((key, value)) = path.unwrap_or_else(|| line.split_once(':')) {
                    self.figure(key, value);
                }
            }
            Section::Disks => self.disk(line),
            Section::Units => self.unit(line),
            Section::Rare => {
                if let Some(word) = line.strip_prefix("vcgencmd:throttled=0x") {
                    self.throttled(word);
                }
            }
            Section::Cost => self.cost(line),
            _ => {}
        }
    }

    fn figure(&mut self, key: &str, value: &str) {
        let words: Vec<&str> = value.split_ascii_whitespace().collect();
        match (key, words.as_slice()) {
            ("/proc/uptime", [uptime, ..]) => {
                let seconds: Option<f64> = uptime.parse().ok();
                let seconds = seconds.filter(|at| at.is_finite() && *at >= 0.0 && *at < 1e12);
                self.now.at = seconds;
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "within the range that is checked"
                )]
                {
                    self.sample.uptime = seconds.unwrap_or(0.0) as u64;
                }
            }
            ("/proc/loadavg", [one, five, fifteen, ..]) => self.load([one, five, fifteen]),
            // No /proc: `… load average: 0.1, 0.2, 0.3`, or `load averages: 0.1 0.2 0.3`.
            ("uptime", _) => {
                let averages = value.rsplit_once("average");
                let averages = averages.map_or("", |(_, rest)| rest.trim_start_matches(['s', ':']));
                let words: Vec<&str> = averages
                    .split([',', ' '])
                    .filter(|word| !word.is_empty())
                    .collect();
                if let [one, five, fifteen] = words.as_slice() {
                    self.load([one, five, fifteen]);
                }
            }
            ("/proc/stat", ["cpu", ticks @ ..]) => {
                // proc_stat(5): user nice system idle iowait irq softirq steal; the guests' are within user's.
                let ticks: Vec<u64> = ticks.iter().take(8).map_while(|t| t.parse().ok()).collect();
                if ticks.len() >= 4 {
                    let all = ticks
                        .iter()
                        .fold(0_u64, |sum, tick| sum.saturating_add(*tick));
                    let idle = ticks[3].saturating_add(ticks.get(4).copied().unwrap_or(0));
                    self.now.cpu = Some((all, idle));
                }
            }
            ("/proc/meminfo", [name, kib, ..]) => self.memory(name, kib),
            ("/proc/net/dev", _) => self.interface(value),
            (path, [word]) if path.ends_with("/get_throttled") => self.throttled(word),
            (path, [word]) if path.starts_with("/sys/class/") => {
                let Ok(thousandths) = word.parse::<i32>() else {
                    return;
                };
                let celsius = thousandths as f32 / 1000.0;
                if PLAUSIBLE.contains(&celsius)
                    && self.sample.temperature.is_none_or(|other| other < celsius)
                {
                    self.sample.temperature = Some(celsius);
                }
            }
            _ => {}
        }
    }

    fn load(&mut self, words: [&&str; 3]) {
        let load = words.map(|word| word.parse::<f32>().ok().filter(|load| load.is_finite()));
        if let [Some(one), Some(five), Some(fifteen)] = load {
            self.sample.load = [one, five, fifteen];
        }
    }

    fn memory(&mut self, name: &str, kib: &str) {
        let Some(bytes) = kib
            .parse::<u64>()
            .ok()
            .and_then(|kib| kib.checked_mul(1024))
        else {
            return;
        };
        let sample = &mut self.sample;
        match name {
            "MemTotal:" => sample.memory_total = bytes,
            "MemAvailable:" => sample.memory_available = bytes,
            // Kernels before 3.14 do not say what is available; what is free is the least it can be.
            "MemFree:" if sample.memory_available == 0 => sample.memory_available = bytes,
            "SwapTotal:" => sample.swap_total = Some(bytes),
            "SwapFree:" => {
                sample.swap_used = sample.swap_total.and_then(|total| total.checked_sub(bytes));
            }
            _ => {}
        }
    }

    /// A line of `/proc/net/dev`: name, eight counters of what came in (bytes first), eight of what went out.
    fn interface(&mut self, line: &str) {
        let Some((name, counters)) = line.split_once(':') else {
            return;
        };
        let name = name.trim();
        if VIRTUAL.iter().any(|prefix| name.starts_with(prefix)) || name.contains('.') {
            return;
        }
        let counters: Vec<u64> = counters
            .split_ascii_whitespace()
            .map_while(|word| word.parse().ok())
            .collect();
        if let [received, _, _, _, _, _, _, _, sent, ..] = counters.as_slice() {
            let (all_received, all_sent) = self.now.net.unwrap_or_default();
            self.now.net = Some((
                all_received.saturating_add(*received),
                all_sent.saturating_add(*sent),
            ));
        }
    }

    /// A line of `df -P -k` (POSIX: blocks of 1024 bytes, one line per file system).
    fn disk(&mut self, line: &str) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [device, total, used, _, _, mount @ ..] = words.as_slice() else {
            return;
        };
        let bytes = |kib: &str| {
            kib.parse::<u64>()
                .ok()
                .and_then(|kib| kib.checked_mul(1024))
        };
        let (Some(device), Some(total), Some(used), Some(mount)) = (
            known(device),
            bytes(total),
            bytes(used),
            known(&mount.join(" ")),
        ) else {
            return;
        };
        let disks = &mut self.sample.disks;
        // Mounted twice is one device still; the root comes first.
        if disks.len() < DISKS && !disks.iter().any(|disk| disk.device == device) {
            disks.push(Disk {
                mount,
                device,
                total,
                used,
            });
        }
    }

    /// A line of `systemctl list-units --failed --plain --no-legend`.
    fn unit(&mut self, line: &str) {
        // Older versions mark failed units with a dot in spite of --plain.
        let name = line
            .split_ascii_whitespace()
            .find(|word| !matches!(*word, "●" | "*" | "×"))
            .filter(|name| name.contains('.'));
        if let Some(name) = name.and_then(known)
            && self.sample.failed_units.len() < UNITS
        {
            self.sample.failed_units.push(name);
        }
    }

    fn throttled(&mut self, digits: &str) {
        if let Ok(bits) = u32::from_str_radix(digits.trim().trim_start_matches("0x"), 16) {
            self.sample.throttled = Some(Throttled(bits));
        }
    }

    /// A line of `times`: user and system time, first the shell's, then its children's.
    fn cost(&mut self, line: &str) {
        let times = line.split_ascii_whitespace().map(shell_seconds);
        if let Some(seconds) = times.sum::<Option<f64>>()
            && self.cost.len() < 2
        {
            self.cost.push(seconds);
        }
    }

    /// What the script took since it last said, as a share of the time since.
    fn reckon(&mut self) {
        let ([shell, children], Some(at)) = (self.cost.as_slice(), self.now.at) else {
            return;
        };
        let spent = shell + children;
        self.cost.clear();
        if let Some((spent_before, before)) = self.cost_before.replace((spent, at))
            && at > before
            && spent >= spent_before
        {
            let percent = (spent - spent_before) / (at - before) * 100.0;
            #[allow(clippy::cast_possible_truncation, reason = "a small share")]
            {
                self.sample.probe_percent = Some(percent as f32);
            }
        }
    }
}

/// Bytes per second; `None` when a counter began anew.
fn rate(now: u64, before: u64, elapsed: f64) -> Option<u64> {
    let bytes = now.checked_sub(before)? as f64 / elapsed;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a difference of counters over a positive time"
    )]
    Some(bytes.round() as u64)
}
