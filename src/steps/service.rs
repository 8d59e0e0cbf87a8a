//! `service`: waits until a service of the environment says of itself what is wanted. Done is what an independent look
//! confirms, not what an installer returned.

use std::time::Duration;

use async_trait::async_trait;

use super::wait::{self, Look, Sight};
use super::{AskService, Context, Outcome, StepError};
use crate::domain::live::{Health, ServiceReport};
use crate::domain::recipe::{ServiceWait, Step};

/// The longest that one answer may take.
const ASK_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn execute(
    wait: &ServiceWait,
    step: &Step,
    context: &Context,
) -> Result<Outcome, StepError> {
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
    let what = wanted(&wait.name, wait.leader, members);
    let services = Services {
        names,
        leader: wait.leader,
        members,
        asked: &*context.services,
    };
    wait::until(&what, step, context, &services).await
}

struct Services<'a> {
    names: Vec<&'a str>,
    leader: bool,
    members: Option<u32>,
    asked: &'a dyn AskService,
}

impl Services<'_> {
    async fn ask(&self, name: &str) -> Sight {
        match self.asked.ask(name, ASK_LIMIT).await {
            Ok(report) => judge(name, &report, self.leader, self.members),
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

fn wanted(name: &str, leader: bool, members: Option<u32>) -> String {
    let name = if name == "*" { "every service" } else { name };
    match (leader, members) {
        (false, None) => format!("{name} is well"),
        (true, None) => format!("{name} has a leader"),
        (false, Some(count)) => format!("{name} has {count} members that are well"),
        (true, Some(count)) => format!("{name} has a leader and {count} members that are well"),
    }
}

fn judge(name: &str, report: &ServiceReport, leader: bool, members: Option<u32>) -> Sight {
    if leader && report.leader.is_none() {
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
    if !leader && members.is_none() && report.health != Health::Ok {
        let problem = report
            .problems
            .first()
            .map_or(report.summary.as_str(), |problem| problem.text.as_str());
        return Sight::NotYet(format!("{name} is {}: {problem}", report.health));
    }
    Sight::Wanted(format!("{name}: {}", report.summary))
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
