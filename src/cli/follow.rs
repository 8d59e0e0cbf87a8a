//! From a plan to the end of its run: shown, agreed to, started, followed; the same way for every command that begins one.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::Args;

use super::exit::{Ended, Exit};
use super::session::{Endings, Session};
use super::started::{Brake, Started, shows_again};
use super::tail::{Printer, exit_of};
use super::{answers, output};
use crate::client::{Client, Connection, Event, Request, Response};
use crate::domain::action::{Consent, Gate};
use crate::domain::plan::{Plan, PlanRequest};
use crate::domain::run::{Run, RunState, Task};
use crate::store::LineFilter;

/// What the operator gives beforehand, and how he wants to be told.
#[derive(Debug, Clone, Args)]
pub(super) struct Give {
    /// Say yes where the environment asks for a confirmation
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME")]
    pub(super) confirm: Option<String>,
    /// Print the run's number and do not wait for its end
    #[arg(long, short, conflicts_with = "own_engine")]
    pub(super) detach: bool,
    /// Print the plan and every log line as one JSON object per line
    #[arg(long)]
    pub(super) json: bool,
}

/// A plan and what stands before it.
pub(super) struct Planned {
    /// What will happen.
    pub(super) plan: Plan,
    /// What has to be said before it may begin.
    pub(super) gate: Gate,
}

impl Planned {
    /// Shows the plan: as JSON on standard output, or in words on standard error.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn show(&self, json: bool) -> io::Result<()> {
        show(&self.plan, json)
    }
}

/// Asks the engine for a plan.
///
/// # Errors
/// [`Exit::Unusable`] with the engine's reason when there is none.
pub(super) async fn plan(client: &Client, request: PlanRequest) -> color_eyre::Result<Planned> {
    match client
        .call(Request::Plan(request))
        .await
        .map_err(Ended::unusable)?
    {
        Response::Plan { plan, gate } => Ok(Planned { plan: *plan, gate }),
        _ => Err(Ended::unusable("the engine answered something else than a plan").into()),
    }
}

/// Starts a plan that was shown, and follows its run to the end.
///
/// # Errors
/// [`Exit::Refused`] when the gate stays shut; a run that fails is [`Exit::Failed`].
pub(super) async fn carry_out(
    session: &Session,
    planned: Planned,
    give: Give,
) -> color_eyre::Result<Exit> {
    let client = session.client();
    let mut started = Started::begin(client, planned, give.yes, give.confirm).await?;
    if give.detach {
        return started.detach(give.json);
    }
    // What the run must know, such as a password, is asked here; without a terminal it fails and says so.
    let _answering = answers::on_terminal(client).await;
    let width = width(&started.plan);
    let mut follower = Follower::new(client, started.run, width, give.json);
    let mut brake = Brake::new(true);
    loop {
        tokio::select! {
            event = started.events.next() => match event {
                Some(event) => follower.take(&event).await?,
                None => break,
            },
            asked = started.endings.next() => {
                let again = shows_again(&follower.run);
                if brake.press(session, &follower.run, asked, &again).await? {
                    return Ok(Exit::Cancelled);
                }
            }
        }
        if follower.run.state.is_final() {
            break;
        }
    }
    follower.finish().await
}

/// A run that was started and is waited for, for commands that print something else than its log.
pub(super) struct Watch<'a> {
    session: &'a Session,
    events: crate::client::Subscription,
    endings: Endings,
    run: Run,
}

impl<'a> Watch<'a> {
    /// Starts a plan that was shown.
    ///
    /// # Errors
    /// [`Exit::Refused`] when the gate stays shut.
    pub(super) async fn start(
        session: &'a Session,
        planned: Planned,
        yes: bool,
        typed: Option<String>,
    ) -> color_eyre::Result<Self> {
        let started = Started::begin(session.client(), planned, yes, typed).await?;
        Ok(Self {
            session,
            events: started.events,
            endings: started.endings,
            run: started.run,
        })
    }

    /// A run that was started before, by whomever.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn attach(session: &'a Session, run: Run) -> color_eyre::Result<Self> {
        let endings = Endings::listen();
        // Subscribed before it is read once more, so that its end is not missed.
        let events = session.client().subscribe();
        let run = session.client().history.run(run.id)?.unwrap_or(run);
        Ok(Self {
            session,
            events,
            endings,
            run,
        })
    }

    /// The run as it was last heard of.
    pub(super) const fn run(&self) -> &Run {
        &self.run
    }

    /// Waits for the end, telling of every step of the way; `None` when the operator leaves before. The first ctrl-c
    /// cancels the run, the second leaves.
    ///
    /// # Errors
    /// When the engine is gone.
    pub(super) async fn until_the_end(
        mut self,
        mut tell: impl FnMut(&Run),
    ) -> color_eyre::Result<Option<Run>> {
        let client = self.session.client();
        let mut brake = Brake::new(true);
        while !self.run.state.is_final() {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(Event::Run(run)) if run.id == self.run.id => {
                        self.run = *run;
                        tell(&self.run);
                    }
                    Some(Event::Missed(_)) => {
                        if let Some(run) = client.history.run(self.run.id)? {
                            self.run = run;
                        }
                    }
                    Some(_) => {}
                    None => return Err(Ended::new(Exit::Failed, "the engine ended").into()),
                },
                asked = self.endings.next() => {
                    let again = shows_again(&self.run);
                    if brake.press(self.session, &self.run, asked, &again).await? {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(self.run))
    }
}

