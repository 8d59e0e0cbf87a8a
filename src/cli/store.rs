//! `quarterdeck store`: whether the file that holds history is whole, and saving what can be read when it is not.

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::session::State;
use super::{Global, output};
use crate::domain::table::{Cell, Table, Tone};
use crate::store;

/// Flags of `quarterdeck store`.
#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look through the whole file; ends with 1 when something is wrong
    Check,
    /// Save what can be read of a damaged file into a new one and put that in its place; the damaged one is kept
    ///
    /// Refused while an engine uses the file.
    Recover {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Checks or recovers the store.
///
/// # Errors
/// When the workspace or the store cannot be used.
pub(super) async fn store(global: &Global, args: StoreArgs) -> color_eyre::Result<Exit> {
    let dir = State::of(global)?.dir().to_owned();
    match args.command {
        Command::Check => {
            let path = store::database_path(&dir);
            let finding = tokio::task::spawn_blocking(move || store::check(&path)).await??;
            match finding {
                None => {
                    output::line("the store is whole")?;
                    Ok(Exit::Success)
                }
                Some(finding) => {
                    output::line(&format!(
                        "the store is damaged: {}; `quarterdeck store recover` saves what can be read",
                        output::plain(&finding)
                    ))?;
                    Ok(Exit::Failed)
                }
            }
        }
        Command::Recover { json } => {
            let recovered = tokio::task::spawn_blocking(move || store::recover(&dir)).await??;
            if json {
                output::json(&recovered)?;
            } else {
                let mut table = Table::new("Saved", ["TABLE", "ROWS", "LOST"], "no tables");
                for saved in &recovered.saved {
                    let lost = match &saved.lost {
                        None => Cell::new("nothing", Tone::Good),
                        Some(reason) => Cell::new(output::plain(reason), Tone::Warn),
                    };
                    table.push(
                        saved.table.as_str(),
                        [
                            saved.table.as_str().into(),
                            saved.rows.to_string().into(),
                            lost,
                        ],
                    );
                }
                output::table(&table)?;
            }
            output::remark(&format!(
                "the file as it was is kept as {}; `quarterdeck audit verify` tells whether records are missing",
                recovered.kept.display()
            ));
            Ok(Exit::Success)
        }
    }
}
