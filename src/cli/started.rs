//! A run that a command has just started or waits for: how it begins, and what ctrl-c does to it.

use super::exit::{Ended, Exit};
use super::follow::{Planned, consent};
use super::output;
use super::session::{Asked, Endings, Session};
use crate::client::{Client, Request, Response, Subscription};
use crate::domain::plan::Plan;
use crate::domain::run::Run;

/// A run that has just been started.
pub(super) struct Started {
    /// The run.
    pub(super) run: Run,
    /// What it does.
    pub(super) plan: Plan,
    /// What happens, from before its start on: nothing of it is missed.
    pub(super) events: Subscription,
    /// How this process is asked to end.
    pub(super) endings: Endings,
}

impl Started {
    /// Has the operator agree to a plan that was shown, with `yes` or the `typed` name given beforehand, and starts it.
    ///
    /// # Errors
    /// [`Exit::Refused`] when the gate stays shut.
    pub(super) async fn begin(
        client: &Client,
        planned: Planned,
        yes: bool,
        typed: Option<String>,
    ) -> color_eyre::Result<Self> {
        let Planned { plan, gate } = planned;
        let consent = consent(gate, &plan.request.environment, yes, typed)?;
        let endings = Endings::listen();
        let events = client.subscribe();
        let start = Request::Start {
            hash: plan.hash.clone(),
            consent,
        };
        let Response::Started(run) = client.call(start).await.map_err(Ended::refused)? else {
            return Err(Ended::unusable("the engine answered something else than a run").into());
        };
        Ok(Self {
            run: *run,
            plan,
            events,
            endings,
        })
    }

    /// Says which run it is, and leaves it to the engine.
    ///
    /// # Errors
    /// When that cannot be written.
    pub(super) fn detach(&self, json: bool) -> color_eyre::Result<Exit> {
        if json {
            output::json(&self.run)?;
        } else {
            output::line(&self.run.number.to_string())?;
        }
        Ok(Exit::Success)
    }
}

/// What ctrl-c does to a run that a command waits for: the first one cancels it, the second leaves it behind.
pub(super) struct Brake {
    /// Whether the run is this command's to cancel.
    ours: bool,
    pressed: bool,
}

impl Brake {
    /// With a run that is not `ours`, the first one leaves.
    pub(super) const fn new(ours: bool) -> Self {
        Self {
            ours,
            pressed: false,
        }
    }

    /// Whether the run was told to stop.
    pub(super) const fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Whether to leave the run behind now; `again` is the command that finds it, with what it does.
    ///
    /// # Errors
    /// When the engine does not cancel it.
    pub(super) async fn press(
        &mut self,
        session: &Session,
        run: &Run,
        asked: Asked,
        again: &str,
    ) -> color_eyre::Result<bool> {
        if !self.ours || self.pressed || (asked == Asked::Leave && session.runs_outlive_it()) {
            output::remark(&format!(
                "run {} goes on without this program; {again}",
                run.number
            ));
            return Ok(true);
        }
        self.pressed = true;
        output::remark("stopping the run; press ctrl-c again to leave at once");
        let cancel = Request::Cancel { run: run.id };
        session
            .client()
            .call(cancel)
            .await
            .map_err(Ended::refused)?;
        Ok(false)
    }
}

/// The command that shows a run which was left behind.
pub(super) fn shows_again(run: &Run) -> String {
    format!("`quarterdeck logs {} --follow` shows it", run.number)
}
