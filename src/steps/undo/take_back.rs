//! Carries an undo out: one task's records, each looked at before and proved after.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::traces::{Trace, uses_undo};
use crate::domain::recipe::Step;
use crate::domain::run::Stream;
use crate::domain::undo::Before;
use crate::resources::undo::{self, Back};
use crate::resources::{Means, ResourceError};
use crate::steps::template::Templates;
use crate::steps::{Context, Outcome, StepError, carry_out, node};
use crate::transport::Host;

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
        let templates = Templates::with_secrets(
            &context.environment,
            &context.params,
            Arc::clone(&context.secrets),
        );
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
            offline: self.context.offline,
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
