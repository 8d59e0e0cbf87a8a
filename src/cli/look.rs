//! `quarterdeck nodes`, `services` and `runs`: what is there, as a table or as JSON.

use std::time::Duration;

use clap::{Args, Subcommand};
use futures::StreamExt as _;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::{Ended, Exit};
use super::export::{self, ExportArgs};
use super::session::{Session, State};
use super::{Global, answers, output};
use crate::client::{Event, Request, Response};
use crate::domain::environment::Environment;
use crate::domain::live::{EnvironmentLive, Health, NodeReport, Observed};
use crate::domain::run::{Run, RunState};
use crate::domain::table::{Cell, Table, Tone};

/// Nodes that are connected to at the same time.
const KNOCKS: usize = 32;

/// Flags of commands that look at an environment.
#[derive(Debug, Args)]
pub(super) struct LookArgs {
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env")]
    pub(super) environment: Option<String>,
    /// How many seconds to wait for answers
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    pub(super) wait: u64,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Flags of `quarterdeck services`.
#[derive(Debug, Args)]
pub(super) struct ServicesArgs {
    /// A service, to list what is in it instead
    service: Option<String>,
    /// Which list of it; default: the main one
    view: Option<String>,
    #[command(flatten)]
    look: LookArgs,
}

/// Flags of `quarterdeck runs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: Option<RunsCommand>,
    /// How many, newest first
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum RunsCommand {
    /// Write a run to a file: its log, or everything that is known of it
    Export(ExportArgs),
}

/// Lists runs, or exports one.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn runs(global: &Global, args: RunsArgs) -> color_eyre::Result<Exit> {
    if let Some(RunsCommand::Export(args)) = args.command {
        return export::export(global, args).await;
    }
    let state = State::of(global)?;
    let limit = args.limit;
    let runs = if state.has_history() {
        let reader = state.reader()?;
        tokio::task::spawn_blocking(move || reader.runs(limit)).await??
    } else {
        // For a script that is an empty list, not a mistake.
        Vec::new()
    };
    if args.json {
        output::json(&runs)?;
    } else {
        output::table(&runs_table(&runs))?;
    }
    Ok(Exit::Success)
}

fn runs_table(runs: &[Run]) -> Table {
    let mut table = Table::new(
        "Runs",
        [
            "RUN",
            "STATE",
            "RECIPE",
            "ENVIRONMENT",
            "BY",
            "STARTED",
            "OK",
            "CHANGED",
            "FAILED",
            "LINES",
        ],
        "no runs yet; `quarterdeck run deploy --dry-run` would be a first one",
    );
    for run in runs {
        let tone = match run.state {
            RunState::Succeeded => Tone::Good,
            RunState::Failed | RunState::Interrupted => Tone::Bad,
            RunState::Cancelled | RunState::WaitingApproval => Tone::Warn,
            RunState::Queued | RunState::Running => Tone::Accent,
        };
        let mut recipe = run.recipe.clone();
        let mut remarks = run.kinship(runs);
        if run.dry_run {
            remarks.insert(0, "dry run".into());
        }
        if !remarks.is_empty() {
            recipe = format!("{recipe} ({})", remarks.join(", "));
        }
        table.push(
            run.id.to_string(),
            [
                run.number.to_string().into(),
                Cell::new(run.state.word(), tone),
                recipe.into(),
                run.environment.as_str().into(),
                run.started_by.as_str().into(),
                run.created_at
                    .strftime("%Y-%m-%d %H:%M:%SZ")
                    .to_string()
                    .into(),
                run.tally.ok.to_string().into(),
                run.tally.changed.to_string().into(),
                run.tally.failed.to_string().into(),
                run.lines.to_string().into(),
            ],
        );
    }
    table
}

/// What a look at an environment found.
#[derive(Serialize)]
struct Seen<T> {
    name: String,
    #[serde(flatten)]
    observed: Observed<T>,
}

/// Probes nodes and lists them.
///
/// # Errors
/// When the workspace cannot be used.
pub(super) async fn nodes(global: &Global, args: &LookArgs) -> color_eyre::Result<Exit> {
    let session = Session::observe(global, "nodes").await?;
    let environment = session.environment(args.environment.as_deref())?.clone();
    if let Some(_answering) = answers::on_terminal(session.client()).await {
        let_in(&session, &environment).await;
    }
    let live = settle(&session, &environment, Duration::from_secs(args.wait)).await?;
    session.close().await;
    let seen: Vec<Seen<NodeReport>> = environment
        .nodes
        .iter()
        .map(|node| Seen {
            name: node.name.clone(),
            observed: live.nodes.get(&node.name).cloned().unwrap_or_default(),
        })
        .collect();
    let all_well = seen.iter().all(|node| node.observed.fresh().is_some());
    if args.json {
        output::json(&seen)?;
    } else {
        output::table(&nodes_table(&environment, &live))?;
    }
    Ok(if all_well {
        Exit::Success
    } else {
        Exit::Failed
    })
}

