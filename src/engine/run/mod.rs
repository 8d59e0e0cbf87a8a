//! A run from its first task to its last: order by [`graph`], work by [`attempt`], words by [`journal`].
//!
//! One loop owns the run and is the only one that moves it. Each turn gathers what has ended, decides what begins or is
//! skipped, commits all of that at once, publishes it, and only then lets it happen. So the store is never behind the world,
//! and a chain of ten thousand steps costs one flush a step.

mod attempt;
mod graph;
mod handles;
mod journal;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use attempt::{Ending, Permit, Work};
pub(super) use attempt::{Executor, panicked};
use graph::{End, Graph, Pause};
pub(super) use handles::{Questions, Stop, Tasks};
pub(super) use journal::Journal;
use journal::TaskLog;
pub(super) use verdict::given_up;
use verdict::verdict;

use super::approvals::Asked;
use super::bus::Bus;
use super::desk::Seat;
use crate::client::Event;
use crate::clock::SharedClock;
use crate::domain::approval::Decision;
use crate::domain::plan::Plan;
use crate::domain::run::{Run, RunState, Stream, Task, TaskState};
use crate::resources::Log;
use crate::store::{Change, Redactor, StoreError};

/// Endings and retries that may wait for the loop.
const INBOX: usize = 256;
/// The pause before the end of a run is stored again, when the store failed; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Everything a run needs.
pub(super) struct Drive {
    pub(super) run: Run,
    pub(super) plan: Arc<Plan>,
    /// The tasks as they are now; shared with whoever reports on them.
    pub(super) tasks: Tasks,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) bus: Bus,
    pub(super) clock: SharedClock,
    pub(super) redactor: Redactor,
    /// Tasks at a time.
    pub(super) concurrency: usize,
    pub(super) stop: Stop,
    /// What its tasks ask of the operators.
    pub(super) questions: Questions,
    /// The consent of another operator, where it must not begin without.
    pub(super) consent: Option<Asked>,
    /// The run's place on the desk; given up before anybody hears of the end, so that the next run may begin at once.
    pub(super) seat: Option<Seat>,
}

enum Message {
    /// A task asks to be attempted again.
    Again {
        ordinal: usize,
        attempt: u32,
        reason: String,
        go: oneshot::Sender<()>,
    },
    Ended {
        ordinal: usize,
        ending: Ending,
    },
    /// The pause before a step's next batch of hosts is over.
    Rested {
        step: usize,
    },
}

/// A worker's way to the loop that owns the run.
struct Line {
    ordinal: usize,
    owner: mpsc::Sender<Message>,
}

#[async_trait]
impl Permit for Line {
    async fn again(&self, attempt: u32, reason: String) -> bool {
        let (go, gone) = oneshot::channel();
        let message = Message::Again {
            ordinal: self.ordinal,
            attempt,
            reason,
            go,
        };
        self.owner.send(message).await.is_ok() && gone.await.is_ok()
    }
}

impl Drive {
    /// Carries the run out to its end; returns it as it was last committed.
    ///
    /// Never panics: a task that panics has failed, and one that does not stop is abandoned. When the store fails the run is
    /// given up at once, and its end is stored as soon as the store works again, or by the next engine.
    pub(super) async fn carry_out(mut self) -> Run {
        let result = match Graph::new(&self.plan, self.concurrency) {
            Ok(graph) => self.when_agreed(graph).await,
            Err(reason) => self.fail(reason).await,
        };
        if let Err(error) = result {
            tracing::error!(run = %self.run.id, %error, "the run was given up");
            let reason = format!("given up because the store failed: {error}");
            self.run.state = RunState::Failed;
            self.run.ended_at = Some(self.clock.now());
            self.run.reason = Some(reason.clone());
            self.bus.publish(Event::Run(Box::new(self.run.clone())));
            self.store_the_end(reason).await;
        }
        self.run
    }

    /// Tries until it works, or the engine ends: then the next one finds the run unfinished and accounts for it.
    async fn store_the_end(&mut self, reason: String) {
        let engine = self.stop.engine().clone();
        let mut pause = FIRST_PAUSE;
        while engine.run_until_cancelled(sleep(pause)).await.is_some() {
            let changes = given_up(&self.tasks.snapshot(), reason.clone());
            match self.commit(changes).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(run = %self.run.id, %error, "the end of a run cannot be stored yet");
                }
            }
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    /// A plan that cannot be carried out at all.
    async fn fail(&mut self, reason: String) -> Result<(), StoreError> {
        let waiting = 0..self.tasks.with(|tasks| tasks.len());
        let mut changes: Vec<Change> = waiting
            .map(|ordinal| skipped(ordinal, "the plan cannot be carried out".into()))
            .collect();
        changes.push(Change::Run {
            state: RunState::Failed,
            reason: Some(reason),
        });
        self.commit(changes).await
    }

