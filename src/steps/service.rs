//! `service`: waits until a service of the environment says of itself what is wanted, or tells it to do something. Done is
//! what an independent look confirms, not what an installer returned.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::wait::{self, Look, Sight};
use super::{AskService, Context, Outcome, StepError};
use crate::domain::drift::DriftSource;
use crate::domain::live::{Health, ServiceReport};
use crate::domain::recipe::{ListedRow, ServiceWait, Step};
use crate::domain::service_action::ServiceAction;
use crate::domain::table::Table;
use crate::services::{Acted, SEALED, UNSEAL};

/// The longest that one answer may take.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// Lines of progress that may wait to be logged; what comes on top of them is left out.
const TOLD: usize = 64;

pub(super) async fn execute(
    wait: &ServiceWait,
    step: &Step,
    host: Option<&str>,
    context: &Context,
) -> Result<Outcome, StepError> {
    if let Some(action) = &wait.act {
        return act(&wait.name, action, context).await;
    }
    let members: Option<u32> = wait
        .members
        .as_ref()
        .map(|text| {
            text.trim()
                .parse()
                .map_err(|_| StepError::lasting(format!("{text:?} is no number of members")))
        })
        .transpose()?;
    let names: Vec<&str> = if wait.name == "*" {
        let services = &context.environment.services;
        services
            .iter()
            .map(|service| service.name.as_str())
            .collect()
    } else {
        vec![&wait.name]
    };
    if names.is_empty() {
        return Ok(Outcome::Skipped("the environment has no services".into()));
    }
    let others = host.filter(|_| wait.elsewhere).map(|node| {
        let spec = context.environment.service(&wait.name);
        let others = spec.map(|spec| spec.elsewhere_than(node, context.environment.node(node)));
        phrase(node, &others.map(|spec| spec.nodes).unwrap_or_default())
    });
    let what = wanted(wait, others.as_deref());
    let services = Services {
        names,
        wait,
        members,
        without: if wait.elsewhere { host } else { None },
        asked: &*context.services,
    };
    let outcome = wait::until(&what, step, context, &services).await?;
    if wait.version.is_some() && !context.dry_run {
        for name in &services.names {
            // The next drift check finds it out all the same.
            if let Err(reason) = context.drift.holds(DriftSource::Versions, name).await {
                context
                    .note(format!("{name}: the drift board still has it: {reason}"))
                    .await;
            }
        }
    }
    Ok(outcome)
}

/// Tells a service to do something, and says how far it is.
async fn act(
    service: &str,
    action: &ServiceAction,
    context: &Context,
) -> Result<Outcome, StepError> {
    for request in action.requests() {
        context.note(request).await;
    }
    if context.dry_run {
        context.note(format!("would {}", action.phrase())).await;
        return Ok(Outcome::Changed);
    }
    let (told, mut lines) = mpsc::channel(TOLD);
    // A line that nobody has room for is one of many about the same progress.
    let tell = move |line: String| drop(told.try_send(line));
    let mut acting = Box::pin(async move {
        context
            .services
            .act(service, action, &tell, &context.cancel)
            .await
    });
    let acted = loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => context.note(line).await,
            acted = &mut acting => break acted,
        }
    };
    drop(acting);
    while let Some(line) = lines.recv().await {
        context.note(line).await;
    }
    match acted {
        Ok(Acted::Changed(words)) => {
            context.note(words).await;
            Ok(Outcome::Changed)
        }
        Ok(Acted::Already(words)) => {
            context.note(words).await;
            Ok(Outcome::Ok)
        }
        Err(reason) => Err(StepError {
            message: format!("{service}: {reason}"),
            passing: !context.cancel.is_cancelled(),
        }),
    }
}

struct Services<'a> {
    names: Vec<&'a str>,
    wait: &'a ServiceWait,
    members: Option<u32>,
    /// The node that must not be asked.
    without: Option<&'a str>,
    asked: &'a dyn AskService,
}

impl Services<'_> {
    async fn ask(&self, name: &str) -> Sight {
        if let Some(row) = &self.wait.shows {
            return self.list(name, row, true).await;
        }
        if let Some(row) = &self.wait.lacks {
            return self.list(name, row, false).await;
        }
        match self.asked.ask(name, ASK_LIMIT).await {
            Ok(report) => judge(name, &report, self.wait, self.members),
            Err(reason) => Sight::NotYet(format!("{name}: {reason}")),
        }
    }

    async fn list(&self, name: &str, row: &ListedRow, wanted: bool) -> Sight {
        let table = self
            .asked
            .table(name, &row.view, self.without, ASK_LIMIT)
            .await;
        match table {
            Ok(table) => find(name, &table, row, wanted),
            Err(reason) => Sight::NotYet(format!("{name}: {reason}")),
        }
    }
}

#[async_trait]
impl Look for Services<'_> {
    async fn look(&self) -> Sight {
        // Side by side, so that one dead service does not use up the time of the others.
        let asked: Vec<_> = self.names.iter().map(|name| self.ask(name)).collect();
        gather(futures::future::join_all(asked).await)
    }
}

