//! State of the list of snapshots.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use super::rows::{self, Row};
use crate::domain::plan::PlanRequest;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Effect;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The list of snapshots.
#[derive(Debug, Default)]
pub(crate) struct Snapshots {
    pub list: List,
}

impl Snapshots {
    /// Asks what there is.
    pub(crate) fn open(world: &World) -> Vec<Effect> {
        vec![Effect::Snapshots {
            environment: world.environment.clone(),
        }]
    }

    fn current<'a>(&self, world: &'a World) -> Option<Row<'a>> {
        let mut shown = rows::shown(world, &self.list);
        let ids: Vec<String> = shown.iter().map(Row::id).collect();
        let at = self.list.cursor.position(&ids);
        (at < shown.len()).then(|| shown.swap_remove(at))
    }
}

/// The run of `recipe` on a store, or on one of its snapshots.
fn request(world: &World, recipe: &str, row: &Row<'_>) -> PlanRequest {
    let mut params = BTreeMap::from([("service".to_owned(), Value::from(row.store()))]);
    if let (Row::Taken(snapshot), true) = (row, recipe != "snapshot") {
        params.insert("snapshot".to_owned(), Value::from(snapshot.id()));
    }
    PlanRequest {
        environment: world.environment.clone(),
        recipe: recipe.to_owned(),
        params,
        ..PlanRequest::default()
    }
}

impl Screen for Snapshots {
    fn context(&self) -> Context {
        Context::Snapshots
    }

    fn title(&self, _world: &World) -> String {
        "Snapshots".into()
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids: Vec<String> = rows::shown(world, &self.list).iter().map(Row::id).collect();
        if self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        let Some(row) = self.current(world) else {
            return Vec::new();
        };
        let taken = matches!(row, Row::Taken(_));
        let recipe = match command {
            Command::TakeSnapshot => "snapshot",
            Command::VerifySnapshot if taken => "verify-snapshots",
            Command::RestoreSnapshot if taken => "restore",
            Command::DrillSnapshot if taken => "drill",
            Command::Open => {
                return match &row {
                    Row::Taken(snapshot) => vec![Intent::Sheet {
                        title: format!("Snapshot {}", snapshot.id()),
                        lines: rows::account(world, snapshot),
                    }],
                    Row::None(_) => Vec::new(),
                };
            }
            _ => return Vec::new(),
        };
        vec![Intent::PlanThis(request(world, recipe, &row))]
    }

    fn target(&self, world: &World) -> Target {
        self.current(world).map_or(Target::Nothing, |row| {
            Target::Snapshot(row.id(), matches!(row, Row::Taken(_)))
        })
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
