//! Nodes as rows: the same for the Bridge and for the full list, which shows more columns.

use std::cmp::Ordering;

use ratatui::text::{Line, Span};

use super::super::list::{List, descending};
use crate::domain::finding::{Severity, Subject};
use crate::domain::live::{NodeReport, Observed};
use crate::domain::node::Node;
use crate::domain::table::Tone;
use crate::tui::glyphs::Sign;
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::paint::grid::{Column, GridRow, cell};
use crate::tui::world::World;

/// Cells of a sparkline in the list.
const SPARK: usize = 12;
/// Width from which on gauges are drawn beside percentages.
const ROOMY: u16 = 96;
/// Width from which on sparklines are drawn.
const SPACIOUS: u16 = 110;

/// The nodes that pass the filter, in the chosen order.
pub(crate) fn shown<'a>(world: &'a World, list: &List) -> Vec<&'a Node> {
    let Some(environment) = world.here() else {
        return Vec::new();
    };
    let mut nodes: Vec<&Node> = environment
        .nodes
        .iter()
        .filter(|node| list.filter.is_empty() || list.filter.admits(&haystack(world, node)))
        .collect();
    list.order(&mut nodes, |by, a, b| compare(world, by, a, b));
    nodes
}

/// What a filter looks at: everything a row says in words.
fn haystack(world: &World, node: &Node) -> String {
    let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
    let labels: Vec<String> = node
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    format!(
        "{} {} {} {} {} {} {} {}",
        node.name,
        node.address,
        node.platform,
        node.arch,
        roles.join(" "),
        labels.join(" "),
        state(world, &node.name, &crate::tui::glyphs::UNICODE).word,
        trouble(world, &node.name).unwrap_or_default(),
    )
}

fn compare(world: &World, by: u8, a: &Node, b: &Node) -> Ordering {
    let sample = |node: &Node| world.node(&node.name).and_then(Observed::fresh);
    let value = |of: fn(&NodeReport) -> Option<f32>| {
        descending(sample(a).and_then(of), sample(b).and_then(of))
    };
    match by {
        0 => badness(world, b).cmp(&badness(world, a)),
        1 => a.name.cmp(&b.name),
        2 => value(|report| Some(report.sample.load[0])),
        3 => value(|report| report.sample.memory_used_percent()),
        4 => value(|report| report.sample.disk_used_percent()),
        5 => value(|report| report.sample.temperature),
        6 => value(|report| Some(report.sample.uptime as f32)),
        _ => as_of(world, a).cmp(&as_of(world, b)),
    }
}

fn as_of(world: &World, node: &Node) -> Option<jiff::Timestamp> {
    world.node(&node.name)?.as_of
}

fn badness(world: &World, node: &Node) -> u8 {
    match state(world, &node.name, &crate::tui::glyphs::UNICODE).tone {
        Tone::Bad => 3,
        Tone::Warn => 2,
        Tone::Muted => 1,
        _ => 0,
    }
}

/// Why the node cannot be reached.
fn trouble(world: &World, name: &str) -> Option<String> {
    Some(world.node(name)?.trouble.as_ref()?.reason.clone())
}

/// How a node is: reached or not, and whether anything is wrong with it.
pub(crate) fn state(world: &World, name: &str, glyphs: &crate::tui::glyphs::Glyphs) -> Sign {
    let sign = |glyph, word, tone| Sign { glyph, word, tone };
    let Some(observed) = world.node(name) else {
        return sign(glyphs.unknown, "asking", Tone::Muted);
    };
    if observed.trouble.is_some() {
        return sign(glyphs.bad, "unreachable", Tone::Bad);
    }
    if observed.value.is_none() {
        return sign(glyphs.unknown, "asking", Tone::Muted);
    }
    let cordoned = world
        .live()
        .and_then(|live| live.marks.get(name))
        .is_some_and(|marks| marks.cordon.is_some());
    if cordoned {
        return sign(glyphs.warn, "cordoned", Tone::Warn);
    }
    let worst = world
        .findings()
        .iter()
        .filter(|finding| matches!(&finding.subject, Subject::Node(node) if node == name))
        .map(|finding| finding.severity)
        .min();
    match worst {
        Some(Severity::Critical | Severity::Warning) => sign(glyphs.warn, "warn", Tone::Warn),
        _ => sign(glyphs.ok, "up", Tone::Good),
    }
}

/// The columns for a list of this width.
pub(crate) fn columns(wide: bool) -> Vec<Column> {
    let rank = |rank: u8| if wide { 0 } else { rank };
    vec![
        Column::new("state", 0),
        Column::new("name", 0),
        Column::new("address", rank(5)),
        Column::new("platform", rank(8)),
        Column::new("arch", rank(12)),
        Column::prose("roles", rank(7), 14),
        Column::number("cpu", 1),
        Column::number("load", 3),
        Column::new("trend", rank(4)),
        Column::number("mem", 1),
        Column::number("disk", 2),
        Column::number("temp", 4),
        Column::number("net in", rank(11)),
        Column::number("out", rank(11)),
        Column::number("uptime", rank(9)),
        Column::number("latency", rank(10)),
        Column::number("age", 1),
        Column::prose("reason", 3, 20),
    ]
}

