//! State of the Bridge: which pane has the focus, a list per pane, the log dock.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use super::super::{nodes, runs, services};
use crate::domain::run::RunId;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::logs::LogModel;
use crate::tui::message::{Effect, LogOwner, Place};
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The panes, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Environments,
    Nodes,
    Services,
    Activity,
}

impl Focus {
    pub(crate) const ALL: [Self; 4] = [
        Self::Environments,
        Self::Nodes,
        Self::Services,
        Self::Activity,
    ];

    fn next(self, by: isize) -> Self {
        let at = Self::ALL
            .iter()
            .position(|focus| *focus == self)
            .unwrap_or(0);
        let count = Self::ALL.len();
        Self::ALL[(at + count).wrapping_add_signed(by) % count]
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Bridge {
    pub focus: Focus,
    pub environments: List,
    pub nodes: List,
    pub services: List,
    pub runs: List,
    pub dock: LogModel,
    /// Whether the dock has the whole screen.
    pub zoomed: bool,
}

impl Bridge {
    pub(crate) fn new() -> Self {
        Self {
            focus: Focus::Nodes,
            environments: List::default(),
            nodes: List::default(),
            services: List::default(),
            runs: List::default(),
            dock: LogModel::new(LogOwner::Dock),
            zoomed: false,
        }
    }

    /// The run whose log the dock shows: the selected one while Activity has the focus, else the one most worth watching.
    pub(crate) fn watched(&self, world: &World) -> Option<RunId> {
        if self.focus == Focus::Activity {
            self.run(world)
        } else {
            world.latest_run().map(|run| run.id)
        }
    }

    /// Points the dock at the run to watch.
    pub(crate) fn follow(&mut self, world: &World) -> Vec<Effect> {
        match self.watched(world).and_then(|id| world.run(id)) {
            Some(run) => self.dock.open(run.id, run.lines),
            None => Vec::new(),
        }
    }

    pub(crate) fn list(&self) -> &List {
        match self.focus {
            Focus::Environments => &self.environments,
            Focus::Nodes => &self.nodes,
            Focus::Services => &self.services,
            Focus::Activity => &self.runs,
        }
    }

    fn list_mut(&mut self) -> &mut List {
        match self.focus {
            Focus::Environments => &mut self.environments,
            Focus::Nodes => &mut self.nodes,
            Focus::Services => &mut self.services,
            Focus::Activity => &mut self.runs,
        }
    }

    fn ids(&self, world: &World) -> Vec<String> {
        match self.focus {
            Focus::Environments => world
                .environments()
                .iter()
                .filter(|environment| self.environments.filter.admits(&environment.name))
                .map(|environment| environment.name.clone())
                .collect(),
            Focus::Nodes => nodes::rows::shown(world, &self.nodes)
                .into_iter()
                .map(|node| node.name.clone())
                .collect(),
            Focus::Services => services::rows::shown(world, &self.services)
                .into_iter()
                .map(|service| service.name.clone())
                .collect(),
            Focus::Activity => runs::rows::shown(world, &self.runs)
                .into_iter()
                .map(|run| run.id.to_string())
                .collect(),
        }
    }

    fn run(&self, world: &World) -> Option<RunId> {
        let shown = runs::rows::shown(world, &self.runs);
        let ids: Vec<String> = shown.iter().map(|run| run.id.to_string()).collect();
        shown.get(self.runs.cursor.position(&ids)).map(|run| run.id)
    }

    fn open(&self, world: &World) -> Option<Intent> {
        let ids = self.ids(world);
        let current = self.list().cursor.current(&ids)?.to_owned();
        Some(Intent::Go(match self.focus {
            Focus::Environments => Place::Environments,
            Focus::Nodes => Place::Node(current),
            Focus::Services => Place::Service(current),
            Focus::Activity => Place::Run(self.run(world)?),
        }))
    }
}

impl Screen for Bridge {
    fn context(&self) -> Context {
        Context::Bridge
    }

    fn title(&self, _world: &World) -> String {
        "Bridge".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        if self.zoomed {
            let step = super::super::list::step(command, rows);
            let effects = match (step, command) {
                (Some(crate::tui::cursor::Step::By(by)), _) => self.dock.scroll(by, rows),
                (Some(crate::tui::cursor::Step::First), _) => self.dock.top(rows),
                (Some(crate::tui::cursor::Step::Last), _) => self.dock.tail(),
                _ => Vec::new(),
            };
            if step.is_some() {
                return effects.into_iter().map(Intent::Do).collect();
            }
        }
        let ids = self.ids(world);
        if self.list_mut().update(&ids, command, rows / 3) {
            return match (self.focus, self.environments.cursor.current(&ids)) {
                // The other panes show the environment under the cursor.
                (Focus::Environments, Some(name)) if name != world.environment => {
                    vec![Intent::Switch(name.to_owned())]
                }
                _ => Vec::new(),
            };
        }
        match command {
            Command::Open | Command::Describe => return self.open(world).into_iter().collect(),
            Command::Logs => {
                return self
                    .watched(world)
                    .map(|run| Intent::Go(Place::Run(run)))
                    .into_iter()
                    .collect();
            }
            Command::NextPane => self.focus = self.focus.next(1),
            Command::PreviousPane => self.focus = self.focus.next(-1),
            Command::Pane(4) => return vec![Intent::Go(Place::Findings)],
            Command::Pane(pane) => {
                if let Some(focus) = Focus::ALL.get(usize::from(pane)) {
                    self.focus = *focus;
                }
            }
            Command::Zoom => self.zoomed = !self.zoomed,
            Command::Back => self.zoomed = false,
            _ => {}
        }
        Vec::new()
    }

    fn target(&self, world: &World) -> Target {
        let ids = self.ids(world);
        let current = || self.list().cursor.current(&ids).map(ToOwned::to_owned);
        match self.focus {
            Focus::Environments => current().map_or(Target::Nothing, Target::Environment),
            Focus::Nodes => match self.nodes.cursor.chosen(&ids) {
                chosen if chosen.is_empty() => Target::Nothing,
                chosen => Target::Nodes(chosen),
            },
            Focus::Services => current().map_or(Target::Nothing, Target::Service),
            Focus::Activity => self.run(world).map_or(Target::Nothing, Target::Run),
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list_mut().filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
