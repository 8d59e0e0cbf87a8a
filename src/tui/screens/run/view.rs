//! Drawing a run: a header with progress, the failure (if any) in full, the matrix of steps and hosts, the log.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::super::runs::rows::{outcome, progress};
use super::model::{Focus, RunScreen};
use super::steps::StepRow;
use super::{failure, matrix};
use crate::domain::run::{Run, RunState, TaskState};
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_left, cut_top, inset};
use crate::tui::world::World;
use crate::tui::{measure, text};

/// Where the parts are.
struct Parts {
    header: Rect,
    failure: Rect,
    steps: Rect,
    matrix: Rect,
    log: Rect,
}

/// From this width on steps and log stand side by side.
const BESIDE: u16 = 150;

fn parts(screen: &RunScreen, world: &World, area: Rect) -> Parts {
    let none = Rect { height: 0, ..area };
    if screen.zoomed {
        return Parts {
            header: none,
            failure: none,
            steps: none,
            matrix: none,
            log: area,
        };
    }
    let (header, rest) = cut_top(area, 2.min(area.height));
    let wanted = screen
        .id
        .and_then(|id| world.run(id))
        .map_or(0, |run| failure::rows(screen, run, area.width));
    let failure_rows = if rest.height >= 10 {
        wanted.min(rest.height / 3)
    } else {
        0
    };
    let (failure, rest) = cut_top(rest, failure_rows);
    let steps = u16::try_from(screen.rows().len()).unwrap_or(u16::MAX);
    let (steps, log) = if area.width >= BESIDE {
        beside(screen, rest)
    } else {
        cut_top(
            rest,
            steps
                .saturating_add(2)
                .clamp(rest.height / 4, (rest.height / 2).max(1)),
        )
    };
    let (matrix, log) = cut_top(log, matrix::rows(screen, log.height));
    Parts {
        header,
        failure,
        steps,
        matrix,
        log,
    }
}

/// Steps and log side by side, with a column between: the steps get what they need, up to a half.
fn beside(screen: &RunScreen, area: Rect) -> (Rect, Rect) {
    let title = screen
        .rows()
        .iter()
        .map(|row| text::width(&row.title) + if row.attempts > 1 { 8 } else { 0 })
        .max()
        .unwrap_or(0);
    let hosts: usize = screen
        .hosts()
        .iter()
        .map(|host| text::width(host) + 2)
        .sum();
    let wanted = u16::try_from(title + hosts + 26).unwrap_or(u16::MAX);
    let half = area.width / 2;
    let (left, right) = cut_left(area, wanted.clamp(48.min(half), half));
    let (_, right) = cut_left(right, 1);
    (left, right)
}

/// Rows of the log on a screen of this size: what scrolling and searching count with.
pub(crate) fn log_rows(screen: &RunScreen, world: &World) -> usize {
    let (width, height) = world.size;
    let area = Rect::new(0, 1, width, height.saturating_sub(2));
    usize::from(parts(screen, world, area).log.height.saturating_sub(1))
}

pub(crate) fn draw(screen: &RunScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let Some(run) = screen.id.and_then(|id| world.run(id)) else {
        let sentence = screen
            .trouble
            .clone()
            .unwrap_or_else(|| "Reading the run".into());
        paint.hint(area, &sentence, paint.look.theme.muted);
        return;
    };
    let parts = parts(screen, world, area);
    header(screen, world, run, paint, parts.header);
    failure::draw(screen, run, paint, parts.failure);
    steps(screen, world, run, paint, parts.steps);
    matrix::draw(screen, world, paint, parts.matrix);
    log(screen, world, run, paint, parts.log);
}