/// Which sort order belongs to which column, for the mark in the heading.
pub(crate) fn sorted_column(by: u8) -> usize {
    [0, 1, 7, 9, 10, 11, 14, 16][usize::from(by.min(7))]
}

/// One node as a row for a list that is `width` cells wide.
pub(crate) fn row(world: &World, look: &Look, node: &Node, width: u16) -> GridRow {
    let theme = &look.theme;
    let observed = world.node(&node.name);
    let report = observed.and_then(|observed| observed.value.as_ref());
    let lost = observed.is_some_and(|observed| observed.trouble.is_some());
    let plain = if lost { theme.muted } else { theme.text };
    let plain = ratatui::style::Style { bg: None, ..plain };
    let sample = report.map(|report| &report.sample).filter(|_| !lost);
    let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
    let number = |text: Option<String>, style| cell(text.unwrap_or_default(), style);
    let gauge = |percent: Option<f32>| match percent {
        None => Line::default(),
        Some(percent) => {
            let style = look.level(percent);
            let mut spans = Vec::new();
            if width >= ROOMY {
                spans.extend(look.gauge(percent, 6, style));
                spans.push(Span::raw(" "));
            }
            let figure = if percent >= 75.0 { style } else { plain };
            spans.push(Span::styled(
                format!("{:>4}", measure::percent(percent)),
                figure,
            ));
            Line::from(spans)
        }
    };
    let trend = world
        .trend(&node.name)
        .filter(|_| width >= SPACIOUS && !lost)
        .map(|trend| {
            let values = trend.of(|point| point.cpu);
            if values.is_empty() {
                // A node that does not tell what its processors do tells its load.
                Line::from(look.spark(&trend.of(|point| point.load), SPARK, 1.0, theme.info))
            } else {
                Line::from(look.spark(&values, SPARK, 25.0, theme.info))
            }
        });
    let cpus = report.map_or(1.0, |report| report.facts.cpus.max(1) as f32);
    let load = sample
        .and_then(crate::domain::live::NodeSample::load_known)
        .map(|load| load[0]);
    let load_style = load.map_or(plain, |load| match load / cpus {
        share if share >= 1.0 => theme.bad,
        share if share >= 0.7 => theme.warn,
        _ => plain,
    });
    let heat = sample.and_then(|sample| sample.temperature);
    let heat_style = heat.map_or(plain, |celsius| match celsius {
        c if c >= crate::domain::finding::HOT_CELSIUS => theme.bad,
        c if c >= 70.0 => theme.warn,
        _ => plain,
    });
    let as_of = observed.and_then(|observed| observed.as_of);
    let age_style = if lost { theme.bad } else { theme.muted };
    let cells = vec![
        Line::from(look.sign(state(world, &node.name, look.glyphs))),
        Line::from(look.outer(&node.name, if lost { theme.muted } else { theme.strong })),
        Line::from(look.outer(&node.address, theme.muted)),
        cell(node.platform.word(), theme.muted),
        cell(node.arch.word(), theme.muted),
        cell(roles.join(" "), theme.muted),
        gauge(sample.and_then(|sample| sample.cpu_percent)),
        number(load.map(|load| format!("{load:.2}")), load_style),
        trend.unwrap_or_default(),
        gauge(sample.and_then(crate::domain::live::NodeSample::memory_used_percent)),
        gauge(sample.and_then(crate::domain::live::NodeSample::disk_used_percent)),
        number(heat.map(|celsius| format!("{celsius:.0}°")), heat_style),
        number(
            sample
                .and_then(|sample| sample.received)
                .map(measure::bytes),
            theme.muted,
        ),
        number(
            sample.and_then(|sample| sample.sent).map(measure::bytes),
            theme.muted,
        ),
        number(
            sample.map(|sample| measure::uptime(sample.uptime)),
            theme.muted,
        ),
        number(
            report
                .filter(|_| !lost)
                .map(|report| measure::latency(report.latency_ms)),
            theme.muted,
        ),
        number(as_of.map(|at| measure::age(world.now, at)), age_style),
        Line::from(look.outer(&trouble(world, &node.name).unwrap_or_default(), theme.bad)),
    ];
    let cells = cells
        .into_iter()
        .map(|line| fit_charset(look, line))
        .collect();
    GridRow::new(node.name.clone(), cells)
}

/// Our own signs beyond ASCII (the degree) in a locale without them.
fn fit_charset(look: &Look, line: Line<'static>) -> Line<'static> {
    Line::from(
        line.spans
            .into_iter()
            .map(|span| look.outer(&span.content, span.style))
            .collect::<Vec<_>>(),
    )
}

/// `4/5 up`.
pub(crate) fn tally(world: &World, environment: &str) -> (usize, usize) {
    let total = world
        .environment(environment)
        .map_or(0, |environment| environment.nodes.len());
    let up = world.live.get(environment).map_or(0, |live| {
        live.nodes
            .values()
            .filter(|observed| observed.fresh().is_some())
            .count()
    });
    (up, total)
}
