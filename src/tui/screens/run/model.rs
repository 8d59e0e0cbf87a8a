//! State of the run screen: tasks, plan, the cursor in the matrix of steps and hosts, the log.

use super::super::list::step;
use super::super::{Intent, Screen, Target, offers_for, take_up};
use super::steps::{self, StepRow};
use crate::domain::matrix::TaskMatrix;
use crate::domain::plan::Plan;
use crate::domain::run::{RunId, Task, TaskState};
use crate::tui::cursor::{Cursor, Step};
use crate::tui::filter::Filter;
use crate::tui::keymap::{Command, Context};
use crate::tui::logs::LogModel;
use crate::tui::message::{Effect, LogOwner, RunRecord};
use crate::tui::paint::Paint;
use crate::tui::world::World;

/// What has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Steps,
    Log,
}

/// One run.
#[derive(Debug)]
pub(crate) struct RunScreen {
    pub id: Option<RunId>,
    pub tasks: Vec<Task>,
    pub plan: Option<Plan>,
    /// Whether the store has answered.
    pub read: bool,
    /// Why the store did not.
    pub trouble: Option<String>,
    pub focus: Focus,
    pub cursor: Cursor,
    /// Index of the host under the cursor; `None` is all of them.
    pub host: Option<usize>,
    pub log: LogModel,
    /// Whether the log has the whole screen.
    pub zoomed: bool,
    /// What programs of its tasks work on, each as it was last shown.
    pub matrices: Vec<TaskMatrix>,
}

impl RunScreen {
    pub(crate) fn new() -> Self {
        Self {
            id: None,
            tasks: Vec::new(),
            plan: None,
            read: false,
            trouble: None,
            focus: Focus::Steps,
            cursor: Cursor::default(),
            host: None,
            log: LogModel::new(LogOwner::Run),
            zoomed: false,
            matrices: Vec::new(),
        }
    }

    /// Shows the run.
    pub(crate) fn open(&mut self, id: RunId, world: &World) -> Vec<Effect> {
        let lines = world.run(id).map_or(0, |run| run.lines);
        let mut effects = Vec::new();
        if self.id != Some(id) {
            *self = Self {
                id: Some(id),
                ..Self::new()
            };
        }
        effects.push(Effect::Run(id));
        effects.extend(self.log.open(id, lines));
        effects
    }

    /// Takes in what the store has; a task that an event moved further meanwhile stays there.
    pub(crate) fn take(&mut self, record: RunRecord) {
        if self.id != Some(record.run.id) {
            return;
        }
        self.read = true;
        let newer = std::mem::replace(&mut self.tasks, record.tasks);
        for task in newer {
            self.see(task);
        }
        self.plan = record.plan.or(self.plan.take());
        for matrix in record.matrices {
            // One that an event brought is newer.
            if !self.matrices.iter().any(|known| known.task == matrix.task) {
                self.matrices.push(matrix);
            }
        }
    }

    /// What a task works on stands so now.
    pub(crate) fn show(&mut self, shown: TaskMatrix) {
        match self
            .matrices
            .iter_mut()
            .find(|known| known.task == shown.task)
        {
            Some(known) => *known = shown,
            None => self.matrices.push(shown),
        }
    }

    /// A task moved on.
    pub(crate) fn see(&mut self, task: Task) {
        match self.tasks.iter_mut().find(|known| known.key == task.key) {
            Some(known) if further(&task) >= further(known) => *known = task,
            Some(_) => {}
            None => self.tasks.push(task),
        }
    }

    pub(crate) fn rows(&self) -> Vec<StepRow> {
        steps::rows(self.plan.as_ref(), &self.tasks)
    }

    pub(crate) fn hosts(&self) -> Vec<String> {
        steps::hosts(self.plan.as_ref(), &self.tasks)
    }

    /// Index of the step under the cursor; until it is moved, of the one that failed, is being worked on or was cancelled.
    pub(crate) fn selected<T: AsRef<str>>(&self, ids: &[T], rows: &[StepRow]) -> usize {
        let at = |state| rows.iter().position(|row| row.state == state);
        if self.cursor.is_fresh() {
            at(TaskState::Failed)
                .or_else(|| at(TaskState::Running))
                .or_else(|| at(TaskState::Cancelled))
                .unwrap_or(0)
        } else {
            self.cursor.position(ids)
        }
    }

