//! Performing effects: calls to the engine with a deadline, reads of the store on blocking threads.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::logs::PAGE;
use super::super::message::{Answer, Effect, LogAsk, LogPage, LogQuery, RunRecord};
use super::super::options::Options;
use super::super::world::{RUNS, TREND};
use super::bootstrap;
use super::talks::Talks;
use crate::client::{Client, Refusal, Request, Response};
use crate::domain::answers::{Told, told};
use crate::domain::run::{RunId, TaskState};
use crate::store::{Pattern, Reader, StoreError, Window};

/// The longest the engine may take to answer; plans of large environments take a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// Newest runs looked through for those that touched a node.
const LOOKED_THROUGH: usize = 40;
/// Lines of a log looked at for one answer; a fraction of a second, also on a small board.
const ROWS: u64 = 200_000;

/// Performs effects in tasks of its own and sends the answers back.
pub(super) struct Performer {
    client: Client,
    options: Options,
    answers: mpsc::Sender<Answer>,
    tasks: JoinSet<()>,
    talks: Talks,
}

impl Performer {
    pub(super) fn new(client: Client, options: Options, answers: mpsc::Sender<Answer>) -> Self {
        Self {
            client,
            options,
            answers,
            tasks: JoinSet::new(),
            talks: Talks::default(),
        }
    }

    /// Ends everything that is under way.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Begins; the answer comes through the channel.
    pub(super) fn perform(&mut self, effect: Effect) {
        // Tasks that have ended are let go, so that the set stays small.
        while self.tasks.try_join_next().is_some() {}
        let client = self.client.clone();
        let answers = self.answers.clone();
        let effect = match effect {
            Effect::Talk { id, opening } => {
                let talk = self.talks.begin(id, client, opening, answers);
                self.tasks.spawn(talk);
                return;
            }
            Effect::Say { id, up } => return self.talks.say(id, up, &answers),
            Effect::HangUp { id } => return self.talks.end(id),
            other => other,
        };
        let options = self.options.clone();
        self.tasks.spawn(async move {
            if let Some(answer) = answer(&client, &options, effect).await {
                // A closed channel means that the session is over.
                let _ = answers.send(answer).await;
            }
        });
    }
}

