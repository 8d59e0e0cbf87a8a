//! The plan of a run and the gate before it: what will happen, where, how risky it is, and what it takes to begin.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_input::Input;

use super::super::keymap::Command;
use super::super::paint::{Look, Paint, cut_bottom};
use super::super::world::World;
use super::super::{measure, text};
use super::{Wish, feed, field};
use crate::domain::action::{Consent, Gate};
use crate::domain::plan::{OnceAnswer, Origin, Plan, PlanRequest};
use crate::domain::run::{Task, TaskState};

/// Where the asking stands.
#[derive(Debug)]
pub(crate) enum Stage {
    Asked,
    Ready(Box<Plan>, Gate),
    Refused(String),
}

/// What has the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Focus {
    Name,
    Cancel,
    Start,
    /// The recipe was edited since: the steps that are on record, or those it has now.
    Recipe {
        current: bool,
    },
    /// A `once` task of which it is not known how far it came: carry it out again, or take it as done.
    Once(OnceAnswer),
}

/// The plan dialog.
#[derive(Debug)]
pub(crate) struct PlanDialog {
    pub request: PlanRequest,
    /// Tells the answer to the newest question from older ones.
    pub ticket: u64,
    pub stage: Stage,
    focus: Focus,
    name: Input,
    scroll: u16,
    /// Whether it was said which steps are meant, where the recipe was edited since.
    pub chosen: bool,
    /// What is wrong with what was given.
    mistake: Option<String>,
}

impl PlanDialog {
    pub(crate) fn new(request: PlanRequest, ticket: u64) -> Self {
        Self {
            request,
            ticket,
            stage: Stage::Asked,
            focus: Focus::Cancel,
            name: Input::default(),
            scroll: 0,
            chosen: false,
            mistake: None,
        }
    }

    /// The engine answered. Where a yes is asked for, Cancel has the focus.
    pub(crate) fn answer(&mut self, result: Result<(Box<Plan>, Gate), String>) {
        match result {
            Ok((plan, gate)) => {
                self.focus = match gate {
                    Gate::Open => Focus::Start,
                    Gate::TypeName | Gate::SecondOperator => Focus::Name,
                    Gate::Confirm | Gate::ReadOnly => Focus::Cancel,
                };
                if !plan.undecided.is_empty() || self.asks_for_recipe(&plan) {
                    self.focus = Focus::Cancel;
                }
                self.stage = Stage::Ready(plan, gate);
            }
            Err(reason) => {
                self.focus = Focus::Cancel;
                self.stage = Stage::Refused(reason);
            }
        }
    }

    fn asks_for_recipe(&self, plan: &Plan) -> bool {
        plan.edited && !self.chosen
    }

