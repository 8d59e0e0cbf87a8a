//! Findings: what is wrong, ranked, with evidence and what to do.

mod advice;
mod causes;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::facts::Throttled;
use super::live::{EnvironmentLive, Health, NodeReport, Observed};
use super::remedy::Remedy;
use super::words;

pub use causes::{following, heads, rank};

words! {
    /// How bad a finding is, worst first.
    pub enum Severity {
        /// Something does not work.
        Critical = "critical",
        /// Something will stop working, or works less well.
        Warning = "warning",
        /// Worth knowing.
        Notice = "notice",
    }
}

/// What a finding, an action or a run is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The environment as a whole.
    Environment,
    /// A node by name.
    Node(String),
    /// A service by name.
    Service(String),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment => f.pad("environment"),
            Self::Node(name) | Self::Service(name) => f.pad(name),
        }
    }
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable as long as the same thing is wrong, so that its age can be told.
    pub key: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// One sentence.
    pub text: String,
    /// What was seen: the source's own words.
    pub evidence: String,
    /// When it was first seen.
    pub since: Timestamp,
    /// What may repair it.
    pub remedy: Option<Remedy>,
    /// What it follows from: a node that cannot be reached. It goes with its cause, and is repaired with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Subject>,
}

/// The key of a node that cannot be reached and of a service that does not answer.
const UNREACHABLE: &str = "unreachable";

/// Percentage of the root file system from which on it is a finding.
pub const DISK_WARN_PERCENT: f32 = 90.0;
/// Percentage from which on it is full: the rest goes while somebody looks.
const DISK_FULL_PERCENT: f32 = 99.0;
/// Degrees Celsius from which on a board throttles soon.
pub const HOT_CELSIUS: f32 = 80.0;

/// Everything wrong in `environment` as seen in `live`, worst first, then by subject.
///
/// `live.findings` (the previous answer) supplies the age of what was already known; what is new starts at `now`.
pub fn assess(environment: &Environment, live: &EnvironmentLive, now: Timestamp) -> Vec<Finding> {
    let mut found = Vec::new();
    for node in &environment.nodes {
        if let Some(observed) = live.nodes.get(&node.name) {
            assess_node(&node.name, observed, &mut found);
        }
    }
    for service in &environment.services {
        let Some(observed) = live.services.get(&service.name) else {
            continue;
        };
        let subject = || Subject::Service(service.name.clone());
        if let Some(trouble) = &observed.trouble {
            found.push(Draft {
                key: UNREACHABLE.into(),
                severity: Severity::Critical,
                subject: subject(),
                text: format!("{} does not answer", service.name),
                evidence: trouble.reason.clone(),
            });
        }
        for problem in observed
            .fresh()
            .map(|report| report.problems.as_slice())
            .unwrap_or_default()
        {
            let severity = match problem.health {
                Health::Down => Severity::Critical,
                Health::Warn => Severity::Warning,
                Health::Ok | Health::Unknown => Severity::Notice,
            };
            found.push(Draft {
                key: problem.key.clone(),
                severity,
                subject: subject(),
                text: problem.text.clone(),
                evidence: observed
                    .value
                    .as_ref()
                    .map(|report| report.summary.clone())
                    .unwrap_or_default(),
            });
        }
    }
    let unreachable: BTreeSet<String> = found
        .iter()
        .filter_map(|draft| match &draft.subject {
            Subject::Node(name) if draft.key == UNREACHABLE => Some(name.clone()),
            _ => None,
        })
        .collect();
    let mut findings: Vec<Finding> = found
        .into_iter()
        .map(|draft| {
            let because = draft.cause(environment, &unreachable);
            draft.dated(environment, &live.findings, now, because)
        })
        .collect();
    rank(&mut findings);
    findings
}

/// From here on a clock is worth a word, seconds: a whole second of it is only that `date` tells no fractions.
const CLOCK_OFF_SECONDS: i64 = 5;

fn of_disk(used: f32) -> Severity {
    if used >= DISK_FULL_PERCENT {
        Severity::Critical
    } else {
        Severity::Warning
    }
}