/// Performs one effect and waits for its answer; `None` for effects that have none. A replayed session uses this where a
/// live one has the runner.
pub async fn answer(client: &Client, options: &Options, effect: Effect) -> Option<Answer> {
    let history = client.history.clone();
    Some(match effect {
        Effect::Workspace => Answer::Workspace(match call(client, Request::Workspace).await {
            Ok(Response::Workspace(workspace)) => Ok(*workspace),
            other => Err(unexpected(other)),
        }),
        Effect::Live => Answer::Live(match call(client, Request::Live).await {
            Ok(Response::Live(live)) => Ok(live),
            other => Err(unexpected(other)),
        }),
        Effect::History { environment } => {
            let request = Request::History {
                environment: environment.clone(),
                node: None,
                most: TREND,
            };
            Answer::History {
                environment,
                result: match call(client, request).await {
                    Ok(Response::History(history)) => Ok(history),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Snapshots { environment } => {
            let request = Request::Snapshots {
                environment: environment.clone(),
            };
            Answer::Snapshots {
                environment,
                result: match call(client, request).await {
                    Ok(Response::Snapshots(snapshots)) => Ok(snapshots),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Drift { environment } => {
            let request = Request::Drift {
                environment: environment.clone(),
            };
            Answer::Drift {
                environment,
                result: match call(client, request).await {
                    Ok(Response::Drift(board)) => Ok(board),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Schedules => Answer::Schedules(match call(client, Request::Schedules).await {
            Ok(Response::Schedules(schedules)) => Ok(schedules),
            other => Err(unexpected(other)),
        }),
        Effect::Plan { ticket, request } => Answer::Plan {
            ticket,
            result: match call(client, request).await {
                Ok(Response::Plan { plan, gate }) => Ok((plan, gate)),
                other => Err(unexpected(other)),
            },
        },
        Effect::Start { hash, consent } => {
            Answer::Started(match call(client, Request::Start { hash, consent }).await {
                Ok(Response::Started(run)) => Ok(run),
                other => Err(unexpected(other)),
            })
        }
        Effect::Tell { request, what } => Answer::Told {
            what,
            result: call(client, request).await.map(|_| ()),
        },
        Effect::Seals { environment } => {
            let request = Request::Seals {
                environment: environment.clone(),
            };
            Answer::Seals {
                environment,
                result: match call(client, request).await {
                    Ok(Response::Seals(boards)) => Ok(boards),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Ceremonies => Answer::Ceremonies(match call(client, Request::Ceremonies).await {
            Ok(Response::Ceremonies(held)) => Ok(held),
            other => Err(unexpected(other)),
        }),
        Effect::Speak { run, word } => {
            // A share goes to every node: as long as the slowest of them takes.
            let answer = client.call(Request::Ceremony { run, word }).await;
            Answer::Spoken {
                run,
                result: match answer {
                    Ok(Response::Keys(keys)) => Ok(Some(*keys)),
                    Ok(Response::Ceremony(_)) => Ok(None),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Attend => Answer::Questions(match call(client, Request::Attend).await {
            Ok(Response::Questions(questions)) => Ok(questions),
            other => Err(unexpected(other)),
        }),
        Effect::Approvals => Answer::Approvals(match call(client, Request::Approvals).await {
            Ok(Response::Approvals(waiting)) => Ok(waiting),
            other => Err(unexpected(other)),
        }),
        Effect::Table { key } => {
            let (environment, service, view) = key.clone();
            let request = Request::Table {
                environment,
                service,
                view,
            };
            Answer::Table {
                key,
                result: match call(client, request).await {
                    Ok(Response::Table(table)) => Ok(table),
                    other => Err(unexpected(other)),
                },
            }
        }
        Effect::Runs => Answer::Runs(read(move || history.runs(RUNS)).await),
        Effect::Run(id) => Answer::Run(read(move || record(&history, id)).await),
        Effect::NodeRuns { environment, node } => {
            let (place, name) = (environment.clone(), node.clone());
            Answer::NodeRuns {
                environment,
                node,
                result: read(move || touching(&history, &place, &name)).await,
            }
        }
        Effect::Answers(id) => {
            let groups = read(move || history.answers(id)).await;
            Answer::Answers(groups.map(|groups| {
                let lines = told(&groups, true).into_iter();
                let indent = |(what, line): (Told, String)| match what {
                    Told::Heading => line,
                    Told::Said => format!("  {line}"),
                };
                lines.map(indent).collect()
            }))
        }
        Effect::Lines(query) => {
            let asked = query.clone();
            Answer::Lines {
                query,
                result: read(move || page(&history, &asked)).await,
            }
        }
        Effect::Extra { name, argument } => {
            let result = match &options.extras {
                Some(extras) => {
                    let performed = extras.perform(&name, argument.as_deref());
                    tokio::time::timeout(PATIENCE, performed)
                        .await
                        .unwrap_or_else(|_| {
                            Err(format!(
                                "{name} did not end within {} s",
                                PATIENCE.as_secs()
                            ))
                        })
                }
                None => Err(format!("{name} is not available here")),
            };
            Answer::Extra { name, result }
        }
        Effect::Bootstrap(work) => {
            let worked = bootstrap::work(client, options, *work).await?;
            Answer::Bootstrap(Box::new(worked))
        }
        // Not answered once, but as long as they go on: the runner's.
        Effect::Talk { .. } | Effect::Say { .. } | Effect::HangUp { .. } => return None,
        // The session performs these itself: they are about the terminal.
        Effect::Copy(_) | Effect::Mouse(_) | Effect::Suspend | Effect::Repaint | Effect::Quit => {
            return None;
        }
    })
}

pub(super) async fn call(client: &Client, request: Request) -> Result<Response, Refusal> {
    tokio::time::timeout(PATIENCE, client.call(request))
        .await
        .unwrap_or_else(|_| {
            let sentence = format!("the engine did not answer within {} s", PATIENCE.as_secs());
            Err(Refusal::new(sentence))
        })
}

pub(super) fn unexpected(answer: Result<Response, Refusal>) -> Refusal {
    match answer {
        Err(refusal) => refusal,
        Ok(_) => Refusal::new(
            "the engine answered something else than was asked; it may be of another version",
        ),
    }
}

/// Runs a read of the store on a blocking thread.
async fn read<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("reading the store was broken off".into()),
    }
}

fn record(history: &Reader, id: RunId) -> Result<Option<Box<RunRecord>>, StoreError> {
    let Some(run) = history.run(id)? else {
        return Ok(None);
    };
    Ok(Some(Box::new(RunRecord {
        run,
        tasks: history.tasks(id)?,
        plan: history.plan(id)?,
        matrices: history.matrices(id)?,
    })))
}

/// The newest runs with a task on that node, and the worst state of those tasks.
fn touching(
    history: &Reader,
    environment: &str,
    node: &str,
) -> Result<Vec<(RunId, TaskState)>, StoreError> {
    let mut found = Vec::new();
    for run in history.runs(LOOKED_THROUGH)? {
        if run.environment != environment {
            continue;
        }
        let tasks = history.tasks(run.id)?;
        let worst = tasks
            .iter()
            .filter(|task| task.key.host.as_deref() == Some(node))
            .map(|task| task.state)
            .max_by_key(|state| badness(*state));
        if let Some(worst) = worst {
            found.push((run.id, worst));
        }
    }
    Ok(found)
}

const fn badness(state: TaskState) -> u8 {
    match state {
        TaskState::Failed => 7,
        TaskState::Running => 6,
        TaskState::Cancelled => 5,
        TaskState::Undone => 4,
        TaskState::Pending => 3,
        TaskState::Changed => 2,
        TaskState::Ok => 1,
        TaskState::Skipped => 0,
    }
}

/// A window of a log. Looks at a bounded number of lines: the view asks again, so that it can show how far it is, and
/// stop.
fn page(history: &Reader, query: &LogQuery) -> Result<LogPage, StoreError> {
    let run = query.run;
    let window = match &query.ask {
        LogAsk::Tail => Window::backward(run, u64::MAX, PAGE),
        LogAsk::Start => Window::forward(run, 0, PAGE),
        LogAsk::After(seq) => Window::forward(run, *seq, PAGE),
        LogAsk::Before(seq) => Window::backward(run, *seq, PAGE),
        LogAsk::Find {
            pattern,
            from,
            back,
        } => return find(history, query, pattern, *from, *back),
    };
    let slice = history.slice(&window.within(ROWS), &query.filter)?;
    Ok(LogPage {
        lines: slice.found,
        found: None,
        reached: slice.reached,
        done: slice.done,
    })
}

/// The nearest line that the pattern finds, and what stands around it.
fn find(
    history: &Reader,
    query: &LogQuery,
    pattern: &Pattern,
    from: u64,
    back: bool,
) -> Result<LogPage, StoreError> {
    let window = if back {
        Window::backward(query.run, from, 1)
    } else {
        Window::forward(query.run, from, 1)
    };
    let slice = history.search(&window.within(ROWS), &query.filter, pattern, 0)?;
    let Some(seq) = slice.found.first().map(|hit| hit.line.seq) else {
        return Ok(LogPage {
            reached: slice.reached,
            done: slice.done,
            ..LogPage::default()
        });
    };
    let above = Window::backward(query.run, seq, PAGE / 2).within(ROWS);
    let above = history.slice(&above, &query.filter)?;
    let below = Window::forward(query.run, seq, PAGE / 2).within(ROWS);
    let mut lines = above.found;
    lines.extend(history.slice(&below, &query.filter)?.found);
    Ok(LogPage {
        lines,
        found: Some(seq),
        reached: above.reached,
        done: true,
    })
}
