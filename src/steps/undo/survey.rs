//! Looks through what a run left behind, step by step: what will be taken back, and what has to stay.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::traces::{Trace, runs_commands, uses_undo};
use crate::domain::environment::Environment;
use crate::domain::handler;
use crate::domain::plan::PlannedStep;
use crate::domain::recipe::Work;
use crate::domain::run::{TaskKey, TaskState};
use crate::domain::undo::Before;
use crate::steps::plan::PlanError;
use crate::steps::preview;
use crate::steps::template::Templates;

/// What is to be taken back of one step.
pub(super) struct Found {
    /// Where; `None` where the engine is.
    pub(super) hosts: Option<Vec<String>>,
    pub(super) preview: Vec<String>,
    /// When the last of its tasks ended.
    pub(super) ended: Option<Timestamp>,
}

/// What an operator can do instead about what a program of its own has changed.
const fn the_way_back(work: &Work<'_>) -> &'static str {
    match work {
        Work::Terraform(_) => {
            "an older state does not bring back what Terraform destroyed, nor remove what it made; the way back is the earlier \
             configuration, planned and approved anew, or terraform-destroy"
        }
        _ => "a playbook does not know its opposite; run one that says what shall be there instead",
    }
}

/// Looks through what the tasks left behind.
pub(super) struct Survey<'a> {
    pub(super) environment: &'a Environment,
    pub(super) templates: Templates,
    /// The nodes it is limited to; none for all.
    pub(super) only: &'a [String],
    /// What stays, and the hosts it stays on.
    pub(super) cautions: Vec<(String, Vec<String>)>,
}

impl Survey<'_> {
    /// What there is to take back of a step, if anything.
    pub(super) fn step(
        &mut self,
        planned: &PlannedStep,
        traces: &BTreeMap<TaskKey, Vec<Trace>>,
    ) -> Result<Option<Found>, PlanError> {
        let mut per_host: Vec<(Option<String>, Vec<String>)> = Vec::new();
        let mut ended = None;
        for key in planned.tasks() {
            let Some(traces) = traces.get(&key) else {
                continue;
            };
            let host = key.host.as_deref();
            if host.is_some_and(|host| {
                !self.only.is_empty() && !self.only.iter().any(|only| only == host)
            }) {
                continue;
            }
            let lines = self.task(planned, host, traces)?;
            if lines.is_empty() {
                continue;
            }
            ended = ended.max(traces.iter().filter_map(|trace| trace.ended_at).max());
            per_host.push((key.host, lines));
        }
        if per_host.is_empty() {
            return Ok(None);
        }
        let hosts = planned.hosts.is_some().then(|| {
            per_host
                .iter()
                .filter_map(|(host, _)| host.clone())
                .collect()
        });
        Ok(Some(Found {
            hosts,
            preview: merged(&per_host),
            ended,
        }))
    }

    /// One line for everything that will be taken back of a task.
    fn task(
        &mut self,
        planned: &PlannedStep,
        host: Option<&str>,
        traces: &[Trace],
    ) -> Result<Vec<String>, PlanError> {
        let step = &planned.step;
        let mut lines = Vec::new();
        let gone = host.filter(|host| self.environment.node(host).is_none());
        let records = traces.iter().flat_map(|trace| &trace.records);
        if let Some(gone) = gone {
            if records.count() > 0 || runs_commands(step, traces) {
                let reason = format!(
                    "{}: environment {} no longer has this node, so what was done there stays",
                    step.id, self.environment.name
                );
                self.caution(reason, Some(gone));
            }
            return Ok(lines);
        }
        let by_command = uses_undo(step, traces);
        if by_command && let Some(undo) = &step.undo {
            let scope = self.templates.scope(host);
            let rendered = preview::lines(&undo.work(), &scope);
            lines.extend(rendered.map_err(|error| PlanError::Template {
                step: step.id.clone(),
                on: host.map(|host| format!(" on {host}")).unwrap_or_default(),
                error,
            })?);
        } else if let Ok(work @ (Work::Terraform(_) | Work::Ansible(_))) = step.work() {
            if runs_commands(step, traces) {
                let why = the_way_back(&work);
                self.caution(format!("{} cannot be undone: {why}", step.id), host);
            }
        } else if matches!(step.work(), Ok(Work::Run(_) | Work::Local(_)))
            && runs_commands(step, traces)
            // A handler runs again when what it was for is taken back.
            && handler::handler_of(&step.id).is_none()
        {
            let what = planned.preview.first().map_or("", String::as_str);
            let half = traces
                .iter()
                .any(|trace| trace.own && trace.state != TaskState::Changed);
            let half = if half {
                "; it did not end well, so how far it came is not known either"
            } else {
                ""
            };
            self.caution(
                format!(
                    "{} cannot be undone: the step has no `undo` ({what}){half}",
                    step.id
                ),
                host,
            );
        }
        for before in records {
            lines.extend(before.outlook());
            if !(by_command && matches!(before, Before::Command { .. })) {
                for limit in before.limits() {
                    self.caution(format!("{}: {limit}", step.id), host);
                }
            }
        }
        Ok(lines)
    }

    fn caution(&mut self, text: String, host: Option<&str>) {
        let known = self.cautions.iter().position(|(known, _)| *known == text);
        let at = known.unwrap_or_else(|| {
            self.cautions.push((text, Vec::new()));
            self.cautions.len() - 1
        });
        self.cautions[at].1.extend(host.map(ToOwned::to_owned));
    }

    /// What stays, with its hosts in front.
    pub(super) fn cautions(self) -> Vec<String> {
        self.cautions
            .into_iter()
            .map(|(text, hosts)| {
                if hosts.is_empty() {
                    text
                } else {
                    format!("{}: {text}", hosts.join(", "))
                }
            })
            .collect()
    }
}

/// The lines that are the same everywhere once, the others with their host in front.
fn merged(per_host: &[(Option<String>, Vec<String>)]) -> Vec<String> {
    if per_host.iter().all(|(_, lines)| *lines == per_host[0].1) {
        return per_host[0].1.clone();
    }
    per_host
        .iter()
        .flat_map(|(host, lines)| {
            let host = host.as_deref().unwrap_or("here");
            lines.iter().map(move |line| format!("{host}: {line}"))
        })
        .collect()
}
