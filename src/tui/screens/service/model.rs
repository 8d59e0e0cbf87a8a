//! State of the service screen: which table is shown, a list per table.

use std::collections::BTreeMap;

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::service::ServiceKind;
use crate::domain::table::{Row, Table};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::{Effect, Place};
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// One service.
#[derive(Debug, Default)]
pub(crate) struct ServiceScreen {
    pub name: String,
    /// Which of its views.
    pub tab: usize,
    /// By number of the view.
    lists: BTreeMap<usize, List>,
}

impl ServiceScreen {
    /// Shows the service called `name`.
    pub(crate) fn open(&mut self, name: &str, world: &mut World) -> Vec<Effect> {
        if self.name != name {
            name.clone_into(&mut self.name);
            self.tab = 0;
            self.lists.clear();
        }
        self.fetch(world)
    }

    /// The id of the view that is shown.
    pub(crate) fn view<'a>(&self, world: &'a World) -> Option<&'a str> {
        world
            .views(&self.name)
            .get(self.tab)
            .map(|view| view.id.as_str())
    }

    /// Asks for the shown table, unless a question is under way.
    pub(crate) fn fetch(&self, world: &mut World) -> Vec<Effect> {
        let Some(view) = self.view(world) else {
            return Vec::new();
        };
        let key = (
            world.environment.clone(),
            self.name.clone(),
            view.to_owned(),
        );
        let fetched = world.tables.entry(key.clone()).or_default();
        if fetched.asked {
            return Vec::new();
        }
        fetched.asked = true;
        vec![Effect::Table { key }]
    }

    pub(crate) fn list(&self) -> Option<&List> {
        self.lists.get(&self.tab)
    }

    pub(crate) fn table<'a>(&self, world: &'a World) -> Option<&'a Table> {
        world.table(&self.name, self.view(world)?)?.table.as_ref()
    }

    /// The rows that pass the filter.
    pub(crate) fn rows<'a>(&self, world: &'a World) -> Vec<&'a Row> {
        let list = self.list();
        self.table(world)
            .map(|table| table.rows.as_slice())
            .unwrap_or_default()
            .iter()
            .filter(|row| {
                list.is_none_or(|list| {
                    list.filter.is_empty() || {
                        let text: Vec<&str> =
                            row.cells.iter().map(|cell| cell.text.as_str()).collect();
                        list.filter.admits(&text.join(" "))
                    }
                })
            })
            .collect()
    }

    fn ids(&self, world: &World) -> Vec<String> {
        self.rows(world).iter().map(|row| row.id.clone()).collect()
    }

    fn current<'a>(&self, world: &'a World) -> Option<&'a Row> {
        let rows = self.rows(world);
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let at = self.list().map_or(0, |list| list.cursor.position(&ids));
        rows.get(at).copied()
    }
}

impl Screen for ServiceScreen {
    fn context(&self) -> Context {
        Context::Service
    }

    fn title(&self, _world: &World) -> String {
        self.name.clone()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let views = world.views(&self.name).len();
        match command {
            Command::NextPane if views > 0 => {
                self.tab = (self.tab + 1) % views;
                return Vec::new();
            }
            Command::PreviousPane if views > 0 => {
                self.tab = (self.tab + views - 1) % views;
                return Vec::new();
            }
            Command::Unseal => {
                let kind = world.service_spec(&self.name).map(|spec| spec.kind);
                return if kind == Some(ServiceKind::Vault) {
                    vec![Intent::Go(Place::Unseal)]
                } else {
                    Vec::new()
                };
            }
            Command::Open => {
                let (Some(table), Some(row)) = (self.table(world), self.current(world)) else {
                    return Vec::new();
                };
                let lines = table
                    .columns
                    .iter()
                    .zip(&row.cells)
                    .map(|(column, cell)| format!("{column}: {}", cell.text))
                    .collect();
                return vec![Intent::Sheet {
                    title: format!("{}: {}", table.title, row.id),
                    lines,
                }];
            }
            _ => {}
        }
        let ids = self.ids(world);
        let list = self.lists.entry(self.tab).or_default();
        list.update(&ids, command, rows);
        Vec::new()
    }

    fn target(&self, world: &World) -> Target {
        if self.name.is_empty() {
            return Target::Nothing;
        }
        match (self.view(world), self.current(world)) {
            (Some(view), Some(row)) => {
                Target::Row(self.name.clone(), view.to_owned(), row.id.clone())
            }
            _ => Target::Service(self.name.clone()),
        }
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.lists.entry(self.tab).or_default().filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
