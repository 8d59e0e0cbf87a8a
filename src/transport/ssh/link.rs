//! The wish to be connected to one node: connects when first needed, once for all who wait, and again after a loss.

use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::atlas::{Atlas, Stop};
use super::connection::{Connection, Opened};
use super::trail::Trail;
use crate::transport::ReachError;

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
    /// Somebody asked; others may wait for the same answer.
    Connecting(Attempt),
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
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, ReachError> {
        self.attempt().await
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

    fn attempt(self: &Arc<Self>) -> Attempt {
        let mut state = self.lock();
        match &*state {
            State::Up(connection) if connection.is_alive() => {
                let connection = Arc::clone(connection);
                return futures::future::ready(Ok(connection)).boxed().shared();
            }
            State::Connecting(attempt) => return attempt.clone(),
            State::Up(_) | State::Idle => {}
        }
        // A task of its own: it goes on when the first who asked gives up, for the others who wait. Its deadlines end it.
        let task = tokio::spawn(Arc::clone(self).connect());
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
        *state = State::Connecting(attempt.clone());
        attempt
    }

    fn connect(self: Arc<Self>) -> BoxFuture<'static, Result<Arc<Connection>, ReachError>> {
        async move {
            let made = self.make().await.map(Arc::new);
            *self.lock() = match &made {
                Ok(connection) => State::Up(Arc::clone(connection)),
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
