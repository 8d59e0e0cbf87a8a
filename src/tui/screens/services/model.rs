//! State of the list of services.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use super::rows;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Place;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The list of services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    pub list: List,
}

impl Services {
    fn ids(&self, world: &World) -> Vec<String> {
        rows::shown(world, &self.list)
            .into_iter()
            .map(|service| service.name.clone())
            .collect()
    }
}

impl Screen for Services {
    fn context(&self) -> Context {
        Context::Services
    }

    fn title(&self, _world: &World) -> String {
        "Services".into()
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
                .map(|name| Intent::Go(Place::Service(name.to_owned())))
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }

    fn target(&self, world: &World) -> Target {
        match self.list.cursor.current(&self.ids(world)) {
            Some(name) => Target::Service(name.to_owned()),
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
