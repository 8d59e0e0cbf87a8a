//! `quarterdeck run`: plan, gate, run, follow; the same way a key in the screens goes.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;
use serde_json::Value;

use super::exit::{Ended, Exit};
use super::session::{Session, asked_to_end};
use super::tail::{Printer, exit_of};
use super::{Global, output};
use crate::client::{Client, Event, Request, Response};
use crate::domain::action::{Consent, Gate};
use crate::domain::plan::{Plan, PlanRequest};
use crate::domain::run::{Run, RunState};
use crate::store::LineFilter;

/// Flags of `quarterdeck run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Name of the recipe, such as `deploy` or `verify`
    recipe: String,
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Only on these nodes
    #[arg(long, value_name = "NODE", value_delimiter = ',')]
    on: Vec<String>,
    /// A parameter of the recipe
    #[arg(long = "param", short = 'p', value_name = "NAME=VALUE", value_parser = parameter)]
    params: Vec<(String, Value)>,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Say yes where the environment asks for a confirmation
    #[arg(long, short)]
    yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Print the plan and every log line as one JSON object per line
    #[arg(long)]
    json: bool,
}

fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    // Numbers, booleans and lists can be given as JSON; anything else is text.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into()));
    Ok((name.into(), value))
}

/// Plans and runs a recipe, and follows it to its end.
///
/// # Errors
/// When it cannot be planned or started; a run that fails is [`Exit::Failed`].
pub(super) async fn run(global: &Global, args: RunArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global).await?;
    let outcome = follow(&session, args).await;
    session.close().await;
    outcome
}

async fn follow(session: &Session, args: RunArgs) -> color_eyre::Result<Exit> {
    let client = session.client();
    let request = PlanRequest {
        environment: session
            .environment(args.environment.as_deref())?
            .name
            .clone(),
        recipe: args.recipe,
        params: args.params.into_iter().collect::<BTreeMap<_, _>>(),
        nodes: args.on,
        dry_run: args.dry_run,
        ..PlanRequest::default()
    };
    let Response::Plan { plan, gate } = client
        .call(Request::Plan(request))
        .await
        .map_err(Ended::unusable)?
    else {
        return Err(Ended::unusable("the engine answered something else than a plan").into());
    };
    show(&plan, args.json)?;
    let consent = consent(gate, &plan, args.yes, args.confirm)?;
    // Subscribed before the start, so that nothing of the run is missed.
    let mut events = client.subscribe();
    let start = Request::Start {
        hash: plan.hash.clone(),
        consent,
    };
    let Response::Started(run) = client.call(start).await.map_err(Ended::refused)? else {
        return Err(Ended::unusable("the engine answered something else than a run").into());
    };
    let mut follower = Follower::new(client, *run, &plan, args.json);
    let mut stopping = false;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => follower.take(&event).await?,
                None => break,
            },
            () = asked_to_end() => {
                if stopping {
                    return Ok(Exit::Cancelled);
                }
                stopping = true;
                output::remark("stopping the run; press ctrl-c again to leave at once");
                client.call(Request::Cancel { run: follower.run.id }).await.map_err(Ended::refused)?;
            }
        }
        if follower.run.state.is_final() {
            break;
        }
    }
    follower.finish().await
}

/// Copies a run's lines from the store to standard output as events say that there are more.
struct Follower<'a> {
    client: &'a Client,
    run: Run,
    next: u64,
    printer: Printer,
    /// Whether anybody reads standard output; a run goes on without a reader.
    read: bool,
}

impl<'a> Follower<'a> {
    fn new(client: &'a Client, run: Run, plan: &Plan, json: bool) -> Self {
        let width = plan
            .steps
            .iter()
            .flat_map(crate::domain::plan::PlannedStep::tasks)
            .map(|task| task.to_string().chars().count())
            .max()
            .unwrap_or(0);
        Self {
            client,
            run,
            next: 0,
            printer: Printer {
                json,
                columns: false,
                width,
            },
            read: true,
        }
    }

    async fn take(&mut self, event: &Event) -> color_eyre::Result<()> {
        match event {
            Event::Run(run) if run.id == self.run.id => {
                self.run = (**run).clone();
                self.copy().await
            }
            Event::Lines { run, .. } if *run == self.run.id => self.copy().await,
            Event::Missed(_) => {
                if let Some(run) = self.client.history.run(self.run.id)? {
                    self.run = run;
                }
                self.copy().await
            }
            _ => Ok(()),
        }
    }

