//! What the engine's tasks share: made once, from the settings, and asked by everything else.
//!
//! [`counter`] answers the requests of clients, [`planning`] makes plans, [`start`] turns them into runs.

mod counter;
mod planning;
mod start;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::approvals::Approvals;
use super::audit::Audit;
use super::backups::Keeper;
use super::bus::Bus;
use super::ceremonies::Hall;
use super::desk::Desk;
use super::directory::Directory;
use super::door::Guestbook;
use super::drift::DriftDesk;
use super::live::Live;
use super::marks::Board;
use super::notify::Notifier;
use super::poll::{Rhythm, ServiceSource, poll};
use super::process;
use super::prune::Pruner;
use super::questions::Broker;
use super::schedule::Schedules;
use super::shared_locks::SharedLocks;
use super::strongbox::Strongbox;
use super::survey::Surveyor;
use super::watch::{NodeWatch, watch};
use super::{EngineSettings, Fingerprint};
use crate::client::wire::{PROTOCOL, Welcome};
use crate::client::{EngineReport, Refusal, View, Workspace};
use crate::clock::SharedClock;
use crate::domain::environment::Environment;
use crate::domain::finding::Subject;
use crate::domain::recipe::Recipe;
use crate::domain::run::RunId;
use crate::domain::service::ServiceKind;
use crate::services;
use crate::services::shelf::Shelf;
use crate::store::{Handle, KnownSchedule, Reader, Redactor, StoreError};
use crate::transport::Reach;

pub(super) use self::counter::Counter;

/// Nodes and services that are being asked at the same time.
const PLACES: usize = 64;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The engine behind its [`Link`].
pub(super) struct Core {
    workspace: Workspace,
    rooms: BTreeMap<String, Room>,
    pub(super) bus: Bus,
    pub(super) audit: Audit,
    pub(super) live: Arc<Live>,
    pub(super) desk: Desk,
    pub(super) approvals: Approvals,
    pub(super) board: Board,
    pub(super) drift: DriftDesk,
    pub(super) questions: Broker,
    pub(super) ceremonies: Hall,
    pruner: Pruner,
    pub(super) schedules: Schedules,
    pub(super) notifier: Notifier,
    pub(super) store: Handle,
    history: Reader,
    pub(super) redactor: Redactor,
    pub(super) clock: SharedClock,
    pub(super) cache: PathBuf,
    snapshots: Shelf,
    keys: PathBuf,
    concurrency: usize,
    pub(super) node_rhythm: Rhythm,
    service_rhythm: Rhythm,
    tasks: TaskTracker,
    pub(super) stopped: CancellationToken,
    pub(super) guestbook: Arc<Guestbook>,
    birth: Birth,
    /// For hosts that belong to no environment.
    pub(super) surveyor: Surveyor,
}

/// What an engine was started as.
struct Birth {
    at: Timestamp,
    state_dir: PathBuf,
    fingerprint: String,
    fingerprint_now: Fingerprint,
    accepts_new_host_keys: bool,
    idle_exit: Option<Duration>,
    root: Option<PathBuf>,
}

/// One environment with its doors.
pub(super) struct Room {
    pub(super) environment: Arc<Environment>,
    pub(super) reach: Arc<dyn Reach>,
    pub(super) directory: Arc<Directory>,
    wakes: BTreeMap<Subject, Arc<Notify>>,
}

