//! `quarterdeck engine`: the process that owns runs and polling, seen from outside and from inside.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use super::background::{self, Background, STOP};
use super::exit::{Ended, Exit};
use super::session::{self, Endings, State};
use super::{Global, output, trace};
use crate::client::socket::Dial;
use crate::client::wire::PROTOCOL;
use crate::client::{EngineReport, Link as _, Request, Response};
use crate::engine::{Engine, EngineSettings, Farewell};
use crate::fault;

/// How long an engine waits for another one on the same state directory to listen or to be gone: less than whoever started
/// it waits for it.
const YIELDS: Duration = Duration::from_secs(15);
/// How often it is looked whether there is more of a log, or another engine.
const LOOK: Duration = Duration::from_millis(200);

/// What to do with the engine.
#[derive(Debug, Subcommand)]
pub(super) enum EngineCommand {
    /// Show whether it runs, since when, who is connected and what it does
    Status {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Start it in the background, if it does not run
    Start {
        /// In a scope of systemd of its own, which lives on where logind ends processes at logout (needs linger)
        #[arg(long)]
        scope: bool,
    },
    /// End it, if nothing runs on it
    Stop {
        /// Interrupt runs that are under way
        #[arg(long)]
        force: bool,
    },
    /// End it and start it again, with the workspace and the program as they are now
    Restart {
        /// Interrupt runs that are under way
        #[arg(long)]
        force: bool,
        /// As for start
        #[arg(long)]
        scope: bool,
    },
    /// Print its own log
    Logs(LogsArgs),
    /// Be the engine, in the foreground: for systemd units and containers
    Run {
        /// Leave the terminal's session; standard error is a file already
        #[arg(long, hide = true)]
        detached: bool,
    },
}

/// Flags of `quarterdeck engine logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on as it grows
    #[arg(long, short)]
    follow: bool,
    /// Only the last N lines to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 200)]
    lines: usize,
}

/// Does it.
///
/// # Errors
/// When the workspace or the state directory cannot be used, or the engine refuses.
pub(super) async fn engine(global: &Global, command: EngineCommand) -> color_eyre::Result<Exit> {
    if let EngineCommand::Run { detached } = command {
        return run(global, detached).await;
    }
    // What asks and ends an engine works whatever mistakes are in the workspace's files.
    let state = match State::of(global) {
        Ok(state) => state,
        Err(mistakes) => State::existing(global).map_err(|_| mistakes)?,
    };
    let state = &state;
    let dial = |role| background::dial(global, state.dir(), role, false);
    let start = |scope| async move {
        let workspace = session::load(global)?;
        let background = Background::new(global, &workspace, state.dir())?.in_scope(scope);
        background.start().await.map_err(Ended::unusable)?;
        color_eyre::Result::<()>::Ok(())
    };
    match command {
        EngineCommand::Status { json } => status(state.dir(), dial("status"), json).await,
        EngineCommand::Start { scope } => {
            if dial("start").is_absent().await {
                start(scope).await?;
            }
            status(state.dir(), dial("start"), false).await
        }
        EngineCommand::Stop { force } => stop(&dial("stop"), force).await,
        EngineCommand::Restart { force, scope } => {
            // Before anything is ended: an engine that cannot be started again had better go on.
            session::load(global)?;
            if !dial("restart").is_absent().await {
                dial("restart")
                    .stop(force, true, STOP)
                    .await
                    .map_err(Ended::refused)?;
            }
            start(scope).await?;
            status(state.dir(), dial("restart"), false).await
        }
        EngineCommand::Logs(args) => logs(&background::log(state.dir()), &args).await,
        EngineCommand::Run { .. } => Ok(Exit::Success),
    }
}

async fn stop(dial: &Dial, force: bool) -> color_eyre::Result<Exit> {
    if dial.is_absent().await {
        output::remark("no engine is running");
        return Ok(Exit::Success);
    }
    dial.stop(force, false, STOP)
        .await
        .map_err(Ended::refused)?;
    output::remark("the engine has ended");
    Ok(Exit::Success)
}

async fn status(state_dir: &Path, dial: Dial, json: bool) -> color_eyre::Result<Exit> {
    let Some(greeted) = background::greeted(&dial).await? else {
        if json {
            output::json(&serde_json::json!({ "running": false }))?;
        } else {
            output::line("no engine is running; the next command that needs one starts it")?;
        }
        return Ok(Exit::Failed);
    };
    let welcome = greeted.welcome.clone();
    if welcome.protocol != PROTOCOL {
        let text = format!(
            "process {}, Quarterdeck {}, protocol {} (this program speaks {PROTOCOL}), {} run(s) under way",
            welcome.pid, welcome.version, welcome.protocol, welcome.running
        );
        output::line(&text)?;
        return Ok(Exit::Success);
    }
    let link = greeted.keep(dial).map_err(Ended::unusable)?;
    let Response::Engine(report) = link.call(Request::Engine).await? else {
        return Err(Ended::unusable("the engine answered something else than how it is").into());
    };
    if json {
        output::json(&report)?;
    } else {
        show(&report, &background::log(state_dir))?;
    }
    Ok(Exit::Success)
}

