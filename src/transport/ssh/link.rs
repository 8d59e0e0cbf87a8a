//! The wish to be connected to one node: connects when first needed, once for all who wait, and again after a loss.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::atlas::{Atlas, Stop};
use super::connection::{Connection, Opened};
use super::trail::Trail;
use crate::domain::question::QuestionKind;
use crate::transport::ReachError;
use crate::transport::ask::{Operators, as_attended, is_attended};

/// How long a host that wants an answer is left alone by what goes on by itself.
const PARKED: Duration = Duration::from_secs(300);

type Attempt = Shared<BoxFuture<'static, Result<Arc<Connection>, ReachError>>>;

/// The way to one host.
pub(super) struct Link {
    /// What it is called.
    pub(super) name: String,
    /// Where it leads.
    stop: Stop,
    atlas: Arc<Atlas>,
    /// The link that carried the last attempt, kept so that others find it and its connection.
    jump: Mutex<Option<Arc<Link>>>,
    state: Mutex<State>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("stop", &self.stop)
            .field("state", &*self.lock())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum State {
    /// Nobody asked yet, or the last attempt failed.
    Idle,
    /// Somebody asked; others may wait for the same answer. Whether somebody can be asked meanwhile.
    Connecting(Attempt, bool),
    /// The host wants an answer from a person, since then.
    Parked(Instant, ReachError),
    /// There is a connection, which may have ended since.
    Up(Arc<Connection>),
}

impl Link {
    pub(super) fn new(stop: Stop, atlas: Arc<Atlas>) -> Self {
        Self {
            name: stop.to_string(),
            stop,
            atlas,
            jump: Mutex::default(),
            state: Mutex::new(State::Idle),
        }
    }

    /// The kept connection, or a new one.
    ///
    /// What goes on by itself does not knock again and again at a host that waits for an answer: hosts count attempts, and
    /// lock out who makes too many.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, ReachError> {
        let attended = is_attended();
        if !attended && let Some(error) = self.parked() {
            return Err(error);
        }
        let (attempt, theirs) = self.attempt(attended);
        let made = attempt.await;
        // Others' attempt, which could not ask: now somebody can be asked.
        if attended && !theirs && matches!(made, Err(ReachError::Unanswered { .. })) {
            return self.attempt(attended).0.await;
        }
        made
    }

    /// Who can be asked.
    pub(super) fn operators(&self) -> Option<Arc<dyn Operators>> {
        self.atlas.settings.operators.clone()
    }

    /// Why it is of no use to connect before somebody has answered.
    fn parked(&self) -> Option<ReachError> {
        match &*self.lock() {
            State::Parked(since, error) if since.elapsed() < PARKED => Some(error.clone()),
            _ => None,
        }
    }

    /// A session on the kept connection, or on a new one if that turns out to have ended unnoticed.
    pub(super) async fn open_session(
        self: &Arc<Self>,
    ) -> Result<(Arc<Connection>, Opened), ReachError> {
        let connection = self.connection().await?;
        match connection.open_session().await {
            Ok(opened) => Ok((connection, opened)),
            // Nothing has been started on it, so nothing is done twice.
            Err(ReachError::Lost { .. }) => {
                self.forget(&connection);
                let connection = self.connection().await?;
                let opened = connection.open_session().await?;
                Ok((connection, opened))
            }
            Err(error) => Err(error),
        }
    }

    /// The attempt under way or a new one, and whether it is `attended`.
    fn attempt(self: &Arc<Self>, attended: bool) -> (Attempt, bool) {
        let mut state = self.lock();
        match &*state {
            State::Up(connection) if connection.is_alive() => {
                let connection = Arc::clone(connection);
                let ready = futures::future::ready(Ok(connection)).boxed().shared();
                return (ready, attended);
            }
            State::Connecting(attempt, theirs) => return (attempt.clone(), *theirs),
            State::Up(_) | State::Parked(..) | State::Idle => {}
        }
        // A task of its own: it goes on when the first who asked gives up, for the others who wait. Its deadlines end it.
        let task = tokio::spawn(as_attended(attended, Arc::clone(self).connect()));
        let hop = self.name.clone();
        let attempt = async move {
            task.await.unwrap_or_else(|error| {
                Err(ReachError::Lost {
                    hop,
                    reason: format!("connecting was abandoned: {error}"),
                })
            })
        }
        .boxed()
        .shared();
        *state = State::Connecting(attempt.clone(), attended);
        (attempt, attended)
    }

    fn connect(self: Arc<Self>) -> BoxFuture<'static, Result<Arc<Connection>, ReachError>> {
        async move {
            let made = self.make().await.map(Arc::new);
            *self.lock() = match &made {
                Ok(connection) => State::Up(Arc::clone(connection)),
                // Looking at a host key harms nobody, and it may be pinned by hand meanwhile.
                Err(error @ ReachError::Unanswered { wants, .. })
                    if wants != QuestionKind::HostKey.wants() =>
                {
                    State::Parked(Instant::now(), error.clone())
                }
                Err(_) => State::Idle,
            };
            made
        }
        .boxed()
    }

    async fn make(&self) -> Result<Connection, ReachError> {
        let (settings, keys) = (&self.atlas.settings, &self.atlas.keys);
        let mut way = self.atlas.way(&self.stop).await?;
        let Some(here) = way.pop() else {
            return Err(ReachError::UnknownNode(self.name.clone()));
        };
        let Some(before) = way.pop() else {
            let trail = Trail::begin();
            return Connection::make(here.target, None, settings, keys, &trail).await;
        };
        let jump = self.atlas.link(&before.stop);
        *self.jump.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&jump));
        let mut again = true;
        loop {
            let through = jump.connection().await;
            let through = through.map_err(|error| error.on_the_way_to(&self.name))?;
            let carrier = Some(Arc::clone(&through));
            let trail = Trail::begin();
            let target = here.target.clone();
            let made = Connection::make(target, carrier, settings, keys, &trail).await;
            // A kept connection to the jump host that had ended unnoticed: a new one may do better, or say why not.
            if made.is_err() && again && !through.is_alive() {
                again = false;
                jump.forget(&through);
                continue;
            }
            return made;
        }
    }

    fn forget(&self, ended: &Arc<Connection>) {
        let mut state = self.lock();
        if matches!(&*state, State::Up(kept) if Arc::ptr_eq(kept, ended)) {
            *state = State::Idle;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Replaced as a whole: a panic elsewhere cannot have left it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
