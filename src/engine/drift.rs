//! The drift board as the engine keeps it: what looks found goes into the store without secrets, rules of the workspace are
//! laid over it, and what is open is one finding.
//!
//! The rules are read anew for each board: a file that was edited holds from then on, without a restart.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::bus::Bus;
use super::core::Core;
use super::live::Live;
use crate::client::{Event, Refusal, Response};
use crate::clock::SharedClock;
use crate::config;
use crate::domain::drift::board::{DriftBoard, FINDING};
use crate::domain::drift::ignore::{IgnoreRule, Until};
use crate::domain::drift::{DriftLook, DriftSource};
use crate::domain::environment::Environment;
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::domain::run::{Run, RunState};
use crate::steps::DriftBook;
use crate::store::{Handle, Reader, Redactor};

/// The recipe that looks at everything: what it does not look at any more is not declared any more.
const DRIFT: &str = "drift";
/// From one look at the board to the next where nothing happens: rules expire by the clock.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 60 });
/// How long what belongs together is waited for before the finding is made anew.
const SETTLE: Duration = Duration::from_millis(300);

/// Environment, source and object.
type Place = (String, DriftSource, String);

/// Keeps what drifted; clones are the same.
#[derive(Clone)]
pub(super) struct DriftDesk(Arc<Inner>);

struct Inner {
    store: Handle,
    history: Reader,
    redactor: Redactor,
    bus: Bus,
    clock: SharedClock,
    /// The workspace's directory; `None` where there is none.
    root: Option<PathBuf>,
    /// What the store has open, so that a deploy does not write for every resource that is well.
    open: Mutex<BTreeSet<Place>>,
}

