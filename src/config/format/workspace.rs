//! `quarterdeck.yaml`: the settings of a workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use super::notifications::NotificationsEntry;
use super::words::{Days, Name, Path, Room, Span};
use crate::domain::theme::ThemeName;

/// The settings of a Quarterdeck workspace.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "WorkspaceFile", extend("required" = ["name"]))]
pub(crate) struct WorkspaceFile {
    /// What the workspace is called on screens.
    pub(crate) name: Option<Name>,
    /// The environment that is shown first.
    pub(crate) default_environment: Option<Name>,
    /// How often endpoints are asked how they are.
    pub(crate) poll: Option<Poll>,
    /// How many hosts a step works on at a time; default: 16.
    #[schemars(range(min = 1, max = 256))]
    pub(crate) concurrency: Option<u16>,
    /// The background process that owns runs and polling.
    pub(crate) engine: Option<Engine>,
    /// How much history is kept; what exceeds one of the limits is removed, oldest runs first. Runs that go on, what they
    /// build upon, and the audit stay.
    pub(crate) retention: Option<Retention>,
    /// The colours of the screens; default: default.
    pub(crate) theme: Option<ThemeName>,
    /// The directory of the workspace's own recipes, relative to this file; default: recipes.
    pub(crate) recipes: Option<Path>,
    /// Who is told what happens while nobody looks.
    pub(crate) notifications: Option<NotificationsEntry>,
}

/// The background process that owns runs and polling.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Engine {
    /// After how long without clients, runs and schedules it ends by itself; 0s for never, default: 15m.
    pub(crate) idle_exit: Option<Span>,
}

/// How much history is kept.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    /// How long after their end runs are kept: "30d", or "forever"; default: 180d.
    pub(crate) age: Option<Days>,
    /// How many runs of each environment are kept, or "all"; default: 500.
    pub(crate) runs: Option<RunCount>,
    /// How much room the runs may take together: "500MiB", "8GiB", or "any"; default: 4GiB.
    pub(crate) size: Option<Room>,
}

/// A number of runs.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum RunCount {
    /// So many.
    Some(#[schemars(range(min = 1, max = 1_000_000))] u32),
    /// All of them.
    All(All),
}

/// The word for no limit on the number of runs.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum All {
    /// No limit.
    All,
}

/// How often endpoints are asked how they are.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Poll {
    /// Nodes, over SSH; 1s to 1h, default: 5s.
    pub(crate) nodes: Option<Span>,
    /// Services, over their APIs; 1s to 1h, default: 5s.
    pub(crate) services: Option<Span>,
}
