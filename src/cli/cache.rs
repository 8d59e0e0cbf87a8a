//! `quarterdeck cache`: what runs bring to nodes, whether it is here, and who needs it; and fetching it beforehand, for runs
//! without a way out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::exit::{Ended, Exit};
use super::session::{Endings, cache_dir, load};
use super::{Global, output};
use crate::config::Workspace;
use crate::domain::environment::Environment;
use crate::domain::run::Stream;
use crate::domain::table::{Cell, Table, Tone};
use crate::resources::{self, Log};
use crate::steps::{self, Library};
use crate::transport::http::public;
use crate::tui::measure;

/// Flags of `quarterdeck cache`.
#[derive(Debug, Args)]
#[command(after_help = "\
Lists what the recipes bring to the nodes of each environment. Every file is read and held against its checksum; ends with 1 \
when one that is needed is not at hand.")]
pub(super) struct CacheArgs {
    /// Only what this environment needs
    #[arg(long, short, visible_alias = "env")]
    environment: Option<String>,
    /// Print one JSON object per file
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Fetch what is missing, verified; what was begun is gone on with where its source can, and ^C loses nothing
    Fill {
        /// Only what this environment needs; default: all of them
        #[arg(value_name = "ENVIRONMENT")]
        only: Option<String>,
    },
}

/// How a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Here, with its checksum.
    Here,
    /// Not here.
    Missing,
    /// A part of it is here.
    Begun,
    /// Here, with another checksum.
    Damaged,
    /// Here, and nobody needs it.
    Unused,
}

impl State {
    const fn cell(self) -> (&'static str, Tone) {
        match self {
            Self::Here => ("here", Tone::Good),
            Self::Missing => ("missing", Tone::Bad),
            Self::Begun => ("begun", Tone::Warn),
            Self::Damaged => ("damaged", Tone::Bad),
            Self::Unused => ("unused", Tone::Muted),
        }
    }

    /// Whether a run that fetches nothing would lack it.
    const fn is_lacking(self) -> bool {
        matches!(self, Self::Missing | Self::Begun | Self::Damaged)
    }
}

/// One file, and who needs it.
#[derive(Debug, Serialize)]
struct Item {
    /// Where it comes from, without user information; absent for what nobody needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    sha256: String,
    state: State,
    /// Bytes that are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Where it is, or would be kept.
    path: PathBuf,
    /// Recipes by environment; none for what an environment brings and no recipe asks for.
    needed_by: BTreeMap<String, BTreeSet<String>>,
    /// As it is declared.
    #[serde(skip)]
    origin: String,
}

/// Lists what is in the cache and what is not, or fills it.
///
/// # Errors
/// When the workspace cannot be used, there is no such environment, or the cache cannot be read.
pub(super) async fn cache(global: &Global, args: CacheArgs) -> color_eyre::Result<Exit> {
    let workspace = load(global)?;
    let folder = cache_dir(global)?;
    let only = match &args.action {
        Some(Action::Fill { only: Some(only) }) => Some(only),
        _ => args.environment.as_ref(),
    };
    let environments = chosen(&workspace, only)?;
    let needed = needed(&workspace, &environments);
    if let Some(Action::Fill { .. }) = args.action {
        if global.read_only {
            return Err(Ended::refused("the session is read-only").into());
        }
        return fill(needed, &folder, args.json).await;
    }
    let mut items = Vec::with_capacity(needed.len());
    for ((source, sha256), needed_by) in needed {
        items.push(look(&source, &sha256, needed_by, &folder).await);
    }
    if only.is_none() {
        unused(&folder, &mut items)
            .map_err(|error| Ended::unusable(format!("{}: {error}", folder.display())))?;
    }
    show(&items, args.json)?;
    Ok(outcome(&items))
}

fn outcome(items: &[Item]) -> Exit {
    if items.iter().any(|item| item.state.is_lacking()) {
        Exit::Failed
    } else {
        Exit::Success
    }
}

fn chosen<'w>(
    workspace: &'w Workspace,
    only: Option<&String>,
) -> color_eyre::Result<Vec<&'w Environment>> {
    let Some(name) = only else {
        return Ok(workspace.environments.iter().collect());
    };
    let found = workspace.environment(name).ok_or_else(|| {
        let known = workspace.environments.iter();
        let known: Vec<&str> = known.map(|environment| environment.name.as_str()).collect();
        Ended::unusable(format!(
            "there is no environment called {name:?}; there are: {}",
            known.join(", ")
        ))
    })?;
    Ok(vec![found])
}

/// A source and its checksum, with the recipes that need it by environment.
type Needed = BTreeMap<(String, String), BTreeMap<String, BTreeSet<String>>>;