/// Connects to the nodes on behalf of whoever sits at the terminal, so that what hosts want to know is asked there. What
/// comes of it is in the nodes' rows.
async fn let_in(session: &Session, environment: &Environment) {
    let knocks = environment.nodes.iter().map(|node| {
        let request = Request::LetIn {
            environment: environment.name.clone(),
            node: node.name.clone(),
            wait: true,
        };
        session.client().call(request)
    });
    let knocks = futures::stream::iter(knocks).buffer_unordered(KNOCKS);
    knocks.for_each(|_| async {}).await;
}

fn nodes_table(environment: &Environment, live: &EnvironmentLive) -> Table {
    let mut table = Table::new(
        "Nodes",
        [
            "NODE", "STATE", "ADDRESS", "PLATFORM", "ARCH", "LOAD", "MEM", "DISK", "TEMP", "MS",
            "OS",
        ],
        "this environment has no nodes; add some under `nodes:` in its file",
    );
    let percent =
        |value: Option<f32>| value.map_or_else(|| "-".into(), |value| format!("{value:.0}%"));
    for node in &environment.nodes {
        let observed = live.nodes.get(&node.name).cloned().unwrap_or_default();
        let address = node.place();
        let (state, values) = match (&observed.trouble, &observed.value) {
            (Some(trouble), _) => (
                Cell::new("unreachable", Tone::Bad),
                [
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    trouble.reason.clone(),
                ],
            ),
            (None, Some(report)) => (
                Cell::new("up", Tone::Good),
                [
                    format!("{:.2}", report.sample.load[0]),
                    percent(report.sample.memory_used_percent()),
                    percent(report.sample.disk_used_percent()),
                    report
                        .sample
                        .temperature
                        .map_or_else(|| "-".into(), |celsius| format!("{celsius:.0}°C")),
                    report.latency_ms.to_string(),
                    report.facts.os.clone(),
                ],
            ),
            (None, None) => (
                Cell::new("no answer", Tone::Warn),
                [
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    "-".into(),
                    String::new(),
                ],
            ),
        };
        let [load, memory, disk, temperature, latency, os] = values.map(Cell::plain);
        table.push(
            node.name.as_str(),
            [
                node.name.as_str().into(),
                state,
                address.into(),
                node.platform.word().into(),
                node.arch.word().into(),
                load,
                memory,
                disk,
                temperature,
                latency,
                os,
            ],
        );
    }
    table
}

/// Asks services how they are and lists them, or lists what is in one.
///
/// # Errors
/// When the workspace cannot be used, or the service cannot be asked.
pub(super) async fn services(global: &Global, args: &ServicesArgs) -> color_eyre::Result<Exit> {
    let session = Session::observe(global, "services").await?;
    let environment = session
        .environment(args.look.environment.as_deref())?
        .clone();
    let exit = match &args.service {
        Some(service) => one_service(&session, &environment, service, args).await,
        None => all_services(&session, &environment, &args.look).await,
    };
    session.close().await;
    exit
}

async fn one_service(
    session: &Session,
    environment: &Environment,
    service: &str,
    args: &ServicesArgs,
) -> color_eyre::Result<Exit> {
    let Some(spec) = environment.service(service) else {
        let known: Vec<&str> = environment
            .services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        let message = format!(
            "{} has no service {service:?}; it has: {}",
            environment.name,
            known.join(", ")
        );
        return Err(Ended::new(Exit::Failed, message).into());
    };
    let views = session.views(spec.kind).await?;
    let view = match &args.view {
        Some(view) if views.iter().any(|known| known.id == *view) => view.clone(),
        Some(view) => {
            let known: Vec<&str> = views.iter().map(|view| view.id.as_str()).collect();
            let message = format!(
                "{service} has no view {view:?}; it has: {}",
                known.join(", ")
            );
            return Err(Ended::new(Exit::Failed, message).into());
        }
        None => views
            .first()
            .map(|view| view.id.clone())
            .ok_or_else(|| Ended::new(Exit::Failed, format!("{service} has no lists")))?,
    };
    let request = Request::Table {
        environment: environment.name.clone(),
        service: service.into(),
        view,
    };
    match session
        .client()
        .call(request)
        .await
        .map_err(|refusal| Ended::new(Exit::Failed, refusal.message))?
    {
        Response::Table(table) if args.look.json => output::json(&table)?,
        Response::Table(table) => output::table(&table)?,
        _ => return Err(Ended::unusable("the engine answered something else than a table").into()),
    }
    Ok(Exit::Success)
}