    /// Limits the log to what is under the cursor, or lifts the limit.
    fn only_this(&mut self) -> Vec<Effect> {
        let rows = self.rows();
        let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        let step = rows
            .get(self.selected(&ids, &rows))
            .map(|row| row.id.clone());
        let host = self.host.and_then(|host| self.hosts().get(host).cloned());
        let filter = &mut self.log.filter;
        if filter.step == step && filter.host == host {
            filter.step = None;
            filter.host = None;
        } else {
            filter.step = step;
            filter.host = host;
        }
        self.log.restart()
    }

    fn move_host(&mut self, by: isize) {
        let count = self.hosts().len();
        // One more place than hosts: all of them.
        let at = self.host.map_or(0, |host| host + 1);
        let next = at.saturating_add_signed(by).min(count);
        self.host = next.checked_sub(1);
    }

    fn log_command(&mut self, command: Command, rows: usize) -> Option<Vec<Effect>> {
        Some(match command {
            Command::FindNext => self.log.find(false, rows),
            Command::FindPrevious => self.log.find(true, rows),
            Command::Follow => self.log.toggle_follow(),
            Command::CycleStream => self.log.next_stream(),
            Command::CycleLevel => self.log.next_level(),
            Command::Columns => {
                self.log.columns = !self.log.columns;
                Vec::new()
            }
            Command::Wrap => {
                self.log.wrap = !self.log.wrap;
                Vec::new()
            }
            Command::Times => {
                self.log.times = !self.log.times;
                Vec::new()
            }
            _ => return None,
        })
    }

    fn scroll(&mut self, step: Step, rows: usize) -> Vec<Effect> {
        match step {
            Step::By(by) => self.log.scroll(by, rows),
            Step::First => self.log.top(rows),
            Step::Last => self.log.tail(),
        }
    }
}

/// How far a task has come: an older answer must not take it back.
fn further(task: &Task) -> (u32, bool, bool, bool) {
    (
        task.attempts,
        task.state == TaskState::Undone,
        task.state.is_final(),
        task.started_at.is_some(),
    )
}

impl Screen for RunScreen {
    fn context(&self) -> Context {
        Context::Run
    }

    fn title(&self, world: &World) -> String {
        self.id.and_then(|id| world.run(id)).map_or_else(
            || "run".into(),
            |run| format!("#{} {}", run.number, run.title),
        )
    }

    fn offers(&self, world: &World, command: Command) -> bool {
        let run = self.id.and_then(|id| world.run(id));
        run.is_none_or(|run| offers_for(run, command))
    }

    fn update(&mut self, world: &World, command: Command, rows: usize) -> Vec<Intent> {
        let on_log = self.zoomed || self.focus == Focus::Log;
        if let Some(step) = step(command, rows) {
            if on_log {
                let rows = super::view::log_rows(self, world);
                return self
                    .scroll(step, rows)
                    .into_iter()
                    .map(Intent::Do)
                    .collect();
            }
            let rows = self.rows();
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            if let Some(current) = ids.get(self.selected(&ids, &rows)) {
                self.cursor.select(current);
            }
            self.cursor.go(&ids, step);
            return Vec::new();
        }
        let log_rows = super::view::log_rows(self, world);
        if let Some(effects) = self.log_command(command, log_rows) {
            return effects.into_iter().map(Intent::Do).collect();
        }
        match command {
            Command::Open => self.only_this().into_iter().map(Intent::Do).collect(),
            Command::NextPane | Command::PreviousPane => {
                self.focus = if self.focus == Focus::Steps {
                    Focus::Log
                } else {
                    Focus::Steps
                };
                Vec::new()
            }
            Command::Logs => {
                self.focus = Focus::Log;
                self.zoomed = true;
                Vec::new()
            }
            Command::Left => {
                self.move_host(-1);
                Vec::new()
            }
            Command::Right => {
                self.move_host(1);
                Vec::new()
            }
            Command::Zoom => {
                self.zoomed = !self.zoomed;
                Vec::new()
            }
            Command::Find => vec![Intent::Search],
            Command::FilterLines => vec![Intent::Narrow],
            Command::CancelRun => self.id.map(Intent::Cancel).into_iter().collect(),
            Command::Rerun => self.id.map(Intent::Again).into_iter().collect(),
            Command::Decide => self.id.map(Intent::Decide).into_iter().collect(),
            _ => self
                .id
                .and_then(|run| take_up(command, run))
                .into_iter()
                .collect(),
        }
    }

    fn target(&self, _world: &World) -> Target {
        self.id.map_or(Target::Nothing, Target::Run)
    }

    fn filter(&mut self) -> Option<&mut Filter> {
        None
    }

    fn draw(&self, world: &World, paint: &mut Paint<'_>, area: ratatui::layout::Rect) {
        super::view::draw(self, world, paint, area);
    }
}
