//! Which task may begin: the plan as a graph, without time, threads or I/O.
//!
//! A step opens when every step it needs has ended well on every host. Its tasks then begin as places become free: one
//! task per host, at most `parallel` of a step, at most so many of the run. A host that fails does not hold up the other
//! hosts of its step unless the step says so with `max_fail` or goes host by host with `parallel`; the steps that need it
//! do not open anywhere. A step that is rolling gives out one batch of its hosts after the other. Handlers at the end open
//! when everything else has ended, however that was, and leave out the hosts on which something failed. Tasks that the plan
//! keeps from an earlier run have ended well before the first turn.
//!
//! Looking for work costs time in proportion to the number of hosts, not of tasks: a plan of ten thousand steps is handled
//! as quickly per step as one of ten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::handler;
use crate::domain::plan::Plan;
use crate::domain::run::TaskKey;

/// The plan's tasks and what holds them up.
#[derive(Debug)]
pub(super) struct Graph {
    steps: Vec<StepNode>,
    tasks: Vec<TaskNode>,
    /// Tasks of open steps that wait for their host, by host. The last queue is for tasks that run where the engine is,
    /// which do not exclude each other.
    queues: Vec<BTreeSet<usize>>,
    busy: Vec<bool>,
    running: usize,
    limit: usize,
    unfinished: usize,
    skipped: Vec<(usize, String)>,
    /// Where something failed, and which step it was.
    failed_on: BTreeMap<String, String>,
    /// Steps whose next batch waits, and for how long.
    pauses: Vec<Pause>,
}

/// A step that is to rest between two batches of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    /// The step by its position in the plan.
    pub(super) step: usize,
    pub(super) time: Duration,
    /// The hosts that come next.
    pub(super) next: Vec<String>,
}

#[derive(Debug)]
struct StepNode {
    id: String,
    needed_by: Vec<usize>,
    /// Steps that have not ended yet and must.
    waits_for: usize,
    tasks: std::ops::Range<usize>,
    left: usize,
    running: usize,
    parallel: usize,
    /// On how many hosts it may fail before it begins on no other.
    max_fail: usize,
    /// Hosts of a batch, where it goes in batches.
    batch: Option<usize>,
    pause: Duration,
    /// Tasks of later batches.
    held: VecDeque<usize>,
    /// Of the batch that was given out: not ended yet.
    of_batch: usize,
    /// A handler behind everything else.
    last: bool,
    /// Where it failed.
    failed: Vec<String>,
    /// Why it will not open.
    barred: Option<String>,
}

#[derive(Debug)]
struct TaskNode {
    key: TaskKey,
    step: usize,
    queue: usize,
    /// Ended in an earlier run.
    kept: bool,
}

/// How a task ended, as far as the graph cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// What needs it may go on.
    Good,
    /// What needs it may not.
    Bad,
}

