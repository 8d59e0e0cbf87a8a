//! `quarterdeck snapshots`: which copies of the services' state there are, and whether they are still whole.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::exit::Exit;
use super::session::State;
use super::{Global, output};
use crate::domain::snapshot::Snapshot;
use crate::domain::table::{Cell, Table, Tone};
use crate::services::shelf::{self, Shelf};
use crate::tui::measure;

/// Flags of `quarterdeck snapshots`.
#[derive(Debug, Args)]
pub(super) struct SnapshotsArgs {
    /// Only of this environment
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Read every one again and compare its checksums; ends with 1 when one is not what it was
    #[arg(long)]
    verify: bool,
    /// Print one JSON object per snapshot
    #[arg(long)]
    json: bool,
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

/// Lists the snapshots, oldest first; looks into them when asked to.
///
/// # Errors
/// When they cannot be read.
pub(super) async fn snapshots(global: &Global, args: SnapshotsArgs) -> color_eyre::Result<Exit> {
    let shelf = Shelf::of(State::of(global)?.dir());
    let SnapshotsArgs {
        environment,
        verify,
        json,
    } = args;
    let looked = tokio::task::spawn_blocking(move || {
        let (found, odd) = shelf.list()?;
        let wanted = found.into_iter().filter(|one| {
            environment
                .as_ref()
                .is_none_or(|name| *name == one.environment)
        });
        let seen: Vec<Seen> = wanted
            .map(|snapshot| {
                let flaw = verify.then(|| shelf::inspect(&snapshot).err()).flatten();
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
            output::plain(reason)
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
            "SERVICE",
            "SIZE",
            "INDEX",
            "FROM",
            "STATE",
            "FILE",
        ],
        "none has been taken; `quarterdeck run snapshot` takes them",
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
            (None, None) => Cell::new("verified when taken", Tone::Plain),
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
                output::plain(&snapshot.service).into(),
                measure::bytes(snapshot.size).into(),
                snapshot.index.to_string().into(),
                output::plain(&snapshot.from).into(),
                state,
                output::plain(&snapshot.file.display().to_string()).into(),
            ],
        );
    }
    table
}
