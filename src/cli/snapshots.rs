//! `quarterdeck snapshots`: which copies of the stores' state there are, whether they are still whole; and taking, verifying,
//! restoring and trying them, each of which is a run of the recipe of that name.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::exit::Exit;
use super::follow::{Give, carry_out, plan};
use super::session::{Session, State};
use super::{Global, output};
use crate::domain::plan::PlanRequest;
use crate::domain::snapshot::Snapshot;
use crate::domain::table::{Cell, Table, Tone};
use crate::services::shelf::{self, Shelf};
use crate::tui::measure;

/// Flags of `quarterdeck snapshots`.
#[derive(Debug, Args)]
pub(super) struct SnapshotsArgs {
    /// Only of this environment; for an action default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env", global = true)]
    environment: Option<String>,
    /// Read every one again and compare its checksums; ends with 1 when one is not what it was
    #[arg(long)]
    verify: bool,
    /// Print one JSON object per snapshot
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Save the state of every store, or of one
    Take {
        /// The store's name
        store: Option<String>,
        /// How many are kept of each store, the newest
        #[arg(long)]
        keep: Option<u32>,
        #[command(flatten)]
        run: How,
    },
    /// Read snapshots again in a run, and keep what was found: all, those of a store, or one
    Verify {
        /// A store's name, or STORE/TIME
        which: Option<String>,
        #[command(flatten)]
        run: How,
    },
    /// Replace a store's state by that of a snapshot; shows what would be lost, and asks
    Restore {
        /// The store's name for its newest whole snapshot, or STORE/TIME
        which: String,
        #[command(flatten)]
        run: How,
    },
    /// Restore snapshots into a scratch instance on this machine: the newest of every store, or one
    Drill {
        /// A store's name for its newest whole snapshot, or STORE/TIME
        which: Option<String>,
        #[command(flatten)]
        run: How,
    },
}

/// How a run is begun.
#[derive(Debug, Args)]
struct How {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    give: Give,
}

impl Action {
    /// The recipe and its parameters.
    fn request(self) -> (&'static str, BTreeMap<String, Value>, How) {
        let mut params = BTreeMap::new();
        let mut which_of = |which: Option<String>| {
            let Some(which) = which else { return };
            let store = which.split('/').next().unwrap_or_default().to_owned();
            if which.contains('/') {
                params.insert("snapshot".to_owned(), Value::from(which));
            }
            params.insert("service".to_owned(), Value::from(store));
        };
        let (recipe, run) = match self {
            Self::Take { store, keep, run } => {
                which_of(store);
                if let Some(keep) = keep {
                    params.insert("keep".to_owned(), Value::from(keep));
                }
                ("snapshot", run)
            }
            Self::Verify { which, run } => {
                which_of(which);
                ("verify-snapshots", run)
            }
            Self::Restore { which, run } => {
                which_of(Some(which));
                ("restore", run)
            }
            Self::Drill { which, run } => {
                which_of(which);
                ("drill", run)
            }
        };
        (recipe, params, run)
    }
}

/// A snapshot and what a look at it found.
#[derive(Serialize)]
struct Seen {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// Whether it is still what it was; `None` when nobody looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    whole: Option<bool>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<String>,
}

/// Plans and runs what is to be done with snapshots, and follows it to its end.
async fn act(
    global: &Global,
    environment: Option<String>,
    action: Action,
) -> color_eyre::Result<Exit> {
    let (recipe, params, how) = action.request();
    let session = Session::open(global, "snapshots").await?;
    let outcome = async {
        let request = PlanRequest {
            environment: session.environment(environment.as_deref())?.name.clone(),
            recipe: recipe.to_owned(),
            params,
            dry_run: how.dry_run,
            ..PlanRequest::default()
        };
        let planned = plan(session.client(), request).await?;
        planned.show(how.give.json)?;
        carry_out(&session, planned, how.give).await
    };
    let outcome = outcome.await;
    session.close().await;
    outcome
}

