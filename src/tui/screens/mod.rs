//! The screens. Each is a folder: `model` (state and what keys do to it), `view` (drawing), `tests`.
//!
//! A screen changes only itself; everything beyond is an [`Intent`] that `update` carries out.

pub(crate) mod bridge;
pub(crate) mod drift;
pub(crate) mod environments;
pub(crate) mod findings;
pub(crate) mod journal;
pub(crate) mod list;
pub(crate) mod node;
pub(crate) mod nodes;
pub(crate) mod recipes;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod service;
pub(crate) mod services;
pub(crate) mod snapshots;
pub(crate) mod terminals;
pub(crate) mod unseal;
pub(crate) mod wizard;

use ratatui::layout::Rect;

use super::filter::Filter;
use super::ground::{Beginning, Outcome};
use super::keymap::{Command, Context};
use super::layers::prompt::About;
use super::message::{Effect, Place};
use super::paint::Paint;
use super::world::World;
use crate::domain::plan::{Origin, PlanRequest};
use crate::domain::run::{Run, RunId, RunState};
use crate::domain::seal::Word;
use crate::domain::table::Tone;

/// What a screen wants to happen outside of itself.
#[derive(Debug)]
pub(crate) enum Intent {
    /// Have this done.
    Do(Effect),
    /// Go there.
    Go(Place),
    /// Make this the current environment.
    Switch(String),
    /// Offer this recipe's plan, with these parameters filled in.
    Plan {
        recipe: String,
        nodes: Vec<String>,
        service: Option<String>,
    },
    /// Open the dialog for a share that this run's ceremony wants.
    GiveShare(RunId),
    /// Say something to this run's ceremony.
    Speak(RunId, Word),
    /// Ask for this plan, as it is.
    PlanThis(PlanRequest),
    /// Open the menu of what can be done with what is selected.
    Actions,
    /// Ask whether to cancel this run.
    Cancel(RunId),
    /// Plan the same as this run again.
    Again(RunId),
    /// Show what this run asks, to approve or refuse.
    Decide(RunId),
    /// Take the lock from the run that is changing the current environment; asks for the name first.
    BreakLock,
    /// Plan to take this run up, or back.
    TakeUp(Origin),
    /// Ask for something about these nodes.
    Ask(About, Vec<String>),
    /// Ask how long and why drift of this key is to be ignored.
    IgnoreDrift(String),
    /// Open the search prompt.
    Search,
    /// Open the prompt for lines with a text.
    Narrow,
    /// Have a line typed for the first start: its label, what belongs there, what stands there.
    Fill {
        label: String,
        hint: String,
        text: String,
    },
    /// Say a sentence.
    Say(String, Tone),
    /// End these screens, to go on elsewhere.
    Leave(Outcome),
    /// Show a text in a sheet.
    Sheet { title: String, lines: Vec<String> },
}

/// What is under the cursor, or marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Nothing,
    Environment(String),
    /// At least one.
    Nodes(Vec<String>),
    Service(String),
    Run(RunId),
    /// Index into the current environment's findings.
    Finding(usize),
    Recipe(String),
    /// A snapshot by its name, or with `false` the store that has none.
    Snapshot(String, bool),
    /// A row of the drift board by its key, and whether something brings it back.
    Drift(String, bool),
    /// Service, view, row.
    Row(String, String, String),
}

/// What a command wants of an earlier run.
pub(crate) fn take_up(command: Command, run: RunId) -> Option<Intent> {
    let resume = |failed_hosts| Origin::Resume {
        run,
        failed_hosts,
        current_recipe: false,
    };
    let origin = match command {
        Command::Resume => resume(false),
        Command::ResumeFailed => resume(true),
        Command::Undo => Origin::Undo { run, force: false },
        _ => return None,
    };
    Some(Intent::TakeUp(origin))
}

/// Whether `command` does anything with `run`, as far as can be told here: the engine knows best, and says why not.
pub(crate) fn offers_for(run: &Run, command: Command) -> bool {
    let over = run.state.is_final();
    match command {
        Command::CancelRun | Command::Follow => !over,
        Command::Resume => run.can_be_taken_up() && run.state != RunState::Succeeded,
        Command::Undo => run.can_be_taken_up(),
        _ => true,
    }
}

