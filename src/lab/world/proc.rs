//! Files that the kernel makes up when they are read: `/proc` and `/sys`.

use jiff::Timestamp;

use super::node::NodeState;
use crate::domain::platform::{Arch, Platform};

/// The directories of the files below, so that listings and tests see them.
pub(crate) const DIRECTORIES: [&str; 9] = [
    "/proc/sys/kernel/random",
    "/proc/device-tree",
    "/proc/1",
    "/proc/net",
    "/sys/fs/cgroup",
    "/sys/devices/platform/soc/soc:firmware",
    "/sys/class/thermal/thermal_zone0",
    "/sys/class/dmi/id",
    "/sys/devices/system/cpu",
];

/// Content of a made-up file; `None` where the path is not one.
pub(crate) fn read(node: &NodeState, path: &str, now: Timestamp) -> Option<String> {
    let board = &node.board;
    Some(match path {
        "/proc/uptime" => {
            let uptime = node.uptime(now);
            format!("{uptime:.2} {:.2}\n", uptime * f64::from(board.cpus) * 0.9)
        }
        "/proc/loadavg" => {
            let [one, five, fifteen] = node.load(now);
            let running = 1 + node.work.len().min(4);
            format!(
                "{one:.2} {five:.2} {fifteen:.2} {running}/{} {}\n",
                180 + node.units.len() * 3,
                node.next_pid
            )
        }
        "/proc/meminfo" => meminfo(node, now),
        "/proc/cpuinfo" => cpuinfo(node),
        "/proc/stat" => stat(node, now),
        "/proc/version" => format!(
            "Linux version {} (buildd@lab) #1 SMP PREEMPT_DYNAMIC\n",
            board.kernel
        ),
        "/proc/1/comm" => "systemd\n".into(),
        "/proc/sys/kernel/random/boot_id" => format!("{}\n", node.boot_id),
        "/proc/sys/kernel/hostname" => format!("{}\n", board.name),
        "/proc/sys/kernel/osrelease" => format!("{}\n", board.kernel),
        "/proc/mounts" => {
            "/dev/root / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw,nosuid 0 0\n".into()
        }
        "/proc/net/dev" => net_dev(node, now),
        "/sys/fs/cgroup/cgroup.controllers" => "cpuset cpu io memory hugetlb pids\n".into(),
        "/sys/devices/platform/soc/soc:firmware/get_throttled"
            if board.platform == Platform::Rpi5Ubuntu =>
        {
            "0\n".into()
        }
        "/sys/class/thermal/thermal_zone0/temp" => {
            format!("{:.0}\n", node.temperature(now) * 1000.0)
        }
        "/sys/class/thermal/thermal_zone0/type" => "cpu-thermal\n".into(),
        // The device tree ends its strings with NUL; the DMI files of a PC do not.
        "/proc/device-tree/model" if board.arch == Arch::Arm64 => format!("{}\0", board.model),
        "/sys/class/dmi/id/product_name" if board.arch == Arch::Amd64 => {
            format!("{}\n", board.model)
        }
        "/sys/devices/system/cpu/online" => format!("0-{}\n", board.cpus - 1),
        _ => return None,
    })
}

/// Memory in use and in all, bytes.
pub(crate) fn memory(node: &NodeState, now: Timestamp) -> (u64, u64) {
    let running = node
        .units
        .values()
        .filter(|unit| unit.active_since.is_some())
        .count() as u64;
    let [load, _, _] = node.load(now);
    let mib = 1024 * 1024;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a load is small and never negative"
    )]
    let busy = (load * 60.0) as u64 * mib;
    let used = 420 * mib + running * 140 * mib + busy;
    (used.min(node.board.memory * 95 / 100), node.board.memory)
}

fn meminfo(node: &NodeState, now: Timestamp) -> String {
    let (used, total) = memory(node, now);
    let kib = |bytes: u64| bytes / 1024;
    let available = total - used;
    let cached = available / 3;
    format!(
        "MemTotal:       {:8} kB\nMemFree:        {:8} kB\nMemAvailable:   {:8} kB\nBuffers:        {:8} kB\n\
         Cached:         {:8} kB\nSwapCached:            0 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\n",
        kib(total),
        kib(available - cached),
        kib(available),
        kib(total / 200),
        kib(cached),
    )
}

fn cpuinfo(node: &NodeState) -> String {
    let board = &node.board;
    let mut text = String::new();
    for cpu in 0..board.cpus {
        let block = match board.arch {
            Arch::Arm64 => format!(
                "processor\t: {cpu}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32\n\
                 CPU implementer\t: 0x41\nCPU architecture: 8\n\n"
            ),
            Arch::Amd64 => format!(
                "processor\t: {cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) N97\ncpu MHz\t\t: 2000.000\n\n"
            ),
        };
        text.push_str(&block);
    }
    if board.arch == Arch::Arm64 {
        text.push_str("Model\t\t: ");
        text.push_str(board.model);
        text.push('\n');
    }
    text
}

fn stat(node: &NodeState, now: Timestamp) -> String {
    // Hundredths of a second since boot, as USER_HZ counts; the share follows the idle load.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an uptime is positive and far below 2^53 hundredths"
    )]
    let ticks = (node.uptime(now) * 100.0) as u64 * u64::from(node.board.cpus);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as above"
    )]
    let busy = (swaying(node.uptime(now), 45.0) * 5.0) as u64 * u64::from(node.board.cpus);
    format!(
        "cpu  {busy} 0 {} {} 0 0 0 0 0 0\nbtime {}\nprocesses {}\n",
        busy / 2,
        ticks - busy - busy / 2,
        node.booted_at.as_second(),
        node.next_pid
    )
}

/// A counter that goes up by one a second, now faster, now slower, and never back.
fn swaying(uptime: f64, period: f64) -> f64 {
    uptime + 0.6 * period * ((uptime / period).sin() + 1.0)
}

fn net_dev(node: &NodeState, now: Timestamp) -> String {
    let uptime = node.uptime(now);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an uptime is positive and far below 2^53 bytes"
    )]
    let bytes = |rate: f64, period: f64| (swaying(uptime, period) * rate) as u64;
    let (received, sent) = (bytes(42_000.0, 70.0), bytes(18_000.0, 100.0));
    format!(
        "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
         \x20   lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n\
         \x20 eth0: {received} {}    0    0    0     0          0         0 {sent} {}    0    0    0     0       0          0\n",
        received / 900,
        sent / 600
    )
}
