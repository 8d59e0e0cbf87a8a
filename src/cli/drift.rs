//! `quarterdeck drift`: where what is there differs from what is declared; looking anew, saying that it is meant, and bringing
//! one row back.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::approvals::ago;
use super::exit::{Ended, Exit};
use super::follow::{Give, Watch, carry_out, plan};
use super::session::Session;
use super::{Global, output};
use crate::client::{Request, Response};
use crate::domain::drift::board::{DriftBoard, DriftRow};
use crate::domain::plan::PlanRequest;
use crate::domain::run::RunState;
use crate::domain::table::{Cell, Table, Tone};

/// Flags of `quarterdeck drift`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit status is 5 when something drifted that no rule ignores; else 1 when a part could not be looked at; else 0. \
`quarterdeck help drift` is the guide.")]
pub(super) struct DriftArgs {
    /// The environment; default: the workspace's default, or its only one
    #[arg(long, short, visible_alias = "env", global = true)]
    environment: Option<String>,
    /// Look anew first, in a run of the recipe `drift`
    #[arg(long)]
    check: bool,
    /// List what rules ignore, too
    #[arg(long)]
    ignored: bool,
    /// Print the board as one JSON object
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a rule into the workspace's `drift-ignore.yaml`: this is meant
    Ignore {
        /// What the rule covers: a key as the board shows it, in which `*` stands for anything
        key: String,
        /// Why
        #[arg(long, short)]
        reason: String,
        /// For how many days
        #[arg(long, required_unless_present = "never", conflicts_with = "never")]
        days: Option<u32>,
        /// For good
        #[arg(long)]
        never: bool,
    },
    /// Plan and run what brings just this row into its desired state
    Reconcile {
        /// Its key, as the board shows it
        key: String,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        give: Give,
    },
}

/// Lists what drifted, or acts on it.
///
/// # Errors
/// When the workspace cannot be used, or there is no such row.
pub(super) async fn drift(global: &Global, args: DriftArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "drift").await?;
    let outcome = carry(&session, args).await;
    session.close().await;
    outcome
}

async fn carry(session: &Session, args: DriftArgs) -> color_eyre::Result<Exit> {
    let environment = session
        .environment(args.environment.as_deref())?
        .name
        .clone();
    match args.action {
        None => {}
        Some(Action::Ignore {
            key, reason, days, ..
        }) => return ignore(session, environment, key, reason, days).await,
        Some(Action::Reconcile { key, dry_run, give }) => {
            let board = board(session, &environment).await?;
            let request = PlanRequest {
                dry_run,
                ..chosen(&board, &environment, &key)?
            };
            let planned = plan(session.client(), request).await?;
            planned.show(give.json)?;
            return carry_out(session, planned, give).await;
        }
    }
    if args.check {
        let request = PlanRequest {
            environment: environment.clone(),
            recipe: "drift".into(),
            ..PlanRequest::default()
        };
        let planned = plan(session.client(), request).await?;
        let watch = Watch::start(session, planned, false, None).await?;
        output::remark(&format!(
            "run #{} looks; it changes nothing",
            watch.run().number
        ));
        // What could not be looked at is on the board: a run that failed has told what it saw.
        match watch.until_the_end(|_| {}).await? {
            Some(run) if run.state == RunState::Cancelled => return Ok(Exit::Cancelled),
            Some(_) => {}
            None => return Ok(Exit::Cancelled),
        }
    }
    let board = board(session, &environment).await?;
    if args.json {
        output::json(&board)?;
    } else {
        show(&board, args.ignored, Timestamp::now())?;
    }
    Ok(verdict(&board))
}

/// What the exit status says of a board.
fn verdict(board: &DriftBoard) -> Exit {
    if board.open().next().is_some() {
        Exit::Drifted
    } else if board.unknown().next().is_some() || board.rules_trouble.is_some() {
        Exit::Failed
    } else {
        Exit::Success
    }
}

async fn board(session: &Session, environment: &str) -> color_eyre::Result<DriftBoard> {
    let request = Request::Drift {
        environment: environment.to_owned(),
    };
    match session.client().call(request).await {
        Ok(Response::Drift(board)) => Ok(*board),
        Ok(other) => Err(Ended::unusable(format!("the engine answered {other:?}")).into()),
        Err(refusal) => Err(Ended::unusable(refusal).into()),
    }
}

async fn ignore(
    session: &Session,
    environment: String,
    matches: String,
    reason: String,
    days: Option<u32>,
) -> color_eyre::Result<Exit> {
    let request = Request::IgnoreDrift {
        environment,
        matches: matches.clone(),
        reason,
        days,
    };
    match session.client().call(request).await {
        Ok(_) => {
            output::remark(&format!(
                "{} is ignored from now on",
                output::plain(&matches)
            ));
            Ok(Exit::Success)
        }
        Err(refusal) => Err(Ended::refused(refusal).into()),
    }
}

