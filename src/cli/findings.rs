//! `quarterdeck findings` and `repair`: what is wrong, and the recipe that mends it.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::approvals::ago;
use super::exit::{Ended, Exit};
use super::follow::{Give, carry_out, plan};
use super::look::{LookArgs, settle};
use super::session::Session;
use super::{Global, output};
use crate::domain::environment::Environment;
use crate::domain::finding::{Finding, Severity};
use crate::domain::plan::PlanRequest;
use crate::domain::remedy::Remedy;
use crate::domain::table::{Cell, Table, Tone};

/// Flags of `quarterdeck findings`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every node and service is asked first. The exit status is 1 when something is critical. `quarterdeck repair SUBJECT KEY` plans \
and runs what the last column says.")]
pub(super) struct FindingsArgs {
    #[command(flatten)]
    look: LookArgs,
}

/// Flags of `quarterdeck repair`.
#[derive(Debug, Args)]
pub(super) struct RepairArgs {
    /// What it is about: a node or a service
    subject: String,
    /// Which of its findings, as `quarterdeck findings` names it; default: the only one that can be repaired
    key: Option<String>,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// How many seconds to wait until it is found
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    wait: u64,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    give: Give,
}

/// Asks everything and lists what is wrong.
///
/// # Errors
/// When the workspace cannot be used.
pub(super) async fn list(global: &Global, args: &FindingsArgs) -> color_eyre::Result<Exit> {
    // Not by an engine that keeps nothing: what is on record, such as a snapshot that is missing, is a finding, too.
    let session = Session::open(global, "findings").await?;
    let environment = session
        .environment(args.look.environment.as_deref())?
        .clone();
    let findings = found(&session, &environment, args.look.wait).await;
    session.close().await;
    let findings = findings?;
    if args.look.json {
        output::json(&findings)?;
    } else {
        output::table(&table(&findings, Timestamp::now()))?;
    }
    let critical = |finding: &Finding| finding.severity == Severity::Critical;
    Ok(if findings.iter().any(critical) {
        Exit::Failed
    } else {
        Exit::Success
    })
}

async fn found(
    session: &Session,
    environment: &Environment,
    wait: u64,
) -> color_eyre::Result<Vec<Finding>> {
    let live = settle(session, environment, Duration::from_secs(wait)).await?;
    Ok(live.findings)
}

fn table(findings: &[Finding], now: Timestamp) -> Table {
    let mut table = Table::new(
        "Findings",
        ["SEVERITY", "SUBJECT", "KEY", "SINCE", "WHAT", "REPAIR"],
        "nothing is wrong",
    );
    for finding in findings {
        let tone = match finding.severity {
            Severity::Critical => Tone::Bad,
            Severity::Warning => Tone::Warn,
            Severity::Notice => Tone::Muted,
        };
        let remedy = finding.remedy.as_ref().map(ToString::to_string);
        table.push(
            format!("{} {}", finding.subject, finding.key),
            [
                Cell::new(finding.severity.to_string(), tone),
                finding.subject.to_string().into(),
                finding.key.clone().into(),
                ago(finding.since, now).into(),
                match &finding.because {
                    None => finding.text.clone().into(),
                    Some(cause) => format!("{} (because of {cause})", finding.text).into(),
                },
                remedy.unwrap_or_else(|| "-".into()).into(),
            ],
        );
    }
    table
}

/// Plans what repairs a finding, carries it out, and follows it to its end.
///
/// # Errors
/// When there is no such finding or nothing repairs it; a run that fails is [`Exit::Failed`].
pub(super) async fn repair(global: &Global, args: RepairArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "repair").await?;
    let outcome = begin(&session, args).await;
    session.close().await;
    outcome
}

async fn begin(session: &Session, args: RepairArgs) -> color_eyre::Result<Exit> {
    let environment = session.environment(args.environment.as_deref())?.clone();
    let findings = found(session, &environment, args.wait).await?;
    let remedy = chosen(&findings, &args.subject, args.key.as_deref())?;
    let request = PlanRequest {
        dry_run: args.dry_run,
        ..remedy.request(&environment.name)
    };
    let planned = plan(session.client(), request).await?;
    planned.show(args.give.json)?;
    carry_out(session, planned, args.give).await
}

/// What repairs the one finding that is meant.
fn chosen<'f>(
    findings: &'f [Finding],
    subject: &str,
    key: Option<&str>,
) -> Result<&'f Remedy, Ended> {
    let meant: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.subject.to_string() == subject)
        .filter(|finding| key.is_none_or(|key| finding.key == key))
        .collect();
    let curable: Vec<(&str, &Remedy)> = meant
        .iter()
        .filter_map(|finding| Some((finding.key.as_str(), finding.remedy.as_ref()?)))
        .collect();
    match (curable.as_slice(), meant.as_slice()) {
        ([(_, remedy)], _) => Ok(remedy),
        ([], []) => Err(Ended::refused(format!(
            "nothing of that kind is wrong with {subject}; `quarterdeck findings` lists what is"
        ))),
        ([], [first, ..]) => Err(Ended::refused(format!(
            "no recipe repairs this: {}. {}",
            output::plain(&first.text),
            first.advice()
        ))),
        (several, _) => {
            let keys: Vec<&str> = several.iter().map(|(key, _)| *key).collect();
            Err(Ended::unusable(format!(
                "several things are wrong with {subject}, name one: {}",
                keys.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::Subject;

    fn finding(subject: &str, key: &str, remedy: Option<&str>) -> Finding {
        Finding {
            key: key.into(),
            severity: Severity::Warning,
            subject: Subject::Node(subject.into()),
            text: format!("{key} of {subject}"),
            evidence: String::new(),
            since: Timestamp::UNIX_EPOCH,
            remedy: remedy.map(Remedy::recipe),
            because: None,
        }
    }

    #[test]
    fn the_only_thing_that_can_be_repaired_needs_no_name() {
        let findings = [
            finding("pc1", "hot", None),
            finding("pc1", "disk", Some("free-space")),
            finding("pc2", "clock", Some("sync-clock")),
            finding("pc2", "reboot", Some("reboot")),
        ];
        let recipe = |subject, key| chosen(&findings, subject, key).map(|found| &*found.recipe);
        assert_eq!(recipe("pc1", None).unwrap(), "free-space");
        assert_eq!(recipe("pc2", Some("reboot")).unwrap(), "reboot");
        for (subject, named, said) in [
            ("pc1", Some("hot"), "no recipe repairs"),
            ("pc2", None, "name one: clock, reboot"),
            ("pc3", None, "nothing of that kind"),
        ] {
            let error = recipe(subject, named).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
