//! Runs as rows: the same for the Bridge and for the full list.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::list::List;
use crate::domain::run::{Run, RunState};
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::paint::grid::{Column, GridRow, cell};
use crate::tui::world::World;

/// The runs that pass the filter; those that are going come first, then the newest.
pub(crate) fn shown<'a>(world: &'a World, list: &List) -> Vec<&'a Run> {
    let mut runs: Vec<&Run> = world
        .runs
        .iter()
        .filter(|run| {
            list.filter.is_empty()
                || list.filter.admits(&format!(
                    "#{} {} {} {} {} {} {}",
                    run.number,
                    run.recipe,
                    run.title,
                    run.environment,
                    run.state,
                    run.started_by,
                    run.reason.as_deref().unwrap_or_default()
                ))
        })
        .collect();
    runs.sort_by_key(|run| run.state.is_final());
    runs
}

/// The columns.
pub(crate) fn columns() -> Vec<Column> {
    vec![
        Column::sign("state", 6),
        Column::number("run", 0),
        Column::prose("what", 0, 10),
        Column::new("environment", 6),
        Column::new("progress", 3),
        Column::number("took", 4),
        Column::number("begun", 2),
        Column::new("by", 8),
        Column::prose("reason", 5, 16),
    ]
}

/// One run as a row for a list that is `width` cells wide.
pub(crate) fn row(world: &World, look: &Look, run: &Run, width: u16) -> GridRow {
    let theme = &look.theme;
    let sign = look.glyphs.run(run.state, world.beat());
    let begun = run.started_at.unwrap_or(run.created_at);
    let took = run
        .started_at
        .map(|start| measure::length(start, run.ended_at.unwrap_or(world.now)));
    let mut what = vec![look.outer(
        &run.title,
        Style {
            bg: None,
            ..theme.text
        },
    )];
    if run.dry_run {
        what.insert(0, Span::styled("dry ", theme.info));
    }
    for kin in run.kinship(&world.runs) {
        what.push(look.outer(&format!("  {kin}"), theme.info));
    }
    let reason_style = match run.state {
        RunState::Failed => theme.bad,
        _ => theme.muted,
    };
    GridRow::new(
        run.id.to_string(),
        vec![
            Line::from(look.sign(sign)),
            cell(format!("#{}", run.number), theme.muted),
            Line::from(what),
            Line::from(look.outer(&run.environment, theme.muted)),
            Line::from(progress(look, run, if width >= 100 { 10 } else { 4 })),
            cell(took.unwrap_or_default(), theme.muted),
            cell(
                format!("{} ago", measure::age(world.now, begun)),
                theme.muted,
            ),
            Line::from(look.outer(&run.started_by, theme.muted)),
            Line::from(look.outer(run.reason.as_deref().unwrap_or_default(), reason_style)),
        ],
    )
}

/// A gauge of ended tasks and their number.
pub(crate) fn progress(look: &Look, run: &Run, cells: usize) -> Vec<Span<'static>> {
    let theme = &look.theme;
    let total = run.tally.total();
    // What ended badly has not come as far as what has ended.
    let done = match run.state {
        RunState::Failed | RunState::Cancelled | RunState::Interrupted => run.tally.well(),
        _ => run.tally.done(),
    };
    let style = match run.state {
        RunState::Failed => theme.bad,
        RunState::Succeeded => theme.good,
        RunState::Running | RunState::WaitingApproval | RunState::Queued => theme.accent,
        RunState::Cancelled | RunState::Interrupted => theme.muted,
    };
    let percent = if total == 0 {
        0.0
    } else {
        done as f32 * 100.0 / total as f32
    };
    let mut spans = look.gauge(percent, cells, style).to_vec();
    spans.push(Span::styled(format!(" {done}/{total}"), theme.muted));
    spans
}

/// What the tasks came to: `7 ok · 3 changed · 1 failed`; of a dry run, what would change.
pub(crate) fn outcome(look: &Look, run: &Run) -> Vec<Span<'static>> {
    use crate::domain::run::TaskState;
    let tally = &run.tally;
    let counts = [
        (TaskState::Failed, tally.failed),
        (TaskState::Running, tally.running),
        (TaskState::Changed, tally.changed),
        (TaskState::Ok, tally.ok),
        (TaskState::Skipped, tally.skipped),
        (TaskState::Cancelled, tally.cancelled),
        (TaskState::Undone, tally.undone),
        (TaskState::Pending, tally.pending),
    ];
    let mut spans = Vec::new();
    for (state, count) in counts {
        if count == 0 {
            continue;
        }
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        let sign = look.glyphs.task(state, 0);
        spans.push(Span::styled(
            match state {
                TaskState::Changed => format!("{} {count} {}", sign.glyph, run.changed_word()),
                _ => format!("{} {count} {}", sign.glyph, sign.word),
            },
            look.theme.tone(sign.tone),
        ));
    }
    spans
}
