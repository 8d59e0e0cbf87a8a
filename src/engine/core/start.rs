//! From a plan that was agreed to, to a run under way: the gate, the record, then the work.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use super::counter::Counter;
use super::{Core, Room};
use crate::client::{Event, Refusal};
use crate::clock::SharedClock;
use crate::domain::action::{Consent, Gate, READ_ONLY, Risk};
use crate::domain::approval::Approver;
use crate::domain::operator::Operator;
use crate::domain::plan::{Origin, Plan};
use crate::domain::run::{Run, RunId, RunState};
use crate::engine::approvals::Asker;
use crate::engine::bus::Bus;
use crate::engine::debts::RunDebts;
use crate::engine::desk::Seat;
use crate::engine::left_behind::{clear_spools, detached_hosts};
use crate::engine::run::{Drive, Executor, Questions, Stop, Tasks, given_up, panicked};
use crate::engine::strongbox::Strongbox;
use crate::engine::undo::{RunRecords, TakeBack};
use crate::engine::workshop::RunWorkshop;
use crate::engine::world::Steps;
use crate::steps::{Past, Question};
use crate::store::{Handle, NewRun};

/// A run that is on record and has not begun to work.
struct Recorded {
    run: Run,
    plan: Arc<Plan>,
    tasks: Tasks,
    debts: RunDebts,
    /// What it takes back, when that is what it is for.
    past: Option<Vec<Past>>,
    stop: Stop,
    seat: Seat,
    /// Whether it waits for another operator before it works.
    waits: bool,
}

impl Core {
    /// Starts a plan that was shown to the caller; one that is refused may be tried again.
    pub(super) async fn start_shown(
        &self,
        hash: &str,
        consent: &Consent,
        caller: &Counter,
    ) -> Result<Run, Refusal> {
        let by = &caller.operator;
        let plan = match caller.shown.take(hash) {
            Ok(plan) => plan,
            Err(refusal) => {
                self.audit.run_refused(by, None, hash, &refusal).await;
                return Err(refusal);
            }
        };
        let started = self
            .start(Arc::clone(&plan), consent, by, caller.read_only)
            .await;
        if started.is_err() {
            caller.shown.keep(plan);
        }
        started
    }

    /// Starts a plan; a refusal is recorded.
    pub(in crate::engine) async fn start(
        &self,
        plan: Arc<Plan>,
        consent: &Consent,
        by: &Operator,
        read_only: bool,
    ) -> Result<Run, Refusal> {
        let started = self.begin(Arc::clone(&plan), consent, by, read_only).await;
        if let Err(refusal) = &started {
            self.audit
                .run_refused(by, Some(&plan), &plan.hash, refusal)
                .await;
        }
        started
    }

    async fn begin(
        &self,
        plan: Arc<Plan>,
        consent: &Consent,
        by: &Operator,
        read_only: bool,
    ) -> Result<Run, Refusal> {
        let room = self.room(&plan.request.environment)?;
        let waits = self.pass(&plan, room, consent, read_only).await?;
        let recorded = self.record(plan, by, waits).await?;
        let run = recorded.run.clone();
        self.drive(recorded, room, by).await;
        Ok(run)
    }

    /// Whether the plan may become a run: `true` when another operator must agree first.
    async fn pass(
        &self,
        plan: &Plan,
        room: &Room,
        consent: &Consent,
        read_only: bool,
    ) -> Result<bool, Refusal> {
        let gate = Gate::of(plan.risk, room.environment.protection, read_only);
        gate.check(consent, &room.environment.name)
            .map_err(Refusal::new)?;
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
        Ok(gate == Gate::SecondOperator)
    }

    /// Puts the run into the store and the audit before anything of it happens.
    async fn record(
        &self,
        plan: Arc<Plan>,
        by: &Operator,
        waits: bool,
    ) -> Result<Recorded, Refusal> {
        let past = match plan.request.origin {
            Some(Origin::Undo { run, .. }) => Some(self.past(run).await?),
            Some(Origin::Resume { .. }) | None => None,
        };
        let id = RunId(uuid::Uuid::now_v7());
        let stop = Stop::default();
        let seat = self.desk.seat(id, &plan, by, stop.clone())?;
        if !waits {
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
        self.desk.started(id, run.number);
        self.bus.publish(Event::Run(Box::new(run.clone())));
        let tasks = Tasks::of(&plan);
        let debts = RunDebts::new(id, &plan, self.store.clone());
        let noted = async {
            self.audit.run_started(by, &run).await?;
            debts.take_over(&plan).await.map_err(Refusal::new)
        };
        if let Err(refusal) = noted.await {
            let reason = refusal.message.clone();
            bury(id, &tasks, reason, &self.store, &self.bus, &self.clock).await;
            return Err(refusal);
        }
        Ok(Recorded {
            run,
            plan,
            tasks,
            debts,
            past,
            stop,
            seat,
            waits,
        })
    }

    /// The secrets that a run may see; one that only looks makes none.
    fn secrets_for(&self, environment: &str, plan: &Plan) -> Strongbox {
        let strongbox = Strongbox::of(&self.birth.state_dir, environment, self.redactor.clone());
        if plan.request.dry_run || plan.risk == Risk::Read {
            strongbox.looking_only()
        } else {
            strongbox
        }
    }

    /// Lets the run work on its own.
    async fn drive(&self, recorded: Recorded, room: &Room, by: &Operator) {
        let Recorded {
            run,
            plan,
            tasks,
            debts,
            past,
            stop,
            seat,
            waits,
        } = recorded;
        let id = run.id;
        let asker = Asker {
            approvals: self.approvals.clone(),
            run: run.clone(),
            plan: Arc::clone(&plan),
            by: by.clone(),
            clock: Arc::clone(&self.clock),
            questions: Questions::default(),
        };
        let questions = asker.questions.clone();
        let consent = waits.then(|| asker.open(None, may_begin()));
        let first = self.first_of(&run).await;
        let spools = (Arc::clone(&room.reach), detached_hosts(&plan));
        let workshop = RunWorkshop::new(
            id,
            &plan,
            self.birth.root.clone(),
            &self.birth.state_dir,
            self.store.clone(),
            self.bus.clone(),
            self.redactor.clone(),
        );
        let drift = self.drift.of_run(&room.environment.name, &run, &plan);
        let steps = Steps {
            workshop: workshop.clone(),
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
            offline: plan.request.limits.offline,
            snapshots: self.snapshots.clone(),
            keys: self.keys.clone(),
            ceremonies: self.ceremonies.room(&run, &self.bus),
            secrets: Arc::new(self.secrets_for(&room.environment.name, &plan)),
            records: RunRecords::new(id, &plan, self.store.clone(), self.redactor.clone()),
            debts,
            drift: drift.clone(),
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
            run,
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
            workshop.clear().await;
            if let Some(run) = ended {
                audit.run_ended(&run).await;
                drift.ended(&run).await;
                // Only now are all ends on record.
                if run.state != RunState::Interrupted {
                    clear_spools(spools.0, spools.1, first).await;
                }
            }
        });
    }

    pub(super) async fn cancel(&self, run: RunId, caller: &Counter) -> Result<(), Refusal> {
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
}

/// What a second operator is asked before a run begins.
fn may_begin() -> Question {
    Question {
        text: "may this run begin?".into(),
        approver: Approver::Second,
        bound: None,
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
