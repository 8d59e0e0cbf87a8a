//! State of the recipes screen.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::recipe::Recipe;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The recipes of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Recipes {
    pub list: List,
}

impl Recipes {
    pub(crate) fn shown<'a>(&self, world: &'a World) -> Vec<&'a Recipe> {
        world
            .workspace()
            .map(|workspace| workspace.recipes.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|recipe| {
                self.list.filter.admits(&format!(
                    "{} {} {} {}",
                    recipe.name, recipe.title, recipe.description, recipe.risk
                ))
            })
            .collect()
    }

    fn ids(&self, world: &World) -> Vec<String> {
        self.shown(world)
            .iter()
            .map(|recipe| recipe.name.clone())
            .collect()
    }
}

impl Screen for Recipes {
    fn context(&self) -> Context {
        Context::Recipes
    }

    fn title(&self, _world: &World) -> String {
        "Recipes".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids = self.ids(world);
        if self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        match (command, self.list.cursor.current(&ids)) {
            (Command::Open, Some(name)) => vec![Intent::Plan {
                recipe: name.to_owned(),
                nodes: Vec::new(),
                service: None,
            }],
            _ => Vec::new(),
        }
    }

    fn target(&self, world: &World) -> Target {
        match self.list.cursor.current(&self.ids(world)) {
            Some(name) => Target::Recipe(name.to_owned()),
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
