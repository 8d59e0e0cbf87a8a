//! Looking at a node: a handful of plain commands over one connection, no shell, nothing installed.
//!
//! Every command may be missing or fail; what it would have told is then unknown, never guessed. Only a node that cannot
//! be reached at all is an error. What changes at a boot or never ([`NodeFacts`]) is asked for when the boot id changed.

mod parse;

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::live::{NodeFacts, NodeReport};
use crate::transport::{Command, Host, Output, ReachError};

/// Files that tell how the node fares. `cat` prints those that exist, one after the other; each is known by its shape.
const SAMPLE_FILES: &[&str] = &[
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/sys/kernel/random/boot_id",
    "/proc/meminfo",
    "/sys/class/thermal/thermal_zone0/temp",
    "/sys/class/thermal/thermal_zone1/temp",
    "/sys/class/thermal/thermal_zone2/temp",
    "/sys/class/thermal/thermal_zone3/temp",
];

/// Files that tell what the node is; the board's model comes last because it does not end in a line break.
const FACT_FILES: &[&str] = &[
    "/etc/os-release",
    "/sys/class/dmi/id/product_name",
    "/proc/device-tree/model",
];

/// Looks at the node behind `host`; `known` are its facts from the last time.
///
/// # Errors
/// [`ReachError`] when the node cannot be reached or does not answer within `deadline`.
pub(super) async fn probe(
    host: &dyn Host,
    known: Option<&NodeFacts>,
    deadline: Duration,
) -> Result<NodeReport, ReachError> {
    let begun = Instant::now();
    let ask = |argv: &[&str]| {
        let command = Command::new(argv.iter().copied())
            .as_login_user()
            .within(deadline);
        async move { host.output(&command).await }
    };
    // Alone and first: it brings the connection up, and its time is the latency.
    let mut argv = vec!["cat"];
    argv.extend(SAMPLE_FILES);
    let files = ask(&argv).await?;
    let latency = begun.elapsed();
    let mut report = NodeReport {
        latency_ms: u32::try_from(latency.as_millis()).unwrap_or(u32::MAX),
        ..NodeReport::default()
    };
    let boot_id = parse::sample(&files.text(), &mut report.sample).unwrap_or_default();

    let (disk, units) = tokio::join!(
        ask(&["df", "-P", "-k", "/"]),
        ask(&[
            "systemctl",
            "list-units",
            "--failed",
            "--plain",
            "--no-legend"
        ]),
    );
    if let Some((total, used)) = worked(disk).and_then(|text| parse::disk(&text)) {
        report.sample.disk_total = Some(total);
        report.sample.disk_used = Some(used);
    }
    let units = worked(units);
    let systemd = units.is_some();
    report.sample.failed_units = units.map(|text| parse::units(&text)).unwrap_or_default();

    report.facts = match known {
        // A node without boot ids is looked at anew each time.
        Some(known) if !boot_id.is_empty() && known.boot_id == boot_id => known.clone(),
        _ => {
            let mut argv = vec!["cat"];
            argv.extend(FACT_FILES);
            let (files, kernel, hostname, cpus) = tokio::join!(
                ask(&argv),
                ask(&["uname", "-srm"]),
                ask(&["hostname"]),
                async {
                    match worked(ask(&["nproc"]).await) {
                        Some(count) => Some(count),
                        None => worked(ask(&["getconf", "_NPROCESSORS_ONLN"]).await),
                    }
                },
            );
            // Here a failing exit only means that one of the files is missing.
            let (os, model) = files
                .map(|output| parse::facts(&output.text()))
                .unwrap_or_default();
            let (release, machine) = worked(kernel)
                .and_then(|text| parse::uname(&text))
                .unwrap_or_default();
            NodeFacts {
                hostname: worked(hostname)
                    .map(|name| parse::line(&name))
                    .unwrap_or_default(),
                os,
                kernel: release,
                machine,
                model,
                cpus: cpus.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
                boot_id,
                systemd,
            }
        }
    };
    report.facts.systemd = systemd;
    Ok(report)
}

/// The output of a command that was there and worked.
fn worked(output: Result<Output, ReachError>) -> Option<String> {
    output
        .ok()
        .filter(|output| output.exit.success())
        .map(|output| output.text())
}