impl Graph {
    /// The graph of a plan; at most `limit` tasks run at a time.
    ///
    /// # Errors
    /// A sentence when the steps do not form a graph: a name twice, a need that does not exist, a circle.
    pub(super) fn new(plan: &Plan, limit: usize) -> Result<Self, String> {
        let mut index = BTreeMap::new();
        for (position, planned) in plan.steps.iter().enumerate() {
            if index.insert(planned.step.id.as_str(), position).is_some() {
                return Err(format!("there are two steps called {:?}", planned.step.id));
            }
        }
        let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
        for host in plan
            .steps
            .iter()
            .flat_map(|planned| &planned.hosts)
            .flatten()
        {
            let next = hosts.len();
            hosts.entry(host.clone()).or_insert(next);
        }
        let here = hosts.len();
        let kept: BTreeSet<&TaskKey> = plan.kept.iter().map(|task| &task.key).collect();
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut tasks = Vec::new();
        for (position, planned) in plan.steps.iter().enumerate() {
            let first = tasks.len();
            tasks.extend(planned.tasks().into_iter().map(|key| {
                TaskNode {
                    queue: key
                        .host
                        .as_ref()
                        .and_then(|host| hosts.get(host).copied())
                        .unwrap_or(here),
                    kept: kept.contains(&key),
                    key,
                    step: position,
                }
            }));
            steps.push(StepNode {
                id: planned.step.id.clone(),
                needed_by: Vec::new(),
                waits_for: 0,
                left: tasks[first..]
                    .iter()
                    .filter(|task: &&TaskNode| !task.kept)
                    .count(),
                tasks: first..tasks.len(),
                running: 0,
                parallel: planned
                    .step
                    .parallel
                    .map_or(usize::MAX, |most| most.max(1) as usize),
                max_fail: match (
                    &planned.step.rolling,
                    planned.step.max_fail,
                    planned.step.parallel,
                ) {
                    (Some(rolling), ..) => rolling.max_fail_of(tasks.len() - first),
                    (None, Some(most), _) => most as usize,
                    (None, None, Some(_)) => 0,
                    (None, None, None) => usize::MAX,
                },
                batch: planned
                    .step
                    .rolling
                    .as_ref()
                    .map(|rolling| rolling.batch_of(tasks.len() - first)),
                pause: match &planned.step.rolling {
                    Some(rolling) => rolling.pause()?,
                    None => Duration::ZERO,
                },
                held: VecDeque::new(),
                of_batch: 0,
                last: handler::is_last(&planned.step.id),
                failed: Vec::new(),
                barred: None,
            });
        }
        for (position, planned) in plan.steps.iter().enumerate() {
            for need in planned.step.needs.iter().collect::<BTreeSet<_>>() {
                let Some(needed) = index.get(need.as_str()) else {
                    return Err(format!(
                        "step {:?} needs {need:?}, which the plan does not have",
                        planned.step.id
                    ));
                };
                steps[*needed].needed_by.push(position);
                steps[position].waits_for += 1;
            }
        }
        refuse_circles(&steps)?;
        let mut graph = Self {
            unfinished: tasks.iter().filter(|task| !task.kept).count(),
            queues: vec![BTreeSet::new(); here + 1],
            busy: vec![false; here],
            running: 0,
            limit: limit.max(1),
            skipped: Vec::new(),
            failed_on: BTreeMap::new(),
            pauses: Vec::new(),
            steps,
            tasks,
        };
        let roots: Vec<usize> = (0..graph.steps.len())
            .filter(|step| graph.steps[*step].waits_for == 0)
            .collect();
        for step in roots {
            graph.open(step);
        }
        Ok(graph)
    }

    /// The task's step by its position in the plan, and its key.
    pub(super) fn task(&self, ordinal: usize) -> (usize, &TaskKey) {
        let task = &self.tasks[ordinal];
        (task.step, &task.key)
    }