async fn all_services(
    session: &Session,
    environment: &Environment,
    args: &LookArgs,
) -> color_eyre::Result<Exit> {
    let live = settle(session, environment, Duration::from_secs(args.wait)).await?;
    let seen: Vec<_> = environment
        .services
        .iter()
        .map(|service| Seen {
            name: service.name.clone(),
            observed: live
                .services
                .get(&service.name)
                .cloned()
                .unwrap_or_default(),
        })
        .collect();
    let all_well = seen.iter().all(|service| {
        service
            .observed
            .fresh()
            .is_some_and(|report| report.health != Health::Down)
    });
    if args.json {
        output::json(&seen)?;
        return Ok(if all_well {
            Exit::Success
        } else {
            Exit::Failed
        });
    }
    let mut table = Table::new(
        "Services",
        [
            "SERVICE", "KIND", "STATE", "VERSION", "LEADER", "MEMBERS", "MS", "SUMMARY",
        ],
        "this environment has no services; add some under `services:` in its file",
    );
    for (spec, seen) in environment.services.iter().zip(&seen) {
        let dash = || "-".to_owned();
        let (state, [version, leader, members, latency, summary]) =
            match (&seen.observed.trouble, &seen.observed.value) {
                (Some(trouble), _) => (
                    Cell::new("unreachable", Tone::Bad),
                    [dash(), dash(), dash(), dash(), trouble.reason.clone()],
                ),
                (None, Some(report)) => (
                    Cell::new(report.health.word(), tone(report.health)),
                    [
                        report.version.clone().unwrap_or_else(dash),
                        report.leader.clone().unwrap_or_else(dash),
                        report.members.map_or_else(dash, |members| {
                            format!("{}/{}", members.well, members.total)
                        }),
                        report.latency_ms.to_string(),
                        report.summary.clone(),
                    ],
                ),
                (None, None) => (
                    Cell::new("no answer", Tone::Warn),
                    [dash(), dash(), dash(), dash(), String::new()],
                ),
            };
        table.push(
            spec.name.as_str(),
            [
                spec.name.as_str().into(),
                spec.kind.word().into(),
                state,
                version.into(),
                leader.into(),
                members.into(),
                latency.into(),
                summary.into(),
            ],
        );
    }
    output::table(&table)?;
    Ok(if all_well {
        Exit::Success
    } else {
        Exit::Failed
    })
}

const fn tone(health: Health) -> Tone {
    match health {
        Health::Ok => Tone::Good,
        Health::Warn => Tone::Warn,
        Health::Down => Tone::Bad,
        Health::Unknown => Tone::Muted,
    }
}

/// Waits until every node and service of the environment has answered or failed once, or `limit` is over.
pub(super) async fn settle(
    session: &Session,
    environment: &Environment,
    limit: Duration,
) -> color_eyre::Result<EnvironmentLive> {
    let mut events = session.client().subscribe();
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        let Response::Live(mut live) = session.client().call(Request::Live).await? else {
            return Err(
                Ended::unusable("the engine answered something else than the live state").into(),
            );
        };
        let live = live.remove(&environment.name).unwrap_or_default();
        let done = environment
            .nodes
            .iter()
            .all(|node| live.nodes.get(&node.name).is_some_and(was_tried))
            && environment
                .services
                .iter()
                .all(|service| live.services.get(&service.name).is_some_and(was_tried));
        if done {
            return Ok(live);
        }
        let news = async {
            while let Some(event) = events.next().await {
                if matches!(
                    event,
                    Event::Node { .. } | Event::Service { .. } | Event::Missed(_)
                ) {
                    break;
                }
            }
        };
        if tokio::time::timeout_at(deadline, news).await.is_err() {
            return Ok(live);
        }
    }
}

fn was_tried<T>(observed: &Observed<T>) -> bool {
    observed.as_of.is_some_and(|at| at > Timestamp::UNIX_EPOCH) || observed.trouble.is_some()
}
