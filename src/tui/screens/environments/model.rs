//! State of the environments screen.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Place;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The environments screen. The current environment is the one under the cursor.
#[derive(Debug, Default)]
pub(crate) struct Environments {
    pub list: List,
}

impl Environments {
    pub(crate) fn ids(&self, world: &World) -> Vec<String> {
        world
            .environments()
            .iter()
            .filter(|environment| self.list.filter.admits(&environment.name))
            .map(|environment| environment.name.clone())
            .collect()
    }
}

impl Screen for Environments {
    fn context(&self) -> Context {
        Context::Environments
    }

    fn title(&self, _world: &World) -> String {
        "Environments".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids = self.ids(world);
        if !self.list.cursor.marked.is_empty() {
            self.list.cursor.marked.clear();
        }
        self.list.cursor.select(&world.environment);
        if self.list.update(&ids, command, rows) {
            return match self.list.cursor.current(&ids) {
                Some(name) if name != world.environment => vec![Intent::Switch(name.to_owned())],
                _ => Vec::new(),
            };
        }
        match command {
            Command::Open => vec![Intent::Go(Place::Nodes)],
            _ => Vec::new(),
        }
    }

    fn target(&self, world: &World) -> Target {
        match world.here() {
            Some(here) => Target::Environment(here.name.clone()),
            None => Target::Nothing,
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
