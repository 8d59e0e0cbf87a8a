//! The failure of a run, in full: what failed, where, why, and what can be done.

use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::model::RunScreen;
use crate::domain::run::{Run, RunState, TaskState};
use crate::tui::paint::{Paint, cut_top, inset};
use crate::tui::{measure, text};

/// A failed task, or the run as a whole when no task tells why.
struct Failure {
    /// Step and place; empty for the run as a whole.
    what: String,
    attempts: u32,
    reason: String,
}

fn failures(screen: &RunScreen, run: &Run) -> Vec<Failure> {
    let unsaid = || "no reason was given".to_owned();
    let rows = screen.rows();
    let mut failures: Vec<Failure> = screen
        .tasks
        .iter()
        .filter(|task| task.state == TaskState::Failed)
        .map(|task| {
            let title = rows
                .iter()
                .find(|row| row.id == task.key.step)
                .map_or(task.key.step.as_str(), |row| row.title.as_str());
            let place = task
                .key
                .host
                .as_deref()
                .map_or_else(String::new, |host| format!(" on {host}"));
            Failure {
                what: format!("{title}{place}"),
                attempts: task.attempts,
                reason: task.reason.clone().unwrap_or_else(unsaid),
            }
        })
        .collect();
    if failures.is_empty() && run.state == RunState::Failed {
        failures.push(Failure {
            what: String::new(),
            attempts: 0,
            reason: run.reason.clone().unwrap_or_else(unsaid),
        });
    }
    failures
}

/// Rows that it takes to say everything in `width` cells; none when nothing failed.
pub(super) fn rows(screen: &RunScreen, run: &Run, width: u16) -> u16 {
    let room = usize::from(width.saturating_sub(4).max(10));
    let said: usize = failures(screen, run)
        .iter()
        .map(|failure| {
            usize::from(!failure.what.is_empty()) + text::wrap(&failure.reason, room).len()
        })
        .sum();
    if said == 0 {
        0
    } else {
        // The heading above and the advice below.
        u16::try_from(said + 2).unwrap_or(u16::MAX)
    }
}

pub(super) fn draw(screen: &RunScreen, run: &Run, paint: &mut Paint<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let look = paint.look;
    let theme = &look.theme;
    paint.rule(area, theme.bad);
    let head = Line::from(Span::styled(" FAILED ", theme.badge_of(theme.bad)));
    paint.line(area.x + 2, area.y, area.width.saturating_sub(4), &head);
    let (_, room) = cut_top(inset(area, 1), 1);
    let width = usize::from(area.width.saturating_sub(4).max(10));
    let mut lines = Vec::new();
    for failure in failures(screen, run) {
        if !failure.what.is_empty() {
            lines.push(Line::from(vec![
                Span::styled(format!("{} ", look.glyphs.bad), theme.bad),
                look.outer(&failure.what, theme.strong),
                Span::styled(
                    format!(
                        "  {}",
                        measure::count(usize::try_from(failure.attempts).unwrap_or(0), "attempt")
                    ),
                    theme.muted,
                ),
            ]));
        }
        for line in text::wrap(&look.plain(&failure.reason), width) {
            lines.push(Line::from(Span::styled(format!("  {line}"), theme.bad)));
        }
    }
    let fits = usize::from(room.height.saturating_sub(1));
    let more = lines.len().saturating_sub(fits);
    if more > 0 {
        lines.truncate(fits);
        if let Some(last) = lines.last_mut() {
            last.push_span(Span::styled(
                format!("  {} {more} more", look.glyphs.ellipsis),
                theme.muted,
            ));
        }
    }
    lines.push(ways(run, paint));
    paint.lines(room, &lines);
}

/// The keys that lead on from here.
fn ways(run: &Run, paint: &Paint<'_>) -> Line<'static> {
    let theme = &paint.look.theme;
    let taken_up: &[(&str, &str)] = if run.can_be_taken_up() {
        &[("C", "carry on"), ("H", "only failed hosts"), ("U", "undo")]
    } else {
        &[]
    };
    let all = [("enter", "its log")].iter().chain(taken_up);
    let mut spans = Vec::new();
    for (key, word) in all.chain(&[("R", "all again")]) {
        spans.push(Span::styled((*key).to_owned(), theme.key));
        spans.push(Span::styled(format!(" {word}  "), theme.muted));
    }
    Line::from(spans)
}
