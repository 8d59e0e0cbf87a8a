//! The plan dialog drawn: what it is about, the steps, and the gate with its buttons below.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::super::paint::{Paint, cut_bottom, cut_top};
use super::super::super::world::World;
use super::super::super::{measure, text};
use super::super::{field, form, question};
use super::{Focus, PlanDialog, Stage, body};
use crate::domain::action::{Consent, Gate};
use crate::domain::plan::{OnceAnswer, Plan};

impl PlanDialog {
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
            given = format!("{given}  {name}={}", form::shown(value));
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
        let (_, rest) = cut_top(area, 1);
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
        let spans = question::buttons(look, buttons);
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
