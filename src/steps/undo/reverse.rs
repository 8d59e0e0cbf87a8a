//! The order of an undo: the last thing first, and the handlers when all of it is done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::survey::{Found, Survey};
use crate::domain::handler::{self, Owed};
use crate::domain::plan::PlannedStep;
use crate::domain::recipe::Step;
use crate::steps::order;
use crate::steps::plan::{PlanError, preview_of};
use crate::steps::resume::Earlier;

/// The steps of the undo, one after the other: what ended last is taken back first, and nothing before what needed it.
pub(super) fn in_reverse(
    recorded: &[&PlannedStep],
    found: Vec<Option<Found>>,
) -> Result<Vec<PlannedStep>, PlanError> {
    let index: BTreeMap<&str, usize> = recorded
        .iter()
        .enumerate()
        .map(|(at, planned)| (planned.step.id.as_str(), at))
        .collect();
    // The nearest steps with something to take back among those that need each step, directly or through others.
    let mut above: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); recorded.len()];
    for at in (0..recorded.len()).rev() {
        let passed_on = if found[at].is_some() {
            BTreeSet::from([at])
        } else {
            above[at].clone()
        };
        for need in &recorded[at].step.needs {
            if let Some(&needed) = index.get(need.as_str()) {
                above[needed].extend(passed_on.iter().copied());
            }
        }
    }
    let mut steps: Vec<(Option<Timestamp>, usize, PlannedStep)> = found
        .into_iter()
        .enumerate()
        .filter_map(|(at, found)| {
            let found = found?;
            let step = Step {
                title: format!("Take back: {}", recorded[at].step.title),
                needs: above[at]
                    .iter()
                    .map(|&above| recorded[above].step.id.clone())
                    .collect(),
                when: None,
                retries: 0,
                once: false,
                ..recorded[at].step.clone()
            };
            let planned = PlannedStep {
                step,
                hosts: found.hosts,
                preview: found.preview,
            };
            Some((found.ended, at, planned))
        })
        .collect();
    steps.sort_by_key(|(ended, at, _)| std::cmp::Reverse((*ended, *at)));
    let steps: Vec<PlannedStep> = steps.into_iter().map(|(.., planned)| planned).collect();
    let bare: Vec<Step> = steps.iter().map(|planned| planned.step.clone()).collect();
    let order = order::topological(&bare).map_err(|error| PlanError::Undo(error.to_string()))?;
    let mut before: Option<String> = None;
    Ok(order
        .into_iter()
        .map(|at| {
            let mut planned = steps[at].clone();
            planned.step.needs = before
                .replace(planned.step.id.clone())
                .into_iter()
                .collect();
            planned
        })
        .collect())
}

/// The handlers of what is taken back, which run again when that is done, and whom they are owed: every host on which
/// something is taken back that notified them, and those that the run itself left owing.
pub(super) fn handlers_after(
    steps: &[PlannedStep],
    newest: &Earlier,
    survey: &Survey<'_>,
) -> Result<(Vec<PlannedStep>, Vec<Owed>), PlanError> {
    let mut after: Vec<PlannedStep> = Vec::new();
    let mut owed = Vec::new();
    let recorded = newest.plan.steps.iter();
    let recorded = recorded.filter(|planned| handler::is_last(&planned.step.id));
    for planned in recorded {
        let Some(name) = handler::handler_of(&planned.step.id) else {
            continue;
        };
        let is_due = |host: Option<&str>| {
            let back = steps.iter().any(|planned| {
                let hosts = planned.hosts.as_deref();
                let here =
                    host.is_none_or(|host| hosts.unwrap_or_default().iter().any(|of| of == host));
                here && planned.step.may_notify(name)
            });
            let left = |owed: &Owed| owed.handler == name && owed.host.as_deref() == host;
            back || newest.owed.iter().any(left)
        };
        let is_meant = |host: &&String| {
            let there = survey.environment.node(host).is_some();
            there && (survey.only.is_empty() || survey.only.contains(host)) && is_due(Some(host))
        };
        let hosts: Option<Vec<String>> = planned
            .hosts
            .as_ref()
            .map(|hosts| hosts.iter().filter(is_meant).cloned().collect());
        let due: Vec<Option<String>> = match &hosts {
            Some(hosts) => hosts.iter().cloned().map(Some).collect(),
            None => is_due(None).then_some(None).into_iter().collect(),
        };
        if due.is_empty() {
            continue;
        }
        let before = after.last().or(steps.last());
        let step = Step {
            id: handler::step_id(handler::UNDONE, name),
            needs: before.iter().map(|before| before.step.id.clone()).collect(),
            ..planned.step.clone()
        };
        let work = step.work().map_err(PlanError::Undo)?;
        let preview = preview_of(&step, &work, hosts.as_deref(), &survey.templates)?;
        owed.extend(due.into_iter().map(|host| Owed {
            handler: name.to_owned(),
            host,
        }));
        after.push(PlannedStep {
            step,
            hosts,
            preview,
        });
    }
    Ok((after, owed))
}