/// A screen.
pub(crate) trait Screen {
    /// Which keys it knows.
    fn context(&self) -> Context;

    /// The last part of the path in the header.
    fn title(&self, world: &World) -> String;

    /// Whether `command` does anything as the screen stands: a key that does nothing is no hint.
    fn offers(&self, _world: &World, _command: Command) -> bool {
        true
    }

    /// Carries out a command; `rows` is about the number of rows a list shows.
    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent>;

    /// What actions, describe, raw and copy are about.
    fn target(&self, world: &World) -> Target;

    /// The filter of the list that has the focus.
    fn filter(&mut self) -> Option<&mut Filter>;

    /// Draws it.
    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: Rect);
}

/// All screens; they keep their state while one is elsewhere.
#[derive(Debug)]
pub(crate) struct Screens {
    pub bridge: bridge::Bridge,
    pub nodes: nodes::Nodes,
    pub node: node::NodeScreen,
    pub services: services::Services,
    pub service: service::ServiceScreen,
    pub runs: runs::Runs,
    pub run: run::RunScreen,
    pub findings: findings::Findings,
    pub recipes: recipes::Recipes,
    pub environments: environments::Environments,
    pub terminals: terminals::Terminals,
    pub journal: journal::Journal,
    pub unseal: unseal::Unseal,
    pub snapshots: snapshots::Snapshots,
    pub drift: drift::Drift,
    pub wizard: wizard::Wizard,
}

impl Screens {
    pub(crate) fn new(beginning: Option<Beginning>) -> Self {
        Self {
            bridge: bridge::Bridge::new(),
            nodes: nodes::Nodes::default(),
            node: node::NodeScreen::default(),
            services: services::Services::default(),
            service: service::ServiceScreen::default(),
            runs: runs::Runs::default(),
            run: run::RunScreen::new(),
            findings: findings::Findings::default(),
            recipes: recipes::Recipes::default(),
            environments: environments::Environments::default(),
            terminals: terminals::Terminals::default(),
            journal: journal::Journal::default(),
            unseal: unseal::Unseal::default(),
            snapshots: snapshots::Snapshots::default(),
            drift: drift::Drift::default(),
            wizard: wizard::Wizard::new(beginning),
        }
    }

    pub(crate) fn at(&self, place: &Place) -> &dyn Screen {
        match place {
            Place::Bridge => &self.bridge,
            Place::Nodes => &self.nodes,
            Place::Node(_) => &self.node,
            Place::Services => &self.services,
            Place::Service(_) => &self.service,
            Place::Runs => &self.runs,
            Place::Run(_) => &self.run,
            Place::Findings => &self.findings,
            Place::Recipes => &self.recipes,
            Place::Environments => &self.environments,
            Place::Terminals => &self.terminals,
            Place::Journal => &self.journal,
            Place::Unseal => &self.unseal,
            Place::Snapshots => &self.snapshots,
            Place::Drift => &self.drift,
            Place::Wizard => &self.wizard,
        }
    }

    pub(crate) fn at_mut(&mut self, place: &Place) -> &mut dyn Screen {
        match place {
            Place::Bridge => &mut self.bridge,
            Place::Nodes => &mut self.nodes,
            Place::Node(_) => &mut self.node,
            Place::Services => &mut self.services,
            Place::Service(_) => &mut self.service,
            Place::Runs => &mut self.runs,
            Place::Run(_) => &mut self.run,
            Place::Findings => &mut self.findings,
            Place::Recipes => &mut self.recipes,
            Place::Environments => &mut self.environments,
            Place::Terminals => &mut self.terminals,
            Place::Journal => &mut self.journal,
            Place::Unseal => &mut self.unseal,
            Place::Snapshots => &mut self.snapshots,
            Place::Drift => &mut self.drift,
            Place::Wizard => &mut self.wizard,
        }
    }
}
