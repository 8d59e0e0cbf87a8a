//! State of the node screen.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::run::{RunId, TaskState};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::{Effect, Place};
use crate::tui::paint::Paint;
use crate::tui::world::{Known, World};

/// One node.
#[derive(Debug, Default)]
pub(crate) struct NodeScreen {
    pub name: String,
    /// Runs that touched it, newest first, with the worst of their tasks there.
    pub runs: Known<Vec<(RunId, TaskState)>>,
    pub list: List,
}

impl NodeScreen {
    /// Shows the node called `name`.
    pub(crate) fn open(&mut self, name: &str, world: &World) -> Vec<Effect> {
        if self.name != name {
            name.clone_into(&mut self.name);
            self.runs = Known::Asked;
            self.list = List::default();
        }
        vec![Effect::NodeRuns {
            environment: world.environment.clone(),
            node: name.to_owned(),
        }]
    }

    /// The touching runs that are still known.
    pub(crate) fn touching<'a>(
        &self,
        world: &'a World,
    ) -> Vec<(&'a crate::domain::run::Run, TaskState)> {
        match &self.runs {
            Known::Ready(runs) => runs
                .iter()
                .filter_map(|(id, state)| world.run(*id).map(|run| (run, *state)))
                .collect(),
            Known::Asked | Known::Failed(_) => Vec::new(),
        }
    }

    fn current(&self, world: &World) -> Option<RunId> {
        let touching = self.touching(world);
        let ids: Vec<String> = touching.iter().map(|(run, _)| run.id.to_string()).collect();
        touching
            .get(self.list.cursor.position(&ids))
            .map(|(run, _)| run.id)
    }
}

impl Screen for NodeScreen {
    fn context(&self) -> Context {
        Context::Node
    }

    fn title(&self, _world: &World) -> String {
        self.name.clone()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids: Vec<String> = self
            .touching(world)
            .iter()
            .map(|(run, _)| run.id.to_string())
            .collect();
        if command != Command::Mark && self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        match command {
            Command::Open | Command::Logs => self
                .current(world)
                .map(|run| Intent::Go(Place::Run(run)))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    fn target(&self, _world: &World) -> Target {
        if self.name.is_empty() {
            Target::Nothing
        } else {
            Target::Nodes(vec![self.name.clone()])
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        None
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
