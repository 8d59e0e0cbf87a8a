//! `quarterdeck prune`: removes old runs, by the workspace's rule or by one given here.

use clap::Args;

use super::exit::{Ended, Exit};
use super::session::Session;
use super::{Global, output};
use crate::client::{PruneRequest, Pruned, Request, Response};
use crate::domain::table::Table;

/// Flags of `quarterdeck prune`.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Remove runs that ended longer ago: 12h, 30d; default: the workspace's `retention`
    #[arg(long, value_name = "SPAN", value_parser = span)]
    older_than: Option<u64>,
    /// Keep only the N newest runs of each environment; default: the workspace's `retention`
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Seconds of a length of time: a whole number and s, m, h or d.
fn span(text: &str) -> Result<u64, String> {
    let expected = || "expected a whole number and a unit, such as 12h or 30d".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(expected()),
    };
    number
        .checked_mul(unit)
        .filter(|seconds| i64::try_from(*seconds).is_ok())
        .ok_or_else(expected)
}

/// Removes runs through the engine.
///
/// # Errors
/// When the workspace cannot be used, or the engine refuses.
pub(super) async fn prune(global: &Global, args: &PruneArgs) -> color_eyre::Result<Exit> {
    let session = Session::open(global, "prune").await?;
    let request = Request::Prune(PruneRequest {
        older_than: args.older_than,
        keep: args.keep,
        dry_run: args.dry_run,
    });
    let answer = session.client().call(request).await;
    session.close().await;
    let Response::Pruned(pruned) = answer.map_err(|refusal| Ended::refused(refusal.message))?
    else {
        return Err(
            Ended::unusable("the engine answered something else than what it removed").into(),
        );
    };
    if args.json {
        output::json(&pruned)?;
    } else {
        output::table(&table(&pruned))?;
    }
    Ok(Exit::Success)
}

fn table(pruned: &Pruned) -> Table {
    let title = if pruned.dry_run {
        "Would be removed"
    } else {
        "Removed"
    };
    let mut table = Table::new(
        title,
        ["RUN", "ENVIRONMENT", "ENDED", "LINES", "ABOUT"],
        "no run is to be removed",
    );
    for run in &pruned.runs {
        let ended = run
            .ended_at
            .map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        table.push(
            run.id.to_string(),
            [
                run.number.to_string().into(),
                run.environment.as_str().into(),
                ended.unwrap_or_else(|| "-".into()).into(),
                run.lines.to_string().into(),
                format!("{} KiB", run.bytes / 1024).into(),
            ],
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        assert_eq!(span("30d"), Ok(2_592_000));
        for wrong in ["30", "d", "-1d", "1w", "99999999999999999999d", ""] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