/// Who is asked instead of `node`.
fn phrase(node: &str, others: &[String]) -> String {
    match others {
        [] => format!("others than {node}"),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn wanted(wait: &ServiceWait, others: Option<&str>) -> String {
    let name = if wait.name == "*" {
        "every service"
    } else {
        &wait.name
    };
    let words = conditions(wait).join(" and ");
    match others {
        Some(others) => format!("{name} {words}, as seen by {others}"),
        None => format!("{name} {words}"),
    }
}

/// What is waited for, as verbs: `has a leader`, `is well`.
pub(super) fn conditions(wait: &ServiceWait) -> Vec<String> {
    let mut words = Vec::new();
    if wait.leader {
        words.push("has a leader".to_owned());
    }
    if let Some(count) = &wait.members {
        words.push(format!("has {count} members that are well"));
    }
    if let Some(version) = &wait.version {
        words.push(format!("is version {version}"));
    }
    if let Some(row) = &wait.shows {
        let is = row.is.as_ref().map(|is| format!(" {is}"));
        words.push(format!(
            "lists {}{} among its {}",
            row.row,
            is.unwrap_or_default(),
            row.view
        ));
    }
    if let Some(row) = &wait.lacks {
        let is = row.is.as_ref().map(|is| format!(" {is}"));
        words.push(format!(
            "does not list {}{} among its {}",
            row.row,
            is.unwrap_or_default(),
            row.view
        ));
    }
    if wait.answers {
        words.push("answers".to_owned());
    }
    if words.is_empty() {
        words.push("is well".to_owned());
    }
    words
}

/// What `report` says, measured by what is waited for. Of a Vault that is sealed it is told what there is to do: it does not
/// open by itself.
fn judge(name: &str, report: &ServiceReport, wait: &ServiceWait, members: Option<u32>) -> Sight {
    match measure(name, report, wait, members) {
        Sight::NotYet(seen) if report.problems.iter().any(|problem| problem.key == SEALED) => {
            Sight::NotYet(format!("{seen}; {UNSEAL}"))
        }
        sight => sight,
    }
}

fn measure(name: &str, report: &ServiceReport, wait: &ServiceWait, members: Option<u32>) -> Sight {
    if wait.leader && report.leader.is_none() {
        return Sight::NotYet(format!("{name} has no leader: {}", report.summary));
    }
    if let Some(count) = members {
        let well = report.members.map_or(0, |members| members.well);
        if well < count {
            return Sight::NotYet(format!(
                "{name} has {well} of {count} members that are well"
            ));
        }
    }
    if let Some(wanted) = &wait.version {
        match &report.version {
            Some(version) if is_version(version, wanted) => {}
            Some(version) => {
                return Sight::NotYet(format!("{name} is version {version}, not {wanted}"));
            }
            None => return Sight::NotYet(format!("{name} does not say what version it is")),
        }
    }
    let named = wait.leader || members.is_some() || wait.version.is_some() || wait.answers;
    if !named && report.health != Health::Ok {
        let problem = report
            .problems
            .first()
            .map_or(report.summary.as_str(), |problem| problem.text.as_str());
        return Sight::NotYet(format!("{name} is {}: {problem}", report.health));
    }
    Sight::Wanted(format!("{name}: {}", report.summary))
}

/// Whether a version is the one that is wanted, as far as that is written.
pub(super) fn is_version(version: &str, wanted: &str) -> bool {
    let version = version.trim_start_matches('v');
    version
        .strip_prefix(wanted.trim_start_matches('v'))
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn find(name: &str, table: &Table, row: &ListedRow, wanted: bool) -> Sight {
    let has = |cells: &[crate::domain::table::Cell], text: &str| {
        cells.iter().any(|cell| cell.text == text)
    };
    let rows: Vec<_> = table
        .rows
        .iter()
        .filter(|found| has(&found.cells, &row.row))
        .collect();
    let fits = rows
        .iter()
        .any(|found| row.is.as_ref().is_none_or(|is| has(&found.cells, is)));
    let seen = match rows.first() {
        None => format!("{name} does not list {} among its {}", row.row, row.view),
        Some(found) => {
            let cells: Vec<&str> = found.cells.iter().map(|cell| cell.text.as_str()).collect();
            format!("{name} lists {}", cells.join(" "))
        }
    };
    if fits == wanted {
        Sight::Wanted(seen)
    } else {
        Sight::NotYet(seen)
    }
}

/// What is not yet as wanted, or else everything.
fn gather(sights: Vec<Sight>) -> Sight {
    let (mut wanted, mut not_yet) = (Vec::new(), Vec::new());
    for sight in sights {
        match sight {
            Sight::Wanted(text) => wanted.push(text),
            Sight::NotYet(text) => not_yet.push(text),
        }
    }
    if not_yet.is_empty() {
        Sight::Wanted(wanted.join("; "))
    } else {
        Sight::NotYet(not_yet.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_satisfied_as_far_as_it_is_written() {
        assert!(is_version("1.8.7", "1.8"));
        assert!(is_version("1.8.7+dfsg1", "1.8.7"));
        assert!(is_version("v1.33.5+k3s1", "1.33.5"));
        assert!(!is_version("1.18.7", "1.8"));
        assert!(!is_version("1.80.1", "1.8"));
    }

    #[test]
    fn a_row_is_found_by_its_cells() {
        let mut table = Table::new("Members", ["NODE", "STATE"], "nobody");
        table.push("a", ["pc1".into(), "failed".into()]);
        let row = |is: Option<&str>| ListedRow {
            view: "members".into(),
            row: "pc1".into(),
            is: is.map(Into::into),
        };
        assert!(
            matches!(find("consul", &table, &row(Some("alive")), true), Sight::NotYet(text) if text == "consul lists pc1 failed")
        );
        assert!(matches!(
            find("consul", &table, &row(Some("alive")), false),
            Sight::Wanted(_)
        ));
        assert!(matches!(
            find("consul", &table, &row(None), false),
            Sight::NotYet(_)
        ));
    }
}