fn needed(workspace: &Workspace, environments: &[&Environment]) -> Needed {
    let library = Library::load(Some(&workspace.settings.recipes));
    let mut all = Needed::new();
    for environment in environments {
        let name = &environment.name;
        let needs = steps::needs(environment, library.recipes());
        for (brought, recipes) in needs.brought {
            let by = all.entry(brought).or_default();
            by.entry(name.clone()).or_default().extend(recipes);
        }
        for (recipe, reason) in needs
            .unplanned
            .iter()
            .filter(|(recipe, _)| *recipe == "deploy")
        {
            output::remark(&format!(
                "what {recipe} needs in {} is not known: {}",
                output::plain(name),
                output::plain(reason)
            ));
        }
        // What is brought along for a recipe that cannot be planned yet is wanted all the same.
        for (arch, artifact) in environment.artifacts.values().flatten() {
            if environment.nodes.iter().any(|node| node.arch == *arch) {
                let brought = (artifact.source.clone(), artifact.sha256.clone());
                all.entry(brought)
                    .or_default()
                    .entry(name.clone())
                    .or_default();
            }
        }
    }
    all
}

async fn look(
    source: &str,
    sha256: &str,
    needed_by: BTreeMap<String, BTreeSet<String>>,
    folder: &Path,
) -> Item {
    let fetched = resources::is_url(source);
    let path = if fetched {
        resources::kept(folder, sha256)
    } else {
        PathBuf::from(source)
    };
    let size_of = |path: &Path| std::fs::metadata(path).ok().map(|found| found.len());
    let (state, size) = match size_of(&path) {
        Some(size) if resources::is_at_hand(source, sha256, folder).await => {
            (State::Here, Some(size))
        }
        Some(size) => (State::Damaged, Some(size)),
        None => match size_of(&resources::begun(folder, sha256)).filter(|_| fetched) {
            Some(size) => (State::Begun, Some(size)),
            None => (State::Missing, None),
        },
    };
    Item {
        source: Some(if fetched {
            public(source)
        } else {
            source.to_owned()
        }),
        sha256: sha256.to_owned(),
        state,
        size,
        path,
        needed_by,
        origin: source.to_owned(),
    }
}

/// Adds the files of the cache that nobody needs.
fn unused(folder: &Path, items: &mut Vec<Item>) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let known: BTreeSet<String> = items
        .iter()
        .map(|item| item.sha256.to_ascii_lowercase())
        .collect();
    let mut found: BTreeMap<String, (PathBuf, u64)> = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_sum = name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
        if is_sum && !known.contains(&name) {
            found.insert(name, (entry.path(), entry.metadata()?.len()));
        }
    }
    items.extend(found.into_iter().map(|(sha256, (path, size))| Item {
        source: None,
        sha256,
        state: State::Unused,
        size: Some(size),
        path,
        needed_by: BTreeMap::new(),
        origin: String::new(),
    }));
    Ok(())
}

fn show(items: &[Item], json: bool) -> std::io::Result<()> {
    if json {
        return items.iter().try_for_each(output::json);
    }
    let columns = ["FILE", "STATE", "SIZE", "SHA-256", "NEEDED BY"];
    let nothing = "no recipe brings anything to the nodes of this workspace";
    let mut table = Table::new("Cache", columns, nothing);
    for item in items {
        let (word, tone) = item.state.cell();
        let needed: Vec<String> = item.needed_by.iter().map(by).collect();
        table.push(
            item.sha256.clone(),
            [
                output::plain(&title(item)).into(),
                Cell::new(word, tone),
                item.size
                    .map_or_else(|| "-".to_owned(), measure::bytes)
                    .into(),
                item.sha256.chars().take(12).collect::<String>().into(),
                output::plain(&needed.join("; ")).into(),
            ],
        );
    }
    output::table(&table)
}

fn by((environment, recipes): (&String, &BTreeSet<String>)) -> String {
    let recipes: Vec<&str> = recipes.iter().map(String::as_str).collect();
    if recipes.is_empty() {
        return format!("{environment}: no recipe");
    }
    format!("{environment}: {}", recipes.join(", "))
}

/// The file's own name, by which people know it.
fn title(item: &Item) -> String {
    let source = item.source.as_deref().unwrap_or("-");
    source.rsplit('/').next().unwrap_or(source).to_owned()
}

/// Tells how far a file is.
struct Told<'a>(&'a str);

#[async_trait::async_trait]
impl Log for Told<'_> {
    async fn line(&self, _: Stream, text: String) {
        output::remark(&output::plain(&format!("{}: {text}", self.0)));
    }
}

/// Fetches one file after the other; one that fails keeps none of the others back.
async fn fill(needed: Needed, folder: &Path, json: bool) -> color_eyre::Result<Exit> {
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let listening = tokio::spawn(async move {
        Endings::listen().next().await;
        stop.cancel();
    });
    let mut items = Vec::with_capacity(needed.len());
    for ((source, sha256), needed_by) in needed {
        let mut item = look(&source, &sha256, needed_by, folder).await;
        if item.state.is_lacking() && !cancel.is_cancelled() {
            let name = title(&item);
            let brought = resources::bring(&source, &sha256, folder, &Told(&name), &cancel).await;
            if let Err(error) = brought
                && !cancel.is_cancelled()
            {
                output::remark(&output::plain(&format!("{name}: {error}")));
            }
            item = look(&item.origin, &sha256, item.needed_by, folder).await;
        }
        items.push(item);
    }
    listening.abort();
    show(&items, json)?;
    if cancel.is_cancelled() {
        output::remark("stopped; the next `quarterdeck cache fill` goes on from here");
        return Ok(Exit::Cancelled);
    }
    Ok(outcome(&items))
}
