//! The engine as one operator sees it: every request, and who answers it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

use super::Core;
use crate::client::conversation::{Conversation, Opening};
use crate::client::{Link, Refusal, Request, Response, Subscription, Workspace};
use crate::domain::action::{Gate, READ_ONLY};
use crate::domain::operator::Operator;
use crate::domain::plan::Plan;
use crate::engine::approvals::Deciding;
use crate::engine::drift::IgnoreWish;
use crate::engine::questions::Seat;
use crate::engine::shown::Shown;
use crate::engine::talk;
use crate::transport::ask::attended;

/// How long a table may take.
const TABLE_DEADLINE: Duration = Duration::from_secs(10);

/// The engine as one operator sees it.
pub(in crate::engine) struct Counter {
    pub(in crate::engine) core: Arc<Core>,
    pub(in crate::engine) operator: Operator,
    /// Whether everything that changes anything is refused here.
    pub(in crate::engine) read_only: bool,
    /// Whether it stands at the engine's door: who stands there can call the next engine.
    pub(in crate::engine) at_the_door: bool,
    /// Taken by a client that answers questions.
    pub(in crate::engine) seat: OnceLock<Seat>,
    /// What was shown here, and may be started here.
    pub(in crate::engine) shown: Shown,
}

impl Counter {
    /// A counter for `operator`, within this process.
    pub(in crate::engine) fn new(core: Arc<Core>, operator: Operator, read_only: bool) -> Self {
        Self {
            core,
            operator,
            read_only,
            at_the_door: false,
            seat: OnceLock::new(),
            shown: Shown::default(),
        }
    }
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
    async fn answer(
        self: &Arc<Self>,
        request: Request,
        caller: &Counter,
    ) -> Result<Response, Refusal> {
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
                let plan = self.plan(request).await?;
                let plan = Arc::new(self.with_outlook(plan).await);
                let room = self.room(&plan.request.environment)?;
                let gate = Gate::of(plan.risk, room.environment.protection, caller.read_only);
                caller.shown.keep(Arc::clone(&plan));
                Ok(Response::Plan {
                    plan: Box::new(Plan::clone(&plan)),
                    gate,
                })
            }
            Request::Start { hash, consent } => {
                let run = self.start_shown(&hash, &consent, caller).await?;
                Ok(Response::Started(Box::new(run)))
            }
            Request::Cancel { run } => {
                self.cancel(run, caller).await?;
                Ok(Response::Done)
            }
            Request::Renew if !caller.at_the_door => Err(Refusal::new(
                "this engine runs within this program: leave it and start it again",
            )),
            Request::Renew => {
                caller.stop(false, true)?;
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
            Request::Snapshots { environment } => self
                .snapshots_of(&environment)
                .await
                .map(Response::Snapshots),
            Request::IgnoreDrift {
                environment,
                matches,
                reason,
                days,
            } => {
                let wish = IgnoreWish {
                    matches,
                    reason,
                    days,
                };
                self.ignore_drift(&environment, wish, &caller.operator)
                    .await?;
                Ok(Response::Done)
            }
            Request::Drift { environment } => self.drift_of(&environment).await,
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
            Request::Seals { environment } => Ok(Response::Seals(self.seals(&environment).await?)),
            Request::Ceremonies => Ok(Response::Ceremonies(self.ceremonies.held())),
            Request::Ceremony { run, word } => self.speak(run, word, &caller.operator).await,
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
            Request::FindHosts { typed } => self.find_hosts(&typed).await,
            Request::Survey { nodes } => Ok(self.survey(nodes)),
            Request::Members { kind, service } => self.members_of(kind, &service).await,
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
