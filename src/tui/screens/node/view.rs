//! Drawing one node.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::nodes;
use super::model::NodeScreen;
use crate::domain::finding::Subject;
use crate::domain::live::{NodeReport, Observed};
use crate::domain::node::{Jump, Node};
use crate::tui::paint::grid::{Column, Grid, GridRow, cell};
use crate::tui::paint::pane::Pane;
use crate::tui::paint::{Look, Paint, cut_left, cut_top, inset};
use crate::tui::world::{Known, World};
use crate::tui::{measure, text};

/// Cells for labels.
const LABEL: usize = 11;

pub(crate) fn draw(screen: &NodeScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let Some(node) = world.here().and_then(|here| here.node(&screen.name)) else {
        let sentence = match &world.workspace {
            Known::Asked => "Asking the engine for the workspace".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => format!("{} has no node called {}.", world.environment, screen.name),
        };
        paint.hint(area, &sentence, look.theme.muted);
        return;
    };
    let beside = area.width >= 96;
    let (left, right) = if beside {
        cut_left(area, area.width * 45 / 100)
    } else {
        cut_top(area, (area.height * 3 / 5).max(10))
    };
    let edge = look.theme.guard(world.protection());
    let boxed = area.height >= 30;
    let frame = |title: &str, focused: bool, right: Line<'static>| Pane {
        key: None,
        title: title.to_owned(),
        right,
        focused,
        edge,
        boxed,
    };
    let observed = world.node(&node.name);
    let state = look.sign(nodes::rows::state(world, &node.name, look.glyphs));
    let inner = paint.pane(left, &frame(&node.name, true, Line::from(state)));
    let room = inset(inner, 1);
    let mut lines = trouble(look, world, observed, room.width);
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        lines.extend(gauges(look, world, node, report, room.width));
        lines.push(Line::default());
    }
    let used = paint.lines(room, &lines);
    let (_, below) = cut_top(room, used);
    let facts = facts(look, world, node, observed);
    if facts.len() > usize::from(below.height) && below.width >= 60 {
        // Too many for one column: two.
        let (first, second) = facts.split_at(facts.len().div_ceil(2));
        let (left, right) = cut_left(below, below.width / 2);
        paint.lines(left, first);
        paint.lines(right, second);
    } else {
        paint.lines(below, &facts);
    }

    let wrong = wrong(look, world, node, right.width);
    let rows = u16::try_from(wrong.len())
        .unwrap_or(u16::MAX)
        .saturating_add(if boxed { 2 } else { 1 });
    let (upper, lower) = cut_top(right, rows.clamp(2, (right.height / 2).max(2)));
    let inner = paint.pane(upper, &frame("Findings", false, Line::default()));
    paint.lines(inset(inner, 1), &wrong);
    let inner = paint.pane(lower, &frame("Runs that touched it", true, Line::default()));
    touching(screen, world, paint, inner);
}

/// Why it cannot be reached, first of all.
fn trouble(
    look: &Look,
    world: &World,
    observed: Option<&Observed<NodeReport>>,
    width: u16,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let Some(trouble) = observed.and_then(|seen| seen.trouble.as_ref()) else {
        return Vec::new();
    };
    let mut lines = vec![Line::from(Span::styled(
        format!(
            "{} unreachable for {}, {}",
            look.glyphs.bad,
            measure::age(world.now, trouble.since),
            measure::count(usize::try_from(trouble.attempts).unwrap_or(0), "attempt")
        ),
        theme.bad,
    ))];
    for line in text::wrap(&look.plain(&trouble.reason), usize::from(width.max(10))) {
        lines.push(Line::from(Span::styled(line, theme.bad)));
    }
    let seen = observed.and_then(|seen| seen.as_of).map_or_else(
        || "It was never reached from here.".to_owned(),
        |at| format!("What follows is as of {} ago.", measure::age(world.now, at)),
    );
    lines.push(Line::from(Span::styled(seen, theme.muted)));
    lines.push(Line::default());
    lines
}

fn label(look: &Look, name: &str) -> Span<'static> {
    Span::styled(format!("{name:<LABEL$}"), look.theme.muted)
}