    /// Whether every task has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.unfinished == 0
    }

    /// Takes the tasks that may begin now; they count as running until [`Graph::end`].
    pub(super) fn begin(&mut self) -> Vec<usize> {
        let mut begun = Vec::new();
        let here = self.busy.len();
        // The first fit of every free host, in the order of the plan, so that early steps are not overtaken for ever.
        let mut fits: BTreeSet<usize> = (0..here).filter_map(|host| self.first_fit(host)).collect();
        fits.extend(self.first_fit(here));
        while self.running < self.limit {
            let Some(ordinal) = fits.pop_first() else {
                break;
            };
            let TaskNode { step, queue, .. } = self.tasks[ordinal];
            if self.steps[step].running < self.steps[step].parallel {
                self.queues[queue].remove(&ordinal);
                self.steps[step].running += 1;
                self.running += 1;
                if queue < here {
                    self.busy[queue] = true;
                }
                begun.push(ordinal);
            }
            // Either another of the tasks that run here, or another step for a host whose first choice is full by now.
            fits.extend(self.first_fit(queue));
        }
        begun
    }

    fn first_fit(&self, queue: usize) -> Option<usize> {
        if self.busy.get(queue).is_some_and(|busy| *busy) {
            return None;
        }
        self.queues[queue].iter().copied().find(|ordinal| {
            let step = &self.steps[self.tasks[*ordinal].step];
            step.running < step.parallel
        })
    }

    /// Takes note that a task which [`Graph::begin`] gave out has ended.
    pub(super) fn end(&mut self, ordinal: usize, end: End) {
        let TaskNode { step, queue, .. } = self.tasks[ordinal];
        if let Some(busy) = self.busy.get_mut(queue) {
            *busy = false;
        }
        self.running -= 1;
        self.steps[step].running -= 1;
        if end == End::Bad {
            let place = self.tasks[ordinal].key.host.clone();
            if let Some(host) = &place {
                let id = self.steps[step].id.clone();
                self.failed_on.entry(host.clone()).or_insert(id);
            }
            self.steps[step].failed.push(place.unwrap_or_default());
            if self.steps[step].failed.len() > self.steps[step].max_fail {
                self.hold_back(step);
            }
        }
        self.unfinished -= 1;
        self.steps[step].left -= 1;
        self.end_of_batch(step);
        if self.steps[step].left == 0 {
            for free in self.close(step) {
                self.open(free);
            }
        }
    }

    /// A step that goes host by host has failed too often: it begins on no other host.
    fn hold_back(&mut self, step: usize) {
        let reason = format!(
            "not begun: {} failed on {}, and goes on only while it works",
            self.steps[step].id,
            self.steps[step].failed.join(", ")
        );
        let held = std::mem::take(&mut self.steps[step].held);
        for ordinal in self.steps[step].tasks.clone() {
            let queued = self.queues[self.tasks[ordinal].queue].remove(&ordinal);
            if queued || held.contains(&ordinal) {
                self.steps[step].left -= 1;
                self.unfinished -= 1;
                self.skipped.push((ordinal, reason.clone()));
            }
        }
    }

    /// A task of the step has ended: when it was the last of its batch, the next batch follows, after the pause.
    fn end_of_batch(&mut self, step: usize) {
        let node = &mut self.steps[step];
        let Some(batch) = node.batch else {
            return;
        };
        node.of_batch = node.of_batch.saturating_sub(1);
        if node.of_batch > 0 || node.held.is_empty() {
            return;
        }
        if node.pause.is_zero() {
            self.next_batch(step);
            return;
        }
        let next = node.held.iter().take(batch);
        let next = next.filter_map(|ordinal| self.tasks[*ordinal].key.host.clone());
        self.pauses.push(Pause {
            step,
            time: node.pause,
            next: next.collect(),
        });
    }

    /// Lets the next batch of a step's hosts begin; nothing when the step was held back or stopped meanwhile.
    pub(super) fn next_batch(&mut self, step: usize) {
        let node = &mut self.steps[step];
        let size = node.batch.unwrap_or(usize::MAX).min(node.held.len());
        let batch: Vec<usize> = node.held.drain(..size).collect();
        node.of_batch = batch.len();
        for ordinal in batch {
            self.queues[self.tasks[ordinal].queue].insert(ordinal);
        }
    }

    /// The steps that are to rest before [`Graph::next_batch`]; each is told once.
    pub(super) fn take_pauses(&mut self) -> Vec<Pause> {
        std::mem::take(&mut self.pauses)
    }

    /// Tasks that will not begin because of what failed before them, each with the reason; they have ended.
    pub(super) fn take_skipped(&mut self) -> Vec<(usize, String)> {
        std::mem::take(&mut self.skipped)
    }

    /// Takes every task that has not begun; they have ended, and nothing begins any more.
    pub(super) fn stop(&mut self) -> Vec<usize> {
        let waiting: Vec<usize> = self
            .steps
            .iter()
            .filter(|step| step.waits_for > 0)
            .flat_map(|step| step.tasks.clone())
            .filter(|ordinal| !self.tasks[*ordinal].kept)
            .chain(self.queues.iter().flatten().copied())
            .chain(self.steps.iter().flat_map(|step| step.held.iter().copied()))
            .collect();
        for queue in &mut self.queues {
            queue.clear();
        }
        for step in &mut self.steps {
            step.held.clear();
        }
        self.pauses.clear();
        for ordinal in &waiting {
            self.steps[self.tasks[*ordinal].step].left -= 1;
        }
        for step in &mut self.steps {
            // What still runs may end, but opens nothing.
            step.needed_by.clear();
            step.waits_for = 0;
        }
        self.unfinished -= waiting.len();
        let mut waiting = waiting;
        waiting.sort_unstable();
        waiting
    }

    /// Opens a step whose needs have all ended, and in turn what waited for it where it has nothing to do.
    ///
    /// A worklist and no recursion: a chain of steps without tasks may be long.
    fn open(&mut self, step: usize) {
        let mut opening = vec![step];
        while let Some(step) = opening.pop() {
            let tasks: Vec<usize> = self.steps[step]
                .tasks
                .clone()
                .filter(|ordinal| !self.tasks[*ordinal].kept)
                .collect();
            if let Some(reason) = self.steps[step].barred.clone() {
                self.steps[step].left = 0;
                self.unfinished -= tasks.len();
                self.skipped
                    .extend(tasks.into_iter().map(|ordinal| (ordinal, reason.clone())));
            } else {
                self.steps[step].held = tasks.into();
                if self.steps[step].last {
                    self.leave_out_failed_hosts(step);
                }
                self.next_batch(step);
            }
            if self.steps[step].left == 0 {
                opening.extend(self.close(step));
            }
        }
    }

    /// A handler is not carried out where something failed: what it is for may be half done. It stays owed.
    fn leave_out_failed_hosts(&mut self, step: usize) {
        let (out, stay) = std::mem::take(&mut self.steps[step].held)
            .into_iter()
            .partition(|ordinal: &usize| {
                let host = self.tasks[*ordinal].key.host.as_ref();
                host.is_some_and(|host| self.failed_on.contains_key(host))
            });
        let out: VecDeque<usize> = out;
        self.steps[step].held = stay;
        for ordinal in out {
            let host = self.tasks[ordinal].key.host.clone().unwrap_or_default();
            let reason = match self.failed_on.get(&host) {
                Some(failed) => {
                    format!(
                        "not begun: {failed} failed here; where it was notified, it is when the run is resumed"
                    )
                }
                None => continue,
            };
            self.steps[step].left -= 1;
            self.unfinished -= 1;
            self.skipped.push((ordinal, reason));
        }
    }

    /// Every task of a step has ended: returns the steps that need nothing more.
    fn close(&mut self, step: usize) -> Vec<usize> {
        let reason = self.steps[step].verdict();
        let mut free = Vec::new();
        for dependent in std::mem::take(&mut self.steps[step].needed_by) {
            let node = &mut self.steps[dependent];
            if node.barred.is_none() && !node.last {
                node.barred.clone_from(&reason);
            }
            node.waits_for -= 1;
            if node.waits_for == 0 {
                free.push(dependent);
            }
        }
        free
    }
}

