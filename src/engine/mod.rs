//! The engine: the process that owns runs, polling and secrets. Everything that shows or commands it is its client.
//!
//! ```text
//!  other processes ──► door (peer: who it is) ──┐
//!  this process ───────────────── Counter (shown) ──► core ──► desk ── run ── steps (Executor)
//!                                                      │
//!                                                      ├── notify ── what happens on the bus, to webhooks
//!                                                      ├── schedule ── plan, gate, start by the clock
//!                                                      ├── poll ── probe, directory ──► live ──► bus ──► subscribers
//!                                                      └── store (Writer) ◄─── transitions, log lines
//! ```
//!
//! Every long-lived task belongs to one tracker and stops by one token; [`Engine::shutdown`] waits for all of them. What
//! the engine touches outside of itself goes through [`World`], so that all of this runs in a test.

mod approvals;
mod attend;
mod audit;
mod backups;
mod bus;
mod ceremonies;
mod core;
mod debts;
mod desk;
mod directory;
mod door;
mod drift;
mod guard;
mod left_behind;
mod live;
mod locks;
mod marks;
mod notify;
mod offline;
mod peer;
mod poll;
mod probe;
mod process;
mod prune;
mod questions;
mod resume;
mod run;
mod schedule;
mod secrets;
mod shared_locks;
mod shown;
mod strongbox;
mod survey;
mod talk;
#[cfg(test)]
mod tests;
mod undo;
mod watch;
mod way;
mod workshop;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use self::core::{Core, Counter};
use self::door::Door;
use crate::client::{Client, Event, Link};
use crate::clock::{SharedClock, SystemClock};
use crate::domain::environment::Environment;
use crate::domain::notice::Notifications;
use crate::domain::operator::Operator;
use crate::domain::recipe::Recipe;
use crate::domain::retention::Retention;
use crate::domain::run::RunId;
use crate::domain::schedule::Schedule;
use crate::store::{Handle, Reader, Redactor, StoreError, Writer};

pub use door::{DoorError, Farewell, socket_path};
pub use questions::Broker;
pub use world::{Network, World};

/// How long clients are told that the engine ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// The least time between two announcements of a run's new lines.
const ANNOUNCE: Duration = Duration::from_millis(50);

/// One value for all that an engine was started from: another value means that something was edited since.
pub type Fingerprint = Arc<dyn Fn() -> String + Send + Sync>;

/// What an engine works with.
#[derive(Clone)]
pub struct EngineSettings {
    /// The workspace's name.
    pub workspace: String,
    /// Its environments, in the order of their files.
    pub environments: Vec<Environment>,
    /// Recipes that can be run.
    pub recipes: Vec<Recipe>,
    /// What runs by itself.
    pub schedules: Vec<Schedule>,
    /// Who is told what happens.
    pub notifications: Notifications,
    /// Hosts and services.
    pub world: Arc<dyn World>,
    /// Where history is kept; created with mode 0700.
    pub state_dir: PathBuf,
    /// Where downloads are kept.
    pub cache_dir: PathBuf,
    /// The workspace's directory, where recipes find what other programs work with, such as `terraform/`; `None` where there
    /// is none.
    pub root: Option<PathBuf>,
    /// Where the time comes from.
    pub clock: SharedClock,
    /// Whether nobody may change anything. A client that comes in by the socket may also ask for that for itself alone.
    pub read_only: bool,
    /// Tells what the workspace's files are now, in one value; called once at the start and again with each plan.
    pub fingerprint: Fingerprint,
    /// Whether `world` pins unknown SSH host keys on first contact.
    pub accepts_new_host_keys: bool,
    /// After how long without clients, runs and schedules the engine asks to be ended; `None` for never.
    pub idle_exit: Option<Duration>,
    /// From one probe of a node to the next.
    pub node_interval: Duration,
    /// From one poll of a service to the next.
    pub service_interval: Duration,
    /// How long a node or service may take to answer one question.
    pub deadline: Duration,
    /// Tasks of one run at a time.
    pub concurrency: usize,
    /// How much history is kept.
    pub retention: Retention,
    /// Where `world` asks operators what it must know; the engine carries the questions to its clients.
    pub questions: Broker,
}

impl EngineSettings {
    /// Settings for a workspace called `workspace` without environments; polls every 5 s with a deadline of 5 s, 32 tasks
    /// at a time, by the machine's clock.
    pub fn new(
        workspace: impl Into<String>,
        world: Arc<dyn World>,
        state_dir: impl Into<PathBuf>,
        cache_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            workspace: workspace.into(),
            environments: Vec::new(),
            recipes: Vec::new(),
            schedules: Vec::new(),
            notifications: Notifications::default(),
            world,
            state_dir: state_dir.into(),
            cache_dir: cache_dir.into(),
            root: None,
            clock: Arc::new(SystemClock),
            read_only: false,
            fingerprint: Arc::new(String::new),
            accepts_new_host_keys: false,
            idle_exit: None,
            node_interval: Duration::from_secs(5),
            service_interval: Duration::from_secs(5),
            deadline: Duration::from_secs(5),
            concurrency: 32,
            retention: Retention::default(),
            questions: Broker::default(),
        }
    }
}