/// The plan that brings the row called `key` back.
fn chosen(board: &DriftBoard, environment: &str, key: &str) -> Result<PlanRequest, Ended> {
    let row = board
        .rows
        .iter()
        .find(|row| row.known.drifted.key.to_string() == key)
        .ok_or_else(|| {
            Ended::refused(format!(
                "nothing called {key:?} drifted, as far as is known; `quarterdeck drift` lists what did"
            ))
        })?;
    match &row.known.drifted.reconcile {
        Some(remedy) => Ok(remedy.request(environment)),
        None => Err(Ended::refused(format!(
            "nothing here brings {key} back: it has to be done by hand"
        ))),
    }
}

fn show(board: &DriftBoard, ignored: bool, now: Timestamp) -> std::io::Result<()> {
    output::table(&table(board, ignored, now))?;
    for (source, count) in board.counts() {
        output::remark(&format!(
            "{source}: {} drifted, {} ignored; {} of {} looked at",
            count.open,
            count.ignored,
            count.parts - count.unknown,
            count.parts
        ));
    }
    for look in board.unknown() {
        let known = match look.known_at {
            Some(at) => format!("known as of {} ago", ago(at, now)),
            None => "never seen".to_owned(),
        };
        output::remark(&format!(
            "not known: {} {}: {} ({known})",
            look.source,
            output::plain(&look.scope),
            output::plain(look.trouble.as_deref().unwrap_or_default())
        ));
    }
    for rule in &board.expired {
        output::remark(&format!(
            "expired on {}: the rule for {} ({})",
            rule.expires,
            output::plain(&rule.matches),
            output::plain(&rule.reason)
        ));
    }
    if let Some(reason) = &board.rules_trouble {
        output::remark(&format!("no rule holds: {}", output::plain_lines(reason)));
    }
    if board.looks.is_empty() {
        output::remark("nobody has looked yet: `quarterdeck drift --check`");
    }
    Ok(())
}

fn table(board: &DriftBoard, ignored: bool, now: Timestamp) -> Table {
    let mut table = Table::new(
        "Drift",
        ["STATE", "SINCE", "KEY", "DESIRED", "ACTUAL"],
        "nothing differs of what was looked at",
    );
    let rows = board
        .rows
        .iter()
        .filter(|row| ignored || row.ignored.is_none());
    for row in rows {
        let drifted = &row.known.drifted;
        table.push(
            drifted.key.to_string(),
            [
                state(row),
                ago(row.known.first_seen, now).into(),
                output::plain(&drifted.key.to_string()).into(),
                output::plain(&drifted.desired).into(),
                output::plain(&drifted.actual).into(),
            ],
        );
    }
    table
}

fn state(row: &DriftRow) -> Cell {
    if let Some(rule) = &row.ignored {
        let text = format!("ignored until {}: {}", rule.expires, rule.reason);
        return Cell::new(output::plain(&text), Tone::Muted);
    }
    match (&row.trouble, &row.expired) {
        (Some(_), _) => Cell::new("not known", Tone::Muted),
        (None, Some(rule)) => Cell::new(format!("rule expired {}", rule.expires), Tone::Warn),
        (None, None) => Cell::new("drifted", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::drift::board::{KnownDrift, Looked};
    use crate::domain::drift::{DriftSource, Drifted};
    use crate::domain::remedy::Remedy;

    fn board(rows: usize, trouble: Option<&str>) -> DriftBoard {
        let at = Timestamp::UNIX_EPOCH;
        let row = |number: usize| KnownDrift {
            drifted: Drifted {
                reconcile: (number == 0).then(|| Remedy::recipe("deploy").on("pc1").only("a.b")),
                ..Drifted::new(
                    DriftSource::Nodes,
                    format!("pc1/file /{number}"),
                    "mode",
                    "0644",
                    "0600",
                )
            },
            scope: "pc1/a".into(),
            first_seen: at,
            last_seen: at,
        };
        let look = Looked {
            source: DriftSource::Nodes,
            scope: "pc1/a".into(),
            looked_at: at,
            known_at: Some(at),
            trouble: trouble.map(Into::into),
        };
        DriftBoard::of(
            "lab",
            (0..rows).map(row).collect(),
            vec![look],
            Ok(vec![]),
            at,
        )
    }

    #[test]
    fn the_exit_status_tells_drift_from_what_is_not_known() {
        assert_eq!(verdict(&board(0, None)), Exit::Success);
        assert_eq!(verdict(&board(0, Some("no route"))), Exit::Failed);
        assert_eq!(verdict(&board(1, Some("no route"))), Exit::Drifted);
        assert_eq!(Exit::Drifted.code(), 5);
    }

    #[test]
    fn a_row_is_brought_back_by_the_step_that_declares_it_on_its_node_alone() {
        let board = board(2, None);
        let request = chosen(&board, "lab", "nodes:pc1/file /0#mode").unwrap();
        assert_eq!(request.recipe, "deploy");
        assert_eq!(request.nodes, ["pc1"]);
        assert_eq!(request.limits.steps, ["a.b"]);
        let by_hand = chosen(&board, "lab", "nodes:pc1/file /1#mode").unwrap_err();
        assert!(by_hand.to_string().contains("by hand"), "{by_hand}");
        assert!(chosen(&board, "lab", "nodes:pc1").is_err());
    }
}