fn gauges(
    look: &Look,
    world: &World,
    node: &Node,
    report: &NodeReport,
    width: u16,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let sample = &report.sample;
    let cells = usize::from(width.saturating_sub(36).clamp(6, 32));
    let bar = |name: &str, percent: Option<f32>, words: String| {
        let mut spans = vec![label(look, name)];
        match percent {
            Some(percent) => {
                spans.extend(look.gauge(percent, cells, look.level(percent)));
                spans.push(Span::styled(
                    format!(" {:>4}  ", measure::percent(percent)),
                    plain,
                ));
                spans.push(Span::styled(words, theme.muted));
            }
            None => spans.push(Span::styled("not known", theme.muted)),
        }
        Line::from(spans)
    };
    let used = sample.memory_total.saturating_sub(sample.memory_available);
    let pair =
        |used: u64, total: u64| format!("{} of {}", measure::bytes(used), measure::bytes(total));
    let trend = |name: &str, values: Vec<f32>, top: f32, words: String| {
        Line::from(vec![
            label(look, name),
            look.spark(&values, cells, top, theme.info),
            Span::styled(format!("  {words}"), plain),
        ])
    };
    let history = world.trend(&node.name);
    let load: Vec<f32> = history
        .map(|trend| trend.load.iter().copied().collect())
        .unwrap_or_default();
    let memory: Vec<f32> = history
        .map(|trend| trend.memory.iter().copied().collect())
        .unwrap_or_default();
    let [one, five, fifteen] = sample.load;
    let mut lines = vec![
        bar(
            "memory",
            sample.memory_used_percent(),
            pair(used, sample.memory_total),
        ),
        bar(
            "disk /",
            sample.disk_used_percent(),
            pair(
                sample.disk_used.unwrap_or(0),
                sample.disk_total.unwrap_or(0),
            ),
        ),
        trend(
            "load",
            load,
            0.5,
            format!("{one:.2} {five:.2} {fifteen:.2}"),
        ),
    ];
    if !memory.is_empty() {
        lines.push(trend("mem trend", memory, 100.0, String::new()));
    }
    if let Some(celsius) = sample.temperature {
        let style = if celsius >= crate::domain::finding::HOT_CELSIUS {
            theme.bad
        } else {
            plain
        };
        lines.push(Line::from(vec![
            label(look, "hottest"),
            look.outer(&format!("{celsius:.0} °C"), style),
        ]));
    }
    if !sample.failed_units.is_empty() {
        lines.push(Line::from(vec![
            label(look, "failed"),
            look.outer(
                &format!("{} {}", look.glyphs.bad, sample.failed_units.join(" ")),
                theme.bad,
            ),
        ]));
    }
    lines
}

fn facts(
    look: &Look,
    world: &World,
    node: &Node,
    observed: Option<&Observed<NodeReport>>,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(Line::from(vec![
                label(look, name),
                look.outer(&value, plain),
            ]));
        }
    };
    let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
    let labels: Vec<String> = node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    fact("address", node.place());
    if let Some(Jump::Through(jump)) = &node.ssh.jump {
        fact("through", jump.clone());
    }
    fact("platform", format!("{} {}", node.platform, node.arch));
    fact("roles", roles.join(" "));
    fact("labels", labels.join(" "));
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        let facts = &report.facts;
        fact("hostname", facts.hostname.clone());
        fact("system", facts.os.clone());
        fact("kernel", format!("{} {}", facts.kernel, facts.machine));
        fact("model", facts.model.clone().unwrap_or_default());
        fact("cpus", facts.cpus.to_string());
        fact(
            "init",
            if facts.systemd {
                "systemd".into()
            } else {
                "not systemd".into()
            },
        );
        fact("uptime", measure::uptime(report.sample.uptime));
        fact("latency", measure::latency(report.latency_ms));
    }
    let as_of = observed
        .and_then(|seen| seen.as_of)
        .map_or_else(String::new, |at| {
            format!("{} ago", measure::age(world.now, at))
        });
    fact("as of", as_of);
    lines
}

/// The node's findings, one row each.
fn wrong(look: &Look, world: &World, node: &Node, width: u16) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let mut lines = Vec::new();
    for finding in world.findings() {
        if finding.subject != Subject::Node(node.name.clone()) {
            continue;
        }
        lines.push(Line::from(vec![
            look.sign(look.glyphs.severity(finding.severity)),
            Span::raw("  "),
            look.outer(&finding.text, plain),
            Span::styled(
                format!("  {} ago", measure::age(world.now, finding.since)),
                theme.muted,
            ),
        ]));
        let room = usize::from(width.saturating_sub(6).max(10));
        for line in text::wrap(&look.plain(&finding.evidence), room) {
            lines.push(Line::from(Span::styled(format!("  {line}"), theme.muted)));
        }
    }
    if lines.is_empty() {
        lines.push(Line::from(Span::styled(
            format!(
                "{} Nothing wrong that Quarterdeck can see",
                look.glyphs.done
            ),
            theme.good,
        )));
    }
    lines
}

fn touching(screen: &NodeScreen, world: &World, paint: &mut Paint<'_>, area: Rect) {
    let look = paint.look;
    let theme = &look.theme;
    let touching = screen.touching(world);
    if touching.is_empty() {
        let sentence = match &screen.runs {
            Known::Asked => "Reading the history".to_owned(),
            Known::Failed(reason) => reason.clone(),
            Known::Ready(_) => "None of the newest runs. Press a for what can be done here.".into(),
        };
        paint.hint(area, &sentence, theme.muted);
        return;
    }
    let rows: Vec<GridRow> = touching
        .iter()
        .map(|(run, worst)| {
            let begun = run.started_at.unwrap_or(run.created_at);
            GridRow::new(
                run.id.to_string(),
                vec![
                    Line::from(look.sign(look.glyphs.task(*worst, world.beat()))),
                    cell(format!("#{}", run.number), theme.muted),
                    Line::from(look.outer(
                        &run.title,
                        Style {
                            bg: None,
                            ..theme.text
                        },
                    )),
                    Line::from(look.sign(look.glyphs.run(run.state, world.beat()))),
                    cell(
                        format!("{} ago", measure::age(world.now, begun)),
                        theme.muted,
                    ),
                ],
            )
        })
        .collect();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let columns = [
        Column::new("here", 0),
        Column::number("run", 0),
        Column::prose("what", 1, 10),
        Column::new("run as a whole", 3),
        Column::number("begun", 2),
    ];
    let selected = screen.list.cursor.position(&ids);
    paint.grid(
        area,
        &Grid {
            columns: &columns,
            rows: &rows,
            selected,
            focused: true,
            sort: None,
            stale: false,
        },
    );
}
