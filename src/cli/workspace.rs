//! `quarterdeck check` and `quarterdeck schema`: the workspace as a text that can be right or wrong.

use clap::Args;

use super::exit::{Ended, Exit};
use super::{Global, output, session};
use crate::config::{self, Which};
use crate::steps::library::Library;

/// Flags of `quarterdeck check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Print the mistakes as JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `quarterdeck schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Which file: environment, workspace, recipe or answers
    #[arg(default_value = "environment")]
    file: Which,
}

/// Checks the workspace and its recipes.
///
/// # Errors
/// When there is no workspace.
pub(super) fn check(global: &Global, args: &CheckArgs) -> color_eyre::Result<Exit> {
    let cwd = std::env::current_dir().map_err(Ended::unusable)?;
    let root = config::find(global.workspace.as_deref(), &cwd).map_err(Ended::unusable)?;
    let checked = config::check(&root.dir, session::recipes);
    let (errors, _) = checked.counts();
    if args.json {
        output::json(&checked.diagnostics)?;
    } else {
        output::bytes(config::render(&checked.diagnostics, output::colour()).as_bytes())?;
    }
    let Some(workspace) = checked.workspace else {
        return Ok(Exit::Failed);
    };
    let library = Library::load(Some(&workspace.settings.recipes));
    for problem in library.problems() {
        output::remark(&format!("error: {problem}"));
    }
    if errors == 0 && library.problems().is_empty() {
        let count = |number: usize, what: &str| {
            format!("{number} {what}{}", if number == 1 { "" } else { "s" })
        };
        let nodes = workspace
            .environments
            .iter()
            .map(|environment| environment.nodes.len())
            .sum();
        let services = workspace
            .environments
            .iter()
            .map(|environment| environment.services.len())
            .sum();
        output::remark(&format!(
            "{}: {}, {}, {}",
            root.dir.display(),
            count(workspace.environments.len(), "environment"),
            count(nodes, "node"),
            count(services, "service"),
        ));
        return Ok(Exit::Success);
    }
    Ok(Exit::Failed)
}

/// Prints the JSON Schema of a file.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn schema(args: &SchemaArgs) -> color_eyre::Result<Exit> {
    output::line(&serde_json::to_string_pretty(&config::schema(args.file))?)?;
    Ok(Exit::Success)
}