    /// Begins at once, or when another operator agrees.
    async fn when_agreed(&mut self, graph: Graph) -> Result<(), StoreError> {
        let Some(mut asked) = self.consent.take() else {
            return self.turn(graph, None).await;
        };
        let waits = "waits for the consent of a second operator; nothing has happened yet";
        self.commit(vec![Change::Run {
            state: RunState::WaitingApproval,
            reason: Some(waits.into()),
        }])
        .await?;
        let stop = self.stop.token().clone();
        let verdict = stop.run_until_cancelled(asked.verdict()).await;
        let nothing = "nothing was done";
        let (state, reason) = match verdict {
            Some(verdict) if verdict.decision == Decision::Approve => {
                return self.turn(graph, Some(verdict.said)).await;
            }
            Some(refused) => (RunState::Failed, format!("{}; {nothing}", refused.said)),
            None if self.stop.is_engine() => (
                RunState::Interrupted,
                format!("the engine was ended while this waited for a second operator; {nothing}"),
            ),
            None => (
                RunState::Cancelled,
                format!(
                    "{} while it waited for a second operator; {nothing}",
                    self.stop.cause()
                ),
            ),
        };
        let waiting = not_begun(&self.tasks.snapshot());
        let mut changes: Vec<Change> = waiting
            .into_iter()
            .map(|ordinal| Change::Task {
                ordinal,
                state: TaskState::Cancelled,
                attempt: 0,
                reason: Some("the run did not begin".into()),
            })
            .collect();
        self.note(&reason).await;
        changes.push(Change::Run {
            state,
            reason: Some(reason),
        });
        self.commit(changes).await
    }

    /// Moves the run between working and waiting, as its tasks ask and are answered.
    fn wait_or_go_on(&self) -> Option<Change> {
        let open = self.questions.first();
        let state = match (self.run.state, &open) {
            (RunState::Running, Some(_)) => RunState::WaitingApproval,
            (RunState::WaitingApproval, None) => RunState::Running,
            _ => return None,
        };
        Some(Change::Run {
            state,
            reason: open,
        })
    }

    async fn turn(&mut self, mut graph: Graph, agreed: Option<String>) -> Result<(), StoreError> {
        let (sender, mut inbox) = mpsc::channel(INBOX);
        let workers = TaskTracker::new();
        // Stops the workers when the run is given up.
        let halt = self.stop.token().child_token();
        let _halt_at_the_end = halt.clone().drop_guard();
        let mut changes = vec![Change::Run {
            state: RunState::Running,
            reason: agreed,
        }];
        let mut begins = true;
        let mut asked = self.questions.subscribe();
        let mut again: Vec<oneshot::Sender<()>> = Vec::new();
        let mut stopped = false;
        loop {
            if !stopped && self.stop.is_stopped() {
                stopped = true;
                changes.extend(self.stop_waiting(&mut graph));
            }
            if !std::mem::take(&mut begins) {
                changes.extend(self.wait_or_go_on());
            }
            let begun = graph.begin();
            changes.extend(
                graph
                    .take_skipped()
                    .into_iter()
                    .map(|(ordinal, reason)| skipped(ordinal, reason)),
            );
            changes.extend(begun.iter().map(|ordinal| Change::Task {
                ordinal: narrow(*ordinal),
                state: TaskState::Running,
                attempt: 1,
                reason: None,
            }));
            self.commit(std::mem::take(&mut changes)).await?;
            for go in again.drain(..) {
                // A task that stopped waiting has ended, and will say so.
                let _ = go.send(());
            }
            for ordinal in begun {
                workers.spawn(self.worker(&graph, ordinal, sender.clone(), halt.clone()));
            }
            if graph.is_finished() {
                break;
            }
            for pause in graph.take_pauses() {
                self.rest(pause, sender.clone(), &workers, halt.clone())
                    .await;
            }
            let mut messages = Vec::new();
            tokio::select! {
                // The loop holds a sender itself, so there always will be a next message.
                _ = inbox.recv_many(&mut messages, INBOX) => {}
                () = self.stop.token().cancelled(), if !stopped => {}
                // The run holds the sender itself.
                _ = asked.changed() => {}
            }
            if !stopped && self.stop.is_stopped() {
                // Before the endings are looked at: what was stopped must not count as the reason why others are skipped.
                stopped = true;
                changes.extend(self.stop_waiting(&mut graph));
            }
            for message in messages {
                match message {
                    Message::Again {
                        ordinal,
                        attempt,
                        reason,
                        go,
                    } => {
                        changes.push(Change::Task {
                            ordinal: narrow(ordinal),
                            state: TaskState::Running,
                            attempt,
                            reason: Some(reason),
                        });
                        again.push(go);
                    }
                    Message::Rested { step } => graph.next_batch(step),
                    Message::Ended { ordinal, ending } => {
                        let end = if ending.state.is_success() {
                            End::Good
                        } else {
                            End::Bad
                        };
                        graph.end(ordinal, end);
                        changes.push(Change::Task {
                            ordinal: narrow(ordinal),
                            state: ending.state,
                            attempt: ending.attempts,
                            reason: ending.reason,
                        });
                    }
                }
            }
        }
        let (state, reason) = verdict(
            &self.run,
            &self.plan,
            &self.tasks.snapshot(),
            &self.stop,
            self.clock.now(),
        );
        self.note(&reason).await;
        self.commit(vec![Change::Run {
            state,
            reason: Some(reason),
        }])
        .await
    }

