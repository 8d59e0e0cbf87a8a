//! `quarterdeck audit`: who did what, and whether the record of it is whole.

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::session::State;
use super::{Global, output};
use crate::domain::audit::Record;
use crate::domain::table::{Cell, Table, Tone};
use crate::store::AuditFilter;

/// Flags of `quarterdeck audit`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many, the newest
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// Only of this environment
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Only what this operator did: USER or USER@HOST
    #[arg(long)]
    who: Option<String>,
    /// Print one JSON object per record
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every record against the chain of hashes; ends with 1 at the first that was edited, removed or reordered
    Verify {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Lists the audit, oldest first, or checks it.
///
/// # Errors
/// When there is no history or it cannot be read.
pub(super) async fn audit(global: &Global, args: AuditArgs) -> color_eyre::Result<Exit> {
    let reader = State::of(global)?.reader()?;
    if let Some(Command::Verify { json }) = args.command {
        let verdict = tokio::task::spawn_blocking(move || reader.verify_audit()).await??;
        if json {
            output::json(&verdict)?;
        } else {
            for finding in &verdict.earlier {
                output::line(&format!("found earlier: {}", output::plain(finding)))?;
            }
            match &verdict.flaw {
                Some(flaw) => output::line(&format!(
                    "{}; the {} before it are as they were written",
                    output::plain(flaw),
                    verdict.good
                ))?,
                None => output::line(&format!(
                    "{} records follow on each other; the last has the hash {}",
                    verdict.good, verdict.hash
                ))?,
            }
        }
        return Ok(if verdict.is_whole() {
            Exit::Success
        } else {
            Exit::Failed
        });
    }
    let filter = AuditFilter {
        environment: args.environment,
        who: args.who,
        limit: args.limit,
    };
    let mut records = tokio::task::spawn_blocking(move || reader.audit(&filter)).await??;
    records.reverse();
    if args.json {
        for record in &records {
            output::json(record)?;
        }
    } else {
        output::table(&table(&records))?;
    }
    Ok(Exit::Success)
}

fn table(records: &[Record]) -> Table {
    let mut table = Table::new(
        "Audit",
        [
            "NO",
            "AT",
            "WHO",
            "ACT",
            "OUTCOME",
            "ENVIRONMENT",
            "RUN",
            "PLAN",
            "DETAIL",
        ],
        "nothing is recorded that matches",
    );
    let text = |value: Option<&str>| output::plain(value.unwrap_or("-"));
    for record in records {
        let who = record
            .who
            .as_ref()
            .map_or_else(|| "engine".into(), ToString::to_string);
        let tone = match record.outcome.as_str() {
            "accepted" | "done" | "succeeded" => Tone::Good,
            "refused" | "cancelled" | "interrupted" => Tone::Warn,
            "failed" | "found" => Tone::Bad,
            _ => Tone::Plain,
        };
        let plan = record.plan_hash.as_deref().map(|hash| {
            // Enough to tell plans apart; `--json` has all of it.
            hash.get(..12).unwrap_or(hash)
        });
        table.push(
            record.seq.to_string(),
            [
                record.seq.to_string().into(),
                record.at.strftime("%Y-%m-%d %H:%M:%SZ").to_string().into(),
                output::plain(&who).into(),
                output::plain(&record.act).into(),
                Cell::new(output::plain(&record.outcome), tone),
                text(record.environment.as_deref()).into(),
                record
                    .run
                    .map_or_else(|| "-".into(), |run| run.to_string())
                    .into(),
                text(plan).into(),
                text(record.detail.as_deref()).into(),
            ],
        );
    }
    table
}
