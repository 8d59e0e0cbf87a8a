//! Taking a run back: a plan of its own with what changed, in reverse order of its ending, and what carries it out.
//!
//! Resources are taken back from what the tasks put on record before they changed them ([`crate::domain::undo`]); nothing
//! of that is rendered again, so a recipe or an environment that has moved since does not matter. What commands did is
//! taken back by their step's `undo`, or not at all, and then the plan says so beforehand. A run that took up an earlier
//! one is taken back together with it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::plan::{PlanError, seal};
use super::resume::Earlier;
use super::template::Templates;
use super::{Context, Outcome, StepError, carry_out, node, order, preview};
use crate::domain::action::Risk;
use crate::domain::environment::Environment;
use crate::domain::handler::{self, Owed};
use crate::domain::plan::{Plan, PlanRequest, PlannedStep};
use crate::domain::recipe::{Step, Work};
use crate::domain::run::{RunId, Stream, TaskKey, TaskState};
use crate::domain::undo::{Before, Remembered};
use crate::resources::undo::{self, Back};
use crate::resources::{Means, ResourceError};
use crate::transport::Host;

/// A run that is to be taken back.
#[derive(Debug, Clone)]
pub struct Past {
    /// The run, its plan and its tasks.
    pub earlier: Earlier,
    /// What its tasks put on record.
    pub records: Vec<Remembered>,
}

/// What one task of one run left behind.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The run.
    pub run: RunId,
    /// The task by its position in the run's plan, from 0.
    pub ordinal: u32,
    /// How many times it was begun.
    pub attempts: u32,
    /// How it ended.
    pub state: TaskState,
    /// Whether this run carried it out itself, and did not take it over from an earlier one.
    pub own: bool,
    ended_at: Option<Timestamp>,
    /// What it put on record, the last change first.
    records: Vec<Before>,
}

/// What each task left behind that was not taken back yet, the newest run's first.
pub fn traces(past: &[Past]) -> BTreeMap<TaskKey, Vec<Trace>> {
    let mut traces: BTreeMap<TaskKey, Vec<Trace>> = BTreeMap::new();
    for Past { earlier, records } in past {
        let mut recorded: BTreeMap<u32, Vec<Before>> = BTreeMap::new();
        for record in records.iter().rev() {
            let of_task = recorded.entry(record.ordinal).or_default();
            of_task.push(record.before.clone());
        }
        let kept: BTreeSet<&TaskKey> = earlier.plan.kept.iter().map(|task| &task.key).collect();
        for (task, ordinal) in earlier.tasks.iter().zip(0..) {
            if task.attempts == 0 || !task.state.may_become(TaskState::Undone) {
                continue;
            }
            traces.entry(task.key.clone()).or_default().push(Trace {
                run: earlier.run.id,
                ordinal,
                attempts: task.attempts,
                state: task.state,
                own: !kept.contains(&task.key),
                ended_at: task.ended_at,
                records: recorded.remove(&ordinal).unwrap_or_default(),
            });
        }
    }
    traces
}

/// Whether what the step's command did is taken back by the step's own `undo`.
fn uses_undo(step: &Step, traces: &[Trace]) -> bool {
    step.undo.is_some() && runs_commands(step, traces)
}

/// Whether a command was run that changes something nobody can see.
fn runs_commands(step: &Step, traces: &[Trace]) -> bool {
    let recorded = traces
        .iter()
        .flat_map(|trace| &trace.records)
        .any(|before| matches!(before, Before::Command { .. }));
    let ran = matches!(step.work(), Ok(Work::Run(command) | Work::Local(command)) if command.changes)
        && traces.iter().any(|trace| trace.own);
    recorded || ran
}