fn show(report: &EngineReport, log: &Path) -> std::io::Result<()> {
    let mebibytes = |bytes: Option<u64>| {
        bytes.map_or_else(
            || "unknown".into(),
            |bytes| format!("{} MiB", bytes / (1024 * 1024)),
        )
    };
    let running = if report.running.is_empty() {
        "nothing".into()
    } else {
        let numbers: Vec<String> = report
            .running
            .iter()
            .map(|number| format!("run {number}"))
            .collect();
        numbers.join(", ")
    };
    let idle = report.idle_exit.map_or_else(
        || "never".into(),
        |seconds| format!("after {seconds} s without clients, runs and schedules"),
    );
    let mut lines = vec![
        format!("workspace  {}", output::plain(&report.workspace)),
        format!(
            "process    {} (Quarterdeck {}, protocol {})",
            report.pid, report.version, report.protocol
        ),
        format!("since      {}", report.started_at),
        format!(
            "memory     {}, at most {}",
            mebibytes(report.memory),
            mebibytes(report.memory_peak)
        ),
        format!("works on   {running}"),
        format!("ends       {idle}"),
        format!("state      {}", report.state_dir.display()),
        format!("log        {}", log.display()),
    ];
    for guest in &report.clients {
        let pid = guest
            .pid
            .map_or_else(String::new, |pid| format!(", process {pid}"));
        let limits = if guest.read_only { ", read-only" } else { "" };
        lines.push(format!(
            "client     {} ({}{pid}{limits}) since {}",
            output::plain(&guest.operator.to_string()),
            output::plain(&guest.role),
            guest.since
        ));
    }
    lines.extend(
        report
            .remarks
            .iter()
            .map(|remark| format!("mind       {remark}")),
    );
    for line in lines {
        output::line(&line)?;
    }
    Ok(())
}

/// Is the engine until it is asked to end.
async fn run(global: &Global, detached: bool) -> color_eyre::Result<Exit> {
    if detached {
        // A session of its own: the hangup of the terminal that this was started from is not ours. It fails only for a
        // process that leads its group, which then is nobody's child in a terminal.
        if let Err(error) = rustix::process::setsid() {
            tracing::debug!(%error, "no session of its own");
        }
    }
    trace::begin_engine()?;
    // The listeners come first: a signal that arrives during the start must not be lost.
    let mut hangup = signal(SignalKind::hangup()).map_err(Ended::unusable)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Ended::unusable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Ended::unusable)?;
    let workspace = session::load(global)?;
    let state = State::for_workspace(global, &workspace)?;
    let settings = session::engine_settings(
        global,
        &workspace,
        state.dir().to_owned(),
        workspace.settings.idle_exit,
        true,
    )?;
    let dial = background::dial(global, state.dir(), "start", false);
    let patience = if detached { YIELDS } else { Duration::ZERO };
    let Some(mut engine) = begin(settings, &dial, patience).await? else {
        tracing::info!(pid = std::process::id(), "another engine listens already");
        return Ok(Exit::Success);
    };
    let mistake = tokio::spawn(fault::on_demand());
    engine.open_door().map_err(Ended::unusable)?;
    tracing::info!(pid = std::process::id(), workspace = %workspace.root.display(), "the engine listens");
    let reason = loop {
        tokio::select! {
            Farewell { reason, .. } = engine.asked_to_end() => break reason,
            _ = terminate.recv() => break "it was told to by SIGTERM".into(),
            _ = interrupt.recv() => break "it was told to by SIGINT".into(),
            _ = hangup.recv() => tracing::info!("a hangup is none of the engine's business"),
        }
    };
    tracing::info!(reason, "the engine ends");
    mistake.abort();
    engine.shutdown(session::GRACE).await;
    Ok(Exit::Success)
}

/// Starts the engine, unless another one listens already. Two may be started in the same moment, and one may be called while
/// the last is still ending: neither is an error before `patience` is over.
async fn begin(
    settings: EngineSettings,
    dial: &Dial,
    patience: Duration,
) -> Result<Option<Engine>, Ended> {
    let deadline = Instant::now() + patience;
    loop {
        match session::start_engine(settings.clone()).await {
            Err(error) if error.is_taken && Instant::now() < deadline => {
                if !dial.is_absent().await {
                    return Ok(None);
                }
                tokio::time::sleep(LOOK).await;
            }
            started => return started.map(Some).map_err(Ended::unusable),
        }
    }
}

async fn logs(path: &Path, args: &LogsArgs) -> color_eyre::Result<Exit> {
    let mut file = File::open(path).map_err(|error| {
        Ended::new(
            Exit::Failed,
            format!(
                "{}: {error}; no engine was started in the background yet",
                path.display()
            ),
        )
    })?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    for line in &all[all.len().saturating_sub(args.lines)..] {
        output::line(&output::plain(line))?;
    }
    let mut read = bytes.len() as u64;
    if !args.follow {
        return Ok(Exit::Success);
    }
    let mut endings = Endings::listen();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = endings.next() => return Ok(Exit::Success),
        }
        let Ok(mut file) = File::open(path) else {
            continue;
        };
        if file.metadata()?.len() < read {
            // Put aside by a new engine.
            read = 0;
        }
        file.seek(SeekFrom::Start(read))?;
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        read += more.len() as u64;
        for line in String::from_utf8_lossy(&more).lines() {
            output::line(&output::plain(line))?;
        }
    }
}
