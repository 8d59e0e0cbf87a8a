//! What the engine's tasks share, and how requests are answered.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::approvals::{Approvals, Asker, Deciding};
use super::audit::Audit;
use super::bus::Bus;
use super::debts::RunDebts;
use super::desk::Desk;
use super::directory::Directory;
use super::door::Guestbook;
use super::left_behind::{clear_spools, detached_hosts};
use super::live::Live;
use super::marks::Board;
use super::notify::Notifier;
use super::poll::{Rhythm, ServiceSource, poll};
use super::process;
use super::prune::Pruner;
use super::questions::{Broker, Seat};
use super::run::{Drive, Executor, Questions, Stop, Tasks, given_up, panicked};
use super::schedule::Schedules;
use super::talk;
use super::undo::{RunRecords, TakeBack};
use super::watch::{NodeWatch, watch};
use super::world::Steps;
use super::{EngineSettings, Fingerprint};
use crate::client::conversation::{Conversation, Opening};
use crate::client::wire::{PROTOCOL, Welcome};
use crate::client::{
    EngineReport, Event, Link, Refusal, Request, Response, Subscription, View, Workspace,
};
use crate::clock::SharedClock;
use crate::domain::action::{Consent, Gate, READ_ONLY};
use crate::domain::approval::Approver;
use crate::domain::environment::Environment;
use crate::domain::finding::Subject;
use crate::domain::operator::Operator;
use crate::domain::plan::{Origin, Plan, PlanRequest};
use crate::domain::recipe::Recipe;
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::service::ServiceKind;
use crate::services;
use crate::services::shelf::Shelf;
use crate::steps;
use crate::store::{Handle, KnownSchedule, NewRun, Reader, Redactor, StoreError};
use crate::transport::Reach;
use crate::transport::ask::attended;

/// Nodes and services that are being asked at the same time.
const PLACES: usize = 64;
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a table may take.
const TABLE_DEADLINE: Duration = Duration::from_secs(10);

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
    pub(super) questions: Broker,
    pruner: Pruner,
    pub(super) schedules: Schedules,
    pub(super) notifier: Notifier,
    pub(super) store: Handle,
    history: Reader,
    pub(super) redactor: Redactor,
    pub(super) clock: SharedClock,
    cache: PathBuf,
    snapshots: Shelf,
    concurrency: usize,
    node_rhythm: Rhythm,
    service_rhythm: Rhythm,
    tasks: TaskTracker,
    pub(super) stopped: CancellationToken,
    pub(super) guestbook: Arc<Guestbook>,
    birth: Birth,
}

/// What an engine was started as.
struct Birth {
    at: Timestamp,
    state_dir: PathBuf,
    fingerprint: String,
    fingerprint_now: Fingerprint,
    accepts_new_host_keys: bool,
    idle_exit: Option<Duration>,
}