    /// What can have the focus.
    fn stops(&self) -> &'static [Focus] {
        match &self.stage {
            Stage::Ready(plan, _) if self.asks_for_recipe(plan) => &[
                Focus::Cancel,
                Focus::Recipe { current: false },
                Focus::Recipe { current: true },
            ],
            Stage::Ready(plan, _) if !plan.undecided.is_empty() => &[
                Focus::Cancel,
                Focus::Once(OnceAnswer::Repeat),
                Focus::Once(OnceAnswer::Done),
            ],
            Stage::Ready(_, Gate::TypeName | Gate::SecondOperator) => {
                &[Focus::Name, Focus::Cancel, Focus::Start]
            }
            Stage::Ready(_, Gate::Open | Gate::Confirm) => &[Focus::Cancel, Focus::Start],
            _ => &[Focus::Cancel],
        }
    }

    fn turn(&mut self, by: isize) {
        let stops = self.stops();
        let at = stops
            .iter()
            .position(|stop| *stop == self.focus)
            .unwrap_or(0);
        let next = (at + stops.len()).wrapping_add_signed(by) % stops.len();
        self.focus = stops[next];
    }

    /// Whether `command` does anything as the dialog stands.
    pub(crate) fn offers(&self, command: Command) -> bool {
        match command {
            Command::DryRun | Command::Offline => self.rehearses(),
            Command::NextField => self.stops().len() > 1,
            // No buttons are shown before the answer.
            Command::Accept => !matches!(self.stage, Stage::Asked),
            _ => true,
        }
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        match command {
            Command::Left | Command::Right if self.focus == Focus::Name => {
                let code = if command == Command::Left {
                    KeyCode::Left
                } else {
                    KeyCode::Right
                };
                feed(&mut self.name, KeyEvent::from(code));
            }
            Command::Left | Command::PreviousPane => self.turn(-1),
            Command::Right | Command::NextField => self.turn(1),
            Command::Up => self.scroll = self.scroll.saturating_sub(1),
            Command::Down => self.scroll = self.scroll.saturating_add(1),
            Command::PageUp => self.scroll = self.scroll.saturating_sub(8),
            Command::PageDown => self.scroll = self.scroll.saturating_add(8),
            Command::DryRun => return self.toggle_dry_run(),
            Command::Offline => return self.toggle_offline(),
            Command::Accept => return self.press(),
            _ => {}
        }
        if let Stage::Refused(reason) = &self.stage {
            // More lines than any width wraps it into.
            let most = reason.lines().count() + reason.len() / 20;
            let most = u16::try_from(most).unwrap_or(u16::MAX);
            self.scroll = self.scroll.min(most);
        }
        if let Stage::Ready(plan, _) = &self.stage {
            let most = plan
                .steps
                .iter()
                .map(|planned| planned.preview.len() + 1)
                .sum::<usize>()
                // A caution takes a few lines on a narrow screen.
                + (plan.cautions.len() + plan.outlook.len()) * 6
                + plan.kept.len();
            self.scroll = self.scroll.min(u16::try_from(most).unwrap_or(u16::MAX));
        }
        Vec::new()
    }

    /// Whether it can be rehearsed: what is left of a run cannot.
    fn rehearses(&self) -> bool {
        !matches!(self.request.origin, Some(Origin::Resume { .. }))
    }

    fn toggle_dry_run(&mut self) -> Vec<Wish> {
        if !self.rehearses() {
            return Vec::new();
        }
        let mut request = self.request.clone();
        request.dry_run = !request.dry_run;
        vec![Wish::Plan(request)]
    }

    /// Fetches nothing, or as it is needed; what is not at hand then is in the answer.
    fn toggle_offline(&mut self) -> Vec<Wish> {
        if !self.rehearses() {
            return Vec::new();
        }
        let mut request = self.request.clone();
        request.limits.offline = !request.limits.offline;
        vec![Wish::Plan(request)]
    }

    /// A key that is not bound: text for the name, `D` or `O`.
    pub(crate) fn edit(&mut self, key: KeyEvent) -> Vec<Wish> {
        if self.focus == Focus::Name {
            feed(&mut self.name, key);
            self.mistake = None;
        } else if matches!(key.code, KeyCode::Char('D')) {
            return self.toggle_dry_run();
        } else if matches!(key.code, KeyCode::Char('O')) {
            return self.toggle_offline();
        }
        Vec::new()
    }

    fn press(&mut self) -> Vec<Wish> {
        let Stage::Ready(plan, gate) = &self.stage else {
            return vec![Wish::Close];
        };
        if self.focus == Focus::Cancel {
            return vec![Wish::Close];
        }
        if let Focus::Recipe { current } = self.focus {
            let mut request = self.request.clone();
            if let Some(Origin::Resume { current_recipe, .. }) = &mut request.origin {
                *current_recipe = current;
            }
            self.chosen = true;
            // The answer puts the focus where this plan's gate wants it.
            return vec![Wish::Plan(request)];
        }
        if let Focus::Once(answer) = self.focus {
            let mut request = self.request.clone();
            if let Some(task) = plan.undecided.first() {
                request.once.insert(task.to_string(), answer);
            }
            return vec![Wish::Plan(request)];
        }
        let consent = match gate {
            Gate::Open => Consent::None,
            Gate::Confirm => Consent::Yes,
            Gate::TypeName | Gate::SecondOperator | Gate::ReadOnly => {
                Consent::Typed(self.name.value().trim().to_owned())
            }
        };
        match gate.check(&consent, &plan.request.environment) {
            Ok(()) => vec![
                Wish::Close,
                Wish::Start {
                    hash: plan.hash.clone(),
                    consent,
                },
            ],
            Err(reason) => {
                self.mistake = Some(reason);
                Vec::new()
            }
        }
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let screen = paint.buf.area;
        let protection = world
            .environment(&self.request.environment)
            .map_or(world.protection(), |environment| environment.protection);
        let edge = theme.guard(protection);
        let width = screen
            .width
            .saturating_sub(6)
            .clamp(screen.width.min(40), 110);
        let (title, lines) = match &self.stage {
            Stage::Asked => ("Plan".to_owned(), Vec::new()),
            Stage::Refused(reason) => {
                let wide = usize::from(width.saturating_sub(4).max(8));
                let bad = Style {
                    bg: None,
                    ..theme.bad
                };
                let lines = text::wrap(&paint.look.plain(reason), wide).into_iter();
                let lines: Vec<_> = lines.map(|line| Line::styled(line, bad)).collect();
                ("No plan".to_owned(), lines)
            }
            Stage::Ready(plan, _) => (
                format!("Plan: {}", plan.title),
                body(paint.look, plan, usize::from(width.saturating_sub(4))),
            ),
        };
        let tall = u16::try_from(lines.len())
            .unwrap_or(u16::MAX)
            .saturating_add(if matches!(self.stage, Stage::Refused(_)) {
                4
            } else {
                9
            });
        let height = tall.clamp(11, screen.height.saturating_sub(2).max(11));
        let room = paint.dialog((width, height), &title, edge);
        match &self.stage {
            Stage::Asked => paint.hint(room, "Making the plan", theme.muted),
            Stage::Refused(reason) => {
                let (body, foot) = cut_bottom(room, 1);
                let visible = usize::from(body.height);
                // A sentence stands in the middle, a list is read from its beginning.
                if lines.len() <= 4 {
                    paint.hint(body, reason, theme.bad);
                } else {
                    let first = usize::from(self.scroll).min(lines.len().saturating_sub(visible));
                    paint.lines(body, &lines[first..]);
                    paint.scroll_thumb(body, false, lines.len(), visible, first);
                }
                self.buttons(paint, foot);
            }
            Stage::Ready(plan, gate) => self.ready(paint, room, plan, *gate, &lines),
        }
    }

    fn ready(
        &self,
        paint: &mut Paint<'_>,
        room: Rect,
        plan: &Plan,
        gate: Gate,
        lines: &[Line<'static>],
    ) {
        let look = paint.look;
        let theme = &look.theme;
        let request = &plan.request;
        let tasks: usize = plan.steps.iter().map(|planned| planned.tasks().len()).sum();
        let risk = look.glyphs.risk(plan.risk);
        let mut head = vec![
            Span::styled(
                format!(" {} {} ", risk.glyph, risk.word),
                theme.badge_of(theme.tone(risk.tone)),
            ),
            Span::styled("  in ", theme.muted),
            look.outer(&request.environment, theme.strong),
            Span::styled(
                format!(
                    "  {}, {}",
                    measure::count(plan.steps.len(), "step"),
                    measure::count(tasks, "task")
                ),
                theme.muted,
            ),
        ];
        if request.dry_run {
            head.push(Span::raw("  "));
            head.push(Span::styled(" DRY RUN ", theme.badge_of(theme.info)));
        }
        if request.limits.offline {
            head.push(Span::raw("  "));
            head.push(Span::styled(" OFFLINE ", theme.badge_of(theme.info)));
        }
        paint.line(room.x, room.y, room.width, &Line::from(head));
        let hash: String = plan.hash.chars().take(12).collect();
        let mut given = format!("plan {hash}");
        if !request.nodes.is_empty() {
            given = format!("{given}  only {}", request.nodes.join(" "));
        }
        for (name, value) in &request.params {
            given = format!("{given}  {name}={}", super::form::shown(value));
        }
        paint.text(room.x, room.y + 1, room.width, &given, theme.muted);
        let quiet = matches!(gate, Gate::Open) && plan.undecided.is_empty();
        let foot_rows = if quiet { 2 } else { 4 };
        let (body, foot) = cut_bottom(
            Rect {
                y: room.y + 2.min(room.height),
                height: room.height.saturating_sub(2),
                ..room
            },
            foot_rows,
        );
        let visible = usize::from(body.height);
        let first = usize::from(self.scroll).min(lines.len().saturating_sub(visible));
        paint.lines(body, &lines[first..]);
        paint.scroll_thumb(body, false, lines.len(), visible, first);
        self.gate(paint, foot, plan, gate);
    }

    fn gate(&self, paint: &mut Paint<'_>, area: Rect, plan: &Plan, gate: Gate) {
        let look = paint.look;
        let theme = &look.theme;
        let name = &plan.request.environment;
        paint.rule(area, theme.faint);
        let (_, rest) = super::super::paint::cut_top(area, 1);
        let (sentence, style) = match (&self.mistake, gate) {
            _ if !plan.undecided.is_empty() => (
                format!(
                    "{} must not be repeated, and it is not known how far it came: look first.",
                    plan.undecided[0]
                ),
                theme.warn,
            ),
            (Some(mistake), _) => (format!("{} {mistake}", look.glyphs.warn), theme.warn),
            (None, Gate::Open) => (String::new(), theme.muted),
            (None, Gate::Confirm) => (
                format!("{name} asks for a yes before this begins."),
                theme.text,
            ),
            (None, Gate::TypeName) => (
                format!("To begin, type the environment's name: {name}"),
                theme.warn,
            ),
            (None, Gate::SecondOperator) => (
                format!("Type the environment's name: {name}. Then a second operator must approve"),
                theme.warn,
            ),
            (None, Gate::ReadOnly) => {
                let reason = gate.check(&Consent::None, name).err().unwrap_or_default();
                (format!("{} {reason}", look.glyphs.bad), theme.warn)
            }
        };
        let style = Style { bg: None, ..style };
        if rest.height > 1 {
            let lines = text::wrap(&look.plain(&sentence), usize::from(rest.width.max(10)));
            for (line, y) in lines.iter().zip(rest.y..rest.bottom() - 1) {
                paint.text(rest.x, y, rest.width, line, style);
            }
            if matches!(gate, Gate::TypeName | Gate::SecondOperator) && rest.height > 2 {
                paint.text(rest.x, rest.y + 1, 2, look.glyphs.chevron, theme.accent);
                field(
                    paint,
                    rest.x + 2,
                    rest.y + 1,
                    rest.width.saturating_sub(2),
                    &self.name,
                    self.focus == Focus::Name,
                );
            }
        }
        let (_, foot) = cut_bottom(rest, 1);
        self.buttons(paint, foot);
    }

    fn buttons(&self, paint: &mut Paint<'_>, area: Rect) {
        let look = paint.look;
        let theme = &look.theme;
        let word = if self.request.dry_run {
            "Start dry run"
        } else {
            "Start"
        };
        let buttons = self.stops().iter().filter_map(|stop| {
            let word = match stop {
                Focus::Name => return None,
                Focus::Cancel => "Cancel",
                Focus::Start => word,
                Focus::Recipe { current: false } => "As recorded",
                Focus::Recipe { current: true } => "As it is now",
                Focus::Once(OnceAnswer::Repeat) => "Repeat it",
                Focus::Once(OnceAnswer::Done) => "Take it as done",
            };
            Some((word, *stop == self.focus))
        });
        let spans = super::question::buttons(look, buttons);
        let end = paint.line(area.x, area.y, area.width, &Line::from(spans));
        let rest = Rect {
            x: end,
            width: area.right().saturating_sub(end),
            ..area
        };
        if !self.rehearses() {
            return;
        }
        let (key, other) = if self.focus == Focus::Name {
            ("ctrl-d", "ctrl-o")
        } else {
            ("D", "O")
        };
        let dry = if self.request.dry_run {
            " real run"
        } else {
            " dry run"
        };
        let fetching = if self.request.limits.offline {
            " may fetch"
        } else {
            " offline"
        };
        paint.right(
            rest,
            &Line::from(vec![
                Span::raw("  "),
                Span::styled(other, theme.key),
                Span::styled(fetching, theme.muted),
                Span::raw("  "),
                Span::styled(key, theme.key),
                Span::styled(dry, theme.muted),
            ]),
        );
    }
}

