//! What a plan says before it is agreed to: its cautions, what to expect, then step by step where and what.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::super::paint::Look;
use super::super::super::{measure, text};
use crate::domain::plan::Plan;
use crate::domain::run::{Task, TaskState};

/// What to read first, then the steps.
pub(in crate::tui::layers) fn body(look: &Look, plan: &Plan, width: usize) -> Vec<Line<'static>> {
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