/// Plans to take back the newest of `past`, together with the runs it took up, which follow it.
///
/// Of `request` the origin, the nodes, the parameters (which replace recorded ones of the same name) and whether it is a
/// dry run count.
///
/// # Errors
/// [`PlanError`] when nothing is left to take back, or something must be said first.
pub fn plan_undo(
    past: &[Past],
    environment: &Environment,
    request: PlanRequest,
) -> Result<Plan, PlanError> {
    let Some(newest) = past.first().map(|past| &past.earlier) else {
        return Err(PlanError::NothingToDo(
            "there is no run to take back".into(),
        ));
    };
    let request = PlanRequest {
        nodes: super::plan::chosen_nodes(environment, &request.nodes)?,
        ..request
    };
    let params = super::resume::params(newest, &request.params)?;
    let mut survey = Survey {
        environment,
        templates: Templates::new(environment, &params),
        only: &request.nodes,
        cautions: Vec::new(),
    };
    let traces = traces(past);
    let mut seen = BTreeSet::new();
    let recorded: Vec<&PlannedStep> = past
        .iter()
        .flat_map(|past| &past.earlier.plan.steps)
        .filter(|planned| seen.insert(planned.step.id.as_str()))
        .collect();
    let mut found = Vec::with_capacity(recorded.len());
    for planned in &recorded {
        found.push(survey.step(planned, &traces)?);
    }
    let steps = in_reverse(&recorded, found)?;
    let (handlers, owed) = handlers_after(&steps, newest, &survey)?;
    let steps: Vec<PlannedStep> = steps.into_iter().chain(handlers).collect();
    let cautions = survey.cautions();
    if steps.is_empty() {
        return Err(PlanError::NothingToDo(nothing(newest, &traces, &cautions)));
    }
    let risk = if request.dry_run {
        Risk::Read
    } else {
        newest.plan.risk
    };
    let title = format!("Undo run {}: {}", newest.run.number, newest.plan.title);
    let request = PlanRequest {
        environment: newest.plan.request.environment.clone(),
        recipe: newest.plan.request.recipe.clone(),
        params,
        once: BTreeMap::new(),
        ..request
    };
    let plan = Plan {
        owed,
        cautions,
        ..Plan::new(request, title, risk, steps)
    };
    Ok(seal(plan, environment))
}

fn nothing(
    newest: &Earlier,
    traces: &BTreeMap<TaskKey, Vec<Trace>>,
    cautions: &[String],
) -> String {
    let number = newest.run.number;
    let undone = newest
        .tasks
        .iter()
        .any(|task| task.state == TaskState::Undone);
    if !cautions.is_empty() {
        format!(
            "nothing of run {number} can be taken back: {}",
            cautions.join("; ")
        )
    } else if undone {
        format!("run {number} was undone already: nothing is left to take back")
    } else if traces.is_empty() {
        format!("run {number} changed nothing, so there is nothing to take back")
    } else {
        format!("run {number} put nothing on record, so there is nothing to take back")
    }
}

/// What is to be taken back of one step.
struct Found {
    hosts: Option<Vec<String>>,
    preview: Vec<String>,
    ended: Option<Timestamp>,
}

/// Looks through what the tasks left behind.
struct Survey<'a> {
    environment: &'a Environment,
    templates: Templates,
    only: &'a [String],
    /// What stays, and the hosts it stays on.
    cautions: Vec<(String, Vec<String>)>,
}