/// What to read first, then the steps.
pub(super) fn body(look: &Look, plan: &Plan, width: usize) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let warn = Style {
        bg: None,
        ..theme.warn
    };
    let mut lines = Vec::new();
    for caution in &plan.cautions {
        let wrapped = text::wrap(&look.plain(caution), width.saturating_sub(3).max(8));
        for (index, line) in wrapped.into_iter().enumerate() {
            let lead = if index == 0 { look.glyphs.warn } else { " " };
            lines.push(Line::from(vec![
                Span::styled(format!("{lead} "), warn),
                Span::styled(line, warn),
            ]));
        }
    }
    for sentence in &plan.outlook {
        let indent = sentence.len() - sentence.trim_start().len();
        let style = if indent > 0 { plain(look) } else { warn };
        let room = width.saturating_sub(3 + indent).max(8);
        for line in text::wrap(&look.plain(sentence.trim_start()), room) {
            let lead = " ".repeat(2 + indent);
            lines.push(Line::from(vec![Span::raw(lead), Span::styled(line, style)]));
        }
    }
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines.extend(steps(look, plan));
    lines
}

fn plain(look: &Look) -> Style {
    Style {
        bg: None,
        ..look.theme.text
    }
}

/// The steps with their hosts and what they will do; what is kept of an earlier run is counted.
fn steps(look: &Look, plan: &Plan) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = plain(look);
    let mut lines = Vec::new();
    let (idle, at_work): (Vec<_>, Vec<_>) = plan.steps.iter().partition(|one| one.is_idle());
    for (index, planned) in at_work.into_iter().enumerate() {
        let hosts = match &planned.hosts {
            None => "here".to_owned(),
            Some(hosts) => format!("on {}", hosts.join(" ")),
        };
        let mut spans = vec![
            Span::styled(format!("{:>2} ", index + 1), theme.faint),
            look.outer(&planned.step.title, theme.strong),
            look.outer(&format!("  {hosts}"), theme.info),
        ];
        if planned.step.once {
            spans.push(Span::styled("  once", theme.warn));
        }
        let of_step = |task: &&Task| task.key.step == planned.step.id;
        // Only done is done: what is left out of this run is kept as not carried out.
        let is_done = |task: &&Task| task.state != TaskState::Skipped || task.started_at.is_some();
        let (done, out): (Vec<&Task>, Vec<&Task>) =
            plan.kept.iter().filter(of_step).partition(is_done);
        let kept = done.len();
        let all = kept > 0 && kept == planned.tasks().len();
        if kept > 0 {
            let word = if all { "kept" } else { "kept on" };
            let count = if all {
                String::new()
            } else {
                format!(" {kept}")
            };
            spans.push(Span::styled(format!("  {word}{count}"), theme.good));
        }
        if !out.is_empty() {
            let words = format!("  left out on {}", out.len());
            spans.push(Span::styled(words, theme.warn));
        }
        lines.push(Line::from(spans));
        if all {
            continue;
        }
        for line in &planned.preview {
            lines.push(Line::from(vec![
                Span::raw("   "),
                Span::styled(format!("{} ", look.glyphs.chevron), theme.faint),
                look.outer(line, plain),
            ]));
        }
    }
    if !idle.is_empty() {
        let sentence = format!(
            "   {} for which no node is selected",
            measure::count(idle.len(), "more step")
        );
        lines.push(Line::from(Span::styled(sentence, theme.muted)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::theme::ThemeName;
    use crate::tui::sample;

    #[test]
    fn steps_that_no_node_has_are_counted_and_not_shown_one_by_one() {
        let mut plan = sample::plan();
        let shown = |plan: &Plan| {
            let lines = steps(&Look::new(ThemeName::Default, false), plan);
            lines.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let all = shown(&plan);
        let last = plan.steps.last().unwrap().clone();
        let idle = crate::domain::plan::PlannedStep {
            hosts: Some(Vec::new()),
            preview: vec!["nothing: no node is selected".into()],
            ..last
        };
        plan.steps.insert(0, idle);
        let (rest, line) = (all.len(), shown(&plan));
        assert_eq!(line[..rest], all);
        assert_eq!(
            line[rest..],
            ["   1 more step for which no node is selected"]
        );
    }
}
