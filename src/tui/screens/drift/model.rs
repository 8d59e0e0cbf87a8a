//! State of the drift board.

use super::super::list::List;
use super::super::{Intent, Screen, Target};
use crate::domain::drift::board::DriftRow;
use crate::domain::plan::PlanRequest;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Effect;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The drift board.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    pub list: List,
    /// Whether rows are shown that a rule ignores.
    pub ignored: bool,
}

/// What tells a row from others.
pub(super) fn id(row: &DriftRow) -> String {
    row.known.drifted.key.to_string()
}

impl Drift {
    /// Asks what there is.
    pub(crate) fn open(world: &World) -> Vec<Effect> {
        vec![Effect::Drift {
            environment: world.environment.clone(),
        }]
    }

    /// The rows that are shown.
    pub(super) fn shown<'a>(&self, world: &'a World) -> Vec<&'a DriftRow> {
        let rows = world.drift().map(|board| board.rows.as_slice());
        rows.unwrap_or_default()
            .iter()
            .filter(|row| self.ignored || row.ignored.is_none())
            .filter(|row| {
                let drifted = &row.known.drifted;
                self.list.filter.is_empty()
                    || self.list.filter.admits(&format!(
                        "{} {} {}",
                        drifted.key, drifted.desired, drifted.actual
                    ))
            })
            .collect()
    }

    pub(super) fn current<'a>(&self, world: &'a World) -> Option<&'a DriftRow> {
        let mut shown = self.shown(world);
        let ids: Vec<String> = shown.iter().map(|row| id(row)).collect();
        let at = self.list.cursor.position(&ids);
        (at < shown.len()).then(|| shown.swap_remove(at))
    }
}

impl Screen for Drift {
    fn context(&self) -> Context {
        Context::Drift
    }

    fn title(&self, _world: &World) -> String {
        "Drift".into()
    }

    fn offers(&self, world: &World, command: Command) -> bool {
        match command {
            Command::Open | Command::Repair | Command::IgnoreDrift => self.current(world).is_some(),
            Command::ShowIgnored => {
                let mut rows = world.drift().into_iter().flat_map(|board| &board.rows);
                rows.any(|row| row.ignored.is_some())
            }
            _ => true,
        }
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids: Vec<String> = self.shown(world).iter().map(|row| id(row)).collect();
        if self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        match command {
            Command::CheckDrift => {
                return vec![Intent::PlanThis(PlanRequest {
                    environment: world.environment.clone(),
                    recipe: "drift".into(),
                    ..PlanRequest::default()
                })];
            }
            Command::ShowIgnored => {
                self.ignored = !self.ignored;
                return Vec::new();
            }
            _ => {}
        }
        let Some(row) = self.current(world) else {
            return Vec::new();
        };
        let drifted = &row.known.drifted;
        match command {
            Command::Open => vec![Intent::Sheet {
                title: drifted.key.to_string(),
                lines: super::view::account(world, row),
            }],
            Command::IgnoreDrift => vec![Intent::IgnoreDrift(drifted.key.to_string())],
            Command::Repair => match &drifted.reconcile {
                Some(remedy) => vec![Intent::PlanThis(remedy.request(&world.environment))],
                None => vec![Intent::Sheet {
                    title: drifted.key.to_string(),
                    lines: vec!["Nothing here brings it back: it has to be done by hand.".into()],
                }],
            },
            _ => Vec::new(),
        }
    }

    fn target(&self, world: &World) -> Target {
        self.current(world).map_or(Target::Nothing, |row| {
            Target::Drift(id(row), row.known.drifted.reconcile.is_some())
        })
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