fn assess_node(name: &str, observed: &Observed<NodeReport>, found: &mut Vec<Draft>) {
    let mut add = |key: &str, severity, text: String, evidence: String| {
        found.push(Draft {
            key: key.into(),
            severity,
            subject: Subject::Node(name.into()),
            text,
            evidence,
        });
    };
    if let Some(trouble) = &observed.trouble {
        add(
            UNREACHABLE,
            Severity::Critical,
            format!("{name} cannot be reached"),
            trouble.reason.clone(),
        );
        return;
    }
    let Some(report) = &observed.value else {
        return;
    };
    let sample = &report.sample;
    if let Some(disk) = sample
        .disk_used_percent()
        .filter(|used| *used >= DISK_WARN_PERCENT)
    {
        add(
            "disk",
            of_disk(disk),
            format!("{name}: root file system is {disk:.0} % full"),
            "df -P /".into(),
        );
    }
    for disk in &sample.disks {
        let full = disk
            .used_percent()
            .filter(|used| *used >= DISK_WARN_PERCENT);
        if let (Some(used), false) = (full, disk.mount == "/") {
            add(
                &format!("disk:{}", disk.mount),
                of_disk(used),
                format!("{name}: {} is {used:.0} % full", disk.mount),
                format!("df -P {}", disk.mount),
            );
        }
    }
    let held_back = sample.throttled.map(Throttled::now).unwrap_or_default();
    if !held_back.is_empty() {
        add(
            "throttled",
            Severity::Warning,
            format!("{name} is held back: {}", held_back.join(", ")),
            "the firmware's get_throttled".into(),
        );
    }
    let more = &report.facts.more;
    if more.clock.synchronised == Some(false) {
        add(
            "clock",
            Severity::Warning,
            format!("{name}: its clock follows no other"),
            "timedatectl".into(),
        );
    }
    if let Some(ahead) = more
        .clock
        .ahead_s
        .filter(|ahead| ahead.abs() >= CLOCK_OFF_SECONDS)
    {
        add(
            "clock-off",
            Severity::Warning,
            format!(
                "{name}: its clock is {} s {} that of the engine's machine",
                ahead.abs(),
                if ahead > 0 { "ahead of" } else { "behind" }
            ),
            "date +%s".into(),
        );
    }
    if more.reboot_needed == Some(true) {
        add(
            "reboot",
            Severity::Notice,
            format!("{name} waits for a reboot to use what was installed"),
            "/run/reboot-required or needs-restarting".into(),
        );
    }
    if let Some(celsius) = sample.temperature.filter(|celsius| *celsius >= HOT_CELSIUS) {
        add(
            "hot",
            Severity::Warning,
            format!("{name} is at {celsius:.0} °C and will throttle"),
            "thermal zone".into(),
        );
    }
    for unit in &sample.failed_units {
        add(
            &format!("unit:{unit}"),
            Severity::Warning,
            format!("{name}: unit {unit} has failed"),
            "systemctl".into(),
        );
    }
}

/// A finding whose age is not known yet.
struct Draft {
    key: String,
    severity: Severity,
    subject: Subject,
    text: String,
    evidence: String,
}

impl Draft {
    /// Which of the nodes that cannot be reached it follows from.
    fn cause(&self, environment: &Environment, unreachable: &BTreeSet<String>) -> Option<Subject> {
        let Subject::Service(name) = &self.subject else {
            return None;
        };
        let spec = environment.service(name)?;
        // Nobody is left who could answer.
        if self.key == UNREACHABLE {
            let gone = spec.nodes.iter().all(|node| unreachable.contains(node));
            let first = spec.nodes.first().filter(|_| gone)?;
            return Some(Subject::Node(first.clone()));
        }
        let node = causes::node_of(spec, &self.key, &environment.nodes)?;
        unreachable
            .contains(node)
            .then(|| Subject::Node(node.to_owned()))
    }

    fn dated(
        self,
        environment: &Environment,
        known: &[Finding],
        now: Timestamp,
        because: Option<Subject>,
    ) -> Finding {
        // Nothing is repaired on a node that cannot be reached, other than the node.
        let remedy = match &because {
            Some(cause) => Remedy::of(environment, cause, UNREACHABLE),
            None => Remedy::of(environment, &self.subject, &self.key),
        };
        let since = known
            .iter()
            .find(|finding| finding.key == self.key && finding.subject == self.subject)
            .map_or(now, |finding| finding.since);
        let Self {
            key,
            severity,
            subject,
            text,
            evidence,
        } = self;
        Finding {
            key,
            severity,
            subject,
            text,
            evidence,
            since,
            remedy,
            because,
        }
    }
}