/// A running engine. Dropped without [`Engine::shutdown`] it stops polling and interrupts its runs, without waiting.
pub struct Engine {
    core: Arc<Core>,
    state_dir: PathBuf,
    door: Option<Door>,
    history: Reader,
    tasks: TaskTracker,
    /// Gone after the shutdown.
    writer: Option<Writer>,
    /// Runs that an engine before this one left unfinished; they have ended now, most of them interrupted.
    pub unfinished: Vec<RunId>,
}

impl Engine {
    /// Opens the store and begins to poll. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be used: see [`Writer::open`].
    pub async fn start(settings: EngineSettings) -> Result<Self, StoreError> {
        let (state_dir, now) = (settings.state_dir.clone(), settings.clock.now());
        let place = state_dir.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let writer = Writer::open(&place, now)?;
            let history = Reader::open(writer.handle().path())?;
            let remembered = history.schedules()?;
            let marks = history.marks()?;
            Ok::<_, StoreError>((writer, history, remembered, marks))
        });
        let (mut writer, history, remembered, marks) = opened
            .await
            .map_err(|error| StoreError::new(&settings.state_dir, error.to_string()))??;
        let unfinished = std::mem::take(&mut writer.unfinished);
        let tasks = TaskTracker::new();
        let core = Core::new(
            settings,
            writer.handle(),
            remembered,
            history.clone(),
            tasks.clone(),
        );
        core.board.restore(marks);
        workshop::clear_all(&state_dir).await;
        core.account(&history, &unfinished).await;
        let (looking, left) = (Arc::clone(&core), unfinished.clone());
        tasks.spawn(async move {
            let stopped = looking.stopped.clone();
            stopped
                .run_until_cancelled(looking.report_left_behind(left))
                .await;
        });
        core.begin_polling();
        for channel in core.notifier.channels() {
            tasks.spawn(notify::send(Arc::clone(&core), channel));
        }
        tasks.spawn(notify::watch(
            Arc::clone(&core),
            history.clone(),
            unfinished.clone(),
        ));
        core.begin_pruning();
        core.begin_keeping();
        core.begin_drift_watch();
        tasks.spawn(schedule::keep(Arc::clone(&core), history.clone()));
        tasks.spawn(announce_lines(Arc::clone(&core), writer.handle()));
        Ok(Self {
            core,
            state_dir,
            door: None,
            history,
            tasks,
            writer: Some(writer),
            unfinished,
        })
    }

    /// What takes every secret that this engine knows out of a text.
    pub fn redactor(&self) -> Redactor {
        self.core.redactor.clone()
    }

    /// A connection for `operator`, from within this process.
    pub fn client(&self, operator: Operator) -> Client {
        Client::new(self.link(operator), self.history.clone())
    }

    /// What a connection of `operator` calls; every request on it is made in that name.
    fn link(&self, operator: Operator) -> Arc<dyn Link> {
        let core = Arc::clone(&self.core);
        let read_only = core.is_read_only();
        Arc::new(Counter::new(core, operator, read_only))
    }

    /// A connection for the operator of this process.
    pub fn own_client(&self) -> Client {
        self.client(peer::this_process())
    }

    /// Lets clients in other processes in, by [`socket_path`] of the state directory.
    ///
    /// # Errors
    /// [`DoorError`] when the socket cannot be made.
    pub fn open_door(&mut self) -> Result<(), DoorError> {
        self.door = Some(Door::open(&self.core, &self.state_dir, &self.tasks)?);
        self.tasks.spawn(door::end_when_idle(
            Arc::clone(&self.core),
            socket_path(&self.state_dir),
            self.core.idle_exit(),
        ));
        Ok(())
    }

    /// Waits until a client wants the engine to end, or nobody has needed it for long.
    pub async fn asked_to_end(&self) -> Farewell {
        self.core.guestbook.ending.cancelled().await;
        self.core.guestbook.farewell()
    }

    /// Stops polling, interrupts the runs under way and gives them `grace` to end in good order (more, where a step's program
    /// may take longer), writes what waits and
    /// closes the store. Subscriptions end. What did not stop in time is accounted for when the store is opened next.
    pub async fn shutdown(mut self, grace: Duration) {
        if let Some(door) = &self.door {
            door.close();
        }
        // A program that is cut off in the middle of its work loses more than it costs to wait for it.
        let grace = grace.max(self.core.desk.patience());
        self.core.stop();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some tasks did not stop in time");
        }
        if let Some(writer) = self.writer.take() {
            self.core.audit.engine_stopped().await;
            writer.close().await;
        }
        self.core.bus.close();
        if let Some(door) = &self.door {
            // Those who still read hear why the engine ends; those who do not are not waited for.
            let _ = tokio::time::timeout(GOODBYE, door.guests.wait()).await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.core.stop();
        if self.writer.is_some() {
            self.core.bus.close();
        }
    }
}

/// Tells subscribers which runs have more lines, at most every [`ANNOUNCE`] whatever the number of lines.
async fn announce_lines(core: Arc<Core>, store: Handle) {
    loop {
        let Some(grown) = core.stopped.run_until_cancelled(store.grown()).await else {
            return;
        };
        for (run, total) in grown {
            core.bus.publish(Event::Lines { run, total });
        }
        tokio::time::sleep(ANNOUNCE).await;
    }
}
