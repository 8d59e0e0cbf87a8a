//! State of the list of runs.

use super::super::list::List;
use super::super::{Intent, Screen, Target, offers_for, take_up};
use super::rows;
use crate::domain::run::RunId;
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::message::Place;
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// The list of runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub list: List,
}

impl Runs {
    fn current(&self, world: &World) -> Option<RunId> {
        let shown = rows::shown(world, &self.list);
        let ids: Vec<String> = shown.iter().map(|run| run.id.to_string()).collect();
        shown.get(self.list.cursor.position(&ids)).map(|run| run.id)
    }
}

impl Screen for Runs {
    fn context(&self) -> Context {
        Context::Runs
    }

    fn title(&self, _world: &World) -> String {
        "Runs".into()
    }

    fn offers(&self, world: &World, command: Command) -> bool {
        let run = self.current(world).and_then(|id| world.run(id));
        run.is_none_or(|run| offers_for(run, command))
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let ids: Vec<String> = rows::shown(world, &self.list)
            .iter()
            .map(|run| run.id.to_string())
            .collect();
        if self.list.update(&ids, command, rows) {
            return Vec::new();
        }
        let Some(run) = self.current(world) else {
            return Vec::new();
        };
        match command {
            Command::Open | Command::Logs | Command::Describe => vec![Intent::Go(Place::Run(run))],
            Command::CancelRun => vec![Intent::Cancel(run)],
            Command::Rerun => vec![Intent::Again(run)],
            Command::Decide => vec![Intent::Decide(run)],
            _ => take_up(command, run).into_iter().collect(),
        }
    }

    fn target(&self, world: &World) -> Target {
        self.current(world).map_or(Target::Nothing, Target::Run)
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        Some(&mut self.list.filter)
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
