//! A whole workspace: its settings, its environments, its recipes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Fault, Place, Span, quoted};
use super::drift_rules;
use super::format::environment::EnvironmentFile;
use super::format::workspace::WorkspaceFile;
use super::meaning::paths::Paths;
use super::meaning::{environment, notifications, schedules, settings};
use super::read::{Read, read};
use super::schema::Which;
use super::source::Source;
use super::workspace::{Checked, Recipes, Settings, Workspace};
use crate::domain::bootstrap::Answers;
use crate::domain::environment::Environment;
use crate::domain::recipe::Recipe;

/// The file that makes a directory a workspace.
pub const FILE: &str = "quarterdeck.yaml";

/// Where the environments are, in a workspace.
pub(super) const ENVIRONMENTS: &str = "environments";

/// How many files of one kind are read; more than that is some other directory.
const MAX_FILES: usize = 512;

/// Reads and checks every file of the workspace at `root`, finding all mistakes in one go. `known` tells which recipes
/// there are, those in the given directory (which need not exist) among them.
pub fn check(root: &Path, known: impl FnOnce(&Path) -> Recipes) -> Checked {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    check_at_home(root, home, known)
}

/// As [`check`], with `~` meaning `home`.
pub(crate) fn check_at_home(
    root: &Path,
    home: Option<PathBuf>,
    known: impl FnOnce(&Path) -> Recipes,
) -> Checked {
    let mut diagnostics = Vec::new();
    let mut main: Option<Read<WorkspaceFile>> = match Source::read(root, Path::new(FILE)) {
        Ok(source) => Some(read(source, Which::Workspace, true)),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    };
    let paths = Paths {
        base: root.to_owned(),
        home: home.clone(),
    };
    let mut faults = Vec::new();
    let settings = match main.as_ref().and_then(Read::content) {
        Some((file, top)) => settings::read(file, top, &paths, &mut faults),
        None => Settings {
            recipes: root.join("recipes"),
            ..Settings::default()
        },
    };

    let known = known(&settings.recipes);
    let (files, unreadable) = listed(root, Path::new(ENVIRONMENTS));
    let mut later: Vec<Diagnostic> = unreadable;
    let mut environments = Vec::new();
    let mut planned = Vec::new();
    let mut complete = later.is_empty();
    let paths = Paths {
        base: root.join(ENVIRONMENTS),
        home,
    };
    let mut reads = Vec::new();
    for file in files {
        match Source::read(root, &file) {
            Ok(source) => {
                let mut read = read::<EnvironmentFile>(source, Which::Environment, true);
                let mut faults = Vec::new();
                let environment = read.content().and_then(|(file, top)| {
                    let environment =
                        environment::read(file, top, &read.lost, &paths, &mut faults)?;
                    planned.extend(schedules::read(
                        file,
                        top,
                        &environment,
                        &known,
                        &mut faults,
                    ));
                    Some(environment)
                });
                read.faults.extend(faults);
                complete &= environment.is_some();
                environments.extend(environment);
                reads.push(read);
            }
            Err(diagnostic) => {
                complete = false;
                later.push(*diagnostic);
            }
        }
    }
    later.extend(reads.iter().flat_map(Read::diagnostics));
    later.extend(same_names(&reads));
    later.sort_by(|a, b| {
        (&a.place.file, a.place.span.start).cmp(&(&b.place.file, b.place.span.start))
    });

    if let Some(main) = &mut main {
        let names = environments
            .iter()
            .map(|environment| environment.name.as_str());
        if complete && environments.is_empty() {
            faults.push(
                Fault::error("no-environment", Span::default(), "the workspace has no environment")
                    .help("describe one in environments/local.yaml, beginning with:\nenvironment:\n  name: local"),
            );
        } else if complete
            && let Some(wanted) = &settings.default_environment
            && let Some((_, top)) = main.content()
        {
            faults.extend(settings::default_environment(wanted, top, names));
        }
        if complete && let Some((_, top)) = main.content() {
            let names = environments
                .iter()
                .map(|environment| environment.name.as_str());
            let at = top.key("notifications");
            faults.extend(notifications::environments(
                &settings.notifications.rules,
                at,
                &names,
            ));
        }
        main.faults.extend(faults);
        diagnostics.extend(main.diagnostics());
    }
    diagnostics.extend(later);
    diagnostics.extend(drift_rules::check(root));
    diagnostics.extend(recipes(root, &settings.recipes));

    let name = main
        .as_ref()
        .and_then(Read::content)
        .and_then(|(file, _)| file.name.clone());
    let workspace = match name {
        Some(name) if !diagnostics.iter().any(Diagnostic::is_error) => Some(Workspace {
            root: root.to_owned(),
            name: name.0,
            settings,
            environments,
            schedules: planned,
        }),
        _ => None,
    };
    Checked {
        workspace,
        diagnostics,
    }
}

