//! Performing effects: calls to the engine with a deadline, reads of the store on blocking threads.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::logs::PAGE;
use super::super::message::{Answer, Effect, LogAsk, LogPage, LogQuery, RunRecord};
use super::super::options::Options;
use super::super::world::RUNS;
use crate::client::{Client, Refusal, Request, Response};
use crate::domain::run::{LogLine, RunId, TaskState};
use crate::store::{LineFilter, Reader, StoreError};

/// The longest the engine may take to answer; plans of large environments take a while.
const PATIENCE: Duration = Duration::from_secs(30);
/// Newest runs looked through for those that touched a node.
const LOOKED_THROUGH: usize = 40;
/// Pages read at most for one search step when two texts must match.
const SEARCH_PAGES: usize = 400;

/// Performs effects in tasks of its own and sends the answers back.
pub(super) struct Performer {
    client: Client,
    options: Options,
    answers: mpsc::Sender<Answer>,
    tasks: JoinSet<()>,
}

impl Performer {
    pub(super) fn new(client: Client, options: Options, answers: mpsc::Sender<Answer>) -> Self {
        Self {
            client,
            options,
            answers,
            tasks: JoinSet::new(),
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
        Effect::Lines(query) => {
            let asked = query.clone();
            Answer::Lines {
                query,
                result: read(move || page(&history, &asked)).await,
            }
        }
        Effect::Extra { name, argument } => Answer::Extra(match &options.extras {
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
        }),
        // The session performs these itself: they are about the terminal.
        Effect::Copy(_) | Effect::Mouse(_) | Effect::Suspend | Effect::Repaint | Effect::Quit => {
            return None;
        }
    })
}

async fn call(client: &Client, request: Request) -> Result<Response, Refusal> {
    tokio::time::timeout(PATIENCE, client.call(request))
        .await
        .unwrap_or_else(|_| {
            let sentence = format!("the engine did not answer within {} s", PATIENCE.as_secs());
            Err(Refusal::new(sentence))
        })
}

fn unexpected(answer: Result<Response, Refusal>) -> Refusal {
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

/// A window of a log.
fn page(history: &Reader, query: &LogQuery) -> Result<LogPage, StoreError> {
    let (run, filter) = (query.run, &query.filter);
    let lines = match &query.ask {
        LogAsk::Tail => history.lines_before(run, None, PAGE, filter)?,
        LogAsk::Start => history.lines(run, 0, PAGE, filter)?,
        LogAsk::After(seq) => history.lines(run, *seq, PAGE, filter)?,
        LogAsk::Before(seq) => history.lines_before(run, Some(*seq), PAGE, filter)?,
        LogAsk::Find { needle, from, back } => return find(history, query, needle, *from, *back),
    };
    Ok(LogPage { lines, found: None })
}

/// The nearest line with `needle`, and what stands around it.
fn find(
    history: &Reader,
    query: &LogQuery,
    needle: &str,
    from: u64,
    back: bool,
) -> Result<LogPage, StoreError> {
    let found = match &query.filter.text {
        None => {
            let filter = LineFilter {
                text: Some(needle.to_owned()),
                ..query.filter.clone()
            };
            step(history, query.run, &filter, from, back, 1)?
                .first()
                .map(|line| line.seq)
        }
        // The store looks for one text: the other is looked for here, page by page.
        Some(_) => walk(history, query, &needle.to_lowercase(), from, back)?,
    };
    let Some(seq) = found else {
        return Ok(LogPage::default());
    };
    let mut lines = history.lines_before(query.run, Some(seq), PAGE / 2, &query.filter)?;
    lines.extend(history.lines(query.run, seq, PAGE / 2, &query.filter)?);
    Ok(LogPage { lines, found })
}

fn step(
    history: &Reader,
    run: RunId,
    filter: &LineFilter,
    from: u64,
    back: bool,
    limit: usize,
) -> Result<Vec<LogLine>, StoreError> {
    if back {
        history.lines_before(run, Some(from), limit, filter)
    } else {
        history.lines(run, from, limit, filter)
    }
}

fn walk(
    history: &Reader,
    query: &LogQuery,
    needle: &str,
    mut from: u64,
    back: bool,
) -> Result<Option<u64>, StoreError> {
    for _ in 0..SEARCH_PAGES {
        let lines = step(history, query.run, &query.filter, from, back, PAGE)?;
        let hit = |line: &&LogLine| line.text.to_lowercase().contains(needle);
        let hit = if back {
            lines.iter().rev().find(hit)
        } else {
            lines.iter().find(hit)
        };
        if let Some(line) = hit {
            return Ok(Some(line.seq));
        }
        let edge = if back { lines.first() } else { lines.last() };
        let Some(edge) = edge else {
            return Ok(None);
        };
        from = if back { edge.seq } else { edge.seq + 1 };
    }
    Ok(None)
}
