//! `quarterdeck bootstrap`: the first start, guided on a terminal, or from a file of answers.
//!
//! Both ways are one: answers → probe → proposal → files → the stages after them. Probing goes through an engine of this
//! process that has no workspace; what comes after the files goes through the workspace's own engine, as recipes, like
//! everything else.

mod draft;
mod guided;
mod kept;
mod stages;
mod survey;
mod unattended;

use std::path::PathBuf;

use clap::Args;

use super::exit::{Ended, Exit};
use super::{Global, Look};

pub(super) use guided::{Site, guide, on_workspace};

/// Flags of `quarterdeck bootstrap`.
#[derive(Debug, Args)]
#[command(after_help = STATUS)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent switches of the command line"
)]
pub(super) struct BootstrapArgs {
    /// Ask nothing: take the answers from this file (see `quarterdeck help bootstrap`)
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Where the workspace is, or shall be; default: --workspace, else the directory `quarterdeck` here
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Probe, and show the proposal and the files; write and change nothing
    #[arg(long, requires = "answers")]
    dry_run: bool,
    /// Write the files and stop there
    #[arg(long, requires = "answers")]
    no_deploy: bool,
    /// Say yes to the files that were shown, and where the environment asks for a confirmation
    #[arg(long, short, requires = "answers")]
    yes: bool,
    /// Type the environment's name where it asks for that
    #[arg(long, value_name = "NAME", requires = "answers")]
    confirm: Option<String>,
    /// Print the proposal, then every run, as one JSON object per line
    #[arg(long, requires = "answers")]
    json: bool,
}

/// The directory that a workspace is made in, unless told otherwise.
pub(super) const DIRECTORY: &str = "quarterdeck";

const STATUS: &str = "\
Exit status:
  0    the files are written and every stage is done; with --dry-run: they could be
  1    a host cannot be reached, something stands in the way of the plan, a run failed, or a Vault waits for its keepers
  3    the answers or the workspace cannot be used; nothing was begun
  4    refused: nobody agreed to the files, or to a run
  130  stopped by the operator";

/// Guides through the first start, or does it by answers.
///
/// # Errors
/// When the answers cannot be read, or something cannot be begun.
pub(super) async fn bootstrap(
    global: &Global,
    look: &Look,
    args: BootstrapArgs,
) -> color_eyre::Result<Exit> {
    match &args.answers {
        Some(file) => {
            let answers = kept::read(file)?;
            Box::pin(unattended::unattended(global, look, &args, answers)).await
        }
        None => guided::guide(global, look, &target(global, &args)?).await,
    }
}

/// Where the workspace is, or shall be.
fn target(global: &Global, args: &BootstrapArgs) -> color_eyre::Result<PathBuf> {
    let dir = args
        .dir
        .clone()
        .or_else(|| global.workspace.clone())
        .unwrap_or_else(|| PathBuf::from(DIRECTORY));
    Ok(std::path::absolute(dir).map_err(Ended::unusable)?)
}