/// Reads one environment that is not in a file; `file` is what diagnostics call it, and relative paths are relative to
/// its directory.
pub fn environment_from(file: &Path, text: &str) -> (Option<Environment>, Vec<Diagnostic>) {
    let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let paths = Paths {
        base: file.parent().unwrap_or(Path::new("")).to_owned(),
        home,
    };
    let mut read = read::<EnvironmentFile>(Source::new(file, text), Which::Environment, true);
    let mut faults = Vec::new();
    let environment = read
        .content()
        .and_then(|(file, top)| environment::read(file, top, &read.lost, &paths, &mut faults));
    read.faults.extend(faults);
    let diagnostics = read.diagnostics();
    let refused = diagnostics.iter().any(Diagnostic::is_error);
    (environment.filter(|_| !refused), diagnostics)
}

/// Reads one recipe by its schema; `file` is what diagnostics call it. That its steps fit together is not checked here.
pub fn recipe_from(file: &Path, text: &str) -> (Option<Recipe>, Vec<Diagnostic>) {
    let read = read::<Recipe>(Source::new(file, text), Which::Recipe, false);
    let diagnostics = read.diagnostics();
    (read.content.map(|(recipe, _)| recipe), diagnostics)
}

/// Reads the answers file of `quarterdeck bootstrap`, named `file` in diagnostics.
pub fn answers_from(file: &Path, text: &str) -> (Option<Answers>, Vec<Diagnostic>) {
    let read = read::<Answers>(Source::new(file, text), Which::Answers, false);
    let diagnostics = read.diagnostics();
    (read.content.map(|(answers, _)| answers), diagnostics)
}

/// Checks the shape of the workspace's own recipes.
fn recipes(root: &Path, directory: &Path) -> Vec<Diagnostic> {
    if !directory.is_dir() {
        return Vec::new();
    }
    let shown = directory.strip_prefix(root).unwrap_or(directory);
    let (files, mut diagnostics) = listed(root, shown);
    for file in files {
        match Source::read(root, &file) {
            Ok(source) => {
                diagnostics.extend(read::<Recipe>(source, Which::Recipe, false).diagnostics());
            }
            Err(diagnostic) => diagnostics.push(*diagnostic),
        }
    }
    diagnostics
}

/// The YAML files of a directory of the workspace by name, or why they cannot be listed. A missing directory is empty.
fn listed(root: &Path, directory: &Path) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    let refuse = |message: String| {
        let fault = Fault::error("unreadable", Span::default(), message);
        vec![Source::new(directory, "").diagnostic(fault)]
    };
    let entries = match std::fs::read_dir(root.join(directory)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return (Vec::new(), Vec::new());
        }
        Err(error) => {
            return (
                Vec::new(),
                refuse(format!("the directory cannot be read: {error}")),
            );
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| {
            let hidden = name.to_string_lossy().starts_with('.');
            let yaml = name
                .extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml");
            yaml && !hidden
        })
        .map(|name| directory.join(name))
        .take(MAX_FILES + 1)
        .collect();
    if files.len() > MAX_FILES {
        return (
            Vec::new(),
            refuse(format!(
                "there are more than {MAX_FILES} files in this directory"
            )),
        );
    }
    files.sort();
    (files, Vec::new())
}

/// Environments of the same name in different files.
fn same_names(reads: &[Read<EnvironmentFile>]) -> Vec<Diagnostic> {
    let mut seen: HashMap<&str, Place> = HashMap::new();
    let mut diagnostics = Vec::new();
    for read in reads {
        let Some((file, top)) = read.content() else {
            continue;
        };
        let Some(name) = file
            .environment
            .as_ref()
            .and_then(|about| about.name.as_ref())
        else {
            continue;
        };
        let span = top.key("environment").key("name").span();
        if let Some(first) = seen.get(name.0.as_str()) {
            let fault = Fault::error(
                "duplicate-name",
                span,
                format!("two environments are called {}", quoted(&name.0)),
            )
            .label("again here")
            .help("every environment of a workspace needs a name of its own");
            let mut diagnostic = read.source.diagnostic(fault);
            diagnostic.related.push(first.clone());
            diagnostics.push(diagnostic);
        } else {
            seen.insert(&name.0, read.source.place(span, "first here"));
        }
    }
    diagnostics
}
