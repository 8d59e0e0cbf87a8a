//! State of the list of nodes.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use super::rows;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Place;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The list of nodes.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    pub list: List,
    /// Whether every column is wanted, even if that narrows the last one.
    pub wide: bool,
}

impl Nodes {
    fn ids(&self, world: &World) -> Vec<String> {
        rows::shown(world, &self.list)
            .into_iter()
            .map(|node| node.name.clone())
            .collect()
    }
}

impl Screen for Nodes {
    fn context(&self) -> Context {
        Context::Nodes
    }

    fn title(&self, _world: &World) -> String {
        "Nodes".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids = self.ids(world);
        if self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        match command {
            Command::Open | Command::Describe => self
                .list
                .cursor
                .current(&ids)
                .map(|name| Intent::Go(Place::Node(name.to_owned())))
                .into_iter()
                .collect(),
            Command::Wide => {
                self.wide = !self.wide;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn target(&self, world: &World) -> Target {
        let chosen = self.list.cursor.chosen(&self.ids(world));
        if chosen.is_empty() {
            Target::Nothing
        } else {
            Target::Nodes(chosen)
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