impl Survey<'_> {
    fn step(
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

    fn cautions(self) -> Vec<String> {
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

/// The handlers of what is taken back, which run again when that is done, and whom they are owed: every host on which
/// something is taken back that notified them, and those that the run itself left owing.
fn handlers_after(
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
        let preview = super::plan::preview_of(&step, &work, hosts.as_deref(), &survey.templates)?;
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

/// The steps of the undo, one after the other: what ended last is taken back first, and nothing before what needed it.
fn in_reverse(
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

/// Takes back what a task left behind: `step` on `host`, or where the engine is.
///
/// What somebody changed since is refused, and the rest is taken back all the same; then the task has failed with the
/// reasons. With `force` it is overwritten.
///
/// # Errors
/// [`StepError`] when something was refused or could not be taken back.
pub async fn take_back(
    step: &Step,
    host: Option<&str>,
    traces: &[Trace],
    force: bool,
    context: &Context,
) -> Result<Outcome, StepError> {
    let mut outcome = Outcome::Ok;
    if uses_undo(step, traces)
        && let Some(undo) = &step.undo
    {
        let templates = Templates::new(&context.environment, &context.params);
        let scope = templates.scope(host);
        outcome = carry_out(step, &undo.work(), host, &scope, context).await?;
    }
    let records: Vec<&Before> = traces.iter().flat_map(|trace| &trace.records).collect();
    if records.is_empty() {
        return Ok(outcome);
    }
    let mut work = Restore {
        host: &*node(step, host, context)?,
        context,
        force,
        restored: Vec::new(),
        refused: Vec::new(),
        changed: false,
    };
    for before in &records {
        work.one(before).await?;
    }
    work.settle(&records).await?;
    if !work.refused.is_empty() {
        let refused = work.refused.join("; ");
        if context.dry_run {
            return Ok(Outcome::Skipped(format!("would be refused: {refused}")));
        }
        return Err(StepError::lasting(format!(
            "{refused}; left as it is: look, then undo again with --force to overwrite it"
        )));
    }
    if !context.dry_run {
        work.prove(&records).await?;
    }
    Ok(if work.changed {
        Outcome::Changed
    } else {
        outcome
    })
}

/// Takes the records of one task back, on one host.
struct Restore<'a> {
    host: &'a dyn Host,
    context: &'a Context,
    force: bool,
    /// Paths that are as before again.
    restored: Vec<String>,
    refused: Vec<String>,
    changed: bool,
}

impl Restore<'_> {
    fn means<'a>(&'a self, changed: &'a [String]) -> Means<'a> {
        Means {
            log: &*self.context.log,
            cancel: &self.context.cancel,
            cache: &self.context.cache,
            changed,
            records: &undo::NoRecords,
            position: 0,
        }
    }

    async fn check(&self, before: &Before, changed: &[String]) -> Result<Back, StepError> {
        undo::check(before, self.host, &self.means(changed))
            .await
            .map_err(|error| failed(before, &error))
    }

    async fn one(&mut self, before: &Before) -> Result<(), StepError> {
        let label = before.label();
        if let Before::Command { .. } = before {
            return Ok(());
        }
        let back = self.check(before, &[]).await?;
        if back.difference.is_none() {
            let note = format!("{label}: as it was before");
            self.context.note(note).await;
            return Ok(());
        }
        for change in &back.difference.changes {
            self.context.note(format!("{label}: {change}")).await;
        }
        for line in &back.difference.diff {
            self.context.log.line(Stream::Diff, line.clone()).await;
        }
        match back.refused {
            Some(reason) if self.force => {
                let note = format!("{label}: {reason}; overwritten, as was asked for");
                self.context.note(note).await;
            }
            Some(reason) => {
                self.context.note(format!("{label}: {reason}")).await;
                self.refused.push(format!("{label}: {reason}"));
                return Ok(());
            }
            None => {}
        }
        self.changed = true;
        if !self.context.dry_run {
            undo::take_back(before, self.host, &self.means(&[]))
                .await
                .map_err(|error| failed(before, &error))?;
            self.context.note(format!("{label}: taken back")).await;
        }
        self.restored
            .extend(undo::path_of(before).map(ToOwned::to_owned));
        Ok(())
    }

    /// Units that ran before run again, with what they read then.
    async fn settle(&mut self, records: &[&Before]) -> Result<(), StepError> {
        for before in records.iter().rev() {
            let Before::Unit(unit) = before else {
                continue;
            };
            if self.context.dry_run {
                let back = self.check(before, &self.restored).await?;
                let restart = back.difference.changes.iter();
                for change in restart.filter(|change| change.starts_with("restart")) {
                    let note = format!("{}: {change}", before.label());
                    self.context.note(note).await;
                }
                continue;
            }
            undo::settle(unit, self.host, &self.means(&self.restored))
                .await
                .map_err(|error| failed(before, &error))?;
        }
        Ok(())
    }

    /// Looks once more at everything, and lets go of the copies that are not needed any longer.
    async fn prove(&self, records: &[&Before]) -> Result<(), StepError> {
        // The oldest record of each thing says how it was before the run.
        let mut seen = BTreeSet::new();
        for before in records.iter().rev() {
            let made = matches!(before, Before::Directory(directory) if directory.was.is_none());
            if made || !seen.insert(before.label()) {
                continue;
            }
            // A file that several settings are kept in is as it was before the first of them.
            if let Before::Setting(setting) = before
                && setting
                    .files
                    .iter()
                    .any(|file| !seen.insert(format!("file {}", file.path)))
            {
                continue;
            }
            let left = self.check(before, &[]).await?.difference;
            if !left.is_none() {
                return Err(StepError::lasting(format!(
                    "{}: was taken back, and still: {}",
                    before.label(),
                    left.changes.join("; ")
                )));
            }
        }
        for before in records {
            undo::forget(before, self.host, &self.means(&[]))
                .await
                .map_err(|error| failed(before, &error))?;
        }
        Ok(())
    }
}

fn failed(before: &Before, error: &ResourceError) -> StepError {
    StepError {
        passing: error.is_passing(),
        message: format!("{}: {error}", before.label()),
    }
}

#[cfg(test)]
mod tests;
