//! What an engine that is gone, or a connection that was lost, has left behind: commands of runs that still run, here or on
//! a node.
//!
//! They are found by the mark that every command carries ([`job`]). Nothing is ended by itself: a command that is half
//! way through may be worse to stop than to wait for. A run is not taken up where one of its commands still runs, and where
//! only the connection was lost, another attempt of the same task waits for the end of the one before ([`outlast`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::client::Refusal;
use crate::domain::plan::{Origin, Plan};
use crate::domain::run::{Run, RunId, RunState, Stream, TaskKey, TaskState};
use crate::resources::Log;
use crate::steps::Earlier;
use crate::store::{NewLine, Redactor};
use crate::transport::detached::{self, Spool};
use crate::transport::local::LocalHost;
use crate::transport::{Command, Host, Reach, job};

/// How long one host may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// From one look at a command that is waited for to the next.
const PAUSE: Duration = Duration::from_secs(2);

/// A command that still runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftBehind {
    /// The node; `None` for where the engine is.
    pub(super) host: Option<String>,
    /// The task it belongs to, as its mark says.
    pub(super) task: String,
    pub(super) pid: u32,
    /// When it began, by the clock of its host.
    pub(super) since: Option<Timestamp>,
    /// Its command line.
    pub(super) what: String,
}

impl LeftBehind {
    /// One sentence for the operator.
    pub(super) fn account(&self) -> String {
        let place = self.host.as_deref().unwrap_or("where the engine is");
        let since = self
            .since
            .map(|since| format!(" since {since:.0}"))
            .unwrap_or_default();
        format!(
            "{place}: a command of {} is still running{since}, process {}: {}",
            self.task, self.pid, self.what
        )
    }
}

/// What a look at the hosts of a run brought.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) found: Vec<LeftBehind>,
    /// Hosts that could not be looked at, each with the reason.
    pub(super) unknown: Vec<String>,
    /// Detached commands that go on by themselves, or have ended and wait to be asked.
    pub(super) detached: Vec<Detached>,
}

impl Look {
    /// Refuses what cannot be done (`resume`, `undo`) while a command still runs.
    ///
    /// # Errors
    /// [`Refusal`] that names the command, where it runs and since when.
    pub(super) fn refuse(&self, what: &str, redactor: &Redactor) -> Result<(), Refusal> {
        match self.found.first() {
            None => Ok(()),
            Some(left) => Err(Refusal::new(format!(
                "{}; wait until it has ended, or end it, and {what} then",
                redactor.cleaned(left.account())
            ))),
        }
    }

    /// What could not be looked at, as a sentence for a plan.
    pub(super) fn doubts(&self) -> Option<String> {
        (!self.unknown.is_empty()).then(|| {
            format!(
                "whether something that was begun there still runs is not known: {}",
                self.unknown.join("; ")
            )
        })
    }
}

/// A detached command that a run has left on a node.
#[derive(Debug)]
pub(super) struct Detached {
    host: String,
    spool: Spool,
}

impl Detached {
    /// One sentence for the operator: how it is now.
    fn account(&self) -> String {
        format!(
            "{}: a detached command is {} there, resuming the run takes it up again: {} (spool {})",
            self.host, self.spool.state, self.spool.command, self.spool.name
        )
    }

    /// One sentence for a plan. Nothing in it changes while the command goes on: it would void the plan.
    pub(super) fn caution(&self) -> String {
        format!(
            "{}: a command that was detached there is taken up again, wherever it has come to: {}",
            self.host, self.spool.command
        )
    }
}

impl Core {
    /// Looks for commands of a run that was cut off, on every host where a task was in progress: when the engine ended, when
    /// it was told to stop, or when the host could no longer be reached.
    pub(super) async fn left_behind(&self, earlier: &Earlier) -> Look {
        if !matches!(
            earlier.run.state,
            RunState::Interrupted | RunState::Cancelled | RunState::Failed
        ) {
            return Look::default();
        }
        let places: BTreeSet<Option<&str>> = earlier
            .tasks
            .iter()
            .filter(|task| {
                task.attempts > 0 && matches!(task.state, TaskState::Failed | TaskState::Cancelled)
            })
            .map(|task| task.key.host.as_deref())
            .collect();
        let looks = places
            .into_iter()
            .map(|place| self.look_at(&earlier.run, place));
        let mut all = Look {
            detached: self.spools(earlier).await,
            ..Look::default()
        };
        let failed = earlier.run.state == RunState::Failed;
        for look in futures::future::join_all(looks).await {
            match look {
                Ok(found) => all.found.extend(found),
                // What ended badly has ended: only where nobody answers it is not known whether it did.
                Err(Blind { answered: true, .. }) if failed => {}
                Err(blind) => all.unknown.push(blind.reason),
            }
        }
        all
    }