/// One environment with its doors.
pub(super) struct Room {
    pub(super) environment: Arc<Environment>,
    pub(super) reach: Arc<dyn Reach>,
    directory: Arc<Directory>,
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
                let room = Room {
                    wakes: nodes
                        .chain(services)
                        .map(|subject| (subject, Arc::new(Notify::new())))
                        .collect(),
                    reach: settings.world.hosts(&environment),
                    directory: Arc::new(Directory::new(
                        Arc::clone(&environment),
                        Arc::clone(&settings.world),
                        redactor.clone(),
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
        let birth = Birth {
            at: settings.clock.now(),
            state_dir: settings.state_dir,
            fingerprint: (settings.fingerprint)(),
            fingerprint_now: settings.fingerprint,
            accepts_new_host_keys: settings.accepts_new_host_keys,
            idle_exit: settings.idle_exit,
        };
        Arc::new(Self {
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
            pruner,
            live: Arc::new(live),
            bus: bus.clone(),
            desk: Desk::new(bus.clone()),
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

    /// The plan as it may be kept and seen: a secret that somebody gave as a parameter is not in it. The run itself works
    /// with what was given.
    fn shown(&self, plan: &Plan) -> Result<Plan, Refusal> {
        let broken =
            |error: serde_json::Error| Refusal::new(format!("the plan cannot be stored: {error}"));
        let text = serde_json::to_string(plan).map_err(broken)?;
        serde_json::from_str(&self.redactor.clean(&text)).map_err(broken)
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

    pub(super) async fn plan(&self, request: PlanRequest) -> Result<Plan, Refusal> {
        self.plan_as(request, None).await
    }

    /// As [`Core::plan`], for a plan that has become the run `itself` already.
    pub(super) async fn plan_as(
        &self,
        request: PlanRequest,
        itself: Option<RunId>,
    ) -> Result<Plan, Refusal> {
        let plan = match request.origin {
            Some(Origin::Resume { run, .. }) => self.plan_resume(run, request, itself).await,
            Some(Origin::Undo { run, .. }) => self.plan_undo(run, request).await,
            None => self.plan_recipe(request).await,
        }?;
        self.told_of_edits(plan).await
    }

    /// The plan, with a word of caution when the workspace's files are others than the engine was started from: what is
    /// planned is still what was read then. The word is part of the plan's hash, so what was agreed to before an edit, and
    /// not begun, is void after it.
    async fn told_of_edits(&self, mut plan: Plan) -> Result<Plan, Refusal> {
        let look = Arc::clone(&self.birth.fingerprint_now);
        let now = tokio::task::spawn_blocking(move || look())
            .await
            .map_err(|error| Refusal::new(format!("looking at the workspace stopped: {error}")))?;
        if now == self.birth.fingerprint {
            return Ok(plan);
        }
        let environment = Arc::clone(&self.room(&plan.request.environment)?.environment);
        plan.cautions.push(format!(
            "the workspace was edited since the engine read it ({:.0}): this is planned from what it was; `quarterdeck engine \
             restart` reads it again (now {:.12})",
            self.birth.at, now
        ));
        Ok(steps::seal(plan, &environment))
    }

    async fn plan_recipe(&self, request: PlanRequest) -> Result<Plan, Refusal> {
        let environment = Arc::new(self.marked(&self.room(&request.environment)?.environment));
        let recipe = self.recipe(&request.recipe).cloned().ok_or_else(|| {
            let known = self
                .workspace
                .recipes
                .iter()
                .map(|recipe| recipe.name.as_str());
            let hint = steps::template::did_you_mean(&request.recipe, known);
            Refusal::new(format!(
                "there is no recipe called {:?}{hint}",
                request.recipe
            ))
        })?;
        // Renders every template for every host: not for a thread that others wait for.
        let place = Arc::clone(&environment);
        let plan = tokio::task::spawn_blocking(move || steps::plan(&recipe, &place, request))
            .await
            .map_err(|error| Refusal::new(format!("planning stopped: {error}")))?
            .map_err(|error| Refusal::new(error.to_string()))?;
        self.respect_cordons(plan, &environment)
    }

    /// Starts a plan; a refusal is recorded.
    pub(super) async fn start(
        &self,
        hash: &str,
        consent: &Consent,
        by: &Operator,
        read_only: bool,
    ) -> Result<Run, Refusal> {
        let plan = self.desk.plan(hash);
        let shown = plan.clone().ok();
        let started = match plan {
            Ok(plan) => self.begin(plan, hash, consent, by, read_only).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = &started {
            self.audit
                .run_refused(by, shown.as_deref(), hash, refusal)
                .await;
        }
        started
    }

    async fn begin(
        &self,
        plan: Arc<Plan>,
        hash: &str,
        consent: &Consent,
        by: &Operator,
        read_only: bool,
    ) -> Result<Run, Refusal> {
        let room = self.room(&plan.request.environment)?;
        let gate = Gate::of(plan.risk, room.environment.protection, read_only);
        gate.check(consent, &room.environment.name)
            .map_err(Refusal::new)?;
        let alone = gate != Gate::SecondOperator;
        if let Some(open) = plan.undecided.first() {
            return Err(Refusal::new(format!(
                "{open} must not be repeated, and it is not known how far it came: say whether to repeat it or to take it as \
                 done, and plan again"
            )));
        }
        let again = self.plan(plan.request.clone()).await?;
        if again.hash != plan.hash {
            return Err(Refusal::new(
                "what the plan was made from has changed since it was shown; plan again",
            ));
        }
        let past = match plan.request.origin {
            Some(Origin::Undo { run, .. }) => Some(self.past(run).await?),
            Some(Origin::Resume { .. }) | None => None,
        };
        let id = RunId(uuid::Uuid::now_v7());
        let stop = Stop::default();
        let seat = self.desk.seat(id, &plan, by, stop.clone())?;
        if alone {
            self.desk.claim(id, self.clock.now())?;
        }
        let new = NewRun {
            id,
            plan: self.shown(&plan)?,
            started_by: by.to_string(),
            at: self.clock.now(),
        };
        let run = self
            .store
            .create(new)
            .await
            .map_err(|error| Refusal::new(error.to_string()))?;
        self.desk.started(id, run.number, hash);
        self.bus.publish(Event::Run(Box::new(run.clone())));
        let tasks = Tasks::of(&plan);
        if let Err(refusal) = self.audit.run_started(by, &run).await {
            let reason = refusal.message.clone();
            bury(id, &tasks, reason, &self.store, &self.bus, &self.clock).await;
            return Err(refusal);
        }
        let debts = RunDebts::new(id, &plan, self.store.clone());
        if let Err(reason) = debts.take_over(&plan).await {
            bury(
                id,
                &tasks,
                reason.clone(),
                &self.store,
                &self.bus,
                &self.clock,
            )
            .await;
            return Err(Refusal::new(reason));
        }
        let asker = Asker {
            approvals: self.approvals.clone(),
            run: run.clone(),
            plan: Arc::clone(&plan),
            by: by.clone(),
            clock: Arc::clone(&self.clock),
            questions: Questions::default(),
        };
        let questions = asker.questions.clone();
        let consent = (!alone).then(|| asker.open(None, "may this run begin?", Approver::Second));
        let first = self.first_of(&run).await;
        let spools = (Arc::clone(&room.reach), detached_hosts(&plan));
        let steps = Steps {
            environment: Arc::new(self.marked(&room.environment)),
            reach: Arc::clone(&room.reach),
            services: room.directory.clone(),
            run: id,
            first,
            operators: asker,
            tasks: tasks.clone(),
            params: Arc::new(plan.request.params.clone()),
            dry_run: plan.request.dry_run,
            cache: self.cache.clone(),
            snapshots: self.snapshots.clone(),
            records: RunRecords::new(id, &plan, self.store.clone(), self.redactor.clone()),
            debts,
            wallet: Arc::default(),
        };
        let executor: Arc<dyn Executor> = match past {
            Some(past) => Arc::new(TakeBack::new(self, &past, run.number, &plan, steps)),
            None => Arc::new(steps),
        };
        let drive = Drive {
            questions,
            consent,
            executor,
            run: run.clone(),
            plan,
            tasks: tasks.clone(),
            journal: Arc::new(self.store.clone()),
            bus: self.bus.clone(),
            clock: Arc::clone(&self.clock),
            redactor: self.redactor.clone(),
            concurrency: self.concurrency,
            stop,
            seat: Some(seat),
        };
        let (store, bus, clock, audit) = (
            self.store.clone(),
            self.bus.clone(),
            Arc::clone(&self.clock),
            self.audit.clone(),
        );
        self.tasks.spawn(async move {
            let ended = match AssertUnwindSafe(drive.carry_out()).catch_unwind().await {
                Ok(run) => Some(run),
                Err(panic) => {
                    let reason = panicked(panic.as_ref());
                    bury(id, &tasks, reason, &store, &bus, &clock).await
                }
            };
            if let Some(run) = ended {
                audit.run_ended(&run).await;
                // Only now are all ends on record.
                if run.state != RunState::Interrupted {
                    clear_spools(spools.0, spools.1, first).await;
                }
            }
        });
        Ok(run)
    }

    async fn cancel(&self, run: RunId, caller: &Counter) -> Result<(), Refusal> {
        let gone = || Refusal::new("this run is not under way");
        let (number, environment, changes) = self.desk.place(run).ok_or_else(gone)?;
        if changes && caller.read_only {
            return Err(Refusal::new(READ_ONLY));
        }
        self.audit
            .run_cancelled(&caller.operator, environment, number)
            .await?;
        // It may have ended meanwhile.
        self.desk
            .cancel(run, &caller.operator)
            .then_some(())
            .ok_or_else(gone)
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

/// Ends a run that is given up, so that it does not stay "running"; the run as it is then, unless the store fails too.
async fn bury(
    run: RunId,
    tasks: &Tasks,
    reason: String,
    store: &Handle,
    bus: &Bus,
    clock: &SharedClock,
) -> Option<Run> {
    let changes = given_up(&tasks.snapshot(), reason);
    match store.commit(run, clock.now(), changes).await {
        Ok(committed) => {
            bus.publish(Event::Run(Box::new(committed.run.clone())));
            Some(committed.run)
        }
        Err(error) => {
            tracing::error!(%run, %error, "a run that was given up could not be ended");
            None
        }
    }
}

/// The engine as one operator sees it.
pub(super) struct Counter {
    pub(super) core: Arc<Core>,
    pub(super) operator: Operator,
    /// Whether everything that changes anything is refused here.
    pub(super) read_only: bool,
    /// Taken by a client that answers questions.
    pub(super) seat: OnceLock<Seat>,
}

#[async_trait]
impl Link for Counter {
    async fn call(&self, request: Request) -> Result<Response, Refusal> {
        if self.read_only && request.is_change() {
            return Err(Refusal::new(READ_ONLY));
        }
        attended(self.core.answer(request, self)).await
    }

    async fn open(&self, opening: Opening) -> Result<Conversation, Refusal> {
        talk::open(self, opening).await
    }

    fn subscribe(&self) -> Subscription {
        self.core.bus.subscribe()
    }
}

impl Core {
    async fn answer(&self, request: Request, caller: &Counter) -> Result<Response, Refusal> {
        match request {
            Request::Workspace => Ok(Response::Workspace(Box::new(Workspace {
                read_only: caller.read_only,
                ..self.workspace.clone()
            }))),
            Request::History {
                environment,
                node,
                most,
            } => Ok(Response::History(self.live.history(
                &environment,
                node.as_deref(),
                most,
            ))),
            Request::Live => Ok(Response::Live(
                self.with_marks(self.with_locks(self.live.snapshot())),
            )),
            Request::Approvals => Ok(Response::Approvals(self.approvals.waiting())),
            Request::Approve {
                run,
                step,
                hash,
                decision,
                note,
            } => {
                let deciding = Deciding {
                    run,
                    step,
                    hash,
                    decision,
                    note,
                };
                self.decide(deciding, &caller.operator).await?;
                Ok(Response::Done)
            }
            Request::BreakLock {
                environment,
                consent,
                force,
            } => {
                self.break_lock(&environment, &consent, force, &caller.operator)
                    .await
            }
            Request::Plan(request) => {
                let plan = Arc::new(self.plan(request).await?);
                let room = self.room(&plan.request.environment)?;
                let gate = Gate::of(plan.risk, room.environment.protection, caller.read_only);
                self.desk.keep(Arc::clone(&plan));
                Ok(Response::Plan {
                    plan: Box::new(Plan::clone(&plan)),
                    gate,
                })
            }
            Request::Start { hash, consent } => {
                let run = self
                    .start(&hash, &consent, &caller.operator, caller.read_only)
                    .await?;
                Ok(Response::Started(Box::new(run)))
            }
            Request::Cancel { run } => {
                self.cancel(run, caller).await?;
                Ok(Response::Done)
            }
            Request::Engine => Ok(Response::Engine(Box::new(self.report()))),
            Request::Refresh {
                environment,
                subject,
            } => {
                self.refresh(&environment, &subject)?;
                Ok(Response::Done)
            }
            Request::Mark {
                environment,
                node,
                change,
            } => {
                self.mark(&environment, &node, change, &caller.operator)
                    .await?;
                Ok(Response::Done)
            }
            Request::TestChannel { channel } => {
                self.test_channel(&channel).await?;
                Ok(Response::Done)
            }
            Request::Schedules => Ok(Response::Schedules(self.schedule_list())),
            Request::RunSchedule { environment, name } => {
                let run = self
                    .run_schedule(&environment, &name, &caller.operator)
                    .await?;
                Ok(Response::Started(Box::new(run)))
            }
            Request::PauseSchedule {
                environment,
                name,
                paused,
            } => {
                self.pause_schedule(&environment, &name, paused, &caller.operator)
                    .await?;
                Ok(Response::Done)
            }
            Request::Prune(request) => {
                let pruned = self.pruner.on_request(&caller.operator, request).await?;
                Ok(Response::Pruned(pruned))
            }
            Request::Attend => Ok(caller.attend()),
            Request::Answer { id, answer } => {
                self.answer_question(id, answer, &caller.operator).await
            }
            Request::LetIn {
                environment,
                node,
                wait,
            } => {
                let core = Arc::clone(&caller.core);
                let work = async move { core.let_in(&environment, &node).await };
                if wait {
                    work.await?;
                } else {
                    // What comes of it is told by the node's row.
                    self.spawn(attended(async move { drop(work.await) }));
                }
                Ok(Response::Done)
            }
            Request::Way {
                environment,
                node,
                test,
            } => self.way(&environment, &node, test).await,
            Request::Table {
                environment,
                service,
                view,
            } => {
                let room = self.room(&environment)?;
                room.directory
                    .table(&service, &view, TABLE_DEADLINE)
                    .await
                    .map(Response::Table)
                    .map_err(|error| Refusal::new(self.redactor.cleaned(error.to_string())))
            }
        }
    }
}
