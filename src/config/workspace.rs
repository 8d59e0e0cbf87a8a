//! What a checked workspace is to the rest of the program.

use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::Diagnostic;
use crate::domain::environment::Environment;
use crate::domain::notice::{Notifications, Signal};
use crate::domain::recipe::Recipe;
use crate::domain::retention::Retention;
use crate::domain::schedule::Schedule;
use crate::domain::theme::ThemeName;

/// A workspace without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// The directory that holds `quarterdeck.yaml`.
    pub root: PathBuf,
    /// What it is called on screens.
    pub name: String,
    /// How the program behaves in it.
    pub settings: Settings,
    /// Its environments, by file name.
    pub environments: Vec<Environment>,
    /// What runs by itself, in the order of environments and files.
    pub schedules: Vec<Schedule>,
}

/// The recipes that the workspace's files may name.
#[derive(Debug, Clone, Default)]
pub struct Recipes {
    /// Those that can be run.
    pub known: Vec<Recipe>,
    /// The names of those whose files are wrong.
    pub broken: Vec<String>,
}

impl Workspace {
    /// The environment of that name.
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.environments
            .iter()
            .find(|environment| environment.name == name)
    }

    /// The environment to show first: the one that the settings name, else the first.
    pub fn first_environment(&self) -> Option<&Environment> {
        self.settings
            .default_environment
            .as_deref()
            .and_then(|name| self.environment(name))
            .or_else(|| self.environments.first())
    }
}

/// How the program behaves in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The environment to show first; it exists.
    pub default_environment: Option<String>,
    /// Pause between two looks at a node, 1 s to 1 h.
    pub poll_nodes: Duration,
    /// Pause between two looks at a service, 1 s to 1 h.
    pub poll_services: Duration,
    /// How many hosts a step works on at a time, 1..=256.
    pub concurrency: usize,
    /// After how long without clients, runs and schedules the engine ends by itself; `None` for never.
    pub idle_exit: Option<Duration>,
    /// How the screens look; `None` is what suits the terminal.
    pub theme: Option<ThemeName>,
    /// How much history is kept.
    pub retention: Retention,
    /// The directory of the workspace's own recipes; need not exist.
    pub recipes: PathBuf,
    /// Who is told what happens while nobody looks.
    pub notifications: Notifications,
    /// How the screens call for attention; `None` is the bell, only while the terminal is known to be in the background.
    pub signal: Option<Signal>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_environment: None,
            poll_nodes: Duration::from_secs(5),
            poll_services: Duration::from_secs(5),
            concurrency: 16,
            idle_exit: Some(Duration::from_secs(15 * 60)),
            theme: None,
            retention: Retention::default(),
            recipes: PathBuf::from("recipes"),
            notifications: Notifications::default(),
            signal: None,
        }
    }
}

/// What a look at a workspace found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The workspace, when there is no error.
    pub workspace: Option<Workspace>,
    /// Every mistake of every file, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// How many errors and how many warnings there are.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self
            .diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.is_error())
            .count();
        (errors, self.diagnostics.len() - errors)
    }
}