fn header(screen: &RunScreen, world: &World, run: &Run, paint: &mut Paint<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let look = paint.look;
    let theme = &look.theme;
    let took = run
        .started_at
        .map(|start| measure::length(start, run.ended_at.unwrap_or(world.now)));
    let sign = look.glyphs.run(run.state, world.beat());
    let mut first = vec![look.sign(sign)];
    first[0].style = first[0].style.add_modifier(Modifier::BOLD);
    if let Some(took) = took {
        first.push(Span::styled(format!("  {took}  "), theme.muted));
    } else {
        first.push(Span::raw("  "));
    }
    let cells = usize::from(area.width / 5).clamp(8, 40);
    first.extend(progress(look, run, cells));
    if run.dry_run {
        first.push(Span::raw("  "));
        first.push(Span::styled(
            " DRY RUN: nothing is changed ",
            theme.badge_of(theme.info),
        ));
    }
    let hash: String = run.plan_hash.chars().take(8).collect();
    let by = format!(
        "{} {} {} by {} {} plan {hash}",
        run.environment,
        look.glyphs.dot,
        measure::date(run.created_at),
        run.started_by,
        look.glyphs.dot
    );
    let room = inset(area, 1);
    let end = paint.line(room.x, room.y, room.width, &Line::from(first));
    let rest = Rect {
        x: end,
        width: room.right().saturating_sub(end),
        ..room
    };
    paint.right(
        rest,
        &Line::from(look.outer(&format!("  {by}"), theme.muted)),
    );
    if area.height > 1 {
        let mut second = outcome(look, run);
        for one in world.waiting.iter().filter(|one| one.run == run.id) {
            let sentence = format!("   waits: {} (P)", one.text);
            second.insert(0, look.outer(&sentence, theme.warn));
        }
        for kin in run.kinship(&world.runs) {
            second.push(look.outer(&format!("   {kin}"), theme.info));
        }
        if let Some(reason) = run
            .reason
            .as_deref()
            .filter(|_| run.state != RunState::Failed)
        {
            second.push(look.outer(&format!("   {reason}"), theme.muted));
        }
        if let Some(trouble) = &screen.trouble {
            second.push(look.outer(&format!("   {trouble}"), theme.bad));
        }
        paint.line(room.x, room.y + 1, room.width, &Line::from(second));
    }
}

fn steps(screen: &RunScreen, world: &World, run: &Run, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let rows = screen.rows();
    let hosts = screen.hosts();
    let focused = screen.focus == Focus::Steps;
    let host = screen.host.and_then(|host| hosts.get(host));
    let right = match host {
        Some(host) => Line::from(look.outer(host, theme.accent)),
        None => Line::from(Span::styled(
            format!(
                "{}, {}",
                measure::count(rows.len(), "step"),
                measure::count(hosts.len(), "host")
            ),
            theme.muted,
        )),
    };
    let inner = paint.pane(
        area,
        &Pane {
            key: None,
            title: "Steps".into(),
            right,
            focused,
            edge: theme.guard(world.protection()),
            boxed: false,
        },
    );
    if rows.is_empty() {
        let sentence = if screen.read {
            "This run has no tasks"
        } else {
            "Reading the tasks"
        };
        paint.hint(inner, sentence, theme.muted);
        return;
    }
    let mut columns = vec![
        Column::new("state", 1),
        Column::prose("step", 0, 12),
        Column::number("took", 2),
    ];
    let narrow = narrow_hosts(&hosts, inner.width);
    for host in &hosts {
        let title = if narrow {
            String::new()
        } else {
            look.plain(host).into_owned()
        };
        columns.push(Column::named(title, 1));
    }
    let grid_rows: Vec<GridRow> = rows
        .iter()
        .map(|row| step_row(screen, world, run, look, row, &hosts))
        .collect();
    let ids: Vec<&str> = grid_rows.iter().map(|row| row.id.as_str()).collect();
    let selected = screen.selected(&ids, &rows);
    paint.grid(
        inner,
        &Grid {
            columns: &columns,
            rows: &grid_rows,
            selected,
            focused,
            sort: None,
            stale: false,
        },
    );
}

/// Whether the hosts' names are too long to stand above their columns.
fn narrow_hosts(hosts: &[String], width: u16) -> bool {
    let needed: usize = hosts.iter().map(|host| text::width(host) + 2).sum();
    needed > usize::from(width) / 2
}