impl DriftDesk {
    /// A desk that goes on with what the store has of `environments`.
    pub(super) fn new<'e>(
        store: Handle,
        history: Reader,
        redactor: Redactor,
        bus: Bus,
        clock: SharedClock,
        root: Option<PathBuf>,
        environments: impl Iterator<Item = &'e str>,
    ) -> Self {
        let mut open = BTreeSet::new();
        for environment in environments {
            match history.drift(environment) {
                Ok((known, _)) => open.extend(known.into_iter().map(|row| {
                    let key = row.drifted.key;
                    (environment.to_owned(), key.source, key.object)
                })),
                Err(error) => tracing::warn!(%error, environment, "its drift cannot be read"),
            }
        }
        Self(Arc::new(Inner {
            store,
            history,
            redactor,
            bus,
            clock,
            root,
            open: Mutex::new(open),
        }))
    }

    /// The book that a run writes into.
    pub(super) fn of_run(&self, environment: &str, run: &Run, plan: &Plan) -> RunDrift {
        let request = &plan.request;
        let complete = request.recipe == DRIFT
            && request.nodes.is_empty()
            && request.limits.steps.is_empty()
            && request.origin.is_none();
        RunDrift {
            desk: self.clone(),
            environment: environment.to_owned(),
            complete: complete.then_some(run.created_at),
        }
    }

    /// The board of an environment as it is now.
    async fn board(&self, environment: &str) -> Result<DriftBoard, String> {
        let inner = Arc::clone(&self.0);
        let name = environment.to_owned();
        let now = inner.clock.now();
        let read = tokio::task::spawn_blocking(move || {
            let read = inner.history.drift(&name);
            let (known, looks) = read.map_err(|error| error.to_string())?;
            Ok(DriftBoard::of(&name, known, looks, inner.rules(), now))
        });
        read.await
            .map_err(|error| format!("reading the board stopped: {error}"))?
    }

    /// Has a finding of what drifted in each of `environments`, until `stop`.
    pub(super) async fn watch(
        self,
        environments: Vec<Arc<Environment>>,
        live: Arc<Live>,
        stop: CancellationToken,
    ) {
        let mut events = self.0.bus.subscribe();
        loop {
            for environment in &environments {
                match self.board(&environment.name).await {
                    Ok(board) => live.own(environment, FINDING, board.finding()),
                    Err(reason) => tracing::warn!(reason, "the drift board cannot be read"),
                }
            }
            let pause = tokio::time::sleep(LOOK);
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = &mut pause => break,
                    event = events.next() => match event {
                        Some(Event::Drift { .. } | Event::Missed(_)) => {
                            tokio::time::sleep(SETTLE).await;
                            break;
                        }
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        }
    }

    fn changed(&self, environment: &str) {
        self.0.bus.publish(Event::Drift {
            environment: environment.to_owned(),
        });
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        // Replaced entry by entry: a panic elsewhere cannot have left one half made.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The workspace's rules as its file has them now.
    fn rules(&self) -> Result<Vec<IgnoreRule>, String> {
        match &self.root {
            Some(root) => config::drift_rules::read(root),
            None => Ok(Vec::new()),
        }
    }
}

/// What one run writes into the board; clones are the same.
#[derive(Clone)]
pub(super) struct RunDrift {
    desk: DriftDesk,
    environment: String,
    /// Since when it looks at everything; `None` for a run that looks at a part, or at nothing.
    complete: Option<Timestamp>,
}

impl RunDrift {
    /// The run has ended: what a complete check did not look at is not declared any more.
    pub(super) async fn ended(&self, run: &Run) {
        let looked = matches!(run.state, RunState::Succeeded | RunState::Failed);
        let Some(since) = self.complete.filter(|_| looked) else {
            return;
        };
        let inner = &self.desk.0;
        let now = inner.clock.now();
        match inner
            .store
            .retire_drift(&self.environment, since, now)
            .await
        {
            Ok(()) => self.desk.changed(&self.environment),
            Err(error) => tracing::warn!(%error, "drift that is over could not be closed"),
        }
    }
}

#[async_trait]
impl DriftBook for RunDrift {
    async fn keep(&self, look: DriftLook) -> Result<(), String> {
        let inner = &self.desk.0;
        let clean = |text: String| inner.redactor.cleaned(text);
        let look = DriftLook {
            source: look.source,
            seen: match look.seen {
                Ok(found) => Ok(found.into_iter().map(|one| one.bounded(clean)).collect()),
                Err(reason) => Err(clean(reason)),
            },
            scope: clean(look.scope),
        };
        let found: Vec<Place> = look
            .seen
            .iter()
            .flatten()
            .map(|one| {
                (
                    self.environment.clone(),
                    one.key.source,
                    one.key.object.clone(),
                )
            })
            .collect();
        inner
            .store
            .keep_drift(&self.environment, look, inner.clock.now())
            .await
            .map_err(|error| error.to_string())?;
        self.desk.open().extend(found);
        self.desk.changed(&self.environment);
        Ok(())
    }

    async fn holds(&self, source: DriftSource, object: &str) -> Result<(), String> {
        let place = (self.environment.clone(), source, object.to_owned());
        if !self.desk.open().contains(&place) {
            return Ok(());
        }
        let inner = &self.desk.0;
        let now = inner.clock.now();
        let (environment, _, object) = &place;
        inner
            .store
            .drift_holds(environment, source, object, now)
            .await
            .map_err(|error| error.to_string())?;
        self.desk.open().remove(&place);
        self.desk.changed(environment);
        Ok(())
    }
}

/// A rule that an operator asks for.
#[derive(Debug)]
pub(super) struct IgnoreWish {
    /// What it covers.
    pub(super) matches: String,
    /// Why.
    pub(super) reason: String,
    /// For how many days; `None` for good.
    pub(super) days: Option<u32>,
}

impl Core {
    /// Writes a rule into the workspace's file; a later look at the board has it.
    pub(super) async fn ignore_drift(
        &self,
        environment: &str,
        wish: IgnoreWish,
        by: &Operator,
    ) -> Result<(), Refusal> {
        self.room(environment)?;
        let root = self.drift.0.root.clone().ok_or_else(|| {
            Refusal::new("there is no workspace to keep the rule in: its file belongs beside quarterdeck.yaml")
        })?;
        let today = self.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let expires = match wish.days {
            None => Until::Never,
            Some(days) => Until::Day(
                today
                    .checked_add(jiff::Span::new().days(i64::from(days)))
                    .map_err(|_| Refusal::new(format!("{days} days are too long; write never")))?,
            ),
        };
        let rule = IgnoreRule {
            matches: wish.matches,
            environment: Some(environment.to_owned()),
            reason: wish.reason,
            expires,
        };
        let what = format!("{} until {}: {}", rule.matches, rule.expires, rule.reason);
        self.audit.drift_ignored(by, environment, &what).await?;
        tokio::task::spawn_blocking(move || config::drift_rules::add(&root, &rule))
            .await
            .map_err(|error| Refusal::new(format!("writing the rule stopped: {error}")))?
            .map_err(Refusal::new)?;
        self.drift.changed(environment);
        Ok(())
    }

    /// What differs in an environment from what is declared.
    pub(super) async fn drift_of(&self, environment: &str) -> Result<Response, Refusal> {
        self.room(environment)?;
        let board = self.drift.board(environment).await;
        board
            .map(|board| Response::Drift(Box::new(board)))
            .map_err(Refusal::new)
    }
}
