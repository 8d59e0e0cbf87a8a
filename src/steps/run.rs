//! `run` and `local`: a command on a node, or where the engine is, judged by its exit status and by what it said.

use std::collections::BTreeMap;
use std::time::Duration;

use super::template::Scope;
use super::{Context, Outcome, StepError};
use crate::domain::node::Node;
use crate::domain::recipe::{RunCommand, Step};
use crate::resources::exec::{Relay, Said};
use crate::transport::local::{self, LocalError, Program};
use crate::transport::{Command, Exit, Host, detached, job, quote};

/// How long a local program may clean up after it was told to stop.
const GRACE: Duration = Duration::from_secs(8);
/// How long other nodes than the task's own may take to answer.
const OTHERS: Duration = Duration::from_secs(10);

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
    let asked = Command {
        elevated: is_elevated(step, scope)?,
        ..Command::new(command.argv.clone()).within(limit)
    };
    if !command.elsewhere.is_empty() {
        return from_another(command, &asked, host.name(), scope, context).await;
    }
    let mut relay = Relay::new(&*context.log);
    if !command.detached {
        let exit = host.stream(&asked, &mut relay, &context.cancel).await?;
        let said = relay.finish().await;
        if !exit.success() {
            // By this the answers of many nodes are told apart: see `domain::answers`.
            context.note(exit.to_string()).await;
        }
        let judged = judge(command, &exit, &said, scope)?;
        if command.distinct {
            compare(&asked, host.name(), &said.stdout, context).await?;
        }
        return Ok(judged);
    }
    let name = job::spool(0);
    let exit = detached::run(host, &asked, &name, &mut relay, &context.cancel).await?;
    let judged = judge(command, &exit, &relay.finish().await, scope);
    if judged.is_err() {
        // Another attempt is to run it anew, not to hear the same again.
        detached::drop_spool(host, &asked, &name).await;
    }
    judged
}

/// Runs the command on another node with one of the roles: the first that answers.
async fn from_another(
    command: &RunCommand,
    asked: &Command,
    node: &str,
    scope: &Scope<'_>,
    context: &Context,
) -> Result<Outcome, StepError> {
    let has_role = |other: &&Node| {
        command
            .elsewhere
            .iter()
            .any(|role| other.roles.contains(role))
    };
    let others = context
        .environment
        .nodes
        .iter()
        .filter(|other| other.name != node);
    let mut away = Vec::new();
    for other in others.filter(has_role) {
        let host = context.reach.host(&other.name)?;
        let ready = tokio::time::timeout(OTHERS, host.ready());
        let reason = match ready.await {
            Ok(Ok(())) => {
                context.note(format!("seen from {}", other.name)).await;
                let mut relay = Relay::new(&*context.log);
                let exit = host.stream(asked, &mut relay, &context.cancel).await?;
                return judge(command, &exit, &relay.finish().await, scope);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "{} does not answer within {} s",
                other.name,
                OTHERS.as_secs()
            ),
        };
        context.note(reason.clone()).await;
        away.push(reason);
    }
    let roles: Vec<&str> = command.elsewhere.iter().map(|role| role.word()).collect();
    Err(StepError {
        passing: !away.is_empty(),
        message: if away.is_empty() {
            format!(
                "there is no other node that is {} and could see {node}",
                roles.join(" or ")
            )
        } else {
            format!(
                "no other node can be asked about {node}: {}",
                away.join("; ")
            )
        },
    })
}

/// Asks every other node the same and fails where one answers the same. One that does not answer is told of.
async fn compare(
    asked: &Command,
    node: &str,
    answer: &[u8],
    context: &Context,
) -> Result<(), StepError> {
    let others = context
        .environment
        .nodes
        .iter()
        .filter(|other| other.name != node);
    let looks = others.map(|other| async move {
        let look = async {
            let host = context
                .reach
                .host(&other.name)
                .map_err(|error| error.to_string())?;
            host.output(asked).await.map_err(|error| error.to_string())
        };
        let looked = tokio::time::timeout(OTHERS, look).await;
        let looked =
            looked.unwrap_or_else(|_| Err(format!("no answer within {} s", OTHERS.as_secs())));
        (other.name.as_str(), looked)
    });
    let answer = String::from_utf8_lossy(answer);
    let mut same = Vec::new();
    for (other, looked) in futures::future::join_all(looks).await {
        match looked {
            Ok(output) if output.text().trim() == answer.trim() => same.push(other),
            Ok(_) => {}
            Err(reason) => {
                let note = format!("{other} could not be asked, so it is not compared: {reason}");
                context.note(note).await;
            }
        }
    }
    if same.is_empty() {
        return Ok(());
    }
    Err(StepError::lasting(format!(
        "{} says the same as {node}: {}",
        same.join(" and "),
        shorten(answer.trim())
    )))
}

/// Whether the step's command runs as root.
fn is_elevated(step: &Step, scope: &Scope<'_>) -> Result<bool, StepError> {
    let Some(user) = &step.user else {
        return Ok(true);
    };
    match scope.render(user)?.as_str() {
        "root" => Ok(true),
        "login" => Ok(false),
        other => Err(StepError::lasting(format!(
            "`as` is {other:?}; it can be root or login"
        ))),
    }
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
            let said = shorten(output);
            return Err(failed(match &command.otherwise {
                Some(meaning) => format!("{meaning}: {line} said {said}"),
                None => format!("{line} said {said}, for which it is not the case that {check}"),
            }));
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