/// How long a step has been worked on in this run; what is kept of an earlier one took its time there.
fn took(screen: &RunScreen, world: &World, run: &Run, row: &StepRow) -> Option<String> {
    let at_work = screen.tasks.iter().filter(|task| {
        task.key.step == row.id && task.started_at.is_some_and(|at| at >= run.created_at)
    });
    let start = at_work.clone().filter_map(|task| task.started_at).min()?;
    let ended = at_work.filter_map(|task| task.ended_at).max();
    let ended = ended.filter(|_| row.state.is_final()).or(run.ended_at);
    Some(measure::length(start, ended.unwrap_or(world.now)))
}

fn step_row(
    screen: &RunScreen,
    world: &World,
    run: &Run,
    look: &Look,
    row: &StepRow,
    hosts: &[String],
) -> GridRow {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let took = took(screen, world, run, row);
    let title = match row.state {
        TaskState::Failed => theme.bad.add_modifier(Modifier::BOLD),
        TaskState::Running => theme.strong,
        TaskState::Pending | TaskState::Skipped | TaskState::Cancelled => theme.muted,
        _ => plain,
    };
    let mut name = vec![look.outer(&row.title, title)];
    if row.attempts > 1 {
        name.push(Span::styled(format!("  try {}", row.attempts), theme.warn));
    }
    let mut cells = vec![
        Line::from(look.sign(look.glyphs.task(row.state, world.beat()))),
        Line::from(name),
        cell(took.unwrap_or_default(), theme.muted),
    ];
    for (index, host) in hosts.iter().enumerate() {
        let task = screen
            .tasks
            .iter()
            .find(|task| task.key.step == row.id && task.key.host.as_ref() == Some(host));
        cells.push(match task {
            None => Line::default(),
            Some(task) => {
                let mut span = look.glyph(look.glyphs.task(task.state, world.beat()));
                if screen.host == Some(index) {
                    span.style = span.style.add_modifier(Modifier::REVERSED);
                }
                Line::from(span)
            }
        });
    }
    GridRow::new(row.id.clone(), cells)
}

fn log(screen: &RunScreen, world: &World, run: &Run, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let model = &screen.log;
    let mut title = "Log".to_owned();
    let filter = &model.filter;
    if let Some(step) = &filter.step {
        title = format!("{title} of {step}");
    }
    if let Some(host) = &filter.host {
        title = format!("{title} on {host}");
    }
    if let Some(stream) = filter.streams.first() {
        title = format!("{title}, only {stream}");
    }
    if let Some(level) = filter.level {
        title = format!("{title}, {level} and worse");
    }
    if let Some(pattern) = &filter.text {
        title = format!("{title}, with {pattern}");
    }
    if !model.needle.is_empty() {
        title = format!("{title} /{}", model.needle);
    }
    let mut right = vec![Span::styled(
        measure::count(usize::try_from(model.total).unwrap_or(0), "line"),
        theme.muted,
    )];
    match (model.follow, model.lag()) {
        (true, 0) if run.state.is_final() => {}
        (true, 0) => right.push(Span::styled("  following", theme.good)),
        (true, lag) => right.push(Span::styled(format!("  {lag} behind"), theme.warn)),
        (false, _) => right.push(Span::styled("  paused, G follows", theme.accent)),
    }
    if model.skipped > 0 && model.follow {
        right.push(Span::styled(
            format!("  {} skipped, scroll up", model.skipped),
            theme.warn,
        ));
    }
    if let Some(reached) = model.searching {
        right = vec![Span::styled(
            format!("searching, at line {reached}; moving stops it"),
            theme.accent,
        )];
    }
    if let Some(trouble) = &model.trouble {
        right = vec![look.outer(trouble, theme.warn)];
    }
    let inner = paint.pane(
        area,
        &Pane {
            key: None,
            title,
            right: Line::from(right),
            focused: screen.zoomed || screen.focus == Focus::Log,
            edge: theme.guard(world.protection()),
            boxed: false,
        },
    );
    paint.log(inset(inner, 1), model);
}