impl Core {
    pub(super) fn new(
        settings: EngineSettings,
        store: Handle,
        remembered: Vec<KnownSchedule>,
        history: Reader,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let bus = Bus::new();
        let redactor = Redactor::default();
        let live = Live::new(
            settings.environments.iter(),
            bus.clone(),
            Arc::clone(&settings.clock),
        );
        let rooms = settings
            .environments
            .iter()
            .map(|environment| {
                let environment = Arc::new(environment.clone());
                let nodes = environment
                    .nodes
                    .iter()
                    .map(|node| Subject::Node(node.name.clone()));
                let services = environment
                    .services
                    .iter()
                    .map(|service| Subject::Service(service.name.clone()));
                let reach = settings.world.hosts(&environment);
                let room = Room {
                    wakes: nodes
                        .chain(services)
                        .map(|subject| (subject, Arc::new(Notify::new())))
                        .collect(),
                    reach: Arc::clone(&reach),
                    directory: Arc::new(Directory::new(
                        Arc::clone(&environment),
                        Arc::clone(&settings.world),
                        reach,
                        redactor.clone(),
                        Strongbox::of(&settings.state_dir, &environment.name, redactor.clone()),
                    )),
                    environment: Arc::clone(&environment),
                };
                (environment.name.clone(), room)
            })
            .collect();
        let views = ServiceKind::ALL.iter().map(|kind| {
            let views = services::views(*kind).iter().map(|view| View {
                id: view.id.into(),
                title: view.title.into(),
            });
            (kind.word().to_owned(), views.collect())
        });
        let audit = Audit::new(store.clone(), redactor.clone(), Arc::clone(&settings.clock));
        let pruner = Pruner {
            store: store.clone(),
            history: history.clone(),
            audit: audit.clone(),
            clock: Arc::clone(&settings.clock),
            rule: settings.retention,
        };
        let rhythm = |interval| Rhythm {
            interval,
            deadline: settings.deadline,
        };
        settings
            .questions
            .serve(bus.clone(), Arc::clone(&settings.clock));
        let snapshots = Shelf::of(&settings.state_dir);
        let keys = settings.state_dir.join("keys");
        let birth = Birth {
            at: settings.clock.now(),
            state_dir: settings.state_dir,
            fingerprint: (settings.fingerprint)(),
            fingerprint_now: settings.fingerprint,
            accepts_new_host_keys: settings.accepts_new_host_keys,
            idle_exit: settings.idle_exit,
            root: settings.root,
        };
        let drift = DriftDesk::new(
            store.clone(),
            history.clone(),
            redactor.clone(),
            bus.clone(),
            Arc::clone(&settings.clock),
            birth.root.clone(),
            settings.environments.iter().map(|one| one.name.as_str()),
        );
        let shared = SharedLocks::of(birth.root.clone(), birth.state_dir.clone());
        let surveyor = Surveyor::new(settings.world, bus.clone(), Arc::clone(&settings.clock));
        Arc::new(Self {
            drift,
            surveyor,
            node_rhythm: rhythm(settings.node_interval),
            service_rhythm: rhythm(settings.service_interval),
            workspace: Workspace {
                name: settings.workspace,
                read_only: settings.read_only,
                environments: settings.environments,
                recipes: settings.recipes,
                views: views.collect(),
            },
            rooms,
            audit,
            questions: settings.questions,
            ceremonies: Hall::default(),
            pruner,
            live: Arc::new(live),
            bus: bus.clone(),
            desk: Desk::new(bus.clone(), shared),
            approvals: Approvals::default(),
            board: Board::default(),
            notifier: Notifier::new(settings.notifications, redactor.clone()),
            schedules: Schedules::new(settings.schedules, remembered, settings.clock.now()),
            store,
            history,
            redactor,
            clock: settings.clock,
            cache: settings.cache_dir,
            snapshots,
            keys,
            concurrency: settings.concurrency,
            tasks,
            stopped: CancellationToken::new(),
            guestbook: Arc::default(),
            birth,
        })
    }