/// Columns that the names of a plan's tasks take.
pub(super) fn width(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .flat_map(crate::domain::plan::PlannedStep::tasks)
        .map(|task| task.to_string().chars().count())
        .max()
        .unwrap_or(0)
}

/// Copies a run's lines from the store to standard output as events say that there are more.
pub(super) struct Follower<'a> {
    client: &'a Client,
    /// The run as it is now.
    pub(super) run: Run,
    next: u64,
    printer: Printer,
    /// Whether anybody reads standard output; a run goes on without a reader.
    read: bool,
}

impl<'a> Follower<'a> {
    /// Follows `run` from its first line; names of tasks take `width` columns.
    pub(super) fn new(client: &'a Client, run: Run, width: usize, json: bool) -> Self {
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

    /// Whether lines are printed as JSON.
    pub(super) const fn is_json(&self) -> bool {
        self.printer.json
    }

    /// Takes in an event.
    ///
    /// # Errors
    /// When the store cannot be read or standard output not be written.
    pub(super) async fn take(&mut self, event: &Event) -> color_eyre::Result<()> {
        match event {
            Event::Run(run) if run.id == self.run.id => {
                if run.state == RunState::WaitingApproval && run.state != self.run.state {
                    let what = run.reason.as_deref().unwrap_or("waits for an approval");
                    output::remark(&format!(
                        "run {} {}: `quarterdeck approvals` shows it, `quarterdeck approve {}` lets it go on",
                        run.number,
                        output::plain(what),
                        run.number
                    ));
                }
                self.run = (**run).clone();
                self.copy().await
            }
            Event::Lines { run, .. } if *run == self.run.id => self.copy().await,
            Event::Connection(
                Connection::Lost(reason)
                | Connection::Replaced(reason)
                | Connection::Stopped(reason),
            ) => {
                output::remark(&format!("no engine: {reason}"));
                Ok(())
            }
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

    /// Prints the rest, and how it ended.
    ///
    /// # Errors
    /// As [`Follower::take`].
    pub(super) async fn finish(mut self) -> color_eyre::Result<Exit> {
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
        "run {} {} ({} on {}): {} ok, {} {}, {} skipped, {} failed",
        run.number,
        run.state,
        run.recipe,
        run.environment,
        tally.ok,
        tally.changed,
        run.changed_word(),
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

/// Shows a plan: every step with its hosts and what it will do, what is kept of an earlier run, and what to read first.
pub(super) fn show(plan: &Plan, json: bool) -> io::Result<()> {
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
    let (idle, at_work): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|one| one.is_idle());
    for planned in at_work {
        let kept: Vec<&Task> = plan
            .kept
            .iter()
            .filter(|task| task.key.step == planned.step.id)
            .collect();
        let is_kept = |host: &String| kept.iter().any(|task| task.key.host.as_ref() == Some(host));
        let hosts: Option<Vec<&str>> = planned.hosts.as_ref().map(|hosts| {
            let left = hosts.iter().filter(|host| !is_kept(host));
            left.map(String::as_str).collect()
        });
        let place = match &hosts {
            None if kept.is_empty() => "here".to_owned(),
            None => "kept".to_owned(),
            Some(left) if left.is_empty() && !kept.is_empty() => "kept".to_owned(),
            Some(left) => left.join(" "),
        };
        output::remark(&format!(
            "  {:<20} {}  [{place}]",
            planned.step.id, planned.step.title
        ));
        for task in &kept {
            let reason = task.reason.as_deref().unwrap_or_default();
            output::remark(&format!(
                "      kept: {} {}: {}",
                task.key,
                task.state,
                output::plain(reason)
            ));
        }
        if place != "kept" {
            for line in &planned.preview {
                output::remark(&format!("      {}", output::plain(line)));
            }
        }
    }
    if !idle.is_empty() {
        let names: Vec<&str> = idle.iter().map(|one| one.step.id.as_str()).collect();
        output::remark(&format!("  no node is selected for: {}", names.join(", ")));
    }
    for caution in &plan.cautions {
        output::remark(&format!("note: {}", output::plain(caution)));
    }
    for sentence in &plan.outlook {
        output::remark(&format!("      {}", output::plain(sentence)));
    }
    Ok(())
}

/// What the operator gives at the gate: from the flags, or asked for on a terminal. The default is no.
pub(super) fn consent(
    gate: Gate,
    environment: &str,
    yes: bool,
    typed: Option<String>,
) -> color_eyre::Result<Consent> {
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
        Gate::TypeName | Gate::SecondOperator if asked => format!("Type {environment} to go on: "),
        Gate::Confirm => return Err(Ended::refused(format!("{missing}: add --yes")).into()),
        Gate::TypeName | Gate::SecondOperator => {
            return Err(Ended::refused(format!("{missing}: add --confirm {environment}")).into());
        }
        Gate::Open | Gate::ReadOnly => {
            return Err(Ended::refused(missing).into());
        }
    };
    let answer = ask(&question)?;
    let given = match gate {
        Gate::Confirm if matches!(answer.as_str(), "y" | "Y" | "yes") => Consent::Yes,
        Gate::TypeName | Gate::SecondOperator => Consent::Typed(answer),
        _ => Consent::None,
    };
    gate.check(&given, environment)
        .map_err(|missing| Ended::refused(format!("{missing}; nothing was done")))?;
    Ok(given)
}

/// Asks a question on the terminal; the answer without the space around it.
pub(super) fn ask(question: &str) -> io::Result<String> {
    write!(io::stderr(), "{question}")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}