    async fn copy(&mut self) -> color_eyre::Result<()> {
        const WINDOW: usize = 2_000;
        loop {
            let (history, run, from) = (self.client.history.clone(), self.run.id, self.next);
            let window = tokio::task::spawn_blocking(move || {
                history.lines(run, from, WINDOW, &LineFilter::default())
            })
            .await??;
            self.next = window.last().map_or(self.next, |line| line.seq + 1);
            self.read = self.read && self.printer.lines(&window)?;
            if window.len() < WINDOW {
                return Ok(());
            }
        }
    }

    async fn finish(mut self) -> color_eyre::Result<Exit> {
        self.copy().await?;
        if !self.read {
            return Ok(exit_of(self.run.state));
        }
        if self.printer.json {
            output::json(&self.run)?;
        } else {
            output::remark(&summary(&self.run));
        }
        Ok(exit_of(self.run.state))
    }
}

/// One sentence about an ended run.
pub(super) fn summary(run: &Run) -> String {
    let tally = run.tally;
    let mut text = format!(
        "run {} {} ({} on {}): {} ok, {} changed, {} skipped, {} failed",
        run.number,
        run.state,
        run.recipe,
        run.environment,
        tally.ok,
        tally.changed,
        tally.skipped,
        tally.failed
    );
    if let Some(reason) = run
        .reason
        .as_deref()
        .filter(|_| run.state != RunState::Succeeded)
    {
        text.push_str("\n  ");
        text.push_str(&output::plain(reason));
    }
    text
}

fn show(plan: &Plan, json: bool) -> io::Result<()> {
    if json {
        return output::json(plan);
    }
    let what = if plan.request.dry_run {
        "dry run, nothing will change"
    } else {
        plan.risk.word()
    };
    output::remark(&format!(
        "{} on {} ({what})",
        plan.title, plan.request.environment
    ));
    for step in &plan.steps {
        let hosts = step
            .hosts
            .as_ref()
            .map_or_else(|| "here".into(), |hosts| hosts.join(" "));
        output::remark(&format!(
            "  {:<20} {}  [{hosts}]",
            step.step.id, step.step.title
        ));
        for line in &step.preview {
            output::remark(&format!("      {}", output::plain(line)));
        }
    }
    Ok(())
}

/// What the operator gives at the gate: from the flags, or asked for on a terminal. The default is no.
fn consent(
    gate: Gate,
    plan: &Plan,
    yes: bool,
    typed: Option<String>,
) -> color_eyre::Result<Consent> {
    let environment = plan.request.environment.as_str();
    let given = match typed {
        Some(name) => Consent::Typed(name),
        None if yes => Consent::Yes,
        None => Consent::None,
    };
    let Err(missing) = gate.check(&given, environment) else {
        return Ok(given);
    };
    let asked = given == Consent::None && io::stdin().is_terminal();
    let question = match gate {
        Gate::Confirm if asked => "Go on? [y/N] ".to_owned(),
        Gate::TypeName if asked => format!("Type {environment} to go on: "),
        Gate::Confirm => return Err(Ended::refused(format!("{missing}: add --yes")).into()),
        Gate::TypeName => {
            return Err(Ended::refused(format!("{missing}: add --confirm {environment}")).into());
        }
        Gate::Open | Gate::SecondOperator | Gate::ReadOnly => {
            return Err(Ended::refused(missing).into());
        }
    };
    write!(io::stderr(), "{question}")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim();
    let given = match gate {
        Gate::Confirm if matches!(answer, "y" | "Y" | "yes") => Consent::Yes,
        Gate::TypeName => Consent::Typed(answer.to_owned()),
        _ => Consent::None,
    };
    gate.check(&given, environment)
        .map_err(|missing| Ended::refused(format!("{missing}; nothing was done")))?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_where_it_can_be_and_text_otherwise() {
        assert_eq!(
            parameter("count=3").unwrap(),
            ("count".into(), Value::from(3))
        );
        assert_eq!(
            parameter("unit=consul.service").unwrap().1,
            Value::from("consul.service")
        );
        assert_eq!(parameter("empty=").unwrap().1, Value::from(""));
        assert!(parameter("nothing").is_err());
    }
}