/// Lists the snapshots, oldest first; looks into them, or acts on them, when asked to.
///
/// # Errors
/// When they cannot be read.
pub(super) async fn snapshots(global: &Global, args: SnapshotsArgs) -> color_eyre::Result<Exit> {
    let SnapshotsArgs {
        environment,
        verify,
        json,
        action,
    } = args;
    if let Some(action) = action {
        return act(global, environment, action).await;
    }
    let shelf = Shelf::of(State::of(global)?.dir());
    let looked = tokio::task::spawn_blocking(move || {
        let (found, odd) = shelf.list()?;
        let wanted = found.into_iter().filter(|one| {
            environment
                .as_ref()
                .is_none_or(|name| *name == one.environment)
        });
        let seen: Vec<Seen> = wanted
            .map(|snapshot| {
                let flaw = verify
                    .then(|| shelf::inspect(&snapshot, None).err())
                    .flatten();
                Seen {
                    whole: verify.then_some(flaw.is_none()),
                    flaw: flaw.map(|flaw| flaw.to_string()),
                    snapshot,
                }
            })
            .collect();
        Ok::<_, std::io::Error>((seen, odd))
    });
    let (seen, odd) = looked.await??;
    for reason in &odd {
        output::remark(&format!(
            "not a snapshot's account: {}",
            output::plain(&reason.to_string())
        ));
    }
    if json {
        for one in &seen {
            output::json(one)?;
        }
    } else {
        output::table(&table(&seen, Timestamp::now()))?;
    }
    let bad = seen.iter().any(|one| one.flaw.is_some()) || !odd.is_empty();
    Ok(if bad { Exit::Failed } else { Exit::Success })
}

fn table(seen: &[Seen], now: Timestamp) -> Table {
    let mut table = Table::new(
        "Snapshots",
        [
            "TAKEN",
            "AGE",
            "ENVIRONMENT",
            "SNAPSHOT",
            "SIZE",
            "ENCRYPTED",
            "FROM",
            "STATE",
            "LAST DRILL",
            "FILE",
        ],
        "none has been taken; `quarterdeck snapshots take` takes them",
    );
    for Seen {
        snapshot,
        flaw,
        whole,
    } in seen
    {
        let state = match (whole, flaw) {
            (_, Some(flaw)) => Cell::new(output::plain(flaw), Tone::Bad),
            (Some(_), None) => Cell::new("whole", Tone::Good),
            (None, None) => match &snapshot.look {
                None => Cell::new("verified when taken", Tone::Plain),
                Some(look) => match &look.flaw {
                    Some(flaw) => Cell::new(output::plain(flaw), Tone::Bad),
                    None => Cell::new(
                        format!("whole {} ago", measure::age(now, look.at)),
                        Tone::Good,
                    ),
                },
            },
        };
        let drill = match &snapshot.drill {
            None => Cell::new("never", Tone::Muted),
            Some(drill) => match &drill.flaw {
                Some(flaw) => Cell::new(output::plain(flaw), Tone::Bad),
                None => Cell::new(
                    format!(
                        "{} ago, {:.1} s",
                        measure::age(now, drill.at),
                        drill.took_ms as f64 / 1000.0
                    ),
                    Tone::Good,
                ),
            },
        };
        table.push(
            snapshot.file.display().to_string(),
            [
                snapshot
                    .taken_at
                    .strftime("%Y-%m-%d %H:%M:%SZ")
                    .to_string()
                    .into(),
                measure::age(now, snapshot.taken_at).into(),
                output::plain(&snapshot.environment).into(),
                output::plain(&snapshot.id()).into(),
                measure::bytes(snapshot.size).into(),
                if snapshot.recipients.is_empty() {
                    "no".into()
                } else {
                    "age".into()
                },
                output::plain(&snapshot.from).into(),
                state,
                drill,
                output::plain(&snapshot.file.display().to_string()).into(),
            ],
        );
    }
    table
}
