//! `run` and `local`: a command on a node, or where the engine is, judged by its exit status and by what it said.

use std::collections::BTreeMap;
use std::time::Duration;

use super::template::Scope;
use super::{Context, Outcome, StepError};
use crate::domain::recipe::{RunCommand, Step};
use crate::resources::exec::{Relay, Said};
use crate::transport::local::{self, LocalError, Program};
use crate::transport::{Command, Exit, Host, quote};

/// How long a local program may clean up after it was told to stop.
const GRACE: Duration = Duration::from_secs(8);

/// `run`: on the node.
pub(super) async fn execute(
    command: &RunCommand,
    step: &Step,
    host: &dyn Host,
    scope: &Scope<'_>,
    context: &Context,
) -> Result<Outcome, StepError> {
    if command.changes && context.dry_run {
        return Ok(would_run(command, context).await);
    }
    let limit = step.time_limit().map_err(StepError::lasting)?;
    context.note(format!("$ {}", quote(&command.argv))).await;
    let mut relay = Relay::new(&*context.log);
    let exit = host
        .stream(
            &Command::new(command.argv.clone()).within(limit),
            &mut relay,
            &context.cancel,
        )
        .await?;
    judge(command, &exit, &relay.finish().await, scope)
}

/// `local`: where the engine is, in its environment, with the names of environment and node added.
pub(super) async fn execute_here(
    command: &RunCommand,
    host: Option<&str>,
    scope: &Scope<'_>,
    context: &Context,
) -> Result<Outcome, StepError> {
    if command.changes && context.dry_run {
        return Ok(would_run(command, context).await);
    }
    context.note(format!("$ {}", quote(&command.argv))).await;
    let mut environment = BTreeMap::from([(
        "QUARTERDECK_ENVIRONMENT".to_owned(),
        context.environment.name.clone(),
    )]);
    if let Some(host) = host {
        environment.insert("QUARTERDECK_NODE".into(), host.into());
    }
    let program = Program {
        environment,
        // The engine cancels when the step's time is up; the program's grace period ends before the engine's patience.
        timeout: None,
        grace: GRACE,
        ..Program::new(command.argv.clone())
    };
    let mut relay = Relay::new(&*context.log);
    let exit = local::run(&program, &mut relay, &context.cancel)
        .await
        .map_err(|error: LocalError| StepError::lasting(error.to_string()))?;
    judge(command, &exit, &relay.finish().await, scope)
}

async fn would_run(command: &RunCommand, context: &Context) -> Outcome {
    context
        .note(format!("would run: {}", quote(&command.argv)))
        .await;
    Outcome::Changed
}

fn judge(
    command: &RunCommand,
    exit: &Exit,
    said: &Said,
    scope: &Scope<'_>,
) -> Result<Outcome, StepError> {
    let line = quote(&command.argv);
    // Whether another attempt may help, the recipe knows best: it says so with `retries`.
    let failed = |message| StepError {
        message,
        passing: true,
    };
    if !exit.success() {
        let complaint = said.complaint();
        return Err(failed(if complaint.is_empty() {
            format!("{line}: {exit}")
        } else {
            format!("{line}: {exit}: {complaint}")
        }));
    }
    let output = String::from_utf8_lossy(&said.stdout);
    let output = output.trim_end_matches(['\n', '\r']);
    if let Some(expect) = &command.expect
        && !output.contains(expect.as_str())
    {
        return Err(failed(format!(
            "{line} said {}, which does not contain {expect:?}",
            shorten(output)
        )));
    }
    if let Some(check) = &command.check {
        let now = jiff::Timestamp::now().as_second();
        if !scope.holds_of(check, output, now)? {
            return Err(failed(format!(
                "{line} said {}, for which it is not the case that {check}",
                shorten(output)
            )));
        }
    }
    Ok(if command.changes {
        Outcome::Changed
    } else {
        Outcome::Ok
    })
}

/// What was said, short enough for a sentence.
fn shorten(output: &str) -> String {
    let last = output.lines().next_back().unwrap_or_default();
    let mut short: String = last.chars().take(120).collect();
    if short.len() < output.len() {
        short = format!("… {short}");
    }
    if short.is_empty() {
        "nothing".into()
    } else {
        format!("{short:?}")
    }
}