impl StepNode {
    /// Why the steps that need this one may not begin.
    fn verdict(&self) -> Option<String> {
        let id = &self.id;
        if self.barred.is_some() {
            return Some(format!("needs {id}, which did not run"));
        }
        match self.failed.as_slice() {
            [] => None,
            [nowhere] if nowhere.is_empty() => Some(format!("needs {id}, which failed")),
            hosts => Some(format!("needs {id}, which failed on {}", hosts.join(", "))),
        }
    }
}

fn refuse_circles(steps: &[StepNode]) -> Result<(), String> {
    let mut waits: Vec<usize> = steps.iter().map(|step| step.waits_for).collect();
    let mut free: Vec<usize> = (0..steps.len()).filter(|step| waits[*step] == 0).collect();
    let mut seen = 0;
    while let Some(step) = free.pop() {
        seen += 1;
        for dependent in &steps[step].needed_by {
            waits[*dependent] -= 1;
            if waits[*dependent] == 0 {
                free.push(*dependent);
            }
        }
    }
    if seen == steps.len() {
        return Ok(());
    }
    let circle: Vec<&str> = steps
        .iter()
        .zip(&waits)
        .filter(|(_, waits)| **waits > 0)
        .map(|(step, _)| step.id.as_str())
        .collect();
    Err(format!(
        "steps need each other in a circle: {}",
        circle.join(", ")
    ))
}