    /// Records that this engine began, and what became of the runs that it found unfinished.
    pub(super) async fn account(&self, history: &Reader, unfinished: &[RunId]) {
        self.audit.engine_started(&self.workspace).await;
        for run in unfinished {
            match history.run(*run) {
                Ok(Some(run)) => self.audit.run_ended(&run).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%run, %error, "a run that was left unfinished cannot be read");
                }
            }
        }
    }

    /// Starts the task that removes what the workspace no longer keeps.
    pub(super) fn begin_pruning(&self) {
        let pruner = self.pruner.clone();
        self.tasks.spawn(pruner.keep_at_it(self.stopped.clone()));
    }

    /// Starts the task that looks after the snapshots.
    pub(super) fn begin_keeping(&self) {
        let keeper = Keeper {
            shelf: self.snapshots.clone(),
            environments: self
                .rooms
                .values()
                .map(|room| Arc::clone(&room.environment))
                .collect(),
            live: Arc::clone(&self.live),
            bus: self.bus.clone(),
            clock: Arc::clone(&self.clock),
        };
        self.tasks.spawn(keeper.keep_at_it(self.stopped.clone()));
    }

    /// Starts the task that has a finding of what drifted.
    pub(super) fn begin_drift_watch(&self) {
        let watch = self.drift.clone().watch(
            self.environments().collect(),
            Arc::clone(&self.live),
            self.stopped.clone(),
        );
        self.tasks.spawn(watch);
    }

    /// Where snapshots are.
    pub(super) fn shelf(&self) -> Shelf {
        self.snapshots.clone()
    }

    /// The stores of an environment.
    pub(super) fn stores_of(&self, environment: &str) -> Result<Arc<Directory>, String> {
        self.room(environment)
            .map(|room| Arc::clone(&room.directory))
            .map_err(|refusal| refusal.message)
    }

    /// Starts one task for each node and service.
    pub(super) fn begin_polling(&self) {
        let places = Arc::new(Semaphore::new(PLACES));
        for room in self.rooms.values() {
            for (subject, wake) in &room.wakes {
                let (wake, places) = (Arc::clone(wake), Arc::clone(&places));
                let cancel = self.stopped.clone();
                match subject {
                    Subject::Node(name) => {
                        let node = NodeWatch {
                            environment: Arc::clone(&room.environment),
                            name: name.clone(),
                            reach: Arc::clone(&room.reach),
                            live: Arc::clone(&self.live),
                            redactor: self.redactor.clone(),
                            clock: Arc::clone(&self.clock),
                        };
                        self.tasks
                            .spawn(watch(node, self.node_rhythm, wake, places, cancel));
                    }
                    Subject::Service(name) => {
                        let source = ServiceSource {
                            environment: Arc::clone(&room.environment),
                            name: name.clone(),
                            directory: Arc::clone(&room.directory),
                            live: Arc::clone(&self.live),
                            redactor: self.redactor.clone(),
                        };
                        self.tasks
                            .spawn(poll(source, self.service_rhythm, wake, places, cancel));
                    }
                    Subject::Environment => {}
                }
            }
        }
    }

    /// Whether somebody would miss the engine: clients, runs under way, schedules.
    pub(super) fn is_needed(&self) -> bool {
        !self.guestbook.guests().is_empty()
            || !self.running().is_empty()
            || self.schedules.any_is_on()
    }

    /// Carries out `work` even when nobody waits for it any more; [`super::Engine::shutdown`] does.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Numbers of the runs under way.
    pub(super) fn running(&self) -> Vec<i64> {
        self.desk.running()
    }

    /// After how long without anybody who needs it the engine asks to be ended.
    pub(super) fn idle_exit(&self) -> Option<Duration> {
        self.birth.idle_exit
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn welcome(&self) -> Welcome {
        Welcome {
            protocol: PROTOCOL,
            version: VERSION.into(),
            pid: std::process::id(),
            started_at: self.birth.at,
            running: u32::try_from(self.running().len()).unwrap_or(u32::MAX),
            fingerprint: self.birth.fingerprint.clone(),
            accepts_new_host_keys: self.birth.accepts_new_host_keys,
        }
    }

    fn report(&self) -> EngineReport {
        let (memory, memory_peak) = process::memory();
        EngineReport {
            version: VERSION.into(),
            protocol: PROTOCOL,
            pid: std::process::id(),
            started_at: self.birth.at,
            workspace: self.workspace.name.clone(),
            state_dir: self.birth.state_dir.clone(),
            running: self.running(),
            clients: self.guestbook.guests(),
            idle_exit: self.birth.idle_exit.map(|limit| limit.as_secs()),
            memory,
            memory_peak,
            remarks: process::remarks(),
        }
    }

    /// Stops polling, takes no more runs and interrupts those under way. May be called again.
    pub(super) fn stop(&self) {
        self.desk.close();
        self.stopped.cancel();
    }

    pub(super) fn room(&self, environment: &str) -> Result<&Room, Refusal> {
        self.rooms.get(environment).ok_or_else(|| {
            let known: Vec<&str> = self.rooms.keys().map(String::as_str).collect();
            Refusal::new(format!(
                "there is no environment called {environment:?}; there is {}",
                known.join(", ")
            ))
        })
    }

    pub(super) fn environment(&self, name: &str) -> Option<Arc<Environment>> {
        self.rooms
            .get(name)
            .map(|room| Arc::clone(&room.environment))
    }

    pub(super) fn environments(&self) -> impl Iterator<Item = Arc<Environment>> {
        self.rooms
            .values()
            .map(|room| Arc::clone(&room.environment))
    }

    pub(super) fn workspace_name(&self) -> &str {
        &self.workspace.name
    }

    pub(super) fn recipe(&self, name: &str) -> Option<&Recipe> {
        self.workspace
            .recipes
            .iter()
            .find(|recipe| recipe.name == name)
    }

    /// Whether nobody may change anything.
    pub(super) const fn is_read_only(&self) -> bool {
        self.workspace.read_only
    }

    /// Reads history on a thread that may wait.
    pub(super) async fn recall<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let history = self.history.clone();
        tokio::task::spawn_blocking(move || read(&history))
            .await
            .map_err(|error| Refusal::new(format!("reading history stopped: {error}")))?
            .map_err(|error| Refusal::new(error.to_string()))
    }

    pub(super) fn refresh(&self, environment: &str, subject: &Subject) -> Result<(), Refusal> {
        let room = self.room(environment)?;
        if *subject == Subject::Environment {
            for wake in room.wakes.values() {
                wake.notify_one();
            }
            return Ok(());
        }
        let wake = room.wakes.get(subject).ok_or_else(|| {
            Refusal::new(format!(
                "environment {environment} has no node or service called {subject}"
            ))
        })?;
        wake.notify_one();
        Ok(())
    }
}