    async fn look_at(&self, run: &Run, place: Option<&str>) -> Result<Vec<LeftBehind>, Blind> {
        match place {
            None => look_on(&LocalHost::new("here"), run.id, None).await,
            Some(name) => {
                let room = self.room(&run.environment);
                let room = room.map_err(|gone| Blind::silence(&gone.message))?;
                let host = room
                    .reach
                    .host(name)
                    .map_err(|error| Blind::silence(&error))?;
                look_on(&*host, run.id, place).await
            }
        }
    }

    /// What detached commands of a run, or of those that it took up, are on the hosts that it worked on. A host that does not
    /// answer is told of by [`Core::look_at`].
    async fn spools(&self, earlier: &Earlier) -> Vec<Detached> {
        let mut found = Vec::new();
        let Ok(room) = self.room(&earlier.run.environment) else {
            return found;
        };
        let first = self.first_of(&earlier.run).await.to_string();
        for name in detached_hosts(&earlier.plan) {
            let Ok(host) = room.reach.host(&name) else {
                continue;
            };
            let listed = tokio::time::timeout(DEADLINE, detached::list(host.as_ref(), &first));
            if let Ok(Ok(spools)) = listed.await {
                found.extend(spools.into_iter().map(|spool| Detached {
                    host: name.clone(),
                    spool,
                }));
            }
        }
        found
    }

    /// The run that `run` carries on in the end, following those it takes up; itself when it takes up none.
    pub(super) async fn first_of(&self, run: &Run) -> RunId {
        let mut first = run.id;
        let mut origin = run.origin;
        while let Some(Origin::Resume { run, .. }) = origin {
            first = run;
            // A run takes up an older one, so this comes to an end.
            origin = match self.recall(move |history| history.run(run)).await {
                Ok(Some(earlier)) => earlier.origin,
                _ => None,
            };
        }
        first
    }

    /// Tells in the log of each run that was left unfinished what still runs of it.
    pub(super) async fn report_left_behind(&self, unfinished: Vec<RunId>) {
        for run in unfinished {
            let Ok(earlier) = self.earlier(run).await else {
                continue;
            };
            let look = self.left_behind(&earlier).await;
            let unknown = look.unknown.iter().map(|reason| {
                format!("whether a command of this run still runs is not known: {reason}")
            });
            let detached = look.detached.iter().map(Detached::account);
            let found = look.found.iter().map(LeftBehind::account);
            for text in found.chain(detached).chain(unknown) {
                let line = NewLine {
                    run,
                    task: None,
                    stream: Stream::Note,
                    at: self.clock.now(),
                    text: self.redactor.cleaned(text),
                };
                if let Err(error) = self.store.line(line).await {
                    tracing::error!(%run, %error, "what was left behind is not in the log");
                }
            }
        }
    }
}

/// Waits until no command of `task` still runs on `host`, before the task is attempted once more: after a lost connection, or
/// where a command did not stop in time, the one before may still be at work, and two at once would be in each other's way.
///
/// Where it cannot be looked there is no waiting: a host that does not answer does not answer the attempt either.
///
/// # Errors
/// What still runs, when `cancel` fires first.
pub(super) async fn outlast(
    host: &dyn Host,
    run: RunId,
    task: &TaskKey,
    log: &dyn Log,
    cancel: &CancellationToken,
) -> Result<(), String> {
    let own = job::plain(&task.to_string());
    let mut told = false;
    loop {
        let found = match look_on(host, run, task.host.as_deref()).await {
            Ok(found) => found,
            Err(blind) => {
                tracing::debug!(%run, %task, reason = blind.reason, "an earlier attempt is not looked for");
                return Ok(());
            }
        };
        let Some(left) = found.into_iter().find(|left| left.task == own) else {
            return Ok(());
        };
        if !told {
            let text = format!("{}; another attempt waits for its end", left.account());
            log.line(Stream::Note, text).await;
            told = true;
        }
        if cancel.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return Err(left.account());
        }
    }
}

/// Why a host could not be looked at.
struct Blind {
    reason: String,
    /// Whether it was there, and only could not tell.
    answered: bool,
}

impl Blind {
    fn silence(reason: &impl std::fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
            answered: false,
        }
    }
}

/// What still runs of `run` on `host`, which is called `place` where it is a node.
async fn look_on(
    host: &dyn Host,
    run: RunId,
    place: Option<&str>,
) -> Result<Vec<LeftBehind>, Blind> {
    let argv = ["sh", "-c", job::FIND, "sh", &run.to_string()];
    let command = Command::new(argv).within(DEADLINE);
    let name = place.unwrap_or("where the engine is");
    let output = tokio::time::timeout(DEADLINE, host.output(&command))
        .await
        .map_err(|_| {
            Blind::silence(&format!(
                "{name} did not answer within {} s",
                DEADLINE.as_secs()
            ))
        })?
        .map_err(|error| Blind::silence(&error))?;
    if !output.exit.success() {
        return Err(Blind {
            reason: format!("{name}: {}", output.exit),
            answered: true,
        });
    }
    Ok(read(&String::from_utf8_lossy(&output.stdout), &run, place))
}

