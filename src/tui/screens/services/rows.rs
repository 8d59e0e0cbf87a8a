//! Services as rows: the same for the Bridge and for the full list.

use ratatui::text::Line;

use super::super::list::List;
use crate::domain::live::{Health, Observed, ServiceReport};
use crate::domain::service::ServiceSpec;
use crate::domain::table::Tone;
use crate::tui::glyphs::{Glyphs, Sign, UNICODE};
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::paint::grid::{Column, GridRow, cell};
use crate::tui::world::World;

/// The services that pass the filter, in the chosen order.
pub(crate) fn shown<'a>(world: &'a World, list: &List) -> Vec<&'a ServiceSpec> {
    let Some(environment) = world.here() else {
        return Vec::new();
    };
    let mut services: Vec<&ServiceSpec> = environment
        .services
        .iter()
        .filter(|service| list.filter.is_empty() || list.filter.admits(&haystack(world, service)))
        .collect();
    list.order(&mut services, |by, a, b| match by {
        0 => badness(world, b).cmp(&badness(world, a)),
        1 => a.name.cmp(&b.name),
        _ => {
            let as_of =
                |service: &ServiceSpec| world.service(&service.name).and_then(|seen| seen.as_of);
            as_of(a).cmp(&as_of(b))
        }
    });
    services
}

fn haystack(world: &World, service: &ServiceSpec) -> String {
    format!(
        "{} {} {} {} {}",
        service.name,
        service.kind,
        service.nodes.join(" "),
        state(world.service(&service.name), &UNICODE).word,
        said(world.service(&service.name)),
    )
}

fn badness(world: &World, service: &ServiceSpec) -> u8 {
    match state(world.service(&service.name), &UNICODE).tone {
        Tone::Bad => 3,
        Tone::Warn => 2,
        Tone::Muted => 1,
        _ => 0,
    }
}

/// How a service is.
pub(crate) fn state(observed: Option<&Observed<ServiceReport>>, glyphs: &Glyphs) -> Sign {
    match observed {
        Some(seen) if seen.trouble.is_some() => Sign {
            glyph: glyphs.bad,
            word: "unreachable",
            tone: Tone::Bad,
        },
        Some(Observed {
            value: Some(report),
            ..
        }) => glyphs.health(report.health),
        _ => Sign {
            glyph: glyphs.unknown,
            word: "asking",
            tone: Tone::Muted,
        },
    }
}

/// The reason for silence, the worst problem, or what the service says of itself.
pub(crate) fn said(observed: Option<&Observed<ServiceReport>>) -> String {
    let Some(observed) = observed else {
        return String::new();
    };
    if let Some(trouble) = &observed.trouble {
        return trouble.reason.clone();
    }
    observed.value.as_ref().map_or_else(String::new, |report| {
        report
            .problems
            .first()
            .map_or_else(|| report.summary.clone(), |problem| problem.text.clone())
    })
}

/// The columns.
pub(crate) fn columns() -> Vec<Column> {
    vec![
        Column::new("state", 0),
        Column::new("name", 0),
        Column::prose("version", 4, 6),
        Column::number("members", 2),
        Column::prose("leader", 6, 8),
        Column::number("latency", 7),
        Column::number("age", 1),
        Column::prose("says", 3, 22),
    ]
}

/// Which sort order belongs to which column, for the mark in the heading.
pub(crate) fn sorted_column(by: u8) -> usize {
    [0, 1, 6][usize::from(by.min(2))]
}

/// One service as a row.
pub(crate) fn row(world: &World, look: &Look, service: &ServiceSpec) -> GridRow {
    let theme = &look.theme;
    let observed = world.service(&service.name);
    let report = observed.and_then(|seen| seen.value.as_ref());
    let lost = observed.is_some_and(|seen| seen.trouble.is_some());
    let sign = state(observed, look.glyphs);
    let members = report.and_then(|report| report.members);
    let members_style = match members {
        Some(members) if members.well < members.total && !lost => theme.warn,
        _ => theme.muted,
    };
    let said_style = match sign.tone {
        Tone::Good => theme.muted,
        tone => theme.tone(tone),
    };
    let age = observed
        .and_then(|seen| seen.as_of)
        .map(|at| measure::age(world.now, at));
    GridRow::new(
        service.name.clone(),
        vec![
            Line::from(look.sign(sign)),
            Line::from(look.outer(&service.name, if lost { theme.muted } else { theme.strong })),
            Line::from(
                look.outer(
                    report
                        .and_then(|report| report.version.as_deref())
                        .unwrap_or_default(),
                    theme.muted,
                ),
            ),
            cell(
                members.map_or_else(String::new, |members| {
                    format!("{}/{}", members.well, members.total)
                }),
                members_style,
            ),
            Line::from(
                look.outer(
                    report
                        .and_then(|report| report.leader.as_deref())
                        .unwrap_or_default(),
                    theme.muted,
                ),
            ),
            cell(
                report
                    .filter(|_| !lost)
                    .map_or_else(String::new, |report| measure::latency(report.latency_ms)),
                theme.muted,
            ),
            cell(
                age.unwrap_or_default(),
                if lost { theme.bad } else { theme.muted },
            ),
            Line::from(look.outer(&said(observed), said_style)),
        ],
    )
}

/// How many services are well, and how many there are.
pub(crate) fn tally(world: &World, environment: &str) -> (usize, usize) {
    let total = world
        .environment(environment)
        .map_or(0, |environment| environment.services.len());
    let well = world.live.get(environment).map_or(0, |live| {
        live.services
            .values()
            .filter(|seen| {
                seen.fresh()
                    .is_some_and(|report| report.health == Health::Ok)
            })
            .count()
    });
    (well, total)
}