    /// Says that a step rests before its next hosts, and wakes the loop when that is over.
    async fn rest(
        &self,
        pause: Pause,
        owner: mpsc::Sender<Message>,
        workers: &TaskTracker,
        halt: CancellationToken,
    ) {
        self.note(&format!(
            "{} rests for {} s before it goes on with {}",
            self.plan.steps[pause.step].step.id,
            pause.time.as_secs(),
            pause.next.join(", ")
        ))
        .await;
        workers.spawn(async move {
            if halt.run_until_cancelled(sleep(pause.time)).await.is_some() {
                let step = pause.step;
                // The loop has gone only when the run was given up.
                let _ = owner.send(Message::Rested { step }).await;
            }
        });
    }

    /// Ends every task that has not begun.
    fn stop_waiting(&self, graph: &mut Graph) -> Vec<Change> {
        let reason = if self.stop.is_engine() {
            "the engine was ended before its turn"
        } else {
            "the run was cancelled before its turn"
        };
        let cancelled = |ordinal| Change::Task {
            ordinal: narrow(ordinal),
            state: TaskState::Cancelled,
            attempt: 0,
            reason: Some(reason.into()),
        };
        graph.stop().into_iter().map(cancelled).collect()
    }

    /// The future that works on one task and always sends its ending.
    fn worker(
        &self,
        graph: &Graph,
        ordinal: usize,
        sender: mpsc::Sender<Message>,
        cancel: CancellationToken,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (step, key) = graph.task(ordinal);
        let host = key.host.clone();
        let plan = Arc::clone(&self.plan);
        let executor = Arc::clone(&self.executor);
        let log: Arc<dyn Log> = Arc::new(self.log(Some(narrow(ordinal))));
        async move {
            let step = &plan.steps[step].step;
            let permit = Line {
                ordinal,
                owner: sender,
            };
            let ending = match step.time_limit() {
                Ok(limit) => {
                    let work = Work {
                        executor: executor.as_ref(),
                        step,
                        host: host.as_deref(),
                        limit,
                        log,
                        cancel: &cancel,
                        permit: &permit,
                    };
                    work.carry_out().await
                }
                Err(reason) => Ending {
                    state: TaskState::Failed,
                    attempts: 1,
                    reason: Some(reason),
                },
            };
            // The loop has gone only when the run was given up.
            let _ = permit.owner.send(Message::Ended { ordinal, ending }).await;
        }
    }

    async fn commit(&mut self, mut changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        for change in &mut changes {
            let (Change::Run { reason, .. } | Change::Task { reason, .. }) = change;
            *reason = reason.take().map(|text| self.redactor.cleaned(text));
        }
        let moved: Vec<usize> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Task { ordinal, .. } => Some(*ordinal as usize),
                Change::Run { .. } => None,
            })
            .collect();
        let committed = self
            .journal
            .commit(self.run.id, self.clock.now(), changes)
            .await?;
        self.run = committed.run;
        if self.run.state.is_final() {
            self.seat = None;
        }
        self.tasks.with(|tasks| {
            for (ordinal, task) in moved.iter().zip(&committed.tasks) {
                tasks[*ordinal].clone_from(task);
            }
        });
        for task in committed.tasks {
            self.bus.publish(Event::Task {
                run: self.run.id,
                task: Box::new(task),
            });
        }
        self.bus.publish(Event::Run(Box::new(self.run.clone())));
        Ok(())
    }

    fn log(&self, task: Option<u32>) -> TaskLog {
        TaskLog {
            journal: Arc::clone(&self.journal),
            redactor: self.redactor.clone(),
            clock: Arc::clone(&self.clock),
            run: self.run.id,
            task,
        }
    }

    async fn note(&self, text: &str) {
        self.log(None).line(Stream::Note, text.into()).await;
    }
}

/// The tasks that have not begun.
fn not_begun(tasks: &[Task]) -> Vec<u32> {
    let pending = tasks
        .iter()
        .zip(0u32..)
        .filter(|(task, _)| task.state == TaskState::Pending);
    pending.map(|(_, ordinal)| ordinal).collect()
}

fn skipped(ordinal: usize, reason: String) -> Change {
    Change::Task {
        ordinal: narrow(ordinal),
        state: TaskState::Skipped,
        attempt: 0,
        reason: Some(reason),
    }
}

/// A task's position as the store counts it; a plan with more tasks than that does not fit into memory.
fn narrow(ordinal: usize) -> u32 {
    u32::try_from(ordinal).unwrap_or(u32::MAX)
}