/// Removes what the detached commands of an ended run have left on `hosts`; `first` is the run it carried on in the end. What
/// cannot be removed now is removed by a detached command there, two weeks later.
pub(super) async fn clear_spools(reach: Arc<dyn Reach>, hosts: BTreeSet<String>, first: RunId) {
    for name in hosts {
        let Ok(host) = reach.host(&name) else {
            continue;
        };
        let first = first.to_string();
        let cleared = tokio::time::timeout(DEADLINE, detached::forget(host.as_ref(), &first));
        match cleared.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "spools are left behind"),
            Err(_) => tracing::warn!(host = name, "spools are left behind: no answer"),
        }
    }
}

/// Hosts on which a plan runs commands detached.
pub(super) fn detached_hosts(plan: &Plan) -> BTreeSet<String> {
    plan.steps
        .iter()
        .filter(|planned| planned.step.detaches())
        .flat_map(|planned| planned.hosts.iter().flatten().cloned())
        .collect()
}

/// Reads what [`job::FIND`] says; of the processes of one command the one that began first.
fn read(said: &str, run: &RunId, host: Option<&str>) -> Vec<LeftBehind> {
    let mut lines = said.lines();
    let mut number = || lines.next()?.trim().parse::<i64>().ok();
    let (ticks, boot) = (number(), number());
    let mut first: BTreeMap<&str, (i64, LeftBehind)> = BTreeMap::new();
    for line in lines {
        let mut fields = line.splitn(4, '\t');
        let (Some(pid), Some(stat), Some(mark), Some(what)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let Some(task) = mark
            .strip_prefix(&format!("{run}."))
            .and_then(|rest| rest.rsplit_once('.'))
            .map(|(task, _)| task)
        else {
            continue;
        };
        let Ok(pid) = pid.parse() else { continue };
        // proc_pid_stat(5): the name may hold anything, the fields after its bracket are numbers; the 22nd of all is when
        // it began, in ticks since the boot.
        let began = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse::<i64>().ok());
        let since = match (began, ticks, boot) {
            (Some(began), Some(ticks), Some(boot)) if ticks > 0 => Timestamp::UNIX_EPOCH
                .checked_add(SignedDuration::from_secs(
                    boot.saturating_add(began / ticks),
                ))
                .ok(),
            _ => None,
        };
        let found = LeftBehind {
            host: host.map(Into::into),
            task: task.into(),
            pid,
            since,
            what: what.trim().into(),
        };
        let began = began.unwrap_or(i64::MAX);
        let earlier = first.get(mark).is_some_and(|(known, _)| *known <= began);
        if !earlier {
            first.insert(mark, (began, found));
        }
    }
    first.into_values().map(|(_, found)| found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_process_of_each_command_is_named_with_its_task_and_when_it_began() {
        let run = RunId(uuid::Uuid::from_u128(7));
        let stat = |began: u32| format!("1 (a) b) S {} {began} 0 0", ["0"; 18].join(" "));
        let said = format!(
            "100\n1700000000\n42\t{}\t{run}.install@pc2.00ff\tapt-get install consul \n43\t{}\t{run}.install@pc2.00ff\tdpkg\n\
             44\t{}\tother.install@pc2.00ff\tsh\nrubbish\n",
            stat(500),
            stat(900),
            stat(100)
        );
        let found = read(&said, &run, Some("pc2"));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].account(),
            "pc2: a command of install@pc2 is still running since 2023-11-14T22:13:25Z, process 42: apt-get install consul"
        );
        assert_eq!(read("", &run, None), []);
    }

    #[tokio::test]
    async fn a_command_that_was_left_behind_here_is_found_by_its_mark() {
        use crate::transport::{Chunk, ChunkSink, local};

        struct Nothing;

        #[async_trait::async_trait]
        impl ChunkSink for Nothing {
            async fn chunk(&mut self, _chunk: Chunk) {}
        }

        let run = RunId(uuid::Uuid::now_v7());
        let look = || async {
            let id = run.to_string();
            let command = Command::new(["sh", "-c", job::FIND, "sh", &id]);
            let output = LocalHost::new("here").output(&command).await.unwrap();
            assert!(output.exit.success());
            read(&String::from_utf8_lossy(&output.stdout), &run, None)
        };
        assert_eq!(look().await, []);
        let cancel = CancellationToken::new();
        let program = local::Program::new(["sleep", "600"]);
        let id = run.to_string();
        let mut nothing = Nothing;
        let left = job::within(
            &id,
            &id,
            "wait@here",
            local::run(&program, &mut nothing, &cancel),
        );
        let found = async {
            loop {
                // It takes a moment until it has become `sleep`.
                match look().await.first() {
                    Some(found) if found.what == "sleep 600" => {
                        cancel.cancel();
                        return found.clone();
                    }
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        let (_, found) = tokio::join!(left, found);
        assert_eq!(found.task, "wait@here");
        assert!(found.since.is_some());
        assert_eq!(look().await, []);
    }
}
