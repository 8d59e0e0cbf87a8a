//! `do: apply`: applies the plan that was shown, once, if nothing has moved since.

use std::fs;

use super::super::program::{look, show};
use super::super::workshop::disk;
use super::super::{Context, Outcome, StepError};
use super::bound::moved;
use super::place::Place;
use super::plan::Shown;
use super::watch::{Told, run};
use crate::domain::recipe::TerraformStep;
use crate::transport::local::Program;

pub(super) async fn apply(asked: &TerraformStep, context: &Context) -> Result<Outcome, StepError> {
    let of = asked.of.as_deref().unwrap_or_default();
    let (shown, plan_file) = Shown::read(of, context)?;
    if !shown.changes {
        return Ok(Outcome::Skipped("the plan changes nothing".into()));
    }
    if context.dry_run {
        context
            .note(format!("would apply: {}", shown.sentence))
            .await;
        return Ok(Outcome::Changed);
    }
    let place = Place::enter(&shown.root, asked.grace(), context).await?;
    if let Some(what) = moved(&shown, &plan_file, &place, context).await? {
        return Err(StepError::lasting(format!(
            "the plan is void and was not applied: {what}; resume the run, and it is planned and shown anew"
        )));
    }
    let plan = plan_file.display().to_string();
    let command = place.command([
        "apply",
        "-json",
        "-input=false",
        &format!("-lock-timeout={}", asked.lock_timeout),
        &plan,
    ]);
    let command = Program {
        spool: Some(context.workshop.bench(&format!("{of}-apply"))?),
        ..command
    };
    let told = Told::new(format!("apply to {}", place.told()));
    let applied = run(&place, &command, &told, context).await;
    // It is used up, whatever came of it.
    fs::remove_file(&plan_file).map_err(|error| disk(&plan_file, &error))?;
    let (done, all) = look(&told, |told| {
        let (done, all) = told.account.progress();
        told.summary = vec![format!("{}: {done} of {all} changes applied", place.told())];
        told.summary.extend(told.account.outputs());
        (done, all)
    });
    show(&told, context).await;
    applied?;
    let outputs = look(&told, |told| told.account.outputs());
    for output in outputs {
        context.note(output).await;
    }
    context
        .note(format!("applied: {done} of {all} changes"))
        .await;
    Ok(Outcome::Changed)
}
